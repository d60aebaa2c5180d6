/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"
#include "common/sql/preflight.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/rpc/service.h"
#include "sidecar/status.h"

struct preflight {
    struct service_work work;
    struct sql_params params;
    struct secret *password; /* of our own: a reload frees the one in use */
    struct sql_check_list checks;
};

static void run(struct pool_item *item) {
    struct preflight *p = container_of(item, struct preflight, work.item);
    const struct sidecar_config *c = p->work.agent->config;
    struct sql_preflight spec = {.params = &p->params, .staging_dir = c->paths.staging_server};
    sql_preflight_run(&spec, &p->checks);
}

static void done(struct pool_item *item) {
    static const Mssql__V1__CheckState states[SQL_CHECK_RESULT_COUNT] = {
        [SQL_CHECK_OK] = MSSQL__V1__CHECK_STATE__CHECK_STATE_PASSED,
        [SQL_CHECK_WARN] = MSSQL__V1__CHECK_STATE__CHECK_STATE_WARNING,
        [SQL_CHECK_FAIL] = MSSQL__V1__CHECK_STATE__CHECK_STATE_FAILED,
    };
    struct preflight *p = container_of(item, struct preflight, work.item);
    p->work.agent->preflighting = false;
    Mssql__V1__PreflightResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__preflight_response__init(r);
    r->passed = sql_preflight_worst(&p->checks) != SQL_CHECK_FAIL;
    for (size_t i = 0; i < p->checks.count; i++) {
        Mssql__V1__Check *m = mem_alloc(sizeof(*m));
        mssql__v1__check__init(m);
        m->name = mem_strdup(p->checks.items[i].name);
        m->state = states[p->checks.items[i].result];
        m->message = mem_strdup(p->checks.items[i].message);
        STATUS_APPEND(r, checks, m);
    }
    service_reply(&p->work, &r->base);
    mssql__v1__preflight_response__free_unpacked(r, NULL);
    sql_checks_done(&p->checks);
    secret_free(p->password);
    mem_free(p);
}

void service_preflight(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    (void)request;
    struct agent *agent = user;
    struct err err;
    if (!service_opened(agent, call))
        return;
    if (agent->preflighting) { /* it may take minutes: one worker at most */
        err_set(&err, ERR_BUSY, "a preflight is under way; try again when it is through");
        rpc_call_fail(call, &err);
        return;
    }
    struct preflight *p = mem_alloc(sizeof(*p));
    p->work = (struct service_work){.item = {.work = run, .done = done}, .agent = agent, .call = call};
    sessions_params(agent->sessions, SESSIONS_DAEMON, &p->params);
    p->params.password = p->password = secret_dup(p->params.password);
    agent->preflighting = service_submit(&p->work);
    if (agent->preflighting)
        return;
    secret_free(p->password);
    mem_free(p);
}
