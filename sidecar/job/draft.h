/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What was read from a staged backup's header, kept beside the journal until the commit: with it a backup can be shipped after a restart
 * also when SQL Server does not come up any more. That is when the staged logs are worth most.
 *
 * A draft is a manifest without its objects, <state>/drafts/<run id>.json. Without one the header is read again. While many backups wait
 * for the store, the draft is all that is kept of one: the journal has a fixed size, drafts have not.
 */
#ifndef MSSQL_SIDECAR_JOB_DRAFT_H
#define MSSQL_SIDECAR_JOB_DRAFT_H

#include "sidecar/job/job.h"

/* Durable when it returns 0. */
int draft_save(struct job *job, struct err *err) ERR_CHECK;
/* Fills set and manifest. ERR_NOT_FOUND when there is none. */
int draft_load(struct job *job, struct err *err) ERR_CHECK;
/* Run ids of all drafts, sorted; mem_free() each and the array. */
char **draft_list(const struct agent *agent, unsigned *ret_count);
void draft_remove(const struct agent *agent, const char *run_id);

/* Its durable steps, for tests; ends with NULL. */
const char *const *draft_fault_points(void);

#endif
