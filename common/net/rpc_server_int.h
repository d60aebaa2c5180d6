/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the server: rpc_server.c (life, accepting calls), rpc_call.c (a call), rpc_health.c, rpc_reflect.c. */
#ifndef MSSQL_NET_RPC_SERVER_INT_H
#define MSSQL_NET_RPC_SERVER_INT_H

#include "common/net/rpc_int.h"
#include "common/net/rpc_listen.h"
#include "common/net/rpc_server.h"

#define LISTEN_MAX 8

struct method {
    struct rpc_method def;
    void *registered; /* C-core's */
    void *user; /* first argument of the handler */
};

/* One call that C-core may fill in. Posted again for every call that comes. */
struct accept_slot {
    struct rpc_tag tag;
    struct rpc_server *server;
    struct method *method; /* NULL: whatever is not registered */
    grpc_call *call;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_byte_buffer *payload;
    grpc_call_details details;
};

struct out_message {
    struct out_message *next;
    grpc_byte_buffer *bb;
    size_t bytes;
};

struct rpc_call {
    struct rpc_call *prev, *next; /* the server's list */
    struct rpc_server *server;
    struct method *method; /* NULL for an unknown one */
    grpc_call *core;
    struct rpc_tag t_close, t_send, t_recv; /* one batch of each kind at a time; the status goes as a send */
    unsigned pending; /* tags under way */
    int cancelled; /* written by C-core for t_close */
    bool closed; /* t_close has come */
    bool gone; /* nobody listens: cancelled or broken */
    bool broken; /* the client broke the rules: it gets our status, the handler a cancel */
    bool ended; /* the handler is through with it */
    bool started_status, header_sent, sending, receiving, half_closed;
    struct out_message *first, *last;
    size_t queued_bytes;
    ProtobufCMessage *request;
    grpc_byte_buffer *received;
    struct err result; /* class NONE: OK */
    int64_t started_us, deadline_us;
    char *peer, *peer_name; /* peer is C-core's, of a local call ours */
    char *authorization; /* while the handler runs, NULL none */
    struct rpc_local *local; /* not NULL: a call from inside, without server and core */
    void (*on_sent)(void *user, struct rpc_call *call);
    void *on_sent_user;
    void (*on_cancel)(void *user, struct rpc_call *call);
    void *on_cancel_user;
    void (*on_message)(void *user, struct rpc_call *call, const ProtobufCMessage *message);
    void *on_message_user;
};

struct health; /* rpc_health.c */

struct rpc_server {
    struct rpc_loop *loop;
    grpc_server *core;
    struct rpc_server_options opt; /* with the defaults filled in; strings are not kept */
    struct method *method;
    size_t methods;
    struct rpc_creds *creds;
    struct rpc_gate *gate;
    struct rpc_listener *plain, *tls;
    unsigned port[LISTEN_MAX];
    size_t ports;
    struct rpc_call *calls;
    unsigned call_count;
    struct rpc_server_stats stats;
    struct health *health;
    unsigned slots; /* posted to C-core */

    bool stopping, core_down, idle; /* idle: core_down and no call left */
    struct rpc_tag t_down;
    ev_timer grace;
    void (*stopped)(void *user);
    void *stopped_user;
    void (*on_end)(void *user, const char *path, enum err_class class, int64_t us);
    void *on_end_user;
};

/* Takes over a call that C-core has accepted, and `authorization`; `payload` stays the caller's. */
void rpc_call_begin(struct rpc_server *server, struct method *method, grpc_call *core, gpr_timespec deadline,
                    grpc_byte_buffer *payload, char *authorization);
/* rpc_local.c: what a call from inside does instead of sending. rpc_local_end() frees the call unless its handler runs. */
void rpc_local_message(struct rpc_call *call, const ProtobufCMessage *message);
void rpc_local_end(struct rpc_call *call);
/* Nobody listens any more: on_cancel runs, once. */
void rpc_call_gone(struct rpc_call *call);
/* After the end of the core: what handlers never ended. */
void rpc_call_abandon(struct rpc_call *call);
/* A call is gone; ends the shutdown when it was the last. */
void rpc_server_check_idle(struct rpc_server *server);

extern const struct rpc_method rpc_health_methods[];
extern const size_t rpc_health_method_count;
struct health *rpc_health_new(const struct rpc_method *methods, size_t count);
void rpc_health_free(struct health *health);
void rpc_health_set(struct health *health, const char *service, bool serving);
/* Tells all watchers NOT_SERVING and ends them. */
void rpc_health_stop(struct health *health);

extern const struct rpc_method rpc_reflect_methods[];
extern const size_t rpc_reflect_method_count;

#endif
