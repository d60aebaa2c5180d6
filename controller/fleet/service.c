/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The service Fleet. Every call is an `ask`: its caller is checked first, which may take a while, and the client may go away meanwhile.
 * What it watches is told by the fleet; instances at most once a second.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/fleet/service_int.h"

#define UNSENT_MAX (256u * 1024)
#define FORGET_AFTER_US (10 * CLOCK_MINUTE)
#define COMMAND_PREFIX "fleet-"

/* ---- life of an ask ---- */

static void ask_free(struct ask *a) {
    if (a->checking)
        return;
    kube_map_done(&a->dirty);
    mem_free(a->pod_uid);
    mem_free(a->command_id);
    mem_free(a);
}

static void ask_unlink(struct ask *a) {
    struct ask **at = &a->fleet->asks;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
}

static struct rpc_call *ask_over(struct ask *a) {
    struct rpc_call *call = a->call;
    a->call = NULL;
    ask_unlink(a);
    ask_free(a);
    return call;
}

void ask_fail(struct ask *a, const struct err *err) {
    rpc_call_fail(ask_over(a), err);
}

static void ask_end(struct ask *a) {
    rpc_call_end(ask_over(a));
}

void ask_reply(struct ask *a, const ProtobufCMessage *message) {
    rpc_call_reply(ask_over(a), message);
}

static void on_cancel(void *user, struct rpc_call *call) {
    (void)call;
    ask_end(user);
}

static void checked(void *arg, const struct err *why) {
    struct ask *a = arg;
    a->checking = false;
    if (!a->call) {
        ask_free(a);
    } else if (why->class != ERR_NONE) {
        connect_complain(a->fleet, "Fleet", rpc_call_peer(a->call), why);
        ask_fail(a, why);
    } else {
        a->allowed = true;
        a->run(a);
    }
}

static void ask_begin(struct fleet *fleet, struct rpc_call *call, const ProtobufCMessage *request, const char *verb,
                      const char *namespace_name, void (*run)(struct ask *)) {
    const char *token = connect_token(call);
    struct err err;
    if (!fleet->lead) {
        err_set(&err, ERR_CONNECT, "this controller does not lead. Ask %s", *fleet->leader ? fleet->leader : "again later");
        rpc_call_fail(call, &err);
        return;
    }
    if (!token) {
        err_set(&err, ERR_AUTH, "no service account token: send 'authorization: Bearer ...'");
        connect_complain(fleet, "Fleet", rpc_call_peer(call), &err);
        rpc_call_fail(call, &err);
        return;
    }
    struct ask *a = mem_alloc(sizeof(*a));
    *a = (struct ask){.fleet = fleet, .call = call, .request = request, .run = run, .next = fleet->asks, .checking = true};
    kube_map_init(&a->dirty);
    fleet->asks = a;
    rpc_call_on_cancel(call, on_cancel, a);
    fleet->opt.caller(fleet->opt.caller_user, token, verb, namespace_name, checked, a);
}

/* ---- commands ---- */

static void send_event(struct ask *a, Mssql__V1__RunCommandEvent *event) {
    struct err err;
    (void)!rpc_call_send(a->call, &event->base,
                         &err); /* a reader that is gone or too slow: progress is lost, the result comes last */
}

/* Where the command stands. Ends the ask with the result. */
static void tell_command(struct ask *a, const struct peer_command *c) {
    Mssql__V1__RunCommandEvent event = MSSQL__V1__RUN_COMMAND_EVENT__INIT;
    Mssql__V1__CommandKnown known = MSSQL__V1__COMMAND_KNOWN__INIT;
    if (c->state == MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE) {
        event.event_case = MSSQL__V1__RUN_COMMAND_EVENT__EVENT_RESULT;
        event.result = c->result;
        send_event(a, &event);
        ask_end(a);
        return;
    }
    if (a->told_state != c->state) {
        known.id = c->id;
        known.state = a->told_state = c->state;
        event.event_case = MSSQL__V1__RUN_COMMAND_EVENT__EVENT_STATE;
        event.state = &known;
        send_event(a, &event);
    }
    if (c->progress_count && rpc_call_queued_bytes(a->call) < UNSENT_MAX) {
        event.event_case = MSSQL__V1__RUN_COMMAND_EVENT__EVENT_PROGRESS;
        event.progress = c->progress[c->progress_last];
        send_event(a, &event);
    }
}

static void run_command(struct ask *a) {
    const Mssql__V1__RunCommandRequest *q = (const void *)a->request;
    struct member *m = service_find(a->fleet, q->namespace_, q->instance);
    struct err err = {0};
    struct guid random;
    char guid[GUID_TEXT_MAX];
    if (!m)
        err_set(&err, ERR_NOT_FOUND, "no sidecar of the instance '%s' in the namespace '%s' has connected", q->instance,
                q->namespace_);
    else if (!q->command)
        err_set(&err, ERR_USAGE, "no command");
    if (err.class != ERR_NONE) {
        ask_fail(a, &err);
        return;
    }
    guid_random(&random);
    Mssql__V1__Command command = *q->command;
    const char *own = *command.id ? command.id : guid_format(guid, &random);
    a->command_id = mem_printf("%s%s", str_starts(own, COMMAND_PREFIX) ? "" : COMMAND_PREFIX, own);
    a->pod_uid = mem_strdup(m->peer->pod_uid);
    command.id = a->command_id;
    int rc = fleet_command_give(a->fleet, a->pod_uid, &command, &err);
    const struct peer_command *c = rc == 0 ? peer_find(m->peer, a->command_id) : NULL;
    if (c)
        tell_command(a, c);
    else
        ask_fail(a, &err);
}

void service_command(struct fleet *fleet, const char *pod_uid, const char *id) {
    const struct member *m = fleet_member(fleet, pod_uid);
    const struct peer_command *c = m ? peer_find(m->peer, id) : NULL;
    for (struct ask *a = fleet->asks, *next; a && c; a = next) {
        next = a->next;
        if (a->command_id && !strcmp(a->command_id, id) && !strcmp(a->pod_uid, pod_uid))
            tell_command(a, c);
    }
}

/* Results of callers that nobody came back for. */
static void forget_old(struct fleet *fleet) {
    int64_t before = clock_wall() - FORGET_AFTER_US;
    _cleanup_free_ void **members = kube_map_values(&fleet->peers);
    size_t count = fleet->peers.count;
    for (size_t i = 0; i < count; i++) {
        struct peer *p = ((struct member *)members[i])->peer;
        for (struct peer_command *c = p->commands, *next; c; c = next) {
            next = c->next;
            if (c->state == MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE && c->done_at < before &&
                str_starts(c->id, COMMAND_PREFIX))
                peer_ack(p, c->id);
        }
    }
}

/* ---- watching ---- */

static void mark(struct fleet *fleet, const char *pod_uid) {
    for (struct ask *a = fleet->asks; a; a = a->next)
        if (a->watch)
            kube_map_put(&a->dirty, pod_uid, a);
}

void service_session(struct fleet *fleet, const char *pod_uid) {
    mark(fleet, pod_uid);
}

void service_status(struct fleet *fleet, const char *pod_uid) {
    mark(fleet, pod_uid);
}

void service_forget(struct fleet *fleet, const char *pod_uid) {
    struct err err;
    for (struct ask *a = fleet->asks, *next; a; a = next) {
        next = a->next;
        kube_map_remove(&a->dirty, pod_uid);
        if (a->pod_uid && !strcmp(a->pod_uid, pod_uid)) {
            err_set(&err, ERR_NOT_FOUND, "the pod is gone");
            ask_fail(a, &err);
        }
    }
}

static void send_dirty(struct ask *a) {
    const Mssql__V1__WatchInstancesRequest *q = (const void *)a->request;
    _cleanup_free_ void **members = kube_map_values(&a->fleet->peers);
    size_t count = a->fleet->peers.count;
    for (size_t i = 0; i < count && a->dirty.count; i++) {
        const struct member *m = members[i];
        struct err err;
        if (!kube_map_get(&a->dirty, m->peer->pod_uid))
            continue;
        if (rpc_call_queued_bytes(a->call) > UNSENT_MAX)
            return; /* the rest at the next second */
        kube_map_remove(&a->dirty, m->peer->pod_uid);
        if (*q->namespace_ && strcmp(q->namespace_, m->peer->namespace_name))
            continue;
        Mssql__V1__Instance *instance = service_instance(m, false);
        (void)!rpc_call_send(a->call, &instance->base, &err);
        mssql__v1__instance__free_unpacked(instance, NULL);
    }
}

static void run_watch(struct ask *a) {
    _cleanup_free_ void **members = kube_map_values(&a->fleet->peers);
    a->watch = true;
    for (size_t i = 0; i < a->fleet->peers.count; i++)
        kube_map_put(&a->dirty, ((const struct member *)members[i])->peer->pod_uid, a);
    send_dirty(a);
}

void service_sweep(struct fleet *fleet) {
    for (struct ask *a = fleet->asks; a; a = a->next)
        if (a->watch)
            send_dirty(a);
    if (++fleet->sweeps % 60 == 0)
        forget_old(fleet);
}

void service_end_all(struct fleet *fleet) {
    struct err err;
    err_set(&err, ERR_CONNECT, "this controller does not lead any more");
    for (struct ask *a = fleet->asks, *next; a; a = next) {
        next = a->next;
        ask_fail(a, &err);
    }
}

/* ---- handlers ---- */

static void list_handler(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    const Mssql__V1__ListInstancesRequest *q = (const void *)request;
    ask_begin(user, call, request, "list", q->namespace_, service_list);
}

static void get_handler(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    const Mssql__V1__GetInstanceRequest *q = (const void *)request;
    ask_begin(user, call, request, "get", q->namespace_, service_get);
}

static void watch_handler(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    const Mssql__V1__WatchInstancesRequest *q = (const void *)request;
    ask_begin(user, call, request, "watch", q->namespace_, run_watch);
}

static void run_handler(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    const Mssql__V1__RunCommandRequest *q = (const void *)request;
    ask_begin(user, call, request, "create", q->namespace_, run_command);
}

const struct rpc_method service_methods[] = {
    {"/mssql.v1.Fleet/ListInstances", RPC_UNARY, &mssql__v1__list_instances_request__descriptor, list_handler},
    {"/mssql.v1.Fleet/GetInstance", RPC_UNARY, &mssql__v1__get_instance_request__descriptor, get_handler},
    {"/mssql.v1.Fleet/WatchInstances", RPC_SERVER_STREAM, &mssql__v1__watch_instances_request__descriptor, watch_handler},
    {"/mssql.v1.Fleet/RunCommand", RPC_SERVER_STREAM, &mssql__v1__run_command_request__descriptor, run_handler},
};
const size_t service_method_count = ARRAY_LEN(service_methods);
