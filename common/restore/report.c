/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a restore. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"

/* ---- the plan ---- */

static void drop_plan(struct restore_result *r) {
    for (size_t i = 0; i < r->member_count; i++)
        mem_free(r->members[i]);
    mem_free(r->members);
    mem_free(r->sets);
    mem_free(r->summary);
    chain_plan_done(&r->plan);
    r->plan = (struct chain_plan){0};
    r->members = NULL;
    r->member_count = 0;
    r->sets = NULL;
    r->summary = NULL;
}

static char *describe_member(const struct item *it, size_t n) {
    char finish[CLOCK_TEXT_MAX], size[32];
    const struct backup *b = &it->sets[n];
    const struct chain_member *m = &it->plan.members[n];
    str_from_bytes(size, sizeof(size), b->stored_bytes);
    return mem_printf("%s of %s, %s (%s%s)", backup_kind_name(b->kind), clock_format(finish, b->finish_at), size,
                      chain_member_why_word(m->why), m->if_needed ? ", only if needed" : "");
}

static char *describe_plan(const struct item *it) {
    char target[CHAIN_TARGET_TEXT_MAX], size[32];
    unsigned counts[BACKUP_KIND_COUNT] = {0};
    for (size_t i = 0; i < it->plan.count; i++)
        counts[it->plan.members[i].kind]++;
    str_from_bytes(size, sizeof(size), it->plan.stored_bytes);
    return mem_printf("%s to %s: %u full, %u differential, %u logs, %s to read", it->source.name,
                      chain_target_format(target, &it->engine->request.target), counts[BACKUP_FULL], counts[BACKUP_DIFF],
                      counts[BACKUP_LOG], size);
}

static void keep_plan(const struct item *it, struct restore_result *r) {
    size_t n = it->plan.count;
    drop_plan(r);
    r->plan = it->plan;
    r->plan.members = mem_array(n + 1, sizeof(*r->plan.members));
    if (n)
        memcpy(r->plan.members, it->plan.members, n * sizeof(*r->plan.members));
    r->sets = mem_array(n + 1, sizeof(*r->sets));
    r->members = mem_array(n + 1, sizeof(*r->members));
    for (size_t i = 0; i < n; i++) {
        r->sets[i] = it->sets[i].set_guid;
        r->members[i] = describe_member(it, i);
    }
    r->member_count = n;
    r->summary = describe_plan(it);
}

static void report_lines(struct item *it) {
    struct restore_result *r = it->result;
    r->warnings = it->warnings.items;
    r->warning_count = it->warnings.count;
    r->next = it->next.items;
    r->next_count = it->next.count;
    it->warnings = it->next = (struct restore_lines){0};
}

void report_plan(struct item *it) {
    struct restore_result *r = it->result;
    if (!r)
        return;
    str_copy(r->source, sizeof(r->source), it->source.name);
    str_copy(r->folder, sizeof(r->folder), it->source.folder);
    str_copy(r->target, sizeof(r->target), it->target);
    r->over = it->entry && it->entry->step >= RESTORE_EVICTED ? it->entry->over : it->guard.over;
    str_copy(r->over_text, sizeof(r->over_text), it->guard.text);
    str_copy(r->token, sizeof(r->token), it->guard.token);
    if (it->planned)
        keep_plan(it, r);
    if (it->engine->dry_run)
        report_lines(it);
}

void report_refused(struct item *it, const struct err *why) {
    if (!it->result || it->result->step != RESTORE_PLANNED)
        return;
    it->result->err = *why;
    if (!it->engine->dry_run)
        report_lines(it);
}

/* ---- the end ---- */

static int on_state(void *user, const struct sql_row *row, struct err *err) {
    struct restore_result *r = user;
    (void)err;
    sql_row_copy(row, "state_desc", r->db_state, sizeof(r->db_state));
    if (sql_row_bool(row, "is_in_standby"))
        str_copy(r->db_state, sizeof(r->db_state), "STANDBY");
    return 0;
}

/* Nobody is left with a guess: the server says how the database stands. */
static void ask_state(struct item *it) {
    struct buf text;
    struct err ignored;
    err_clear(&ignored);
    if (roll_connect(it, false, &ignored) < 0) {
        str_copy(it->result->db_state, sizeof(it->result->db_state), "unknown");
        return;
    }
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT state_desc, is_in_standby FROM sys.databases WHERE name = ");
    sql_quote_text(&text, it->target);
    str_copy(it->result->db_state, sizeof(it->result->db_state), "absent");
    if (sql_query(it->apply.session, text.data, NULL, on_state, it->result, &ignored) < 0)
        str_copy(it->result->db_state, sizeof(it->result->db_state), "unknown");
    buf_done(&text);
}

/* In single-user mode because of us, and not restored over: as it was. */
static void give_back(struct item *it) {
    struct err ignored;
    err_clear(&ignored);
    bool ours = it->evicted || (it->resumed && it->guard.evict);
    if (!ours || it->foreign || it->guard.tail || strcmp(it->result->db_state, "ONLINE") != 0)
        return;
    if (restore_tail_undo(it->apply.session, it->target, it->entry->user_access, &ignored) < 0)
        restore_lines_add(&it->warnings, "the database may still be in single-user mode: %s", ignored.text);
}

static void advise(struct item *it) {
    struct restore_result *r = it->result;
    const struct restore_env *env = it->engine->env;
    const char *id = it->engine->request.id, *resume = env->resume_command ? env->resume_command : "mssqlctl restore --resume";
    if (it->foreign) {
        restore_lines_add(&it->next,
                          "The database '%s' that is there now is left as it is. Ask for a restore anew, or under another name",
                          it->target);
        return;
    }
    if (!strcmp(r->db_state, "absent") || it->entry->step < RESTORE_EVICTED) {
        restore_lines_add(&it->next, "Nothing was changed: restore %s can be asked for anew", id);
        return;
    }
    if (strcmp(r->db_state, "RESTORING") != 0) {
        restore_lines_add(&it->next, "The database is %s. '%s %s' goes on", r->db_state, resume, id);
        return;
    }
    struct buf name;
    char at[CLOCK_TEXT_MAX];
    buf_init(&name, SQL_TEXT_MAX);
    sql_quote_name(&name, it->target);
    restore_lines_add(&it->next, "The database is RESTORING%s%s. '%s %s' goes on", r->reached_at ? ", restored up to " : "",
                      r->reached_at ? clock_format(at, r->reached_at) : "", resume, id);
    restore_lines_add(&it->next, "RESTORE DATABASE %s WITH RECOVERY; -- opens it as it is: no further backup can be applied then",
                      name.data);
    if (it->entry->over == RESTORE_OVER_NOTHING)
        restore_lines_add(&it->next, "DROP DATABASE %s; -- gives it up", name.data);
    buf_done(&name);
}

static void say_reached(struct item *it) {
    struct restore_result *r = it->result;
    if (!it->planned)
        return;
    r->reached_at = it->plan.reaches_at ? it->plan.reaches_at : r->reached_at;
    if (it->entry->short_at) {
        char at[CLOCK_TEXT_MAX], stop[CLOCK_TEXT_MAX];
        r->reached_at = it->entry->short_at;
        restore_lines_add(
            &it->warnings,
            "SQL Server did not find %s in the log: everything in the backups is restored, and they are certain to be "
            "complete up to %s only",
            clock_format(stop, it->plan.stop.at), clock_format(at, it->entry->short_at));
    }
    if (lsn_is_zero(r->reached_lsn))
        r->reached_lsn = it->plan.reaches_lsn;
}

void report_end(struct item *it, enum restore_step outcome, const struct err *why) {
    struct restore_result *r = it->result;
    r->step = outcome;
    r->phases.finished_ms = engine_ms(it->engine);
    if (why) {
        r->err = *why;
        ask_state(it);
        give_back(it);
        advise(it);
    } else {
        say_reached(it);
    }
    engine_progress(it, outcome, BACKUP_LOG, outcome == RESTORE_FINISHED ? 100 : -1, why ? why->text : NULL);
    report_lines(it);
}

void report_told(struct item *it) {
    struct restore_result *r = it->result;
    r->step = RESTORE_FINISHED;
    r->recovery_fork = it->entry->recovery_fork;
    r->database_guid = it->entry->database_guid;
    ask_state(it);
    restore_lines_add(&it->warnings, "it was finished before");
    report_lines(it);
    apply_close(&it->apply);
}

void restore_report_done(struct restore_report *report) {
    for (size_t i = 0; i < report->count; i++) {
        struct restore_result *r = &report->results[i];
        drop_plan(r);
        for (size_t k = 0; k < r->warning_count; k++)
            mem_free(r->warnings[k]);
        for (size_t k = 0; k < r->next_count; k++)
            mem_free(r->next[k]);
        mem_free(r->warnings);
        mem_free(r->next);
    }
    mem_free(report->results);
    restore_findings_done(&report->findings);
    *report = (struct restore_report){0};
}
