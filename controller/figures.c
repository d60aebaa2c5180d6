/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/figures.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/queue.h"
#include "controller/reconcile/look.h"

struct figures {
    struct metrics *reg;
    const struct run *run;
    const struct fleet *fleet;
    struct metric *info, *leader, *reconciles, *reconcile_seconds, *requests, *request_seconds, *retries, *forbidden, *restarts,
        *writes, *queue_depth, *queue_oldest, *queue_retries, *objects, *instances, *sidecars, *sessions, *commands,
        *status_bytes, *certificate;
    unsigned phases[8];
};

static const char *const phases[] = {"Pending", "Ready", "Degraded", "Conflict", "Paused", "Unknown"};

static void count_phase(void *user, json_t *object) {
    struct figures *f = user;
    const char *phase = look_text(object, "status.phase");
    size_t i = 0;
    while (i + 1 < ARRAY_LEN(phases) && strcmp(phases[i], phase) != 0)
        i++;
    f->phases[i]++;
}

static void collect_run(struct figures *f) {
    struct kube_queue_stats q;
    run_queue_stats(f->run, &q);
    metric_set(f->queue_depth, q.due + q.waiting);
    metric_set(f->queue_oldest, (double)q.oldest_us / 1e6);
    metric_set(f->queue_retries, (double)q.retried);
    for (int k = 0; k < WORLD_WATCHED_COUNT; k++)
        metric_set(f->objects, (double)run_objects(f->run, (enum world_kind)k), world_kind_of((enum world_kind)k)->kind);
    memset(f->phases, 0, sizeof(f->phases));
    run_each(f->run, WORLD_INSTANCE, count_phase, f);
    for (size_t i = 0; i < ARRAY_LEN(phases); i++)
        metric_set(f->instances, f->phases[i], phases[i]);
}

static void collect(void *user) {
    struct figures *f = user;
    struct fleet_stats s;
    if (f->run)
        collect_run(f);
    if (!f->fleet)
        return;
    fleet_get_stats(f->fleet, &s);
    metric_set(f->sidecars, s.connected, "connected");
    metric_set(f->sidecars, s.known - s.connected, "lost");
    metric_set(f->sessions, (double)s.accepted, "accepted");
    metric_set(f->sessions, (double)s.refused, "refused");
    metric_set(f->sessions, (double)s.replaced, "replaced");
    metric_set(f->sessions, (double)s.lost, "lost");
    metric_set(f->commands, s.commands_open);
    metric_set(f->status_bytes, (double)s.status_bytes);
    if (s.cert_not_after_at)
        metric_set(f->certificate, (double)s.cert_not_after_at / 1e6);
}

struct figures *figures_new(void) {
    struct figures *f = mem_alloc(sizeof(*f));
    struct metrics *r = f->reg = metrics_new("mssql_controller");
    f->info = metrics_gauge(r, "mssql_controller_build_info", "Always 1; the label is the version.", "version");
    f->leader = metrics_gauge(r, "mssql_controller_leader", "1 while this replica leads.");
    f->reconciles = metrics_counter(r, "mssql_controller_reconciles_total", "Objects that were looked at.", "kind", "result");
    f->reconcile_seconds = metrics_histogram(r, "mssql_controller_reconcile_seconds", "From taking a key to its last write.",
                                             metric_buckets_seconds, "kind");
    f->requests = metrics_counter(r, "mssql_controller_kube_requests_total", "Requests to the API server; code 0 is no answer.",
                                  "verb", "resource", "code");
    f->request_seconds = metrics_histogram(r, "mssql_controller_kube_request_seconds",
                                           "Time of requests to the API server, but watches.", metric_buckets_seconds, "verb");
    f->retries = metrics_counter(r, "mssql_controller_kube_retries_total", "Requests that were made again.", "verb", "resource");
    f->forbidden = metrics_gauge(r, "mssql_controller_kube_forbidden", "1 for each right that is missing.", "verb", "resource",
                                 "namespace");
    f->restarts = metrics_counter(r, "mssql_controller_watch_restarts_total", "Watches that began again.", "kind", "why");
    f->writes = metrics_counter(r, "mssql_controller_status_writes_total", "Statuses that were written.", "kind", "urgent");
    f->queue_depth = metrics_gauge(r, "mssql_controller_queue_depth", "Keys that are due or wait for their time.");
    f->queue_oldest = metrics_gauge(r, "mssql_controller_queue_oldest_seconds", "How long the first key is due.");
    f->queue_retries = metrics_counter(r, "mssql_controller_queue_retries_total", "Keys that came again after a failure.");
    f->objects = metrics_gauge(r, "mssql_controller_objects", "Objects that are watched.", "kind");
    f->instances = metrics_gauge(r, "mssql_controller_instances", "Instances by phase.", "phase");
    f->sidecars = metrics_gauge(r, "mssql_controller_sidecars", "Sidecars by session.", "session");
    f->sessions = metrics_counter(r, "mssql_controller_sessions_total", "Sessions of sidecars by what became of them.", "result");
    f->commands = metrics_gauge(r, "mssql_controller_commands", "Commands to sidecars whose result was not taken yet.");
    f->status_bytes = metrics_gauge(r, "mssql_controller_status_bytes", "Memory for the statuses of sidecars.");
    f->certificate = metrics_gauge(r, "mssql_controller_certificate_expiry_timestamp_seconds",
                                   "End of the server's certificate.");
    metrics_add_process(r);
    metric_set(f->info, 1, MSSQL_SIDECAR_VERSION);
    metric_set(f->leader, 0);
    metrics_on_collect(r, collect, f);
    return f;
}

void figures_free(struct figures *figures) {
    if (!figures)
        return;
    metrics_free(figures->reg);
    mem_free(figures);
}

struct metrics *figures_registry(const struct figures *figures) {
    return figures->reg;
}

void figures_lead(struct figures *figures, bool leading) {
    metric_set(figures->leader, leading);
}

void figures_watch(struct figures *figures, const struct run *run, const struct fleet *fleet) {
    figures->run = run;
    figures->fleet = fleet;
}

static void exchanged(void *user, const char *verb, const char *resource, unsigned code, double seconds) {
    struct figures *f = user;
    char text[16];
    snprintf(text, sizeof(text), "%u", code);
    metric_inc(f->requests, verb, resource, text);
    if (strcmp(verb, "watch") != 0)
        metric_observe(f->request_seconds, seconds, verb);
}

static void retried(void *user, const char *verb, const char *resource) {
    struct figures *f = user;
    metric_inc(f->retries, verb, resource);
}

static void forbidden(void *user, const char *verb, const char *resource, const char *namespace, const struct err *err) {
    struct figures *f = user;
    if (err)
        metric_set(f->forbidden, 1, verb, resource, namespace ? namespace : "");
    else
        metric_remove(f->forbidden, verb, resource, namespace ? namespace : "");
}

struct kube_hooks figures_kube_hooks(struct figures *figures) {
    return (struct kube_hooks){figures, exchanged, retried, forbidden};
}

static void reconciled(void *user, const char *kind, bool failed, double seconds) {
    struct figures *f = user;
    metric_inc(f->reconciles, kind, failed ? "failed" : "done");
    metric_observe(f->reconcile_seconds, seconds, kind);
}

static void written(void *user, const char *kind, bool urgent) {
    struct figures *f = user;
    metric_inc(f->writes, kind, urgent ? "true" : "false");
}

static void restarted(void *user, const char *kind, const char *why) {
    struct figures *f = user;
    metric_inc(f->restarts, kind, why);
}

struct run_hooks figures_run_hooks(struct figures *figures) {
    return (struct run_hooks){figures, reconciled, written, restarted};
}
