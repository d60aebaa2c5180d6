/* SPDX-License-Identifier: Apache-2.0 */
/* One database, from wherever the journal says it is to its end. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"
#include "common/restore/statement.h"

#define TAIL_TRIES 5
#define RECOVER_TRIES 10

/* ---- the last statement ---- */

static char *undo_path(const struct item *it) {
    const char *dir = it->engine->request.standby_dir;
    bool windows = strchr(dir, '\\') != NULL;
    size_t len = strlen(dir);
    bool slash = len && (dir[len - 1] == '/' || dir[len - 1] == '\\');
    _cleanup_free_ char *name = restore_file_name(it->target);
    return mem_printf("%s%s%s-%s-%u.undo", dir, slash ? "" : windows ? "\\" : "/", name, it->engine->request.id, it->index + 1);
}

static int end_statement(struct item *it, enum apply_trouble *ret_trouble, struct err *err) {
    const struct restore_request *r = &it->engine->request;
    enum apply_answer answer;
    struct buf text;
    *ret_trouble = APPLY_FATAL;
    _cleanup_free_ char *undo = r->finish == RESTORE_FINISH_STANDBY ? undo_path(it) : NULL;
    struct restore_end_text spec = {it->target, undo, r->keep_cdc, r->keep_replication};
    buf_init(&text, RESTORE_TEXT_MAX);
    restore_identity_only_if(it->target, &it->entry->mine, false, &text);
    int rc = restore_text_end(&spec, &text, err);
    if (rc == 0)
        rc = apply_run(&it->apply, text.data, &answer, ret_trouble, err);
    buf_done(&text);
    if (rc < 0 && restore_identity_thrown(err)) {
        it->foreign = true;
        return stand_refuse(it, STAND_FOREIGN, err);
    }
    return rc < 0 ? err_context(err, undo ? "bringing '%s' into standby" : "recovering '%s'", it->target) : 0;
}

static bool has_ended(const struct item *it, enum stand stand) {
    switch (it->engine->request.finish) {
    case RESTORE_FINISH_RECOVER:
        return stand == STAND_ONLINE;
    case RESTORE_FINISH_STANDBY:
        return stand == STAND_STANDBY;
    default:
        return stand == STAND_RESTORING;
    }
}

/* A lost connection does not say whether it was done: the server does. */
static int recover(struct item *it, struct err *err) {
    struct chain_resume resume;
    enum stand stand;
    for (unsigned i = 0;; i++) {
        enum apply_trouble trouble;
        if (stand_look(it, &stand, &resume, err) < 0) {
            if (err->class != ERR_CONNECT || i >= RECOVER_TRIES || engine_cancelled(it->engine) ||
                roll_connect(it, true, err) < 0)
                return -1;
            continue;
        }
        if (has_ended(it, stand))
            break;
        if (stand != STAND_RESTORING)
            return stand_refuse(it, stand, err);
        engine_progress(it, RESTORE_APPLIED, BACKUP_LOG, -1, "recovering");
        if (end_statement(it, &trouble, err) == 0)
            break;
        if (trouble != APPLY_LOST || i >= RECOVER_TRIES || roll_connect(it, true, err) < 0)
            return -1;
    }
    it->result->phases.recovered_ms = engine_ms(it->engine);
    return restore_journal_step(&it->engine->journal, it->entry, RESTORE_RECOVERED, err);
}

/* ---- after it ---- */

static void move_lines(struct restore_lines *to, struct restore_lines *from) {
    for (size_t i = 0; i < from->count; i++)
        restore_lines_add(to, "%s", from->items[i]);
}

static int after(struct item *it, struct err *err) {
    const struct restore_request *r = &it->engine->request;
    struct restore_after done = {0};
    struct sql_call call = {.timeout_s = SQL_TIMEOUT_NONE, .cancel = it->engine->env->cancel};
    struct restore_after_request q = {
        .database = it->target,
        .manifest = it->has_last ? &it->last : NULL,
        .reapply = r->reapply_options,
        .recovered = r->finish == RESTORE_FINISH_RECOVER,
        .standby = r->finish == RESTORE_FINISH_STANDBY,
        .keep_cdc = r->keep_cdc,
        .keep_replication = r->keep_replication,
        .evicted = it->entry->over != RESTORE_OVER_NOTHING && it->entry->user_access == 0,
        .check = r->check,
        .call = &call,
    };
    engine_progress(it, RESTORE_RECOVERED, BACKUP_LOG, -1, r->check ? "checking" : NULL);
    int rc = restore_after_run(it->apply.session, &q, &done, err);
    str_copy(it->result->db_state, sizeof(it->result->db_state), done.state);
    it->result->recovery_fork = done.recovery_fork;
    it->result->database_guid = done.database_guid;
    item_edit(it);
    it->entry->recovery_fork = done.recovery_fork;
    it->entry->database_guid = done.database_guid;
    item_edited(it);
    move_lines(&it->warnings, &done.warnings);
    move_lines(&it->next, &done.next);
    restore_after_done(&done);
    return rc;
}

/* ---- step by step ---- */

static int secure_tail(struct item *it, struct err *err) {
    for (unsigned i = 0; i < TAIL_TRIES; i++) {
        bool again = false;
        if (it->guard.tail && it->entry->step < RESTORE_TAIL_TAKEN && tail_take(it, err) < 0)
            return -1;
        if (it->entry->step == RESTORE_TAIL_TAKEN && tail_ship(it, err) < 0)
            return -1;
        if (it->entry->step == RESTORE_TAIL_SHIPPED && tail_reconsider(it, &again, err) < 0)
            return -1;
        if (!again && (!it->guard.tail || it->entry->step >= RESTORE_TAIL_SHIPPED))
            return 0;
    }
    return err_set(err, ERR_STATE, "the tail of '%s' could not be had in %d attempts", it->target, TAIL_TRIES);
}

static int before_restoring(struct item *it, struct err *err) {
    bool shipped = it->entry->step >= RESTORE_TAIL_SHIPPED;
    if (secure_tail(it, err) < 0)
        return -1;
    if (shipped || it->entry->step < RESTORE_TAIL_SHIPPED)
        return 0;
    /* What it added may be what the target needs. */
    if (!it->provisional && it->engine->request.target.kind != CHAIN_TO_LATEST && it->planned)
        return 0;
    it->provisional = false;
    return select_plan(it, NULL, err);
}

/* The report of what an earlier process did needs manifest and plan, too; without them only the options are not compared. */
static void plan_for_report(struct item *it) {
    struct err ignored;
    err_clear(&ignored);
    if (!it->planned && select_plan(it, NULL, &ignored) == 0)
        report_plan(it);
}

/* A database that comes up again while its backups are fetched takes commits: its tail is taken again. */
static int all_backups(struct item *it, struct err *err) {
    for (unsigned i = 0;; i++) {
        if (it->entry->step <= RESTORE_TAIL_SHIPPED && before_restoring(it, err) < 0)
            return -1;
        it->reopened = false;
        if (roll_forward(it, err) == 0)
            return 0;
        if (!it->reopened || it->entry->step != RESTORE_TAIL_SHIPPED || i >= TAIL_TRIES || engine_cancelled(it->engine))
            return -1;
        engine_log(it, "%s", err->text);
        err_clear(err);
    }
}

/* The rest of the work is done to what this restore has made, and to nothing else of the name. */
static int still_ours(struct item *it, struct err *err) {
    struct chain_resume resume;
    enum stand stand;
    if (stand_look(it, &stand, &resume, err) < 0)
        return -1;
    return has_ended(it, stand) ? 0 : stand_refuse(it, stand, err);
}

static int steps(struct item *it, struct err *err) {
    struct engine *e = it->engine;
    if (roll_connect(it, it->resumed, err) < 0)
        return -1;
    if (it->entry->step <= RESTORE_RESTORING) {
        if (all_backups(it, err) < 0)
            return -1;
        it->result->phases.applied_ms = engine_ms(e);
        if (restore_journal_step(&e->journal, it->entry, RESTORE_APPLIED, err) < 0)
            return -1;
    }
    if (!it->planned)
        plan_for_report(it);
    if (it->entry->step == RESTORE_APPLIED && recover(it, err) < 0)
        return -1;
    if (it->resumed && still_ours(it, err) < 0)
        return -1;
    return after(it, err);
}

void execute_item(struct item *it) {
    struct engine *e = it->engine;
    struct err err, also;
    err_clear(&err);
    err_clear(&also);
    it->apply.stuck_after_ms = e->request.stuck_after_ms;
    it->apply.cancel = e->env->cancel;
    int rc = steps(it, &err);
    enum restore_step outcome = RESTORE_FINISHED;
    if (rc < 0)
        outcome = err.class == ERR_CANCELLED && engine_cancelled(e) ? RESTORE_CANCELLED : RESTORE_FAILED;
    if (restore_journal_end(&e->journal, it->entry, outcome, rc < 0 ? &err : NULL, &also) < 0) {
        engine_log(it, "%s", also.text);
        if (rc == 0) {
            outcome = RESTORE_FAILED;
            err = also;
        }
    }
    report_end(it, outcome, outcome == RESTORE_FINISHED ? NULL : &err);
    apply_close(&it->apply);
}
