/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of the server. Two things keep it alive: operations that C-core has not finished (`pending`) and the handler, until
 * it ends the call (`ended`). When both are over it is freed.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_server_int.h"

static void call_advance(struct rpc_call *call);
static void call_receive(struct rpc_call *call);

/* --- end --- */

static void queue_drop(struct rpc_call *call) {
    while (call->first) {
        struct out_message *m = call->first;
        call->first = m->next;
        grpc_byte_buffer_destroy(m->bb);
        mem_free(m);
    }
    call->last = NULL;
    call->queued_bytes = 0;
}

static void call_unlink(struct rpc_call *call) {
    struct rpc_server *server = call->server;
    if (call->prev)
        call->prev->next = call->next;
    else
        server->calls = call->next;
    if (call->next)
        call->next->prev = call->prev;
    server->call_count--;
}

static void call_account(struct rpc_call *call) {
    struct rpc_server *server = call->server;
    enum err_class class = call->result.class;
    if (call->gone && class == ERR_NONE)
        class = ERR_CANCELLED;
    if (class == ERR_CANCELLED)
        server->stats.cancelled++;
    else if (class != ERR_NONE)
        server->stats.failed++;
    if (server->on_end)
        server->on_end(server->on_end_user, call->method ? call->method->def.path : "unknown", class,
                       clock_mono_us() - call->started_us);
}

static void call_authorization_drop(struct rpc_call *call) {
    if (call->authorization)
        explicit_bzero(call->authorization, strlen(call->authorization));
    mem_free(call->authorization);
    call->authorization = NULL;
}

static void call_free(struct rpc_call *call) {
    queue_drop(call);
    rpc_message_free(call->request);
    if (call->received)
        grpc_byte_buffer_destroy(call->received);
    gpr_free(call->peer);
    mem_free(call->peer_name);
    call_authorization_drop(call);
    grpc_call_unref(call->core);
    mem_free(call);
}

/* Frees the call when nothing holds it any more. Returns whether it is gone. */
static bool call_settle(struct rpc_call *call) {
    if (!call->ended || call->pending)
        return false;
    struct rpc_server *server = call->server;
    call_account(call);
    call_unlink(call);
    call_free(call);
    rpc_server_check_idle(server);
    return true;
}

/* --- batches --- */

static void call_batch(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag) {
    grpc_call_error rc = grpc_call_start_batch(call->core, ops, count, tag, NULL);
    if (rc != GRPC_CALL_OK) { /* wrong use of the API: a defect */
        log_event(LOG_ERROR, "grpc: batch refused", "why", grpc_call_error_to_string(rc), NULL);
        abort();
    }
    call->pending++;
}

/* The handler hears of it once. */
void rpc_call_gone(struct rpc_call *call) {
    if (call->gone)
        return;
    call->gone = true;
    queue_drop(call);
    if (!call->ended && call->on_cancel) {
        void (*fn)(void *user, struct rpc_call *call) = call->on_cancel;
        call->on_cancel = NULL;
        call->pending++; /* fn may end the call */
        fn(call->on_cancel_user, call);
        call->pending--;
    }
}

void rpc_call_abandon(struct rpc_call *call) {
    call->pending++;
    rpc_call_gone(call);
    call->ended = true;
    call->pending--;
    (void)call_settle(call);
}

static void on_close(struct rpc_tag *tag, bool ok) {
    (void)ok;
    struct rpc_call *call = container_of(tag, struct rpc_call, t_close);
    call->closed = true;
    if (call->cancelled)
        rpc_call_gone(call);
    call->pending--;
    (void)call_settle(call);
}

static void arm_close(struct rpc_call *call) {
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->cancelled;
    call->t_close.fn = on_close;
    call_batch(call, &op, 1, &call->t_close);
}

static void on_send(struct rpc_tag *tag, bool ok) {
    struct rpc_call *call = container_of(tag, struct rpc_call, t_send);
    call->sending = false;
    if (!ok)
        rpc_call_gone(call);
    if (!call->gone && !call->ended && !call->first && call->on_sent)
        call->on_sent(call->on_sent_user, call);
    call_advance(call);
    call_receive(call);
    call->pending--;
    (void)call_settle(call);
}

/* Adds the status to a batch. `details` must live until the batch was started. */
static size_t add_status(struct rpc_call *call, grpc_op *op, grpc_slice *details, grpc_metadata *trailer) {
    const struct err *result = &call->result;
    call->started_status = true;
    op->op = GRPC_OP_SEND_STATUS_FROM_SERVER;
    op->data.send_status_from_server.status = (grpc_status_code)err_class_grpc(result->class);
    if (result->class != ERR_NONE) {
        *details = grpc_slice_from_copied_string(result->text);
        trailer->key = grpc_slice_from_static_string(RPC_TRAILER_CLASS);
        trailer->value = grpc_slice_from_static_string(err_class_name(result->class));
        op->data.send_status_from_server.status_details = details;
        op->data.send_status_from_server.trailing_metadata = trailer;
        op->data.send_status_from_server.trailing_metadata_count = 1;
    }
    return 1;
}

/* Sends what can be sent: the next message, and the status with the last one. */
static void call_advance(struct rpc_call *call) {
    struct out_message *m = call->first;
    bool last = call->ended || call->broken;
    if (call->sending || call->started_status || (call->gone && !call->broken) || (!m && !last))
        return;
    grpc_op ops[3];
    memset(ops, 0, sizeof(ops));
    size_t n = 0;
    grpc_slice details = grpc_empty_slice();
    grpc_metadata trailer = {0};
    if (!call->header_sent)
        ops[n++].op = GRPC_OP_SEND_INITIAL_METADATA;
    call->header_sent = true;
    if (m) {
        ops[n].op = GRPC_OP_SEND_MESSAGE;
        ops[n++].data.send_message.send_message = m->bb;
        call->first = m->next;
        call->last = call->first ? call->last : NULL;
        call->queued_bytes -= m->bytes;
    }
    if (last && !call->first)
        n += add_status(call, &ops[n], &details, &trailer);
    call->sending = true;
    call->t_send.fn = on_send;
    call_batch(call, ops, n, &call->t_send);
    grpc_slice_unref(details);
    if (m) {
        grpc_byte_buffer_destroy(m->bb); /* its slices are counted */
        mem_free(m);
    }
}

/* --- receiving on bidi streams --- */

/* The client broke the rules: it gets the status now, the handler hears of a cancel and ends the call when it likes. */
static void call_break(struct rpc_call *call, const struct err *err) {
    call->server->stats.rejected++;
    call->result = *err;
    call->broken = true;
    queue_drop(call);
    call_advance(call);
    rpc_call_gone(call);
}

static void on_receive(struct rpc_tag *tag, bool ok) {
    struct rpc_call *call = container_of(tag, struct rpc_call, t_recv);
    grpc_byte_buffer *bb = call->received;
    call->received = NULL;
    call->receiving = false;
    if (call->ended || call->gone || !call->on_message) {
        /* nobody wants it */
    } else if (ok && bb) {
        ProtobufCMessage *message = NULL;
        struct err err = {0};
        if (rpc_unpack(call->method->def.request, bb, call->server->opt.message_max_bytes, RPC_PEER_IS_CLIENT, &message, &err) <
            0)
            call_break(call, &err);
        else
            call->on_message(call->on_message_user, call, message);
        rpc_message_free(message);
    } else {
        call->half_closed = true;
        call->on_message(call->on_message_user, call, NULL);
    }
    if (bb)
        grpc_byte_buffer_destroy(bb);
    call_receive(call);
    call->pending--;
    (void)call_settle(call);
}

/* Asks for the next message, unless the answers to the ones before are not taken: then the client has to wait. */
static void call_receive(struct rpc_call *call) {
    if (!call->on_message || call->receiving || call->half_closed || call->ended || call->gone || call->closed ||
        call->queued_bytes)
        return;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->received;
    call->receiving = true;
    call->t_recv.fn = on_receive;
    call_batch(call, &op, 1, &call->t_recv);
}

/* --- begin --- */

static int64_t deadline_us(gpr_timespec deadline) {
    gpr_timespec mono = gpr_convert_clock_type(deadline, GPR_CLOCK_MONOTONIC);
    if (gpr_time_cmp(mono, gpr_inf_future(GPR_CLOCK_MONOTONIC)) == 0)
        return INT64_MAX;
    gpr_timespec left = gpr_time_sub(mono, gpr_now(GPR_CLOCK_MONOTONIC));
    return clock_mono_us() + left.tv_sec * CLOCK_SECOND + left.tv_nsec / 1000;
}

/* Everything that can be said without a handler. 0: the handler shall have it. */
static int call_check(struct rpc_call *call, grpc_byte_buffer *payload, struct err *err) {
    struct rpc_server *server = call->server;
    if (server->stopping)
        return err_set(err, ERR_CONNECT, "server is shutting down");
    if (!call->method)
        return err_set(err, ERR_UNSUPPORTED, "no such method");
    bool probe = call->method->user == server->health && call->method->def.kind == RPC_UNARY; /* load is no ill health */
    if (server->call_count > server->opt.max_calls && !probe)
        return err_set(err, ERR_LIMIT, "more than %u calls at once. Try again later", server->opt.max_calls);
    if (call->method->def.kind == RPC_BIDI)
        return 0;
    return rpc_unpack(call->method->def.request, payload, server->opt.message_max_bytes, RPC_PEER_IS_CLIENT, &call->request, err);
}

void rpc_call_begin(struct rpc_server *server, struct method *method, grpc_call *core, gpr_timespec deadline,
                    grpc_byte_buffer *payload, char *authorization) {
    struct rpc_call *call = mem_alloc(sizeof(*call));
    call->server = server;
    call->method = method;
    call->core = core;
    call->authorization = authorization;
    call->started_us = clock_mono_us();
    call->deadline_us = deadline_us(deadline);
    call->next = server->calls;
    if (call->next)
        call->next->prev = call;
    server->calls = call;
    server->call_count++;
    server->stats.started++;
    call->pending++; /* the handler may end the call */
    arm_close(call);
    struct err err = {0};
    if (call_check(call, payload, &err) < 0) {
        server->stats.rejected++;
        rpc_call_fail(call, &err);
    } else {
        method->def.handler(method->user, call, call->request);
        call_receive(call);
    }
    call_authorization_drop(call);
    call->pending--;
    (void)call_settle(call);
}

/* --- what handlers use --- */

static void queue_add(struct rpc_call *call, const ProtobufCMessage *message) {
    struct out_message *m = mem_alloc(sizeof(*m));
    m->bb = rpc_pack(message, &m->bytes);
    if (call->last)
        call->last->next = m;
    else
        call->first = m;
    call->last = m;
    call->queued_bytes += m->bytes;
}

static void call_end(struct rpc_call *call) {
    call->ended = true;
    if (call->local) {
        rpc_local_end(call);
        return;
    }
    call_advance(call);
    (void)call_settle(call);
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message) {
    if (call->local)
        rpc_local_message(call, message);
    else if (!call->gone)
        queue_add(call, message);
    call_end(call);
}

void rpc_call_end(struct rpc_call *call) {
    call_end(call);
}

void rpc_call_fail(struct rpc_call *call, const struct err *err) {
    if (!call->started_status && !call->broken) {
        call->result = *err;
        if (err->class == ERR_NONE)
            err_set(&call->result, ERR_INTERNAL, "failed without a reason");
        else if (!str_is_clean_utf8(err->text, strlen(err->text))) /* what a status may hold */
            for (char *p = call->result.text; *p; p++)
                if ((unsigned char)*p < 0x20 || (unsigned char)*p >= 0x7F)
                    *p = *p == '\n' ? ' ' : '?';
    }
    call_end(call);
}

int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message, struct err *err) {
    if (call->gone)
        return err_set(err, ERR_CANCELLED, "the client is gone");
    if (call->local) {
        rpc_local_message(call, message);
        return 0;
    }
    size_t bytes = protobuf_c_message_get_packed_size(message);
    if (call->queued_bytes && call->queued_bytes + bytes > call->server->opt.queue_max_bytes)
        return err_set(err, ERR_BUSY, "the client does not take its messages");
    queue_add(call, message);
    call_advance(call);
    return 0;
}

void rpc_call_on_sent(struct rpc_call *call, void (*fn)(void *user, struct rpc_call *call), void *user) {
    call->on_sent = fn;
    call->on_sent_user = user;
}

size_t rpc_call_queued_bytes(const struct rpc_call *call) {
    return call->queued_bytes;
}

void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *user, struct rpc_call *call), void *user) {
    call->on_cancel = fn;
    call->on_cancel_user = user;
}

bool rpc_call_cancelled(const struct rpc_call *call) {
    return call->gone;
}

void rpc_call_on_message(struct rpc_call *call, void (*fn)(void *user, struct rpc_call *call, const ProtobufCMessage *message),
                         void *user) {
    call->on_message = fn;
    call->on_message_user = user;
    if (!call->local)
        call_receive(call);
}

const char *rpc_call_authorization(const struct rpc_call *call) {
    return call->authorization ? call->authorization : "";
}

int64_t rpc_call_deadline_us(const struct rpc_call *call) {
    return call->deadline_us;
}

const char *rpc_call_peer(struct rpc_call *call) {
    if (!call->peer && !call->local)
        call->peer = grpc_call_get_peer(call->core);
    return call->peer;
}

const char *rpc_call_peer_name(struct rpc_call *call) {
    if (call->peer_name)
        return call->peer_name;
    grpc_auth_context *context = grpc_call_auth_context(call->core);
    if (context && grpc_auth_context_peer_is_authenticated(context)) {
        grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(context, GRPC_X509_CN_PROPERTY_NAME);
        const grpc_auth_property *property = grpc_auth_property_iterator_next(&it);
        if (property)
            call->peer_name = mem_strndup(property->value, property->value_length);
    }
    if (context)
        grpc_auth_context_release(context);
    if (!call->peer_name)
        call->peer_name = mem_strdup("");
    return call->peer_name;
}
