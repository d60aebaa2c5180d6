/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/backoff.h"
#include "controller/kube/client_int.h"

#define PATH_MAX_BYTES 8192 /* a continue token is long */

static const struct {
    const char *name, *method, *content_type;
    bool named, body;
} verbs[KUBE_VERB_COUNT] = {
    [KUBE_GET] = {"get", "GET", NULL, true, false},
    [KUBE_LIST] = {"list", "GET", NULL, false, false},
    [KUBE_WATCH] = {"watch", "GET", NULL, false, false},
    [KUBE_CREATE] = {"create", "POST", "application/json", false, true},
    [KUBE_UPDATE] = {"update", "PUT", "application/json", true, true},
    [KUBE_APPLY] = {"patch", "PATCH", "application/apply-patch+yaml", true, true}, /* JSON is YAML */
    [KUBE_PATCH] = {"patch", "PATCH", "application/merge-patch+json", true, true},
    [KUBE_DELETE] = {"delete", "DELETE", "application/json", true, false},
};

const char *kube_verb_name(enum kube_verb verb) {
    return verbs[verb].name;
}

const char *kube_request_method(enum kube_verb verb) {
    return verbs[verb].method;
}

const char *kube_request_content_type(enum kube_verb verb) {
    return verbs[verb].content_type;
}

static void query_number(struct buf *path, const char *key, unsigned value) {
    char text[16];
    snprintf(text, sizeof(text), "%u", value);
    kube_query_append(path, key, text);
}

static void add_query(const struct kube_client *client, const struct kube_op *op, struct buf *path) {
    if (op->labels)
        kube_query_append(path, "labelSelector", op->labels);
    if (op->fields)
        kube_query_append(path, "fieldSelector", op->fields);
    if (op->resource_version)
        kube_query_append(path, "resourceVersion", op->resource_version);
    if (op->verb == KUBE_LIST && op->limit)
        query_number(path, "limit", op->limit);
    if (op->verb == KUBE_LIST && op->cont)
        kube_query_append(path, "continue", op->cont);
    if (op->verb == KUBE_WATCH) {
        kube_query_append(path, "watch", "1");
        kube_query_append(path, "allowWatchBookmarks", "true");
        if (op->streaming) {
            kube_query_append(path, "sendInitialEvents", "true");
            kube_query_append(path, "resourceVersionMatch", "NotOlderThan");
        }
        query_number(path, "timeoutSeconds", client->options.watch_s + kube_random() % client->options.watch_s);
    }
    if (op->verb == KUBE_APPLY || op->verb == KUBE_CREATE || op->verb == KUBE_UPDATE || op->verb == KUBE_PATCH)
        kube_query_append(path, "fieldManager", KUBE_FIELD_MANAGER);
    if (op->verb == KUBE_APPLY && op->force)
        kube_query_append(path, "force", "true");
}

static void add_body(struct kube_call *call, const struct kube_op *op) {
    if (verbs[op->verb].body)
        call->body = json_dumps(op->body, JSON_COMPACT);
    else if (op->verb == KUBE_DELETE) {
        json_t *options = json_pack("{s:s, s:s, s:s}", "apiVersion", "v1", "kind", "DeleteOptions", "propagationPolicy",
                                    "Background");
        if (op->uid)
            json_object_set_new(options, "preconditions", json_pack("{s:s}", "uid", op->uid));
        call->body = json_dumps(options, JSON_COMPACT);
        json_decref(options);
    }
    call->body_len = call->body ? strlen(call->body) : 0;
}

static int check(const struct kube_op *op, struct err *err) {
    bool all = op->verb == KUBE_LIST || op->verb == KUBE_WATCH;
    if (verbs[op->verb].named != (op->name != NULL))
        return err_set(err, ERR_USAGE, "%s", op->name ? "takes no name" : "needs a name");
    if (!all && op->kind->namespaced && !op->namespace)
        return err_set(err, ERR_USAGE, "needs a namespace");
    if (verbs[op->verb].body && !json_is_object(op->body))
        return err_set(err, ERR_USAGE, "needs an object");
    if ((op->verb == KUBE_WATCH) != (op->on_event != NULL))
        return err_set(err, ERR_USAGE, "on_event is for watches");
    return 0;
}

static char *text_or_empty(const char *s) {
    return mem_strdup(s ? s : "");
}

void kube_request_build(struct kube_call *call, const struct kube_op *op) {
    struct buf path;
    call->verb = op->verb;
    call->kind = op->kind;
    call->on_event = op->on_event;
    call->namespace = text_or_empty(op->namespace);
    call->name = text_or_empty(op->name);
    call->subresource = text_or_empty(op->subresource);
    buf_init(&path, PATH_MAX_BYTES);
    if (check(op, &call->wrong) == 0 &&
        kube_path_append(&path, op->kind, op->namespace, op->name, op->subresource, &call->wrong) == 0) {
        add_query(call->client, op, &path);
        add_body(call, op);
        if (path.overflow)
            err_set(&call->wrong, ERR_LIMIT, "path is longer than %d bytes", PATH_MAX_BYTES);
    }
    call->path = buf_take(&path);
}
