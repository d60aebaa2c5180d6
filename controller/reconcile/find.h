/* SPDX-License-Identifier: Apache-2.0 */
/* Which sidecar speaks for a SQL Server: the one in the pod that the Service of `connection.host` selects. */
#ifndef MSSQL_RECONCILE_FIND_H
#define MSSQL_RECONCILE_FIND_H

#include "controller/reconcile/world.h"

#define FIND_LABEL WORLD_ANNOTATION "instance" /* on a pod: it belongs to that MSSQLInstance, whatever the Service says */
#define FIND_CONTAINER "mssql-sidecar"

enum find_outcome {
    FIND_CONNECTED,
    FIND_NO_SERVICE, /* the host is no Service here */
    FIND_NO_POD, /* it selects none */
    FIND_NO_SIDECAR, /* its pod has no container of ours */
    FIND_NOT_CONNECTED,
};
/* "Connected", "ServiceNotFound", ...: reasons of the condition SidecarConnected. */
const char *find_reason(enum find_outcome outcome);

struct found {
    enum find_outcome outcome;
    const json_t *pod; /* NULL for NO_SERVICE and NO_POD */
    const char *pod_uid; /* "" without one */
    bool seen; /* session is filled */
    struct world_session session;
    char text[512]; /* what is wrong and what to do, or the pod */
};

/* instance: name of the MSSQLInstance, for the label; NULL = none. */
void find_sidecar(const struct world *world, const char *namespace, const char *host, const char *instance,
                  struct found *ret_found);
/* The Service that a host name means: "name", "name.ns", "name.ns.svc", "name.ns.svc.DOMAIN", and the same behind the name of a
 * pod. False when it can be none (an address). Names are cut off `host` into the buffers. */
struct find_host {
    char service[254], namespace[254];
    char pod[254]; /* "" = any that the Service selects */
};
bool find_host(const struct world *world, const char *namespace, const char *host, struct find_host *ret_host);
/* Do two hosts mean the same server? By their Service where they have one, else by text. */
bool find_same_server(const struct world *world, const char *namespace_a, const json_t *connection_a, const char *namespace_b,
                      const json_t *connection_b);

#endif
