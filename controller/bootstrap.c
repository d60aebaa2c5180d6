/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/bootstrap.h"

#include <ev.h>
#include <signal.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/kube/client.h"

/* A create whose answer was lost is looked after this often before it is an error. */
#define LOOKS_MAX 5

struct run {
    const struct bootstrap *plan;
    struct kube_config config;
    struct kube_client *client;
    struct ev_loop *ev;
    const char *namespace;
    unsigned at, looks;
    struct err *err;
    int result;
};

/* Helm, Argo CD and Flux delete what they once made and no longer render, but not what says this. */
static json_t *keep(void) {
    return json_pack("{s:s, s:s, s:s}", "helm.sh/resource-policy", "keep", "argocd.argoproj.io/sync-options", "Prune=false",
                     "kustomize.toolkit.fluxcd.io/prune", "disabled");
}

static const struct bootstrap_item *current(const struct run *run) {
    return &run->plan->items[run->at];
}

static const char *kind_of(const struct bootstrap_item *item) {
    return item->key ? "Secret" : "Service";
}

static void end(struct run *run, int result) {
    run->result = result;
    ev_break(run->ev, EVBREAK_ALL);
}

static void fail(struct run *run, const struct err *err) {
    const struct bootstrap_item *item = current(run);
    err_copy(run->err, err);
    err_context(run->err, "%s %s", kind_of(item), item->name);
    end(run, -1);
}

static void look(struct run *run);

static void next(struct run *run, const char *what) {
    const struct bootstrap_item *item = current(run);
    log_event(LOG_INFO, what, "kind", kind_of(item), "namespace", run->namespace, "name", item->name, NULL);
    run->at++;
    run->looks = 0;
    if (run->at < run->plan->count)
        look(run);
    else
        end(run, 0);
}

static void ask(struct run *run, enum kube_verb verb, const json_t *body, void (*done)(void *, const struct kube_result *)) {
    const struct bootstrap_item *item = current(run);
    struct kube_op op = {
        .verb = verb, .kind = item->key ? &kube_secrets : &kube_services, .namespace = run->namespace, .body = body};
    op.name = verb == KUBE_CREATE ? NULL : item->name;
    (void)kube_start(run->client, &op, done, run);
}

static json_t *secret_body(const struct bootstrap_item *item) {
    struct secret *password = bootstrap_password();
    json_t *body = json_pack("{s:s, s:s, s:s, s:{s:s}}", "apiVersion", "v1", "kind", "Secret", "type", "Opaque", "stringData",
                             item->key, secret_text(password));
    secret_free(password);
    return body;
}

static json_t *service_body(const struct run *run, const struct bootstrap_item *item) {
    return json_pack("{s:s, s:s, s:{s:O, s:[{s:s, s:i, s:s}]}}", "apiVersion", "v1", "kind", "Service", "spec", "selector",
                     run->plan->selector, "ports", "name", "grpc", "port", (int)item->port, "targetPort", "grpc");
}

static void created(void *user, const struct kube_result *result) {
    struct run *run = user;
    enum err_class class = result->err.class;
    if (!class)
        next(run, "made");
    else if ((class == ERR_EXISTS || err_class_transient(class)) && run->looks < LOOKS_MAX)
        look(run); /* somebody else made it, or we did and did not hear of it */
    else
        fail(run, &result->err);
}

static void create(struct run *run) {
    const struct bootstrap_item *item = current(run);
    json_t *body = item->key ? secret_body(item) : service_body(run, item);
    json_object_set_new(body, "metadata",
                        json_pack("{s:s, s:O, s:o}", "name", item->name, "labels", run->plan->labels, "annotations", keep()));
    ask(run, KUBE_CREATE, body, created);
    json_decref(body);
}

static void marked(void *user, const struct kube_result *result) {
    struct run *run = user;
    if (result->err.class)
        fail(run, &result->err);
    else
        next(run, "there already; it will be kept");
}

static void mark(struct run *run) {
    json_t *body = json_pack("{s:{s:o}}", "metadata", "annotations", keep());
    ask(run, KUBE_PATCH, body, marked);
    json_decref(body);
}

static const char *metadata(const json_t *object, const char *map, const char *key) {
    const char *text = json_string_value(json_object_get(json_object_get(json_object_get(object, "metadata"), map), key));
    return text ? text : "";
}

static void found(struct run *run, const json_t *object) {
    const struct bootstrap_item *item = current(run);
    struct err err = {0};
    if (item->key && !json_string_length(json_object_get(json_object_get(object, "data"), item->key))) {
        err_set(&err, ERR_CONFIG,
                "it is there and has no key %s. What is there is never changed: add the key, or name "
                "another Secret in the chart's values",
                item->key);
        fail(run, &err);
    } else if (item->key && !strcmp(metadata(object, "labels", "app.kubernetes.io/managed-by"), "Helm") &&
               strcmp(metadata(object, "annotations", "helm.sh/resource-policy"), "keep") != 0)
        mark(run);
    else
        next(run, "there already");
}

static void looked(void *user, const struct kube_result *result) {
    struct run *run = user;
    if (!result->err.class)
        found(run, result->object);
    else if (result->err.class == ERR_NOT_FOUND)
        create(run);
    else
        fail(run, &result->err);
}

static void look(struct run *run) {
    run->looks++;
    ask(run, KUBE_GET, NULL, looked);
}

static int run_items(struct run *run) {
    struct kube_client_options options = {.ev = run->ev, .config = &run->config};
    if (kube_client_new(&options, &run->client, run->err) < 0)
        return -1;
    run->namespace = run->plan->namespace ? run->plan->namespace : run->config.namespace;
    run->result = -1;
    look(run);
    ev_run(run->ev, 0);
    kube_client_free(run->client);
    return run->result;
}

static int run_plan(const struct bootstrap *plan, struct err *err) {
    struct run run = {.plan = plan, .err = err};
    if (!plan->count)
        return 0;
    int rc = plan->kubeconfig ? kube_config_load(plan->kubeconfig, NULL, &run.config, err)
                              : kube_config_in_cluster(NULL, &run.config, err);
    if (rc < 0)
        return -1;
    run.ev = ev_loop_new(0);
    rc = run_items(&run);
    ev_loop_destroy(run.ev);
    kube_config_done(&run.config);
    return rc;
}

int bootstrap_main(int argc, char **argv) {
    struct bootstrap plan;
    struct err err = {0};
    log_setup(LOG_INFO, LOG_LOGFMT, "mssql-controller");
    signal(SIGPIPE, SIG_IGN);
    if (bootstrap_parse(argc - 2, argv + 2, &plan, &err) < 0) {
        log_error(LOG_ERROR, &err, "bootstrap cannot begin", NULL);
        return err_class_exit(err.class);
    }
    if (run_plan(&plan, &err) < 0)
        log_error(LOG_ERROR, &err, "bootstrap failed", NULL);
    bootstrap_done(&plan);
    return err_class_exit(err.class);
}
