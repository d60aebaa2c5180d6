/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions of sidecars on streams. A stream is nobody until its token was checked, silent until its Hello was taken, and then the session
 * of one pod. A newer stream of the same pod replaces it.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/fleet/fleet_int.h"

#define HELLO_TIMEOUT_US (15 * CLOCK_SECOND)
#define TOKEN_GRACE_US (5 * CLOCK_MINUTE)
#define COMPLAINTS_PER_MINUTE 20
#define SILENT_HEARTBEATS 3

struct session {
    struct fleet *fleet;
    struct rpc_call *call; /* NULL: ended; only while somebody still checks its token */
    char *peer_address;
    struct member *member; /* NULL before Hello */
    char *pod_uid, *namespace_name, *pod, *service_account; /* of the token; NULL before */
    int64_t token_until_at;
    int64_t began_us, heard_us; /* monotonic */
    unsigned checking; /* tokens under way */
    struct session *next, *prev;
};

const char *connect_token(const struct rpc_call *call) {
    const char *value = rpc_call_authorization(call);
    if (strncasecmp(value, "Bearer ", 7))
        return NULL;
    value += 7;
    return *value && !value[strcspn(value, " \t\r\n")] ? value : NULL;
}

void connect_complain(struct fleet *fleet, const char *who, const char *peer, const struct err *err) {
    struct complaints *c = &fleet->complaints;
    int64_t minute = clock_mono_us() / CLOCK_MINUTE;
    fleet->stats.refused++;
    if (minute != c->minute) {
        char n[16];
        str_format(n, sizeof(n), "%u", c->swallowed);
        if (c->swallowed)
            log_event(LOG_WARN, "more callers were refused in the minute before", "count", n, NULL);
        *c = (struct complaints){.minute = minute};
    }
    if (c->said++ < COMPLAINTS_PER_MINUTE)
        log_error(LOG_WARN, err, "refused", "caller", who, "peer", peer, NULL);
    else
        c->swallowed++;
}

/* ---- end ---- */

static void session_free(struct session *s) {
    if (s->checking)
        return;
    mem_free(s->peer_address);
    mem_free(s->pod_uid);
    mem_free(s->namespace_name);
    mem_free(s->pod);
    mem_free(s->service_account);
    mem_free(s);
}

static void session_lose(struct session *s) {
    struct member *m = s->member;
    if (!m)
        return;
    s->member = NULL;
    m->session = NULL;
    peer_disconnect(m->peer, clock_wall());
    s->fleet->stats.lost++;
    s->fleet->opt.events.session(s->fleet->opt.events.user, m->peer->pod_uid, false);
    service_session(s->fleet, m->peer->pod_uid);
}

/* The call is over: NULL, or ended with this error (class NONE: in order). Frees the session. */
static void session_end(struct session *s, const struct err *err) {
    struct rpc_call *call = s->call;
    struct fleet *fleet = s->fleet;
    if (!call)
        return;
    s->call = NULL;
    if (s->prev)
        s->prev->next = s->next;
    else
        fleet->sessions = s->next;
    if (s->next)
        s->next->prev = s->prev;
    fleet->session_count--;
    session_lose(s);
    if (err && err->class != ERR_NONE)
        rpc_call_fail(call, err);
    else
        rpc_call_end(call);
    session_free(s);
}

static void send_refused(struct session *s, const char *reason, const struct err *err, unsigned retry_s) {
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__Refused refused = MSSQL__V1__REFUSED__INIT;
    struct err ignored;
    refused.reason = (char *)(uintptr_t)reason;
    refused.message = (char *)(uintptr_t)err->text;
    refused.retry_after_seconds = retry_s;
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_REFUSED;
    m.refused = &refused;
    (void)!rpc_call_send(s->call, &m.base, &ignored); /* the status says it, too */
}

static void session_refuse(struct session *s, const char *reason, const struct err *err, unsigned retry_s) {
    char who[300];
    str_format(who, sizeof(who), "%s/%s", s->namespace_name ? s->namespace_name : "?", s->pod ? s->pod : "?");
    connect_complain(s->fleet, who, s->peer_address, err);
    send_refused(s, reason, err, retry_s);
    session_end(s, err);
}

static void send_not_leader(struct fleet *fleet, struct rpc_call *call) {
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__NotLeader no = MSSQL__V1__NOT_LEADER__INIT;
    struct err ignored;
    no.address = fleet->leader;
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_NOT_LEADER;
    m.not_leader = &no;
    (void)!rpc_call_send(call, &m.base, &ignored);
}

void connect_end_all(struct fleet *fleet) {
    while (fleet->sessions) {
        if (!fleet->stopping)
            send_not_leader(fleet, fleet->sessions->call);
        session_end(fleet->sessions, NULL);
    }
}

void connect_forget(struct member *m) {
    struct session *s = m->session;
    struct err why;
    if (!s)
        return;
    s->member = NULL;
    m->session = NULL;
    err_set(&why, ERR_PERMISSION, "this pod is gone");
    send_refused(s, "PodGone", &why, 60);
    session_end(s, &why);
}

/* ---- messages ---- */

static int out_send(void *user, const Mssql__V1__ControllerMessage *message, struct err *err) {
    struct session *s = user;
    return rpc_call_send(s->call, &message->base, err);
}

static void on_sent(void *user, struct rpc_call *call) {
    struct session *s = user;
    (void)call;
    if (s->member)
        peer_flush(s->member->peer);
}

static void welcome(struct session *s) {
    struct fleet *fleet = s->fleet;
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__Welcome w = MSSQL__V1__WELCOME__INIT;
    struct err ignored;
    w.controller_id = fleet->controller_id;
    w.heartbeat_seconds = fleet->opt.heartbeat_s;
    w.grant_key = (ProtobufCBinaryData){GRANT_KEY_BYTES, fleet->grant_public};
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_WELCOME;
    m.welcome = &w;
    (void)!rpc_call_send(s->call, &m.base, &ignored);
}

static void take_over(struct session *s, struct member *m) {
    struct session *old = m->session;
    struct err why;
    if (!old)
        return;
    err_set(&why, ERR_CONFLICT, "a newer session of this pod has come");
    old->member = NULL; /* it is not lost: the new one goes on */
    m->session = NULL;
    peer_disconnect(m->peer, clock_wall());
    s->fleet->stats.replaced++;
    send_refused(old, "Replaced", &why, 0);
    session_end(old, &why);
}

static int check_hello(const struct session *s, const Mssql__V1__Hello *hello, struct err *err) {
    if (strcmp(hello->pod_uid, s->pod_uid))
        return err_set(err, ERR_PERMISSION, "the token is of pod uid %s, the sidecar says it is %.80s", s->pod_uid,
                       hello->pod_uid);
    if (!*hello->session_id || !*hello->process_id || strlen(hello->session_id) > 80 || strlen(hello->process_id) > 80)
        return err_set(err, ERR_PROTOCOL, "Hello without session and process");
    if (strlen(hello->fetch_certificate) > 64 * 1024)
        return err_set(err, ERR_LIMIT, "the certificate is longer than 64 KiB");
    return 0;
}

static void take_hello(struct session *s, const Mssql__V1__Hello *hello) {
    struct fleet *fleet = s->fleet;
    struct err err;
    if (check_hello(s, hello, &err) < 0) {
        session_refuse(s, err.class == ERR_PERMISSION ? "WrongPod" : "BadHello", &err, 60);
        return;
    }
    struct fleet_bearer bearer = {
        .namespace_name = s->namespace_name, .service_account = s->service_account, .pod = s->pod, .pod_uid = s->pod_uid};
    struct member *m = fleet_member_add(fleet, &bearer);
    take_over(s, m);
    s->member = m;
    m->session = s;
    fleet->stats.accepted++;
    peer_connect(m->peer, hello, &(struct peer_out){out_send, s}, clock_wall());
    welcome(s);
    log_event(LOG_INFO, "sidecar connected", "namespace", s->namespace_name, "pod", s->pod, "instance",
              hello->identity ? hello->identity->instance : "", "session", hello->session_id, NULL);
    fleet->opt.events.session(fleet->opt.events.user, m->peer->pod_uid, true);
    service_session(fleet, m->peer->pod_uid);
    if (s->member)
        peer_flush(m->peer);
}

static void heartbeat(struct session *s, const Mssql__V1__Heartbeat *beat);

static void take(struct session *s, const Mssql__V1__SidecarMessage *m) {
    struct err err;
    if (!s->member) {
        if (m->message_case == MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HELLO) {
            take_hello(s, m->hello);
            return;
        }
        err_set(&err, ERR_PROTOCOL, "the first message is not Hello");
        session_refuse(s, "BadHello", &err, 60);
        return;
    }
    if (peer_message(s->member->peer, m, clock_wall(), &err) < 0)
        session_refuse(s, "BadMessage", &err, 10);
    else if (m->message_case == MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HEARTBEAT)
        heartbeat(s, m->heartbeat);
}

static void on_message(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    struct session *s = user;
    (void)call;
    s->heard_us = clock_mono_us();
    if (message)
        take(s, (const Mssql__V1__SidecarMessage *)(const void *)message);
    else
        session_end(s, NULL);
}

static void on_cancel(void *user, struct rpc_call *call) {
    (void)call;
    session_end(user, NULL);
}

/* ---- tokens ---- */

static int check_pod(struct session *s, const struct fleet_bearer *bearer, struct err *err) {
    const struct fleet_trust *t = &s->fleet->opt.trust;
    if (!*bearer->pod_uid || !*bearer->pod)
        return err_set(err, ERR_AUTH, "the token is not bound to a pod");
    return t->pod ? t->pod(t->user, bearer, err) : 0;
}

static void first_checked(void *arg, const struct fleet_bearer *bearer, const struct err *why) {
    struct session *s = arg;
    struct err err;
    s->checking--;
    if (!s->call) {
        session_free(s);
        return;
    }
    if (!bearer) {
        session_refuse(s, "TokenRefused", why, 5);
        return;
    }
    s->namespace_name = mem_strdup(bearer->namespace_name);
    s->pod = mem_strdup(bearer->pod);
    if (check_pod(s, bearer, &err) < 0) {
        session_refuse(s, "WrongPod", &err, 10);
        return;
    }
    s->pod_uid = mem_strdup(bearer->pod_uid);
    s->service_account = mem_strdup(bearer->service_account);
    s->token_until_at = bearer->until_at;
    rpc_call_on_sent(s->call, on_sent, s);
    rpc_call_on_message(s->call, on_message, s);
}

static void again_checked(void *arg, const struct fleet_bearer *bearer, const struct err *why) {
    struct session *s = arg;
    struct err err;
    s->checking--;
    if (!s->call) {
        session_free(s);
        return;
    }
    if (bearer && strcmp(bearer->pod_uid, s->pod_uid)) {
        err_set(&err, ERR_PERMISSION, "the new token is of another pod");
        session_refuse(s, "WrongPod", &err, 10);
    } else if (!bearer) {
        session_refuse(s, "TokenRefused", why, 5);
    } else {
        s->token_until_at = bearer->until_at;
    }
}

static void heartbeat(struct session *s, const Mssql__V1__Heartbeat *beat) {
    Mssql__V1__ControllerMessage m = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__HeartbeatAck ack = MSSQL__V1__HEARTBEAT_ACK__INIT;
    struct err ignored;
    ack.now_at = clock_wall();
    m.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_HEARTBEAT_ACK;
    m.heartbeat_ack = &ack;
    (void)!rpc_call_send(s->call, &m.base, &ignored);
    if (*beat->token && !s->checking) {
        s->checking++;
        s->fleet->opt.trust.check(s->fleet->opt.trust.user, beat->token, again_checked, s);
    }
}

/* ---- begin ---- */

void connect_handler(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct fleet *fleet = user;
    const char *token = connect_token(call);
    struct err err;
    (void)request;
    if (!fleet->lead) {
        send_not_leader(fleet, call);
        rpc_call_end(call);
        return;
    }
    if (!token || fleet->session_count >= fleet->opt.sessions_max) {
        if (!token)
            err_set(&err, ERR_AUTH, "no service account token: send 'authorization: Bearer ...'");
        else
            err_set(&err, ERR_LIMIT, "%u sessions are open already", fleet->session_count);
        connect_complain(fleet, "?", rpc_call_peer(call), &err);
        rpc_call_fail(call, &err);
        return;
    }
    struct session *s = mem_alloc(sizeof(*s));
    *s = (struct session){.fleet = fleet, .call = call, .peer_address = mem_strdup(rpc_call_peer(call))};
    s->began_us = s->heard_us = clock_mono_us();
    s->next = fleet->sessions;
    if (s->next)
        s->next->prev = s;
    fleet->sessions = s;
    fleet->session_count++;
    rpc_call_on_cancel(call, on_cancel, s);
    s->checking++;
    fleet->opt.trust.check(fleet->opt.trust.user, token, first_checked, s);
}

/* What is wrong with a session now; false: nothing. */
static bool is_over(const struct session *s, int64_t us, int64_t now, const char **ret_reason, struct err *err) {
    int64_t silence = (int64_t)s->fleet->opt.heartbeat_s * SILENT_HEARTBEATS * CLOCK_SECOND;
    if (!s->member && us - s->began_us > HELLO_TIMEOUT_US) {
        *ret_reason = "NoHello";
        err_set(err, ERR_TIMEOUT, "no Hello came in time");
        return true;
    }
    if (us - s->heard_us > silence) {
        *ret_reason = "Silent";
        err_set(err, ERR_TIMEOUT, "nothing was heard for %u heartbeats", SILENT_HEARTBEATS);
        return true;
    }
    if (s->token_until_at && now > s->token_until_at + TOKEN_GRACE_US) {
        *ret_reason = "TokenExpired";
        err_set(err, ERR_AUTH, "the token has expired, and no new one came");
        return true;
    }
    return false;
}

void connect_sweep(struct fleet *fleet) {
    int64_t us = clock_mono_us(), now = clock_wall();
    for (struct session *s = fleet->sessions, *next; s; s = next) {
        const char *reason;
        struct err err;
        next = s->next; /* ending one ends no other */
        if (is_over(s, us, now, &reason, &err))
            session_refuse(s, reason, &err, 0);
    }
}
