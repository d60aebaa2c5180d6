/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a run goes from state to state. A worker does what blocks; between two pieces of work the loop decides.
 *
 *   QUEUED -> PREPARING -> CLEARING -> RUNNING -> ENDING -> ENDED
 *                             ^           |
 *                             +- WAITING <+   no answer: server or store went away, or this program ended
 *
 * The ticket is durable before a worker begins, with the databases that are changed before anything is.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/journal.h"
#include "sidecar/job/job.h"
#include "sidecar/restore/message.h"
#include "sidecar/restore/record.h"
#include "sidecar/restore/runs_int.h"

#define RETRY_US (2 * CLOCK_SECOND)
#define RETRY_MAX_US CLOCK_MINUTE
#define ATTEMPTS_MAX 5 /* that fail for a reason that should have passed by now; server and store that are away are not counted */

/* ---- on a worker ---- */

static void on_progress(void *user, const struct restore_progress *progress) {
    run_told(user, progress);
}

static void on_log(void *user, const char *id, const char *database, const char *text) {
    (void)user;
    log_event(LOG_INFO, text, "restore", id, "database", database ? database : "", NULL);
}

static int enter(struct run *run, struct restore_env *ret_env) {
    struct run_work *w = &run->work;
    if (ticket_file_save(&run->file, &w->ticket, run->agent->config->paths.state, &w->err) < 0 ||
        work_place_enter(&w->place, ret_env, &w->err) < 0)
        return -1;
    ret_env->ship_tail = run_ship_tail;
    ret_env->progress = on_progress;
    ret_env->log = on_log;
    ret_env->cancel = &run->cancel;
    ret_env->user = run;
    return 0;
}

static void prepare_work(struct pool_item *item) {
    struct run *run = container_of(item, struct run, work.item);
    struct run_work *w = &run->work;
    struct restore_env env;
    if (enter(run, &env) < 0)
        return;
    if (restore_prepare(&env, &w->ticket.request, &w->report, &w->err) == 0)
        err_clear(&w->err); /* ways that were tried on the way */
    w->reported = true;
    work_place_leave(&w->place);
}

/* Has it begun? What the engine's journal knows (a tail that is nowhere else) is gone when another one is begun. */
static int has_journal(const struct restore_env *env, const char *id, bool *ret_has, struct err *err) {
    struct restore_journal journal;
    struct err why;
    bool has = restore_journal_load(env->journal_dir, id, &journal, &why) == 0;
    if (has)
        restore_journal_done(&journal);
    else if (why.class != ERR_NOT_FOUND) {
        err_copy(err, &why);
        return -1;
    }
    *ret_has = has;
    return 0;
}

static int resume_or_run(struct run_work *w, const struct restore_env *env) {
    bool begun;
    if (has_journal(env, w->ticket.id, &begun, &w->err) < 0)
        return -1;
    w->reported = true;
    return begun ? restore_resume(env, w->ticket.id, &w->report, &w->err)
                 : restore_run(env, &w->ticket.request, &w->report, &w->err);
}

static void restore_work(struct pool_item *item) {
    struct run *run = container_of(item, struct run, work.item);
    struct run_work *w = &run->work;
    struct restore_env env;
    if (enter(run, &env) < 0)
        return;
    if (record_begin(w->place.store, w->place.scope, &w->ticket, &w->err) == 0) {
        w->executed = true;
        if (resume_or_run(w, &env) == 0)
            err_clear(&w->err);
    }
    work_place_leave(&w->place);
}

/* ---- on the loop ---- */

/* The daemon's login need not have the rights for a restore. */
static void advise(const struct run *run, struct err *why) {
    if (why->class == ERR_PERMISSION && !sessions_has_admin(run->agent->sessions))
        err_hint(why, "Or configure an administrator's login for restores: sql.adminUser");
}

/* Nothing more is done; what is left is to write down how it ended. */
static void finish(struct run *run, const struct err *why) {
    run->ticket.err = *why;
    advise(run, &run->ticket.err);
    run->ticket.finished_at = clock_wall();
    err_clear(&run->waiting_for);
    run_end(run);
}

static void work_done(struct run *run) {
    struct run_work *w = &run->work;
    work_place_done(run->agent, &w->place);
    ticket_done(&w->ticket);
    if (w->reported)
        restore_report_done(&w->report);
    *w = (struct run_work){0};
    run->working = false;
}

static void take_report(struct run *run) {
    if (!run->work.reported)
        return;
    if (run->report)
        mssql__v1__restore_report__free_unpacked(run->report, NULL);
    run->report = message_restore_report(&run->work.report);
}

/* A failure that passes by itself: asked again after a pause that grows. */
static void wait_and_retry(struct run *run, const struct err *why) {
    bool away = why->class == ERR_CONNECT || why->class == ERR_STORE;
    run->attempts += !away;
    run->retry_pause_us = !run->retry_pause_us                     ? RETRY_US
                          : 2 * run->retry_pause_us < RETRY_MAX_US ? 2 * run->retry_pause_us
                                                                   : RETRY_MAX_US;
    run->retry_us = clock_mono_us() + run->retry_pause_us;
    if (run->waiting_for.class != why->class)
        log_error(LOG_WARN, why, "restore is interrupted; it goes on by itself", "restore", run->ticket.id, NULL);
    run->waiting_for = *why;
    run->state = RUN_WAITING;
    if (why->class == ERR_CONNECT)
        discover_soon(run->agent);
}

/* What decides how it goes on: a failure that passes by itself, for its database is on its way; else the first one. NULL: none. */
static const struct err *decisive(const struct run_work *w) {
    const struct err *found = NULL;
    for (size_t i = 0; w->reported && i < w->report.count; i++) {
        const struct restore_result *r = &w->report.results[i];
        if (r->step == RESTORE_FINISHED || r->err.class == ERR_NONE)
            continue;
        if (err_class_transient(r->err.class))
            return &r->err;
        if (!found)
            found = &r->err;
    }
    return found ? found : w->err.class != ERR_NONE ? &w->err : NULL;
}

static bool worth_retrying(const struct run *run, const struct err *why) {
    return !atomic_load(&run->cancel) && err_class_transient(why->class) && run->attempts < ATTEMPTS_MAX;
}

static void restore_done(struct pool_item *item) {
    struct run *run = container_of(item, struct run, work.item);
    struct err why;
    err_clear(&why);
    const struct err *failed = decisive(&run->work);
    if (failed)
        why = *failed;
    if (!atomic_load(&run->agent->stopping)) {
        take_report(run);
        if (run->work.executed && run->work.reported) {
            protect_note(run, &run->work.report);
            copies_note(run, &run->work.report);
        }
        if (why.class == ERR_STORE && run->work.place.store)
            keeper_failed(run->agent->keeper, run->work.place.store, &why);
    }
    work_done(run);
    if (atomic_load(&run->agent->stopping))
        return; /* the next start goes on */
    if (why.class != ERR_NONE && worth_retrying(run, &why))
        wait_and_retry(run, &why);
    else
        finish(run, &why);
    scheduler_wake(run->agent);
}

/* Databases that are changed. Copies that go by themselves must not be there yet. */
static int take_targets(struct run *run, struct err *err) {
    const struct restore_report *r = &run->work.report;
    bool expires = run->ticket.expires_at || run->ticket.expires_in_us;
    ticket_names_clear(&run->ticket.targets);
    for (size_t i = 0; i < r->count; i++) {
        const struct restore_result *one = &r->results[i];
        for (const struct run *other = run->agent->restores->runs; other; other = other->next)
            if (other != run && other->state != RUN_ENDED && ticket_names_has(&other->ticket.targets, one->target))
                return err_set(err, ERR_CONFLICT, "database '%s' is being restored by %s", one->target, other->ticket.id);
        if (expires && one->over != RESTORE_OVER_NOTHING && one->over != RESTORE_OVER_OURS) {
            err_set(err, ERR_USAGE, "there is a database '%s': only a copy under a name of its own goes by itself", one->target);
            return err_hint(err, "Give it another name");
        }
        ticket_names_add(&run->ticket.targets, one->target);
    }
    return 0;
}

static void prepare_done(struct pool_item *item) {
    struct run *run = container_of(item, struct run, work.item);
    struct err why = run->work.err;
    bool stopping = atomic_load(&run->agent->stopping);
    if (!stopping)
        take_report(run);
    if (why.class == ERR_NONE)
        why = run->work.report.guard; /* refused now, so that the request may be made again with the token */
    if (!stopping && why.class == ERR_NONE && take_targets(run, &why) < 0)
        ticket_names_clear(&run->ticket.targets);
    work_done(run);
    if (stopping)
        return;
    if (why.class == ERR_NONE && atomic_load(&run->cancel))
        err_set(&why, ERR_CANCELLED, "cancelled before anything was changed");
    if (why.class == ERR_NONE) {
        run->state = RUN_CLEARING;
        run->clearing_us = clock_mono_us();
    } else {
        finish(run, &why);
    }
    scheduler_wake(run->agent);
}

static bool submit(struct run *run, void (*work)(struct pool_item *), void (*done)(struct pool_item *), enum run_state state) {
    struct agent *agent = run->agent;
    struct err err;
    _cleanup_free_ char *folder = ticket_folder(agent->config->paths.state, run->ticket.id);
    err_clear(&run->work.err);
    if (work_place_init(agent, folder, &run->work.place, &err) < 0) {
        if (run->earlier_life || run->ticket.targets.count)
            wait_and_retry(run, &err);
        else
            finish(run, &err);
        return false;
    }
    if (!run->ticket.started_at)
        run->ticket.started_at = clock_wall();
    run_ticket_copy(run, &run->work.ticket);
    run->work.item = (struct pool_item){.work = work, .done = done};
    run->state = state;
    run->working = true;
    if (restores_submit(agent, RESTORES_RUN, &run->work.item))
        return true;
    work_done(run);
    run->state = run->ticket.targets.count ? RUN_CLEARING : RUN_QUEUED; /* the queue is full: at the next tick */
    return false;
}

/* Nothing of the database may be under way: what a backup of it leaves in staging is part of what is restored, and a
 * backup that SQL Server still runs would be thrown out in the middle. Cancels data backups; logs are waited for. */
static bool cleared(struct run *run, struct database *db) {
    struct job *data = db->running[LANE_DATA];
    if (data && atomic_load(&data->progress.phase) <= JOB_TAKING)
        atomic_store(&data->cancel, true);
    const char *what = data || db->running[LANE_LOG]                           ? "a backup of it runs"
                       : db->recovering[LANE_DATA] || db->recovering[LANE_LOG] ? "what became of a backup of it is being asked"
                       : db->ship[LANE_DATA].head || db->ship[LANE_LOG].head || db->committing
                           ? "a backup of it is not in the store yet"
                           : NULL;
    if (what)
        err_set(&run->waiting_for, ERR_BUSY, "database '%s': %s", db->name, what);
    return what == NULL;
}

static bool all_cleared(struct run *run) {
    for (size_t i = 0; i < run->ticket.targets.count; i++) {
        struct database *db = databases_find(run->agent, run->ticket.targets.items[i]);
        if (db && !cleared(run, db))
            return false;
    }
    if (run->agent->orphans_unasked) {
        err_set(&run->waiting_for, ERR_BUSY, "staged backups of an earlier life are being asked about");
        return false;
    }
    err_clear(&run->waiting_for);
    return true;
}

/* Server and store were seen since the start, and backups of an earlier life are known. */
static bool world_is_there(const struct run *run) {
    const struct agent *a = run->agent;
    return a->recovery_begun && a->server_reachable && keeper_state(a->keeper)->usable;
}

static void say_what_is_away(struct run *run) {
    const struct agent *a = run->agent;
    if (!a->server_reachable)
        err_set(&run->waiting_for, ERR_CONNECT, "SQL Server is not reachable");
    else if (!keeper_state(a->keeper)->usable)
        err_set(&run->waiting_for, ERR_STORE, "the store cannot be used: %s", keeper_state(a->keeper)->error.text);
    else
        err_set(&run->waiting_for, ERR_BUSY, "backups of an earlier life are being looked for");
}

/* One that may have changed something waits as long as it takes. */
static bool waited_too_long(struct run *run, struct err *ret_why) {
    int64_t most_ms = run->agent->config->limits.restore_clear_ms;
    char text[32];
    if (!run->clearing_us || run->earlier_life || (clock_mono_us() - run->clearing_us) / 1000 < most_ms)
        return false;
    str_from_duration(text, sizeof(text), most_ms);
    err_set(ret_why, ERR_TIMEOUT, "it could not begin for %s, and nothing was changed: %s", text, run->waiting_for.text);
    err_hint(ret_why, "limits.restoreClear is how long it waits");
    return true;
}

/* Everything of its databases must be in the store before something is changed. */
static void clear(struct run *run) {
    struct err why;
    bool there = world_is_there(run);
    if (atomic_load(&run->cancel) && !there) {
        err_set(&why, ERR_CANCELLED, "cancelled while the server or the store is away: its databases stay as they are");
        finish(run, &why);
        return;
    }
    if (!there)
        say_what_is_away(run);
    else if (all_cleared(run)) {
        if (submit(run, restore_work, restore_done, RUN_RUNNING))
            run->clearing_us = 0;
        return;
    }
    if (waited_too_long(run, &why))
        finish(run, &why);
}

void run_step(struct run *run, int64_t now) {
    struct err cancelled;
    (void)now;
    if (run->working || !run->durable)
        return;
    switch (run->state) {
    case RUN_QUEUED:
        if (atomic_load(&run->cancel) && !run->ticket.targets.count) {
            err_set(&cancelled, ERR_CANCELLED, "cancelled before anything was changed");
            finish(run, &cancelled);
        } else if (run->ticket.targets.count) {
            run->state = RUN_CLEARING; /* an earlier life was past the preparations */
        } else if (!run->earlier_life || world_is_there(run)) {
            submit(run, prepare_work, prepare_done, RUN_PREPARING);
        }
        break;
    case RUN_WAITING:
        if (run->retry_us <= clock_mono_us() && (world_is_there(run) || atomic_load(&run->cancel)))
            run->state = run->ticket.targets.count ? RUN_CLEARING : RUN_QUEUED;
        break;
    case RUN_CLEARING:
        clear(run);
        break;
    default:
        break;
    }
}
