/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1: one state per service, and streams that hear of changes. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_server_int.h"
#include "grpc/health/v1/health.pb-c.h"

#define SERVICE_MAX 128

enum serving {
    SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING,
    NOT_SERVING = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING,
    UNKNOWN_SERVICE = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN,
};

struct service {
    char name[SERVICE_MAX];
    bool serving;
};

struct watcher {
    struct watcher *prev, *next;
    struct health *health;
    struct rpc_call *call;
    char name[SERVICE_MAX];
    int told; /* -1: nothing yet */
};

struct health {
    struct service *service;
    size_t count, cap;
    struct watcher *watchers;
    bool stopping;
};

static struct service *service_find(struct health *h, const char *name) {
    for (size_t i = 0; i < h->count; i++)
        if (!strcmp(h->service[i].name, name))
            return &h->service[i];
    return NULL;
}

static struct service *service_of(struct health *h, const char *name) {
    struct service *found = service_find(h, name);
    if (found)
        return found;
    h->service = mem_grow(h->service, &h->cap, h->count + 1, sizeof(*h->service));
    struct service *s = &h->service[h->count++];
    str_copy(s->name, sizeof(s->name), name);
    s->serving = true;
    return s;
}

static int state_of(struct health *h, const char *name) {
    const struct service *s = service_find(h, name);
    return !s ? UNKNOWN_SERVICE : s->serving && !h->stopping ? SERVING : NOT_SERVING;
}

static void add_services_of(struct health *h, const struct rpc_method *methods, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char name[SERVICE_MAX];
        const char *slash = strrchr(methods[i].path, '/');
        str_format(name, sizeof(name), "%.*s", (int)(slash - methods[i].path - 1), methods[i].path + 1);
        (void)service_of(h, name);
    }
}

struct health *rpc_health_new(const struct rpc_method *methods, size_t count) {
    struct health *h = mem_alloc(sizeof(*h));
    (void)service_of(h, "");
    add_services_of(h, methods, count);
    add_services_of(h, rpc_health_methods, rpc_health_method_count);
    add_services_of(h, rpc_reflect_methods, rpc_reflect_method_count);
    return h;
}

void rpc_health_free(struct health *h) {
    while (h->watchers) {
        struct watcher *w = h->watchers;
        h->watchers = w->next;
        mem_free(w);
    }
    mem_free(h->service);
    mem_free(h);
}

static void check(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    struct health *h = user;
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)state_of(h, request->service);
    if ((int)response.status == UNKNOWN_SERVICE) {
        struct err err;
        err_set(&err, ERR_NOT_FOUND, "no service '%.200s'", request->service);
        rpc_call_fail(call, &err);
    } else {
        rpc_call_reply(call, &response.base);
    }
}

/* Sends the state when it is another one than the watcher knows. A state that changes back before it was sent is not sent. */
static void watcher_tell(struct watcher *w) {
    int state = state_of(w->health, w->name);
    if (w->told == state || rpc_call_queued_bytes(w->call))
        return;
    Grpc__Health__V1__HealthCheckResponse response = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
    response.status = (Grpc__Health__V1__HealthCheckResponse__ServingStatus)state;
    if (rpc_call_send(w->call, &response.base, NULL) == 0)
        w->told = state;
}

static void watcher_free(struct watcher *w) {
    if (w->prev)
        w->prev->next = w->next;
    else
        w->health->watchers = w->next;
    if (w->next)
        w->next->prev = w->prev;
    mem_free(w);
}

static void watcher_sent(void *user, struct rpc_call *call) {
    (void)call;
    watcher_tell(user);
}

static void watcher_cancelled(void *user, struct rpc_call *call) {
    watcher_free(user);
    rpc_call_end(call);
}

static void watch(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    struct health *h = user;
    const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
    struct watcher *w = mem_alloc(sizeof(*w));
    w->health = h;
    w->call = call;
    w->told = -1;
    str_copy(w->name, sizeof(w->name), request->service); /* a longer one is unknown either way */
    w->next = h->watchers;
    if (w->next)
        w->next->prev = w;
    h->watchers = w;
    rpc_call_on_sent(call, watcher_sent, w);
    rpc_call_on_cancel(call, watcher_cancelled, w);
    watcher_tell(w);
}

static void tell_all(struct health *h) {
    for (struct watcher *w = h->watchers; w; w = w->next)
        watcher_tell(w);
}

void rpc_health_set(struct health *h, const char *service, bool serving) {
    service_of(h, service)->serving = serving;
    tell_all(h);
}

void rpc_health_stop(struct health *h) {
    h->stopping = true;
    tell_all(h);
    while (h->watchers) {
        struct watcher *w = h->watchers;
        struct rpc_call *call = w->call;
        struct err err;
        err_set(&err, ERR_CONNECT, "server is shutting down");
        watcher_free(w);
        rpc_call_on_cancel(call, NULL, NULL);
        rpc_call_on_sent(call, NULL, NULL);
        rpc_call_fail(call, &err);
    }
}

const struct rpc_method rpc_health_methods[] = {
    {"/grpc.health.v1.Health/Check", RPC_UNARY, &grpc__health__v1__health_check_request__descriptor, check},
    {"/grpc.health.v1.Health/Watch", RPC_SERVER_STREAM, &grpc__health__v1__health_check_request__descriptor, watch},
};
const size_t rpc_health_method_count = ARRAY_LEN(rpc_health_methods);
