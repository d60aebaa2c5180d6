/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a change means for others. An object's own key always comes; the keys of those that look at it only when something changed
 * that they look at, or each status would be written because of another status.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/reconcile/find.h"
#include "controller/reconcile/look.h"
#include "controller/run/work.h"

static void feed_add(struct run *run, enum world_kind kind, const json_t *object) {
    char key[RUN_KEY_MAX];
    run_key(key, kind, kube_namespace(object), kube_name(object));
    kube_queue_add(run->queue, key, clock_mono_us());
    worker_kick(run);
}

/* What others look at, as a text to compare. */
static char *signature_of(enum world_kind kind, const json_t *object) {
    json_t *parts = json_pack("{s:s, s:b}", "uid", kube_uid(object), "going", look(object, "metadata.deletionTimestamp") != NULL);
    json_t *annotations = look(object, "metadata.annotations"), *labels = look(object, "metadata.labels");
    if (kind < WORLD_OWN_COUNT) {
        json_object_set_new(parts, "generation", json_integer(look_int(object, "metadata.generation", 0)));
        json_object_set_new(parts, "phase", json_string(look_text(object, "status.phase")));
        json_t *conditions = look(object, "status.conditions"), *c;
        size_t i;
        json_array_foreach(conditions, i, c) {
            if (!strcmp(look_text(c, "type"), "Applied"))
                json_object_set(parts, "applied", c);
        }
        if (annotations)
            json_object_set(parts, "annotations", annotations);
        if (kind == WORLD_JOB) /* its request tells the same */
            json_object_set(parts, "status", look(object, "status") ? look(object, "status") : json_null());
    } else {
        json_object_set_new(parts, "phase", json_string(look_text(object, "status.phase")));
        if (labels)
            json_object_set(parts, "labels", labels);
        if (look(object, "spec.selector"))
            json_object_set(parts, "selector", look(object, "spec.selector"));
    }
    char *text = json_dumps(parts, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(parts);
    return text;
}

/* Adds every object of ours that refers to an instance, or to its policy. */
struct referrers {
    struct run *run;
    enum world_kind kind; /* of those that are looked at */
    const char *namespace, *instance, *policy; /* NULL = any of the namespace that waits for something */
};

static bool refers(const json_t *object, const struct referrers *r) {
    static const char *const instances[] = {"spec.instanceRef", "spec"};
    const char *fields[] = {look_text(look(object, instances[0]), "name"),
                            look_text(look(object, instances[1]), "newInstanceName"), look_text(object, "spec.policyRef.name")};
    if (r->instance && (!strcmp(fields[0], r->instance) || !strcmp(fields[1], r->instance)))
        return true;
    return r->policy && !strcmp(fields[2], r->policy);
}

static void add_referrer(void *user, json_t *object) {
    struct referrers *r = user;
    const char *phase = look_text(object, "status.phase");
    bool over = r->kind >= WORLD_BACKUP && (!strcmp(phase, "Completed") || !strcmp(phase, "Failed"));
    if (!over && refers(object, r))
        feed_add(r->run, r->kind, object);
}

static void add_referrers(struct run *run, const char *instance, const char *policy) {
    for (int k = WORLD_POLICY; k < WORLD_OWN_COUNT; k++) {
        struct referrers r = {.run = run, .kind = (enum world_kind)k, .instance = instance, .policy = policy};
        kube_cache_each(run->watches[k].cache, add_referrer, &r);
    }
}

/* Instances, and whoever goes directly for a Service (targetConnection), that this pod or Service may be the one of. */
struct near {
    struct run *run;
    enum world_kind kind;
    const json_t *pod; /* NULL: `service` itself changed */
    const char *namespace, *service;
    bool figures;
};

static bool selects(struct run *run, const char *namespace, const char *service, const json_t *pod) {
    const json_t *object = kube_cache_get(run->watches[WORLD_SERVICE].cache, namespace, service);
    const json_t *selector = look(object, "spec.selector");
    return json_object_size(selector) && look_within(selector, look(pod, "metadata.labels"));
}

static bool is_near(const struct near *n, const json_t *object) {
    static const char *const paths[] = {"spec.connection.host", "spec.targetConnection.host"};
    struct work work = {.run = n->run};
    struct world world = {.ops = &view_ops, .user = &work};
    const char *label = json_string_value(json_object_get(look(n->pod, "metadata.labels"), FIND_LABEL));
    if (label && !strcmp(label, kube_name(object)))
        return true;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct find_host host;
        const char *text = look_text(object, paths[i]);
        if (!*text || !find_host(&world, kube_namespace(object), text, &host) || strcmp(host.namespace, n->namespace) != 0)
            continue;
        if (n->pod ? selects(n->run, host.namespace, host.service, n->pod) : !strcmp(host.service, n->service))
            return true;
    }
    return false;
}

static void add_near(void *user, json_t *object) {
    struct near *n = user;
    if (strcmp(kube_namespace(object), n->namespace) != 0 || !is_near(n, object))
        return;
    feed_add(n->run, n->kind, object);
    if (n->kind != WORLD_INSTANCE)
        return;
    char policy[300];
    snprintf(policy, sizeof(policy), "%s-backup-policy", kube_name(object));
    if (!n->figures)
        add_referrers(n->run, kube_name(object), policy);
}

static void add_all_near(struct run *run, const json_t *pod, const json_t *service, bool figures) {
    static const enum world_kind kinds[] = {WORLD_INSTANCE, WORLD_REQUEST, WORLD_JOB};
    struct near n = {.run = run, .pod = pod, .namespace = kube_namespace(pod ? pod : service), .figures = figures};
    n.service = service ? kube_name(service) : "";
    for (size_t i = 0; i < (figures ? 1 : ARRAY_LEN(kinds)); i++) {
        n.kind = kinds[i];
        kube_cache_each(run->watches[n.kind].cache, add_near, &n);
    }
}

/* Policies that name each other's instance, and instances of one server, look at one another. */
static void add_rival(void *user, json_t *object) {
    struct near *n = user;
    if (!strcmp(kube_namespace(object), n->namespace))
        feed_add(n->run, n->kind, object);
}

static void changed_own(struct run *run, enum world_kind kind, const json_t *object, bool deleted) {
    struct near n = {.run = run, .kind = kind, .namespace = kube_namespace(object)};
    char policy[300];
    if (kind == WORLD_INSTANCE) {
        snprintf(policy, sizeof(policy), "%s-backup-policy", kube_name(object));
        add_referrers(run, kube_name(object), policy);
        if (deleted)
            kube_cache_each(run->watches[kind].cache, add_rival, &n);
    } else if (kind == WORLD_POLICY) {
        add_referrers(run, NULL, kube_name(object));
        const json_t *instance = view_object(run, WORLD_INSTANCE, n.namespace, look_text(object, "spec.instanceRef.name"));
        if (instance)
            feed_add(run, WORLD_INSTANCE, instance);
        if (deleted)
            kube_cache_each(run->watches[kind].cache, add_rival, &n);
    } else if (kind == WORLD_JOB) {
        const json_t *request = view_object(run, WORLD_REQUEST, n.namespace, look_text(object, "spec.requestRef.name"));
        if (request)
            feed_add(run, WORLD_REQUEST, request);
    }
}

static void note_pod(struct run *run, enum kube_event_type type, const json_t *pod) {
    const struct run_sidecars *s = &run->options.sidecars;
    const char *uid = kube_uid(pod);
    if (type == KUBE_DELETED) {
        mem_free(kube_map_remove(&run->pods, uid));
        if (s->gone)
            s->gone(s->user, uid);
    } else if (!kube_map_get(&run->pods, uid)) {
        kube_map_put(&run->pods, uid, mem_printf("%s/%s", kube_namespace(pod), kube_name(pod)));
    }
}

/* A command whose object is gone: its result is wanted by nobody, and would stay at the sidecar for ever. */
static void let_go(struct run *run, const char *pod_uid, const char *id) {
    const struct run_sidecars *s = &run->options.sidecars;
    struct world_command command;
    if (!run->leading || !run_synced(run) || !s->command || !s->command(s->user, pod_uid, id, &command) ||
        command.state != WORLD_COMMAND_DONE)
        return;
    s->acknowledge(s->user, pod_uid, id);
    errand_drop(run, id);
}

static void let_go_all(struct run *run, const char *uid) {
    void **all = kube_map_values(&run->errands);
    size_t count = run->errands.count;
    for (size_t i = 0; i < count; i++) {
        const struct errand *e = all[i];
        char *id = mem_strdup(e->id), *pod_uid = mem_strdup(e->pod_uid);
        if (strlen(id) > 2 && !strncmp(id + 2, uid, strlen(uid)))
            let_go(run, pod_uid, id);
        mem_free(id);
        mem_free(pod_uid);
    }
    mem_free(all);
}

void feed_changed(void *user, enum kube_event_type type, const json_t *object) {
    struct run_watch *watch = user;
    struct run *run = watch->run;
    char key[RUN_KEY_MAX];
    bool deleted = type == KUBE_DELETED;
    run_key(key, watch->kind, kube_namespace(object), kube_name(object));
    if (watch->kind == WORLD_POD)
        note_pod(run, type, object);
    char *signature = deleted ? NULL : signature_of(watch->kind, object);
    struct memo *memo = deleted ? memo_get(run, key) : memo_make(run, key, kube_uid(object));
    bool matters = deleted || strcmp(memo->signature, signature) != 0;
    if (deleted) {
        memo_drop(run, key);
        reads_forget(run->reads, key);
        if (watch->kind < WORLD_OWN_COUNT)
            let_go_all(run, kube_uid(object));
    } else {
        mem_free(memo->signature);
        memo->signature = mem_strdup(signature);
    }
    free(signature);
    if (watch->kind < WORLD_OWN_COUNT) {
        if (!deleted)
            feed_add(run, watch->kind, object);
        if (matters)
            changed_own(run, watch->kind, object, deleted);
    } else if (matters) {
        add_all_near(run, watch->kind == WORLD_POD ? object : NULL, watch->kind == WORLD_POD ? NULL : object, false);
    }
}

static void add_one(void *user, json_t *object) {
    struct near *n = user;
    feed_add(n->run, n->kind, object);
}

void feed_all(struct run *run) {
    for (int k = 0; k < WORLD_OWN_COUNT; k++) {
        struct near n = {.run = run, .kind = (enum world_kind)k};
        kube_cache_each(run->watches[k].cache, add_one, &n);
    }
}

void run_sidecar_changed(struct run *run, const char *pod_uid, bool figures) {
    const char *where = kube_map_get(&run->pods, pod_uid);
    const char *slash = where ? strchr(where, '/') : NULL;
    if (!slash)
        return;
    char *namespace = mem_strndup(where, (size_t)(slash - where));
    const json_t *pod = kube_cache_get(run->watches[WORLD_POD].cache, namespace, slash + 1);
    if (pod)
        add_all_near(run, pod, NULL, figures);
    mem_free(namespace);
}

/* Ids of commands are a letter, '-', the uid of the object, and perhaps a number behind another '-'. */
void run_command_changed(struct run *run, const char *pod_uid, const char *id) {
    errand_note(run, id, pod_uid);
    if (strlen(id) < 3)
        return;
    char uid[64];
    snprintf(uid, sizeof(uid), "%.36s", id + 2);
    const struct memo *memo = kube_map_get(&run->keys, uid);
    if (!memo) {
        let_go(run, pod_uid, id);
        return;
    }
    kube_queue_add(run->queue, memo->key, clock_mono_us());
    worker_kick(run);
}
