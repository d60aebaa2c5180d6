/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/http_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/accept.h"
#include "common/net/address.h"

#define ROUTES_MAX 32
#define SWEEP_S 1.0
#define DESCRIPTORS_KEPT 16

struct route {
    enum http_method method;
    char *path;
    void (*handler)(void *user, struct http_request *request);
    void *user;
};

/* One connection. It is cut when a request is not complete in time, however slowly its bytes drip in. */
struct conn {
    struct conn *prev, *next;
    struct http_server *server;
    int fd;
    int64_t until_us; /* by then the next step of the peer must be complete; 0 while a handler works */
};

struct http_request {
    struct http_request *prev, *next; /* of those that wait for an answer */
    struct http_server *server;
    struct MHD_Connection *mhd;
    struct conn *conn;
    const struct route *route;
    char *path;
    struct buf body;
    unsigned refuse; /* status to refuse it with once it is complete, 0 = none */
    struct MHD_Response *response;
    unsigned status;
    bool started, suspended, finished;
    ev_io peer; /* while suspended */
    void (*gone)(void *user);
    void *gone_user;
};

struct http_server {
    struct ev_loop *ev;
    struct MHD_Daemon *mhd;
    struct acceptor *acceptor; /* libmicrohttpd's own spins when descriptors run out */
    ev_io io;
    ev_timer timer, sweep;
    struct http_server_options opt;
    struct route route[ROUTES_MAX];
    unsigned routes, port, connections;
    struct conn *conns;
    struct http_request *waiting;
};

/* --- libmicrohttpd on the loop --- */

static void drive(struct http_server *server) {
    MHD_UNSIGNED_LONG_LONG ms;
    (void)MHD_run(server->mhd);
    ev_timer_stop(server->ev, &server->timer);
    if (MHD_get_timeout(server->mhd, &ms) == MHD_YES) {
        ev_timer_set(&server->timer, (double)ms / 1000.0, 0);
        ev_timer_start(server->ev, &server->timer);
    }
}

static void on_io(struct ev_loop *ev, ev_io *w, int revents) {
    (void)ev, (void)revents;
    drive(w->data);
}

static void on_timer(struct ev_loop *ev, ev_timer *w, int revents) {
    (void)ev, (void)revents;
    drive(w->data);
}

/* Another turn of libmicrohttpd soon: not now, the caller may be one of its handlers. */
static void drive_soon(struct http_server *server) {
    ev_timer_stop(server->ev, &server->timer);
    ev_timer_set(&server->timer, 0, 0);
    ev_timer_start(server->ev, &server->timer);
}

static void conn_allow(struct conn *c, unsigned seconds) {
    if (c)
        c->until_us = seconds ? clock_mono_us() + (int64_t)seconds * CLOCK_SECOND : 0;
}

/* libmicrohttpd's own timeout starts anew with each byte; this one does not. */
static void on_sweep(struct ev_loop *ev, ev_timer *w, int revents) {
    (void)ev, (void)revents;
    struct http_server *server = w->data;
    int64_t now_us = clock_mono_us();
    for (struct conn *c = server->conns; c; c = c->next)
        if (c->until_us && c->until_us < now_us)
            (void)shutdown(c->fd, SHUT_RDWR); /* libmicrohttpd sees the end and cleans up */
}

static void on_connection(void *user, struct MHD_Connection *mhd, void **slot, enum MHD_ConnectionNotificationCode what) {
    struct http_server *server = user;
    struct conn *c = *slot;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        c = mem_alloc(sizeof(*c));
        c->server = server;
        c->fd = info ? info->connect_fd : -1;
        conn_allow(c, server->opt.request_timeout_s);
        c->next = server->conns;
        if (c->next)
            c->next->prev = c;
        server->conns = c;
        if (!server->connections++)
            ev_timer_again(server->ev, &server->sweep); /* no wake-ups while nobody is there */
        *slot = c;
    } else if (c) {
        if (c->prev)
            c->prev->next = c->next;
        else
            server->conns = c->next;
        if (c->next)
            c->next->prev = c->prev;
        if (!--server->connections)
            ev_timer_stop(server->ev, &server->sweep);
        mem_free(c);
        *slot = NULL;
    }
}

/* --- requests --- */

static struct http_request *request_new(struct http_server *server, struct MHD_Connection *mhd, const char *path) {
    struct http_request *r = mem_alloc(sizeof(*r));
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    r->server = server;
    r->mhd = mhd;
    r->conn = info ? info->socket_context : NULL;
    conn_allow(r->conn, server->opt.request_timeout_s);
    r->path = mem_strdup(path);
    buf_init(&r->body, server->opt.body_max_bytes);
    return r;
}

static void request_unlink(struct http_request *r) {
    if (!r->prev && !r->next && r->server->waiting != r)
        return;
    if (r->prev)
        r->prev->next = r->next;
    else
        r->server->waiting = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->prev = r->next = NULL;
}

static void request_free(struct http_request *r) {
    request_unlink(r);
    if (r->response)
        MHD_destroy_response(r->response);
    buf_done(&r->body);
    mem_free(r->path);
    mem_free(r);
}

/* The answer was sent, or the connection is gone. */
static void on_completed(void *user, struct MHD_Connection *mhd, void **slot, enum MHD_RequestTerminationCode why) {
    (void)user, (void)mhd;
    struct http_request *r = *slot;
    if (!r)
        return;
    *slot = NULL;
    if (why == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        conn_allow(r->conn, r->server->opt.idle_timeout_s);
    if (r->started && !r->finished && r->gone)
        r->gone(r->gone_user);
    request_free(r);
}

static void set_response(struct http_request *r, unsigned status, const char *type, const void *body, size_t len) {
    r->status = status;
    r->response = MHD_create_response_from_buffer(len, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (!r->response)
        return; /* out of memory: the connection is closed */
    (void)MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONTENT_TYPE, type ? type : "text/plain; charset=utf-8");
    (void)MHD_add_response_header(r->response, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r->response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
}

static enum MHD_Result send_response(struct http_request *r) {
    if (!r->response)
        return MHD_NO;
    return MHD_queue_response(r->mhd, r->status, r->response);
}

static enum MHD_Result send_error(struct http_request *r, unsigned status) {
    char text[64];
    const char *allow = r->route && r->route->method == HTTP_POST ? "POST" : "GET, HEAD";
    int len = snprintf(text, sizeof(text), "%u %s\n", status, MHD_get_reason_phrase_for(status));
    set_response(r, status, NULL, text, (size_t)len);
    if (r->response && status == MHD_HTTP_METHOD_NOT_ALLOWED)
        (void)MHD_add_response_header(r->response, MHD_HTTP_HEADER_ALLOW, allow);
    if (r->response && status == MHD_HTTP_CONTENT_TOO_LARGE)
        (void)MHD_add_response_header(r->response, MHD_HTTP_HEADER_CONNECTION, "close");
    r->finished = true;
    return send_response(r);
}

static bool method_fits(const struct route *route, const char *method) {
    if (route->method == HTTP_POST)
        return !strcmp(method, "POST");
    return !strcmp(method, "GET") || !strcmp(method, "HEAD");
}

static unsigned find_route(struct http_request *r, const char *method) {
    for (unsigned i = 0; i < r->server->routes; i++) {
        const struct route *route = &r->server->route[i];
        if (strcmp(route->path, r->path) != 0)
            continue;
        r->route = route;
        if (method_fits(route, method))
            return 0;
    }
    return r->route ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND;
}

/* Refuses early what its header says is too long, so that it is not read at all. */
static bool announces_too_much(struct http_request *r) {
    const char *text = MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t len;
    return text && (!str_to_u64(text, UINT64_MAX, &len) || len > r->server->opt.body_max_bytes);
}

static void request_resume(struct http_request *r) {
    if (!r->suspended)
        return;
    r->suspended = false;
    if (ev_is_active(&r->peer))
        ev_io_stop(r->server->ev, &r->peer);
    MHD_resume_connection(r->mhd);
}

/* libmicrohttpd does not look at a suspended connection: a peer that went away is noticed here. */
static void on_peer(struct ev_loop *ev, ev_io *w, int revents) {
    (void)revents;
    struct http_request *r = w->data;
    char byte;
    ssize_t n = recv(w->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    ev_io_stop(ev, w);
    if (n > 0) /* the next request already */
        return;
    request_unlink(r);
    r->finished = true; /* without an answer: the connection is closed */
    request_resume(r);
    if (r->gone)
        r->gone(r->gone_user);
    drive_soon(r->server);
}

static enum MHD_Result run_handler(struct http_request *r) {
    r->started = true;
    conn_allow(r->conn, 0);
    r->next = r->server->waiting;
    if (r->next)
        r->next->prev = r;
    r->server->waiting = r;
    r->route->handler(r->route->user, r);
    if (r->finished)
        return send_response(r);
    r->suspended = true;
    MHD_suspend_connection(r->mhd);
    if (r->conn && r->conn->fd >= 0) {
        ev_io_init(&r->peer, on_peer, r->conn->fd, EV_READ);
        r->peer.data = r;
        ev_io_start(r->server->ev, &r->peer);
    }
    return MHD_YES;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *mhd, const char *url, const char *method,
                                  const char *version, const char *data, size_t *len, void **slot) {
    (void)version;
    struct http_server *server = user;
    struct http_request *r = *slot;
    if (!r) { /* the header is complete */
        *slot = r = request_new(server, mhd, url);
        r->refuse = find_route(r, method);
        if (announces_too_much(r)) /* not before the route: what does not exist is 404 */
            return send_error(r, r->refuse ? r->refuse : MHD_HTTP_CONTENT_TOO_LARGE);
        return MHD_YES;
    }
    if (*len) {
        if (!r->refuse && !buf_append(&r->body, data, *len))
            r->refuse = MHD_HTTP_CONTENT_TOO_LARGE;
        *len = 0;
        return MHD_YES;
    }
    if (r->finished) /* resumed with the answer */
        return send_response(r);
    if (r->refuse)
        return send_error(r, r->refuse);
    return run_handler(r);
}

void http_reply(struct http_request *r, unsigned status, const char *content_type, const void *body, size_t len) {
    request_unlink(r);
    set_response(r, status, content_type, body ? body : "", len);
    r->finished = true;
    conn_allow(r->conn, r->server->opt.request_timeout_s); /* to take it */
    if (r->suspended) {
        request_resume(r);
        drive_soon(r->server);
    }
}

void http_reply_text(struct http_request *request, unsigned status, const char *fmt, ...) {
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    http_reply(request, status, NULL, text, len < 0 ? 0 : (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

void http_request_on_gone(struct http_request *r, void (*fn)(void *user), void *user) {
    r->gone = fn;
    r->gone_user = user;
}

const char *http_request_path(const struct http_request *r) {
    return r->path;
}

struct lookup {
    const char *name, *value;
};

static enum MHD_Result on_argument(void *user, enum MHD_ValueKind kind, const char *key, const char *value) {
    (void)kind;
    struct lookup *l = user;
    if (strcmp(key, l->name) != 0)
        return MHD_YES;
    l->value = value ? value : "";
    return MHD_NO;
}

const char *http_request_query(const struct http_request *r, const char *name) {
    struct lookup l = {.name = name};
    (void)MHD_get_connection_values(r->mhd, MHD_GET_ARGUMENT_KIND, on_argument, &l);
    return l.value;
}

const char *http_request_header(const struct http_request *r, const char *name) {
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

const void *http_request_body(const struct http_request *r, size_t *ret_len) {
    *ret_len = r->body.len;
    return r->body.data ? r->body.data : "";
}

/* --- life --- */

static void on_log(void *user, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
static void on_log(void *user, const char *fmt, va_list ap) {
    (void)user;
    char text[256];
    vsnprintf(text, sizeof(text), fmt, ap);
    text[strcspn(text, "\n")] = 0;
    log_event(LOG_DEBUG, "http", "text", text, NULL); /* peers can make it write */
}

static unsigned bound_port(int fd) {
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return 0;
    return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port : ((struct sockaddr_in *)&sa)->sin_port);
}

static void fill_defaults(struct http_server_options *o) {
    o->max_connections = o->max_connections ? o->max_connections : 64;
    o->header_max_bytes = o->header_max_bytes ? o->header_max_bytes : 8 * 1024;
    o->body_max_bytes = o->body_max_bytes ? o->body_max_bytes : 64 * 1024;
    o->idle_timeout_s = o->idle_timeout_s ? o->idle_timeout_s : 30;
    o->request_timeout_s = o->request_timeout_s ? o->request_timeout_s : 10;
}

static bool take_connection(void *user, int fd) {
    struct http_server *server = user;
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    if (server->connections >= server->opt.max_connections || getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        return false;
    /* it closes the descriptor itself when it cannot take it */
    (void)MHD_add_connection(server->mhd, fd, (struct sockaddr *)&sa, len);
    drive(server);
    return true;
}

/* %00 would cut a C string: it stays as it is, and no route has it. */
static size_t unescape(void *user, struct MHD_Connection *mhd, char *text) {
    (void)user, (void)mhd;
    char *out = text;
    for (const char *p = text; *p; p++) {
        uint8_t byte;
        char pair[3] = {p[0] == '%' ? p[1] : (char)0, p[0] == '%' && p[1] ? p[2] : (char)0, 0};
        if (pair[1] && str_unhex(pair, &byte, 1) && byte) {
            *out++ = (char)byte;
            p += 2;
        } else {
            *out++ = *p;
        }
    }
    *out = 0;
    return (size_t)(out - text);
}

static struct MHD_Daemon *daemon_start(struct http_server *server) {
    const struct http_server_options *o = &server->opt;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)unescape, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, o->max_connections + 1, NULL}, /* ours is the limit */
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)o->header_max_bytes * 2, NULL}, /* it also holds the answer's header */
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, 1024, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, o->idle_timeout_s, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)on_completed, server},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)on_connection, server},
        {MHD_OPTION_END, 0, NULL},
    };
    return MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL,
                            NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

int http_server_new(struct ev_loop *loop, const struct http_server_options *options, struct http_server **ret_server,
                    struct err *err) {
    struct address address;
    int fd;
    if (address_parse(options->listen, &address, err) < 0 || address_listen(&address, 0660, &fd, err) < 0)
        return err_context(err, "HTTP");
    struct http_server *server = mem_alloc(sizeof(*server));
    server->ev = loop;
    server->opt = *options;
    fill_defaults(&server->opt);
    server->port = address.is_unix ? 0 : bound_port(fd);
    server->mhd = daemon_start(server);
    const union MHD_DaemonInfo *info = server->mhd ? MHD_get_daemon_info(server->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        if (server->mhd)
            MHD_stop_daemon(server->mhd);
        close(fd);
        mem_free(server);
        return err_set(err, ERR_IO, "HTTP: cannot start the server on '%s'", options->listen);
    }
    ev_io_init(&server->io, on_io, info->epoll_fd, EV_READ);
    ev_timer_init(&server->timer, on_timer, 0, 0);
    ev_timer_init(&server->sweep, on_sweep, SWEEP_S, SWEEP_S);
    server->io.data = server->timer.data = server->sweep.data = server;
    ev_io_start(loop, &server->io);
    server->acceptor = acceptor_new(loop, fd, DESCRIPTORS_KEPT, "http", take_connection, server);
    *ret_server = server;
    return 0;
}

void http_server_free(struct http_server *server) {
    if (!server)
        return;
    acceptor_free(server->acceptor);
    ev_io_stop(server->ev, &server->io);
    ev_timer_stop(server->ev, &server->timer);
    ev_timer_stop(server->ev, &server->sweep);
    /* libmicrohttpd must not be stopped with suspended connections */
    for (struct http_request *r = server->waiting; r; r = r->next)
        request_resume(r);
    MHD_stop_daemon(server->mhd); /* ends every request: their `gone` runs */
    for (unsigned i = 0; i < server->routes; i++)
        mem_free(server->route[i].path);
    mem_free(server);
}

unsigned http_server_port(const struct http_server *server) {
    return server->port;
}

unsigned http_server_connections(const struct http_server *server) {
    return server->connections;
}

void http_server_route(struct http_server *server, enum http_method method, const char *path,
                       void (*handler)(void *user, struct http_request *request), void *user) {
    if (server->routes == ROUTES_MAX)
        abort();
    server->route[server->routes++] = (struct route){method, mem_strdup(path), handler, user};
}
