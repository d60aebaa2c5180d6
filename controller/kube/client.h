/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to the API server. Everything runs on the loop; a call ends with exactly one done(), or with kube_cancel().
 *
 * What every call gets: the client-side rate limit, a deadline, and retries inside of it for what passes by itself: no
 * connection, 429 and 5xx (Retry-After is honoured), 401 once after the token was read again. CREATE is not repeated once
 * the server may have seen it. A watch is never repeated here: only the one who reads it knows from where.
 */
#ifndef MSSQL_KUBE_CLIENT_H
#define MSSQL_KUBE_CLIENT_H

#include <ev.h>
#include <jansson.h>

#include "controller/kube/event_line.h"
#include "controller/kube/kind.h"
#include "controller/kube/transport.h"

#define KUBE_FIELD_MANAGER "mssql-controller"

enum kube_verb {
    KUBE_GET,
    KUBE_LIST,
    KUBE_WATCH,
    KUBE_CREATE,
    KUBE_UPDATE, /* replaces; conflicts when body's resourceVersion is not the current one */
    KUBE_APPLY, /* server-side apply with our field manager */
    KUBE_PATCH, /* JSON merge patch */
    KUBE_DELETE,
    KUBE_VERB_COUNT,
};
/* As RBAC says it: "get", "patch" for APPLY as well. */
const char *kube_verb_name(enum kube_verb verb);

struct kube_op {
    enum kube_verb verb;
    const struct kube_kind *kind; /* must live as long as the client */
    const char *namespace; /* NULL: all (LIST, WATCH), or a kind without namespaces */
    const char *name;
    const char *subresource; /* "status" */
    const json_t *body; /* CREATE, UPDATE, APPLY, PATCH */
    bool force; /* APPLY: take fields that others own */
    const char *uid; /* DELETE: only this one, or a conflict */
    const char *labels, *fields; /* LIST, WATCH: selectors */
    unsigned limit; /* LIST: objects in one page, 0 = no pages */
    const char *cont; /* LIST: continue token of the page before */
    const char *resource_version; /* WATCH: from here; LIST: at least this fresh */
    bool streaming; /* WATCH: begin with all objects, then a bookmark with initial_end */
    unsigned timeout_ms; /* whole call with its retries; 0 = 30 s. Not for WATCH */
    /* WATCH: non-zero ends the watch without an error. */
    int (*on_event)(void *user, const struct kube_event *event);
};

struct kube_result {
    struct err err; /* class ERR_NONE: success. The text names verb, resource, namespace and name */
    unsigned status; /* of HTTP, 0 = no answer */
    const char *reason; /* of the Status object: "AlreadyExists", "Conflict", "Expired"; never NULL */
    json_t *object; /* success: belongs to the client, json_incref() to keep it; NULL for WATCH */
    int64_t retry_after_ms; /* -1 = not said */
};

struct kube_client;
struct kube_call;

struct kube_hooks { /* any may be NULL */
    void *user;
    /* Each exchange, not each call. code "0" = no answer. For a watch the seconds until it ended. */
    void (*exchanged)(void *user, const char *verb, const char *resource, unsigned code, double seconds);
    void (*retried)(void *user, const char *verb, const char *resource);
    /* A verb is refused for the first time, or allowed again (err NULL). */
    void (*forbidden)(void *user, const char *verb, const char *resource, const char *namespace, const struct err *err);
};

struct kube_client_options {
    struct ev_loop *ev;
    const struct kube_config *config; /* must live as long */
    struct kube_transport *transport; /* NULL = libcurl. The client owns it */
    const char *user_agent; /* NULL = "mssql-controller" */
    double qps; /* 0 = 20 */
    unsigned burst; /* 0 = 40 */
    unsigned silence_ms; /* of a watch, longer than the minute between bookmarks; 0 = 150 s */
    unsigned watch_s; /* the server is asked to end a watch after one to two times this; 0 = 300 */
    size_t answer_max_bytes; /* 0 = 64 MiB */
    size_t line_max_bytes; /* one event; 0 = 4 MiB */
    struct kube_hooks hooks;
};

int kube_client_new(const struct kube_client_options *options, struct kube_client **ret_client, struct err *err) ERR_CHECK;
/* Cancels every call. Not inside of a callback of the client. */
void kube_client_free(struct kube_client *client);

/* Everything in *op is copied. done() never runs inside of this, also when *op itself is wrong (ERR_USAGE). */
struct kube_call *kube_start(struct kube_client *client, const struct kube_op *op,
                             void (*done)(void *user, const struct kube_result *result), void *user);
/* NULL is allowed. Not inside of the call's own done(): the call is over there. */
void kube_cancel(struct kube_call *call);

#endif
