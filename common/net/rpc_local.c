/* SPDX-License-Identifier: Apache-2.0 */
/* Calls from inside: the handler's side of a call without server, connection and queue. */
#include <stdint.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/net/rpc_server_int.h"

struct rpc_local {
    struct rpc_local_events events;
    void *user;
    bool silent; /* abandoned */
};

void rpc_local_message(struct rpc_call *call, const ProtobufCMessage *message) {
    if (!call->gone && !call->local->silent)
        call->local->events.message(call->local->user, message);
}

static void local_free(struct rpc_call *call) {
    rpc_message_free(call->request);
    mem_free(call->peer);
    mem_free(call->peer_name);
    mem_free(call->local);
    mem_free(call);
}

void rpc_local_end(struct rpc_call *call) {
    if (call->pending) /* inside of the handler or of on_cancel: whoever called those goes on */
        return;
    struct rpc_local local = *call->local;
    struct err result = call->result;
    if (result.class == ERR_NONE && call->gone)
        err_set(&result, ERR_CANCELLED, "cancelled");
    local_free(call);
    if (!local.silent)
        local.events.end(local.user, &result);
}

static ProtobufCMessage *copy_of(const ProtobufCMessage *message) {
    size_t len = protobuf_c_message_get_packed_size(message);
    _cleanup_free_ uint8_t *bytes = mem_alloc(len + 1);
    protobuf_c_message_pack(message, bytes);
    return protobuf_c_message_unpack(message->descriptor, NULL, len, bytes);
}

struct rpc_call *rpc_local_call(const struct rpc_method *methods, size_t count, void *methods_user, const char *path,
                                const char *peer_name, const ProtobufCMessage *request, const struct rpc_local_events *events,
                                void *user) {
    const struct rpc_method *method = NULL;
    for (size_t i = 0; i < count && !method; i++)
        if (!strcmp(methods[i].path, path))
            method = &methods[i];
    if (!method || method->kind == RPC_BIDI || method->request != request->descriptor)
        return NULL;
    struct rpc_call *call = mem_alloc(sizeof(*call));
    call->local = mem_alloc(sizeof(*call->local));
    *call->local = (struct rpc_local){.events = *events, .user = user};
    call->request = copy_of(request);
    call->peer = mem_strdup("local:");
    call->peer_name = mem_strdup(peer_name);
    call->started_us = clock_mono_us();
    call->deadline_us = INT64_MAX;
    call->pending++;
    method->handler(methods_user, call, call->request);
    call->pending--;
    if (!call->ended)
        return call;
    rpc_local_end(call);
    return NULL;
}

void rpc_local_cancel(struct rpc_call *call) {
    call->pending++;
    rpc_call_gone(call);
    call->pending--;
    if (call->ended)
        rpc_local_end(call);
}

void rpc_local_abandon(struct rpc_call *call) {
    call->local->silent = true;
    call->pending++;
    rpc_call_gone(call);
    call->pending--;
    call->ended = true;
    rpc_local_end(call);
}
