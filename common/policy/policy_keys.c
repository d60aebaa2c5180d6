/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of the policy, and what of them this version does not have. */
#include <stddef.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/policy/policy_int.h"

static const char *const policy_missed_words[] = {"once", "skip", NULL};
static const char *const policy_mode_words[] = {"native_url", "disk_then_upload", "local_pvc", NULL};
const char *const policy_codec_words[] = {"auto", "none", "gzip", "lz4", "zstd", NULL};
static const char *const policy_server_words[] = {"auto", "on", "off", NULL};
static const char *const policy_healing_words[] = {"auto", "alert", NULL};
static const char *const policy_target_words[] = {"none", "local", "ephemeral", NULL};
static const char *const policy_moment_words[] = {"latest", "random", NULL};

static int policy_check_cron(const char *text, struct err *err) {
    struct cron cron;
    if (cron_parse(text, &cron, err) == 0)
        return 0;
    return err_context(err, "'%.80s' is not acceptable", text);
}

static int policy_check_zone(const char *text, struct err *err) {
    struct tz *tz;
    if (tz_load(NULL, text, &tz, err) < 0)
        return -1;
    tz_free(tz);
    return 0;
}

static int policy_check_window(const char *text, struct err *err) {
    struct window window;
    return window_parse(text, &window, err);
}

static int policy_check_transfer(const char *text, struct err *err) {
    uint64_t bytes;
    if (str_to_bytes(text, &bytes) && bytes % 65536 != 0)
        return err_set(err, ERR_CONFIG, "'%.80s' is not a multiple of 64Ki, allowed: 64Ki to 4Mi in steps of 64Ki", text);
    return 0;
}

#define RULE(field) offsetof(struct policy_rules, field)
#define AT(field) offsetof(struct policy, field)

static const struct conf_key policy_keys[] = {
    {"allDatabases", CONF_BOOL, CONF_RELOAD, AT(all_databases), "true", .doc = "back up every database, also those made later"},
    {"databases", CONF_TEXTS, CONF_RELOAD, AT(databases),
     .doc = "names or patterns (`*`, `?`) to back up when allDatabases is false"},
    {"excludeDatabases", CONF_TEXTS, CONF_RELOAD, AT(exclude),
     .doc = "names or patterns that are never backed up; beats everything else"},
    {"systemDatabases", CONF_BOOL, CONF_RELOAD, AT(system_databases), "true", .doc = "back up master, msdb and model, too"},
#include "common/policy/rules.inc"
    {"maxConcurrentBackups", CONF_INT, CONF_RELOAD, AT(max_concurrent), "2", 1, 64, .doc = "backups that run at a time"},
    {"mode", CONF_ENUM, CONF_RELOAD, AT(mode), "local_pvc", .words = policy_mode_words,
     .doc = "local_pvc: staging on the data volume, then the backup volume"},
    {"stagingQuota", CONF_BYTES, CONF_RELOAD, AT(staging_quota_bytes), "0",
     .doc = "most that backups in staging may take; 0: staging.quota of the sidecar"},
    {"healing.mode", CONF_ENUM, CONF_RELOAD, AT(healing), "auto", .words = policy_healing_words,
     .doc = "a broken chain: healed with the cheapest backup, or only reported"},
    {"healing.maxFullsPerDay", CONF_INT, CONF_RELOAD, AT(heal_fulls_per_day), "4", 0, 96,
     .doc = "full backups a day that healing may take of one database"},
    {"healing.window", CONF_TEXTS, CONF_RELOAD, AT(heal_window_texts), .check = policy_check_window,
     .allowed = "a list of windows", .doc = "healing takes fulls only inside these windows; none: at any time"},
    {"targets.rpoTarget", CONF_DURATION, CONF_RELOAD, AT(rpo_target_ms), "5m", 10000, 30 * 86400000LL,
     .doc = "how far the restorable moment may lie behind now"},
    {"targets.rtoTarget", CONF_DURATION, CONF_RELOAD, AT(rto_target_ms), "0s", 0, 30 * 86400000LL,
     .doc = "how long a restore may take, for reports; 0: none"},
    {"msdbHistoryDays", CONF_INT, CONF_RELOAD, AT(msdb_history_days), "60", 0, 36500,
     .doc = "msdb's backup history older than this is removed; 0: never"},
    {"verification.scrubDays", CONF_INT, CONF_RELOAD, AT(scrub_days), "30", 0, 3650,
     .doc = "each stored backup is read again, and its hashes are checked, once in so many days; 0: never"},
    {"verification.target", CONF_ENUM, CONF_RELOAD, AT(verify_target), "none", .words = policy_target_words,
     .doc = "trial restores by schedule; local: on this instance, which shares disks, memory and faults with the original"},
    {"verification.schedule", CONF_TEXT, CONF_RELOAD, AT(verify_schedule), .check = policy_check_cron, .allowed = "a cron line",
     .doc = "when databases are restored for a trial"},
    {"verification.databases", CONF_TEXTS, CONF_RELOAD, AT(verify_databases),
     .doc = "names or patterns of the databases to try; none: every one that is backed up, but the system's"},
    {"verification.moment", CONF_ENUM, CONF_RELOAD, AT(verify_moment), "latest", .words = policy_moment_words,
     .doc = "the moment that a trial restores to: the newest one, or one by chance"},
    {"verification.checkDB", CONF_BOOL, CONF_RELOAD, AT(verify_check_db), "true",
     .doc = "run DBCC CHECKDB on what a trial restored"},
    {"verification.probes", CONF_OWN, CONF_RELOAD, 0,
     .doc =
         "queries of trials: each entry has `name`, `database` (a name or a pattern), `query` (gives one number) and `atLeast` "
         "(1)"},
    {"paused.reason", CONF_TEXT, CONF_RELOAD, AT(paused_reason), .doc = "backups are paused, and why"},
    {"paused.until", CONF_TIME, CONF_RELOAD, AT(paused_until), .doc = "end of the pause; without it, until it is taken back"},
    {"dryRun", CONF_BOOL, CONF_RELOAD, AT(dry_run), "false", .doc = "decide and report, take no backup"},
    {"overrides", CONF_OWN, CONF_RELOAD, 0,
     .doc = "rules for some databases: each entry has `databases` (names or patterns) and the keys that differ; the first that "
            "matches holds"},
    {"instanceRef", CONF_REFUSED, 0, 0, .doc = "a policy here belongs to the sidecar it is given to, leave it out"},
    {"connection", CONF_REFUSED, 0, 0, .doc = "how to reach SQL Server is in the section sql, leave it out"},
    {"destination", CONF_REFUSED, 0, 0, .doc = "where backups go is in the section store, leave it out"},
    {"storage", CONF_REFUSED, 0, 0, .doc = "where backups go is in the sections paths and store, leave it out"},
    {"executor", CONF_REFUSED, 0, 0, .doc = "the sidecar does the work itself, leave it out"},
};

static const struct conf_key override_keys[] = {
    {"databases", CONF_TEXTS, CONF_RELOAD, offsetof(struct policy_override, databases), .doc = "names or patterns"},
#include "common/policy/rules.inc"
};

/* To have one of these, remove its row. */
static const struct conf_gap gaps[] = {
    {"mode", "native_url", "backups that SQL Server writes to a URL itself"},
    {"mode", "disk_then_upload", "object stores"},
    {"compression.codec", "gzip", "gzip"},
    {"compression.codec", "lz4", "lz4"},
    {"encryption", NULL, "encryption of backups"},
    {"verification.target", "ephemeral", "trial restores on an instance that is made for them"},
};

const struct conf_schema policy_schema = {policy_keys, ARRAY_LEN(policy_keys), gaps, ARRAY_LEN(gaps)};
const struct conf_schema policy_override_schema = {override_keys, ARRAY_LEN(override_keys), gaps, ARRAY_LEN(gaps)};
