/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC server. A table of methods, handlers on the loop's thread.
 *
 *     static void get_status(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
 *         ...
 *         rpc_call_reply(call, &status.base);
 *     }
 *     static const struct rpc_method methods[] = {
 *         {"/mssql.v1.Sidecar/GetStatus", RPC_UNARY, &mssql__v1__get_status_request__descriptor, get_status},
 *     };
 *
 * Life of a call: the handler gets it and owns it until it ends it, exactly once, with rpc_call_reply(), rpc_call_end() or
 * rpc_call_fail(): at once or later, also when the client has gone meanwhile. After that the pointer is dead. The request
 * stays valid until then.
 *
 * Requests are decoded here: at most `message_max_bytes` on the wire, a bounded multiple of it in memory, every string
 * valid UTF-8 without NUL or control characters; otherwise INVALID_ARGUMENT or RESOURCE_EXHAUSTED and no handler sees it.
 * grpc.health.v1 and grpc.reflection (v1, v1alpha) are built in.
 */
#ifndef MSSQL_NET_RPC_SERVER_H
#define MSSQL_NET_RPC_SERVER_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/net/rpc_loop.h"
#include "common/net/tls.h"

struct rpc_server;
struct rpc_call;

enum rpc_kind {
    RPC_UNARY,
    RPC_SERVER_STREAM,
    RPC_BIDI, /* the handler gets request == NULL, messages come through rpc_call_on_message() */
};

struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    enum rpc_kind kind;
    const ProtobufCMessageDescriptor *request;
    void (*handler)(void *user, struct rpc_call *call, const ProtobufCMessage *request);
};

struct rpc_server_options {
    const char *const *listen; /* addresses (address.h), NULL-terminated */
    unsigned socket_mode; /* of Unix sockets; 0 = 0660 */
    struct tls_files tls; /* cert and key: TLS on every TCP address. ca: clients must show a certificate of it */
    const struct rpc_method *methods;
    size_t method_count;
    void *user; /* first argument of the handlers */
    unsigned message_max_bytes; /* received; 0 = 256 KiB */
    unsigned max_connections; /* 0 = 128 */
    unsigned max_streams; /* at once per connection; 0 = 32 */
    unsigned max_calls; /* at once in all; beyond: RESOURCE_EXHAUSTED (not health checks); 0 = 256 */
    unsigned queue_max_bytes; /* unsent of one stream; 0 = 1 MiB */
    unsigned keepalive_s; /* silent peers are asked after this time, and cut after 10 s more; 0 = 60 */
    unsigned handshake_timeout_s; /* 0 = 10 */
};

/* Checks everything, listens, serves. Plaintext TCP is accepted on loopback addresses only: ERR_CONFIG otherwise. ERR_CONFLICT
 * when an address is in use. */
int rpc_server_new(struct rpc_loop *loop, const struct rpc_server_options *options, struct rpc_server **ret_server,
                   struct err *err) ERR_CHECK;

/* Begins the end: no new connections or calls, health says NOT_SERVING, then `stopped` runs when the last call has ended;
 * after grace_ms what is left is cancelled (handlers see on_cancel and must end their calls). */
void rpc_server_stop(struct rpc_server *server, unsigned grace_ms, void (*stopped)(void *user), void *user);
/* After `stopped`, or directly: then every call that has not ended is cancelled (its on_cancel runs), and dead afterwards
 * whether its handler ended it or not. NULL is allowed. */
void rpc_server_free(struct rpc_server *server);

/* Port of the n-th address (for port 0), 0 for Unix sockets. */
unsigned rpc_server_port(const struct rpc_server *server, size_t n);
/* Health of one service, "" = the whole server. Watchers hear of changes. All services of `methods` start as serving. */
void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving);

struct rpc_server_stats {
    unsigned connections, calls; /* now */
    uint64_t accepted, refused; /* connections; refused = limit or no descriptors */
    uint64_t started, cancelled, failed; /* calls; failed = ended with an error by us */
    uint64_t rejected; /* calls that no handler saw: malformed, too large, too many, unknown method */
    bool accepting; /* false while out of descriptors or stopping */
    int64_t cert_not_after_at; /* 0 without TLS */
};
void rpc_server_get_stats(const struct rpc_server *server, struct rpc_server_stats *ret_stats);

/* Called at the end of each call with its method, the class it ended with and its duration; for metrics. Unknown methods
 * come as "unknown". */
void rpc_server_on_end(struct rpc_server *server, void (*fn)(void *user, const char *path, enum err_class class, int64_t us),
                       void *user);

/* --- calls --- */

/* Unary: the answer. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message);
/* Streams: end with OK, after everything that is queued. */
void rpc_call_end(struct rpc_call *call);
/* Any kind: end with the status of the error's class and its text; what is queued is still sent before. */
void rpc_call_fail(struct rpc_call *call, const struct err *err);

/* Streams: queues a copy of the message. ERR_BUSY when queue_max_bytes are waiting (the message is not taken: wait for
 * on_sent or drop it), ERR_CANCELLED when nobody listens any more. */
int rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message, struct err *err) ERR_CHECK;
/* fn runs whenever the queue has become empty. */
void rpc_call_on_sent(struct rpc_call *call, void (*fn)(void *user, struct rpc_call *call), void *user);
size_t rpc_call_queued_bytes(const struct rpc_call *call);
/* fn runs at most once, when the client has gone, its deadline has passed or the server cancels; the call still must be
 * ended. Set it in the handler: what happened before it is set is only seen in rpc_call_cancelled(). */
void rpc_call_on_cancel(struct rpc_call *call, void (*fn)(void *user, struct rpc_call *call), void *user);
bool rpc_call_cancelled(const struct rpc_call *call);
/* Bidi: fn gets each message (valid during fn), and NULL when the client has sent its last, or is gone: C-core tells that first. May be
 * set later than in the handler; until then nothing is read. */
void rpc_call_on_message(struct rpc_call *call, void (*fn)(void *user, struct rpc_call *call, const ProtobufCMessage *message),
                         void *user);
/* Monotonic microseconds, INT64_MAX without a deadline. */
int64_t rpc_call_deadline_us(const struct rpc_call *call);
/* Common name of the client's certificate, "" without one. */
const char *rpc_call_peer_name(struct rpc_call *call);
const char *rpc_call_peer(struct rpc_call *call); /* "unix:", "ipv4:127.0.0.1:1234", "local:" */
/* Metadata `authorization`, "" without it. Only until the handler returns: it is not kept. */
const char *rpc_call_authorization(const struct rpc_call *call);

/* --- calls from inside --- */

struct rpc_local_events {
    void (*message)(void *user, const ProtobufCMessage *message);
    /* Exactly once, last. err->class is ERR_NONE for OK. */
    void (*end)(void *user, const struct err *err);
};

/* Gives a request to the handler of `path` in a table, as if a client had called: so that whoever asks, the same code answers. A copy of
 * the request is taken. peer_name is what rpc_call_peer_name() says. The events may run before this returns; NULL is returned when it
 * has ended already, or when there is no such unary or server-stream method (then without events). */
struct rpc_call *rpc_local_call(const struct rpc_method *methods, size_t count, void *methods_user, const char *path,
                                const char *peer_name, const ProtobufCMessage *request, const struct rpc_local_events *events,
                                void *user);
/* As a client that goes away: on_cancel runs, `end` comes when the handler ends the call. */
void rpc_local_cancel(struct rpc_call *call);
/* The end of the program: no more events. The call is dead afterwards whether its handler ended it or not. */
void rpc_local_abandon(struct rpc_call *call);

#endif
