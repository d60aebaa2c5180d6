/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of staged sets of one database and lane. Only the first few are whole jobs; of the others the set stays in memory (decisions
 * are made of it), and the rest is read from the draft when it is their turn. Loop thread.
 */
#ifndef MSSQL_SIDECAR_JOB_PARK_H
#define MSSQL_SIDECAR_JOB_PARK_H

#include "sidecar/job/job.h"

struct parked {
    struct parked *next;
    struct job *job; /* one that cannot be parked: it has no draft, or somebody waits for it. Else NULL, and: */
    char run_id[RUN_ID_MAX];
    int64_t planned_at;
    struct backup set;
    bool journaled;
    unsigned slot;
};

/* Behind all others. The job may be gone afterwards. */
void park_append(struct ship_queue *queue, struct job *job);
/* The first one leaves the queue; the next becomes a job again. One whose draft cannot be read any more is found out about as after a
 * crash. */
void park_pop(struct agent *agent, struct database *db, enum lane lane);
/* Calls fn for the set of every staged job, oldest first. */
void park_each(const struct ship_queue *queue, void (*fn)(void *user, const struct backup *set), void *user);
bool park_has(const struct ship_queue *queue, const char *run_id);
void park_each_run(const struct ship_queue *queue, void (*fn)(void *user, const char *run_id), void *user);
unsigned park_count(const struct ship_queue *queue);
void park_free(struct ship_queue *queue);

#endif
