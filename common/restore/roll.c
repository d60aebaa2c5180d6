/* SPDX-License-Identifier: Apache-2.0 */
/* The backups of one database, one RESTORE after the other, and the ways around trouble. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"
#include "common/restore/statement.h"
#include "common/sql/connect.h"

#define LOST_MAX 30 /* connections in a row without anything applied between */
#define RESTARTS_MAX 2
#define EVICT_TRIES 10

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

/* ---- planning again ---- */

static int plan_from_start(struct item *it, struct err *err) {
    stand_forget_known(it);
    it->applied_bytes = 0;
    return select_plan(it, NULL, err);
}

/* Another store may go on with a chain that only looks like this one. */
static bool has_base(const struct item *it) {
    for (size_t i = 0; it->loaded && i < it->history.count; i++)
        if (guid_eq(&it->history.sets[i].set_guid, &it->entry->base))
            return true;
    return !it->loaded;
}

static int plan_again(struct item *it, bool from_start, struct err *err) {
    struct chain_resume resume;
    enum stand stand;
    struct err why;
    if (stand_look(it, &stand, &resume, err) < 0)
        return -1;
    it->reopened = stand == STAND_REOPENED;
    if (stand != STAND_ABSENT && stand != STAND_BEFORE && stand != STAND_RESTORING)
        return stand_refuse(it, stand, err);
    if (stand != STAND_RESTORING || !resume.on || from_start)
        return plan_from_start(it, err);
    err_clear(&why);
    if (select_plan(it, &resume, &why) == 0) {
        if (has_base(it)) {
            item_edit(it);
            it->entry->mine = it->there; /* the base may not have been noted */
            item_edited(it);
            return 0;
        }
        (void)err_set(&why, ERR_CHAIN, "the source does not have the full backup that it began with");
    }
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
        if (f && !stand_knows(it, f->logical))
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
    if (it->from_start) {
        entry->base = it->sets[0].set_guid;
        entry->base_lsn = it->sets[0].last_lsn;
        entry->base_fork = it->sets[0].last_fork;
        entry->base_done = false;
    }
    restore_entry_set(&entry->stop, chain_stop_sql(stop, &it->plan.stop));
}

static int note_begin(struct item *it, struct err *err) {
    item_edit(it);
    edit_begin(it);
    item_edited(it);
    return restore_journal_step(&it->engine->journal, it->entry, RESTORE_RESTORING, err);
}

/* Sessions can be in it. */
static bool must_evict(const struct item *it) {
    const struct restore_identity *there = &it->entry->before;
    return !it->ours_there && there->there && (there->state == SQL_DB_ONLINE || there->state == SQL_DB_EMERGENCY);
}

static int evict(struct item *it, const char *only_if, struct err *err) {
    struct restore_tail_request q = {.database = it->target,
                                     .run_id = "",
                                     .server_path = "",
                                     .only_if = only_if,
                                     .access = it->entry->user_access,
                                     .cancel = it->engine->env->cancel,
                                     .evicted = tail_on_evicted,
                                     .user = it};
    struct restore_tail_result result;
    it->evicted = true;
    return restore_evict(it->apply.session, &q, &result, err);
}

/*
 * The full: it destroys what is there, so the same batch looks whether that is what was judged. Somebody may take the only slot
 * of the database before the RESTORE does: both are in one batch, and are repeated.
 */
static int run_base(struct item *it, const char *text, enum apply_answer *ret_answer, enum apply_trouble *ret_trouble,
                    struct err *err) {
    bool over = must_evict(it);
    struct buf all, only_if;
    int rc = -1;
    buf_init(&all, RESTORE_TEXT_MAX);
    buf_init(&only_if, RESTORE_TEXT_MAX);
    restore_identity_only_if(it->target, &it->entry->before, true, &only_if);
    buf_puts(&all, only_if.data);
    if (over)
        restore_evict_text(it->target, &all);
    buf_puts(&all, text);
    if (sql_text_check(&all, "RESTORE DATABASE", err) == 0)
        for (unsigned i = 0; i < EVICT_TRIES; i++) {
            rc = over ? evict(it, only_if.data, err) : 0;
            *ret_trouble = sql_session_alive(it->apply.session) ? APPLY_FATAL : APPLY_LOST;
            if (rc == 0)
                rc = apply_run(&it->apply, all.data, ret_answer, ret_trouble, err);
            if (rc == 0 || !over || err->sql_number != 3101 || engine_cancelled(it->engine))
                break;
        }
    if (rc < 0 && restore_identity_thrown(err)) {
        it->foreign = true;
        rc = stand_refuse(it, STAND_FOREIGN, err);
    }
    buf_done(&only_if);
    buf_done(&all);
    return rc;
}

static void count_applied(struct item *it, size_t n, const struct restore_staged *staged) {
    for (size_t i = 0; i < staged->manifest->file_count; i++)
        stand_learn(it, staged->manifest->files[i].logical_name);
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

/* From here on the journal knows the database that is ours. */
static int note_data(struct item *it, struct trouble *trouble, struct err *err) {
    if (stand_after_data(it, err) < 0) {
        trouble->kind = sql_session_alive(it->apply.session) ? APPLY_FATAL : APPLY_LOST;
        return -1;
    }
    return restore_journal_note(&it->engine->journal, err);
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
    if (rc == 0 && it->sets[n].kind == BACKUP_FULL)
        rc = run_base(it, text.data, ret_answer, &trouble->kind, err);
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
    return it->sets[n].kind == BACKUP_LOG ? 0 : note_data(it, trouble, err);
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

static int begin_base(struct item *it, struct trouble *trouble, struct err *err) {
    if (stand_before_base(it, err) < 0) {
        trouble->kind = sql_session_alive(it->apply.session) ? APPLY_FATAL : APPLY_LOST;
        return -1;
    }
    return note_begin(it, err);
}

/*
 * All logs are applied and the server says that the target is not in them. For a moment that is so, too, when nothing was
 * committed at the end of the log: what the backups prove decides what is told.
 */
static int not_reached(struct item *it, size_t last, struct err *err) {
    const struct chain_target *target = &it->engine->request.target;
    const struct backup *set = &it->sets[last];
    int64_t proven = it->plan.complete_until_at;
    switch (target->kind) {
    case CHAIN_TO_MARK:
        return err_set(err, ERR_CHAIN, "SQL Server did not find the mark in the log backups that should hold it");
    case CHAIN_TO_LSN:
        /* The log up to a record ends right before it. */
        if (lsn_cmp(set->last_lsn, target->lsn) + (target->before ? 1 : 0) > 0)
            return 0;
        return err_set(err, ERR_CHAIN, "SQL Server did not find the LSN in the log backups that should hold it");
    case CHAIN_TO_TIME:
        if (backup_reach_at(set) > proven)
            proven = backup_reach_at(set);
        item_edit(it);
        it->entry->short_at = proven < it->plan.stop.at ? proven : 0;
        item_edited(it);
        return 0;
    default:
        return 0;
    }
}

static int roll_members(struct item *it, struct restore_fetch *fetch, struct trouble *trouble, struct err *err) {
    enum apply_answer last = APPLY_DONE;
    size_t at = 0;
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
        if (n == 0 && it->from_start && begin_base(it, trouble, err) < 0)
            return -1;
        if (apply_one(it, n, &staged, &last, trouble, err) < 0)
            return -1;
        at = n;
        restore_fetch_drop(fetch, n);
        /* The dates of headers are whole seconds: the moment may be in an earlier log than they say. The server knows, and
         * behind the moment no log can be applied. */
        reached = m->stop && last == APPLY_DONE;
    }
    return last == APPLY_NOT_REACHED ? not_reached(it, at, err) : 0;
}

/* After a loop of the plan was made again: the journal learns of new files before they come to be. */
static int note_plan(struct item *it, struct err *err) {
    return it->from_start ? 0 : note_begin(it, err);
}

/* A list of backups that is not up to date does not have the tail: without it "latest" would be an earlier moment. */
static int has_tail(const struct item *it, struct err *err) {
    char tail[LSN_TEXT_MAX], reached[LSN_TEXT_MAX];
    const struct restore_entry *entry = it->entry;
    if (it->engine->request.target.kind != CHAIN_TO_LATEST || entry->over != RESTORE_OVER_TAIL || lsn_is_zero(entry->tail_lsn) ||
        lsn_cmp(it->plan.reaches_lsn, entry->tail_lsn) >= 0)
        return 0;
    (void)err_set(err, ERR_STATE,
                  "the tail of '%s' was saved up to LSN %s, and the backups that can be restored end at LSN %s: the tail is not "
                  "listed yet, or it is damaged",
                  it->target, lsn_format(tail, entry->tail_lsn), lsn_format(reached, it->plan.reaches_lsn));
    return err_hint(err, "Resume when the list of backups has it");
}

static int roll_once(struct item *it, struct trouble *trouble, struct err *err) {
    struct restore_fetch *fetch = NULL;
    *trouble = (struct trouble){.kind = APPLY_FATAL};
    report_plan(it);
    if (roll_connect(it, false, err) < 0) {
        trouble->kind = APPLY_LOST;
        return -1;
    }
    if (has_tail(it, err) < 0 || note_plan(it, err) < 0 || fetch_begin(it, &fetch, err) < 0)
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
