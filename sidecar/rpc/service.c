/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/rpc/service.h"

#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/instruments.h"
#include "sidecar/status.h"

static const struct rpc_method methods[] = {
    {"/mssql.v1.Sidecar/GetStatus", RPC_UNARY, &mssql__v1__get_status_request__descriptor, service_get_status},
    {"/mssql.v1.Sidecar/ListBackups", RPC_UNARY, &mssql__v1__list_backups_request__descriptor, service_list_backups},
    {"/mssql.v1.Sidecar/GetChain", RPC_UNARY, &mssql__v1__get_chain_request__descriptor, service_get_chain},
    {"/mssql.v1.Sidecar/RunBackup", RPC_SERVER_STREAM, &mssql__v1__run_backup_request__descriptor, service_run_backup},
    {"/mssql.v1.Sidecar/SetHold", RPC_UNARY, &mssql__v1__set_hold_request__descriptor, service_set_hold},
    {"/mssql.v1.Sidecar/Pause", RPC_UNARY, &mssql__v1__pause_request__descriptor, service_pause},
    {"/mssql.v1.Sidecar/Resume", RPC_UNARY, &mssql__v1__resume_request__descriptor, service_resume},
    {"/mssql.v1.Sidecar/Preflight", RPC_UNARY, &mssql__v1__preflight_request__descriptor, service_preflight},
    {"/mssql.v1.Sidecar/PlanRestore", RPC_UNARY, &mssql__v1__plan_restore_request__descriptor, service_plan_restore},
    {"/mssql.v1.Sidecar/RunRestore", RPC_SERVER_STREAM, &mssql__v1__run_restore_request__descriptor, service_run_restore},
    {"/mssql.v1.Sidecar/ResumeRestore", RPC_SERVER_STREAM, &mssql__v1__resume_restore_request__descriptor,
     service_resume_restore},
    {"/mssql.v1.Sidecar/CancelRestore", RPC_UNARY, &mssql__v1__cancel_restore_request__descriptor, service_cancel_restore},
    {"/mssql.v1.Sidecar/KeepRestore", RPC_UNARY, &mssql__v1__keep_restore_request__descriptor, service_keep_restore},
    {"/mssql.v1.Sidecar/Verify", RPC_SERVER_STREAM, &mssql__v1__verify_request__descriptor, service_verify},
    {"/mssql.v1.Sidecar/FetchBackup", RPC_SERVER_STREAM, &mssql__v1__fetch_backup_request__descriptor, service_fetch_backup},
};

const struct rpc_method *service_methods(size_t *ret_count) {
    *ret_count = sizeof(methods) / sizeof(methods[0]);
    return methods;
}

static void on_end(void *user, const char *path, enum err_class class, int64_t us) {
    instruments_rpc(user, path, class, us);
}

int service_start(struct agent *agent, struct err *err) {
    const struct sidecar_config *c = agent->config;
    const char *listen[] = {c->grpc.listen, NULL};
    struct rpc_server_options options = {
        .listen = listen,
        .tls = {.cert = c->grpc.tls_cert, .key = c->grpc.tls_key, .ca = c->grpc.tls_client_ca},
        .methods = methods,
        .method_count = sizeof(methods) / sizeof(methods[0]),
        .user = agent,
        .message_max_bytes = (unsigned)c->grpc.max_message_bytes,
        .max_connections = (unsigned)c->grpc.max_connections,
        .max_streams = (unsigned)c->grpc.max_streams,
    };
    if (rpc_server_new(agent->rpc_loop, &options, &agent->rpc, err) < 0)
        return err_context(err, "grpc.listen");
    rpc_server_on_end(agent->rpc, on_end, agent);
    return 0;
}

void service_stop(struct agent *agent, unsigned grace_ms, void (*fn)(void *user), void *user) {
    rpc_server_stop(agent->rpc, grace_ms, fn, user);
}

void service_free(struct agent *agent) {
    rpc_server_free(agent->rpc);
    agent->rpc = NULL;
}

bool service_opened(struct agent *agent, struct rpc_call *call) {
    if (!agent->opened)
        rpc_call_fail(call, &agent->state_err);
    return agent->opened;
}

bool service_submit(struct service_work *work) {
    if (pool_submit(work->agent->serve, &work->item))
        return true;
    struct err err;
    err_set(&err, ERR_BUSY, "too many requests wait; try again");
    rpc_call_fail(work->call, &err);
    return false;
}

void service_reply(const struct service_work *work, const ProtobufCMessage *answer) {
    if (work->agent->rpc)
        rpc_call_reply(work->call, answer);
}

void service_fail(const struct service_work *work) {
    if (work->agent->rpc)
        rpc_call_fail(work->call, &work->err);
}

void service_get_status(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    const Mssql__V1__GetStatusRequest *q = (const void *)request;
    Mssql__V1__Status *status = status_build(user, q->databases, q->n_databases, !q->without_databases);
    rpc_call_reply(call, &status->base);
    status_free(status);
}
