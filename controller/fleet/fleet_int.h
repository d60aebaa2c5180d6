/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the fleet: fleet.c (life, questions), connect.c (sessions on streams), service.c (the service Fleet).
 */
#ifndef MSSQL_CONTROLLER_FLEET_FLEET_INT_H
#define MSSQL_CONTROLLER_FLEET_FLEET_INT_H

#include "common/net/grant.h"
#include "controller/fleet/peer.h"
#include "controller/kube/map.h"

/* Lines in the log about callers that are refused: anybody can make them, so at most some in a minute. */
struct complaints {
    int64_t minute;
    unsigned said, swallowed;
};

struct fleet {
    struct fleet_options opt; /* strings are not kept but those that follow */
    char *controller_id, *leader;
    struct rpc_server *server;
    struct grant_key *grants;
    uint8_t grant_public[GRANT_KEY_BYTES];
    struct kube_map peers; /* by pod uid */
    struct session *sessions; /* list, newest first */
    unsigned session_count;
    struct ask *asks; /* calls of the service Fleet */
    unsigned sweeps;
    struct complaints complaints;
    struct fleet_stats stats;
    ev_timer sweep;
    bool lead, stopping;
};

/* A peer with its way back. */
struct member {
    struct peer *peer;
    struct fleet *fleet;
    struct session *session; /* NULL: lost, or never there */
};

struct member *fleet_member(const struct fleet *fleet, const char *pod_uid);
struct member *fleet_member_add(struct fleet *fleet, const struct fleet_bearer *bearer);

/* connect.c */
void connect_handler(void *user, struct rpc_call *call, const ProtobufCMessage *request);
/* Every second: silent sessions, expired tokens, streams without Hello. */
void connect_sweep(struct fleet *fleet);
/* Ends every session: NotLeader when there is another leader. */
void connect_end_all(struct fleet *fleet);
/* The pod is forgotten: its session ends without being told. */
void connect_forget(struct member *member);
/* The token of "Bearer <token>", NULL when there is none. */
const char *connect_token(const struct rpc_call *call);
void connect_complain(struct fleet *fleet, const char *who, const char *peer, const struct err *err);

/* service.c: the service Fleet, and telling its watchers. */
extern const struct rpc_method service_methods[];
extern const size_t service_method_count;
void service_session(struct fleet *fleet, const char *pod_uid);
void service_status(struct fleet *fleet, const char *pod_uid);
void service_command(struct fleet *fleet, const char *pod_uid, const char *id);
void service_forget(struct fleet *fleet, const char *pod_uid);
void service_sweep(struct fleet *fleet);
void service_end_all(struct fleet *fleet);

#endif
