/* SPDX-License-Identifier: Apache-2.0 */
/* Life of the server: checks, listening, posting slots for calls, shutdown. */
#include "common/net/rpc_server.h"

#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_server_int.h"

#define SLOTS_PER_METHOD 4
#define SLOTS_UNKNOWN 2
#define PING_TIMEOUT_MS 10000
#define PING_MIN_INTERVAL_MS 5000
#define CONNECTION_IDLE_MS (10 * 60 * 1000)
#define METADATA_MAX_BYTES 16384

/* --- accepting calls --- */

static void slot_free(struct accept_slot *slot) {
    grpc_metadata_array_destroy(&slot->metadata);
    if (!slot->method)
        grpc_call_details_destroy(&slot->details);
    mem_free(slot);
}

static void on_call(struct rpc_tag *tag, bool ok);

static void slot_post(struct accept_slot *slot) {
    struct rpc_server *server = slot->server;
    grpc_completion_queue *cq = rpc_loop_cq(server->loop);
    grpc_metadata_array_init(&slot->metadata);
    slot->tag.fn = on_call;
    slot->call = NULL;
    slot->payload = NULL;
    grpc_call_error rc;
    if (slot->method) {
        bool bidi = slot->method->def.kind == RPC_BIDI;
        rc = grpc_server_request_registered_call(server->core, slot->method->registered, &slot->call, &slot->deadline,
                                                 &slot->metadata, bidi ? NULL : &slot->payload, cq, cq, &slot->tag);
    } else {
        grpc_call_details_init(&slot->details);
        rc = grpc_server_request_call(server->core, &slot->call, &slot->details, &slot->metadata, cq, cq, &slot->tag);
    }
    if (rc != GRPC_CALL_OK) {
        log_event(LOG_ERROR, "grpc: cannot accept calls", "why", grpc_call_error_to_string(rc), NULL);
        abort();
    }
}

/* The first value of that name, mem_free() it; NULL without one. */
static char *metadata_text(const grpc_metadata_array *metadata, const char *key) {
    for (size_t i = 0; i < metadata->count; i++)
        if (!grpc_slice_str_cmp(metadata->metadata[i].key, key))
            return mem_strndup((const char *)GRPC_SLICE_START_PTR(metadata->metadata[i].value),
                               GRPC_SLICE_LENGTH(metadata->metadata[i].value));
    return NULL;
}

static void on_call(struct rpc_tag *tag, bool ok) {
    struct accept_slot *slot = container_of(tag, struct accept_slot, tag);
    struct rpc_server *server = slot->server;
    if (!ok) { /* the server shuts down */
        slot_free(slot);
        server->slots--;
        rpc_server_check_idle(server);
        return;
    }
    struct accept_slot got = *slot;
    char *authorization = metadata_text(&slot->metadata, "authorization");
    grpc_metadata_array_destroy(&slot->metadata);
    if (!slot->method) {
        got.deadline = slot->details.deadline;
        grpc_call_details_destroy(&slot->details);
    }
    bool again = !server->stopping;
    if (again) {
        slot_post(slot); /* before the handler: the next one need not wait */
    } else {
        mem_free(slot);
        server->slots--;
    }
    rpc_call_begin(server, got.method, got.call, got.deadline, got.payload, authorization);
    if (got.payload)
        grpc_byte_buffer_destroy(got.payload);
}

static void post_slots(struct rpc_server *server) {
    for (size_t i = 0; i <= server->methods; i++) {
        struct method *method = i < server->methods ? &server->method[i] : NULL;
        for (unsigned k = 0; k < (method ? SLOTS_PER_METHOD : SLOTS_UNKNOWN); k++) {
            struct accept_slot *slot = mem_alloc(sizeof(*slot));
            slot->server = server;
            slot->method = method; /* without one, an unknown method would hang until its deadline */
            server->slots++;
            slot_post(slot);
        }
    }
}

/* --- start --- */

static void set_default(unsigned *value, unsigned fallback) {
    if (!*value)
        *value = fallback;
}

static void fill_defaults(struct rpc_server_options *o) {
    set_default(&o->socket_mode, 0660);
    set_default(&o->message_max_bytes, 256 * 1024);
    set_default(&o->max_connections, 128);
    set_default(&o->max_streams, 32);
    set_default(&o->max_calls, 256);
    set_default(&o->queue_max_bytes, 1024 * 1024);
    set_default(&o->keepalive_s, 60);
    set_default(&o->handshake_timeout_s, 10);
}

struct bound {
    struct address address;
    int fd;
};

static int check_address(const struct address *a, bool tls, struct err *err) {
    char text[ADDRESS_TEXT_MAX];
    if (!tls && !a->is_loopback)
        return err_set(err, ERR_CONFIG,
                       "gRPC: '%s' can be reached from other machines and needs TLS. Give a certificate and key, or listen on "
                       "127.0.0.1 or a Unix socket",
                       address_format(text, a));
    return 0;
}

static void close_bound(struct bound *bound, size_t count) {
    for (size_t i = 0; i < count; i++) {
        close(bound[i].fd);
        if (bound[i].address.is_unix)
            unlink(bound[i].address.path);
    }
}

/* Listens everywhere or nowhere. */
static int bind_all(const struct rpc_server_options *o, struct bound bound[LISTEN_MAX], size_t *ret_count, struct err *err) {
    size_t count = 0;
    for (; o->listen && o->listen[count]; count++)
        if (count == LISTEN_MAX)
            return err_set(err, ERR_CONFIG, "gRPC: more than %d addresses to listen on", LISTEN_MAX);
    if (!count)
        return err_set(err, ERR_CONFIG, "gRPC: no address to listen on");
    for (size_t i = 0; i < count; i++)
        if (address_parse(o->listen[i], &bound[i].address, err) < 0 ||
            check_address(&bound[i].address, o->tls.cert != NULL, err) < 0)
            return err_context(err, "gRPC");
    for (size_t i = 0; i < count; i++)
        if (address_listen(&bound[i].address, o->socket_mode, &bound[i].fd, err) < 0) {
            close_bound(bound, i);
            return err_context(err, "gRPC");
        }
    *ret_count = count;
    return 0;
}

static unsigned bound_port(const struct bound *b) {
    struct sockaddr_storage sa = {0};
    socklen_t len = sizeof(sa);
    if (b->address.is_unix || getsockname(b->fd, (struct sockaddr *)&sa, &len) < 0)
        return 0;
    return ntohs(sa.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&sa)->sin6_port : ((struct sockaddr_in *)&sa)->sin_port);
}

static void server_args(struct rpc_server *server, struct rpc_args *a) {
    const struct rpc_server_options *o = &server->opt;
    rpc_args_init(a);
    rpc_args_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)o->message_max_bytes);
    rpc_args_int(a, GRPC_ARG_MAX_CONCURRENT_STREAMS, (int)o->max_streams);
    rpc_args_int(a, RPC_ARG_ENDED_STREAMS, (int)o->max_streams);
    rpc_args_int(a, GRPC_ARG_MAX_METADATA_SIZE, METADATA_MAX_BYTES);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, (int)o->keepalive_s * 1000);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, PING_TIMEOUT_MS);
    rpc_args_int(a, RPC_ARG_PING_TIMEOUT_MS, PING_TIMEOUT_MS);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    rpc_args_int(a, GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, PING_MIN_INTERVAL_MS);
    rpc_args_int(a, GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, (int)o->handshake_timeout_s * 1000);
    rpc_args_int(a, GRPC_ARG_MAX_CONNECTION_IDLE_MS, CONNECTION_IDLE_MS);
    /* identity only: a compressed message is measured after it was unpacked whole */
    rpc_args_int(a, GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
    rpc_args_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    rpc_listener_args(server->plain, a);
    if (server->tls)
        rpc_listener_args(server->tls, a);
}

static void method_add(struct rpc_server *server, const struct rpc_method *def, size_t count, void *user) {
    for (size_t i = 0; i < count; i++) {
        struct method *m = &server->method[server->methods++];
        m->def = def[i];
        m->user = user;
        m->registered = grpc_server_register_method(
            server->core, def[i].path, NULL,
            def[i].kind == RPC_BIDI ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        if (!m->registered) { /* twice the same path */
            log_event(LOG_ERROR, "grpc: method cannot be registered", "path", def[i].path, NULL);
            abort();
        }
    }
}

static void register_methods(struct rpc_server *server) {
    const struct rpc_server_options *o = &server->opt;
    server->method = mem_array(o->method_count + rpc_health_method_count + rpc_reflect_method_count, sizeof(*server->method));
    method_add(server, o->methods, o->method_count, o->user);
    method_add(server, rpc_health_methods, rpc_health_method_count, server->health);
    method_add(server, rpc_reflect_methods, rpc_reflect_method_count, server);
}

static int attach_listeners(struct rpc_server *server, struct err *err) {
    grpc_server_credentials *plain = grpc_insecure_server_credentials_create();
    int rc = rpc_listener_attach(server->plain, server->core, plain, err);
    grpc_server_credentials_release(plain);
    if (rc < 0 || !server->tls)
        return rc;
    grpc_server_credentials *tls = rpc_creds_core(server->creds);
    rc = rpc_listener_attach(server->tls, server->core, tls, err);
    grpc_server_credentials_release(tls);
    return rc;
}

static void on_grace(struct ev_loop *ev, ev_timer *w, int revents) {
    (void)ev, (void)revents;
    struct rpc_server *server = w->data;
    log_event(LOG_DEBUG, "grpc: grace is over, calls are cancelled", NULL);
    grpc_server_cancel_all_calls(server->core);
}

static struct rpc_server *server_make(struct rpc_loop *loop, const struct rpc_server_options *options, struct rpc_creds *creds) {
    struct rpc_server *server = mem_alloc(sizeof(*server));
    server->loop = loop;
    server->opt = *options;
    server->creds = creds;
    server->gate = rpc_gate_new(options->max_connections);
    server->plain = rpc_listener_new(rpc_loop_ev(loop), server->gate, "external:plain");
    if (creds)
        server->tls = rpc_listener_new(rpc_loop_ev(loop), server->gate, "external:tls");
    server->health = rpc_health_new(options->methods, options->method_count);
    ev_timer_init(&server->grace, on_grace, 0, 0);
    server->grace.data = server;
    struct rpc_args args;
    server_args(server, &args);
    server->core = grpc_server_create(&args.args, NULL);
    grpc_server_register_completion_queue(server->core, rpc_loop_cq(loop), NULL);
    register_methods(server);
    return server;
}

int rpc_server_new(struct rpc_loop *loop, const struct rpc_server_options *options, struct rpc_server **ret_server,
                   struct err *err) {
    struct rpc_server_options opt = *options;
    struct bound bound[LISTEN_MAX];
    size_t count = 0;
    struct rpc_creds *creds = NULL;
    fill_defaults(&opt);
    if ((opt.tls.cert || opt.tls.key || opt.tls.ca) && rpc_creds_new(&opt.tls, &creds, err) < 0)
        return err_context(err, "gRPC");
    if (bind_all(&opt, bound, &count, err) < 0) {
        rpc_creds_free(creds);
        return -1;
    }
    struct rpc_server *server = server_make(loop, &opt, creds);
    int rc = attach_listeners(server, err);
    grpc_server_start(server->core);
    if (rc < 0) {
        close_bound(bound, count);
        rpc_server_free(server);
        return -1;
    }
    post_slots(server);
    for (size_t i = 0; i < count; i++) {
        const struct address *a = &bound[i].address;
        server->port[server->ports++] = bound_port(&bound[i]);
        rpc_listener_add(!a->is_unix && server->tls ? server->tls : server->plain, bound[i].fd, a->is_unix ? a->path : NULL);
    }
    *ret_server = server;
    return 0;
}

/* --- shutdown --- */

/* The order matters: nothing new, tell the watchers, then C-core (which sends GOAWAY), then the grace. */
void rpc_server_check_idle(struct rpc_server *server) {
    if (!server->core_down || server->slots || server->call_count || server->idle)
        return;
    server->idle = true;
    ev_timer_stop(rpc_loop_ev(server->loop), &server->grace);
    if (server->stopped)
        server->stopped(server->stopped_user); /* may free the server */
}

static void on_down(struct rpc_tag *tag, bool ok) {
    (void)ok;
    struct rpc_server *server = container_of(tag, struct rpc_server, t_down);
    server->core_down = true;
    rpc_server_check_idle(server);
}

static void begin_stop(struct rpc_server *server) {
    server->stopping = true;
    rpc_listener_close(server->plain);
    if (server->tls)
        rpc_listener_close(server->tls);
    rpc_health_stop(server->health);
    server->t_down.fn = on_down;
    grpc_server_shutdown_and_notify(server->core, rpc_loop_cq(server->loop), &server->t_down);
}

void rpc_server_stop(struct rpc_server *server, unsigned grace_ms, void (*stopped)(void *user), void *user) {
    if (server->stopping)
        return;
    server->stopped = stopped;
    server->stopped_user = user;
    begin_stop(server);
    ev_timer_set(&server->grace, grace_ms / 1000.0, 0);
    ev_timer_start(rpc_loop_ev(server->loop), &server->grace);
}

/* From the start again after each: its on_cancel may end others. */
static void abandon_calls(struct rpc_server *server) {
    for (;;) {
        struct rpc_call *call = server->calls;
        while (call && call->ended)
            call = call->next;
        if (!call)
            return;
        rpc_call_abandon(call);
    }
}

void rpc_server_free(struct rpc_server *server) {
    if (!server)
        return;
    server->stopped = NULL;
    server->on_end = NULL;
    ev_timer_stop(rpc_loop_ev(server->loop), &server->grace);
    if (!server->stopping)
        begin_stop(server);
    if (!server->idle) {
        grpc_server_cancel_all_calls(server->core);
        abandon_calls(server);
        rpc_loop_pump(server->loop, &server->idle);
    }
    grpc_server_destroy(server->core);
    rpc_listener_free(server->plain);
    rpc_listener_free(server->tls);
    rpc_gate_free(server->gate);
    rpc_creds_free(server->creds);
    rpc_health_free(server->health);
    mem_free(server->method);
    mem_free(server);
}

/* --- questions --- */

unsigned rpc_server_port(const struct rpc_server *server, size_t n) {
    return n < server->ports ? server->port[n] : 0;
}

void rpc_server_set_serving(struct rpc_server *server, const char *service, bool serving) {
    rpc_health_set(server->health, service, serving);
}

void rpc_server_get_stats(const struct rpc_server *server, struct rpc_server_stats *ret_stats) {
    struct rpc_server_stats stats = server->stats;
    struct acceptor_stats sockets = {0};
    rpc_listener_add_stats(server->plain, &sockets);
    if (server->tls)
        rpc_listener_add_stats(server->tls, &sockets);
    stats.connections = rpc_gate_connections(server->gate);
    stats.calls = server->call_count;
    stats.accepted = sockets.accepted;
    stats.refused = sockets.refused;
    stats.accepting = !sockets.starved && !server->stopping;
    stats.cert_not_after_at = server->creds ? rpc_creds_not_after(server->creds) : 0;
    *ret_stats = stats;
}

void rpc_server_on_end(struct rpc_server *server, void (*fn)(void *user, const char *path, enum err_class class, int64_t us),
                       void *user) {
    server->on_end = fn;
    server->on_end_user = user;
}
