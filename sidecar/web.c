/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/web.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/proto_json.h"
#include "sidecar/instruments.h"
#include "sidecar/status.h"

#define METRICS_BYTES_MAX (16u << 20)
#define PRESTOP_MAX 8u

static void get_metrics(void *user, struct http_request *request) {
    struct agent *agent = user;
    struct buf out;
    buf_init(&out, METRICS_BYTES_MAX);
    if (metrics_render(instruments_registry(agent->instruments), &out))
        http_reply(request, 200, METRICS_CONTENT_TYPE, out.data, out.len);
    else
        http_reply_text(request, 500, "metrics are larger than %u bytes\n", METRICS_BYTES_MAX);
    buf_done(&out);
}

static void get_health(void *user, struct http_request *request) {
    (void)user;
    http_reply_text(request, 200, "ok\n");
}

/* Ready means that requests are served. Not being able to back up is a condition, an alert and a status, not a restart. */
static void get_ready(void *user, struct http_request *request) {
    struct agent *agent = user;
    if (agent->draining)
        http_reply_text(request, 503, "stopping\n");
    else
        http_reply_text(request, 200, "ok\n");
}

static void get_status(void *user, struct http_request *request) {
    struct agent *agent = user;
    Mssql__V1__Status *status = status_build(agent, NULL, 0, true);
    json_t *json = proto_json_from(&status->base, false);
    char *text = json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    http_reply(request, 200, "application/json", text, strlen(text));
    free(text);
    json_decref(json);
    status_free(status);
}

struct prestop {
    struct agent *agent;
    struct http_request *request;
};

static void prestop_done(void *user, enum drain_end end, unsigned left) {
    struct prestop *p = user;
    if (end == DRAIN_DONE)
        http_reply_text(p->request, 200, "everything is in the store\n");
    else if (end == DRAIN_WITHOUT_LOGS)
        http_reply_text(p->request, 200, "what was staged is in the store; there are no last log backups: %s\n",
                        !p->agent->opened                         ? "the state directory cannot be used"
                        : p->agent->staging_err.class != ERR_NONE ? "staging cannot be used"
                                                                  : "SQL Server is not reachable");
    else
        http_reply_text(p->request, 200, "time is over: %u backups wait in staging for the next start\n", left);
    mem_free(p);
}

static void prestop_gone(void *user) {
    struct prestop *p = user;
    agent_drain_forget(p->agent, p);
    mem_free(p);
}

/* Called by kubelet before SQL Server's container is stopped. GET, because an httpGet hook cannot do anything else, nor say who it is: so
 * what a call does is bounded (drain.c), and it can have an address of its own. */
static void prestop(void *user, struct http_request *request) {
    struct agent *agent = user;
    if (agent_drain_waiting(agent) >= PRESTOP_MAX) {
        http_reply_text(request, 429, "%u calls wait already\n", PRESTOP_MAX);
        return;
    }
    log_event(LOG_INFO, "SQL Server's container is about to stop: last log backups", NULL);
    struct prestop *p = mem_alloc(sizeof(*p));
    *p = (struct prestop){agent, request};
    http_request_on_gone(request, prestop_gone, p);
    agent_drain(agent, true, agent->config->shutdown.prestop_ms, prestop_done, p);
}

int web_start(struct agent *agent, struct err *err) {
    struct http_server_options options = {.listen = agent->config->http.listen,
                                          .max_connections = (unsigned)agent->config->http.max_connections};
    if (http_server_new(agent->loop, &options, &agent->http, err) < 0)
        return err_context(err, "http.listen");
    http_server_route(agent->http, HTTP_GET, "/metrics", get_metrics, agent);
    http_server_route(agent->http, HTTP_GET, "/healthz", get_health, agent);
    http_server_route(agent->http, HTTP_GET, "/readyz", get_ready, agent);
    http_server_route(agent->http, HTTP_GET, "/status", get_status, agent);
    struct http_server *hook = agent->http;
    if (agent->config->http.prestop_listen) {
        options.listen = agent->config->http.prestop_listen;
        options.max_connections = 2 * PRESTOP_MAX;
        if (http_server_new(agent->loop, &options, &agent->http_prestop, err) < 0)
            return err_context(err, "http.prestopListen");
        hook = agent->http_prestop;
    }
    http_server_route(hook, HTTP_GET, "/prestop", prestop, agent);
    return 0;
}

void web_stop(struct agent *agent) {
    http_server_free(agent->http);
    http_server_free(agent->http_prestop);
    agent->http = agent->http_prestop = NULL;
}
