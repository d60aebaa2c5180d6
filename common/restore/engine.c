/* SPDX-License-Identifier: Apache-2.0 */
/* All databases of one restore. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/engine_int.h"

#define LOG_TEXT_MAX 1200

/* ---- callbacks ---- */

bool engine_cancelled(const struct engine *e) {
    return e->env->cancel && atomic_load(e->env->cancel);
}

void engine_progress(struct item *it, enum restore_step step, enum backup_kind kind, double percent, const char *message) {
    struct engine *e = it->engine;
    if (!e->env->progress)
        return;
    struct restore_progress p = {
        .restore_id = e->request.id,
        .database = it->target,
        .step = step,
        .member = it->member,
        .members = it->planned ? (unsigned)it->plan.count : 0,
        .kind = kind,
        .percent = percent,
        .fetched_bytes = (it->result ? it->result->fetched_bytes : 0) + atomic_load(&it->fetched_bytes),
        .applied_bytes = it->applied_bytes,
        .total_bytes = it->total_bytes,
        .reached_at = it->result ? it->result->reached_at : 0,
        .message = message,
    };
    pthread_mutex_lock(&e->lock);
    e->env->progress(e->env->user, &p);
    pthread_mutex_unlock(&e->lock);
}

void engine_log(struct item *it, const char *fmt, ...) {
    struct engine *e = it->engine;
    char text[LOG_TEXT_MAX];
    va_list ap;
    if (!e->env->log)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    pthread_mutex_lock(&e->lock);
    e->env->log(e->env->user, e->request.id, it->target, text);
    pthread_mutex_unlock(&e->lock);
}

static void on_percent(void *user, double percent) {
    struct item *it = user;
    enum backup_kind kind = it->planned && it->member && it->member <= it->plan.count ? it->sets[it->member - 1].kind
                                                                                      : BACKUP_LOG;
    engine_progress(it, it->entry ? it->entry->step : RESTORE_PLANNED, kind, percent, NULL);
}

/* ---- life ---- */

static void engine_open(struct engine *e, const struct restore_env *env, const struct restore_request *request,
                        struct restore_report *report) {
    *e = (struct engine){.env = env, .begun_us = clock_mono_us(), .report = report};
    *report = (struct restore_report){.started_at = clock_wall()};
    restore_request_copy(&e->request, request);
    if (!e->request.parallel)
        e->request.parallel = RESTORE_PARALLEL_DEFAULT;
    if (!e->request.stuck_after_ms)
        e->request.stuck_after_ms = RESTORE_STUCK_MS_DEFAULT;
    str_copy(report->id, sizeof(report->id), request->id);
    pthread_mutex_init(&e->lock, NULL);
}

static void engine_close(struct engine *e) {
    for (size_t i = 0; i < e->count; i++)
        item_done(&e->items[i]);
    mem_free(e->items);
    if (e->has_journal)
        restore_journal_done(&e->journal);
    if (e->has_budget)
        restore_budget_done(&e->budget);
    if (e->staging.lock_fd > 0) /* else it is another's */
        restore_staging_remove(&e->staging);
    restore_staging_done(&e->staging);
    target_done(&e->target);
    restore_request_done(&e->request);
    pthread_mutex_destroy(&e->lock);
    e->report->finished_at = clock_wall();
}

/* The items are all there and do not move any more: results and callbacks may point at them. */
static void settle_items(struct engine *e) {
    e->report->results = mem_array(e->count + 1, sizeof(*e->report->results));
    e->report->count = e->count;
    for (size_t i = 0; i < e->count; i++) {
        struct item *it = &e->items[i];
        it->result = &e->report->results[i];
        it->apply.progress = on_percent;
        it->apply.user = it;
        it->result->phases.planned_ms = engine_ms(e);
        report_plan(it);
    }
}

/* ---- before anything is changed ---- */

static int open_target(struct engine *e, struct err *err) {
    struct sql_session *session;
    if (sql_session_open(e->env->sql, &session, err) < 0)
        return err_context(err, "the instance to restore to");
    if (target_read(session, &e->target, err) < 0 || restore_check_login(&e->target, err) < 0) {
        sql_session_close(session);
        return -1;
    }
    e->session = session;
    return 0;
}

/* Others come: each database is looked at by a session of its own from now on. */
static void close_target(struct engine *e) {
    sql_session_close(e->session);
    e->session = NULL;
}

static int prove_staging(struct engine *e, struct err *err) {
    uint64_t free_bytes;
    if (restore_staging_make(e->env->staging_local, e->env->staging_server, e->request.id, &e->staging, err) < 0 ||
        restore_staging_probe(e->session, &e->staging, err) < 0)
        return -1;
    restore_budget_init(&e->budget, assess_staging(e, &free_bytes));
    e->has_budget = true;
    return 0;
}

static int allow(struct engine *e, struct err *err) {
    struct restore_guarded *all = mem_array(e->count + 1, sizeof(*all));
    size_t count = 0;
    for (size_t i = 0; i < e->count; i++) {
        struct item *it = &e->items[i];
        if (it->entry && it->entry->step >= RESTORE_EVICTED)
            continue;
        all[count].guard = &it->guard;
        assess_view(it, &all[count++].view);
    }
    restore_guard_token_all(all, count, e->report->token);
    int rc = restore_guard_allow_all(all, count, e->request.token, err);
    mem_free(all);
    return rc;
}

static int prepare(struct engine *e, struct err *err) {
    if (!e->has_budget && prove_staging(e, err) < 0)
        return -1;
    int rc = assess_all(e, e->session, err);
    settle_items(e);
    return rc < 0 ? -1 : restore_check_verdict(&e->report->findings, err);
}

static int refuse(struct engine *e, struct err *err) {
    e->report->err = *err;
    for (size_t i = 0; i < e->count; i++)
        report_refused(&e->items[i], err);
    return -1;
}

int restore_prepare(const struct restore_env *env, const struct restore_request *request, struct restore_report *ret_report,
                    struct err *err) {
    struct engine e;
    engine_open(&e, env, request, ret_report);
    ret_report->dry_run = e.dry_run = true;
    int rc = restore_request_check(request, err);
    if (rc == 0)
        rc = open_target(&e, err);
    if (rc == 0)
        rc = select_items(&e, err);
    if (rc == 0)
        rc = prepare(&e, err);
    if (rc == 0 && allow(&e, &ret_report->guard) == 0)
        err_clear(&ret_report->guard);
    close_target(&e);
    if (rc < 0)
        refuse(&e, err);
    engine_close(&e);
    return rc;
}

/* ---- doing it ---- */

struct crew {
    struct engine *engine;
    atomic_size_t next;
};

static void *worker(void *arg) {
    struct crew *crew = arg;
    struct engine *e = crew->engine;
    for (;;) {
        size_t i = atomic_fetch_add(&crew->next, 1);
        if (i >= e->count)
            return NULL;
        if (e->items[i].entry->outcome == RESTORE_FINISHED)
            report_told(&e->items[i]);
        else
            execute_item(&e->items[i]);
    }
}

static int execute_all(struct engine *e, struct err *err) {
    pthread_t threads[RESTORE_PARALLEL_MAX];
    struct crew crew = {.engine = e};
    unsigned started = 0;
    while (started + 1 < e->request.parallel && started + 1 < e->count &&
           pthread_create(&threads[started], NULL, worker, &crew) == 0)
        started++;
    worker(&crew);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < e->count; i++) {
        struct restore_result *r = &e->report->results[i];
        if (r->err.class == ERR_NONE)
            continue;
        if (e->report->err.class == ERR_NONE)
            e->report->err = r->err;
    }
    if (e->report->err.class == ERR_NONE)
        return 0;
    err_copy(err, &e->report->err);
    return -1;
}

/* Everything is allowed: entries are made, and durable before the first change. */
static int note_checked(struct engine *e, struct err *err) {
    bool fresh = !e->journal.count;
    going_on_server(e, &e->journal.server);
    for (size_t i = 0; fresh && i < e->count; i++)
        (void)restore_journal_add(&e->journal);
    for (size_t i = 0; i < e->count; i++) {
        struct item *it = &e->items[i];
        struct restore_entry *entry = fresh ? &e->journal.entries[i] : it->entry;
        const struct target_db *there = target_find(&e->target, it->target);
        it->entry = entry;
        if (entry->step >= RESTORE_EVICTED)
            continue;
        restore_entry_set(&entry->database, it->wish.database ? it->wish.database : it->source.name);
        restore_entry_set(&entry->folder, it->source.folder);
        restore_entry_set(&entry->source, it->source.name);
        restore_entry_set(&entry->target, it->target);
        entry->over = it->guard.over;
        entry->replace = it->guard.replace;
        entry->judged = true;
        entry->before = it->there;
        entry->before_ours = false;
        entry->mine = (struct restore_identity){.there = false};
        entry->family = it->source.family_guid;
        entry->user_access = there ? there->info.user_access : 0;
        entry->step = RESTORE_CHECKED;
        for (size_t k = 0; k < it->avoid_count; k++)
            restore_entry_avoid(entry, &it->avoid[k]);
    }
    return restore_journal_checked(&e->journal, err);
}

/* Nothing was changed: as if it had never been asked for. */
static void forget(struct engine *e) {
    struct err ignored;
    err_clear(&ignored);
    if (restore_journal_forget(e->env->journal_dir, e->request.id, &ignored) < 0 && e->env->log)
        e->env->log(e->env->user, e->request.id, "", ignored.text);
}

static int run_fresh(struct engine *e, struct err *err) {
    int rc = open_target(e, err);
    if (rc == 0)
        rc = select_items(e, err);
    if (rc == 0)
        rc = prepare(e, err);
    if (rc == 0)
        rc = allow(e, err);
    close_target(e);
    if (rc == 0)
        rc = note_checked(e, err);
    if (rc < 0) {
        refuse(e, err);
        forget(e);
        return -1;
    }
    return execute_all(e, err);
}

int restore_run(const struct restore_env *env, const struct restore_request *request, struct restore_report *ret_report,
                struct err *err) {
    struct engine e;
    engine_open(&e, env, request, ret_report);
    int rc = restore_request_check(request, err);
    if (rc == 0) {
        restore_journal_new(env->journal_dir, request, &e.journal);
        e.has_journal = true;
        rc = restore_journal_begin(&e.journal, err);
    }
    if (rc < 0)
        refuse(&e, err);
    else
        rc = run_fresh(&e, err);
    engine_close(&e);
    return rc;
}

/* ---- going on ---- */

static bool is_open(const struct engine *e, const struct item *it) {
    const struct target_db *there = target_find(&e->target, it->target);
    return there && there->info.state == SQL_DB_ONLINE;
}

static int resolve_names(struct engine *e, struct err *err) {
    for (size_t i = 0; i < e->count; i++)
        if (target_resolve(e->session, &e->target, e->items[i].target, err) < 0)
            return -1;
    return 0;
}

/* A tail that may or may not have been taken decides how its database goes on. */
static int settle_tail(struct engine *e, struct item *it, struct err *err) {
    bool again;
    if (roll_connect(it, false, err) < 0)
        return -1;
    if (it->entry->step == RESTORE_EVICTED && tail_settle(it, err) < 0)
        return -1;
    if (it->entry->step < RESTORE_TAIL_TAKEN || !is_open(e, it))
        return 0;
    if (it->entry->step == RESTORE_TAIL_TAKEN && tail_ship(it, err) < 0)
        return err->class == ERR_CORRUPT ? tail_give_up(it, err) : -1;
    return tail_reconsider(it, &again, err);
}

static int settle_tails(struct engine *e, struct err *err) {
    for (size_t i = 0; i < e->count; i++) {
        struct item *it = &e->items[i];
        it->guard.evict = it->entry->over == RESTORE_OVER_TOKEN;
        it->guard.replace = it->entry->replace;
        it->apply.stuck_after_ms = e->request.stuck_after_ms;
        bool about_a_tail = it->entry->step >= RESTORE_EVICTED && it->entry->step <= RESTORE_TAIL_SHIPPED;
        if (it->entry->outcome != RESTORE_FINISHED && about_a_tail && settle_tail(e, it, err) < 0)
            return err_context(err, "%s", it->target);
    }
    return 0;
}

static int select_entries(struct engine *e, struct err *err) {
    struct source_list list;
    int rc = 0;
    if (source_databases(e->env->source, &list, err) < 0)
        return -1;
    for (size_t i = 0; i < e->journal.count && rc == 0; i++)
        rc = select_entry(e, &e->journal.entries[i], &list, err);
    source_list_done(&list);
    return rc;
}

/* Those that had not come to the point where something is changed are planned and judged anew. */
static int plan_open(struct engine *e, struct err *err) {
    for (size_t i = 0; i < e->count; i++) {
        struct item *it = &e->items[i];
        if (it->entry->outcome == RESTORE_FINISHED)
            continue;
        it->entry->outcome = RESTORE_PLANNED;
        err_clear(&it->entry->err);
        if (it->entry->step < RESTORE_EVICTED && select_plan(it, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static int resume(struct engine *e, struct err *err) {
    int rc = open_target(e, err);
    if (rc == 0) /* first of all: nobody else is at it */
        rc = prove_staging(e, err);
    if (rc == 0)
        rc = select_entries(e, err);
    if (rc == 0)
        rc = going_on_check(e, err);
    if (rc == 0)
        rc = resolve_names(e, err);
    if (rc == 0)
        rc = settle_tails(e, err);
    if (rc == 0)
        rc = plan_open(e, err);
    if (rc == 0)
        rc = prepare(e, err);
    if (rc == 0)
        rc = allow(e, err);
    close_target(e);
    if (rc == 0)
        rc = note_checked(e, err);
    return rc < 0 ? refuse(e, err) : execute_all(e, err);
}

int restore_resume(const struct restore_env *env, const char *id, struct restore_report *ret_report, struct err *err) {
    struct restore_journal journal;
    struct engine e;
    *ret_report = (struct restore_report){0};
    if (restore_journal_load(env->journal_dir, id, &journal, err) < 0)
        return -1;
    engine_open(&e, env, &journal.request, ret_report);
    e.journal = journal;
    e.has_journal = true;
    int rc = going_on_scope(&e, err);
    if (rc < 0)
        refuse(&e, err);
    else
        rc = journal.count ? resume(&e, err) : run_fresh(&e, err);
    engine_close(&e);
    return rc;
}

int restore_forget(const struct restore_env *env, const char *id, struct err *err) {
    if (!restore_id_valid(id))
        return err_set(err, ERR_USAGE, "'%.*s' cannot be the id of a restore", RESTORE_ID_MAX, id);
    struct restore_staging staging = {.local = mem_printf("%s/%s", env->staging_local, id)};
    restore_staging_remove(&staging);
    restore_staging_done(&staging);
    return restore_journal_forget(env->journal_dir, id, err);
}
