/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a restore: as text, or as a document. */
#include <string.h>

#include "cli/out.h"
#include "cli/restore.h"
#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/check.h"

/* ---- the document ---- */

static json_t *text_value(const char *text) {
    _cleanup_free_ char *clean = text_clean(text ? text : "");
    return json_string(clean);
}

static json_t *time_value(int64_t at) {
    char text[CLOCK_TEXT_MAX];
    return at ? json_string(clock_format(text, at)) : json_null();
}

static json_t *guid_value(const struct guid *g) {
    char text[GUID_TEXT_MAX];
    return guid_is_zero(g) ? json_null() : json_string(guid_format(text, g));
}

static json_t *lsn_value(struct lsn lsn) {
    char text[LSN_TEXT_MAX];
    return lsn_is_zero(lsn) ? json_null() : json_string(lsn_format(text, lsn));
}

static json_t *lines_value(char *const *lines, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, text_value(lines[i]));
    return list;
}

static json_t *error_value(const struct err *e) {
    if (e->class == ERR_NONE)
        return json_null();
    return json_pack("{s:s,s:i,s:o}", "class", err_class_name(e->class), "sqlNumber", e->sql_number, "message",
                     text_value(e->text));
}

static json_t *members_value(const struct restore_result *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->member_count; i++) {
        const struct chain_member *m = &r->plan.members[i];
        json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:b,s:o}", "kind", backup_kind_name(m->kind), "why",
                                              chain_member_why_word(m->why), "backupSetGuid", guid_value(&r->sets[i]), "ifNeeded",
                                              m->if_needed, "text", text_value(r->members[i])));
    }
    return list;
}

static json_t *phases_value(const struct restore_phases *p) {
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "plannedMs", (json_int_t)p->planned_ms, "firstStatementMs",
                     (json_int_t)p->first_statement_ms, "baseMs", (json_int_t)p->base_ms, "appliedMs", (json_int_t)p->applied_ms,
                     "recoveredMs", (json_int_t)p->recovered_ms, "finishedMs", (json_int_t)p->finished_ms);
}

static json_t *result_value(const struct restore_result *r) {
    json_t *v = json_object();
    char stop[CHAIN_STOP_TEXT_MAX];
    json_object_set_new(v, "source", text_value(r->source));
    json_object_set_new(v, "folder", text_value(r->folder));
    json_object_set_new(v, "database", text_value(r->target));
    json_object_set_new(v, "step", json_string(restore_step_name(r->step)));
    json_object_set_new(v, "state", text_value(r->db_state));
    json_object_set_new(v, "error", error_value(&r->err));
    json_object_set_new(v, "replaces", json_string(restore_over_name(r->over)));
    json_object_set_new(v, "replacesText", text_value(r->over_text));
    json_object_set_new(v, "token", r->token[0] ? json_string(r->token) : json_null());
    json_object_set_new(v, "stop", text_value(chain_stop_sql(stop, &r->plan.stop)));
    json_object_set_new(v, "members", members_value(r));
    json_object_set_new(v, "reachedAt", time_value(r->reached_at));
    json_object_set_new(v, "reachedLsn", lsn_value(r->reached_lsn));
    json_object_set_new(v, "recoveryFork", guid_value(&r->recovery_fork));
    json_object_set_new(v, "databaseGuid", guid_value(&r->database_guid));
    json_object_set_new(v, "setsApplied", json_integer(r->sets_applied));
    json_object_set_new(v, "fetchedBytes", json_integer((json_int_t)r->fetched_bytes));
    json_object_set_new(v, "storedBytes", json_integer((json_int_t)r->stored_bytes));
    json_object_set_new(v, "phases", phases_value(&r->phases));
    json_object_set_new(v, "warnings", lines_value(r->warnings, r->warning_count));
    json_object_set_new(v, "next", lines_value(r->next, r->next_count));
    return v;
}

static json_t *report_value(const struct restore_report *report) {
    json_t *results = json_array(), *findings = json_array();
    for (size_t i = 0; i < report->count; i++)
        json_array_append_new(results, result_value(&report->results[i]));
    for (size_t i = 0; i < report->findings.count; i++) {
        const struct restore_finding *f = &report->findings.items[i];
        json_array_append_new(findings, json_pack("{s:s,s:o,s:s,s:o,s:o}", "name", f->name, "subject", text_value(f->subject),
                                                  "state", restore_verdict_name(f->verdict), "message", text_value(f->message),
                                                  "hint", text_value(f->hint)));
    }
    return json_pack("{s:s,s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "id", report->id, "dryRun", report->dry_run, "startedAt",
                     time_value(report->started_at), "finishedAt", time_value(report->finished_at), "error",
                     error_value(&report->err), "databases", results, "checks", findings, "token",
                     report->token[0] ? json_string(report->token) : json_null());
}

/* ---- the text ---- */

static void print_findings(const struct cli *cli, const struct restore_report *report) {
    static const enum cli_color colors[] = {CLI_GOOD, CLI_WARN, CLI_WARN, CLI_BAD};
    static const char *const words[] = {"ok", "?", "WARNING", "FAILED"};
    for (size_t i = 0; i < report->findings.count; i++) {
        const struct restore_finding *f = &report->findings.items[i];
        if (f->verdict == RESTORE_CHECK_OK && !report->dry_run)
            continue;
        cli_field(cli, words[f->verdict], colors[f->verdict], "%s%s%s: %s%s%s", f->name, *f->subject ? " " : "", f->subject,
                  f->message, *f->hint ? ". " : "", f->hint);
    }
}

#define MEMBERS_SHOWN 12

static void print_plan(const struct cli *cli, const struct restore_result *r) {
    char stop[CHAIN_STOP_TEXT_MAX];
    if (r->summary)
        cli_field(cli, "  plan", CLI_PLAIN, "%s", r->summary);
    for (size_t i = 0; i < r->member_count; i++) {
        if (i == MEMBERS_SHOWN / 2 && r->member_count > MEMBERS_SHOWN) {
            size_t left_out = r->member_count - MEMBERS_SHOWN;
            cli_field(cli, "", CLI_DIM, "... %zu more ...", left_out);
            i += left_out;
        }
        cli_field(cli, "", CLI_PLAIN, "%s", r->members[i]);
    }
    if (*chain_stop_sql(stop, &r->plan.stop))
        cli_field(cli, "  stop", CLI_PLAIN, "%s", stop);
    if (r->over_text[0])
        cli_field(cli, "  replaces", r->over == RESTORE_OVER_NOTHING ? CLI_PLAIN : CLI_WARN, "%s", r->over_text);
    if (r->token[0])
        cli_field(cli, "  acknowledge", CLI_WARN, "--acknowledge-data-loss %s", r->token);
}

static void print_end(const struct cli *cli, const struct restore_result *r) {
    char at[CLOCK_TEXT_MAX], span[TEXT_MAX], size[TEXT_MAX], guid[GUID_TEXT_MAX];
    if (r->step == RESTORE_FINISHED)
        cli_field(cli, "  restored", CLI_GOOD, "to %s, %u backups, %s in %s",
                  r->reached_at ? clock_format(at, r->reached_at) : "the end", r->sets_applied,
                  text_bytes(size, r->fetched_bytes), text_span(span, r->phases.finished_ms * 1000));
    else
        cli_field(cli, r->step == RESTORE_CANCELLED ? "  CANCELLED" : "  FAILED", CLI_BAD, "%s", r->err.text);
    if (r->db_state[0])
        cli_field(cli, "  state", CLI_PLAIN, "%s", r->db_state);
    if (!guid_is_zero(&r->recovery_fork))
        cli_field(cli, "  recovery fork", CLI_PLAIN, "%s", guid_format(guid, &r->recovery_fork));
}

static void print_result(const struct cli *cli, const struct restore_report *report, const struct restore_result *r) {
    cli_say(cli, CLI_BOLD, "%s%s%s", r->source, strcmp(r->source, r->target) ? " as " : "",
            strcmp(r->source, r->target) ? r->target : "");
    if (r->step == RESTORE_PLANNED)
        print_plan(cli, r);
    else if (!report->dry_run)
        print_end(cli, r);
    for (size_t i = 0; i < r->warning_count; i++)
        cli_field(cli, "  note", CLI_WARN, "%s", r->warnings[i]);
    for (size_t i = 0; i < r->next_count; i++)
        cli_field(cli, i ? "" : "  next", CLI_PLAIN, "%s", r->next[i]);
}

static bool anything_begun(const struct restore_report *report) {
    for (size_t i = 0; i < report->count; i++)
        if (report->results[i].step != RESTORE_PLANNED)
            return true;
    return false;
}

void restore_print_token(const struct cli *cli, const char *token, size_t databases) {
    if (*token && databases > 1)
        cli_say(cli, CLI_WARN, "over all databases: --acknowledge-data-loss %s", token);
}

void restore_print(const struct cli *cli, const struct restore_report *report) {
    if (cli->output != CLI_TABLE) {
        cli_print_value(cli, report_value(report));
        return;
    }
    for (size_t i = 0; i < report->count; i++)
        print_result(cli, report, &report->results[i]);
    print_findings(cli, report);
    restore_print_token(cli, report->dry_run ? report->token : "", report->count);
    if (report->dry_run && report->err.class == ERR_NONE)
        cli_say(cli, CLI_GOOD, "nothing was changed: this was a dry run");
    else if (report->err.class != ERR_NONE && anything_begun(report))
        cli_say(cli, CLI_PLAIN, "restore %s can go on: --resume %s", report->id, report->id);
}
