/* SPDX-License-Identifier: Apache-2.0 */
/* /metrics, /healthz, /readyz. */
#include "controller/program_int.h"

#define METRICS_BYTES_MAX (16u << 20)

static void get_metrics(void *user, struct http_request *request) {
    struct program *p = user;
    struct buf out;
    buf_init(&out, METRICS_BYTES_MAX);
    if (metrics_render(figures_registry(p->figures), &out))
        http_reply(request, 200, METRICS_CONTENT_TYPE, out.data, out.len);
    else
        http_reply_text(request, 500, "metrics are larger than %u bytes\n", METRICS_BYTES_MAX);
    buf_done(&out);
}

static void get_health(void *user, struct http_request *request) {
    (void)user;
    http_reply_text(request, 200, "ok\n");
}

/* All replicas are ready, also those that do not lead: they tell sidecars who does. A right that is missing is no reason to take a
 * replica away: it is said here, in the log and in the objects' statuses. */
static void get_ready(void *user, struct http_request *request) {
    struct program *p = user;
    struct buf out;
    if (p->stopping) {
        http_reply_text(request, 503, "stopping\n");
        return;
    }
    buf_init(&out, 64u << 10);
    (void)buf_printf(&out, "ok\nleading: %s\n", kube_lease_leading(p->lease) ? "yes" : "no");
    run_trouble(p->run, &out);
    http_reply(request, 200, NULL, out.data, out.len);
    buf_done(&out);
}

int web_start(struct program *p, struct err *err) {
    struct http_server_options options = {.listen = p->config->http.listen};
    if (http_server_new(p->ev, &options, &p->http, err) < 0)
        return err_context(err, "http.listen");
    http_server_route(p->http, HTTP_GET, "/metrics", get_metrics, p);
    http_server_route(p->http, HTTP_GET, "/healthz", get_health, p);
    http_server_route(p->http, HTTP_GET, "/readyz", get_ready, p);
    return 0;
}
