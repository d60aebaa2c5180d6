/* SPDX-License-Identifier: Apache-2.0 */
/* Client side on the event loop: a channel, and calls with one request and one or many answers. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "common/net/rpc_client.h"
#include "common/net/rpc_int.h"

#define PING_TIMEOUT_MS 10000
#define RECONNECT_MIN_MS 200
#define RECONNECT_MAX_MS 10000

struct rpc_channel {
    struct rpc_loop *loop;
    grpc_channel *core;
    unsigned message_max_bytes;
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
};

/* --- channel --- */

static grpc_channel_credentials *credentials_of(const struct rpc_channel_options *o, const struct tls_pem *pem) {
    if (!o->use_tls)
        return grpc_insecure_credentials_create();
    grpc_ssl_pem_key_cert_pair pair = {pem->key, pem->cert};
    return grpc_ssl_credentials_create_ex(pem->ca, pem->cert ? &pair : NULL, NULL, NULL);
}

static void channel_args(const struct rpc_channel_options *o, struct rpc_args *a) {
    int keepalive_ms = (int)(o->keepalive_s ? o->keepalive_s : 30) * 1000;
    rpc_args_init(a);
    rpc_args_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)o->message_max_bytes);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, PING_TIMEOUT_MS);
    rpc_args_int(a, RPC_ARG_PING_TIMEOUT_MS, PING_TIMEOUT_MS);
    rpc_args_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    rpc_args_int(a, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MIN_MS);
    rpc_args_int(a, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS);
    rpc_args_int(a, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); /* a new channel is a new connection */
    rpc_args_int(a, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    rpc_args_int(a, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_RETRIES, 0);
    if (o->use_tls && o->server_name)
        rpc_args_text(a, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, o->server_name);
}

int rpc_channel_new(struct rpc_loop *loop, const struct rpc_channel_options *options, struct rpc_channel **ret_channel,
                    struct err *err) {
    struct rpc_channel_options o = *options;
    struct address address;
    struct tls_pem pem = {0};
    char target[ADDRESS_TEXT_MAX];
    if (address_parse(o.address, &address, err) < 0)
        return err_context(err, "gRPC");
    if (!address.is_unix && (!address.host[0] || !address.port))
        return err_set(err, ERR_CONFIG, "gRPC: address '%s' needs a host and a port to connect to", o.address);
    o.use_tls = o.use_tls && !address.is_unix;
    if (o.use_tls && tls_pem_load(&o.tls, &pem, err) < 0)
        return err_context(err, "gRPC");
    if (!o.message_max_bytes)
        o.message_max_bytes = 16 * 1024 * 1024;
    struct rpc_args args;
    channel_args(&o, &args);
    grpc_channel_credentials *creds = credentials_of(&o, &pem);
    struct rpc_channel *channel = mem_alloc(sizeof(*channel));
    channel->loop = loop;
    channel->message_max_bytes = o.message_max_bytes;
    channel->core = grpc_channel_create(address_format(target, &address), creds, &args.args);
    grpc_channel_credentials_release(creds);
    tls_pem_done(&pem);
    *ret_channel = channel;
    return 0;
}

void rpc_channel_free(struct rpc_channel *channel) {
    if (!channel)
        return;
    grpc_channel_destroy(channel->core);
    mem_free(channel);
}

/* --- streams --- */

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

/* Frees the stream when the last operation is back. */
static void stream_settle(struct rpc_stream *s) {
    if (--s->pending)
        return;
    struct err result;
    result_of(s, &result);
    struct rpc_stream_events events = s->events;
    void *user = s->user;
    grpc_metadata_array_destroy(&s->header);
    grpc_metadata_array_destroy(&s->trailer);
    grpc_slice_unref(s->details);
    if (s->received)
        grpc_byte_buffer_destroy(s->received);
    grpc_call_unref(s->core);
    mem_free(s);
    events.end(user, &result);
}

static void on_status(struct rpc_tag *tag, bool ok) {
    (void)ok;
    struct rpc_stream *s = container_of(tag, struct rpc_stream, t_status);
    s->finished = true;
    stream_settle(s);
}

static void on_sent(struct rpc_tag *tag, bool ok) {
    (void)ok; /* a failure comes with the status */
    stream_settle(container_of(tag, struct rpc_stream, t_send));
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
    grpc_byte_buffer *bb = rpc_pack(request, NULL);
    op[0].op = GRPC_OP_SEND_INITIAL_METADATA;
    op[0].flags = wait_for_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY | GRPC_INITIAL_METADATA_WAIT_FOR_READY_EXPLICITLY_SET : 0;
    op[1].op = GRPC_OP_SEND_MESSAGE;
    op[1].data.send_message.send_message = bb;
    op[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    s->t_send.fn = on_sent;
    stream_batch(s, op, 3, &s->t_send);
    grpc_byte_buffer_destroy(bb);
    stream_receive(s);
}

struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                                   const ProtobufCMessageDescriptor *response, int64_t timeout_ms, bool wait_for_ready,
                                   const struct rpc_stream_events *events, void *user) {
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
    stream_start(s, request, wait_for_ready);
    return s;
}

void rpc_stream_cancel(struct rpc_stream *s) {
    if (s->finished || s->cancelled)
        return;
    s->cancelled = true;
    grpc_call_cancel(s->core, NULL);
}
