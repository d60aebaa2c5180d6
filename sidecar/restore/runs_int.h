/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of this folder. */
#ifndef MSSQL_SIDECAR_RESTORE_RUNS_INT_H
#define MSSQL_SIDECAR_RESTORE_RUNS_INT_H

#include <pthread.h>

#include "common/pipe/rate.h"
#include "sidecar/restore/handoff.h"
#include "sidecar/restore/runs.h"
#include "sidecar/restore/ticket.h"
#include "sidecar/restore/work.h"

#define RUNS_OPEN_MAX 32 /* not ended, at once */
#define RUNS_ENDED_KEPT 20 /* that are remembered */

/* How far a database of a run is: written by the engine's threads, read by the loop. */
struct run_progress {
    struct restore_progress last; /* its texts are not valid, these are */
    char database[SQL_NAME_MAX];
    char message[256];
    bool changed; /* since the loop looked */
};

struct run_watch {
    struct run_watch *next;
    struct run_events events;
};

/* What the worker has. */
struct run_work {
    struct pool_item item;
    struct work_place place;
    struct ticket ticket; /* a copy, to be written */
    struct restore_report report;
    bool reported;
    bool executed; /* the request is in the store's record: something may have been changed */
    struct err err;
    Mssql__V1__RestoreReport *answer; /* RUN_ENDING: borrowed from the run */
};

struct run {
    struct run *next; /* newest first */
    struct agent *agent;
    struct ticket ticket;
    enum run_state state;
    bool earlier_life; /* begun by another process: waits for server and store */
    atomic_bool cancel;
    bool cancel_on_disconnect;
    bool working;
    struct run_work work;

    pthread_mutex_t lock; /* of progress */
    struct run_progress *progress;
    size_t progress_count;

    struct run_watch *watches;
    Mssql__V1__RestoreReport *report; /* NULL before there is one */
    struct err waiting_for; /* RUN_CLEARING, RUN_WAITING: what */
    unsigned attempts; /* that ended without an answer, in a row */
    int64_t retry_us; /* monotonic */
    int64_t retry_pause_us;

    unsigned saving; /* writes of the ticket that are under way */
    bool dropping; /* a worker drops a copy */
    int64_t drop_us; /* monotonic: not before */
    bool protecting; /* a full backup is asked for */
    int64_t protect_us; /* monotonic: not before */
    unsigned protect_failed;
};

enum restores_pool {
    RESTORES_RUN,
    RESTORES_ASK, /* dry runs, small writes, drops */
    RESTORES_FETCH,
    RESTORES_POOL_COUNT,
};

struct restores {
    struct agent *agent;
    struct run *runs;
    struct pool *pools[RESTORES_POOL_COUNT]; /* made when they are needed first */
    struct rate fetch_rate; /* of all FetchBackup streams together */
    struct handoff *handoff;
    ev_async wake;
    ev_timer tell; /* progress */
    bool stopping;
    unsigned marked; /* databases that carry a mark */
};

/* runs.c */
void run_free(struct run *run);
bool restores_submit(struct agent *agent, enum restores_pool which, struct pool_item *item);
void run_told(struct run *run, const struct restore_progress *progress); /* any thread */
void run_tell(struct run *run); /* what was not told yet to those who listen */

/* flow.c */
void run_step(struct run *run, int64_t now);

/* work for the end: end.c */
void run_end(struct run *run);
int run_answer_load(struct run *run, struct err *err) ERR_CHECK;
/* Writes the ticket as it is now on a worker; fn (may be NULL) runs on the loop. */
void run_save(struct run *run, void (*fn)(void *user, struct run *run, const struct err *err), void *user);
void runs_forget_old(struct restores *restores);

/* tail.c: the engine's ship_tail; `user` is the run. */
int run_ship_tail(void *user, const struct restore_tail *tail, struct err *err) ERR_CHECK;

/* copies.c */
void copies_note(struct run *run, const struct restore_report *report);
void copies_tick(struct run *run, int64_t now);

/* protect.c */
void protect_note(struct run *run, const struct restore_report *report);
void protect_tick(struct run *run, int64_t now);

#endif
