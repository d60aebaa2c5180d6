/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One backup. Its steps, and what is durable after each:
 *
 *   take    decide -> journal PLANNED -> BACKUP -> fsync of the staged files -> journal TAKEN -> read the header, check the chain
 *   ship    staged files -> objects in the store (invisible as a backup)
 *   commit  manifest -> journal COMMITTED -> staged files removed -> journal entry removed
 *
 * Each of take, ship and commit is one piece of work for a worker; in between the loop decides what comes next (flow.c). A run
 * that the journal knows from an earlier life enters by resume instead of take (resume.c).
 *
 * A job that is handed to a worker is the worker's until it comes back; the loop reads its progress only. When it is staged, the
 * loop also reads the set (the tip of what is taken), so ship and commit do not write it.
 */
#ifndef MSSQL_SIDECAR_JOB_JOB_H
#define MSSQL_SIDECAR_JOB_JOB_H

#include <stdatomic.h>

#include "common/chain/check.h"
#include "common/sql/backup.h"
#include "common/store/backups.h"
#include "sidecar/agent.h"

enum job_phase { JOB_QUEUED, JOB_TAKING, JOB_INSPECTING, JOB_SHIPPING, JOB_COMMITTING, JOB_DONE, JOB_PHASE_COUNT };

/* Read by the loop while a worker writes it. */
struct job_progress {
    atomic_int phase;
    _Atomic double percent; /* of the phase, below 0 unknown */
    atomic_ullong done_bytes, total_bytes;
};

/* What a worker needs of the policy, by value. */
struct job_options {
    bool checksum;
    unsigned stripes;
    uint32_t max_transfer_bytes, buffer_count;
    enum sql_compression compression;
    char codec[16];
    int codec_level;
    size_t record_bytes;
    int64_t progress_timeout_ms;
    bool dry_run;
};

struct job_timing { /* microseconds of each phase, for metrics and benchmarks */
    int64_t decide, take, sync, inspect, ship, commit;
};

struct job {
    struct pool_item item;
    struct agent *agent; /* a worker uses: sessions, journal, staging, pending_bytes, name_prefix, holder */
    struct database *db; /* the loop's */
    struct request_item *request; /* the loop's; NULL when nobody waits */
    void (*on_finish)(struct job *job); /* called by the loop when it is over, whatever came of it; may be NULL */
    void *finish_user;
    struct job *next; /* of a queue */
    enum lane lane;
    atomic_bool cancel;
    struct job_progress progress;

    /* before */
    char trigger[32];
    struct sql_database info;
    struct sql_server server;
    struct chain_tip tip;
    struct chain_memory memory;
    struct chain_due due;
    struct chain_rules rules;
    struct chain_hole open_hole; /* cause NONE: the chain has no hole that is open */
    struct job_options options;
    struct staging_limits limits;
    int64_t foreign_id;
    int64_t begun_at;
    int64_t begun_us; /* monotonic */
    int64_t resume_us, resume_pause_us; /* monotonic; in agent->resuming: when to ask again */
    int64_t asked_us; /* monotonic; since when it is not known what became of the run */
    bool orphan; /* a staged file without journal entry that was not asked about yet */

    /* what take or resume found */
    bool resumed;
    struct journal_entry entry;
    unsigned slot;
    bool journaled;
    bool settled; /* its incarnation was found out before: younger sets of the chain are known by now */
    uint64_t pending_bytes; /* added to agent->pending_bytes */
    bool looked; /* server_state and sizes are filled in */
    struct chain_server_state server_state;
    struct sql_sizes sizes;
    struct chain_decision decision;
    bool to_data_lane; /* a log job found that the chain needs a data backup: not in the lane of the logs */
    struct chain_verdict verdict;
    struct chain_foreign *foreign;
    size_t foreign_count;
    struct chain_restore restore; /* newest restore over it; at 0: none */
    bool compression_refused;

    uint64_t moved_bytes; /* what the watchdog saw last, and when */
    double moved_percent;
    int64_t moved_us;

    bool media_differs; /* the media reader says something else of the file than its header */
    bool drafted; /* its draft is on disk */
    bool taken; /* staged and inspected: set and manifest are good */
    bool ambiguous; /* the connection was lost during BACKUP: resume finds out */
    struct backup set;
    struct manifest manifest;
    uint64_t staged_bytes;
    struct lsn quiet_end_lsn; /* end of the log that did not move during the backup; zero unknown */

    /* store */
    struct store *store; /* lent while shipping or committing */
    bool shipped, committed;
    bool unclean; /* what it left behind could not be removed */
    bool staging_failed; /* it was staging that could not be read, not the store */
    bool lost; /* ship found that somebody removed the staged file */
    bool commit_tried; /* even when it failed, the manifest may be there */
    char manifest_name[STORE_NAME_MAX];

    enum outcome outcome;
    char reason[64];
    struct err err;
    struct job_timing timing;
};

/* ---- on a worker; each fills outcome, reason and err ---- */
void job_take(struct job *job);
void job_resume(struct job *job);
/* A staged file that the journal does not know (it was lost or damaged): adopted when it is a whole set of ours. */
void job_adopt(struct job *job);
void job_ship(struct job *job);
void job_commit(struct job *job);

/* Parts of take and resume (inspect.c): reads the header of the staged files, checks that they are this run's, fills set and
 * manifest. */
int job_inspect(struct job *job, struct sql_session *session, const struct sql_clock *clock, struct err *err) ERR_CHECK;
/* media.c: after the header was read. */
void job_media_compare(struct job *job, const char *database);
/* Paths of the staged files as SQL Server sees them; mem_free() each and the array. */
char **job_server_paths(const struct job *job);
void job_paths_free(char **paths);
/* "mssql-sidecar/<owner8>/<run id>" */
void job_backup_name(const struct job *job, char *dst, size_t dst_bytes);
/* Outcome from err: FAILED, or DEFERRED when it may pass by itself. reason is a stable word. Always leaves err as it is. */
void job_fail(struct job *job);
void job_set_outcome(struct job *job, enum outcome outcome, const char *reason, const char *text);
/* Removes the staged files and the journal entry: of a run that gave nothing, or that is committed. What cannot be removed now is removed
 * later: `unclean` says so, and job_finish() sees to it. */
void job_clean(struct job *job);
int job_clean_run(struct agent *agent, const struct journal_entry *entry, bool journaled, unsigned slot,
                  struct err *err) ERR_CHECK;

/* The list of objects is empty again: before another attempt to ship. */
void job_forget_objects(struct manifest *manifest);

struct job *job_new(struct agent *agent, struct database *db, enum lane lane, const char *trigger);
void job_free(struct job *job);

/* ---- on the loop (flow.c) ---- */
/* Begins taking. False when the worker queue is full: the job is freed, ask again later. */
bool job_start(struct job *job);
/* Staging is there: ships what was read before the restart, without asking the server. Does so once. */
void job_recover_drafts(struct agent *agent);
/* Notes what the journal knows. True when staging is to be scanned then: databases and the server are known, and it was not done yet. */
bool job_recover_begin(struct agent *agent);
/* Begins what else the journal knew, and the staged files that it did not know. Called once, with the scan. */
void job_recover_all(struct agent *agent, const struct staged_file *files, unsigned file_count);
/* One that is found out about again, in the middle of a life; the entry's incarnation is right. */
void job_recover_late(struct agent *agent, struct database *db, enum lane lane, const struct journal_entry *entry, bool journaled,
                      unsigned slot);
/* Asks again about runs whose fate is not known yet. */
void job_recover_tick(struct agent *agent);
/* Ends what somebody asked for and what cannot be begun. */
void job_refuse(struct agent *agent, struct database *db, struct request_item *item, enum lane lane, enum outcome outcome,
                const char *reason, const char *text);
/* Gives waiting jobs to the store as far as lanes are free. */
void job_ship_pending(struct agent *agent);
/* Jobs that are not finished; oldest_at (may be NULL) is the oldest staged one's begin. */
unsigned job_unshipped(const struct agent *agent, int64_t *ret_oldest_at);
bool job_any_running(const struct agent *agent);

/* All names of durable steps, for tests. */
size_t job_fault_points(const char **names, size_t max);

#endif
