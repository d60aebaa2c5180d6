/* SPDX-License-Identifier: Apache-2.0 */
#include "common/policy/policy.h"

#include <stddef.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/policy/policy_int.h"

#define OVERRIDES_MAX 200

_Static_assert(offsetof(struct policy, rules) == 0 && offsetof(struct policy_override, rules) == 0, "the tables share offsets");

void policy_init(struct policy *policy) {
    *policy = (struct policy){0};
    conf_keys_defaults(&policy_schema, policy);
}

static void override_done(struct policy_override *o) {
    conf_keys_done(&policy_override_schema, o);
    tz_free(o->rules.tz);
    o->rules.tz = NULL;
}

static void overrides_done(struct policy *policy) {
    for (size_t i = 0; i < policy->override_count; i++)
        override_done(&policy->overrides[i]);
    mem_free(policy->overrides);
    policy->overrides = NULL;
    policy->override_count = 0;
}

void policy_done(struct policy *policy) {
    overrides_done(policy);
    policy_probes_done(policy);
    conf_keys_done(&policy_schema, policy);
    tz_free(policy->rules.tz);
    conf_list_done(&policy->warnings);
    *policy = (struct policy){0};
}

/* The rules of an override begin as the policy's. */
static void rules_inherit(struct policy_override *dst, const struct policy *src) {
    struct policy_override from = {.rules = src->rules};
    conf_keys_copy(&policy_override_schema, dst, &from);
}

static int apply_override(struct policy *policy, const char *file, const char *prefix, const struct conf_node *node,
                          struct err *err) {
    struct policy_override *o = &policy->overrides[policy->override_count++];
    char where[128];
    (void)str_format(where, sizeof(where), "%soverrides[%zu].", prefix, policy->override_count - 1);
    rules_inherit(o, policy);
    if (conf_keys_apply(&policy_override_schema, o, file, where, node, err) < 0)
        return -1;
    if (!o->databases.count) {
        (void)conf_keys_fail(err, NULL, NULL, where, "databases", "is missing, allowed: a list of names or patterns");
        return node->line ? err_context(err, "%s:%u", file, node->line) : err_context(err, "%s", file);
    }
    return 0;
}

int policy_apply_overrides(struct policy *policy, const char *file, const char *prefix, const struct conf_node *map,
                           struct err *err) {
    const struct conf_node *list = conf_child(map, "overrides");
    overrides_done(policy);
    if (!list)
        return 0;
    if (list->type != CONF_LIST || list->count > OVERRIDES_MAX)
        return conf_keys_fail(err, file, map, prefix, "overrides", "is %s, allowed: a list of at most %d maps",
                              list->type == CONF_LIST ? "too long" : conf_type_name(list->type), OVERRIDES_MAX);
    policy->overrides = mem_array(list->count, sizeof(*policy->overrides));
    for (const struct conf_node *n = list->first; n; n = n->next)
        if (apply_override(policy, file, prefix, n, err) < 0)
            return -1;
    return 0;
}

int policy_apply(struct policy *policy, const char *file, const char *prefix, const struct conf_node *map, struct err *err) {
    if (conf_keys_apply(&policy_schema, policy, file, prefix, map, err) < 0)
        return -1;
    policy->all_databases_given = conf_child(map, "allDatabases") != NULL;
    if (policy_apply_probes(policy, file, prefix, map, err) < 0)
        return -1;
    return policy_apply_overrides(policy, file, prefix, map, err);
}

static int compile_windows(const struct conf_list *texts, struct window windows[WINDOW_COUNT_MAX], size_t *ret_count,
                           struct err *err) {
    if (texts->count > WINDOW_COUNT_MAX)
        return err_set(err, ERR_CONFIG, "%zu windows, allowed: at most %d", texts->count, WINDOW_COUNT_MAX);
    for (size_t i = 0; i < texts->count; i++)
        if (window_parse(texts->items[i], &windows[i], err) < 0)
            return -1;
    *ret_count = texts->count;
    return 0;
}

static int compile_rules(struct policy_rules *r, const char *where, struct err *err) {
    struct tz *tz;
    if (!r->time_zone || !r->full_schedule || !r->diff_schedule)
        return err_set(err, ERR_CONFIG, "%s%s: is empty", where,
                       !r->time_zone       ? "timeZone"
                       : !r->full_schedule ? "fullBackup.schedule"
                                           : "differentialBackup.schedule");
    if (cron_parse(r->full_schedule, &r->full_cron, err) < 0)
        return err_context(err, "%sfullBackup.schedule", where);
    if (cron_parse(r->diff_schedule, &r->diff_cron, err) < 0)
        return err_context(err, "%sdifferentialBackup.schedule", where);
    if (compile_windows(&r->blackout_texts, r->blackouts, &r->blackout_count, err) < 0)
        return err_context(err, "%sblackoutWindows", where);
    if (window_cover_week(r->blackouts, r->blackout_count))
        return err_set(err, ERR_CONFIG, "%sblackoutWindows: leaves no minute of the week for a full backup", where);
    if (tz_load(NULL, r->time_zone, &tz, err) < 0)
        return err_context(err, "%stimeZone", where);
    tz_free(r->tz);
    r->tz = tz;
    return 0;
}

static void warn_rules(struct policy *policy, const struct policy_rules *r, const char *where) {
    struct conf_list *w = &policy->warnings;
    if (!r->full_enabled)
        conf_list_addf(w, "%sfullBackup.enabled is false: full backups are taken only on demand and to heal a chain", where);
    if (!r->log_enabled)
        conf_list_addf(w, "%slogBackup.enabled is false: nothing after the last full or differential backup is restorable",
                       where);
    if (r->log_enabled && r->log_interval_ms > policy->rpo_target_ms)
        conf_list_addf(w, "%slogBackup.interval is longer than targets.rpoTarget: the target cannot be met", where);
    if (!r->checksum)
        conf_list_addf(w, "%schecksum is false: damaged pages are backed up without a word", where);
}

int policy_finish(struct policy *policy, struct err *err) {
    conf_list_done(&policy->warnings);
    if (compile_rules(&policy->rules, "", err) < 0)
        return -1;
    if (compile_windows(&policy->heal_window_texts, policy->heal_windows, &policy->heal_window_count, err) < 0)
        return err_context(err, "healing.window");
    if (policy->verify_schedule && cron_parse(policy->verify_schedule, &policy->verify_cron, err) < 0)
        return err_context(err, "verification.schedule");
    if (policy->verify_target != POLICY_VERIFY_NONE && !policy->verify_schedule)
        return err_set(err, ERR_CONFIG, "verification.target: needs verification.schedule, such as \"0 3 * * SUN\"");
    if (policy->paused_until && !policy->paused_reason)
        return err_set(err, ERR_CONFIG, "paused.until: is given without paused.reason, allowed: both or none");
    if (!policy->all_databases && !policy->databases.count && !policy->system_databases)
        return err_set(err, ERR_CONFIG,
                       "databases: is empty with allDatabases and systemDatabases false: nothing would be backed up");
    if (policy->all_databases && policy->databases.count)
        conf_list_addf(&policy->warnings, "allDatabases is true%s and beats the list in databases: every database is backed up",
                       policy->all_databases_given ? "" : " by default");
    if (policy->msdb_history_days && policy->msdb_history_days < policy->rules.retention_days)
        conf_list_addf(&policy->warnings, "msdbHistoryDays is shorter than retentionDays: msdb forgets backups that still exist");
    warn_rules(policy, &policy->rules, "");
    for (size_t i = 0; i < policy->override_count; i++) {
        char where[64];
        (void)str_format(where, sizeof(where), "overrides[%zu].", i);
        if (compile_rules(&policy->overrides[i].rules, where, err) < 0)
            return -1;
        warn_rules(policy, &policy->overrides[i].rules, where);
    }
    return 0;
}

typedef int parse_fn(const char *name, const char *text, size_t len, struct conf_doc *ret_doc, struct err *err);

static int parse_with(parse_fn *parse, const char *name, const char *text, size_t len, struct policy *ret_policy,
                      struct err *err) {
    struct conf_doc doc;
    if (parse(name, text, len, &doc, err) < 0)
        return -1;
    struct policy policy;
    policy_init(&policy);
    int rc = policy_apply(&policy, name, "", doc.root, err);
    if (rc == 0 && (rc = policy_finish(&policy, err)) < 0)
        (void)err_context(err, "%s", name);
    conf_doc_done(&doc);
    if (rc < 0) {
        policy_done(&policy);
        return -1;
    }
    *ret_policy = policy;
    return 0;
}

int policy_parse_yaml(const char *name, const char *text, size_t len, struct policy *ret_policy, struct err *err) {
    return parse_with(conf_parse_yaml, name, text, len, ret_policy, err);
}

int policy_parse_json(const char *name, const char *text, size_t len, struct policy *ret_policy, struct err *err) {
    return parse_with(conf_parse_json, name, text, len, ret_policy, err);
}

void policy_copy(struct policy *dst, const struct policy *src) {
    *dst = (struct policy){.all_databases_given = src->all_databases_given};
    conf_keys_copy(&policy_schema, dst, src);
    dst->overrides = mem_array(src->override_count, sizeof(*dst->overrides));
    for (size_t i = 0; i < src->override_count; i++)
        conf_keys_copy(&policy_override_schema, &dst->overrides[i], &src->overrides[i]);
    dst->override_count = src->override_count;
    policy_copy_probes(dst, src);
    struct err ignored = {0};
    (void)!policy_finish(dst, &ignored); /* src was finished: the same values are good again */
}
