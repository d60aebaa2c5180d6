/* SPDX-License-Identifier: Apache-2.0 */
/* The table of runs: beginning, finding, listening, telling. */
#include "sidecar/restore/runs.h"

#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/journal.h"
#include "sidecar/restore/message.h"
#include "sidecar/restore/runs_int.h"
#include "sidecar/status.h"

#define QUEUE_MAX 64
#define TELL_S 0.5

/* ---- life of one ---- */

struct run *run_new(struct agent *agent, const struct ticket *ticket) {
    struct run *run = mem_alloc(sizeof(*run));
    run->agent = agent;
    run->ticket = *ticket;
    run->state = ticket->ended ? RUN_ENDED : RUN_QUEUED;
    pthread_mutex_init(&run->lock, NULL);
    ticket_file_init(&run->file);
    run->next = agent->restores->runs;
    agent->restores->runs = run;
    return run;
}

void run_free(struct run *run) {
    while (run->watches) {
        struct run_watch *w = run->watches;
        run->watches = w->next;
        mem_free(w);
    }
    if (run->report)
        mssql__v1__restore_report__free_unpacked(run->report, NULL);
    pthread_mutex_destroy(&run->lock);
    ticket_file_done(&run->file);
    mem_free(run->protect);
    ticket_done(&run->ticket);
    mem_free(run->progress);
    mem_free(run);
}

void run_remove(struct run *run) {
    for (struct run **p = &run->agent->restores->runs; *p; p = &(*p)->next)
        if (*p == run) {
            *p = run->next;
            break;
        }
    run_free(run);
}

/* ---- progress ---- */

static struct run_progress *progress_of(struct run *run, const char *database) {
    for (size_t i = 0; i < run->progress_count; i++)
        if (!strcmp(run->progress[i].database, database))
            return &run->progress[i];
    run->progress = mem_realloc(run->progress, (run->progress_count + 1) * sizeof(*run->progress));
    struct run_progress *p = &run->progress[run->progress_count++];
    *p = (struct run_progress){0};
    str_copy(p->database, sizeof(p->database), database);
    return p;
}

void run_told(struct run *run, const struct restore_progress *progress) {
    if (!progress->database)
        return;
    pthread_mutex_lock(&run->lock);
    struct run_progress *p = progress_of(run, progress->database);
    p->last = *progress;
    str_copy(p->message, sizeof(p->message), progress->message ? progress->message : "");
    p->changed = true;
    pthread_mutex_unlock(&run->lock);
}

static Mssql__V1__RestoreProgress *progress_message(const struct run *run, const struct run_progress *p) {
    struct restore_progress whole = p->last;
    whole.restore_id = run->ticket.id;
    whole.database = p->database;
    whole.message = p->message;
    return message_restore_progress(&whole);
}

void run_tell(struct run *run) {
    for (size_t i = 0;; i++) {
        pthread_mutex_lock(&run->lock);
        Mssql__V1__RestoreProgress *m = NULL;
        bool more = i < run->progress_count;
        if (more && run->progress[i].changed) {
            m = progress_message(run, &run->progress[i]);
            run->progress[i].changed = false;
        }
        pthread_mutex_unlock(&run->lock);
        if (!more)
            return;
        for (struct run_watch *w = run->watches, *next; m && w; w = next) {
            next = w->next;
            if (w->events.progress)
                w->events.progress(w->events.user, m);
        }
        if (m)
            mssql__v1__restore_progress__free_unpacked(m, NULL);
    }
}

static void on_tell(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    struct restores *r = w->data;
    for (struct run *run = r->runs; run; run = run->next)
        if (run->watches)
            run_tell(run);
}

/* ---- workers ---- */

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    struct restores *r = w->data;
    for (unsigned i = 0; i < RESTORES_POOL_COUNT; i++)
        if (r->pools[i])
            pool_collect(r->pools[i]);
}

static void wake(void *user) {
    struct restores *r = user;
    ev_async_send(r->agent->loop, &r->wake);
}

bool restores_submit(struct agent *agent, enum restores_pool which, struct pool_item *item) {
    static const struct {
        const char *name;
        unsigned threads;
    } pools[RESTORES_POOL_COUNT] = {
        [RESTORES_RUN] = {"restore", 2}, /* each does several databases in parallel */
        [RESTORES_ASK] = {"restore-ask", 1},
        [RESTORES_SAVE] = {"tickets", 1},
        [RESTORES_FETCH] = {"fetch", 2},
    };
    struct restores *r = agent->restores;
    if (r->stopping)
        return false;
    if (!r->pools[which]) /* most sidecars never restore anything: no threads for it before */
        r->pools[which] = pool_new(pools[which].name, pools[which].threads, QUEUE_MAX, wake, r);
    return pool_submit(r->pools[which], item);
}

/* ---- all of them ---- */

/* What the engine's journal says of a restore whose ticket is of no use: enough to name it, and to go on with it. */
static void rebuild(struct agent *agent, const char *id, const struct err *why, struct ticket *ret_ticket) {
    _cleanup_free_ char *folder = ticket_folder(agent->config->paths.state, id);
    struct restore_journal journal;
    struct err ignored; /* then there is only the name */
    ticket_init(ret_ticket);
    str_copy(ret_ticket->id, sizeof(ret_ticket->id), id);
    str_copy(ret_ticket->request_id, sizeof(ret_ticket->request_id), id);
    ret_ticket->ended = true;
    ret_ticket->err = *why;
    if (restore_journal_load(folder, id, &journal, &ignored) < 0)
        return;
    restore_request_done(&ret_ticket->request);
    restore_request_copy(&ret_ticket->request, &journal.request);
    ret_ticket->requested_at = ret_ticket->started_at = journal.created_at;
    left_note(ret_ticket, &journal);
    restore_journal_done(&journal);
}

static int load_one(void *user, const char *id, struct err *err) {
    struct agent *agent = user;
    struct ticket t;
    bool readable = ticket_load(agent->config->paths.state, id, &t, err) == 0;
    if (!readable) {
        log_error(LOG_ERROR, err, "the ticket of a restore cannot be read: it is not gone on with by itself", "restore", id,
                  NULL);
        rebuild(agent, id, err, &t);
        err_clear(err);
    }
    struct run *run = run_new(agent, &t);
    run->durable = run->earlier_life = true;
    run->unreadable = !readable;
    atomic_store(&run->cancel, t.cancelled);
    struct err why;
    if (readable && t.ended && run_answer_load(run, &why) < 0 && why.class != ERR_NOT_FOUND)
        log_error(LOG_WARN, &why, "the answer of a restore cannot be read", "restore", id, NULL);
    if (!t.ended)
        log_event(LOG_WARN, "restore of an earlier life is not over; it is gone on with", "restore", id, NULL);
    return 0;
}

/* Newest first. */
static void sort(struct restores *r) {
    struct run *sorted = NULL;
    while (r->runs) {
        struct run *run = r->runs;
        r->runs = run->next;
        struct run **p = &sorted;
        while (*p && (*p)->ticket.requested_at > run->ticket.requested_at)
            p = &(*p)->next;
        run->next = *p;
        *p = run;
    }
    r->runs = sorted;
}

void restores_open(struct agent *agent) {
    if (agent->restores)
        return;
    struct restores *r = mem_alloc(sizeof(*r));
    struct err err;
    r->agent = agent;
    agent->restores = r;
    r->handoff = handoff_new(agent->loop);
    rate_init(&r->fetch_rate, (uint64_t)agent->config->limits.fetch_bytes_per_s);
    ev_async_init(&r->wake, on_wake);
    ev_timer_init(&r->tell, on_tell, TELL_S, TELL_S);
    r->wake.data = r->tell.data = r;
    ev_async_start(agent->loop, &r->wake);
    if (ticket_each(agent->config->paths.state, load_one, agent, &err) < 0)
        log_error(LOG_ERROR, &err, "restores of an earlier life cannot be looked for", NULL);
    sort(r);
}

void restores_stop(struct agent *agent) {
    struct restores *r = agent->restores;
    if (!r)
        return;
    r->stopping = true;
    ev_timer_stop(agent->loop, &r->tell);
    for (struct run *run = r->runs; run; run = run->next)
        atomic_store(&run->cancel, true);
    handoff_stop(r->handoff);
    for (unsigned i = 0; i < RESTORES_POOL_COUNT; i++) {
        pool_free(r->pools[i]);
        r->pools[i] = NULL;
    }
}

void restores_free(struct agent *agent) {
    struct restores *r = agent->restores;
    if (!r)
        return;
    ev_async_stop(agent->loop, &r->wake);
    handoff_free(r->handoff);
    rate_done(&r->fetch_rate);
    while (r->runs) {
        struct run *run = r->runs;
        r->runs = run->next;
        run_free(run);
    }
    mem_free(r);
    agent->restores = NULL;
}

struct run *restores_find(struct agent *agent, const char *id) {
    for (struct run *run = agent->restores ? agent->restores->runs : NULL; run; run = run->next)
        if (!strcmp(run->ticket.id, id) || !strcmp(run->ticket.request_id, id))
            return run;
    return NULL;
}

/* ---- ending ---- */

int restores_cancel(struct agent *agent, struct run *run, struct err *err) {
    if (run->state == RUN_ENDED || run->state == RUN_ENDING)
        return err_set(err, ERR_STATE, "restore %s is over already", run->ticket.id);
    if (!atomic_load(&run->cancel))
        log_event(LOG_WARN, "restore is cancelled", "restore", run->ticket.id, NULL);
    atomic_store(&run->cancel, true);
    run->ticket.cancelled = true;
    run->retry_us = 0;
    run_save(run, NULL, NULL);
    scheduler_wake(agent);
    return 0;
}

/* ---- listening ---- */

void restores_watch(struct run *run, const struct run_events *events) {
    struct run_watch *w = mem_alloc(sizeof(*w));
    w->events = *events;
    w->next = run->watches;
    run->watches = w;
    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->progress_count; i++)
        run->progress[i].changed = true; /* who joins sees where it is */
    pthread_mutex_unlock(&run->lock);
    if (!ev_is_active(&run->agent->restores->tell))
        ev_timer_again(run->agent->loop, &run->agent->restores->tell);
}

void restores_unwatch(struct agent *agent, struct run *run, void *user) {
    bool others = false;
    for (struct run_watch **p = &run->watches; *p;) {
        struct run_watch *w = *p;
        if (w->events.user != user) {
            others = true;
            p = &w->next;
            continue;
        }
        *p = w->next;
        mem_free(w);
    }
    struct err ignored; /* over already */
    if (run->cancel_on_disconnect && !others && run->state < RUN_ENDING)
        (void)!restores_cancel(agent, run, &ignored);
    for (struct run *r = agent->restores->runs; r; r = r->next)
        if (r->watches)
            return;
    ev_timer_stop(agent->loop, &agent->restores->tell);
}

/* ---- telling ---- */

enum run_state run_state(const struct run *run) {
    return run->state;
}

bool run_durable(const struct run *run) {
    return run->durable;
}

const char *run_id(const struct run *run) {
    return run->ticket.id;
}

const char *run_request_id(const struct run *run) {
    return run->ticket.request_id;
}

const struct err *run_error(const struct run *run) {
    return &run->ticket.err;
}

const Mssql__V1__RestoreReport *run_report(const struct run *run) {
    return run->report;
}

static Mssql__V1__RestoreState state_of(const struct run *run) {
    switch (run->state) {
    case RUN_QUEUED:
        return MSSQL__V1__RESTORE_STATE__RESTORE_STATE_QUEUED;
    case RUN_PREPARING:
    case RUN_CLEARING:
    case RUN_RUNNING:
    case RUN_ENDING:
        return MSSQL__V1__RESTORE_STATE__RESTORE_STATE_RUNNING;
    case RUN_WAITING:
        return MSSQL__V1__RESTORE_STATE__RESTORE_STATE_WAITING;
    case RUN_ENDED:
        break;
    }
    return run->ticket.err.class == ERR_NONE        ? MSSQL__V1__RESTORE_STATE__RESTORE_STATE_COMPLETED
           : run->ticket.err.class == ERR_CANCELLED ? MSSQL__V1__RESTORE_STATE__RESTORE_STATE_CANCELLED
                                                    : MSSQL__V1__RESTORE_STATE__RESTORE_STATE_FAILED;
}

static void add_progress(struct run *run, Mssql__V1__Restore *m) {
    pthread_mutex_lock(&run->lock);
    for (size_t i = 0; i < run->progress_count; i++)
        STATUS_APPEND(m, progress, progress_message(run, &run->progress[i]));
    pthread_mutex_unlock(&run->lock);
}

static void add_copies(const struct run *run, Mssql__V1__Restore *m) {
    for (size_t i = 0; i < run->ticket.copy_count; i++) {
        const struct ticket_copy *c = &run->ticket.copies[i];
        Mssql__V1__RestoredCopy *copy = mem_alloc(sizeof(*copy));
        mssql__v1__restored_copy__init(copy);
        copy->database = mem_strdup(c->database);
        copy->expires_at = c->expires_at;
        copy->dropped_at = c->dropped_at;
        copy->message = mem_strdup(c->message);
        STATUS_APPEND(m, copies, copy);
    }
}

/* Without the members of the plan: a status is asked for often. */
static Mssql__V1__RestoreResult *short_result(const Mssql__V1__RestoreResult *result) {
    Mssql__V1__RestoreResult *copy = message_restore_result_copy(result);
    while (copy->n_members)
        mssql__v1__restore_member__free_unpacked(copy->members[--copy->n_members], NULL);
    return copy;
}

Mssql__V1__Restore *run_message(const struct run *run, bool with_results) {
    const struct ticket *t = &run->ticket;
    const struct err *e = run->state == RUN_ENDED ? &t->err : &run->waiting_for;
    char target[CHAIN_TARGET_TEXT_MAX];
    Mssql__V1__Restore *m = mem_alloc(sizeof(*m));
    mssql__v1__restore__init(m);
    m->id = mem_strdup(t->id);
    m->request_id = mem_strdup(t->request_id);
    m->state = state_of(run);
    m->to = mem_strdup(chain_target_format(target, &t->request.target));
    m->reason = mem_strdup(t->reason);
    m->by_whom = mem_strdup(t->by);
    m->requested_at = t->requested_at;
    m->started_at = t->started_at;
    m->finished_at = t->finished_at;
    m->error_class = mem_strdup(e->class == ERR_NONE ? "" : err_class_name(e->class));
    m->message = mem_strdup(e->class == ERR_NONE ? "" : e->text);
    if (run->state != RUN_ENDED)
        add_progress((struct run *)(uintptr_t)run, m); /* only its lock changes */
    for (size_t i = 0; with_results && run->state == RUN_ENDED && run->report && i < run->report->n_results; i++)
        STATUS_APPEND(m, results, short_result(run->report->results[i]));
    add_copies(run, m);
    for (size_t i = 0; run->state == RUN_ENDED && i < t->left.count; i++)
        STATUS_APPEND(m, unfinished, mem_strdup(t->left.items[i]));
    for (size_t i = 0; run->state == RUN_ENDED && i < t->tails.count; i++)
        STATUS_APPEND(m, tails, mem_strdup(t->tails.items[i]));
    return m;
}

void restores_messages(const struct agent *agent, size_t *n, Mssql__V1__Restore ***list) {
    size_t count = 0;
    for (const struct run *run = agent->restores ? agent->restores->runs : NULL; run; run = run->next)
        count++;
    *list = mem_array(count + 1, sizeof(**list));
    for (const struct run *run = agent->restores ? agent->restores->runs : NULL; run; run = run->next)
        (*list)[(*n)++] = run_message(run, true);
}

void restores_count(const struct agent *agent, struct restores_counts *ret_counts) {
    *ret_counts = (struct restores_counts){0};
    for (const struct run *run = agent->restores ? agent->restores->runs : NULL; run; run = run->next) {
        ret_counts->running += run->state != RUN_ENDED && run->state != RUN_WAITING;
        ret_counts->waiting += run->state == RUN_WAITING;
        ret_counts->unfinished += left_any(run);
        for (size_t i = 0; i < run->ticket.copy_count; i++)
            ret_counts->copies += run->ticket.copies[i].expires_at && !run->ticket.copies[i].dropped_at;
    }
}
