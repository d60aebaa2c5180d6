/* SPDX-License-Identifier: Apache-2.0 */
/* Blocking calls for programs without a loop: the channel runs on a loop of its own, inside of the call. */
#include "common/net/rpc_client.h"

#include <signal.h>

#include "common/base/mem.h"
#include "common/net/rpc_int.h"
#include "grpc/health/v1/health.pb-c.h"

struct rpc_client {
    struct ev_loop *ev;
    struct rpc_loop *loop;
    struct rpc_channel *channel;
    ev_async interrupt;
    volatile sig_atomic_t interrupted;
    struct rpc_stream *stream; /* under way */
};

/* One blocking call. */
struct wait {
    struct rpc_client *client;
    int (*fn)(void *user, const ProtobufCMessage *message);
    void *user;
    bool done;
    struct err result;
};

static void on_interrupt(struct ev_loop *ev, ev_async *w, int revents) {
    (void)ev, (void)revents;
    struct rpc_client *client = w->data;
    if (client->stream)
        rpc_stream_cancel(client->stream);
}

int rpc_client_new(const struct rpc_channel_options *options, struct rpc_client **ret_client, struct err *err) {
    rpc_setup();
    struct rpc_client *client = mem_alloc(sizeof(*client));
    client->ev = ev_loop_new(EVFLAG_AUTO);
    if (!client->ev) {
        mem_free(client);
        return err_set(err, ERR_IO, "gRPC: no event loop, are there descriptors left?");
    }
    client->loop = rpc_loop_new(client->ev);
    ev_async_init(&client->interrupt, on_interrupt);
    client->interrupt.data = client;
    ev_async_start(client->ev, &client->interrupt); /* counts as activity: ev_run waits */
    if (rpc_channel_new(client->loop, options, &client->channel, err) < 0) {
        rpc_client_free(client);
        return -1;
    }
    *ret_client = client;
    return 0;
}

void rpc_client_free(struct rpc_client *client) {
    if (!client)
        return;
    rpc_channel_free(client->channel);
    ev_async_stop(client->ev, &client->interrupt);
    rpc_loop_free(client->loop);
    ev_loop_destroy(client->ev);
    mem_free(client);
}

void rpc_client_interrupt(struct rpc_client *client) {
    client->interrupted = 1;
    ev_async_send(client->ev, &client->interrupt);
}

static void on_message(void *user, const ProtobufCMessage *message) {
    struct wait *wait = user;
    if (wait->fn(wait->user, message) < 0 && wait->client->stream)
        rpc_stream_cancel(wait->client->stream);
}

static void on_end(void *user, const struct err *err) {
    struct wait *wait = user;
    wait->result = *err;
    wait->done = true;
}

int rpc_client_stream(struct rpc_client *client, const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *response, int64_t timeout_ms,
                      int (*fn)(void *user, const ProtobufCMessage *message), void *user, struct err *err) {
    static const struct rpc_stream_events events = {on_message, on_end};
    struct wait wait = {.client = client, .fn = fn, .user = user};
    if (client->interrupted)
        return err_set(err, ERR_CANCELLED, "cancelled");
    client->stream = rpc_stream_open(client->channel, path, request, response, timeout_ms, false, &events, &wait);
    while (!wait.done)
        ev_run(client->ev, EVRUN_ONCE);
    client->stream = NULL;
    if (wait.result.class == ERR_NONE)
        return 0;
    if (err)
        *err = wait.result;
    return -1;
}

/* --- unary --- */

struct unary {
    const ProtobufCMessageDescriptor *type;
    ProtobufCMessage *message;
    unsigned count;
};

/* Keeps a copy: the message belongs to the stream. */
static int take_message(void *user, const ProtobufCMessage *message) {
    struct unary *u = user;
    if (u->count++)
        return 0;
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(len ? len : 1);
    protobuf_c_message_pack(message, bytes);
    u->message = protobuf_c_message_unpack(u->type, NULL, len, bytes);
    mem_free(bytes);
    return 0;
}

int rpc_client_unary(struct rpc_client *client, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *response, int64_t timeout_ms, ProtobufCMessage **ret_response,
                     struct err *err) {
    struct unary u = {.type = response};
    int rc = rpc_client_stream(client, path, request, response, timeout_ms, take_message, &u, err);
    if (rc == 0 && u.count != 1)
        rc = err_set(err, ERR_PROTOCOL, "%u answers instead of one", u.count);
    if (rc == 0 && !u.message)
        rc = err_set(err, ERR_PROTOCOL, "answer cannot be read");
    if (rc < 0) {
        if (u.message)
            protobuf_c_message_free_unpacked(u.message, NULL);
        return -1;
    }
    *ret_response = u.message;
    return 0;
}

int rpc_probe(const struct rpc_channel_options *options, int64_t timeout_ms, struct err *err) {
    struct rpc_client *client;
    ProtobufCMessage *message;
    Grpc__Health__V1__HealthCheckRequest request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    if (rpc_client_new(options, &client, err) < 0)
        return -1;
    int rc = rpc_client_unary(client, "/grpc.health.v1.Health/Check", &request.base,
                              &grpc__health__v1__health_check_response__descriptor, timeout_ms, &message, err);
    rpc_client_free(client);
    if (rc < 0)
        return err_context(err, "gRPC probe of '%s'", options->address);
    int status = (int)((const Grpc__Health__V1__HealthCheckResponse *)message)->status;
    protobuf_c_message_free_unpacked(message, NULL);
    if (status != GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING)
        return err_set(err, ERR_STATE, "gRPC probe of '%s': not serving", options->address);
    return 0;
}
