/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls of the client: one request with one or many answers, and bidirectional streams. A stream lives until its last operation is
 * back from C-core; then `end` runs.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_client_int.h"

#define QUEUE_MAX_BYTES (1024 * 1024)

struct out_message {
    struct out_message *next;
    grpc_byte_buffer *bb;
    size_t bytes;
};

struct rpc_stream {
    struct rpc_channel *channel;
    grpc_call *core;
    struct rpc_tag t_status, t_send, t_header, t_recv;
    unsigned pending;
    const ProtobufCMessageDescriptor *response;
    struct rpc_stream_events events;
    void *user;
    grpc_metadata_array header, trailer;
    grpc_status_code status;
    grpc_slice details;
    grpc_byte_buffer *received;
    struct err local; /* found on our side: an answer that cannot be read */
    bool cancelled, finished;
    bool *gone; /* set when the stream is freed; NULL = nobody waits for that */

    bool bidi, sending, half_closing, half_closed;
    struct out_message *first, *last; /* bidi: not sent yet; one is under way at a time */
    size_t queued_bytes;
};

static void stream_batch(struct rpc_stream *s, const grpc_op *ops, size_t count, struct rpc_tag *tag) {
    grpc_call_error rc = grpc_call_start_batch(s->core, ops, count, tag, NULL);
    if (rc != GRPC_CALL_OK) {
        log_event(LOG_ERROR, "grpc: batch refused", "why", grpc_call_error_to_string(rc), NULL);
        abort();
    }
    s->pending++;
}

/* The class that the server named, else what its status maps to. */
static enum err_class class_of(const struct rpc_stream *s) {
    for (size_t i = 0; i < s->trailer.count; i++) {
        const grpc_metadata *md = &s->trailer.metadata[i];
        if (grpc_slice_str_cmp(md->key, RPC_TRAILER_CLASS))
            continue;
        char name[32];
        str_format(name, sizeof(name), "%.*s", (int)GRPC_SLICE_LENGTH(md->value), (const char *)GRPC_SLICE_START_PTR(md->value));
        enum err_class class = err_class_parse(name);
        if (class != ERR_NONE)
            return class;
    }
    return err_class_from_grpc(s->status);
}

static void result_of(const struct rpc_stream *s, struct err *ret_err) {
    *ret_err = s->local;
    if (s->local.class != ERR_NONE || (s->status == GRPC_STATUS_OK && !s->cancelled))
        return;
    if (s->cancelled) {
        err_set(ret_err, ERR_CANCELLED, "cancelled");
        return;
    }
    char *text = grpc_slice_to_c_string(s->details);
    if (s->status == GRPC_STATUS_DEADLINE_EXCEEDED)
        err_set(ret_err, class_of(s), "no answer in time");
    else
        err_set(ret_err, class_of(s), "%s", *text ? text : "failed without a text");
    gpr_free(text);
}

static void queue_drop(struct rpc_stream *s) {
    while (s->first) {
        struct out_message *m = s->first;
        s->first = m->next;
        grpc_byte_buffer_destroy(m->bb);
        mem_free(m);
    }
    s->last = NULL;
    s->queued_bytes = 0;
}

/* Frees the stream when the last operation is back. */
static void stream_settle(struct rpc_stream *s) {
    if (--s->pending)
        return;
    queue_drop(s);
    struct err result;
    result_of(s, &result);
    struct rpc_stream_events events = s->events;
    void *user = s->user;
    bool *gone = s->gone;
    grpc_metadata_array_destroy(&s->header);
    grpc_metadata_array_destroy(&s->trailer);
    grpc_slice_unref(s->details);
    if (s->received)
        grpc_byte_buffer_destroy(s->received);
    grpc_call_unref(s->core);
    mem_free(s);
    events.end(user, &result);
    if (gone)
        *gone = true;
}

static void on_status(struct rpc_tag *tag, bool ok) {
    (void)ok;
    struct rpc_stream *s = container_of(tag, struct rpc_stream, t_status);
    s->finished = true;
    stream_settle(s);
}

/* Bidi: the next message, or the end of ours. */
static void stream_advance(struct rpc_stream *s);

static void on_sent(struct rpc_tag *tag, bool ok) {
    struct rpc_stream *s = container_of(tag, struct rpc_stream, t_send);
    s->sending = false;
    if (!ok) /* a failure comes with the status */
        queue_drop(s);
    if (ok && s->bidi && !s->finished && !s->cancelled) {
        if (!s->first && !s->half_closing && s->events.sent)
            s->events.sent(s->user);
        stream_advance(s);
    }
    stream_settle(s);
}

static void stream_advance(struct rpc_stream *s) {
    struct out_message *m = s->first;
    grpc_op op = {0};
    if (s->sending || s->finished || s->cancelled || (!m && (!s->half_closing || s->half_closed)))
        return;
    if (m) {
        op.op = GRPC_OP_SEND_MESSAGE;
        op.data.send_message.send_message = m->bb;
        s->first = m->next;
        s->last = s->first ? s->last : NULL;
        s->queued_bytes -= m->bytes;
    } else {
        op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
        s->half_closed = true;
    }
    s->sending = true;
    s->t_send.fn = on_sent;
    stream_batch(s, &op, 1, &s->t_send);
    if (m) {
        grpc_byte_buffer_destroy(m->bb); /* its slices are counted */
        mem_free(m);
    }
}

static void on_header(struct rpc_tag *tag, bool ok) {
    (void)ok;
    stream_settle(container_of(tag, struct rpc_stream, t_header));
}

static void stream_receive(struct rpc_stream *s);

static void on_received(struct rpc_tag *tag, bool ok) {
    struct rpc_stream *s = container_of(tag, struct rpc_stream, t_recv);
    grpc_byte_buffer *bb = s->received;
    s->received = NULL;
    if (ok && bb) {
        ProtobufCMessage *message;
        struct err err = {0};
        if (rpc_unpack(s->response, bb, s->channel->message_max_bytes, RPC_PEER_IS_SERVER, &message, &err) < 0) {
            err_set(&s->local, ERR_PROTOCOL, "answer cannot be read: %s", err.text);
            grpc_call_cancel(s->core, NULL);
        } else {
            if (s->events.message && !s->cancelled)
                s->events.message(s->user, message);
            rpc_message_free(message);
            stream_receive(s);
        }
    }
    if (bb)
        grpc_byte_buffer_destroy(bb);
    stream_settle(s);
}

static void stream_receive(struct rpc_stream *s) {
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &s->received;
    s->t_recv.fn = on_received;
    stream_batch(s, &op, 1, &s->t_recv);
}

/* Status and header in batches of their own: the status comes last, the header may come early. */
static void stream_start(struct rpc_stream *s, const ProtobufCMessage *request, bool wait_for_ready) {
    grpc_op op[3];
    grpc_metadata token = {0};
    const char *authorization = s->channel->authorization;
    memset(op, 0, sizeof(op));
    op[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
    op[0].data.recv_status_on_client.trailing_metadata = &s->trailer;
    op[0].data.recv_status_on_client.status = &s->status;
    op[0].data.recv_status_on_client.status_details = &s->details;
    s->t_status.fn = on_status;
    stream_batch(s, op, 1, &s->t_status);

    memset(op, 0, sizeof(op));
    op[0].op = GRPC_OP_RECV_INITIAL_METADATA;
    op[0].data.recv_initial_metadata.recv_initial_metadata = &s->header;
    s->t_header.fn = on_header;
    stream_batch(s, op, 1, &s->t_header);

    memset(op, 0, sizeof(op));
    grpc_byte_buffer *bb = request ? rpc_pack(request, NULL) : NULL;
    op[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    op[0].flags = wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET : 0;
    if (authorization) {
        token.key = grpc_slice_from_static_string("authorization");
        token.value = grpc_slice_from_copied_string(authorization);
        op[0].data.send_initial_metadata.metadata = &token;
        op[0].data.send_initial_metadata.count = 1;
    }
    op[1].op = GRPC_OP_SEND_MESSAGE;
    op[1].data.send_message.send_message = bb;
    op[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    s->sending = true;
    s->t_send.fn = on_sent;
    stream_batch(s, op, request ? 3 : 1, &s->t_send);
    if (authorization)
        grpc_slice_unref(token.value);
    if (bb)
        grpc_byte_buffer_destroy(bb);
    stream_receive(s);
}

static struct rpc_stream *stream_make(struct rpc_channel *channel, const char *path, const ProtobufCMessageDescriptor *response,
                                      int64_t timeout_ms, const struct rpc_stream_events *events, void *user) {
    struct rpc_stream *s = mem_alloc(sizeof(*s));
    s->channel = channel;
    s->response = response;
    s->events = *events;
    s->user = user;
    s->details = grpc_empty_slice();
    grpc_metadata_array_init(&s->header);
    grpc_metadata_array_init(&s->trailer);
    gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
    if (timeout_ms)
        deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
    grpc_slice method = grpc_slice_from_copied_string(path);
    s->core = grpc_channel_create_call(channel->core, NULL, GRPC_PROPAGATE_DEFAULTS, rpc_loop_cq(channel->loop), method, NULL,
                                       deadline, NULL);
    grpc_slice_unref(method);
    return s;
}

struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                                   const ProtobufCMessageDescriptor *response, int64_t timeout_ms, bool wait_for_ready,
                                   const struct rpc_stream_events *events, void *user) {
    struct rpc_stream *s = stream_make(channel, path, response, timeout_ms, events, user);
    stream_start(s, request, wait_for_ready);
    return s;
}

struct rpc_stream *rpc_stream_open_bidi(struct rpc_channel *channel, const char *path, const ProtobufCMessageDescriptor *response,
                                        bool wait_for_ready, const struct rpc_stream_events *events, void *user) {
    struct rpc_stream *s = stream_make(channel, path, response, 0, events, user);
    s->bidi = true;
    stream_start(s, NULL, wait_for_ready);
    return s;
}

int rpc_stream_send(struct rpc_stream *s, const ProtobufCMessage *message, struct err *err) {
    if (s->finished || s->cancelled || s->half_closing)
        return err_set(err, ERR_CANCELLED, "the stream is over");
    size_t bytes = protobuf_c_message_get_packed_size(message);
    if (s->queued_bytes && s->queued_bytes + bytes > QUEUE_MAX_BYTES)
        return err_set(err, ERR_BUSY, "the server does not take its messages");
    struct out_message *m = mem_alloc(sizeof(*m));
    m->bb = rpc_pack(message, &m->bytes);
    *(s->last ? &s->last->next : &s->first) = m;
    s->last = m;
    s->queued_bytes += m->bytes;
    stream_advance(s);
    return 0;
}

size_t rpc_stream_queued_bytes(const struct rpc_stream *s) {
    return s->queued_bytes;
}

void rpc_stream_half_close(struct rpc_stream *s) {
    s->half_closing = true;
    stream_advance(s);
}

void rpc_stream_cancel(struct rpc_stream *s) {
    if (s->finished || s->cancelled)
        return;
    s->cancelled = true;
    grpc_call_cancel(s->core, NULL);
}

void rpc_stream_finish(struct rpc_stream *s) {
    struct rpc_loop *loop = s->channel->loop;
    bool gone = false;
    s->gone = &gone;
    rpc_stream_cancel(s);
    rpc_loop_pump(loop, &gone);
}
