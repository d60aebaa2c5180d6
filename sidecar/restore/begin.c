/* SPDX-License-Identifier: Apache-2.0 */
/* How a run begins, and how one that ended early begins again: it is accepted when its ticket is durable, not before. */
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/restore/message.h"
#include "sidecar/restore/runs_int.h"

static int check_open(const struct agent *agent, struct err *err) {
    unsigned open = 0;
    if (agent->draining)
        return err_set(err, ERR_STATE, "the sidecar is stopping");
    for (const struct run *run = agent->restores->runs; run; run = run->next)
        open += run->state != RUN_ENDED;
    if (open >= RUNS_OPEN_MAX)
        return err_set(err, ERR_LIMIT, "%u restores are under way already: wait for some of them", open);
    return 0;
}

static int check_spec(const struct run_spec *spec, struct err *err) {
    if (*spec->request_id && !restore_id_valid(spec->request_id))
        return err_set(err, ERR_USAGE,
                       "a request id has up to %d letters, digits, '-', '_' and '.', and begins with a letter or digit",
                       RESTORE_ID_MAX - 1);
    if (spec->expires_at && spec->expires_in_us)
        return err_set(err, ERR_USAGE, "say when copies go, or after which time, not both");
    if (spec->expires_at < 0 || spec->expires_in_us < 0 || (spec->expires_at && spec->expires_at <= clock_wall()))
        return err_set(err, ERR_USAGE, "copies cannot go in the past");
    return 0;
}

static int make_ticket(struct agent *agent, const struct run_spec *spec, struct ticket *t, struct err *err) {
    int64_t now = clock_wall();
    ticket_init(t);
    restore_request_done(&t->request);
    if (message_restore_request(spec->spec, &t->request, err) < 0)
        return -1;
    if (restore_id_make(t->id, now, err) < 0)
        return -1;
    str_copy(t->request.id, sizeof(t->request.id), t->id);
    restore_request_set(&t->request.scope, agent->scope);
    t->request.requested_at = t->requested_at = now;
    str_copy(t->request_id, sizeof(t->request_id), *spec->request_id ? spec->request_id : t->id);
    str_to_utf8(t->reason, sizeof(t->reason), spec->reason);
    str_to_utf8(t->by, sizeof(t->by), spec->by);
    t->expires_at = spec->expires_at;
    t->expires_in_us = spec->expires_in_us;
    if ((t->expires_at || t->expires_in_us) && t->request.finish != RESTORE_FINISH_RECOVER)
        return err_set(err, ERR_USAGE, "only a copy that is recovered can go by itself: its identity is what it is known by");
    return restore_request_check(&t->request, err);
}

/* Refused before anything was begun: asking again with the same id is another try. */
static void forget_refused(struct agent *agent, struct run *old) {
    struct err err;
    if (ticket_remove(agent->config->paths.state, old->ticket.id, &err) < 0)
        log_error(LOG_WARN, &err, "ticket of a refused restore could not be removed", NULL);
    run_remove(old);
}

static json_t *comparable(const struct restore_request *request) {
    json_t *json = restore_request_to_json(request);
    json_object_del(json, "id");
    json_object_del(json, "requestedAt");
    json_object_del(json, "token");
    return json;
}

/* An id that is used for something else by mistake must not look like success. */
static int check_same(struct agent *agent, const struct run_spec *spec, const struct run *known, struct err *err) {
    struct ticket t;
    int rc = make_ticket(agent, spec, &t, err);
    if (rc == 0) {
        json_t *asked = comparable(&t.request), *before = comparable(&known->ticket.request);
        if (!json_equal(asked, before)) {
            rc = err_set(err, ERR_CONFLICT, "request '%s' was made before, and asked for something else", spec->request_id);
            err_hint(err, "Another restore needs another request id");
        }
        json_decref(asked);
        json_decref(before);
    }
    ticket_done(&t);
    return rc;
}

/* Those who asked hear that it will be done, or that it will not. */
static void tell_begun(struct run *run, const struct err *err) {
    for (struct run_watch *w = run->watches, *next; w; w = next) {
        next = w->next;
        if (w->events.begun)
            w->events.begun(w->events.user, run, err);
    }
}

/* Watches are gone without another word: begun() was the last one. */
static void drop_watches(struct run *run) {
    while (run->watches) {
        struct run_watch *w = run->watches;
        run->watches = w->next;
        mem_free(w);
    }
}

static void on_begun(void *user, struct run *run, const struct err *err) {
    struct agent *agent = run->agent;
    (void)user;
    run->durable = err->class == ERR_NONE;
    if (atomic_load(&agent->stopping))
        return; /* the next start has it, or whoever asked asks again */
    tell_begun(run, err);
    if (!run->durable) {
        drop_watches(run);
        run_remove(run);
        return;
    }
    scheduler_wake(agent);
}

int restores_begin(struct agent *agent, const struct run_spec *spec, struct run **ret_run, bool *ret_joined, struct err *err) {
    struct run *known = *spec->request_id ? restores_find(agent, spec->request_id) : NULL;
    bool refused = known && known->state == RUN_ENDED && !known->ticket.targets.count && !known->working && !known->saving &&
                   !known->watches && !known->unreadable;
    struct ticket t;
    if (known && !refused) {
        if (check_same(agent, spec, known, err) < 0)
            return -1;
        *ret_run = known;
        *ret_joined = true;
        return 0;
    }
    if (check_open(agent, err) < 0 || check_spec(spec, err) < 0)
        return -1;
    if (make_ticket(agent, spec, &t, err) < 0) {
        ticket_done(&t);
        return -1;
    }
    if (refused)
        forget_refused(agent, known);
    struct run *run = run_new(agent, &t);
    run->cancel_on_disconnect = spec->cancel_on_disconnect;
    if (!run_save_later(run, on_begun, NULL)) {
        run_remove(run);
        return err_set(err, ERR_BUSY, "too many restores are written down in this moment: ask again");
    }
    char target[CHAIN_TARGET_TEXT_MAX];
    log_event(LOG_INFO, "restore was asked for", "restore", t.id, "request", t.request_id, "to",
              chain_target_format(target, &t.request.target), "by", t.by, "reason", t.reason, NULL);
    *ret_run = run;
    *ret_joined = false;
    return 0;
}

/* ---- again ---- */

/* As it was: the file says so still. */
static void end_again(struct run *run) {
    run->ticket.err = run->err_before;
    run->ticket.ended = run->durable = true;
    run->state = RUN_ENDED;
}

static void on_resumed(void *user, struct run *run, const struct err *err) {
    (void)user;
    run->durable = true;
    if (atomic_load(&run->agent->stopping))
        return;
    tell_begun(run, err);
    if (err->class != ERR_NONE) {
        drop_watches(run);
        end_again(run);
        return;
    }
    run->unreadable = false;
    scheduler_wake(run->agent);
}

static int check_resume(struct agent *agent, const struct run *run, struct err *err) {
    const struct ticket_names *left = &run->ticket.left;
    if (run->working || run->saving || run->dropping)
        return err_set(err, ERR_BUSY, "restore %s has just ended: ask again", run->ticket.id);
    if (!left->count) {
        err_set(err, ERR_STATE, "restore %s left nothing that could be gone on with", run->ticket.id);
        return err_hint(err, "Ask for another one");
    }
    for (const struct run *other = agent->restores->runs; other; other = other->next)
        for (size_t i = 0; other != run && other->state != RUN_ENDED && i < left->count; i++)
            if (ticket_names_has(&other->ticket.targets, left->items[i]))
                return err_set(err, ERR_CONFLICT, "database '%s' is being restored by %s", left->items[i], other->ticket.id);
    return check_open(agent, err);
}

int restores_resume(struct agent *agent, struct run *run, bool cancel_on_disconnect, bool *ret_joined, struct err *err) {
    struct ticket *t = &run->ticket;
    *ret_joined = run->state != RUN_ENDED;
    if (*ret_joined)
        return 0;
    if (check_resume(agent, run, err) < 0)
        return -1;
    run->err_before = t->err;
    err_clear(&t->err);
    t->ended = t->cancelled = false;
    atomic_store(&run->cancel, false);
    run->durable = false;
    if (!run_save_later(run, on_resumed, NULL)) {
        end_again(run);
        return err_set(err, ERR_BUSY, "too many restores are written down in this moment: ask again");
    }
    ticket_names_clear(&t->targets);
    for (size_t i = 0; i < t->left.count; i++)
        ticket_names_add(&t->targets, t->left.items[i]);
    t->finished_at = 0;
    run->state = RUN_QUEUED;
    run->earlier_life = true; /* it changed something already: it waits for server and store as long as it takes */
    run->cancel_on_disconnect = cancel_on_disconnect;
    run->attempts = 0;
    run->retry_pause_us = 0;
    err_clear(&run->waiting_for);
    log_event(LOG_INFO, "restore is gone on with", "restore", t->id, "request", t->request_id, NULL);
    return 0;
}
