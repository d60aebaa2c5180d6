/* SPDX-License-Identifier: Apache-2.0 */
#include <ev.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/rpc_loop.h"
#include "sidecar/agent.h"
#include "sidecar/config_wait.h"
#include "sidecar/instruments.h"
#include "sidecar/job/job.h"
#include "sidecar/leave.h"
#include "sidecar/prepare.h"
#include "sidecar/restore/runs.h"
#include "sidecar/rpc/service.h"
#include "sidecar/uplink/uplink.h"
#include "sidecar/version.h"
#include "sidecar/verify/damage.h"
#include "sidecar/verify/proof.h"
#include "sidecar/web.h"

#define RPC_GRACE_MS 1000
#define POINTS_MAX 128

extern char **environ;

struct program {
    struct ev_loop *loop;
    struct agent *agent;
    struct sidecar_config *config; /* of the start: what needs a restart stays as it says */
    struct sidecar_config *reloaded; /* the newest one after a reload: policy, log, passwords */
    ev_signal term, interrupt, hup;
    bool stopping;
};

static int complain(const struct err *err) {
    fprintf(stderr, "mssql-sidecar: %s\n", err->text);
    return err_class_exit(err->class);
}

static void print(void (*fn)(struct buf *out)) {
    struct buf out;
    buf_init(&out, 1u << 20);
    fn(&out);
    fputs(out.data ? out.data : "", stdout);
    buf_done(&out);
}

static void list_steps(void) {
    const char *points[POINTS_MAX];
    size_t n = job_fault_points(points, POINTS_MAX);
    n += restores_fault_points(points + n, POINTS_MAX - n);
    for (const char *const *p = damage_fault_points(); *p && n < POINTS_MAX; p++)
        points[n++] = *p;
    for (const char *const *p = proof_fault_points(); *p && n < POINTS_MAX; p++)
        points[n++] = *p;
    for (size_t i = 0; i < n; i++)
        puts(points[i]);
}

/* All folders are tried, so that one start says everything that is wrong. The exit code is that of the first failure. */
static int prepare(const struct sidecar_config *config) {
    int code = 0;
    for (size_t i = 0; i < config->prepare.count; i++) {
        struct buf said;
        struct err err;
        buf_init(&said, 1u << 16);
        int failure = prepare_directory(config->prepare.items[i], &said, &err) < 0 ? complain(&err) : 0;
        code = code ? code : failure;
        fputs(said.data ? said.data : "", stdout);
        buf_done(&said);
    }
    return code;
}

/* Everything but running. True when that was all, with the exit code. */
static bool only_say(struct sidecar_config *config, int *ret_code) {
    struct buf out;
    *ret_code = 0;
    switch (config->action) {
    case SIDECAR_RUN:
        return false;
    case SIDECAR_PREPARE:
        *ret_code = prepare(config);
        return true;
    case SIDECAR_CHECK_CONFIG:
        for (size_t i = 0; i < config->warnings.count; i++)
            fprintf(stderr, "warning: %s\n", config->warnings.items[i]);
        puts("configuration is good");
        return true;
    case SIDECAR_PRINT_CONFIG:
        buf_init(&out, 1u << 20);
        sidecar_config_print(config, &out);
        fputs(out.data ? out.data : "", stdout);
        buf_done(&out);
        return true;
    case SIDECAR_CONFIG_REFERENCE:
        print(sidecar_config_reference);
        return true;
    case SIDECAR_LIST_STEPS:
        list_steps();
        return true;
    case SIDECAR_VERSION:
        printf("mssql-sidecar %s (gRPC core %s)\n", MSSQL_SIDECAR_VERSION, rpc_core_version());
        return true;
    case SIDECAR_HELP:
        print(sidecar_config_help);
        return true;
    }
    return true;
}

static void rpc_stopped(void *user) {
    struct program *p = user;
    ev_break(p->loop, EVBREAK_ALL);
}

static void drained(void *user, enum drain_end end, unsigned left) {
    struct program *p = user;
    (void)end, (void)left;
    service_stop(p->agent, RPC_GRACE_MS, rpc_stopped, p);
}

static void on_term(struct ev_loop *loop, ev_signal *w, int events) {
    (void)events;
    struct program *p = w->data;
    if (p->stopping) { /* a second signal: now */
        ev_break(loop, EVBREAK_ALL);
        return;
    }
    p->stopping = true;
    log_event(LOG_INFO, "stopping", NULL);
    agent_drain(p->agent, false, p->config->shutdown.grace_ms, drained, p);
}

static void say_all(enum log_level level, const char *msg, const struct conf_list *list) {
    for (size_t i = 0; i < list->count; i++)
        log_event(level, msg, "key", list->items[i], NULL);
}

static void drop(struct sidecar_config *config) {
    if (!config)
        return;
    sidecar_config_done(config);
    mem_free(config);
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int events) {
    (void)loop, (void)events;
    struct program *p = w->data;
    struct sidecar_config *fresh = mem_alloc(sizeof(*fresh));
    struct err err;
    if (sidecar_config_reload(p->config, fresh, &err) < 0) {
        log_error(LOG_ERROR, &err, "configuration was not reloaded; the old one stays in force", NULL);
        instruments_reload(p->agent, false);
        mem_free(fresh);
        return;
    }
    struct conf_list reload = {0}, restart = {0};
    sidecar_config_diff(p->reloaded ? p->reloaded : p->config, fresh, &reload, &restart);
    say_all(LOG_INFO, "reloaded", &reload);
    say_all(LOG_WARN, "changed, but needs a restart", &restart);
    agent_reload(p->agent, fresh);
    instruments_reload(p->agent, true);
    drop(p->reloaded);
    p->reloaded = fresh;
    conf_list_done(&reload);
    conf_list_done(&restart);
}

static void signals(struct program *p) {
    ev_signal_init(&p->term, on_term, SIGTERM);
    ev_signal_init(&p->interrupt, on_term, SIGINT);
    ev_signal_init(&p->hup, on_hup, SIGHUP);
    p->term.data = p->interrupt.data = p->hup.data = p;
    ev_signal_start(p->loop, &p->term);
    ev_signal_start(p->loop, &p->interrupt);
    ev_signal_start(p->loop, &p->hup);
}

static int run(struct program *p, struct err *err) {
    struct rpc_loop *rpc = rpc_loop_new(p->loop);
    int rc = agent_new(p->loop, p->config, &p->agent, err);
    if (rc == 0) {
        p->agent->rpc_loop = rpc;
        rc = service_start(p->agent, err);
    }
    if (rc == 0)
        rc = web_start(p->agent, err);
    if (rc == 0) {
        uplink_connect(p->agent->uplink);
        signals(p);
        log_event(LOG_INFO, "serving", "version", MSSQL_SIDECAR_VERSION, "grpc", p->config->grpc.listen, "http",
                  p->config->http.listen, "scope", p->agent->scope, NULL);
        log_event(LOG_WARN, "this version removes nothing from the store: retentionDays and keep have no effect yet", NULL);
        for (size_t i = 0; i < p->config->warnings.count; i++)
            log_event(LOG_WARN, p->config->warnings.items[i], NULL);
        ev_run(p->loop, 0);
    }
    if (p->agent) {
        leave_after(p->config->shutdown.leave_ms);
        uplink_stop(p->agent->uplink);
        web_stop(p->agent);
        service_free(p->agent);
        agent_free(p->agent);
    }
    rpc_loop_free(rpc);
    return rc;
}

/* Passwords and keys never reach a core file, and nobody of our uid attaches to us. */
static void harden(void) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static int load(int argc, char **argv, struct sidecar_config *ret_config, struct err *err) {
    const char *wait_at = config_wait_address(argc, argv);
    if (!wait_at)
        return sidecar_config_load(argc, argv, environ, ret_config, err);
    harden();
    log_setup(LOG_INFO, LOG_LOGFMT, "mssql-sidecar");
    return config_wait(argc, argv, environ, wait_at, ret_config, err);
}

int main(int argc, char **argv) {
    struct err err;
    mem_setup();
    struct program p = {.config = mem_alloc(sizeof(*p.config))};
    rpc_setup();
    if (fault_init(&err) < 0 || load(argc, argv, p.config, &err) < 0) {
        mem_free(p.config);
        return complain(&err);
    }
    int rc = 0, code;
    if (!only_say(p.config, &code)) {
        harden();
        log_setup(p.config->log.level, p.config->log.format, "mssql-sidecar");
        umask((mode_t)p.config->umask);
        p.loop = ev_default_loop(EVFLAG_AUTO);
        rc = run(&p, &err);
        if (rc < 0)
            log_error(LOG_ERROR, &err, "cannot start", NULL);
        else
            log_event(LOG_INFO, "stopped", NULL);
        ev_loop_destroy(p.loop);
    }
    drop(p.reloaded);
    drop(p.config);
    return rc < 0 ? err_class_exit(err.class) : code;
}
