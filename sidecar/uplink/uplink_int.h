/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the uplink: link.c (the session), tell.c (status), order.c (commands), order_run.c, order_result.c, saved.c (files), pushed.c (policy), grants.c. */
#ifndef MSSQL_SIDECAR_UPLINK_UPLINK_INT_H
#define MSSQL_SIDECAR_UPLINK_UPLINK_INT_H

#include "common/net/grant.h"
#include "common/net/rpc_client.h"
#include "sidecar/uplink/uplink.h"

#define ORDERS_MAX 64 /* not acknowledged */
#define ORDER_ID_MAX 64
#define ENDED_MAX 512 /* ids of acknowledged ones that are remembered: they never run again */
#define MESSAGE_BYTES_MAX (200u * 1024)

/* A command. */
struct order {
    struct uplink *uplink;
    char id[ORDER_ID_MAX + 1];
    Mssql__V1__Command *command; /* NULL when there is a result */
    Mssql__V1__CommandResult *result; /* while it runs: what is known of it so far */
    bool done;
    bool result_sent; /* in this session */
    struct rpc_call *call; /* while it runs */
    struct order *next;
};

/* What the controller was told of one database. */
struct told {
    char *name;
    uint64_t digest, hash;
    bool seen; /* scratch of one look */
};

struct uplink {
    struct agent *agent;
    char process_id[GUID_TEXT_MAX];
    bool opened, connecting, stopping;

    /* link.c */
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    bool welcomed, refused, redirected;
    char *follow; /* address of the leader, as another replica named it; NULL = the configured one */
    unsigned hops; /* that were followed without a Welcome */
    double pause_s; /* before the next attempt */
    ev_timer retry, beat, look;
    ev_timer patience; /* for the Welcome */
    ev_timer resume; /* while orders wait to begin */
    unsigned heartbeat_s;
    int64_t heard_us; /* monotonic */
    uint64_t token_stamp; /* of the token that the controller has */
    uint8_t grant_key[GRANT_KEY_BYTES];
    bool grant_key_known;
    struct uplink_stats stats;
    char last_failure[ERR_TEXT_MAX]; /* said in the log */

    /* tell.c */
    uint64_t sequence; /* of the last part in this session */
    uint64_t head_digest, head_hash;
    bool head_told, incomplete; /* incomplete: parts were sent, the last one not */
    struct told *told;
    size_t told_count, told_cap;
    int64_t figures_us; /* monotonic: when all figures were told last */

    /* order.c */
    struct order *orders;
    unsigned order_count;
    char *ended[ENDED_MAX];
    unsigned ended_count;

    /* pushed.c */
    struct policy *policy; /* NULL = none */
    struct policy *old_policy; /* the one before: somebody may look at it until the loop comes round */
    char *policy_uid;
    int64_t policy_generation;

    struct grant_use *uses; /* grants.c */
};

/* 0: it is on its way; -1: there is no session, or the stream is full. */
int link_send(struct uplink *u, Mssql__V1__SidecarMessage *message);
bool link_full(const struct uplink *u);
/* There are orders to begin: now, or as soon as they can. */
void link_resume(struct uplink *u);

void tell_begin(struct uplink *u); /* a new session */
void tell_look(struct uplink *u); /* what is to be told now */
void tell_done(struct uplink *u);

void order_open(struct uplink *u); /* those of an earlier life */
bool order_resume(struct uplink *u); /* begins what has not begun; true: some must wait */
void order_take(struct uplink *u, const Mssql__V1__Command *command);
void order_cancel(struct uplink *u, const char *id);
void order_acked(struct uplink *u, const char *id);
void order_flush(struct uplink *u); /* results that were not sent in this session */
void order_hello(struct uplink *u, Mssql__V1__Hello *hello); /* fills `commands`; mem_free() them with order_hello_done() */
void order_hello_done(Mssql__V1__Hello *hello);
void order_stop(struct uplink *u);
void order_done(struct uplink *u);

/* order_run.c: gives it to the service's own handlers. */
void order_run(struct order *o);
void order_finish(struct order *o, const struct err *err);
/* order_result.c */
void order_collect(Mssql__V1__CommandResult *result, const ProtobufCMessage *message);
bool order_progress(const struct order *o, const ProtobufCMessage *message, Mssql__V1__CommandProgress *ret_progress);
/* Makes it fit into a message. */
void order_fit(Mssql__V1__CommandResult *result);
void *order_copy(const ProtobufCMessage *message);

/* saved.c: <state>/commands/ID.command, ID.result, and the ids of those that are over. */
int saved_command(struct uplink *u, const Mssql__V1__Command *command, struct err *err) ERR_CHECK;
int saved_result(struct uplink *u, const Mssql__V1__CommandResult *result, struct err *err) ERR_CHECK;
int saved_ended(struct uplink *u, const char *id, struct err *err) ERR_CHECK;
/* Calls fn for each that is there, with its result or NULL. */
void saved_load(struct uplink *u, void (*fn)(struct uplink *u, Mssql__V1__Command *command, Mssql__V1__CommandResult *result));

void policy_open(struct uplink *u);
void policy_take(struct uplink *u, const Mssql__V1__PolicyPush *push);
/* What is in force, for Hello; the strings live as long as the uplink's. */
void policy_applied(const struct uplink *u, Mssql__V1__PolicyApplied *ret_applied);
void policy_close(struct uplink *u);

void grants_sweep(struct uplink *u);
void grants_free(struct uplink *u);

#endif
