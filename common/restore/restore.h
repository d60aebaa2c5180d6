/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The restore engine: from a source (source.h) into an instance (target.h), several databases at once, each a state
 * machine of its own whose steps are durable in a journal (journal.h).
 *
 *     restore_prepare()   reads, plans, places, checks and guards; changes nothing: that is the dry run
 *     restore_run()       the same, then does it
 *     restore_resume()    goes on with what the journal of an earlier process says
 *
 * All of it blocks: call from a worker. Callbacks come from the engine's threads, one at a time.
 */
#ifndef MSSQL_RESTORE_RESTORE_H
#define MSSQL_RESTORE_RESTORE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/chain/history.h"
#include "common/restore/request.h"
#include "common/restore/source.h"
#include "common/sql/database.h"
#include "common/sql/session.h"
#include "common/store/manifest.h"

/* Order is the order of steps; stored by word. */
enum restore_step {
    RESTORE_PLANNED, /* nothing was changed */
    RESTORE_CHECKED, /* ditto; everything that can be known before is good */
    RESTORE_EVICTED, /* in place: its sessions are about to be, or were, thrown out */
    RESTORE_TAIL_TAKEN, /* in place: the database is RESTORING, its last log is a staged file */
    RESTORE_TAIL_SHIPPED, /* and committed in the store */
    RESTORE_RESTORING, /* RESTORE statements may have been issued: what is there is ours */
    RESTORE_APPLIED, /* the last log is applied */
    RESTORE_RECOVERED, /* or left RESTORING or in STANDBY as asked */
    RESTORE_FINISHED, /* and the after-work is done */
    RESTORE_FAILED,
    RESTORE_CANCELLED,
    RESTORE_STEP_COUNT,
};
const char *restore_step_name(enum restore_step step); /* "planned", ... */
bool restore_step_parse(const char *word, enum restore_step *ret_step);

/* ---- what is known of one database before anything is done ---- */

/* What the guard says of a database that is there already. */
enum restore_over {
    RESTORE_OVER_NOTHING, /* no database of that name */
    RESTORE_OVER_OURS, /* begun by this restore, which goes on */
    RESTORE_OVER_TAIL, /* same family: its tail is taken first, nothing is lost */
    RESTORE_OVER_TOKEN, /* something is lost: the token is needed */
    RESTORE_OVER_REFUSED, /* never (a system database, a member of an availability group) */
    RESTORE_OVER_SAFE, /* all that is in it is in the store: it is RESTORING from there; replaced as it is */
    RESTORE_OVER_COUNT,
};
/* "nothing", "ours", "tail", "token", "refused", "safe". */
const char *restore_over_name(enum restore_over over);
bool restore_over_parse(const char *word, enum restore_over *ret_over);

/* One thing that was looked at. */
enum restore_verdict { RESTORE_CHECK_OK, RESTORE_CHECK_UNKNOWN, RESTORE_CHECK_WARNING, RESTORE_CHECK_ERROR };
struct restore_finding {
    char name[48]; /* stable: "space", "version", "edition", "tde", "collation", "files", "permission", ... */
    char subject[SQL_NAME_MAX]; /* database, volume or path; "" the instance */
    enum restore_verdict verdict;
    enum err_class class; /* of an error */
    char message[512];
    char hint[512]; /* what to do; "" none */
};
struct restore_findings {
    struct restore_finding *items;
    size_t count, cap;
};
struct restore_finding *restore_findings_add(struct restore_findings *findings, enum restore_verdict verdict, const char *name,
                                             const char *subject, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void restore_findings_done(struct restore_findings *findings);

/* ---- the world around ---- */

struct restore_progress {
    const char *restore_id;
    const char *database; /* name on the target */
    enum restore_step step;
    unsigned member, members; /* the one that is applied, from 1 */
    enum backup_kind kind;
    double percent; /* of this statement, -1 unknown */
    uint64_t fetched_bytes, applied_bytes, total_bytes; /* plain bytes of all members */
    int64_t reached_at; /* every commit up to here is restored; 0 not yet */
    const char *message; /* something worth a line; NULL none */
};

/* Gets the tail of a database that is about to be replaced to safety: durable in the store when it returns 0. */
struct restore_tail; /* tail.h: the staged file, its header and the database's manifest data */

struct restore_env {
    const struct sql_params *sql; /* the target instance; a login that may restore */
    struct source *source;
    const char *scope; /* whose backups the source has; NULL: not said */
    const char *journal_dir; /* exists */
    const char *staging_local; /* folder that we write */
    const char *staging_server; /* the same one as SQL Server sees it */
    uint64_t staging_bytes; /* the most that staged files of all databases take together; 0: free space less a reserve */
    const char *program_version; /* for manifests; NULL: "" */
    const char *resume_command; /* in front of an id, what a person types to go on; NULL: "mssqlctl restore --resume" */
    /* NULL: no tail can be taken, and what needs one is refused. */
    int (*ship_tail)(void *user, const struct restore_tail *tail, struct err *err);
    void (*progress)(void *user, const struct restore_progress *progress); /* may be NULL */
    void (*log)(void *user, const char *restore_id, const char *database, const char *text); /* may be NULL */
    const atomic_bool *cancel; /* orderly end: says what state each database is in; may be NULL */
    void *user;
};

/* ---- results ---- */

struct restore_phases { /* milliseconds on one monotonic clock, from the call */
    int64_t planned_ms, first_statement_ms, base_ms, applied_ms, recovered_ms, finished_ms;
};

struct restore_result {
    char source[SQL_NAME_MAX];
    char folder[NAME_FOLDER_MAX];
    char target[SQL_NAME_MAX];
    enum restore_step step; /* FINISHED, FAILED, CANCELLED; PLANNED in a dry run */
    struct err err; /* of FAILED and CANCELLED */
    char *summary; /* the plan in a sentence */
    char **members; /* one line per member of the plan */
    size_t member_count;
    struct chain_plan plan; /* as last made */
    struct guid *sets; /* of the members, in order */
    enum restore_over over;
    char over_text[1024];
    char token[RESTORE_TOKEN_MAX];
    char db_state[32]; /* "ONLINE", "RESTORING", "STANDBY", "absent": asked at the end */
    int64_t reached_at; /* the moment of the database; 0 unknown */
    struct lsn reached_lsn; /* end of the last applied set */
    struct guid recovery_fork, database_guid; /* new ones */
    unsigned sets_applied;
    uint64_t fetched_bytes, stored_bytes;
    struct restore_phases phases;
    char **warnings;
    size_t warning_count;
    char **next; /* what to do now: statements, advice */
    size_t next_count;
};

struct restore_report {
    char id[RESTORE_ID_MAX];
    bool dry_run;
    struct restore_result *results;
    size_t count;
    struct restore_findings findings;
    char token[RESTORE_TOKEN_MAX]; /* acknowledges the loss of every database that needs it; "" none does */
    int64_t started_at, finished_at;
    struct err err; /* the first failure; ERR_NONE: all is well */
    struct err guard; /* dry run: a loss that the request's token does not acknowledge; ERR_NONE: the guard lets it through */
};
void restore_report_done(struct restore_report *report);

/* The dry run. The report is filled also when something is refused: report->err says so and -1 is returned. */
int restore_prepare(const struct restore_env *env, const struct restore_request *request, struct restore_report *ret_report,
                    struct err *err) ERR_CHECK;
/* -1 when any database failed or was cancelled; the report says which and how it stands. Once anything was changed the journal
 * stays until restore_forget(), also after success: a caller that dies before it has the report asks again with
 * restore_resume(). When everything was refused before anything was changed there is none. */
int restore_run(const struct restore_env *env, const struct restore_request *request, struct restore_report *ret_report,
                struct err *err) ERR_CHECK;
/* Goes on; of what is finished it only tells again. ERR_NOT_FOUND without a journal of this id. */
int restore_resume(const struct restore_env *env, const char *id, struct restore_report *ret_report, struct err *err) ERR_CHECK;

/* Nobody will resume it. Its staged files go, too; databases stay as they are. A missing journal is success. */
int restore_forget(const struct restore_env *env, const char *id, struct err *err) ERR_CHECK;

/* Fault points of the engine's durable steps, for tests that make each of them fail. */
const char *const *restore_fault_points(size_t *ret_count);

#endif
