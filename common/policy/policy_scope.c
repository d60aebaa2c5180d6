/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says about one database at one moment. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/policy/policy_int.h"

static bool matches(const struct conf_list *patterns, const char *database) {
    for (size_t i = 0; i < patterns->count; i++)
        if (str_glob(patterns->items[i], database))
            return true;
    return false;
}

static bool one_of(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (str_ieq(name, names[i]))
            return true;
    return false;
}

static enum policy_scope scope_of(const struct policy *p, const char *database) {
    static const char *const system[] = {"master", "msdb", "model"}, *const never[] = {"tempdb", "mssqlsystemresource"};
    if (one_of(database, never, ARRAY_LEN(never)))
        return POLICY_OUT_NEVER;
    if (matches(&p->exclude, database))
        return POLICY_OUT_EXCLUDED;
    if (one_of(database, system, ARRAY_LEN(system))) {
        bool named = !p->all_databases && matches(&p->databases, database);
        return p->system_databases || named ? POLICY_IN : POLICY_OUT_SYSTEM;
    }
    return p->all_databases || matches(&p->databases, database) ? POLICY_IN : POLICY_OUT_NOT_LISTED;
}

const char *policy_scope_reason(enum policy_scope scope) {
    static const char *const reasons[] = {
        [POLICY_IN] = "backed up",
        [POLICY_OUT_EXCLUDED] = "excluded by excludeDatabases",
        [POLICY_OUT_NOT_LISTED] = "not listed in databases",
        [POLICY_OUT_SYSTEM] = "a system database, and systemDatabases is false",
        [POLICY_OUT_NEVER] = "SQL Server cannot back it up",
    };
    return (unsigned)scope < ARRAY_LEN(reasons) ? reasons[scope] : "unknown";
}

const struct policy_rules *policy_for_database(const struct policy *policy, const char *database, enum policy_scope *ret_scope) {
    *ret_scope = scope_of(policy, database);
    for (size_t i = 0; i < policy->override_count; i++)
        if (matches(&policy->overrides[i].databases, database))
            return &policy->overrides[i].rules;
    return &policy->rules;
}

void policy_due_rule(const struct policy_rules *rules, enum policy_kind kind, const char *instance, const char *database,
                     struct due_rule *ret_rule) {
    static const char *const kinds[] = {"full", "diff", "log"};
    struct due_rule r = {
        .tz = rules->tz,
        .jitter_us = rules->jitter_ms * 1000,
        .missed = rules->missed,
        .blackouts = rules->blackouts,
        .blackout_count = rules->blackout_count,
        .seed = due_seed(instance, database, kinds[kind]),
    };
    if (kind == POLICY_FULL) {
        r.enabled = rules->full_enabled;
        r.cron = rules->full_cron;
        r.first_at_once = true;
    } else if (kind == POLICY_DIFF) {
        r.enabled = rules->diff_enabled;
        r.cron = rules->diff_cron;
    } else {
        r.enabled = rules->log_enabled;
        r.interval_us = rules->log_interval_ms * 1000;
        r.blackout_count = 0;
        /* a missed log backup cannot be skipped: the next one holds its log in any case, and sooner is safer */
        r.missed = DUE_MISSED_ONCE;
    }
    *ret_rule = r;
}

enum policy_codec policy_codec_of(const struct policy_rules *rules) {
    if (rules->codec != POLICY_CODEC_AUTO)
        return rules->codec;
    return rules->server_compression == POLICY_SERVER_ON ? POLICY_CODEC_NONE : POLICY_CODEC_ZSTD;
}

const char *policy_codec_name(enum policy_codec codec) {
    return policy_codec_words[codec];
}

bool policy_paused(const struct policy *policy, int64_t now) {
    return policy->paused_reason && (!policy->paused_until || now < policy->paused_until);
}

bool policy_heal_allowed(const struct policy *policy, int64_t now) {
    return !policy->heal_window_count || window_inside(policy->heal_windows, policy->heal_window_count, policy->rules.tz, now);
}
