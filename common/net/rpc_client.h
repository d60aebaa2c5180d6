/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC client. A channel on the event loop, and blocking helpers over a loop of their own for programs without one.
 */
#ifndef MSSQL_NET_RPC_CLIENT_H
#define MSSQL_NET_RPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/net/rpc_loop.h"
#include "common/net/tls.h"

struct rpc_channel;
struct rpc_stream;

struct rpc_channel_options {
    const char *address; /* address.h */
    bool use_tls; /* Unix sockets never */
    struct tls_files tls; /* ca: NULL = the system's roots; cert and key: our own, for mTLS */
    const char *server_name; /* that the certificate must have; NULL = the host */
    unsigned message_max_bytes; /* received; 0 = 16 MiB */
    unsigned keepalive_s; /* 0 = 30 */
    const char *authorization; /* metadata of every call; only with TLS, on loopback and Unix sockets (ERR_CONFIG). NULL = none */
};

int rpc_channel_new(struct rpc_loop *loop, const struct rpc_channel_options *options, struct rpc_channel **ret_channel,
                    struct err *err) ERR_CHECK;
/* Every stream must have ended. NULL is allowed. */
void rpc_channel_free(struct rpc_channel *channel);

struct rpc_stream_events {
    /* Each message of the server, valid during the call. May be NULL. */
    void (*message)(void *user, const ProtobufCMessage *message);
    /* Exactly once, last; the stream is gone afterwards. err->class is ERR_NONE for OK. */
    void (*end)(void *user, const struct err *err);
    /* Bidi: everything that was given to rpc_stream_send() is on its way. May be NULL. */
    void (*sent)(void *user);
};

/* A unary or server-stream call: `request` is sent and the sending side closed. timeout_ms 0 = none. wait_for_ready: wait for
 * a peer that is down instead of failing at once. */
struct rpc_stream *rpc_stream_open(struct rpc_channel *channel, const char *path, const ProtobufCMessage *request,
                                   const ProtobufCMessageDescriptor *response, int64_t timeout_ms, bool wait_for_ready,
                                   const struct rpc_stream_events *events, void *user);
/* A bidirectional stream without a deadline. It never resumes: after its end, open another one. */
struct rpc_stream *rpc_stream_open_bidi(struct rpc_channel *channel, const char *path, const ProtobufCMessageDescriptor *response,
                                        bool wait_for_ready, const struct rpc_stream_events *events, void *user);
/* Queues a copy of the message; one is under way at a time, so the queue is the back-pressure. ERR_BUSY beyond 1 MiB (the message is not
 * taken), ERR_CANCELLED when the stream is over. */
int rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message, struct err *err) ERR_CHECK;
size_t rpc_stream_queued_bytes(const struct rpc_stream *stream);
/* Nothing more will be sent; what is queued still is. */
void rpc_stream_half_close(struct rpc_stream *stream);
/* `end` still comes, with ERR_CANCELLED. */
void rpc_stream_cancel(struct rpc_stream *stream);
/* The same, and waits for `end`: for the end of a program, when the loop does not run any more. */
void rpc_stream_finish(struct rpc_stream *stream);

/* --- blocking --- */

struct rpc_client;

int rpc_client_new(const struct rpc_channel_options *options, struct rpc_client **ret_client, struct err *err) ERR_CHECK;
void rpc_client_free(struct rpc_client *client);
/* Safe in a signal handler: the call that is under way ends with ERR_CANCELLED, later ones at once. */
void rpc_client_interrupt(struct rpc_client *client);
/* One request, one answer; free it with protobuf_c_message_free_unpacked(*ret_response, NULL). The error has the class that
 * the server named (trailer mssql-error-class) or that its status maps to, and the server's text. */
int rpc_client_unary(struct rpc_client *client, const char *path, const ProtobufCMessage *request,
                     const ProtobufCMessageDescriptor *response, int64_t timeout_ms, ProtobufCMessage **ret_response,
                     struct err *err) ERR_CHECK;
/* One request, many answers: fn gets each; a negative result of fn ends the call with ERR_CANCELLED. */
int rpc_client_stream(struct rpc_client *client, const char *path, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *response, int64_t timeout_ms,
                      int (*fn)(void *user, const ProtobufCMessage *message), void *user, struct err *err) ERR_CHECK;

/* Is a *new* connection served? A fresh channel and a health check of the whole server, for liveness: an old connection
 * goes on working when a listener is dead. Blocks; ERR_STATE when the answer is not SERVING. */
int rpc_probe(const struct rpc_channel_options *options, int64_t timeout_ms, struct err *err) ERR_CHECK;

#endif
