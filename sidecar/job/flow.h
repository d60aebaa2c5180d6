/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the flow call of each other. Loop thread only: flow.c takes, deliver.c brings into the store, recover.c goes on with
 * what an earlier life began, finish.c ends. */
#ifndef MSSQL_SIDECAR_JOB_FLOW_H
#define MSSQL_SIDECAR_JOB_FLOW_H

#include "sidecar/job/job.h"

/* The result is told, remembered and counted; the job is gone. */
void job_finish(struct job *job);
/* A staged and inspected set waits for the store. */
void job_enqueue(struct job *job);
/* The set belongs to the chain from now on. */
void job_note_set(struct job *job);
/* What became of a run is not known: it is asked after a pause that grows. */
void job_resume_later(struct job *job);

#endif
