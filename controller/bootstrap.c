/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/bootstrap.h"

#include <ev.h>
#include <signal.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "controller/bootstrap_identity.h"
#include "controller/bootstrap_int.h"

/* A create whose answer was lost is looked after this often before it is an error. */
#define LOOKS_MAX 5

/* Helm, Argo CD and Flux delete what they once made and no longer render, but not what says this. */
static json_t *keep(void) {
    return json_pack("{s:s, s:s, s:s}", "helm.sh/resource-policy", "keep", "argocd.argoproj.io/sync-options", "Prune=false",
                     "kustomize.toolkit.fluxcd.io/prune", "disabled");
}

static const struct kube_kind *kind_of(const struct bootstrap_item *item) {
    return item->kind == BOOTSTRAP_SERVICE ? &kube_services : item->kind == BOOTSTRAP_BUNDLE ? &kube_configmaps : &kube_secrets;
}

static void end(struct bootstrap_run *run, int result) {
    run->result = result;
    ev_break(run->ev, EVBREAK_ALL);
}

static void fail(struct bootstrap_run *run, const struct err *err) {
    const struct bootstrap_item *item = bootstrap_item(run);
    err_copy(run->err, err);
    err_context(run->err, "%s %s", kind_of(item)->kind, item->name);
    end(run, -1);
}

static void look(struct bootstrap_run *run);

void bootstrap_next(struct bootstrap_run *run, const char *what) {
    const struct bootstrap_item *item = bootstrap_item(run);
    log_event(LOG_INFO, what, "kind", kind_of(item)->kind, "namespace", run->namespace, "name", item->name, NULL);
    run->at++;
    run->looks = 0;
    if (run->at < run->plan->count)
        look(run);
    else
        end(run, 0);
}

static void ask(struct bootstrap_run *run, enum kube_verb verb, const json_t *body, bootstrap_done_fn *done) {
    const struct bootstrap_item *item = bootstrap_item(run);
    struct kube_op op = {.verb = verb, .kind = kind_of(item), .namespace = run->namespace, .body = body};
    op.name = verb == KUBE_CREATE ? NULL : item->name;
    (void)kube_start(run->client, &op, done, run);
}

/* ---- making ---- */

static void created(void *user, const struct kube_result *result) {
    struct bootstrap_run *run = user;
    enum err_class class = result->err.class;
    if (!class)
        bootstrap_next(run, "made");
    else if ((class == ERR_EXISTS || err_class_transient(class)) && run->looks < LOOKS_MAX)
        look(run); /* somebody else made it, or we did and did not hear of it */
    else
        fail(run, &result->err);
}

static void create(struct bootstrap_run *run) {
    const struct bootstrap_item *item = bootstrap_item(run);
    struct err err = {0};
    json_t *body = bootstrap_body(run, &err);
    if (!body) {
        fail(run, &err);
        return;
    }
    json_object_set_new(body, "apiVersion", json_string("v1"));
    json_object_set_new(body, "kind", json_string(kind_of(item)->kind));
    json_object_set_new(body, "metadata",
                        json_pack("{s:s, s:O, s:o}", "name", item->name, "labels", run->plan->labels, "annotations", keep()));
    ask(run, KUBE_CREATE, body, created);
    json_decref(body);
}

/* ---- what is there ---- */

static void patched(void *user, const struct kube_result *result) {
    struct bootstrap_run *run = user;
    if (result->err.class)
        fail(run, &result->err);
    else
        bootstrap_next(run, run->patch);
}

void bootstrap_patch(struct bootstrap_run *run, json_t *body, const char *what) {
    run->patch = what;
    ask(run, KUBE_PATCH, body, patched);
    json_decref(body);
}

void bootstrap_keep(struct bootstrap_run *run) {
    bootstrap_patch(run, json_pack("{s:{s:o}}", "metadata", "annotations", keep()), "there already; it will be kept");
}

static void looked(void *user, const struct kube_result *result) {
    struct bootstrap_run *run = user;
    struct err err = {0};
    if (!result->err.class) {
        if (bootstrap_found(run, result->object, &err) < 0)
            fail(run, &err);
    } else if (result->err.class == ERR_NOT_FOUND && bootstrap_item(run)->kind != BOOTSTRAP_AUTHORITY)
        create(run);
    else
        fail(run, &result->err);
}

static void look(struct bootstrap_run *run) {
    run->looks++;
    ask(run, KUBE_GET, NULL, looked);
}

/* ---- the program ---- */

static int run_items(struct bootstrap_run *run) {
    struct kube_client_options options = {.ev = run->ev, .config = &run->config};
    if (kube_client_new(&options, &run->client, run->err) < 0)
        return -1;
    run->namespace = run->plan->namespace ? run->plan->namespace : run->config.namespace;
    run->result = -1;
    look(run);
    ev_run(run->ev, 0);
    kube_client_free(run->client);
    mem_free(run->authority);
    return run->result;
}

static int run_plan(const struct bootstrap *plan, struct err *err) {
    struct bootstrap_run run = {.plan = plan, .err = err};
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
