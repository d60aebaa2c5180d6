/* SPDX-License-Identifier: Apache-2.0 */
/* Takes keys, lets the reconciler decide, and carries out what it wants: one action after the other, the status last. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/status.h"
#include "controller/run/work.h"

#define FIGURES_EVERY_US (60 * CLOCK_SECOND)

static reconcile_fn *const reconcilers[WORLD_OWN_COUNT] = {
    [WORLD_INSTANCE] = reconcile_instance, [WORLD_POLICY] = reconcile_policy, [WORLD_BACKUP] = reconcile_backup,
    [WORLD_REQUEST] = reconcile_request,   [WORLD_JOB] = reconcile_job,
};

static void step(struct work *work);

static void requeue(struct run *run, const char *key, int64_t wall_at) {
    int64_t wait_us = wall_at - clock_wall();
    kube_queue_add(run->queue, key, clock_mono_us() + (wait_us > 0 ? wait_us : 0));
}

static void end(struct work *work) {
    struct run *run = work->run;
    int64_t now = clock_mono_us();
    if (work->actions.requeue_at)
        requeue(run, work->key, work->actions.requeue_at);
    kube_queue_end(run->queue, work->key, work->failed, now);
    if (run->options.hooks.reconciled)
        run->options.hooks.reconciled(run->options.hooks.user, world_kind_of(work->kind)->kind, work->failed,
                                      (double)(now - work->begun_us) / 1e6);
    *work->at = work->later;
    if (work->later)
        work->later->at = work->at;
    actions_done(&work->actions);
    json_decref(work->object);
    mem_free(work->key);
    mem_free(work);
    worker_kick(run);
}

/* ---- the status ---- */

static void on_status(void *user, const struct kube_result *result) {
    struct work *work = user;
    work->call = NULL;
    if (result->err.class == ERR_NONE) {
        struct memo *memo = memo_get(work->run, work->key);
        if (memo && !strcmp(memo->uid, kube_uid(result->object))) {
            json_decref(memo->written);
            memo->written = json_incref(result->object);
            memo->figures_us = clock_mono_us();
        }
        if (work->run->options.hooks.status_written)
            work->run->options.hooks.status_written(work->run->options.hooks.user, world_kind_of(work->kind)->kind, work->urgent);
    } else if (result->status != 404 && result->status != 409) { /* gone, or another one of the name */
        log_error(LOG_WARN, &result->err, "status was not written", "object", work->key, NULL);
        work->failed = true;
    }
    end(work);
}

/* What could not be done stands in the status, until the next look succeeds. */
static json_t *with_failure(const struct work *work) {
    const json_t *old = look(work->object, "status");
    json_t *status = work->actions.status ? json_deep_copy(work->actions.status) : old ? json_deep_copy(old) : json_object();
    json_t *list = json_array(), *c;
    size_t i;
    int64_t since = 0;
    json_array_foreach(look(old, "conditions"), i, c) {
        if (!strcmp(look_text(c, "type"), "Reconciled"))
            since = look_time(c, "lastTransitionTime");
    }
    json_array_foreach(json_object_get(status, "conditions"), i, c) {
        if (strcmp(look_text(c, "type"), "Reconciled") != 0)
            json_array_append(list, c);
    }
    c = json_pack("{s:s, s:s, s:s, s:o}", "type", "Reconciled", "status", "False", "reason",
                  work->err.class == ERR_PERMISSION ? "Forbidden" : "ActionFailed", "message", look_clean(work->err.text));
    look_put_time(c, "lastTransitionTime", since ? since : clock_wall());
    json_array_append_new(list, c);
    json_object_set_new(status, "conditions", list);
    return status;
}

static bool may_write(struct work *work, const json_t *status) {
    struct run *run = work->run;
    const struct memo *memo = memo_get(run, work->key);
    int64_t now = clock_mono_us();
    work->urgent = status_urgent(look(work->object, "status"), status);
    if (work->urgent)
        return true;
    int64_t due = memo && memo->figures_us ? memo->figures_us + FIGURES_EVERY_US : 0;
    int64_t wait = due > now ? due - now : kube_limit_take(&run->figures, now);
    if (wait > 0)
        kube_queue_add(run->queue, work->key, now + wait);
    return wait <= 0;
}

static void write_status(struct work *work) {
    json_t *status = work->failed ? with_failure(work) : json_incref(work->actions.status);
    const json_t *old = look(work->object, "status");
    if (!status || (old && json_equal(status, (json_t *)(uintptr_t)old)) || !may_write(work, status)) {
        json_decref(status);
        end(work);
        return;
    }
    const json_t *o = work->object;
    json_t *body = json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:o}", "apiVersion", look_text(o, "apiVersion"), "kind",
                             look_text(o, "kind"), "metadata", "name", kube_name(o), "namespace", kube_namespace(o), "uid",
                             kube_uid(o), "status", status);
    struct kube_op op = {.verb = KUBE_APPLY,
                         .kind = world_kind_of(work->kind),
                         .namespace = kube_namespace(o),
                         .name = kube_name(o),
                         .subresource = "status",
                         .body = body,
                         .force = true};
    work->call = kube_start(work->run->options.client, &op, on_status, work);
    json_decref(body);
}

/* ---- actions ---- */

static void failed(struct work *work, const struct err *err) {
    log_error(LOG_WARN, err, "an action failed; it is tried again", "object", work->key, NULL);
    if (!work->failed)
        err_copy(&work->err, err);
    work->failed = true;
}

static void on_action(void *user, const struct kube_result *result) {
    struct work *work = user;
    const struct action *a = &work->actions.list[work->next];
    work->call = NULL;
    bool there_already = a->type == ACTION_CREATE && !strcmp(result->reason, "AlreadyExists");
    bool gone_already = a->type == ACTION_DELETE && (result->status == 404 || result->status == 409);
    if (result->err.class != ERR_NONE && !there_already && !gone_already)
        failed(work, &result->err);
    else if (result->err.class == ERR_NONE && a->kind >= WORLD_WATCHED_COUNT && a->type != ACTION_DELETE)
        reads_put(work->run->reads, a->kind, result->object);
    work->next++;
    step(work);
}

static void call(struct work *work, const struct action *a) {
    static const enum kube_verb verbs[] = {
        [ACTION_APPLY] = KUBE_APPLY, [ACTION_CREATE] = KUBE_CREATE, [ACTION_DELETE] = KUBE_DELETE};
    struct kube_op op = {.verb = verbs[a->type],
                         .kind = world_kind_of(a->kind),
                         .namespace = a->namespace,
                         .name = a->type == ACTION_CREATE ? NULL : a->name,
                         .body = a->body,
                         .uid = a->uid,
                         .force = a->type == ACTION_APPLY};
    work->call = kube_start(work->run->options.client, &op, on_action, work);
}

static void at_once(struct work *work, const struct action *a) {
    struct run *run = work->run;
    const struct run_sidecars *s = &run->options.sidecars;
    struct err err = {0};
    int rc = 0;
    if (a->type == ACTION_READ) {
        reads_want(run->reads, a->kind, a->namespace, a->name, work->key);
    } else if (a->type == ACTION_EVENT) {
        kube_events_say(run->events, work->object, a->warning, a->reason, a->text);
    } else if (!s->session) {
        return;
    } else if (a->type == ACTION_PUSH) {
        rc = s->push(s->user, a->pod_uid, kube_uid(work->object), look_int(work->object, "metadata.generation", 0), a->body,
                     &err);
    } else if (a->type == ACTION_COMMAND) {
        errand_note(run, a->id, a->pod_uid);
        rc = s->give(s->user, a->pod_uid, a->id, a->deadline_at, a->body, &err);
    } else if (a->type == ACTION_CANCEL) {
        s->cancel(s->user, a->pod_uid, a->id);
    } else if (a->type == ACTION_FORGET) {
        s->acknowledge(s->user, a->pod_uid, a->id);
        errand_drop(run, a->id);
    }
    if (rc < 0)
        failed(work, &err);
}

static void step(struct work *work) {
    for (; work->next < work->actions.count; work->next++) {
        const struct action *a = &work->actions.list[work->next];
        if (a->type <= ACTION_DELETE) {
            call(work, a);
            return;
        }
        at_once(work, a);
    }
    write_status(work);
}

static void work_on(struct run *run, const char *key) {
    char namespace[254], name[254];
    enum world_kind kind;
    const json_t *object = run_key_split(key, &kind, namespace, name) ? view_object(run, kind, namespace, name) : NULL;
    if (!object) { /* gone meanwhile */
        kube_queue_end(run->queue, key, false, clock_mono_us());
        return;
    }
    struct work *work = mem_alloc(sizeof(*work));
    *work = (struct work){.run = run,
                          .key = mem_strdup(key),
                          .kind = kind,
                          .object = json_incref((json_t *)(uintptr_t)object),
                          .begun_us = clock_mono_us(),
                          .later = run->working,
                          .at = &run->working};
    if (run->working)
        run->working->at = &work->later;
    run->working = work;
    struct world world = {
        .ops = &view_ops, .user = work, .settings = &run->settings, .now_at = clock_wall(), .object = work->object};
    world_begin(&world);
    actions_init(&work->actions);
    reconcilers[kind](&world, &work->actions);
    step(work);
}

/* Not before everything was read once, or what was not read yet would look as if it did not exist. What may not be read, and kinds
 * that this cluster does not have, are not waited for. */
static bool can_work(const struct run *run) {
    for (int k = 0; k < WORLD_WATCHED_COUNT; k++) {
        const struct run_watch *watch = &run->watches[k];
        if (!watch->synced && watch->trouble.class != ERR_PERMISSION && watch->trouble.class != ERR_NOT_FOUND)
            return false;
    }
    return run->leading && !run->stopping;
}

static void pump(struct run *run) {
    const char *key;
    while (can_work(run) && kube_queue_take(run->queue, clock_mono_us(), &key))
        work_on(run, key);
    if (run->stopping && !run->working && run->idle) {
        void (*idle)(void *user) = run->idle;
        run->idle = NULL;
        idle(run->idle_user);
    }
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events) {
    (void)ev, (void)events;
    struct run *run = w->data;
    pump(run);
    worker_kick(run);
}

/* Sets the timer to when there is something to do: never works inside of the caller. */
void worker_kick(struct run *run) {
    struct ev_loop *ev = run->options.ev;
    int64_t next = can_work(run) ? kube_queue_next_us(run->queue) : INT64_MAX, now = clock_mono_us();
    if (run->stopping && run->idle && !run->working)
        next = now;
    ev_timer_stop(ev, &run->timer);
    if (next == INT64_MAX)
        return;
    ev_timer_init(&run->timer, on_timer, next > now ? (double)(next - now) / 1e6 : 0., 0.);
    run->timer.data = run;
    ev_timer_start(ev, &run->timer);
}

void worker_cancel(struct run *run) {
    for (struct work *work = run->working, *later; work; work = later) {
        later = work->later;
        kube_cancel(work->call);
        actions_done(&work->actions);
        json_decref(work->object);
        mem_free(work->key);
        mem_free(work);
    }
    run->working = NULL;
}
