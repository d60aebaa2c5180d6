/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/run/reads.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/conf/keys.h"
#include "controller/kube/backoff.h"
#include "controller/kube/map.h"

#define FRESH_US (5 * CLOCK_MINUTE)
#define FIRST_MS 5000
#define LAST_MS (5 * 60 * 1000)
#define WAITERS_MAX 1000

struct entry {
    struct reads *reads;
    char *key;
    enum world_kind kind;
    char *namespace, *name;
    enum world_known known;
    json_t *object;
    int64_t at_us, again_us; /* monotonic: read at; to be read again at, 0 = when somebody asks */
    unsigned misses;
    struct kube_call *call;
    struct conf_list waiters;
};

struct reads {
    struct ev_loop *ev;
    struct kube_client *client;
    void (*changed)(void *user, const char *key);
    void *user;
    struct kube_map entries;
    ev_timer timer;
};

static void start(struct entry *e);

static void arm(struct reads *reads) {
    int64_t first = INT64_MAX, now = clock_mono_us();
    void **all = kube_map_values(&reads->entries);
    for (size_t i = 0; i < reads->entries.count; i++) {
        const struct entry *e = all[i];
        if (e->again_us && !e->call && e->waiters.count && e->again_us < first)
            first = e->again_us;
    }
    mem_free(all);
    ev_timer_stop(reads->ev, &reads->timer);
    if (first == INT64_MAX)
        return;
    ev_timer_set(&reads->timer, first > now ? (double)(first - now) / 1e6 : 0.001, 0.);
    ev_timer_start(reads->ev, &reads->timer);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int events) {
    (void)ev, (void)events;
    struct reads *reads = w->data;
    int64_t now = clock_mono_us();
    void **all = kube_map_values(&reads->entries);
    for (size_t i = 0; i < reads->entries.count; i++) {
        struct entry *e = all[i];
        if (e->again_us && e->again_us <= now && e->waiters.count)
            start(e);
    }
    mem_free(all);
    arm(reads);
}

struct reads *reads_new(struct ev_loop *ev, struct kube_client *client, void (*changed)(void *user, const char *key),
                        void *user) {
    struct reads *reads = mem_alloc(sizeof(*reads));
    *reads = (struct reads){.ev = ev, .client = client, .changed = changed, .user = user};
    kube_map_init(&reads->entries);
    ev_timer_init(&reads->timer, on_timer, 0., 0.);
    reads->timer.data = reads;
    return reads;
}

void reads_free(struct reads *reads) {
    if (!reads)
        return;
    void **all = kube_map_values(&reads->entries);
    for (size_t i = 0; i < reads->entries.count; i++) {
        struct entry *e = all[i];
        kube_cancel(e->call);
        json_decref(e->object);
        conf_list_done(&e->waiters);
        mem_free(e->key), mem_free(e->namespace), mem_free(e->name);
        mem_free(e);
    }
    mem_free(all);
    kube_map_done(&reads->entries);
    ev_timer_stop(reads->ev, &reads->timer);
    mem_free(reads);
}

static struct entry *entry_of(struct reads *reads, enum world_kind kind, const char *namespace, const char *name) {
    char *key = mem_printf("%d/%s/%s", (int)kind, namespace, name);
    struct entry *e = kube_map_get(&reads->entries, key);
    if (!e) {
        e = mem_alloc(sizeof(*e));
        *e = (struct entry){
            .reads = reads, .key = key, .kind = kind, .namespace = mem_strdup(namespace), .name = mem_strdup(name)};
        kube_map_put(&reads->entries, key, e);
        return e;
    }
    mem_free(key);
    return e;
}

static void wait_for(struct entry *e, const char *waiter) {
    for (size_t i = 0; i < e->waiters.count; i++)
        if (!strcmp(e->waiters.items[i], waiter))
            return;
    if (e->waiters.count < WAITERS_MAX)
        conf_list_add(&e->waiters, waiter);
}

/* Which keys a Secret has is all that anybody needs here. */
static json_t *without_values(enum world_kind kind, json_t *object) {
    json_t *data = kind == WORLD_SECRET ? json_object_get(object, "data") : NULL;
    if (!data)
        return json_incref(object);
    json_t *copy = json_copy(object), *keys = json_object(), *value;
    const char *key;
    json_object_foreach(data, key, value) {
        json_object_set_new(keys, key, json_string(""));
    }
    json_object_set_new(copy, "data", keys);
    return copy;
}

static void settle(struct entry *e, enum world_known known, json_t *object) {
    bool changed = known != e->known || (object && !(e->object && json_equal(object, e->object)));
    json_decref(e->object);
    e->object = object;
    e->known = known;
    e->at_us = clock_mono_us();
    e->misses = known == WORLD_THERE ? 0 : e->misses + 1;
    e->again_us = known == WORLD_THERE ? 0 : e->at_us + kube_backoff_ms(e->misses, FIRST_MS, LAST_MS, kube_random()) * 1000;
    for (size_t i = 0; changed && i < e->waiters.count; i++)
        e->reads->changed(e->reads->user, e->waiters.items[i]);
}

static void on_done(void *user, const struct kube_result *result) {
    struct entry *e = user;
    e->call = NULL;
    if (result->err.class == ERR_NONE)
        settle(e, WORLD_THERE, without_values(e->kind, result->object));
    else if (result->status == 404)
        settle(e, WORLD_ABSENT, NULL);
    else if (result->status == 403)
        settle(e, WORLD_FORBIDDEN, NULL);
    else /* the server could not be asked: what is known stays */
        e->again_us = clock_mono_us() + kube_backoff_ms(++e->misses, FIRST_MS, LAST_MS, kube_random()) * 1000;
    arm(e->reads);
}

static void start(struct entry *e) {
    if (e->call)
        return;
    struct kube_op op = {.verb = KUBE_GET, .kind = world_kind_of(e->kind), .namespace = e->namespace, .name = e->name};
    e->call = kube_start(e->reads->client, &op, on_done, e);
}

enum world_known reads_get(struct reads *reads, enum world_kind kind, const char *namespace, const char *name, const char *waiter,
                           const json_t **ret_object) {
    struct entry *e = entry_of(reads, kind, namespace, name);
    wait_for(e, waiter);
    if (e->known == WORLD_THERE && clock_mono_us() - e->at_us > FRESH_US)
        start(e);
    *ret_object = e->object;
    return e->known;
}

void reads_want(struct reads *reads, enum world_kind kind, const char *namespace, const char *name, const char *waiter) {
    struct entry *e = entry_of(reads, kind, namespace, name);
    wait_for(e, waiter);
    start(e);
}

void reads_put(struct reads *reads, enum world_kind kind, json_t *object) {
    struct entry *e = entry_of(reads, kind, kube_namespace(object), kube_name(object));
    kube_cancel(e->call); /* what it asked for is older */
    e->call = NULL;
    settle(e, WORLD_THERE, without_values(kind, object));
}

void reads_forget(struct reads *reads, const char *waiter) {
    void **all = kube_map_values(&reads->entries);
    size_t count = reads->entries.count;
    for (size_t i = 0; i < count; i++) {
        struct entry *e = all[i];
        for (size_t k = 0; k < e->waiters.count; k++) {
            if (strcmp(e->waiters.items[k], waiter) != 0)
                continue;
            mem_free(e->waiters.items[k]);
            e->waiters.items[k] = e->waiters.items[--e->waiters.count];
            break;
        }
        if (e->waiters.count)
            continue;
        kube_map_remove(&reads->entries, e->key);
        kube_cancel(e->call);
        json_decref(e->object);
        conf_list_done(&e->waiters);
        mem_free(e->key), mem_free(e->namespace), mem_free(e->name);
        mem_free(e);
    }
    mem_free(all);
    arm(reads);
}
