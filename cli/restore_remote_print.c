/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cli/out.h"
#include "cli/restore_remote.h"
#include "cli/text.h"
#include "cli/words.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define MEMBERS_SHOWN 12

static const char *const overs[] = {"nothing", "ours", "tail", "token", "refused", "safe"};
static const char *const steps[] = {"unknown",   "planned", "checked",   "evicted",  "tail_taken", "tail_shipped",
                                    "restoring", "applied", "recovered", "finished", "failed",     "cancelled"};

static const char *word(const char *const *words, size_t count, unsigned n) {
    return n < count ? words[n] : "unknown";
}

/* ---- the document ---- */

static json_t *text_value(const char *text) {
    _cleanup_free_ char *clean = text_clean(text);
    return json_string(clean);
}

static json_t *text_or_null(const char *text) {
    return *text ? text_value(text) : json_null();
}

static json_t *time_value(int64_t at) {
    char text[CLOCK_TEXT_MAX];
    return at ? json_string(clock_format(text, at)) : json_null();
}

static json_t *lines_value(char *const *lines, size_t count) {
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, text_value(lines[i]));
    return list;
}

static json_t *error_value(const char *class, int sql_number, const char *message) {
    return *class ? json_pack("{s:o,s:i,s:o}", "class", text_value(class), "sqlNumber", sql_number, "message",
                              text_value(message))
                  : json_null();
}

static json_t *members_value(const Mssql__V1__RestoreResult *r) {
    json_t *list = json_array();
    for (size_t i = 0; i < r->n_members; i++) {
        const Mssql__V1__RestoreMember *m = r->members[i];
        json_array_append_new(list, json_pack("{s:s,s:o,s:o,s:b,s:o}", "kind", word_kind(m->kind), "why", text_value(m->why),
                                              "backupSetGuid", text_or_null(m->set_guid), "ifNeeded", m->if_needed, "text",
                                              text_value(m->text)));
    }
    return list;
}

static json_t *phases_value(const Mssql__V1__RestorePhases *p) {
    static const Mssql__V1__RestorePhases none = MSSQL__V1__RESTORE_PHASES__INIT;
    if (!p)
        p = &none;
    return json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "plannedMs", (json_int_t)p->planned_ms, "firstStatementMs",
                     (json_int_t)p->first_statement_ms, "baseMs", (json_int_t)p->base_ms, "appliedMs", (json_int_t)p->applied_ms,
                     "recoveredMs", (json_int_t)p->recovered_ms, "finishedMs", (json_int_t)p->finished_ms);
}

static json_t *result_value(const Mssql__V1__RestoreResult *r) {
    json_t *v = json_object();
    json_object_set_new(v, "source", text_value(r->source));
    json_object_set_new(v, "folder", text_value(r->folder));
    json_object_set_new(v, "database", text_value(r->database));
    json_object_set_new(v, "step", json_string(word(steps, ARRAY_LEN(steps), (unsigned)r->step)));
    json_object_set_new(v, "state", text_value(r->database_state));
    json_object_set_new(v, "error", error_value(r->error_class, r->sql_error, r->message));
    json_object_set_new(v, "replaces", json_string(word(overs, ARRAY_LEN(overs), (unsigned)r->over)));
    json_object_set_new(v, "replacesText", text_value(r->over_message));
    json_object_set_new(v, "token", text_or_null(r->token));
    json_object_set_new(v, "stop", text_value(r->stop));
    json_object_set_new(v, "members", members_value(r));
    json_object_set_new(v, "reachedAt", time_value(r->reached_at));
    json_object_set_new(v, "reachedLsn", text_or_null(r->reached_lsn));
    json_object_set_new(v, "recoveryFork", text_or_null(r->fork_guid));
    json_object_set_new(v, "databaseGuid", text_or_null(r->database_guid));
    json_object_set_new(v, "setsApplied", json_integer(r->sets_applied));
    json_object_set_new(v, "fetchedBytes", json_integer((json_int_t)r->fetched_bytes));
    json_object_set_new(v, "storedBytes", json_integer((json_int_t)r->stored_bytes));
    json_object_set_new(v, "phases", phases_value(r->phases));
    json_object_set_new(v, "warnings", lines_value(r->warnings, r->n_warnings));
    json_object_set_new(v, "next", lines_value(r->next, r->n_next));
    json_object_set_new(v, "protection", text_value(r->protection));
    json_object_set_new(v, "expiresAt", time_value(r->expires_at));
    return v;
}

static const char *check_word(Mssql__V1__CheckState state) {
    switch (state) {
    case MSSQL__V1__CHECK_STATE__CHECK_STATE_PASSED:
        return "ok";
    case MSSQL__V1__CHECK_STATE__CHECK_STATE_WARNING:
        return "warning";
    case MSSQL__V1__CHECK_STATE__CHECK_STATE_FAILED:
        return "error";
    default:
        return "unknown";
    }
}

json_t *restore_remote_json(const char *id, bool dry_run, int64_t started_at, int64_t finished_at, const char *error_class,
                            const char *message, Mssql__V1__RestoreResult *const *results, size_t result_count,
                            Mssql__V1__Check *const *checks, size_t check_count) {
    json_t *databases = json_array(), *found = json_array();
    for (size_t i = 0; i < result_count; i++)
        json_array_append_new(databases, result_value(results[i]));
    for (size_t i = 0; i < check_count; i++)
        json_array_append_new(found, json_pack("{s:o,s:o,s:s,s:o,s:o}", "name", text_value(checks[i]->name), "subject",
                                               text_value(checks[i]->subject), "state", check_word(checks[i]->state), "message",
                                               text_value(checks[i]->message), "hint", text_value(checks[i]->hint)));
    return json_pack("{s:o,s:b,s:o,s:o,s:o,s:o,s:o}", "id", text_value(id), "dryRun", dry_run, "startedAt",
                     time_value(started_at), "finishedAt", time_value(finished_at), "error", error_value(error_class, 0, message),
                     "databases", databases, "checks", found);
}

/* ---- the text ---- */

void restore_remote_print_checks(const struct cli *cli, Mssql__V1__Check *const *checks, size_t count, bool all) {
    for (size_t i = 0; i < count; i++) {
        const Mssql__V1__Check *c = checks[i];
        bool good = c->state == MSSQL__V1__CHECK_STATE__CHECK_STATE_PASSED;
        bool bad = c->state == MSSQL__V1__CHECK_STATE__CHECK_STATE_FAILED;
        if (good && !all)
            continue;
        cli_field(cli,
                  good                                                      ? "ok"
                  : bad                                                     ? "FAILED"
                  : c->state == MSSQL__V1__CHECK_STATE__CHECK_STATE_WARNING ? "WARNING"
                                                                            : "?",
                  good  ? CLI_GOOD
                  : bad ? CLI_BAD
                        : CLI_WARN,
                  "%s%s%s: %s%s%s", c->name, *c->subject ? " " : "", c->subject, c->message, *c->hint ? ". " : "", c->hint);
    }
}

static void print_plan(const struct cli *cli, const Mssql__V1__RestoreResult *r) {
    if (*r->summary)
        cli_field(cli, "  plan", CLI_PLAIN, "%s", r->summary);
    for (size_t i = 0; i < r->n_members; i++) {
        if (i == MEMBERS_SHOWN / 2 && r->n_members > MEMBERS_SHOWN) {
            size_t left_out = r->n_members - MEMBERS_SHOWN;
            cli_field(cli, "", CLI_DIM, "... %zu more ...", left_out);
            i += left_out;
        }
        cli_field(cli, "", CLI_PLAIN, "%s", r->members[i]->text);
    }
    if (*r->stop)
        cli_field(cli, "  stop", CLI_PLAIN, "%s", r->stop);
    if (*r->over_message)
        cli_field(cli, "  replaces", r->over == MSSQL__V1__RESTORE_OVER__RESTORE_OVER_NOTHING ? CLI_PLAIN : CLI_WARN, "%s",
                  r->over_message);
    if (*r->token)
        cli_field(cli, "  acknowledge", CLI_WARN, "--acknowledge-data-loss %s", r->token);
}

static void print_end(const struct cli *cli, const Mssql__V1__RestoreResult *r) {
    char at[CLOCK_TEXT_MAX], span[TEXT_MAX], size[TEXT_MAX], until[TEXT_MAX];
    bool cancelled = r->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_CANCELLED;
    if (r->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FINISHED)
        cli_field(cli, "  restored", CLI_GOOD, "to %s, %u backups, %s in %s",
                  r->reached_at ? clock_format(at, r->reached_at) : "the end", r->sets_applied,
                  text_bytes(size, r->fetched_bytes), text_span(span, r->phases ? r->phases->finished_ms * 1000 : 0));
    else
        cli_field(cli, cancelled ? "  CANCELLED" : "  FAILED", CLI_BAD, "%s", r->message);
    if (*r->database_state)
        cli_field(cli, "  state", CLI_PLAIN, "%s", r->database_state);
    if (*r->fork_guid)
        cli_field(cli, "  recovery fork", CLI_PLAIN, "%s", r->fork_guid);
    if (r->expires_at)
        cli_field(cli, "  goes", CLI_PLAIN, "at %s by itself", text_time(until, r->expires_at));
    if (*r->protection)
        cli_field(cli, "  backups", CLI_PLAIN, "%s", r->protection);
}

void restore_remote_print_result(const struct cli *cli, const Mssql__V1__RestoreResult *r) {
    bool other = *r->database && strcmp(r->source, r->database) != 0;
    cli_say(cli, CLI_BOLD, "%s%s%s", r->source, other ? " as " : "", other ? r->database : "");
    if (r->step <= MSSQL__V1__RESTORE_STEP__RESTORE_STEP_PLANNED)
        print_plan(cli, r);
    else
        print_end(cli, r);
    for (size_t i = 0; i < r->n_warnings; i++)
        cli_field(cli, "  note", CLI_WARN, "%s", r->warnings[i]);
    for (size_t i = 0; i < r->n_next; i++)
        cli_field(cli, i ? "" : "  next", CLI_PLAIN, "%s", r->next[i]);
}
