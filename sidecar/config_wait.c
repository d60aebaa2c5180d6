/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/config_wait.h"

#include <ev.h>
#include <signal.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/http_server.h"
#include "sidecar/config_int.h"

#define FLAG "--wait-for-config"
#define AGAIN_S 2.0
#define CONNECTIONS_MAX 16

struct waiting {
    int argc;
    char *const *argv;
    char **env;
    struct sidecar_config *config;
    struct err err; /* why the last try failed */
    bool good;
    struct ev_loop *loop;
    struct http_server *http;
    ev_timer again;
    ev_signal term, interrupt;
};

const char *config_wait_address(int argc, char *const *argv) {
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], FLAG) && i + 1 < argc)
            return argv[i + 1];
        if (str_starts(argv[i], FLAG "="))
            return argv[i] + strlen(FLAG "=");
    }
    return NULL;
}

/* Loading empties the passwords of its environment; the next try needs them again. */
static char **env_copy(char **env) {
    size_t n = 0;
    while (env[n])
        n++;
    char **copy = mem_alloc((n + 1) * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        copy[i] = mem_strdup(env[i]);
    return copy;
}

static void env_free(char **env) {
    for (size_t i = 0; env[i]; i++) {
        explicit_bzero(env[i], strlen(env[i]));
        mem_free(env[i]);
    }
    mem_free(env);
}

static void try(struct waiting *w) {
    struct err err;
    char **env = env_copy(w->env);
    w->good = sidecar_config_load(w->argc, w->argv, env, w->config, &err) == 0;
    env_free(env);
    if (w->good)
        return;
    if (strcmp(err.text, w->err.text) != 0) /* once, not every two seconds */
        log_error(LOG_ERROR, &err, "the configuration is not good, so nothing is backed up; it is read again until it is", NULL);
    err_copy(&w->err, &err);
}

static void on_again(struct ev_loop *loop, ev_timer *timer, int events) {
    (void)events;
    struct waiting *w = timer->data;
    try(w);
    if (w->good)
        ev_break(loop, EVBREAK_ALL);
}

static void on_signal(struct ev_loop *loop, ev_signal *signal, int events) {
    (void)signal, (void)events;
    ev_break(loop, EVBREAK_ALL);
}

static void get_health(void *user, struct http_request *request) {
    (void)user;
    http_reply_text(request, 200, "ok\n");
}

static void get_ready(void *user, struct http_request *request) {
    struct waiting *w = user;
    http_reply_text(request, 503, "%s\n", w->err.text);
}

static void prestop(void *user, struct http_request *request) {
    (void)user;
    http_reply_text(request, 200, "nothing is backed up: the configuration is not good\n");
}

static int serve(struct waiting *w, const char *listen, struct err *err) {
    struct http_server_options options = {.listen = listen, .max_connections = CONNECTIONS_MAX};
    if (http_server_new(w->loop, &options, &w->http, err) < 0)
        return err_context(err, FLAG);
    http_server_route(w->http, HTTP_GET, "/healthz", get_health, w);
    http_server_route(w->http, HTTP_GET, "/readyz", get_ready, w);
    http_server_route(w->http, HTTP_GET, "/prestop", prestop, w);
    ev_timer_init(&w->again, on_again, AGAIN_S, AGAIN_S);
    ev_signal_init(&w->term, on_signal, SIGTERM);
    ev_signal_init(&w->interrupt, on_signal, SIGINT);
    w->again.data = w->term.data = w->interrupt.data = w;
    ev_timer_start(w->loop, &w->again);
    ev_signal_start(w->loop, &w->term);
    ev_signal_start(w->loop, &w->interrupt);
    ev_run(w->loop, 0);
    ev_timer_stop(w->loop, &w->again);
    ev_signal_stop(w->loop, &w->term);
    ev_signal_stop(w->loop, &w->interrupt);
    http_server_free(w->http); /* the same address is then the sidecar's own */
    return 0;
}

int config_wait(int argc, char *const *argv, char **env, const char *listen, struct sidecar_config *ret_config, struct err *err) {
    struct sidecar_config config;
    struct waiting w = {.argc = argc, .argv = argv, .env = env, .config = &config};
    try(&w);
    if (!w.good) {
        w.loop = ev_default_loop(EVFLAG_AUTO);
        if (serve(&w, listen, err) < 0)
            return -1;
    }
    if (!w.good)
        return err_set(err, ERR_CANCELLED, "asked to stop while the configuration was not good: %s", w.err.text);
    sidecar_sources_wipe(env);
    *ret_config = config;
    return 0;
}
