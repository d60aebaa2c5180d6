/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gRPC C-core behind a libev loop: one completion queue, one thread that waits on it, one array of finished operations, one
 * ev_async. Everything else, all state and every call into C-core, stays on the loop's thread. (The prefix is rpc_ because
 * grpc_ is C-core's own.)
 */
#ifndef MSSQL_NET_RPC_LOOP_H
#define MSSQL_NET_RPC_LOOP_H

#include <ev.h>
#include <stdbool.h>

#include "common/base/err.h"

struct rpc_loop;

/* Call once at the start of a program, before any thread exists: raises RLIMIT_NOFILE to the hard limit, ignores SIGPIPE,
 * switches the lock-order check of Debian's abseil off, takes over C-core's log (debug level, at most some lines per
 * minute above it). Does not initialise C-core: rpc_loop_new() does. */
void rpc_setup(void);
const char *rpc_core_version(void);

struct rpc_loop *rpc_loop_new(struct ev_loop *ev);
/* Ends the thread and frees. Everything that used the loop (servers, channels) must be freed before; the ev loop must not be
 * running: this one waits for the last operations itself. */
void rpc_loop_free(struct rpc_loop *loop);
struct ev_loop *rpc_loop_ev(struct rpc_loop *loop);

#endif
