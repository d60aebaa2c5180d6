/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_CONTROLLER_PROGRAM_INT_H
#define MSSQL_CONTROLLER_PROGRAM_INT_H

#include <ev.h>

#include "common/net/http_server.h"
#include "common/net/rpc_loop.h"
#include "controller/figures.h"
#include "controller/fleet/trust.h"
#include "controller/keys.h"
#include "controller/kube/lease.h"
#include "controller/link.h"
#include "controller/program.h"

struct program {
    const struct controller_config *config;
    struct ev_loop *ev;
    struct kube_config login;
    char *namespace_name, *name, *address, *identity;
    const char **namespaces; /* NULL-terminated; NULL = all */
    struct figures *figures;
    struct kube_client *client;
    struct kube_lease *lease;
    struct keys *keys;
    struct trust *trust;
    struct callers *callers;
    struct rpc_loop *rpc;
    struct fleet *fleet;
    struct link *link;
    struct run *run;
    struct http_server *http;
    ev_signal term, interrupt;
    bool stopping, lost;
};

/* web.c */
int web_start(struct program *p, struct err *err) ERR_CHECK;

#endif
