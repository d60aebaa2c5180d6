/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/conditions.h"
#include "sidecar/pause.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

static int check(struct agent *agent, const Mssql__V1__PauseRequest *q, struct err *err) {
    if (!*q->reason)
        return err_set(err, ERR_USAGE, "a pause needs a reason: whoever finds it later must know why");
    if (q->until_at && q->until_at <= clock_wall())
        return err_set(err, ERR_USAGE, "the end of the pause is in the past");
    for (size_t i = 0; i < q->n_databases; i++)
        if (!databases_find(agent, q->databases[i]))
            return err_set(err, ERR_NOT_FOUND, "there is no database '%s' on this server", q->databases[i]);
    return 0;
}

static int apply(struct agent *agent, const Mssql__V1__PauseRequest *q, const char *by, struct err *err) {
    struct pause p = {.since_at = clock_wall(), .until_at = q->until_at};
    str_copy(p.reason, sizeof(p.reason), q->reason);
    str_copy(p.by, sizeof(p.by), by);
    if (!q->n_databases)
        return pause_set(agent, &p, err);
    for (size_t i = 0; i < q->n_databases; i++) {
        str_copy(p.database, sizeof(p.database), databases_find(agent, q->databases[i])->name);
        if (pause_set(agent, &p, err) < 0)
            return -1;
    }
    return 0;
}

static void changed(struct agent *agent) {
    for (size_t i = 0; i < agent->database_count; i++)
        databases_judge(agent, agent->databases[i], NULL, 0);
    conditions_update(agent);
    scheduler_wake(agent);
}

void service_pause(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__PauseRequest *q = (const void *)request;
    struct err err;
    if (!service_opened(agent, call))
        return;
    const char *peer = rpc_call_peer_name(call);
    if (check(agent, q, &err) < 0 || apply(agent, q, *peer ? peer : rpc_call_peer(call), &err) < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    changed(agent);
    Mssql__V1__PauseResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__pause_response__init(r);
    status_pauses(agent, &r->n_pauses, &r->pauses);
    rpc_call_reply(call, &r->base);
    mssql__v1__pause_response__free_unpacked(r, NULL);
}

void service_resume(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct agent *agent = user;
    const Mssql__V1__ResumeRequest *q = (const void *)request;
    struct err err;
    if (!service_opened(agent, call))
        return;
    int rc = q->n_databases ? 0 : pause_clear(agent, "", &err);
    for (size_t i = 0; i < q->n_databases && rc == 0; i++)
        rc = pause_clear(agent, q->databases[i], &err);
    if (rc < 0) {
        rpc_call_fail(call, &err);
        return;
    }
    changed(agent);
    Mssql__V1__ResumeResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__resume_response__init(r);
    status_pauses(agent, &r->n_pauses, &r->pauses);
    rpc_call_reply(call, &r->base);
    mssql__v1__resume_response__free_unpacked(r, NULL);
}
