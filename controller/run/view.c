/* SPDX-License-Identifier: Apache-2.0 */
/* The world of one key, from what is known here. */
#include <stdlib.h>
#include <string.h>

#include "controller/run/run_int.h"
#include "controller/run/work.h"

/* Versions are numbers in practice; where they are not, the cache counts. */
static bool is_newer(const json_t *a, const json_t *b) {
    return strtoull(kube_resource_version(a), NULL, 10) > strtoull(kube_resource_version(b), NULL, 10);
}

const json_t *view_object(struct run *run, enum world_kind kind, const char *namespace, const char *name) {
    const json_t *cached = kube_cache_get(run->watches[kind].cache, namespace, name);
    char key[RUN_KEY_MAX];
    run_key(key, kind, namespace, name);
    struct memo *memo = cached ? memo_get(run, key) : NULL;
    if (!memo || !memo->written)
        return cached;
    if (!strcmp(kube_uid(cached), memo->uid) && is_newer(memo->written, cached))
        return memo->written; /* the watch has not brought our own write yet */
    json_decref(memo->written);
    memo->written = NULL;
    return cached;
}

static enum world_known get(void *user, enum world_kind kind, const char *namespace, const char *name,
                            const json_t **ret_object) {
    struct work *work = user;
    struct run *run = work->run;
    if (kind >= WORLD_WATCHED_COUNT)
        return reads_get(run->reads, kind, namespace, name, work->key, ret_object);
    *ret_object = view_object(run, kind, namespace, name);
    return *ret_object ? WORLD_THERE : WORLD_ABSENT;
}

struct each {
    const char *namespace;
    void (*fn)(void *fn_user, const json_t *object);
    void *fn_user;
};

static void one(void *user, json_t *object) {
    struct each *e = user;
    if (!e->namespace || !strcmp(kube_namespace(object), e->namespace))
        e->fn(e->fn_user, object);
}

static void each(void *user, enum world_kind kind, const char *namespace, void (*fn)(void *fn_user, const json_t *object),
                 void *fn_user) {
    struct work *work = user;
    struct each e = {namespace, fn, fn_user};
    if (kind < WORLD_WATCHED_COUNT)
        kube_cache_each(work->run->watches[kind].cache, one, &e);
}

static bool session(void *user, const char *pod_uid, struct world_session *ret_session) {
    struct work *work = user;
    const struct run_sidecars *s = &work->run->options.sidecars;
    return s->session && s->session(s->user, pod_uid, ret_session);
}

static bool command(void *user, const char *id, struct world_command *ret_command) {
    struct work *work = user;
    const struct run_sidecars *s = &work->run->options.sidecars;
    const struct errand *errand = errand_get(work->run, id);
    return errand && s->command && s->command(s->user, errand->pod_uid, id, ret_command);
}

const struct world_ops view_ops = {get, each, session, command};
