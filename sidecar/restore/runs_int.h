/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of this folder. */
#ifndef MSSQL_SIDECAR_RESTORE_RUNS_INT_H
#define MSSQL_SIDECAR_RESTORE_RUNS_INT_H

#include <pthread.h>

#include "common/pipe/rate.h"
#include "common/restore/journal.h"
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

struct run_protect;

struct run {
    struct run *next; /* newest first */
    struct agent *agent;
    struct ticket ticket;
    struct ticket_file file; /* where it is written */
    bool durable; /* it was written as a request: only then something is done */
    bool unreadable; /* its ticket cannot be read */
    struct err err_before; /* while it is asked to go on: how it had ended */
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
    int64_t clearing_us; /* monotonic; since when it waits to begin; 0: it does not, or has begun before */
    unsigned attempts; /* that ended without an answer, in a row */
    int64_t retry_us; /* monotonic */
    int64_t retry_pause_us;

    unsigned saving; /* writes of the ticket that are under way */
    bool dropping; /* a worker drops a copy */
    int64_t drop_us; /* monotonic: not before */
    bool protecting; /* a full backup is asked for */
    struct run_protect *protect; /* those that were tried */
    size_t protect_count;
    unsigned protect_turn; /* whose turn it is */
};

/* Tries of the first full backup of one database. */
struct run_protect {
    char database[SQL_NAME_MAX];
    unsigned failed;
    int64_t next_us; /* monotonic: not before */
};

enum restores_pool {
    RESTORES_RUN,
    RESTORES_ASK, /* dry runs, ends, drops */
    RESTORES_SAVE, /* tickets */
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
struct run *run_new(struct agent *agent, const struct ticket *ticket); /* the first in the list; takes the ticket */
void run_remove(struct run *run); /* out of the list, and freed */
void run_free(struct run *run);
bool restores_submit(struct agent *agent, enum restores_pool which, struct pool_item *item);
void run_told(struct run *run, const struct restore_progress *progress); /* any thread */
void run_tell(struct run *run); /* what was not told yet to those who listen */

/* flow.c */
void run_step(struct run *run, int64_t now);

/* work for the end: end.c */
void run_end(struct run *run);
int run_answer_load(struct run *run, struct err *err) ERR_CHECK;
void runs_forget_old(struct restores *restores);

/* save.c */
/* A copy that is newer than all before it. */
void run_ticket_copy(struct run *run, struct ticket *ret_ticket);
/* Writes the ticket as it is now on a worker; fn (may be NULL) runs on the loop. */
void run_save(struct run *run, void (*fn)(void *user, struct run *run, const struct err *err), void *user);
/* False when too much is waiting already: nothing is written then, and fn is not called. */
bool run_save_later(struct run *run, void (*fn)(void *user, struct run *run, const struct err *err), void *user);

/* left.c */
void left_note(struct ticket *ticket, const struct restore_journal *journal);
/* On a worker, of the engine's journal. When that cannot be read, all of its databases are left. */
int left_read(struct ticket *ticket, const char *state_dir, struct err *err) ERR_CHECK;
void left_take(struct ticket *to, const struct ticket *from);
/* Is there something that must not be forgotten? */
bool left_any(const struct run *run);
/* What `by` restored as a whole is not left by an older run any more. */
void left_supersede(struct run *by);

/* tail.c: the engine's ship_tail; `user` is the run. */
int run_ship_tail(void *user, const struct restore_tail *tail, struct err *err) ERR_CHECK;

/* copies.c */
void copies_note(struct run *run, const struct restore_report *report);
void copies_tick(struct run *run, int64_t now);

/* protect.c */
void protect_note(struct run *run, const struct restore_report *report);
void protect_tick(struct run *run, int64_t now);

#endif
