/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session. Every attempt has a channel of its own, so that address, token and roots are those of this moment. A session that ends is
 * followed by another one: soon when it was a good one (spread over some seconds, for a controller that restarts has many of them), later
 * and later when not.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/secret.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "sidecar/status.h"
#include "sidecar/uplink/uplink_int.h"

#define CONNECT_PATH "/mssql.v1.Controller/Connect"
#define PATIENCE_S 20.
#define LOOK_S 0.5
#define PAUSE_MIN_S 0.5
#define PAUSE_MAX_S 60.
#define AFTER_SESSION_S 3.
#define HOPS_MAX 3
#define UNSENT_MAX (256u * 1024)
#define SILENT_HEARTBEATS 3
#define CERTIFICATE_BYTES_MAX (32u * 1024)

/* 0 <= x < 1 */
static double random_part(void) {
    struct guid g;
    guid_random(&g);
    return (double)(g.bytes[0] << 8 | g.bytes[1]) / 65536.;
}

static void dial(struct uplink *u);

static void timer_at(struct uplink *u, ev_timer *t, double after_s, double repeat_s) {
    ev_timer_stop(u->agent->loop, t);
    ev_timer_set(t, after_s, repeat_s);
    ev_timer_start(u->agent->loop, t);
}

static void dial_after(struct uplink *u, double s) {
    if (!u->stopping)
        timer_at(u, &u->retry, s, 0.);
}

/* Once per reason: an attempt a minute for a week is not ten thousand lines. */
static void complain(struct uplink *u, const struct err *err) {
    u->stats.failures++;
    if (!strcmp(u->last_failure, err->text))
        return;
    str_copy(u->last_failure, sizeof(u->last_failure), err->text);
    log_error(LOG_WARN, err, "no session with the controller; backups go on without it", "controller",
              u->agent->config->controller.address, NULL);
}

static void later(struct uplink *u) {
    u->pause_s = u->pause_s < PAUSE_MIN_S ? PAUSE_MIN_S : u->pause_s * 2 > PAUSE_MAX_S ? PAUSE_MAX_S : u->pause_s * 2;
    dial_after(u, u->pause_s * (0.5 + random_part()));
}

/* ---- out ---- */

bool link_full(const struct uplink *u) {
    return !u->stream || rpc_stream_queued_bytes(u->stream) > UNSENT_MAX;
}

int link_send(struct uplink *u, Mssql__V1__SidecarMessage *message) {
    struct err err;
    return u->stream ? rpc_stream_send(u->stream, &message->base, &err) : -1;
}

static char *read_certificate(const struct uplink *u) {
    const char *path = u->agent->config->grpc.tls_cert;
    char *text;
    size_t len;
    struct err err;
    if (!u->agent->config->controller.fetch_address || file_read_all(path, CERTIFICATE_BYTES_MAX, &text, &len, &err) < 0)
        return mem_strdup("");
    return text;
}

static void send_hello(struct uplink *u) {
    const struct sidecar_config *c = u->agent->config;
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__Hello hello = MSSQL__V1__HELLO__INIT;
    Mssql__V1__PolicyApplied applied = MSSQL__V1__POLICY_APPLIED__INIT;
    char session[GUID_TEXT_MAX];
    struct guid random;
    const char *uid = getenv("POD_UID");
    Mssql__V1__Status *status = status_build(u->agent, NULL, 0, false); /* identity and versions as everybody sees them */
    _cleanup_free_ char *certificate = read_certificate(u);
    guid_random(&random);
    hello.identity = status->identity;
    hello.versions = status->versions;
    hello.release = c->controller.release ? c->controller.release : (char *)(uintptr_t) "";
    hello.pod_uid = (char *)(uintptr_t)(uid ? uid : "");
    hello.session_id = guid_format(session, &random);
    hello.process_id = u->process_id;
    hello.fetch_address = c->controller.fetch_address ? c->controller.fetch_address : (char *)(uintptr_t) "";
    hello.fetch_certificate = certificate;
    policy_applied(u, &applied);
    hello.policy = &applied;
    order_hello(u, &hello);
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HELLO;
    m.hello = &hello;
    (void)link_send(u, &m);
    order_hello_done(&hello);
    status_free(status);
}

static uint64_t token_stamp(const struct uplink *u) {
    struct tls_files files = {.ca = u->agent->config->controller.token_file};
    return tls_files_stamp(&files);
}

/* The token, when it is another one than the controller has. */
static struct secret *fresh_token(struct uplink *u) {
    struct secret *token;
    struct err err;
    uint64_t stamp = token_stamp(u);
    if (!stamp || stamp == u->token_stamp || secret_read_file(u->agent->config->controller.token_file, &token, &err) < 0)
        return NULL;
    u->token_stamp = stamp;
    return token;
}

static void send_heartbeat(struct uplink *u) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__Heartbeat beat = MSSQL__V1__HEARTBEAT__INIT;
    struct secret *token = fresh_token(u);
    beat.now_at = clock_wall();
    if (token)
        beat.token = (char *)(uintptr_t)secret_text(token);
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HEARTBEAT;
    m.heartbeat = &beat;
    (void)link_send(u, &m);
    secret_free(token);
}

static void on_beat(struct ev_loop *loop, ev_timer *w, int events) {
    struct uplink *u = w->data;
    (void)loop, (void)events;
    int64_t silence = (int64_t)u->heartbeat_s * SILENT_HEARTBEATS * CLOCK_SECOND;
    if (clock_mono_us() - u->heard_us > silence) {
        log_event(LOG_WARN, "the controller is silent; its session is given up", NULL);
        rpc_stream_cancel(u->stream);
    } else {
        send_heartbeat(u);
    }
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events) {
    struct uplink *u = w->data;
    (void)loop, (void)events;
    order_flush(u);
    tell_look(u);
    grants_sweep(u);
}

/* ---- in ---- */

static void welcome(struct uplink *u, const Mssql__V1__Welcome *w) {
    if (u->welcomed)
        return;
    u->welcomed = true;
    u->refused = false;
    u->hops = 0;
    u->pause_s = 0;
    u->last_failure[0] = 0;
    u->stats.sessions++;
    u->stats.connected = true;
    u->heartbeat_s = w->heartbeat_seconds >= 1 && w->heartbeat_seconds <= 3600 ? w->heartbeat_seconds : 30;
    u->grant_key_known = w->grant_key.len == GRANT_KEY_BYTES;
    if (u->grant_key_known)
        memcpy(u->grant_key, w->grant_key.data, GRANT_KEY_BYTES);
    ev_timer_stop(u->agent->loop, &u->patience);
    timer_at(u, &u->beat, u->heartbeat_s, u->heartbeat_s);
    timer_at(u, &u->look, 0., LOOK_S);
    log_event(LOG_INFO, "session with the controller", "controller", u->follow ? u->follow : u->agent->config->controller.address,
              "id", w->controller_id, NULL);
    tell_begin(u);
    order_flush(u);
}

static void not_leader(struct uplink *u, const Mssql__V1__NotLeader *no) {
    struct address address;
    struct err err;
    bool usable = *no->address && address_parse(no->address, &address, &err) == 0;
    mem_free(u->follow);
    u->follow = usable && ++u->hops <= HOPS_MAX ? mem_strdup(no->address) : NULL;
    u->redirected = u->follow != NULL;
    log_event(LOG_DEBUG, "this controller does not lead", "leader", no->address, NULL);
    rpc_stream_half_close(u->stream);
}

static void refused(struct uplink *u, const Mssql__V1__Refused *r) {
    struct err err;
    err_set(&err, ERR_PERMISSION, "the controller refuses the session: %.80s: %.400s", r->reason, r->message);
    complain(u, &err);
    u->refused = true;
    double wish = r->retry_after_seconds / 2.; /* later() doubles it */
    if (wish > u->pause_s)
        u->pause_s = wish < PAUSE_MAX_S ? wish : PAUSE_MAX_S;
}

static void on_message(void *user, const ProtobufCMessage *message) {
    struct uplink *u = user;
    const Mssql__V1__ControllerMessage *m = (const void *)message;
    u->heard_us = clock_mono_us();
    if (u->stopping)
        return;
    if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_WELCOME)
        welcome(u, m->welcome);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_NOT_LEADER)
        not_leader(u, m->not_leader);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_REFUSED)
        refused(u, m->refused);
    else if (!u->welcomed)
        return; /* nothing of somebody who did not say who it is */
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_POLICY)
        policy_take(u, m->policy);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_COMMAND)
        order_take(u, m->command);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_CANCEL)
        order_cancel(u, m->cancel->id);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_RESULT_ACK)
        order_acked(u, m->result_ack->id);
}

/* ---- begin and end ---- */

static void on_end(void *user, const struct err *err) {
    struct uplink *u = user;
    bool good = u->welcomed;
    bool lost = u->welcomed && !u->stopping;
    u->stream = NULL;
    u->welcomed = false;
    u->stats.connected = false;
    ev_timer_stop(u->agent->loop, &u->beat);
    ev_timer_stop(u->agent->loop, &u->look);
    ev_timer_stop(u->agent->loop, &u->patience);
    if (u->stopping)
        return;
    if (lost)
        log_error(LOG_INFO, err, "the session with the controller is over", NULL);
    else if (err->class != ERR_NONE && !u->refused)
        complain(u, err);
    if (u->redirected) {
        u->redirected = false;
        dial_after(u, 0.);
        return;
    }
    mem_free(u->follow); /* whoever leads next: the Service knows */
    u->follow = NULL;
    u->hops = 0;
    if (good && !u->refused)
        dial_after(u, 0.2 + AFTER_SESSION_S * random_part());
    else
        later(u);
    u->refused = false;
}

static void on_sent(void *user) {
    struct uplink *u = user;
    if (u->welcomed && !u->stopping) {
        order_flush(u);
        tell_look(u);
    }
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    dial(w->data);
}

static void on_patience(struct ev_loop *loop, ev_timer *w, int events) {
    struct uplink *u = w->data;
    struct err err;
    (void)loop, (void)events;
    err_set(&err, ERR_TIMEOUT, "no Welcome came in time");
    complain(u, &err);
    if (u->stream)
        rpc_stream_cancel(u->stream);
}

/* The host of the configured address: a leader's own address has no name of its own in the certificate. */
static void server_name(const struct sidecar_config *c, char *name, size_t bytes) {
    struct address address;
    struct err err;
    name[0] = 0;
    if (c->controller.server_name)
        str_copy(name, bytes, c->controller.server_name);
    else if (address_parse(c->controller.address, &address, &err) == 0)
        str_copy(name, bytes, address.host);
}

static int channel_open(struct uplink *u, struct err *err) {
    const struct sidecar_config *c = u->agent->config;
    struct secret *token;
    char name[ADDRESS_TEXT_MAX];
    u->token_stamp = token_stamp(u);
    if (secret_read_file(c->controller.token_file, &token, err) < 0)
        return err_context(err, "controller.tokenFile");
    _cleanup_free_ char *authorization = mem_printf("Bearer %s", secret_text(token));
    secret_free(token);
    server_name(c, name, sizeof(name));
    struct rpc_channel_options o = {
        .address = u->follow ? u->follow : c->controller.address,
        .use_tls = !c->controller.plaintext,
        .tls = {.ca = c->controller.ca_file},
        .server_name = name,
        .message_max_bytes = 1u << 20,
        .authorization = authorization,
    };
    rpc_channel_free(u->channel);
    u->channel = NULL;
    int rc = rpc_channel_new(u->agent->rpc_loop, &o, &u->channel, err);
    explicit_bzero(authorization, strlen(authorization));
    return rc;
}

static void dial(struct uplink *u) {
    static const struct rpc_stream_events events = {on_message, on_end, on_sent};
    struct err err;
    if (u->stream || u->stopping)
        return;
    if (channel_open(u, &err) < 0) {
        complain(u, &err);
        later(u);
        return;
    }
    u->heard_us = clock_mono_us();
    u->stream = rpc_stream_open_bidi(u->channel, CONNECT_PATH, &mssql__v1__controller_message__descriptor, false, &events, u);
    timer_at(u, &u->patience, PATIENCE_S, 0.);
    send_hello(u);
}

/* ---- orders that wait ---- */

static void on_resume(struct ev_loop *loop, ev_timer *w, int events) {
    struct uplink *u = w->data;
    (void)events;
    if (!order_resume(u))
        ev_timer_stop(loop, w);
}

void link_resume(struct uplink *u) {
    if (order_resume(u) && !ev_is_active(&u->resume))
        timer_at(u, &u->resume, LOOK_S, LOOK_S);
}

/* ---- for the others ---- */

struct uplink *uplink_new(struct agent *agent) {
    struct uplink *u = mem_alloc(sizeof(*u));
    struct guid random;
    u->agent = agent;
    guid_random(&random);
    guid_format(u->process_id, &random);
    ev_init(&u->retry, on_retry);
    ev_init(&u->beat, on_beat);
    ev_init(&u->look, on_look);
    ev_init(&u->patience, on_patience);
    ev_init(&u->resume, on_resume);
    u->resume.data = u;
    u->retry.data = u->beat.data = u->look.data = u->patience.data = u;
    return u;
}

void uplink_open(struct uplink *u) {
    if (!u || u->opened)
        return;
    u->opened = true;
    policy_open(u);
    order_open(u);
    if (u->connecting) /* the state directory could not be used before */
        link_resume(u);
}

void uplink_connect(struct uplink *u) {
    if (!u)
        return;
    u->connecting = true;
    dial_after(u, random_part());
    link_resume(u);
}

void uplink_stop(struct uplink *u) {
    if (!u || u->stopping)
        return;
    u->stopping = true;
    ev_timer_stop(u->agent->loop, &u->retry);
    ev_timer_stop(u->agent->loop, &u->resume);
    order_stop(u);
    if (u->stream)
        rpc_stream_finish(u->stream);
    rpc_channel_free(u->channel);
    u->channel = NULL;
}

void uplink_free(struct uplink *u) {
    if (!u)
        return;
    uplink_stop(u);
    order_done(u);
    tell_done(u);
    policy_close(u);
    grants_free(u);
    mem_free(u->follow);
    mem_free(u);
}

void uplink_get_stats(const struct uplink *u, struct uplink_stats *ret_stats) {
    *ret_stats = (struct uplink_stats){0};
    if (!u)
        return;
    *ret_stats = u->stats;
    ret_stats->commands = u->order_count;
}
