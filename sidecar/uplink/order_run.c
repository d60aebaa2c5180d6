/* SPDX-License-Identifier: Apache-2.0 */
/* A command becomes a call from inside to the handler of the service Sidecar: whoever asks, the same code answers. */
#include <string.h>

#include "common/base/mem.h"
#include "common/net/rpc_server.h"
#include "sidecar/rpc/service.h"
#include "sidecar/uplink/uplink_int.h"

#define PROGRESS_UNSENT_MAX (64u * 1024)

static void on_message(void *user, const ProtobufCMessage *message) {
    struct order *o = user;
    struct uplink *u = o->uplink;
    Mssql__V1__CommandProgress progress = MSSQL__V1__COMMAND_PROGRESS__INIT;
    if (!order_progress(o, message, &progress)) {
        order_collect(o->result, message);
        return;
    }
    if (!u->welcomed || rpc_stream_queued_bytes(u->stream) > PROGRESS_UNSENT_MAX)
        return;
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_PROGRESS;
    m.progress = &progress;
    (void)link_send(u, &m);
}

static void on_end(void *user, const struct err *err) {
    struct order *o = user;
    o->call = NULL;
    if (!o->uplink->stopping) /* else it has no result yet: the next start goes on with it */
        order_finish(o, err);
}

static char *own_id(char *given, const struct order *o) {
    if (*given)
        return given;
    if (given != protobuf_c_empty_string)
        mem_free(given);
    return mem_strdup(o->id);
}

/* Nobody disconnects here, and what runs twice must be known by its id. */
static const ProtobufCMessage *prepare(struct order *o, const char **ret_path) {
    Mssql__V1__Command *c = o->command;
    switch (c->request_case) {
    case MSSQL__V1__COMMAND__REQUEST_RUN_BACKUP:
        c->run_backup->cancel_on_disconnect = false;
        c->run_backup->request_id = own_id(c->run_backup->request_id, o);
        *ret_path = "/mssql.v1.Sidecar/RunBackup";
        return &c->run_backup->base;
    case MSSQL__V1__COMMAND__REQUEST_RUN_RESTORE:
        c->run_restore->cancel_on_disconnect = false;
        c->run_restore->request_id = own_id(c->run_restore->request_id, o);
        *ret_path = "/mssql.v1.Sidecar/RunRestore";
        return &c->run_restore->base;
    case MSSQL__V1__COMMAND__REQUEST_PLAN_RESTORE:
        *ret_path = "/mssql.v1.Sidecar/PlanRestore";
        return &c->plan_restore->base;
    case MSSQL__V1__COMMAND__REQUEST_CANCEL_RESTORE:
        *ret_path = "/mssql.v1.Sidecar/CancelRestore";
        return &c->cancel_restore->base;
    case MSSQL__V1__COMMAND__REQUEST_KEEP_RESTORE:
        *ret_path = "/mssql.v1.Sidecar/KeepRestore";
        return &c->keep_restore->base;
    case MSSQL__V1__COMMAND__REQUEST_SET_HOLD:
        *ret_path = "/mssql.v1.Sidecar/SetHold";
        return &c->set_hold->base;
    case MSSQL__V1__COMMAND__REQUEST_PAUSE:
        *ret_path = "/mssql.v1.Sidecar/Pause";
        return &c->pause->base;
    case MSSQL__V1__COMMAND__REQUEST_RESUME:
        *ret_path = "/mssql.v1.Sidecar/Resume";
        return &c->resume->base;
    case MSSQL__V1__COMMAND__REQUEST_PREFLIGHT:
        *ret_path = "/mssql.v1.Sidecar/Preflight";
        return &c->preflight->base;
    case MSSQL__V1__COMMAND__REQUEST_LIST_BACKUPS:
        *ret_path = "/mssql.v1.Sidecar/ListBackups";
        return &c->list_backups->base;
    case MSSQL__V1__COMMAND__REQUEST_GET_CHAIN:
        *ret_path = "/mssql.v1.Sidecar/GetChain";
        return &c->get_chain->base;
    default:
        return NULL;
    }
}

void order_run(struct order *o) {
    static const struct rpc_local_events events = {on_message, on_end};
    const char *path = NULL;
    const ProtobufCMessage *request = prepare(o, &path);
    struct err err;
    size_t count;
    const struct rpc_method *methods = service_methods(&count);
    if (!request) {
        err_set(&err, ERR_UNSUPPORTED, "this version of the sidecar does not know the command");
        order_finish(o, &err);
        return;
    }
    struct rpc_call *call = rpc_local_call(methods, count, o->uplink->agent, path, "controller", request, &events, o);
    if (!o->done) /* it may be over by now */
        o->call = call;
}
