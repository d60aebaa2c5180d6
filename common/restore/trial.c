/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a verdict. */
#include "common/restore/trial.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial_int.h"

struct trial {
    const struct restore_env *outer;
    const struct trial_request *request;
    struct trial_result *result;
    struct restore_env env; /* for the engine */
    struct trial_note note;
    bool noted;
    struct sql_session *session; /* before and after the engine's work */

    /* What the engine's progress tells of the time that each kind of backup took. */
    unsigned member;
    enum backup_kind kind;
    int64_t member_us;
    uint64_t member_bytes;
    int64_t data_us, logs_us;
};

static const char *const points[] = {"trial.noted", "trial.restored", "trial.checked", "trial.dropped", "trial.forgotten"};

const char *const *restore_trial_fault_points(size_t *ret_count) {
    *ret_count = ARRAY_LEN(points);
    return points;
}

void trial_result_done(struct trial_result *r) {
    for (size_t i = 0; i < r->probe_count; i++)
        mem_free(r->probes[i].name);
    for (size_t i = 0; i < r->warning_count; i++)
        mem_free(r->warnings[i]);
    mem_free(r->probes);
    mem_free(r->warnings);
    *r = (struct trial_result){0};
}

/* ---- measuring ---- */

static void end_member(struct trial *t, uint64_t applied_bytes) {
    int64_t now = clock_mono_us();
    if (t->member && t->kind == BACKUP_LOG) {
        t->logs_us += now - t->member_us;
        t->result->logs_applied++;
    } else if (t->member) {
        t->data_us += now - t->member_us;
        t->result->data_bytes += applied_bytes > t->member_bytes ? applied_bytes - t->member_bytes : 0;
    }
    t->result->plain_bytes = applied_bytes;
    t->member = 0;
}

static void on_progress(void *user, const struct restore_progress *p) {
    struct trial *t = user;
    bool restoring = p->step == RESTORE_RESTORING && p->member && !p->message;
    if (t->member && (!restoring || p->member != t->member))
        end_member(t, p->applied_bytes);
    if (restoring && !t->member) {
        t->member = p->member;
        t->kind = p->kind;
        t->member_us = clock_mono_us();
        t->member_bytes = p->applied_bytes;
    }
    if (t->outer->progress)
        t->outer->progress(t->outer->user, p);
}

static void on_log(void *user, const char *restore_id, const char *database, const char *text) {
    struct trial *t = user;
    if (t->outer->log)
        t->outer->log(t->outer->user, restore_id, database, text);
}

static void measure(struct trial *t, const struct restore_result *r) {
    const struct restore_phases *p = &r->phases;
    struct trial_phases *o = &t->result->phases;
    o->plan_ms = p->first_statement_ms ? p->first_statement_ms : p->planned_ms;
    o->base_ms = p->base_ms > p->first_statement_ms ? p->base_ms - p->first_statement_ms : 0;
    o->logs_ms = p->applied_ms > p->base_ms && p->base_ms ? p->applied_ms - p->base_ms : 0;
    o->recover_ms = p->finished_ms > p->applied_ms && p->applied_ms ? p->finished_ms - p->applied_ms : 0;
    if (t->data_us > 0)
        t->result->data_mb_per_s = (double)t->result->data_bytes / (double)t->data_us;
    if (t->result->logs_applied)
        t->result->seconds_per_log = (double)t->logs_us / 1e6 / t->result->logs_applied;
}

/* ---- before ---- */

static int count_row(void *user, const struct sql_row *row, struct err *err) {
    (void)row, (void)err;
    *(bool *)user = true;
    return 0;
}

static int is_taken(struct sql_session *session, const char *name, bool *ret_taken, struct err *err) {
    struct buf text;
    *ret_taken = false;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT database_id FROM sys.databases WHERE name = ");
    sql_quote_text(&text, name);
    int rc = sql_text_check(&text, "look for a name", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, count_row, ret_taken, err);
    buf_done(&text);
    return rc;
}

static int choose_name(struct trial *t, const char *name, struct err *err) {
    bool taken = true;
    for (unsigned i = 0; taken && i < 16; i++) {
        struct guid g;
        uint32_t number;
        guid_random(&g);
        memcpy(&number, g.bytes, sizeof(number));
        if (restore_trial_scratch(name, number, t->result->scratch, err) < 0 ||
            is_taken(t->session, t->result->scratch, &taken, err) < 0)
            return -1;
    }
    return taken ? err_set(err, ERR_EXISTS, "no free name like '%s'", t->result->scratch) : 0;
}

int trial_find(struct source *source, const char *name, struct source_database *ret_db, struct err *err) {
    struct source_list list;
    size_t *found = NULL, count = 0;
    if (source_databases(source, &list, err) < 0)
        return -1;
    int rc = source_find(&list, name, &found, &count, err);
    if (rc == 0)
        *ret_db = list.items[found[0]];
    mem_free(found);
    source_list_done(&list);
    return rc;
}

void trial_target(const struct trial_request *request, const struct source_history *history, struct chain_target *ret_target) {
    *ret_target = request->target;
    if (!request->random)
        return;
    *ret_target = (struct chain_target){.kind = CHAIN_TO_LATEST};
    if (trial_moment(history, request->seed, &ret_target->at))
        ret_target->kind = CHAIN_TO_TIME;
}

static int choose_target(struct trial *t, const struct source_database *db, struct err *err) {
    struct source_history history = {0};
    bool random = t->request->random;
    t->result->random = random;
    t->result->seed = t->request->seed;
    if (random && source_history(t->outer->source, db->folder, false, &history, err) < 0)
        return -1;
    trial_target(t->request, &history, &t->result->target);
    if (random)
        source_history_done(&history);
    return 0;
}

static void make_request(const struct trial *t, struct restore_request *r) {
    const struct trial_request *q = t->request;
    restore_request_init(r);
    str_copy(r->id, sizeof(r->id), t->result->id);
    restore_request_set(&r->scope, q->scope);
    restore_request_set(&r->data_dir, q->data_dir);
    restore_request_set(&r->log_dir, q->log_dir);
    (void)restore_request_add_wish(r, t->result->folder, t->result->scratch);
    r->target = t->result->target;
    r->stuck_after_ms = q->stuck_after_ms;
    r->requested_at = clock_wall();
}

static int begin(struct trial *t, struct err *err) {
    struct source_database db;
    if (trial_find(t->outer->source, t->request->database, &db, err) < 0)
        return -1;
    str_copy(t->result->database, sizeof(t->result->database), db.name);
    str_copy(t->result->folder, sizeof(t->result->folder), db.folder);
    if (choose_target(t, &db, err) < 0)
        return -1;
    if (sql_session_open(t->env.sql, &t->session, err) < 0)
        return err_context(err, "the instance of the trial restore");
    if (trial_server_name(t->session, t->result->server, err) < 0 || choose_name(t, db.name, err) < 0 ||
        restore_id_make(t->result->id, clock_wall(), err) < 0)
        return -1;
    str_copy(t->note.id, sizeof(t->note.id), t->result->id);
    str_copy(t->note.scratch, sizeof(t->note.scratch), t->result->scratch);
    str_copy(t->note.server, sizeof(t->note.server), t->result->server);
    trial_note_address(t->note.address, sizeof(t->note.address), t->env.sql);
    t->note.family = db.family_guid;
    t->noted = true;
    return trial_note_write(t->env.journal_dir, &t->note, err);
}

/* ---- the restore ---- */

static void keep_warnings(struct trial_result *r, struct restore_result *from) {
    r->warnings = from->warnings;
    r->warning_count = from->warning_count;
    from->warnings = NULL;
    from->warning_count = 0;
}

static int engine(struct trial *t, struct err *err) {
    struct restore_request request;
    struct restore_report report;
    struct trial_result *o = t->result;
    make_request(t, &request);
    int rc = restore_run(&t->env, &request, &report, err);
    restore_request_done(&request);
    if (report.count) {
        struct restore_result *r = &report.results[0];
        o->reached_at = r->reached_at;
        o->reached_lsn = r->reached_lsn;
        o->sets_applied = r->sets_applied;
        o->stored_bytes = r->stored_bytes;
        measure(t, r);
        keep_warnings(o, r);
    }
    restore_report_done(&report);
    return rc;
}

/* The journal knows which backups were gone around; that the moment was reached all the same is no proof of them. */
static int judge_damage(struct trial *t, struct err *err) {
    struct restore_journal journal;
    if (restore_journal_load(t->env.journal_dir, t->result->id, &journal, err) < 0)
        return -1;
    if (journal.count)
        t->result->damaged_sets = (unsigned)journal.entries[0].avoid_count;
    restore_journal_done(&journal);
    if (!t->result->damaged_sets)
        return 0;
    return err_set(err, ERR_CORRUPT, "%u backup%s of '%s' %s damaged or missing; the moment was reached around %s",
                   t->result->damaged_sets, t->result->damaged_sets == 1 ? "" : "s", t->result->database,
                   t->result->damaged_sets == 1 ? "is" : "are", t->result->damaged_sets == 1 ? "it" : "them");
}

static int look(struct trial *t, struct err *err) {
    if (fault_point("trial.restored", FAULT_AFTER, err) < 0)
        return -1;
    int rc = judge_damage(t, err);
    struct err also;
    err_clear(&also);
    if (t->request->check && trial_check(t->session, &t->env, t->result, &also) < 0) {
        if (rc == 0 || also.class == ERR_CORRUPT)
            err_copy(err, &also);
        rc = -1;
    }
    err_clear(&also);
    if (!sql_session_alive(t->session) || trial_probes(&t->env, t->request, t->result, &also) == 0)
        return rc;
    if (rc == 0)
        err_copy(err, &also);
    return -1;
}

/* ---- the end ---- */

static int drop(struct trial *t, struct err *err) {
    struct restore_journal journal;
    enum trial_owner owner;
    struct err why;
    err_clear(&why);
    bool any = restore_journal_load(t->env.journal_dir, t->result->id, &journal, &why) == 0;
    if (!any && why.class != ERR_NOT_FOUND) {
        t->result->left_behind = true;
        err_copy(err, &why);
        return -1;
    }
    int rc = 0;
    if (any && !sql_session_alive(t->session)) {
        sql_session_close(t->session);
        t->session = NULL;
        rc = sql_session_open(t->env.sql, &t->session, err);
    }
    if (rc == 0 && any && journal.count)
        rc = trial_drop(t->session, &t->note, &journal.entries[0], &owner, err);
    t->result->left_behind = rc < 0;
    if (any)
        restore_journal_done(&journal);
    if (rc == 0)
        rc = restore_forget(&t->env, t->result->id, err);
    return rc == 0 ? trial_note_forget(t->env.journal_dir, &t->note, err) : -1;
}

static void finish(struct trial *t) {
    int64_t begun = clock_mono_us();
    err_clear(&t->result->drop_err);
    if (t->noted && drop(t, &t->result->drop_err) == 0)
        err_clear(&t->result->drop_err);
    t->result->phases.drop_ms = (clock_mono_us() - begun) / 1000;
}

int restore_trial(const struct restore_env *env, const struct trial_request *request, struct trial_result *ret_result,
                  struct err *err) {
    struct trial t = {.outer = env, .request = request, .result = ret_result, .env = *env, .note = {.lock_fd = -1}};
    int64_t begun = clock_mono_us();
    *ret_result = (struct trial_result){0};
    t.env.ship_tail = NULL;
    t.env.progress = on_progress;
    t.env.log = on_log;
    t.env.user = &t;
    err_clear(&ret_result->err);
    int rc = begin(&t, &ret_result->err);
    if (rc == 0)
        rc = engine(&t, &ret_result->err);
    if (rc == 0)
        rc = look(&t, &ret_result->err);
    finish(&t);
    sql_session_close(t.session);
    trial_note_release(&t.note);
    ret_result->phases.total_ms = (clock_mono_us() - begun) / 1000;
    ret_result->verified = rc == 0;
    if (rc == 0 && ret_result->drop_err.class == ERR_NONE)
        return 0;
    err_copy(err, rc < 0 ? &ret_result->err : &ret_result->drop_err);
    return -1;
}
