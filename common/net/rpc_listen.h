/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Our own listeners for C-core. C-core 1.51 stops accepting for good when accept4() fails once for want of a descriptor, it
 * has no limit of connections, and it opens Unix sockets with the umask's mode. So connections are accepted here, on the
 * loop, and handed to C-core's "external" acceptor, which is made for this.
 */
#ifndef MSSQL_NET_RPC_LISTEN_H
#define MSSQL_NET_RPC_LISTEN_H

#include "common/net/accept.h"
#include "common/net/address.h"
#include "common/net/rpc_int.h"

struct rpc_listener; /* one or more addresses with the same credentials */
struct rpc_gate; /* what all listeners of a server share: the limit and the count of connections */

struct rpc_gate *rpc_gate_new(unsigned max_connections);
void rpc_gate_free(struct rpc_gate *gate);
/* Looks which of the accepted connections are still open. */
unsigned rpc_gate_connections(struct rpc_gate *gate);

/* name: "external:<unique>". The argument goes into the channel arguments of the server before it is created. */
struct rpc_listener *rpc_listener_new(struct ev_loop *ev, struct rpc_gate *gate, const char *name);
void rpc_listener_args(struct rpc_listener *listener, struct rpc_args *args);
int rpc_listener_attach(struct rpc_listener *listener, grpc_server *server, grpc_server_credentials *creds,
                        struct err *err) ERR_CHECK;
/* After the server has started. Takes the socket; the file of a Unix socket (`path`, else NULL) is removed at close. */
void rpc_listener_add(struct rpc_listener *listener, int fd, const char *path);
/* Adds this listener's figures to *stats. */
void rpc_listener_add_stats(const struct rpc_listener *listener, struct acceptor_stats *stats);
/* Closes the sockets; open connections live on. */
void rpc_listener_close(struct rpc_listener *listener);
void rpc_listener_free(struct rpc_listener *listener);

#endif
