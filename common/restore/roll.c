/* SPDX-License-Identifier: Apache-2.0 */
/* The backups of one database, one RESTORE after the other, and the ways around trouble. */
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"
#include "common/restore/statement.h"
#include "common/sql/connect.h"

#define LOST_MAX 30 /* connections in a row without anything applied between */
#define RESTARTS_MAX 2
#define EVICT_TRIES 10
#define RECOVERING_LOOK_NS 200000000L

/* ---- the connection ---- */

int roll_connect(struct item *it, bool wait, struct err *err) {
    struct engine *e = it->engine;
    if (it->apply.session && sql_session_alive(it->apply.session))
        return 0;
    apply_close(&it->apply);
    if (wait) {
        struct sql_session *session;
        struct sql_connect_wait w = {.timeout_ms = it->apply.stuck_after_ms, .server_starting = true, .cancel = e->env->cancel};
        if (sql_session_open_wait(e->env->sql, &w, &session, err) < 0)
            return -1;
        sql_session_close(session);
    }
    return apply_open(&it->apply, e->env->sql, err);
}

/* ---- where it stands ---- */

static bool same_path(const char *a, const char *b) {
    _cleanup_free_ char *x = restore_path_normal(a), *y = restore_path_normal(b);
    return x && y && str_ieq(x, y);
}

/* Are the files of the database there the ones that this restore makes? Nobody else puts them there. */
static bool files_are_ours(const struct item *it, const struct restore_target *target, const struct target_db *db) {
    bool any = false;
    for (size_t i = 0; i < target->file_count; i++) {
        const struct target_file *f = &target->files[i];
        if (f->database_id != db->info.id)
            continue;
        const struct restore_file *mine = restore_file_find(it->files, it->file_count, f->file.logical);
        if (!mine || !same_path(mine->physical, f->file.physical))
            return false;
        any = true;
    }
    return any;
}

static void forget_known(struct item *it) {
    for (size_t i = 0; i < it->known_count; i++)
        mem_free(it->known[i]);
    mem_free(it->known);
    it->known = NULL;
    it->known_count = 0;
}

static bool is_known(const struct item *it, const char *logical) {
    for (size_t i = 0; i < it->known_count; i++)
        if (str_ieq(it->known[i], logical))
            return true;
    return false;
}

static void learn(struct item *it, const char *logical) {
    if (is_known(it, logical))
        return;
    it->known = mem_realloc(it->known, (it->known_count + 1) * sizeof(*it->known));
    it->known[it->known_count++] = mem_strdup(logical);
}

static enum stand judge(struct item *it, const struct restore_target *target, const struct target_db *db,
                        struct chain_resume *ret_resume) {
    *ret_resume = (struct chain_resume){0};
    it->ours_there = false;
    if (!db)
        return STAND_ABSENT;
    const struct restore_entry *entry = it->entry;
    bool by_tail = entry->step >= RESTORE_TAIL_TAKEN && entry->over == RESTORE_OVER_TAIL;
    /* In place the files are the same ones: as long as no full is restored they hold what the tail left. */
    bool begun = entry->step >= RESTORE_RESTORING && (!by_tail || entry->base_done);
    bool ours = begun && files_are_ours(it, target, db);
    if (db->info.state == SQL_DB_ONLINE)
        return db->info.standby ? STAND_STANDBY : STAND_ONLINE;
    if (db->info.state != SQL_DB_RESTORING)
        return STAND_OTHER;
    bool given_up = entry->over == RESTORE_OVER_SAFE || entry->over == RESTORE_OVER_TOKEN;
    if (!ours && !by_tail && !given_up)
        return STAND_FOREIGN;
    it->ours_there = ours;
    if (ours && !lsn_is_zero(db->redo_start_lsn)) {
        *ret_resume = (struct chain_resume){
            .on = true, .redo_lsn = db->redo_start_lsn, .redo_fork = db->redo_start_fork, .base = db->differential_base};
        forget_known(it);
        for (size_t i = 0; i < target->file_count; i++)
            if (target->files[i].database_id == db->info.id)
                learn(it, target->files[i].file.logical);
    }
    return STAND_RESTORING;
}

static int stand_now(struct item *it, enum stand *ret_stand, bool *ret_recovering, struct chain_resume *ret_resume,
                     struct err *err) {
    struct restore_target target = {0};
    if (roll_connect(it, false, err) < 0 || target_read(it->apply.session, &target, err) < 0)
        return -1;
    const struct target_db *db = target_find(&target, it->target);
    *ret_recovering = db && db->info.state == SQL_DB_RECOVERING;
    *ret_stand = judge(it, &target, db, ret_resume);
    target_done(&target);
    return 0;
}

int roll_stand(struct item *it, enum stand *ret_stand, struct chain_resume *ret_resume, struct err *err) {
    int64_t until = clock_mono_us() + it->engine->request.stuck_after_ms * 1000;
    bool recovering = false;
    while (stand_now(it, ret_stand, &recovering, ret_resume, err) == 0) {
        /* After a start of the server it is not decided yet how it stands. */
        if (!recovering || clock_mono_us() >= until || engine_cancelled(it->engine))
            return 0;
        nanosleep(&(struct timespec){.tv_nsec = RECOVERING_LOOK_NS}, NULL);
    }
    return -1;
}

/* ---- planning again ---- */

static int plan_from_start(struct item *it, struct err *err) {
    forget_known(it);
    it->applied_bytes = 0;
    return select_plan(it, NULL, err);
}

static int plan_again(struct item *it, bool from_start, struct err *err) {
    struct chain_resume resume;
    enum stand stand;
    struct err why;
    if (roll_stand(it, &stand, &resume, err) < 0)
        return -1;
    bool untouched = it->entry->step < RESTORE_RESTORING || it->entry->over == RESTORE_OVER_TOKEN;
    bool other = stand == STAND_OTHER || stand == STAND_ONLINE || stand == STAND_STANDBY;
    if (stand == STAND_FOREIGN || (other && !untouched))
        return err_set(err, ERR_CONFLICT,
                       "database '%s' is there, and it is not the one that this restore began: it is left alone", it->target);
    if (stand != STAND_RESTORING || !resume.on || from_start)
        return plan_from_start(it, err);
    err_clear(&why);
    if (select_plan(it, &resume, &why) == 0)
        return 0;
    if (why.class == ERR_CONNECT || why.class == ERR_CANCELLED || why.class == ERR_STORE) {
        err_copy(err, &why);
        return -1;
    }
    engine_log(it, "beginning again with a full backup: %s", why.text);
    return plan_from_start(it, err);
}

/* ---- one backup ---- */

struct trouble {
    enum apply_trouble kind;
    bool bad; /* the backup itself */
    struct guid set;
};

/* Of the files that come with this backup, those that are new to the database. */
static struct restore_move *new_moves(const struct item *it, const struct manifest *m, size_t *ret_count) {
    struct restore_move *moves = mem_array(m->file_count + 1, sizeof(*moves));
    size_t count = 0;
    for (size_t i = 0; i < m->file_count; i++) {
        const struct restore_file *f = restore_file_find(it->files, it->file_count, m->files[i].logical_name);
        if (f && !is_known(it, f->logical))
            moves[count++] = (struct restore_move){f->logical, f->physical};
    }
    *ret_count = count;
    return moves;
}

static int statement_of(const struct item *it, size_t n, const struct restore_staged *staged, const struct restore_move *moves,
                        size_t move_count, struct buf *out, struct err *err) {
    const struct backup *set = &it->sets[n];
    char stop[CHAIN_STOP_TEXT_MAX] = "";
    struct restore_devices devices = {
        .paths = staged->paths,
        .count = staged->path_count,
        .position = set->position,
        .checksum = backup_has(set, BACKUP_CHECKSUMS),
    };
    if (set->kind == BACKUP_LOG) {
        if (it->plan.members[n].stop)
            chain_stop_sql(stop, &it->plan.stop);
        struct restore_log_text log = {it->target, devices, stop, moves, move_count};
        return restore_text_log(&log, out, err);
    }
    bool over = set->kind == BACKUP_FULL && (it->entry->replace || it->ours_there);
    struct restore_data_text data = {it->target, devices, moves, move_count, over};
    return restore_text_data(&data, out, err);
}

/* Before the first statement: that there will be a database of ours. */
static void edit_begin(struct item *it) {
    struct restore_entry *entry = it->entry;
    char stop[CHAIN_STOP_TEXT_MAX];
    for (size_t i = 0; i < entry->file_count; i++) {
        mem_free(entry->files[i].logical);
        mem_free(entry->files[i].physical);
    }
    mem_free(entry->files);
    entry->files = mem_array(it->file_count + 1, sizeof(*entry->files));
    entry->file_count = it->file_count;
    for (size_t i = 0; i < it->file_count; i++)
        entry->files[i] = (struct restore_move){mem_strdup(it->files[i].logical), mem_strdup(it->files[i].physical)};
    if (it->from_start)
        entry->base = it->sets[0].set_guid;
    restore_entry_set(&entry->stop, chain_stop_sql(stop, &it->plan.stop));
}

static int note_begin(struct item *it, struct err *err) {
    item_edit(it);
    edit_begin(it);
    item_edited(it);
    return restore_journal_step(&it->engine->journal, it->entry, RESTORE_RESTORING, err);
}

static bool must_evict(const struct item *it, size_t n) {
    return it->sets[n].kind == BACKUP_FULL && it->guard.evict && !it->guard.tail && !it->ours_there;
}

static int evict(struct item *it, struct err *err) {
    struct restore_tail_request q = {.database = it->target,
                                     .run_id = "",
                                     .server_path = "",
                                     .access = it->entry->user_access,
                                     .cancel = it->engine->env->cancel,
                                     .evicted = tail_on_evicted,
                                     .user = it};
    struct restore_tail_result result;
    return restore_evict(it->apply.session, &q, &result, err);
}

/* Somebody may take the only slot of the database before the RESTORE does: both are in one batch, and are repeated. */
static int run_over(struct item *it, const char *text, enum apply_answer *ret_answer, enum apply_trouble *ret_trouble,
                    struct err *err) {
    struct buf both;
    int rc = -1;
    buf_init(&both, RESTORE_TEXT_MAX);
    restore_evict_text(it->target, &both);
    buf_puts(&both, text);
    if (sql_text_check(&both, "RESTORE DATABASE", err) == 0)
        for (unsigned i = 0; i < EVICT_TRIES; i++) {
            rc = evict(it, err);
            *ret_trouble = sql_session_alive(it->apply.session) ? APPLY_FATAL : APPLY_LOST;
            if (rc == 0)
                rc = apply_run(&it->apply, both.data, ret_answer, ret_trouble, err);
            if (rc == 0 || err->sql_number != 3101 || engine_cancelled(it->engine))
                break;
        }
    buf_done(&both);
    return rc;
}

static void count_applied(struct item *it, size_t n, const struct restore_staged *staged) {
    for (size_t i = 0; i < staged->manifest->file_count; i++)
        learn(it, staged->manifest->files[i].logical_name);
    item_edit(it);
    it->entry->base_done |= it->sets[n].kind == BACKUP_FULL;
    item_edited(it);
    it->result->sets_applied++;
    it->result->stored_bytes += staged->stored_bytes;
    it->result->reached_lsn = it->sets[n].last_lsn;
    it->result->reached_at = backup_reach_at(&it->sets[n]);
    it->applied_bytes += staged->plain_bytes;
    if (it->sets[n].kind != BACKUP_LOG)
        it->result->phases.base_ms = engine_ms(it->engine);
}

static int apply_one(struct item *it, size_t n, const struct restore_staged *staged, enum apply_answer *ret_answer,
                     struct trouble *trouble, struct err *err) {
    struct buf text;
    size_t move_count;
    struct restore_move *moves = new_moves(it, staged->manifest, &move_count);
    buf_init(&text, RESTORE_TEXT_MAX);
    int rc = statement_of(it, n, staged, moves, move_count, &text, err);
    mem_free(moves);
    it->member = (unsigned)n + 1;
    engine_progress(it, RESTORE_RESTORING, it->sets[n].kind, -1, NULL);
    if (!it->result->phases.first_statement_ms)
        it->result->phases.first_statement_ms = engine_ms(it->engine);
    if (rc == 0 && must_evict(it, n))
        rc = run_over(it, text.data, ret_answer, &trouble->kind, err);
    else if (rc == 0)
        rc = apply_run(&it->apply, text.data, ret_answer, &trouble->kind, err);
    buf_done(&text);
    if (rc < 0) {
        trouble->bad = trouble->kind == APPLY_MEDIA;
        trouble->set = it->sets[n].set_guid;
        return err_context(err, "restoring the %s backup %u of %zu", backup_kind_name(it->sets[n].kind), it->member,
                           it->plan.count);
    }
    count_applied(it, n, staged);
    return it->sets[n].kind == BACKUP_FULL ? restore_journal_note(&it->engine->journal, err) : 0;
}

/* ---- all of a plan ---- */

static void on_fetched(void *user, uint64_t bytes) {
    struct item *it = user;
    atomic_store(&it->fetched_bytes, bytes);
}

static int fetch_begin(struct item *it, struct restore_fetch **ret_fetch, struct err *err) {
    struct engine *e = it->engine;
    char stem[64];
    str_format(stem, sizeof(stem), "%u-%u", it->index + 1, ++it->plans);
    struct restore_fetch_spec spec = {
        .source = e->env->source,
        .folder = it->source.folder,
        .sets = it->sets,
        .count = it->plan.count,
        .local_dir = e->staging.local,
        .server_dir = e->staging.server,
        .stem = stem,
        .mode = e->staging.file_mode,
        .budget = &e->budget,
        .cancel = e->env->cancel,
        .progress = on_fetched,
        .user = it,
    };
    return restore_fetch_start(&spec, ret_fetch, err);
}

static int roll_members(struct item *it, struct restore_fetch *fetch, struct trouble *trouble, struct err *err) {
    enum apply_answer last = APPLY_DONE;
    bool reached = false;
    for (size_t n = 0; n < it->plan.count; n++) {
        struct restore_staged staged;
        const struct chain_member *m = &it->plan.members[n];
        if (engine_cancelled(it->engine)) {
            trouble->kind = APPLY_CANCELLED;
            return err_set(err, ERR_CANCELLED, "cancelled");
        }
        if (reached || (m->if_needed && last != APPLY_NOT_REACHED))
            continue;
        trouble->set = it->sets[n].set_guid;
        if (restore_fetch_wait(fetch, n, &staged, &trouble->bad, err) < 0) {
            trouble->kind = err->class == ERR_CANCELLED ? APPLY_CANCELLED : APPLY_FATAL;
            return -1;
        }
        /* Only now is it certain that there is a backup to begin with. */
        if (n == 0 && it->entry->step < RESTORE_RESTORING && note_begin(it, err) < 0)
            return -1;
        if (apply_one(it, n, &staged, &last, trouble, err) < 0)
            return -1;
        restore_fetch_drop(fetch, n);
        /* The dates of headers are whole seconds: the moment may be in an earlier log than they say. The server knows, and
         * behind the moment no log can be applied. */
        reached = m->stop && last == APPLY_DONE;
    }
    bool mark = it->plan.stop.kind == CHAIN_STOP_AT_MARK || it->plan.stop.kind == CHAIN_STOP_BEFORE_MARK;
    if (last == APPLY_NOT_REACHED && mark && it->engine->request.target.kind == CHAIN_TO_MARK)
        return err_set(err, ERR_CHAIN, "SQL Server did not find the mark in the log backups that should hold it");
    return 0;
}

/* After a loop of the plan was made again: the journal learns of new files before they come to be. */
static int note_plan(struct item *it, struct err *err) {
    return it->entry->step < RESTORE_RESTORING ? 0 : note_begin(it, err);
}

static int roll_once(struct item *it, struct trouble *trouble, struct err *err) {
    struct restore_fetch *fetch = NULL;
    *trouble = (struct trouble){.kind = APPLY_FATAL};
    report_plan(it);
    if (roll_connect(it, false, err) < 0) {
        trouble->kind = APPLY_LOST;
        return -1;
    }
    if (note_plan(it, err) < 0 || fetch_begin(it, &fetch, err) < 0)
        return -1;
    int rc = roll_members(it, fetch, trouble, err);
    restore_fetch_free(fetch);
    it->result->fetched_bytes += atomic_load(&it->fetched_bytes);
    atomic_store(&it->fetched_bytes, 0);
    return rc;
}

/* ---- around trouble ---- */

/* 0: plan again. */
static int around(struct item *it, const struct trouble *t, unsigned *lost, bool *ret_from_start, struct err *err) {
    *ret_from_start = false;
    if (t->bad) {
        restore_lines_add(&it->warnings, "%s; looking for another way", err->text);
        engine_log(it, "%s", err->text);
        select_avoid(it, &t->set);
        struct err why = *err;
        return restore_journal_note(&it->engine->journal, &why);
    }
    if (t->kind == APPLY_LOST && ++*lost <= LOST_MAX) {
        engine_log(it, "the connection was lost, waiting for SQL Server: %s", err->text);
        engine_progress(it, RESTORE_RESTORING, BACKUP_FULL, -1, "waiting for SQL Server");
        return roll_connect(it, true, err);
    }
    if (t->kind == APPLY_STATE && it->restarts < RESTARTS_MAX) {
        it->restarts++;
        *ret_from_start = true;
        restore_lines_add(&it->warnings, "%s; began again with a full backup", err->text);
        engine_log(it, "beginning again with a full backup: %s", err->text);
        return 0;
    }
    return -1;
}

int roll_forward(struct item *it, struct err *err) {
    bool again = !it->planned || it->resumed, from_start = false;
    unsigned lost = 0;
    for (;;) {
        struct trouble trouble;
        struct err first;
        unsigned applied = it->result->sets_applied;
        if (again && plan_again(it, from_start, err) < 0) {
            if (err->class != ERR_CONNECT || engine_cancelled(it->engine) || ++lost > LOST_MAX || roll_connect(it, true, err) < 0)
                return -1;
            continue;
        }
        if (roll_once(it, &trouble, err) == 0)
            return 0;
        if (it->result->sets_applied > applied)
            lost = 0;
        if (engine_cancelled(it->engine))
            return -1;
        first = *err;
        if (around(it, &trouble, &lost, &from_start, err) < 0)
            return -1;
        again = true;
        if (trouble.bad) { /* what was wrong must be in the final word, too */
            if (plan_again(it, false, err) < 0)
                return err_context(err, "%s. There is no other way", first.text);
            again = false;
        }
    }
}
