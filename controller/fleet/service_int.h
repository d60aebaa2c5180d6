/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the service Fleet: service.c (calls, commands, watching), service_read.c (lists and single instances). */
#ifndef MSSQL_CONTROLLER_FLEET_SERVICE_INT_H
#define MSSQL_CONTROLLER_FLEET_SERVICE_INT_H

#include "controller/fleet/fleet_int.h"
#include "mssql/v1/fleet.pb-c.h"

struct ask {
    struct fleet *fleet;
    struct rpc_call *call; /* NULL: over; only while the caller is still checked */
    const ProtobufCMessage *request; /* lives as long as the call */
    void (*run)(struct ask *ask); /* once the caller is allowed */
    bool checking, allowed;
    bool watch; /* WatchInstances */
    struct kube_map dirty; /* pod uids that are to be told */
    char *pod_uid, *command_id; /* RunCommand */
    Mssql__V1__CommandState told_state;
    struct ask *next;
};

/* Both end the ask. */
void ask_fail(struct ask *ask, const struct err *err);
void ask_reply(struct ask *ask, const ProtobufCMessage *message);

/* The connected one, else the one that was heard of last; NULL when there is none. */
struct member *service_find(const struct fleet *fleet, const char *namespace_name, const char *instance);
/* mssql__v1__instance__free_unpacked() it. */
Mssql__V1__Instance *service_instance(const struct member *member, bool with_databases);
void service_list(struct ask *ask);
void service_get(struct ask *ask);

#endif
