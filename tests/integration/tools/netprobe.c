/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A server on common/net for tests: the Sidecar service with made-up behaviour, driven by lines on stdin, telling what happens
 * in lines on stdout. Usage: netprobe [--listen ADDR]... [--cert F --key F [--ca F]] [--limit NAME=N]... [--http ADDR]
 *
 * GetStatus: databases[0] says what to do: "echo", "slow" (until the client goes), "fail:CLASS:TEXT", "late:MS".
 * RunBackup: request_id N sends N events and ends; "endless" sends as fast as the client takes, "open" sends one and waits.
 * stdin: "serving NAME 0|1", "stats", "stop GRACE_MS", "free", "probe ADDR"
 */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/http_server.h"
#include "common/net/metrics.h"
#include "common/net/rpc_client.h"
#include "common/net/rpc_server.h"
#include "mssql/v1/sidecar.pb-c.h"

static struct ev_loop *ev;
static struct rpc_loop *loop;
static struct rpc_server *server;
static struct http_server *http;
static struct metrics *registry;

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

/* --- GetStatus --- */

static void reply_status(struct rpc_call *call, const char *text) {
    Mssql__V1__Status status = MSSQL__V1__STATUS__INIT;
    Mssql__V1__Identity identity = MSSQL__V1__IDENTITY__INIT;
    identity.instance = (char *)(uintptr_t)text;
    identity.service = (char *)(uintptr_t)rpc_call_peer_name(call);
    identity.pod = (char *)(uintptr_t)rpc_call_peer(call);
    status.identity = &identity;
    status.now_at = rpc_call_deadline_us(call) == INT64_MAX ? 0 : 1;
    rpc_call_reply(call, &status.base);
}

static void slow_cancelled(void *user, struct rpc_call *call) {
    (void)user;
    say("cancelled %d", rpc_call_cancelled(call));
    rpc_call_end(call);
}

struct late {
    ev_timer timer;
    struct rpc_call *call;
};

static void on_late(struct ev_loop *e, ev_timer *w, int revents) {
    (void)e, (void)revents;
    struct late *late = w->data;
    say("late %d", rpc_call_cancelled(late->call));
    reply_status(late->call, "late"); /* also when the client is gone: allowed */
    mem_free(late);
}

static void get_status(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    (void)user;
    const Mssql__V1__GetStatusRequest *request = (const void *)message;
    const char *what = request->n_databases ? request->databases[0] : "echo";
    char class[32], text[200];
    struct err err;
    if (!strcmp(what, "slow")) {
        say("slow");
        rpc_call_on_cancel(call, slow_cancelled, NULL);
    } else if (sscanf(what, "fail:%31[^:]:%199[^\n]", class, text) == 2) {
        err_set(&err, err_class_parse(class), "%s", text);
        rpc_call_fail(call, &err);
    } else if (str_starts(what, "late:")) {
        struct late *late = mem_alloc(sizeof(*late));
        late->call = call;
        ev_timer_init(&late->timer, on_late, atoi(what + 5) / 1000.0, 0);
        late->timer.data = late;
        ev_timer_start(ev, &late->timer);
    } else {
        reply_status(call, what);
    }
}

/* --- RunBackup --- */

struct flow {
    long left; /* negative: endless */
    long sent, busy;
    bool open, announced;
};

static void flow_go(void *user, struct rpc_call *call) {
    struct flow *f = user;
    char text[600];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = 0;
    while (f->left) {
        Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
        Mssql__V1__BackupProgress progress = MSSQL__V1__BACKUP_PROGRESS__INIT;
        progress.done_bytes = f->sent + 1;
        progress.database = text;
        event.event_case = MSSQL__V1__RUN_BACKUP_EVENT__EVENT_PROGRESS;
        event.progress = &progress;
        struct err err = {0};
        if (rpc_call_send(call, &event.base, &err) < 0) {
            if (!f->busy++)
                say("flow busy %s queued=%zu", err_class_name(err.class), rpc_call_queued_bytes(call));
            return;
        }
        f->sent++;
        f->left -= f->left > 0;
    }
    if (!f->open) {
        rpc_call_on_cancel(call, NULL, NULL);
        rpc_call_end(call);
        mem_free(f);
    } else if (!f->announced) {
        f->announced = true;
        say("flow open");
    }
}

static void flow_cancelled(void *user, struct rpc_call *call) {
    struct flow *f = user;
    say("flow cancelled");
    mem_free(f);
    rpc_call_end(call);
}

static void run_backup(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    (void)user;
    const Mssql__V1__RunBackupRequest *request = (const void *)message;
    struct flow *f = mem_alloc(sizeof(*f));
    f->open = !strcmp(request->request_id, "open");
    f->left = f->open ? 1 : !strcmp(request->request_id, "endless") ? -1 : atol(request->request_id);
    rpc_call_on_cancel(call, flow_cancelled, f);
    rpc_call_on_sent(call, flow_go, f);
    flow_go(f, call);
}

/* --- HTTP --- */

static void http_metrics(void *user, struct http_request *request) {
    (void)user;
    struct buf text;
    buf_init(&text, 1 << 20);
    if (metrics_render(registry, &text))
        http_reply(request, 200, METRICS_CONTENT_TYPE, text.data, text.len);
    else
        http_reply_text(request, 500, "too long\n");
    buf_done(&text);
}

static void http_echo(void *user, struct http_request *request) {
    (void)user;
    size_t len;
    const void *body = http_request_body(request, &len);
    const char *name = http_request_query(request, "name"), *header = http_request_header(request, "X-Probe");
    say("http %s name=%s header=%s body=%zu", http_request_path(request), name ? name : "-", header ? header : "-", len);
    http_reply(request, 200, "application/octet-stream", body, len);
}

static void http_gone(void *user) {
    (void)user;
    say("http gone");
}

static void http_hang(void *user, struct http_request *request) {
    (void)user;
    say("http hang");
    http_request_on_gone(request, http_gone, NULL);
}

static void http_later(void *user) {
    ev_timer_stop(ev, user);
    mem_free(user);
    say("http gone");
}

static void on_http_later(struct ev_loop *e, ev_timer *w, int revents) {
    (void)e, (void)revents;
    http_reply_text(w->data, 200, "later\n");
    mem_free(w);
}

static void http_slow(void *user, struct http_request *request) {
    (void)user;
    ev_timer *w = mem_alloc(sizeof(*w));
    ev_timer_init(w, on_http_later, 0.2, 0);
    w->data = request;
    ev_timer_start(ev, w);
    http_request_on_gone(request, http_later, w);
}

/* --- control --- */

static void on_stopped(void *user) {
    (void)user;
    say("stopped");
    rpc_server_free(server);
    server = NULL;
    ev_break(ev, EVBREAK_ALL);
}

static void say_stats(void) {
    struct rpc_server_stats s;
    rpc_server_get_stats(server, &s);
    say("stats connections=%u calls=%u accepted=%llu refused=%llu started=%llu cancelled=%llu failed=%llu rejected=%llu "
        "accepting=%d cert=%lld http=%u",
        s.connections, s.calls, (unsigned long long)s.accepted, (unsigned long long)s.refused, (unsigned long long)s.started,
        (unsigned long long)s.cancelled, (unsigned long long)s.failed, (unsigned long long)s.rejected, s.accepting,
        (long long)s.cert_not_after_at, http ? http_server_connections(http) : 0);
}

static void on_end(void *user, const char *path, enum err_class class, int64_t us) {
    (void)user, (void)us;
    metric_inc((struct metric *)user, path, err_class_name(class));
    say("end %s %s", path, err_class_name(class));
}

static int hog[1 << 16], hogs;

static void control(char *line) {
    char name[256];
    int value;
    if (sscanf(line, "serving %255s %d", name, &value) == 2)
        rpc_server_set_serving(server, strcmp(name, "-") ? name : "", value);
    else if (!strcmp(line, "stats"))
        say_stats();
    else if (sscanf(line, "stop %d", &value) == 1)
        rpc_server_stop(server, value, on_stopped, NULL);
    else if (!strcmp(line, "free"))
        ev_break(ev, EVBREAK_ALL);
    else if (sscanf(line, "hog %d", &value) == 1) { /* takes descriptors until only `value` are left, or gives them back */
        while (hogs)
            close(hog[--hogs]);
        while (value >= 0 && hogs < (int)ARRAY_LEN(hog) && (hog[hogs] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
            hogs++;
        for (int i = 0; i < value && hogs; i++)
            close(hog[--hogs]);
        say("hog %d", hogs);
    } else
        say("what? %s", line);
}

static void on_stdin(struct ev_loop *e, ev_io *w, int revents) {
    (void)e, (void)revents;
    static char line[512];
    static size_t len;
    ssize_t n = read(w->fd, line + len, sizeof(line) - 1 - len);
    if (n <= 0) {
        ev_break(ev, EVBREAK_ALL);
        return;
    }
    len += n;
    line[len] = 0;
    for (char *eol; (eol = strchr(line, '\n'));) {
        *eol = 0;
        control(line);
        len -= eol + 1 - line;
        memmove(line, eol + 1, len + 1);
    }
}

static const struct rpc_method methods[] = {
    {"/mssql.v1.Sidecar/GetStatus", RPC_UNARY, &mssql__v1__get_status_request__descriptor, get_status},
    {"/mssql.v1.Sidecar/RunBackup", RPC_SERVER_STREAM, &mssql__v1__run_backup_request__descriptor, run_backup},
};

struct options {
    const char *listen[9];
    unsigned listens;
    struct rpc_server_options rpc;
    struct http_server_options http;
    unsigned nofile;
    const char *probe;
    unsigned timeout_ms; /* of the probe's unary calls */
    struct rpc_channel_options channel;
};

static void set_limit(struct options *o, const char *text) {
    const struct {
        const char *name;
        unsigned *value;
    } limits[] = {{"message", &o->rpc.message_max_bytes},
                  {"connections", &o->rpc.max_connections},
                  {"streams", &o->rpc.max_streams},
                  {"calls", &o->rpc.max_calls},
                  {"queue", &o->rpc.queue_max_bytes},
                  {"handshake", &o->rpc.handshake_timeout_s},
                  {"keepalive", &o->rpc.keepalive_s},
                  {"nofile", &o->nofile},
                  {"timeout", &o->timeout_ms},
                  {"http_connections", &o->http.max_connections},
                  {"http_header", &o->http.header_max_bytes},
                  {"http_body", &o->http.body_max_bytes},
                  {"http_idle", &o->http.idle_timeout_s},
                  {"http_request", &o->http.request_timeout_s},
                  {"mode", &o->rpc.socket_mode}};
    const char *eq = strchr(text, '=');
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        if (eq && strlen(limits[i].name) == (size_t)(eq - text) && !strncmp(limits[i].name, text, eq - text)) {
            *limits[i].value = strtoul(eq + 1, NULL, 0);
            return;
        }
    fprintf(stderr, "limit '%s'?\n", text);
    exit(2);
}

static void parse(int argc, char **argv, struct options *o) {
    static const struct option longs[] = {
        {"listen", 1, 0, 'l'}, {"cert", 1, 0, 'c'},  {"key", 1, 0, 'k'},  {"ca", 1, 0, 'a'},  {"limit", 1, 0, 'L'},
        {"http", 1, 0, 'h'},   {"probe", 1, 0, 'p'}, {"name", 1, 0, 'n'}, {"tls", 0, 0, 't'}, {0}};
    for (int c; (c = getopt_long(argc, argv, "", longs, NULL)) != -1;) {
        if (c == 'l' && o->listens < 9)
            o->listen[o->listens++] = optarg;
        else if (c == 'c')
            o->rpc.tls.cert = optarg;
        else if (c == 'k')
            o->rpc.tls.key = optarg;
        else if (c == 'a')
            o->rpc.tls.ca = optarg;
        else if (c == 'L')
            set_limit(o, optarg);
        else if (c == 'h')
            o->http.listen = optarg;
        else if (c == 'p')
            o->probe = optarg;
        else if (c == 'n')
            o->channel.server_name = optarg;
        else if (c == 't')
            o->channel.use_tls = true;
        else
            exit(2);
    }
}

static int show(void *user, const ProtobufCMessage *message) {
    (void)user;
    const Mssql__V1__RunBackupEvent *event = (const void *)message;
    say("event %llu", (unsigned long long)event->progress->done_bytes);
    return event->progress->done_bytes == 5 ? -1 : 0;
}

static struct rpc_client *interruptible;

static void on_sigint(int signal_number) {
    (void)signal_number;
    rpc_client_interrupt(interruptible);
}

/* --probe: the client side, blocking: health, GetStatus with each argument, RunBackup of "3" and, cut by us, of "endless". */
static int probe(const struct options *o, char **what) {
    struct err err = {0};
    struct rpc_client *client;
    struct rpc_channel_options channel = o->channel;
    channel.address = o->probe;
    channel.tls = o->rpc.tls;
    int rc = rpc_probe(&channel, 5000, &err);
    say("probe %s %s", err_class_name(err.class), rc ? err.text : "");
    if (rpc_client_new(&channel, &client, &err) < 0) {
        say("client %s %s", err_class_name(err.class), err.text);
        return 1;
    }
    interruptible = client;
    signal(SIGINT, on_sigint);
    for (; *what; what++) {
        ProtobufCMessage *message = NULL;
        Mssql__V1__GetStatusRequest request = MSSQL__V1__GET_STATUS_REQUEST__INIT;
        request.n_databases = 1;
        request.databases = what;
        err_clear(&err);
        rc = rpc_client_unary(client, methods[0].path, &request.base, &mssql__v1__status__descriptor,
                              o->timeout_ms ? o->timeout_ms : 1000, &message, &err);
        say("unary %s %s", err_class_name(err.class), rc ? err.text : ((Mssql__V1__Status *)message)->identity->instance);
        if (!rc)
            protobuf_c_message_free_unpacked(message, NULL);
    }
    char three[] = "3", endless[] = "endless", *flows[] = {three, endless};
    for (size_t i = 0; i < 2; i++) {
        Mssql__V1__RunBackupRequest request = MSSQL__V1__RUN_BACKUP_REQUEST__INIT;
        request.request_id = flows[i];
        err_clear(&err);
        rc = rpc_client_stream(client, methods[1].path, &request.base, &mssql__v1__run_backup_event__descriptor, 5000, show, NULL,
                               &err);
        say("stream %d %s", rc, err_class_name(err.class));
    }
    signal(SIGINT, SIG_IGN);
    rpc_client_free(client);
    return 0;
}

static int serve(struct options *o) {
    struct err err = {0};
    ev = ev_default_loop(EVFLAG_AUTO);
    loop = rpc_loop_new(ev);
    if (o->nofile)
        setrlimit(RLIMIT_NOFILE, &(struct rlimit){o->nofile, o->nofile});
    o->rpc.listen = o->listen;
    o->rpc.methods = methods;
    o->rpc.method_count = ARRAY_LEN(methods);
    registry = metrics_new("netprobe");
    metrics_add_process(registry);
    if (rpc_server_new(loop, &o->rpc, &server, &err) < 0 || (o->http.listen && http_server_new(ev, &o->http, &http, &err) < 0)) {
        say("error %s %s", err_class_name(err.class), err.text);
    } else {
        rpc_server_on_end(server, on_end,
                          metrics_counter(registry, "netprobe_calls_total", "Calls by method and class.", "method", "class"));
        if (http) {
            http_server_route(http, HTTP_GET, "/metrics", http_metrics, NULL);
            http_server_route(http, HTTP_GET, "/hang", http_hang, NULL);
            http_server_route(http, HTTP_GET, "/slow", http_slow, NULL);
            http_server_route(http, HTTP_GET, "/echo", http_echo, NULL);
            http_server_route(http, HTTP_POST, "/post", http_echo, NULL);
        }
        printf("ready");
        for (unsigned i = 0; i < o->listens; i++)
            printf(" %u", rpc_server_port(server, i));
        say(" http %u", http ? http_server_port(http) : 0);
        ev_io in;
        ev_io_init(&in, on_stdin, 0, EV_READ);
        ev_io_start(ev, &in);
        ev_run(ev, 0);
    }
    http_server_free(http);
    rpc_server_free(server);
    rpc_loop_free(loop);
    metrics_free(registry);
    ev_loop_destroy(ev);
    return err.class != ERR_NONE;
}

int main(int argc, char **argv) {
    struct options o = {0};
    parse(argc, argv, &o);
    log_setup(LOG_INFO, LOG_LOGFMT, "netprobe");
    rpc_setup();
    return o.probe ? probe(&o, argv + optind) : serve(&o);
}
