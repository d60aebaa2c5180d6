/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of trial restores. */
#include "cli/out.h"
#include "cli/text.h"
#include "cli/verify.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

static json_t *text_value(const char *text) {
    _cleanup_free_ char *clean = text_clean(text ? text : "");
    return json_string(clean);
}

static json_t *error_value(const struct err *e) {
    if (e->class == ERR_NONE)
        return json_null();
    return json_pack("{s:s,s:i,s:o}", "class", err_class_name(e->class), "sqlNumber", e->sql_number, "message",
                     text_value(e->text));
}

static json_t *probes_value(const struct trial_result *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->probe_count; i++) {
        const struct trial_probe_result *p = &r->probes[i];
        json_array_append_new(list,
                              json_pack("{s:o,s:I,s:o,s:b,s:o}", "name", text_value(p->name), "atLeast", (json_int_t)p->at_least,
                                        "value", p->asked ? json_integer((json_int_t)p->value) : json_null(), "passed", p->passed,
                                        "error", error_value(&p->err)));
    }
    return list;
}

static json_t *phases_value(const struct trial_phases *p) {
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "planMs", (json_int_t)p->plan_ms, "baseMs", (json_int_t)p->base_ms,
                     "logsMs", (json_int_t)p->logs_ms, "recoverMs", (json_int_t)p->recover_ms, "checkMs", (json_int_t)p->check_ms,
                     "probesMs", (json_int_t)p->probes_ms, "dropMs", (json_int_t)p->drop_ms, "totalMs", (json_int_t)p->total_ms);
}

json_t *verify_trial_json(const struct trial_result *r) {
    char target[CHAIN_TARGET_TEXT_MAX], at[CLOCK_TEXT_MAX], lsn[LSN_TEXT_MAX];
    json_t *v = json_object(), *warnings = json_array();
    for (size_t i = 0; i < r->warning_count; i++)
        json_array_append_new(warnings, text_value(r->warnings[i]));
    json_object_set_new(v, "database", text_value(r->database));
    json_object_set_new(v, "folder", text_value(r->folder));
    json_object_set_new(v, "verified", json_boolean(r->verified));
    json_object_set_new(v, "error", error_value(&r->err));
    json_object_set_new(v, "id", json_string(r->id));
    json_object_set_new(v, "scratch", text_value(r->scratch));
    json_object_set_new(v, "server", text_value(r->server));
    json_object_set_new(v, "to", text_value(chain_target_format(target, &r->target)));
    json_object_set_new(v, "seed", r->random ? json_integer((json_int_t)r->seed) : json_null());
    json_object_set_new(v, "reachedAt", r->reached_at ? json_string(clock_format(at, r->reached_at)) : json_null());
    json_object_set_new(v, "reachedLsn",
                        lsn_is_zero(r->reached_lsn) ? json_null() : json_string(lsn_format(lsn, r->reached_lsn)));
    json_object_set_new(v, "setsApplied", json_integer(r->sets_applied));
    json_object_set_new(v, "logsApplied", json_integer(r->logs_applied));
    json_object_set_new(v, "damagedSets", json_integer(r->damaged_sets));
    json_object_set_new(v, "plainBytes", json_integer((json_int_t)r->plain_bytes));
    json_object_set_new(v, "storedBytes", json_integer((json_int_t)r->stored_bytes));
    json_object_set_new(v, "dataBytes", json_integer((json_int_t)r->data_bytes));
    json_object_set_new(v, "dataMBPerSecond", json_real(r->data_mb_per_s));
    json_object_set_new(v, "secondsPerLog", json_real(r->seconds_per_log));
    json_object_set_new(v, "checked", json_boolean(r->checked));
    json_object_set_new(v, "checkErrors", json_integer(r->check_errors));
    json_object_set_new(v, "probes", probes_value(r));
    json_object_set_new(v, "phases", phases_value(&r->phases));
    json_object_set_new(v, "leftBehind", json_boolean(r->left_behind));
    json_object_set_new(v, "dropError", error_value(&r->drop_err));
    json_object_set_new(v, "warnings", warnings);
    return v;
}

static void print_numbers(const struct cli *cli, const struct trial_result *r) {
    char at[CLOCK_TEXT_MAX], span[TEXT_MAX], size[TEXT_MAX];
    cli_field(cli, "  restored", CLI_PLAIN, "to %s, %u backups, %s in %s",
              r->reached_at ? clock_format(at, r->reached_at) : "the end", r->sets_applied, text_bytes(size, r->plain_bytes),
              text_span(span, r->phases.total_ms * 1000));
    if (r->data_mb_per_s > 0)
        cli_field(cli, "  speed", CLI_PLAIN, "%.1f MB/s of data, %.3f s per log", r->data_mb_per_s, r->seconds_per_log);
    if (r->checked)
        cli_field(cli, "  CHECKDB", r->check_errors ? CLI_BAD : CLI_GOOD, "%u errors", r->check_errors);
    for (size_t i = 0; i < r->probe_count; i++) {
        const struct trial_probe_result *p = &r->probes[i];
        if (p->asked)
            cli_field(cli, "  probe", p->passed ? CLI_GOOD : CLI_BAD, "%s: %lld, at least %lld", p->name, (long long)p->value,
                      (long long)p->at_least);
        else
            cli_field(cli, "  probe", CLI_BAD, "%s: %s", p->name, p->err.text);
    }
}

static void print_target(const struct cli *cli, const struct chain_target *target, bool random, uint64_t seed) {
    char text[CHAIN_TARGET_TEXT_MAX];
    chain_target_format(text, target);
    if (random)
        cli_field(cli, "  to", CLI_PLAIN, "%s, by chance: again with --to random:%llu", text, (unsigned long long)seed);
    else
        cli_field(cli, "  to", CLI_PLAIN, "%s", text);
}

void verify_print_trial(const struct cli *cli, const struct trial_result *r) {
    cli_say(cli, CLI_BOLD, "%s", r->database);
    print_target(cli, &r->target, r->random, r->seed);
    if (r->sets_applied)
        print_numbers(cli, r);
    cli_field(cli, r->verified ? "  verified" : "  NOT VERIFIED", r->verified ? CLI_GOOD : CLI_BAD, "%s",
              r->verified ? r->scratch : r->err.text);
    if (r->drop_err.class != ERR_NONE)
        cli_field(cli, "  left behind", CLI_BAD, "%s: %s", r->left_behind ? r->scratch : "its journal", r->drop_err.text);
}

/* ---- --verify-only ---- */

json_t *verify_sets_json(const struct trial_sets *s, const struct err *why) {
    char target[CHAIN_TARGET_TEXT_MAX], at[CLOCK_TEXT_MAX], guid[GUID_TEXT_MAX];
    json_t *list = json_array(), *v = json_object();
    for (size_t i = 0; i < s->count; i++) {
        const struct trial_set *set = &s->items[i];
        json_array_append_new(list, json_pack("{s:s,s:s,s:s,s:I,s:I,s:o}", "kind", backup_kind_name(set->kind), "setGuid",
                                              guid_format(guid, &set->set), "finishAt", clock_format(at, set->finish_at),
                                              "plainBytes", (json_int_t)set->plain_bytes, "verifyMs", (json_int_t)set->verify_ms,
                                              "error", error_value(&set->err)));
    }
    json_object_set_new(v, "database", text_value(s->database));
    json_object_set_new(v, "folder", text_value(s->folder));
    json_object_set_new(v, "verified", json_boolean(why->class == ERR_NONE));
    json_object_set_new(v, "error", error_value(why));
    json_object_set_new(v, "to", text_value(chain_target_format(target, &s->target)));
    json_object_set_new(v, "seed", s->random ? json_integer((json_int_t)s->seed) : json_null());
    json_object_set_new(v, "planned", json_integer((json_int_t)s->planned));
    json_object_set_new(v, "bad", json_integer((json_int_t)s->bad));
    json_object_set_new(v, "sets", list);
    return v;
}

void verify_print_sets(const struct cli *cli, const struct trial_sets *s, const struct err *why) {
    char at[CLOCK_TEXT_MAX];
    cli_say(cli, CLI_BOLD, "%s", s->database);
    print_target(cli, &s->target, s->random, s->seed);
    for (size_t i = 0; i < s->count; i++)
        if (s->items[i].err.class != ERR_NONE)
            cli_field(cli, "  bad", CLI_BAD, "%s of %s: %s", backup_kind_name(s->items[i].kind),
                      clock_format(at, s->items[i].finish_at), s->items[i].err.text);
    bool good = why->class == ERR_NONE;
    cli_field(cli, good ? "  read" : "  NOT VERIFIED", good ? CLI_GOOD : CLI_BAD, "%zu of %zu backups by SQL Server%s%s",
              s->count, s->planned, good ? "" : ": ", good ? "" : why->text);
}
