/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A trial restore: one database is restored under a scratch name, looked at, and dropped again. It proves what no hash
 * proves: that SQL Server takes these backups and that the data in them is sound.
 *
 * What was begun is noted in `<journal_dir>/<id>.trial` before the server is touched, beside the journal of the engine. Only
 * a database that these two prove to be ours is ever dropped: by its GUIDs once they were noted, before that by its files
 * and its family. A database that somebody else made under the same name is left alone.
 */
#ifndef MSSQL_RESTORE_TRIAL_H
#define MSSQL_RESTORE_TRIAL_H

#include "common/restore/restore.h"

/* A query that gives one number in one row. */
struct trial_probe {
    const char *name;
    const char *query; /* runs in the scratch database */
    int64_t at_least;
};

struct trial_request {
    const char *scope; /* as in struct restore_request */
    const char *database; /* a name or a folder of the source */
    struct chain_target target;
    bool random; /* instead of target: a restorable moment by chance */
    uint64_t seed; /* the same seed and the same backups give the same moment */
    bool check; /* DBCC CHECKDB */
    const struct trial_probe *probes;
    size_t probe_count;
    const char *data_dir, *log_dir; /* NULL: the server's own */
    int64_t stuck_after_ms; /* 0: RESTORE_STUCK_MS_DEFAULT */
};

struct trial_probe_result {
    char *name;
    int64_t at_least;
    bool asked; /* it gave a number */
    int64_t value;
    bool passed;
    struct err err;
};

struct trial_phases { /* milliseconds that each took */
    int64_t plan_ms; /* plan and checks */
    int64_t base_ms; /* full and differential */
    int64_t logs_ms;
    int64_t recover_ms; /* and the look at the database behind it */
    int64_t check_ms, probes_ms, drop_ms, total_ms;
};

struct trial_result {
    bool verified;
    struct err err; /* why not; ERR_NONE: verified */
    char id[RESTORE_ID_MAX]; /* "": nothing was begun */
    char database[SQL_NAME_MAX];
    char folder[NAME_FOLDER_MAX];
    char scratch[SQL_NAME_MAX];
    char server[SQL_NAME_MAX]; /* @@SERVERNAME of the instance */
    struct chain_target target; /* that was asked for, or chosen */
    bool random;
    uint64_t seed;
    int64_t reached_at; /* 0 unknown */
    struct lsn reached_lsn;
    unsigned sets_applied, logs_applied;
    unsigned damaged_sets; /* gone around */
    uint64_t plain_bytes, stored_bytes;
    uint64_t data_bytes; /* of full and differential, and ... */
    double data_mb_per_s; /* ... 10^6 of them per second; 0: too little to say */
    double seconds_per_log; /* 0: no logs */
    bool checked; /* DBCC CHECKDB ran to its end */
    unsigned check_errors;
    struct trial_probe_result *probes;
    size_t probe_count;
    struct trial_phases phases;
    bool left_behind; /* the scratch database could not be dropped */
    struct err drop_err; /* why, or what else could not be removed; the next restore_trial_clean() tries again */
    char **warnings;
    size_t warning_count;
};
void trial_result_done(struct trial_result *result); /* {0} is allowed */

/*
 * env->journal_dir, staging, source and sql as for restore_run(); ship_tail is not used. 0 only when it is verified and
 * nothing was left behind; the result is filled in each case. ERR_CORRUPT: CHECKDB found damage, or a backup was damaged or
 * missing (also when the moment was reached around it); ERR_STATE: a probe was not met; ERR_SPACE before anything is fetched.
 */
int restore_trial(const struct restore_env *env, const struct trial_request *request, struct trial_result *ret_result,
                  struct err *err) ERR_CHECK;

/* One backup of a plan that SQL Server was asked about. */
struct trial_set {
    enum backup_kind kind;
    struct guid set;
    int64_t finish_at;
    uint64_t plain_bytes;
    int64_t verify_ms; /* RESTORE VERIFYONLY */
    struct err err; /* ERR_NONE: it is good; ERR_CORRUPT, ERR_NOT_FOUND, ...: this backup is not */
};
struct trial_sets {
    char database[SQL_NAME_MAX];
    char folder[NAME_FOLDER_MAX];
    struct chain_target target;
    bool random;
    uint64_t seed;
    struct trial_set *items; /* in the order of restoring; those that were come to */
    size_t count, planned, bad;
};
void trial_sets_done(struct trial_sets *sets);
/* Fetches every backup of the plan, checks its hashes, and lets SQL Server read it: RESTORE VERIFYONLY WITH CHECKSUM. Makes no
 * database and needs room for staged files only. Of the request, check, probes and directories are not used. ERR_CORRUPT when a
 * backup is not good (all are tried); other failures end it. */
int restore_trial_sets(const struct restore_env *env, const struct trial_request *request, struct trial_sets *ret_sets,
                       struct err *err) ERR_CHECK;

enum trial_cleaned {
    TRIAL_CLEANED, /* dropped */
    TRIAL_CLEANED_GONE, /* there was nothing any more */
    TRIAL_CLEANED_FOREIGN, /* another database has the name: left alone, and forgotten */
    TRIAL_CLEANED_LATER, /* not now: `why` says the reason */
    TRIAL_CLEANED_RUNS, /* another process is at it */
};
typedef void (*trial_cleaned_fn)(void *user, const char *id, const char *scratch, enum trial_cleaned what, const struct err *why);
/* What trials of processes that died left behind on this instance. fn may be NULL. Failures of single ones are told to fn. */
int restore_trial_clean(const struct restore_env *env, trial_cleaned_fn fn, void *user, struct err *err) ERR_CHECK;

/* Is it the name of a scratch database: "<name>__verify_<8 hex>"? PURE. */
bool restore_trial_is_scratch(const char *name);
/* Makes one, the name cut so that it fits. ERR_USAGE when `name` is no name. PURE. */
int restore_trial_scratch(const char *name, uint32_t number, char dst[SQL_NAME_MAX], struct err *err) ERR_CHECK;

/* Durable steps, for tests that make each of them fail. */
const char *const *restore_trial_fault_points(size_t *ret_count);

#endif
