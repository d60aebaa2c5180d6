/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/run/run.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/run/work.h"

#define FIGURES_PER_SECOND 20
#define IN_FLIGHT_MAX 16

static void on_synced(void *user) {
    struct run_watch *watch = user;
    watch->synced = true;
    if (watch->run->leading)
        feed_all(watch->run); /* what was decided before may have missed objects of this kind */
    worker_kick(watch->run);
}

static void on_trouble(void *user, const char *namespace, const struct err *err) {
    struct run_watch *watch = user;
    const char *kind = world_kind_of(watch->kind)->kind;
    if (!err) {
        watch->trouble = (struct err){0};
        log_event(LOG_INFO, "can be read again", "kind", kind, "namespace", namespace ? namespace : "", NULL);
        return;
    }
    err_copy(&watch->trouble, err);
    worker_kick(watch->run);
    log_error(LOG_WARN, err, "cannot be read; it is tried again", "kind", kind, "namespace", namespace ? namespace : "", NULL);
}

static void on_restarted(void *user, const char *why) {
    struct run_watch *watch = user;
    const struct run_hooks *hooks = &watch->run->options.hooks;
    if (hooks->watch_restarted)
        hooks->watch_restarted(hooks->user, world_kind_of(watch->kind)->kind, why);
}

static void on_read(void *user, const char *key) {
    struct run *run = user;
    kube_queue_add(run->queue, key, clock_mono_us());
    worker_kick(run);
}

struct run *run_new(const struct run_options *options) {
    struct run *run = mem_alloc(sizeof(*run));
    *run = (struct run){.options = *options, .settings = options->settings};
    struct kube_queue_options queue = {.in_flight_max = IN_FLIGHT_MAX};
    run->queue = kube_queue_new(&queue);
    run->events = kube_events_new(options->client, options->ev, "mssql-controller");
    run->reads = reads_new(options->ev, options->client, on_read, run);
    kube_map_init(&run->memos);
    kube_map_init(&run->keys);
    kube_map_init(&run->pods);
    kube_map_init(&run->errands);
    kube_limit_init(&run->figures, FIGURES_PER_SECOND, FIGURES_PER_SECOND, clock_mono_us());
    for (int k = 0; k < WORLD_WATCHED_COUNT; k++) {
        struct run_watch *watch = &run->watches[k];
        *watch = (struct run_watch){.run = run, .kind = (enum world_kind)k};
        struct kube_cache_options cache = {.client = options->client,
                                           .ev = options->ev,
                                           .kind = world_kind_of(watch->kind),
                                           .namespaces = options->namespaces,
                                           .user = watch,
                                           .changed = feed_changed,
                                           .synced = on_synced,
                                           .trouble = on_trouble,
                                           .restarted = on_restarted};
        watch->cache = kube_cache_new(&cache);
    }
    return run;
}

void run_free(struct run *run) {
    if (!run)
        return;
    ev_timer_stop(run->options.ev, &run->timer);
    worker_cancel(run);
    for (int k = 0; k < WORLD_WATCHED_COUNT; k++)
        kube_cache_free(run->watches[k].cache);
    reads_free(run->reads);
    kube_events_free(run->events);
    kube_queue_free(run->queue);
    memo_done(run);
    mem_free(run);
}

void run_lead(struct run *run) {
    run->leading = true;
    run->settings.leading_since_at = clock_wall();
    feed_all(run);
    worker_kick(run);
}

void run_stop(struct run *run, void (*idle)(void *user), void *user) {
    run->stopping = true;
    run->idle = idle;
    run->idle_user = user;
    worker_kick(run);
}

bool run_synced(const struct run *run) {
    for (int k = 0; k < WORLD_WATCHED_COUNT; k++)
        if (!run->watches[k].synced)
            return false;
    return true;
}

void run_trouble(const struct run *run, struct buf *out) {
    for (int k = 0; k < WORLD_WATCHED_COUNT; k++) {
        const struct run_watch *watch = &run->watches[k];
        if (watch->trouble.class != ERR_NONE)
            buf_printf(out, "%s: %s\n", world_kind_of(watch->kind)->plural, watch->trouble.text);
        else if (!watch->synced)
            buf_printf(out, "%s: not read yet\n", world_kind_of(watch->kind)->plural);
    }
}

const json_t *run_pod(const struct run *run, const char *namespace, const char *name, const char *uid) {
    const json_t *pod = kube_cache_get(run->watches[WORLD_POD].cache, namespace, name);
    return pod && !strcmp(kube_uid(pod), uid) ? pod : NULL;
}

void run_queue_stats(const struct run *run, struct kube_queue_stats *ret_stats) {
    kube_queue_get_stats(run->queue, clock_mono_us(), ret_stats);
}

size_t run_objects(const struct run *run, enum world_kind kind) {
    return kube_cache_count(run->watches[kind].cache);
}

void run_each(const struct run *run, enum world_kind kind, void (*fn)(void *user, json_t *object), void *user) {
    kube_cache_each(run->watches[kind].cache, fn, user);
}
