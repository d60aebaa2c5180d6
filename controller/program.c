/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "controller/kube/backoff.h"
#include "controller/program_int.h"

#define GRACE_MS 2000
#define SKEW_US (60 * INT64_C(1000000))

/* ---- leading ---- */

static void on_led(void *user) {
    struct program *p = user;
    log_event(LOG_INFO, "leads", "identity", p->identity, NULL);
    figures_lead(p->figures, true);
    fleet_lead(p->fleet, true, "");
    run_lead(p->run);
}

static void on_lost(void *user) {
    struct program *p = user;
    p->lost = true;
    ev_break(p->ev, EVBREAK_ALL);
}

/* The address of the leader stands behind '@' in its identity. */
static void on_holder(void *user, const char *identity) {
    struct program *p = user;
    const char *at = strchr(identity, '@');
    log_event(LOG_INFO, "somebody else leads", "identity", identity, NULL);
    fleet_lead(p->fleet, false, at ? at + 1 : "");
}

/* ---- the end ---- */

static void fleet_over(void *user) {
    struct program *p = user;
    ev_break(p->ev, EVBREAK_ALL);
}

static void released(void *user) {
    struct program *p = user;
    fleet_stop(p->fleet, GRACE_MS, fleet_over, p);
}

static void idle(void *user) {
    struct program *p = user;
    kube_lease_release(p->lease, released, p);
}

static void on_term(struct ev_loop *ev, ev_signal *w, int events) {
    (void)events;
    struct program *p = w->data;
    if (p->stopping) { /* a second signal: now */
        ev_break(ev, EVBREAK_ALL);
        return;
    }
    p->stopping = true;
    log_event(LOG_INFO, "stopping", NULL);
    run_stop(p->run, idle, p);
}

/* ---- the beginning ---- */

static char *first_of(const char *configured, const char *variable) {
    const char *value = configured ? configured : getenv(variable);
    return value && *value ? mem_strdup(value) : NULL;
}

static int who_we_are(struct program *p, struct err *err) {
    const struct controller_config *c = p->config;
    struct address listen;
    char host[256] = "";
    p->namespace_name = first_of(c->identity.namespace_name, "POD_NAMESPACE");
    if (!p->namespace_name)
        p->namespace_name = mem_strdup(p->login.namespace);
    if (!(p->name = first_of(c->identity.name, "POD_NAME"))) {
        if (gethostname(host, sizeof(host) - 1) < 0)
            return err_os(err, ERR_NONE, errno, "the name of the host");
        p->name = mem_strdup(host);
    }
    if (!(p->address = first_of(c->identity.address, ""))) {
        const char *ip = getenv("POD_IP");
        if (c->grpc.listen.count && address_parse(c->grpc.listen.items[0], &listen, err) < 0)
            return -1;
        bool six = ip && strchr(ip, ':');
        p->address = ip && *ip && c->grpc.listen.count && !listen.is_unix
                         ? mem_printf("%s%s%s:%u", six ? "[" : "", ip, six ? "]" : "", listen.port)
                         : mem_strdup(c->grpc.listen.count ? c->grpc.listen.items[0] : "");
    }
    p->identity = mem_printf("%s_%08x@%s", p->name, kube_random(), p->address);
    p->namespaces = mem_array(c->namespaces.count + 2, sizeof(*p->namespaces));
    for (size_t i = 0; i < c->namespaces.count; i++)
        p->namespaces[i] = c->namespaces.items[i];
    if (!c->namespaces.count)
        p->namespaces[0] = p->namespace_name;
    return 0;
}

static int log_in(struct program *p, struct err *err) {
    const struct controller_config *c = p->config;
    int rc = c->kube.kubeconfig ? kube_config_load(c->kube.kubeconfig, c->kube.context, &p->login, err)
                                : kube_config_in_cluster(NULL, &p->login, err);
    if (rc < 0 || who_we_are(p, err) < 0)
        return -1;
    struct kube_client_options options = {.ev = p->ev,
                                          .config = &p->login,
                                          .qps = (double)c->kube.qps,
                                          .burst = (unsigned)c->kube.burst,
                                          .hooks = figures_kube_hooks(p->figures)};
    if (kube_client_new(&options, &p->client, err) < 0)
        return -1;
    return keys_new(p->ev, &p->login, &p->keys, err);
}

static int pod_is_there(void *user, const struct fleet_bearer *bearer, struct err *err) {
    struct program *p = user;
    const json_t *pod = run_pod(p->run, bearer->namespace_name, bearer->pod, bearer->pod_uid);
    return pod ? 0
               : err_set(err, ERR_AUTH, "there is no pod %s/%s with uid %s", bearer->namespace_name, bearer->pod,
                         bearer->pod_uid);
}

static void check_token(void *user, const char *token,
                        void (*done)(void *arg, const struct fleet_bearer *bearer, const struct err *err), void *arg) {
    struct program *p = user;
    trust_check(p->trust, token, done, arg);
}

static void make_trust(struct program *p) {
    const struct controller_config *c = p->config;
    char *own = c->trust.issuer ? NULL : keys_own_issuer(&p->login);
    const char *issuer = c->trust.issuer ? c->trust.issuer : own ? own : "https://kubernetes.default.svc.cluster.local";
    struct trust_issuer one = {.issuer = issuer,
                               .audience = c->trust.audience,
                               .jwks_file = c->trust.jwks_file,
                               .fetch = c->trust.jwks_file ? NULL : keys_fetch,
                               .user = p->keys};
    log_event(LOG_INFO, "sidecars are believed by their tokens", "issuer", issuer, "audience", c->trust.audience, NULL);
    p->trust = trust_new(&one, 1, SKEW_US);
    p->callers = callers_new(p->trust, (const char *const *)c->callers.items, c->callers.count);
    mem_free(own);
}

static int make_fleet(struct program *p, struct err *err) {
    const struct controller_config *c = p->config;
    const char **listen = mem_array(c->grpc.listen.count + 1, sizeof(*listen));
    for (size_t i = 0; i < c->grpc.listen.count; i++)
        listen[i] = c->grpc.listen.items[i];
    make_trust(p);
    struct fleet_options options = {
        .loop = p->rpc,
        .listen = listen,
        .tls = {.cert = c->grpc.tls_cert, .key = c->grpc.tls_key},
        .controller_id = p->name,
        .trust = {.check = check_token, .pod = pod_is_there, .user = p},
        .events = link_events(p->link),
        .caller = c->callers.count ? callers_check : NULL,
        .caller_user = p->callers,
        .heartbeat_s = (unsigned)(c->waits.heartbeat_ms / 1000),
        .sessions_max = (unsigned)c->grpc.max_sessions,
    };
    if (!c->callers.count)
        log_event(LOG_INFO, "the service Fleet is off: no callers are configured", NULL);
    int rc = fleet_new(&options, &p->fleet, err);
    mem_free(listen);
    return rc < 0 ? err_context(err, "grpc.listen") : 0;
}

static void make_run(struct program *p) {
    const struct controller_config *c = p->config;
    bool all = conf_list_has(&c->namespaces, "*");
    struct run_options options = {
        .ev = p->ev,
        .client = p->client,
        .namespaces = all ? NULL : p->namespaces,
        .settings = {.provisioning = c->provisioning.enabled,
                     .service_dns = c->provisioning.service_domain,
                     .reconnect_ms = c->waits.reconnect_ms,
                     .missing_ms = c->waits.missing_ms,
                     .no_progress_ms = c->waits.no_progress_ms},
        .sidecars = link_sidecars(p->link),
        .hooks = figures_run_hooks(p->figures),
    };
    p->run = run_new(&options);
}

static void make_lease(struct program *p) {
    struct kube_lease_options options = {.client = p->client,
                                         .ev = p->ev,
                                         .namespace = p->namespace_name,
                                         .name = p->config->lease,
                                         .identity = p->identity,
                                         .user = p,
                                         .led = on_led,
                                         .lost = on_lost,
                                         .holder = on_holder};
    p->lease = kube_lease_new(&options);
}

static void catch_signals(struct program *p) {
    ev_signal_init(&p->term, on_term, SIGTERM);
    ev_signal_init(&p->interrupt, on_term, SIGINT);
    p->term.data = p->interrupt.data = p;
    ev_signal_start(p->ev, &p->term);
    ev_signal_start(p->ev, &p->interrupt);
}

static int start(struct program *p, struct err *err) {
    p->figures = figures_new();
    p->rpc = rpc_loop_new(p->ev);
    p->link = link_new();
    if (log_in(p, err) < 0 || make_fleet(p, err) < 0)
        return -1;
    make_run(p);
    link_join(p->link, p->fleet, p->run);
    figures_watch(p->figures, p->run, p->fleet);
    make_lease(p);
    return web_start(p, err);
}

static void stop(struct program *p) {
    if (p->figures)
        figures_watch(p->figures, NULL, NULL);
    http_server_free(p->http);
    if (p->lease)
        kube_lease_free(p->lease);
    fleet_free(p->fleet);
    run_free(p->run);
    callers_free(p->callers);
    keys_free(p->keys);
    trust_free(p->trust);
    if (p->client)
        kube_client_free(p->client);
    link_free(p->link);
    rpc_loop_free(p->rpc);
    figures_free(p->figures);
    kube_config_done(&p->login);
    mem_free(p->namespace_name), mem_free(p->name), mem_free(p->address), mem_free(p->identity), mem_free(p->namespaces);
}

int program_run(const struct controller_config *config, struct err *err) {
    struct program p = {.config = config, .ev = ev_default_loop(EVFLAG_AUTO)};
    int rc = start(&p, err);
    if (rc == 0) {
        catch_signals(&p);
        char *listen = mem_printf("%s", config->grpc.listen.count ? config->grpc.listen.items[0] : "");
        log_event(LOG_INFO, "serving", "version", MSSQL_SIDECAR_VERSION, "http", config->http.listen, "grpc", listen, "namespace",
                  p.namespace_name, NULL);
        mem_free(listen);
        ev_run(p.ev, 0);
        if (p.lost && !p.stopping)
            rc = err_set(err, ERR_CONFLICT, "the lead was lost: somebody else has the Lease, or it could not be written in time");
    }
    stop(&p);
    ev_loop_destroy(p.ev);
    return rc;
}
