/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restores on this server: begun, watched, cancelled, gone on with after a restart. Loop thread.
 *
 * A run asks the engine what it would do (and is refused there, before anything is disturbed), waits until no backup of a
 * database that it changes is under way and everything staged of it is in the store, writes down in the store that its
 * request is executed, and restores. What ends it early without an answer (a crash, a server or a store that is away) ends
 * the attempt, not the run.
 */
#ifndef MSSQL_SIDECAR_RESTORE_RUNS_H
#define MSSQL_SIDECAR_RESTORE_RUNS_H

#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/agent.h"

struct restores;
struct run;

enum run_state {
    RUN_QUEUED, /* waits for a worker, or for server and store after a start */
    RUN_PREPARING, /* a worker plans and checks */
    RUN_CLEARING, /* waits for backups of its databases to end */
    RUN_RUNNING, /* a worker restores */
    RUN_WAITING, /* server or store is away; it goes on by itself */
    RUN_ENDING, /* a worker writes down how it ended */
    RUN_ENDED,
};

/* Who listens. All may be NULL. */
struct run_events {
    /* It is durable now and will be done; or (err) it could not be written down, and nothing follows. Not called for a run that was
     * durable before. */
    void (*begun)(void *user, const struct run *run, const struct err *err);
    void (*progress)(void *user, const Mssql__V1__RestoreProgress *progress);
    /* Last; the run stays known. */
    void (*end)(void *user, const struct run *run);
    void *user;
};

struct run_spec {
    const Mssql__V1__RestoreSpec *spec;
    const char *request_id; /* "": one is made */
    const char *reason;
    const char *by;
    int64_t expires_at, expires_in_us; /* of copies; 0: they stay */
    bool cancel_on_disconnect;
};

/* Reads the tickets of earlier lives: once, when the state directory is there. A ticket that cannot be read is told and left alone. */
void restores_open(struct agent *agent);
void restores_stop(struct agent *agent); /* workers end what they can end safely; no more callbacks */
void restores_free(struct agent *agent);
/* Called by the scheduler before it looks at databases: begins what may begin, marks the databases that are not to be touched. */
void restores_tick(struct agent *agent, int64_t now);
/* Is there anything of it that a tick must watch closely? */
bool restores_busy(const struct agent *agent);

/* A new run, or the one that has this request id already (*ret_joined): under way, or over. Watch it at once: begun() comes later. */
int restores_begin(struct agent *agent, const struct run_spec *spec, struct run **ret_run, bool *ret_joined,
                   struct err *err) ERR_CHECK;
/* Goes on with a run that ended early and left something; one that is under way is joined. As with restores_begin(). */
int restores_resume(struct agent *agent, struct run *run, bool cancel_on_disconnect, bool *ret_joined, struct err *err) ERR_CHECK;
/* By its own or its request's id; NULL. */
struct run *restores_find(struct agent *agent, const char *id);
/* Orderly; its end comes as for any other. */
int restores_cancel(struct agent *agent, struct run *run, struct err *err) ERR_CHECK;
/* Copies of the run (one, or all with an empty name) get another end; 0: they are kept. Durable when fn runs. */
int restores_keep(struct agent *agent, struct run *run, const char *database, int64_t expires_at,
                  void (*fn)(void *user, struct run *run, const struct err *err), void *user, struct err *err) ERR_CHECK;

/* Listening. Nothing is called after restores_unwatch(). A run that is over has nothing to tell. */
void restores_watch(struct run *run, const struct run_events *events);
/* Nobody listens with this user any more: ends a run that was asked to end with its listener. */
void restores_unwatch(struct agent *agent, struct run *run, void *user);

enum run_state run_state(const struct run *run);
bool run_durable(const struct run *run);
const char *run_id(const struct run *run);
const char *run_request_id(const struct run *run);
/* How it ended: RUN_ENDED only. */
const struct err *run_error(const struct run *run);
const Mssql__V1__RestoreReport *run_report(const struct run *run); /* NULL when nothing was begun */
/* As status tells of it. with_results: what was answered at the end too. */
Mssql__V1__Restore *run_message(const struct run *run, bool with_results);
/* All that are to be shown, newest first; heap messages in a heap array. */
void restores_messages(const struct agent *agent, size_t *n, Mssql__V1__Restore ***list);

/* The durable steps of this folder and of the engine, for tests. */
size_t restores_fault_points(const char **names, size_t max);

struct restores_counts {
    unsigned running, waiting, copies;
    unsigned unfinished; /* ended early, with something left */
};
/* The newest run that ended early and left something, in a sentence. */
void restores_unfinished_text(const struct agent *agent, char *dst, size_t dst_bytes);
void restores_count(const struct agent *agent, struct restores_counts *ret_counts);

#endif
