/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sidecar's state. One libev thread owns all of it; workers get what they need by value in their job and give results
 * back through their pool. Files of this folder are parts of this one thing, each with one concern:
 *
 *   agent.c       start, stop, what to do when store or server come and go
 *   databases.c   the table of databases and what is known of each
 *   gone.c        which of the dropped ones stay in it
 *   discover.c    the regular look at the server
 *   scheduler.c   what is due, and beginning it
 *   request.c     backups on demand
 *   drain.c       the orderly end
 *   volume.c      is staging there, how full is it
 *   past.c        what the backups tell of earlier lives
 *   describe.c    instance.json
 *   conditions.c  what a person asks first
 *   job/          one backup from the statement to the commit
 *   restore/      restores onto this server
 *   verify/       proving what is in the store
 *   status.c      what all this looks like from outside
 *   rpc/, web.c   who asks
 *   uplink/       the session with the controller
 */
#ifndef MSSQL_SIDECAR_AGENT_H
#define MSSQL_SIDECAR_AGENT_H

#include <ev.h>
#include <stdatomic.h>

#include "common/base/pool.h"
#include "common/chain/decide.h"
#include "common/net/http_server.h"
#include "common/net/rpc_server.h"
#include "common/policy/policy.h"
#include "common/sql/connect.h"
#include "common/sql/database.h"
#include "common/sql/server.h"
#include "sidecar/config.h"
#include "sidecar/job/journal.h"
#include "sidecar/job/staging.h"
#include "sidecar/keeper.h"
#include "sidecar/rota.h"
#include "sidecar/sessions.h"

struct drain;
struct job;
struct journal_found;
struct restores;
struct scrubber;
struct verifier;
struct parked;
struct past;
struct volume;
struct request;
struct instruments;
struct uplink;

/* Results of runs. Only COMPLETED is success. */
enum outcome { OUTCOME_NONE, OUTCOME_COMPLETED, OUTCOME_QUIET, OUTCOME_SKIPPED, OUTCOME_DEFERRED, OUTCOME_FAILED, OUTCOME_COUNT };
const char *outcome_name(enum outcome outcome); /* "completed", ... */

struct last_result {
    enum outcome outcome;
    enum backup_kind kind;
    char reason[64]; /* stable word */
    struct err err; /* of FAILED; text also of the others */
    int64_t at;
};

struct damaged; /* sidecar/verify/damage.h */
struct known_hold; /* sidecar/holds.h */
struct holds {
    struct known_hold *items;
    size_t count, cap;
};

struct damage {
    struct damaged *items; /* oldest first */
    size_t count, cap;
    char *path;
    bool open; /* the file was read: it may be written */
    bool changed; /* since it was written */
};

/* A lane is what may run once per database at a time: data backups, log backups. */
enum lane { LANE_DATA, LANE_LOG, LANE_COUNT };
static inline enum lane lane_of(enum backup_kind kind) {
    return kind == BACKUP_LOG ? LANE_LOG : LANE_DATA;
}

/* Jobs of one lane that are staged and wait for, or are in, the store: oldest first. Behind a few of them only what cannot be read from
 * their drafts is kept (job/park.c), so a store that is away for days costs no memory to speak of. */
struct ship_queue {
    struct job *head, *tail;
    struct parked *parked, *parked_tail;
    unsigned jobs, parked_count;
    bool running;
    int64_t retry_us; /* monotonic; 0: at once */
    double retry_s;
};

#define RECENT_HOLES_MAX 10

struct database {
    char *name;
    bool present; /* the server has it */
    int64_t gone_at; /* when it was seen to be gone, 0 */
    struct sql_database info; /* last look */
    enum policy_scope scope;
    const struct policy_rules *rules;
    bool access_known, may_data, may_log;

    char folder[NAME_FOLDER_MAX]; /* "" before the first commit */
    uint32_t catalog_id; /* CATALOG_NONE before the first commit */
    struct chain_tip taken; /* with what is staged: decisions are made of it */
    struct chain_tip committed; /* what the store has: promises are made of it */
    struct chain_window
        last_window; /* the newest interval of the store: while a chain is broken, what was restorable before it */
    bool tips_known; /* the catalog was there to build them from */
    uint64_t sets, stored_bytes; /* in the store */

    bool server_known;
    struct chain_server_state server; /* last look that could read it */
    int64_t looked_at;
    int64_t tip_changed_us; /* monotonic: a look that began before says nothing about the tip since */
    struct sql_sizes sizes;
    struct chain_memory memory;
    struct chain_status status;
    int64_t quiet_until_at;
    struct chain_hole *holes; /* newest last, at most RECENT_HOLES_MAX */
    unsigned hole_count;
    uint64_t holes_total; /* seen by this process */

    struct due_state due[POLICY_KIND_COUNT];
    int64_t next_at[POLICY_KIND_COUNT];
    bool was_paused;
    bool heal_now; /* decide at the next tick, whatever is due */
    int64_t not_before_at; /* of healing and retries */
    int64_t heal_day; /* day number of the counters below */
    unsigned heal_fulls, heal_diffs; /* begun, whatever came of them */
    bool compression_refused;
    bool restoring; /* a restore of ours has it, or waits for it: nothing of it is taken or judged */
    bool copy; /* restored under a name of its own and goes by itself: nobody's to back up */

    struct job *running[LANE_COUNT]; /* being taken */
    unsigned recovering[LANE_COUNT]; /* journal entries that are not through yet: nothing new of the lane is taken before */
    struct job *resuming; /* the one that a worker asks about */
    struct ship_queue ship[LANE_COUNT];
    bool committing; /* one commit per database at a time: manifests name the one before */
    struct job *commit_wait; /* shipped, waits for the other lane's commit */
    char previous[STORE_NAME_MAX]; /* manifest of the newest commit */
    uint64_t sequence;

    struct last_result last[BACKUP_KIND_COUNT];
    char skip[64]; /* why nothing is taken now, "" */
    char *skip_text;
    int64_t last_log_checked_at;
};

struct agent {
    struct ev_loop *loop;
    const struct sidecar_config *config; /* of the start; workers read it */
    const struct sidecar_config *live; /* of the last reload: limits and log */
    char scope[NAME_SCOPE_MAX];
    char holder[256];
    char name_prefix[64]; /* NAME of our backups begins with it */
    int64_t started_at;
    int64_t started_us; /* monotonic */
    bool store_asked; /* the store was reached, or is known to be away: the catalog is as good as it gets */

    const struct policy *policy; /* in force */
    const char *policy_source; /* "file", "controller", "default" */
    int64_t policy_at;
    int64_t policy_generation; /* of a pushed one */
    struct pauses *pauses;

    bool opened; /* the state directory could be used: all below is there */
    struct err state_err; /* why it cannot be used yet */
    ev_timer open_timer; /* the next attempt */
    int64_t open_pause_ms;
    bool sql_ready;
    struct identity identity;
    struct journal *journal; /* NULL before */
    struct staging *staging;
    struct volume *volume;
    struct past *past; /* questions about holes of an earlier life; NULL before the first */
    bool staging_known; /* it was looked at */
    struct err staging_err; /* why staging cannot be used, class NONE when it can */
    struct err staging_read_err; /* why a staged file could not be read at the last attempt, class NONE when all could */
    struct staging_state space;
    atomic_ullong pending_bytes; /* estimates of backups that run now */
    struct keeper *keeper; /* NULL before */
    struct sessions *sessions; /* NULL before */

    struct pool *control, *serve, *data, *log, *ship_data, *ship_log;
    ev_async wake;
    ev_timer tick;
    ev_timer discover_timer;
    atomic_bool stopping; /* workers end what they can end safely */
    bool draining; /* nothing new but the last logs */
    bool leaving; /* this program ends: draining is for good */
    int64_t false_stop_us, false_stop_server_at; /* monotonic: a stop after which that SQL Server lived on; 0 none */
    int64_t drained_us, drained_server_at; /* monotonic, when draining began; start of the SQL Server that was to stop */

    struct sql_server server;
    bool server_known; /* was read at least once */
    bool server_reachable;
    struct err server_err;
    int64_t server_err_at, connected_at;
    bool login_sufficient;
    bool discovering;
    unsigned discover_failures;
    struct sql_backoff backoff;
    int64_t access_at, pruned_at; /* last look at rights, last cleaning of msdb */
    int64_t foreign_id; /* rows of msdb up to here are old news: it follows the newest row at a distance of ten minutes or more */
    int64_t history_id, history_at; /* where it goes next */

    struct database **databases;
    size_t database_count, database_cap;
    unsigned data_running, data_workers;
    struct rota rota; /* of databases, for data backups */
    bool server_listed; /* its databases were read once: recovery may begin when staging is there, too */
    bool drafts_recovered, recovery_begun;
    struct journal_found *recover_known; /* what the journal had before staging was scanned */
    unsigned recover_known_count, recover_journaled; /* the journal's are the first */
    struct job *resuming; /* interrupted runs that are asked about, oldest first */
    unsigned orphans_unasked; /* staged files without journal entry that were not looked at yet: no log begins before */

    struct request *requests; /* on demand, list */
    struct holds holds;
    bool holds_loading;
    bool preflighting;
    struct damage damage; /* backups of the store that cannot be used */
    struct scrubber *scrubber;
    struct verifier *verifier;
    struct restores *restores; /* NULL before the state directory could be used */
    struct condition *conditions;
    struct instruments *instruments;

    struct uplink *uplink; /* NULL without a controller */
    struct rpc_loop *rpc_loop;
    struct rpc_server *rpc;
    struct http_server *http, *http_prestop; /* the second one only with http.prestopListen */
    struct drain *drains; /* who waits for the end */
};

/* ---- agent.c ---- */
/* A state directory that cannot be used now is no failure: the agent serves, says so, and tries again. What only a person can repair (a
 * bad configuration, another process on the same state, damage) is. */
int agent_new(struct ev_loop *loop, const struct sidecar_config *config, struct agent **ret_agent, struct err *err) ERR_CHECK;
/* Ends workers, keeps what is staged for the next start. */
void agent_free(struct agent *agent);
/* Another policy is in force. It must live until the next one. */
void agent_set_policy(struct agent *agent, const struct policy *policy, const char *source, int64_t generation);
/* A new configuration: policy (unless a controller has pushed one), log and passwords take effect. It must live until the next one. */
void agent_reload(struct agent *agent, const struct sidecar_config *fresh);

/* ---- drain.c ---- */
/* WITHOUT_LOGS: what was staged is in the store, but SQL Server could not be asked for last logs. */
enum drain_end { DRAIN_DONE, DRAIN_WITHOUT_LOGS, DRAIN_TIME_IS_OVER };
/* Nothing new begins from here on. Data backups that run are cancelled, log backups end, what is staged is shipped; with
 * `logs` a last log backup of every database is taken first. fn runs on the loop when all of that is committed, or when
 * timeout_ms is over; what is staged then waits for the next start. Several may wait at once. */
void agent_drain(struct agent *agent, bool logs, int64_t timeout_ms, void (*fn)(void *user, enum drain_end end, unsigned left),
                 void *user);
/* The server was looked at: SQL Server's container may have been restarted alone, and backups go on. */
void agent_drain_looked(struct agent *agent);
/* How many wait for the end? */
unsigned agent_drain_waiting(const struct agent *agent);
/* Called by the scheduler: is it over? */
void agent_drain_tick(struct agent *agent);
/* The fn of this user will not be called any more; NULL: of any. */
void agent_drain_forget(struct agent *agent, void *user);

/* ---- databases.c ---- */
struct database *databases_find(struct agent *agent, const char *name);
/* Also one that the server does not have (any more). */
struct database *databases_find_or_add(struct agent *agent, const char *name);
/* Reconciles the table with what the server lists. */
void databases_update(struct agent *agent, const struct sql_database_list *list);
/* After a new policy. */
void databases_apply_policy(struct agent *agent);
/* A look at one database that began at begun_us (monotonic): identity, tips on the first look. False when a backup of ours was taken
 * meanwhile: then the look is older than what is known, and must not be held against it. */
bool databases_looked(struct agent *agent, struct database *db, const struct chain_server_state *server,
                      const struct sql_sizes *sizes, int64_t begun_us);
/* A backup of ours is what the server's state now is about. */
void databases_taken(struct database *db, const struct backup *set);
/* Builds both tips and the counters from the catalog. */
void databases_load_tips(struct agent *agent, struct database *db);
void databases_load_all_tips(struct agent *agent);
/* Recomputes db->status. */
void databases_judge(struct agent *agent, struct database *db, const struct chain_foreign *foreign, size_t foreign_count);
void databases_add_hole(struct agent *agent, struct database *db, const struct chain_hole *hole);
/* One of an earlier life: neither told nor counted again. */
void databases_keep_hole(struct database *db, const struct chain_hole *hole);
void databases_skip(struct database *db, const char *reason, const char *text);
/* What the store can restore: the current interval, or while there is none (any false in the tip) the newest one before it. */
void database_window(const struct database *db, struct chain_window *ret_window);
/* The committed tip is about to change, or has changed. */
void databases_note_window(struct database *db);
/* Until when nothing was committed after the last log *in the store*; 0 when that is not known, or while a log is only staged. */
int64_t database_quiet_until(const struct database *db);
/* Is it one that the policy wants and that exists? */
bool database_wanted(const struct database *db);
void databases_free(struct agent *agent);
void database_free(struct database *db);
/* gone.c: entries of databases that the server does not have, and that nothing uses, are bounded. Not inside a walk over the table. */
#define DATABASES_GONE_MAX 200
void databases_forget_gone(struct agent *agent);

/* ---- discover.c ---- */
void discover_start(struct agent *agent);
void discover_soon(struct agent *agent);
void discover_stop(struct agent *agent);

/* ---- scheduler.c ---- */
void scheduler_start(struct agent *agent);
void scheduler_wake(struct agent *agent); /* something changed: look at once */
void scheduler_stop(struct agent *agent);
/* What a worker needs of the policy for this database (NULL: the policy's own). */
struct job_options scheduler_job_options(const struct agent *agent, const struct database *db);

#endif
