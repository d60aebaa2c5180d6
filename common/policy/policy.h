/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backup policy: which databases, when, how, for how long. One schema with the field names of the custom
 * resource, whether it is the `policy:` section of the sidecar's file (YAML) or was pushed by the controller
 * (JSON). The keys, their defaults and bounds are the table in policy_keys.c; what this version does not have is
 * the table of gaps there.
 *
 *     policy_init(&p);
 *     if (policy_apply(&p, file, "policy.", node, err) < 0 || policy_finish(&p, err) < 0) ...
 *     rules = policy_for_database(&p, "db1", &scope);
 *     policy_done(&p);
 */
#ifndef MSSQL_POLICY_POLICY_H
#define MSSQL_POLICY_POLICY_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/conf/keys.h"
#include "common/conf/tree.h"
#include "common/schedule/due.h"

enum policy_mode { POLICY_NATIVE_URL, POLICY_DISK_THEN_UPLOAD, POLICY_LOCAL_PVC };
enum policy_codec { POLICY_CODEC_AUTO, POLICY_CODEC_NONE, POLICY_CODEC_GZIP, POLICY_CODEC_LZ4, POLICY_CODEC_ZSTD };
/* AUTO: SQL Server compresses only when staging runs short. */
enum policy_server_compression { POLICY_SERVER_AUTO, POLICY_SERVER_ON, POLICY_SERVER_OFF };
enum policy_healing { POLICY_HEAL_AUTO, POLICY_HEAL_ALERT };
enum policy_verify_target { POLICY_VERIFY_NONE, POLICY_VERIFY_LOCAL, POLICY_VERIFY_EPHEMERAL };
enum policy_verify_moment { POLICY_MOMENT_LATEST, POLICY_MOMENT_RANDOM };
enum policy_kind { POLICY_FULL, POLICY_DIFF, POLICY_LOG, POLICY_KIND_COUNT }; /* in the order of enum backup_kind */

/* What holds for one database: the policy's own, or those of the override that matches it. */
struct policy_rules {
    bool full_enabled, diff_enabled, log_enabled;
    char *full_schedule, *diff_schedule;
    int64_t log_interval_ms;
    int64_t log_size_bytes; /* a log backup as soon as this much log was written since the last; 0 off */
    int64_t max_quiet_ms; /* a log backup at least this often, even when nothing was committed */
    char *time_zone;
    int64_t jitter_ms;
    enum due_missed missed;
    struct conf_list blackout_texts;
    int64_t retention_days;
    int64_t keep_last, keep_daily, keep_weekly, keep_monthly, keep_yearly;
    enum policy_codec codec; /* as written; policy_codec_of() resolves AUTO */
    int64_t codec_level;
    enum policy_server_compression server_compression;
    bool checksum;
    int64_t stripes;
    int64_t max_transfer_bytes; /* 0: SQL Server's own choice */
    int64_t buffer_count; /* 0: SQL Server's own choice */

    /* Made by policy_finish() from the texts above. */
    struct cron full_cron, diff_cron;
    struct tz *tz;
    struct window blackouts[WINDOW_COUNT_MAX];
    size_t blackout_count;
};

struct policy_override {
    struct policy_rules rules; /* first: shares the offsets of the table */
    struct conf_list databases; /* names or patterns */
};

/* A query that must give at least that number in a database that was restored for a trial. */
struct policy_probe {
    char *name, *database, *query;
    int64_t at_least;
};

struct policy {
    struct policy_rules rules; /* first: shares the offsets of the table */
    bool all_databases;
    bool all_databases_given;
    struct conf_list databases; /* names or patterns; count only when all_databases is false */
    struct conf_list exclude;
    bool system_databases;
    int64_t max_concurrent;
    enum policy_mode mode;
    int64_t staging_quota_bytes; /* 0: the sidecar's own */
    enum policy_healing healing;
    int64_t heal_fulls_per_day; /* per database */
    struct conf_list heal_window_texts;
    int64_t rpo_target_ms, rto_target_ms; /* rto 0: none */
    int64_t msdb_history_days; /* 0: msdb's history is left alone */
    int64_t scrub_days; /* everything in the store is read again once in so many; 0: never */
    enum policy_verify_target verify_target;
    char *verify_schedule; /* NULL: none */
    struct conf_list verify_databases;
    enum policy_verify_moment verify_moment;
    bool verify_check_db;
    struct policy_probe *probes;
    size_t probe_count;
    struct cron verify_cron; /* made by policy_finish() of verify_schedule */
    char *paused_reason; /* not NULL: paused */
    int64_t paused_until; /* 0: until it is taken back */
    bool dry_run;

    struct policy_override *overrides;
    size_t override_count;
    struct window heal_windows[WINDOW_COUNT_MAX];
    size_t heal_window_count;
    struct conf_list warnings; /* accepted, but somebody should know: one sentence each */
};

extern const struct conf_schema policy_schema;
extern const struct conf_schema policy_override_schema;
extern const struct conf_schema policy_probe_schema;

/* Defaults. */
void policy_init(struct policy *policy);
void policy_done(struct policy *policy);
/* Sets what `map` gives; NULL gives nothing. `prefix` stands before key names in messages: "policy." or "". */
int policy_apply(struct policy *policy, const char *file, const char *prefix, const struct conf_node *map,
                 struct err *err) ERR_CHECK;
/* The overrides alone, again: each begins as the policy is now. For callers that change the policy's own rules
 * after policy_apply(). */
int policy_apply_overrides(struct policy *policy, const char *file, const char *prefix, const struct conf_node *map,
                           struct err *err) ERR_CHECK;
/* Compares values with each other, compiles schedules, zones and windows, collects warnings. Call it once
 * everything is set; may be called again after further changes. */
int policy_finish(struct policy *policy, struct err *err) ERR_CHECK;
/* All three steps. On failure nothing is left to free. ERR_CONFIG, or ERR_UNSUPPORTED for what this version does not have. */
int policy_parse_yaml(const char *name, const char *text, size_t len, struct policy *ret_policy, struct err *err) ERR_CHECK;
int policy_parse_json(const char *name, const char *text, size_t len, struct policy *ret_policy, struct err *err) ERR_CHECK;
void policy_copy(struct policy *dst, const struct policy *src);

/* Everything, defaults included; parsing it gives the same policy. */
void policy_to_yaml(const struct policy *policy, struct buf *out, unsigned indent);
void policy_to_json(const struct policy *policy, struct buf *out);
bool policy_eq(const struct policy *a, const struct policy *b);
bool policy_overrides_eq(const struct policy *a, const struct policy *b);

enum policy_scope {
    POLICY_IN,
    POLICY_OUT_EXCLUDED, /* matches excludeDatabases */
    POLICY_OUT_NOT_LISTED, /* allDatabases is false and no entry of databases matches */
    POLICY_OUT_SYSTEM, /* systemDatabases is false */
    POLICY_OUT_NEVER, /* tempdb: SQL Server cannot back it up */
};
const char *policy_scope_reason(enum policy_scope scope);
/* The rules of a database, from the first override that matches, else the policy's. Never NULL, lives as long as the policy. */
const struct policy_rules *policy_for_database(const struct policy *policy, const char *database, enum policy_scope *ret_scope);
/* The schedule entry of one kind for due_poll(). Blackouts hold back fulls and differentials, never logs. */
void policy_due_rule(const struct policy_rules *rules, enum policy_kind kind, const char *instance, const char *database,
                     struct due_rule *ret_rule);
/* With AUTO resolved: zstd, or none when SQL Server compresses by itself. */
enum policy_codec policy_codec_of(const struct policy_rules *rules);
const char *policy_codec_name(enum policy_codec codec);
/* Does verification.databases mean this one? */
bool policy_verifies(const struct policy *policy, const char *database);
bool policy_probes_eq(const struct policy *a, const struct policy *b);
/* Paused at that moment? */
bool policy_paused(const struct policy *policy, int64_t now);
/* May a healing full start now? False outside the windows of healing.window. */
bool policy_heal_allowed(const struct policy *policy, int64_t now);

#endif
