/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/actions.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/reconcile/look.h"

void actions_init(struct actions *actions) {
    *actions = (struct actions){0};
}

void actions_done(struct actions *actions) {
    for (size_t i = 0; i < actions->count; i++) {
        struct action *a = &actions->list[i];
        mem_free(a->namespace), mem_free(a->name), mem_free(a->uid);
        mem_free(a->pod_uid), mem_free(a->id), mem_free(a->reason), mem_free(a->text);
        json_decref(a->body);
    }
    mem_free(actions->list);
    json_decref(actions->status);
    actions_init(actions);
}

static struct action *add(struct actions *actions, enum action_type type, enum world_kind kind) {
    actions->list = mem_grow(actions->list, &actions->cap, actions->count + 1, sizeof(*actions->list));
    struct action *a = &actions->list[actions->count++];
    *a = (struct action){.type = type, .kind = kind};
    return a;
}

static struct action *about(struct actions *actions, enum action_type type, enum world_kind kind, const char *namespace,
                            const char *name) {
    struct action *a = add(actions, type, kind);
    a->namespace = mem_strdup(namespace);
    a->name = mem_strdup(name);
    return a;
}

static void with_body(struct actions *actions, enum action_type type, enum world_kind kind, json_t *body) {
    const struct kube_kind *k = world_kind_of(kind);
    char version[128];
    snprintf(version, sizeof(version), "%s%s%s", k->group, *k->group ? "/" : "", k->version);
    json_object_set_new(body, "apiVersion", json_string(version));
    json_object_set_new(body, "kind", json_string(k->kind));
    about(actions, type, kind, kube_namespace(body), kube_name(body))->body = body;
}

void actions_apply(struct actions *actions, enum world_kind kind, json_t *body) {
    with_body(actions, ACTION_APPLY, kind, body);
}

void actions_create(struct actions *actions, enum world_kind kind, json_t *body) {
    with_body(actions, ACTION_CREATE, kind, body);
}

void actions_delete(struct actions *actions, enum world_kind kind, const json_t *object) {
    about(actions, ACTION_DELETE, kind, kube_namespace(object), kube_name(object))->uid = mem_strdup(kube_uid(object));
}

void actions_event(struct actions *actions, bool warning, const char *reason, const char *fmt, ...) {
    struct action *a = add(actions, ACTION_EVENT, WORLD_KIND_COUNT);
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    a->warning = warning;
    a->reason = mem_strdup(reason);
    a->text = mem_strdup(text);
}

static struct action *to_pod(struct actions *actions, enum action_type type, const char *pod_uid, const char *id) {
    struct action *a = add(actions, type, WORLD_KIND_COUNT);
    a->pod_uid = mem_strdup(pod_uid);
    a->id = id ? mem_strdup(id) : NULL;
    return a;
}

void actions_push(struct actions *actions, const char *pod_uid, json_t *policy) {
    to_pod(actions, ACTION_PUSH, pod_uid, NULL)->body = policy;
}

void actions_command(struct actions *actions, const char *pod_uid, const char *id, int64_t deadline_at, json_t *body) {
    struct action *a = to_pod(actions, ACTION_COMMAND, pod_uid, id);
    a->body = body;
    a->deadline_at = deadline_at;
}

void actions_cancel(struct actions *actions, const char *pod_uid, const char *id) {
    to_pod(actions, ACTION_CANCEL, pod_uid, id);
}

void actions_forget(struct actions *actions, const char *pod_uid, const char *id) {
    to_pod(actions, ACTION_FORGET, pod_uid, id);
}

void actions_requeue(struct actions *actions, int64_t at) {
    if (at > 0 && (!actions->requeue_at || at < actions->requeue_at))
        actions->requeue_at = at;
}

static json_t *action_json(const struct action *a) {
    static const char *const words[] = {"apply", "create", "delete", "read", "event", "push", "command", "cancel", "forget"};
    json_t *out = json_pack("{s:s}", "do", words[a->type]);
    if (a->kind < WORLD_KIND_COUNT)
        json_object_set_new(out, "kind", json_string(world_kind_of(a->kind)->kind));
    look_put_text(out, "namespace", a->namespace);
    look_put_text(out, "name", a->name);
    look_put_text(out, "uid", a->uid);
    look_put_text(out, "pod", a->pod_uid);
    look_put_text(out, "id", a->id);
    look_put_text(out, "reason", a->reason);
    look_put_text(out, "text", a->text);
    look_put_time(out, "deadline", a->deadline_at);
    if (a->type == ACTION_EVENT)
        json_object_set_new(out, "warning", json_boolean(a->warning));
    if (a->body)
        json_object_set(out, "body", a->body);
    return out;
}

json_t *actions_to_json(const struct actions *actions) {
    json_t *out = json_object(), *list = json_array();
    for (size_t i = 0; i < actions->count; i++)
        json_array_append_new(list, action_json(&actions->list[i]));
    json_object_set_new(out, "actions", list);
    if (actions->status)
        json_object_set(out, "status", actions->status);
    look_put_time(out, "requeueAt", actions->requeue_at);
    return out;
}

enum world_known world_want(const struct world *world, struct actions *actions, enum world_kind kind, const char *namespace,
                            const char *name, const json_t **ret_object) {
    enum world_known known = world_get(world, kind, namespace, name, ret_object);
    if (known == WORLD_UNREAD)
        about(actions, ACTION_READ, kind, namespace, name);
    return known;
}
