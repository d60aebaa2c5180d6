/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC service Sidecar. Handlers run on the loop; what blocks goes to workers of its own, so that it holds up no look at the server. */
#ifndef MSSQL_SIDECAR_RPC_SERVICE_H
#define MSSQL_SIDECAR_RPC_SERVICE_H

#include "common/net/rpc_server.h"
#include "sidecar/agent.h"

int service_start(struct agent *agent, struct err *err) ERR_CHECK;
/* Ends calls within grace_ms; fn runs when that is done. */
void service_stop(struct agent *agent, unsigned grace_ms, void (*fn)(void *user), void *user);
void service_free(struct agent *agent);
/* The table, for callers from inside (rpc_local_call()); its handlers want the agent. */
const struct rpc_method *service_methods(size_t *ret_count);

/* One file each. */
void service_get_status(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_list_backups(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_get_chain(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_run_backup(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_set_hold(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_pause(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_resume(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_preflight(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_plan_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_run_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_resume_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_cancel_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_keep_restore(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_verify(void *user, struct rpc_call *call, const ProtobufCMessage *request);
void service_fetch_backup(void *user, struct rpc_call *call, const ProtobufCMessage *request);

/* What may destroy or give away data is for callers whose name is known: over the Unix socket, or with a client certificate. False:
 * the call was failed. */
bool service_trusted(struct rpc_call *call, const char *what);

/* Work for a serving worker on behalf of a call. The client may go away meanwhile: the answer is then dropped by the server, the
 * call is ended all the same. */
struct service_work {
    struct pool_item item;
    struct agent *agent;
    struct rpc_call *call;
    struct err err;
};
/* False when the state directory cannot be used yet: then the call was failed with that. */
bool service_opened(struct agent *agent, struct rpc_call *call);
/* Fails the call when the worker's queue is full; false then, and the caller frees. */
bool service_submit(struct service_work *work);
/* What a worker found. Nothing when the program ends and its calls have ended with the service. */
void service_reply(const struct service_work *work, const ProtobufCMessage *answer);
void service_fail(const struct service_work *work);

#endif
