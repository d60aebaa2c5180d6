/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a database that is restored in place: taken, read back, shipped; before anything is destroyed. */
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"

/* Beside the folder of the restore: what lies in there is removed at every start. */
static char *local_path(const struct item *it) {
    return mem_printf("%s/%s.trn", it->engine->env->staging_local, it->entry->tail_run);
}

static char *server_path(const struct item *it) {
    return mem_printf("%s/%s.trn", it->engine->env->staging_server, it->entry->tail_run);
}

static void on_progress(void *user, double percent) {
    engine_progress(user, RESTORE_EVICTED, BACKUP_LOG, percent, NULL);
}

void tail_on_evicted(void *user, const char *who) {
    struct item *it = user;
    engine_log(it, "thrown out: %s", who);
    restore_lines_add(&it->warnings, "thrown out: %s", who);
}

static void make_request(struct item *it, const char *path, const char *only_if, struct restore_tail_request *ret_request) {
    *ret_request = (struct restore_tail_request){
        .database = it->target,
        .only_if = only_if,
        .run_id = it->entry->tail_run,
        .server_path = path,
        .damaged = it->guard.tail_damaged,
        .compression = SQL_COMPRESSION_DEFAULT,
        .access = it->entry->user_access,
        .cancel = it->engine->env->cancel,
        .progress = on_progress,
        .evicted = tail_on_evicted,
        .user = it,
    };
}

static char *only_if_judged(const struct item *it) {
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    restore_identity_only_if(it->target, &it->entry->before, true, &text);
    return buf_take(&text);
}

static void set_run(struct item *it, const char *run) {
    item_edit(it);
    restore_entry_set(&it->entry->tail_run, run);
    item_edited(it);
}

static void remove_file(const struct item *it) {
    _cleanup_free_ char *path = local_path(it);
    unlink(path);
}

/* It was tried, and was certainly not taken: the acknowledgement may cover that too. */
static int without_tail(struct item *it, const struct err *why, struct err *err) {
    struct restore_guard_view view;
    remove_file(it);
    set_run(it, NULL);
    assess_view(it, &view);
    if (restore_guard_no_tail(&view, &it->guard, it->engine->request.token, why, err) < 0)
        return -1;
    item_edit(it);
    it->entry->over = it->guard.over;
    it->entry->replace = it->guard.replace;
    item_edited(it);
    restore_lines_add(&it->warnings, "the tail of the log could not be taken, and its loss was acknowledged: %s", why->text);
    return 0;
}

int tail_take(struct item *it, struct err *err) {
    struct engine *e = it->engine;
    struct restore_tail_request q;
    struct restore_tail_result result = {0};
    struct err why;
    bool unsure = true;
    char run[RESTORE_ID_MAX + 32];
    struct guid g; /* another attempt is another set: msdb remembers the first one by its name, too */
    guid_random(&g);
    str_format(run, sizeof(run), "%s-tail-%u-%02x%02x", e->request.id, it->index + 1, g.bytes[0], g.bytes[1]);
    set_run(it, run);
    if (restore_journal_step(&e->journal, it->entry, RESTORE_EVICTED, err) < 0)
        return -1;
    engine_progress(it, RESTORE_EVICTED, BACKUP_LOG, -1, "taking the tail of the log");
    remove_file(it);
    _cleanup_free_ char *path = server_path(it);
    _cleanup_free_ char *only_if = only_if_judged(it);
    make_request(it, path, only_if, &q);
    err_clear(&why);
    if (restore_tail_take(it->apply.session, &q, &e->target.server, &result, &unsure, &why) == 0)
        return restore_journal_step(&e->journal, it->entry, RESTORE_TAIL_TAKEN, err);
    if (restore_identity_thrown(&why)) {
        it->foreign = true;
        return stand_refuse(it, STAND_FOREIGN, err);
    }
    if (unsure) {
        engine_log(it, "it is not known whether the tail was taken: %s", why.text);
        if (!sql_session_alive(it->apply.session) && roll_connect(it, true, err) < 0)
            return -1;
        return tail_settle(it, err);
    }
    if (why.class == ERR_CANCELLED) {
        remove_file(it);
        err_copy(err, &why);
        return -1;
    }
    return without_tail(it, &why, err);
}

int tail_settle(struct item *it, struct err *err) {
    struct restore_tail_request q;
    enum restore_tail_state state;
    _cleanup_free_ char *path = server_path(it);
    make_request(it, path, NULL, &q);
    if (restore_tail_find(it->apply.session, &q, &it->engine->target.server, &state, err) < 0)
        return err_hint(err, "Nothing is removed: '%s' may hold the last commits, and nothing else does", path);
    if (state == RESTORE_TAIL_FOUND)
        return restore_journal_step(&it->engine->journal, it->entry, RESTORE_TAIL_TAKEN, err);
    if (state == RESTORE_TAIL_FOUND_GONE) {
        err_set(err, ERR_DATA_LOSS,
                "the tail of the log of '%s' was to go into '%s': the database is as a tail leaves it, and the file is gone",
                it->target, path);
        return err_hint(err,
                        "The database is RESTORING. Look for the file before anything else; RESTORE DATABASE ... WITH RECOVERY "
                        "opens the database with everything in it");
    }
    remove_file(it);
    if (restore_tail_undo(it->apply.session, it->target, it->entry->user_access, err) < 0)
        return -1;
    set_run(it, NULL);
    return restore_journal_step(&it->engine->journal, it->entry, RESTORE_CHECKED, err);
}

static bool joins(const struct item *it, const struct backup *tail, struct err *why) {
    struct restore_guard_view view;
    err_clear(why);
    assess_view(it, &view);
    return restore_guard_tail_joins(&view, tail, why) == 0;
}

/* It is safe by now; but is it of use? Before, a damaged database could not be asked, and somebody may have taken a log since. */
static int check_joins(struct item *it, const struct backup *tail, struct err *err) {
    struct restore_guard_view view;
    struct err why;
    if (it->entry->over != RESTORE_OVER_TAIL || (it->loaded && joins(it, tail, &why)))
        return 0;
    if (family_load(it, err) < 0) /* as the store is now */
        return -1;
    if (joins(it, tail, &why))
        return 0;
    assess_view(it, &view);
    if (restore_guard_no_tail(&view, &it->guard, it->engine->request.token, &why, err) < 0)
        return -1;
    restore_lines_add(&it->warnings, "the tail of the log does not help, and the loss was acknowledged: %s", why.text);
    return 0;
}

/* The tail closed it: it may be replaced as it is now. An open one is looked at again. */
static void note_saved(struct item *it, const struct restore_tail *tail, const struct restore_identity *there) {
    struct restore_entry *entry = it->entry;
    item_edit(it);
    if (there->there && there->state == SQL_DB_RESTORING && restore_identity_is(&entry->before, there))
        entry->before = *there;
    entry->tail_lsn = entry->over == RESTORE_OVER_TAIL && it->guard.over != RESTORE_OVER_TOKEN ? tail->set.last_lsn
                                                                                               : (struct lsn){0};
    item_edited(it);
}

/* The next statement destroys what the tail was taken of, so all of the file must be good, and stay so: after a power loss it may be
 * shorter than SQL Server wrote it, and its header would not tell. */
static int verify(const struct item *it, const char *server, const char *local, struct err *err) {
    static const struct sql_call call = {.timeout_s = SQL_TIMEOUT_NONE};
    if (file_fsync_path(local, err) < 0)
        return -1;
    if (sql_verify(it->apply.session, &server, 1, &call, err) == 0)
        return 0;
    return err_class_transient(err->class)
               ? -1
               : err_hint(err, "The database still has it all: RESTORE DATABASE ... WITH RECOVERY opens it, and then resume");
}

int tail_ship(struct item *it, struct err *err) {
    struct engine *e = it->engine;
    struct restore_target target = {0};
    struct restore_tail tail;
    _cleanup_free_ char *local = local_path(it);
    _cleanup_free_ char *server = server_path(it);
    struct restore_identity there;
    if (target_read(it->apply.session, &target, err) < 0)
        return -1;
    if (target_resolve(it->apply.session, &target, it->target, err) < 0 ||
        restore_identity_read(it->apply.session, it->target, &there, err) < 0) {
        target_done(&target);
        return -1;
    }
    const struct target_db *now = target_find(&target, it->target), *before = target_find(&e->target, it->target);
    struct restore_tail_facts facts = {
        .restore_id = e->request.id,
        .database = it->target,
        .folder = it->source.folder,
        .run_id = it->entry->tail_run,
        .server_path = server,
        .local_path = local,
        .target = &target,
        .info = before ? &before->info
                : now  ? &now->info
                       : NULL, /* the options before it was RESTORING, where they are known */
        .program_version = e->env->program_version ? e->env->program_version : "",
    };
    engine_progress(it, RESTORE_TAIL_TAKEN, BACKUP_LOG, -1, "shipping the tail of the log");
    int rc = verify(it, server, local, err);
    if (rc == 0)
        rc = restore_tail_inspect(it->apply.session, &facts, &tail, err);
    target_done(&target);
    if (rc < 0)
        return err_context(err, "the tail of '%s', which is in '%s' and nowhere else", it->target, local);
    rc = e->env->ship_tail(e->env->user, &tail, err);
    if (rc < 0)
        (void)err_context(err, "the tail of '%s', which is in '%s' and nowhere else", it->target, local);
    else
        rc = check_joins(it, &tail.set, err);
    if (rc == 0)
        note_saved(it, &tail, &there);
    restore_tail_done(&tail);
    if (rc < 0)
        return -1;
    item_drop_history(it);
    if (restore_journal_step(&e->journal, it->entry, RESTORE_TAIL_SHIPPED, err) < 0)
        return -1;
    remove_file(it);
    return 0;
}

int tail_give_up(struct item *it, struct err *err) {
    _cleanup_free_ char *path = local_path(it);
    restore_lines_add(&it->warnings, "the tail in '%s' is no whole backup, and the database was opened again: it is judged anew",
                      path);
    engine_log(it, "the tail in '%s' is no whole backup, and the database was opened again: it is judged anew", path);
    err_clear(err);
    if (restore_tail_undo(it->apply.session, it->target, it->entry->user_access, err) < 0)
        return -1;
    set_run(it, NULL);
    return restore_journal_step(&it->engine->journal, it->entry, RESTORE_CHECKED, err);
}

int tail_reconsider(struct item *it, bool *ret_again, struct err *err) {
    struct chain_resume resume;
    enum stand stand;
    *ret_again = false;
    remove_file(it); /* of an earlier life that did not come to it */
    if (stand_look(it, &stand, &resume, err) < 0)
        return -1;
    /* Without a tail that joins its loss is acknowledged, and it is to be closed by the tail all the same. */
    bool open = stand == STAND_REOPENED || (stand == STAND_BEFORE && it->there.state == SQL_DB_ONLINE && !it->there.standby);
    it->reopened = false;
    if (!open)
        return 0;
    engine_log(it, "the database is open although its tail was taken: it is taken again");
    if (restore_tail_undo(it->apply.session, it->target, it->entry->user_access, err) < 0)
        return -1;
    *ret_again = true;
    it->guard.tail = true;
    if (it->guard.tail_damaged) { /* it can be opened: the tail closes it, and SQL Server's own guards stay on */
        it->guard.tail_damaged = false;
        it->guard.replace = false;
    }
    item_edit(it);
    it->entry->before = it->there;
    it->entry->replace = it->guard.replace;
    it->entry->tail_lsn = (struct lsn){0};
    item_edited(it);
    set_run(it, NULL);
    return restore_journal_step(&it->engine->journal, it->entry, RESTORE_CHECKED, err);
}
