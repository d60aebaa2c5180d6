/* SPDX-License-Identifier: Apache-2.0 */
/* Life of the fleet, and what the rest of the controller asks of it. */
#include "controller/fleet/fleet_int.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/base/mem.h"

#define SESSIONS_MAX 12000
#define HEARTBEAT_S 30
#define OTHER_CALLS 512 /* of the service Fleet, health, and streams that are not checked yet */
#define SWEEP_S 1.0

/* ---- members ---- */

struct member *fleet_member(const struct fleet *fleet, const char *pod_uid) {
    return kube_map_get(&fleet->peers, pod_uid);
}

static void on_status(void *user, bool news) {
    struct member *m = user;
    m->fleet->stats.statuses++;
    m->fleet->opt.events.status(m->fleet->opt.events.user, m->peer->pod_uid, news);
    service_status(m->fleet, m->peer->pod_uid);
}

static void on_policy(void *user) {
    struct member *m = user;
    m->fleet->opt.events.policy(m->fleet->opt.events.user, m->peer->pod_uid);
}

static void on_command(void *user, const char *id) {
    struct member *m = user;
    struct peer_command *c = peer_find(m->peer, id);
    m->fleet->stats.results += c && c->state == MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE;
    m->fleet->opt.events.command(m->fleet->opt.events.user, m->peer->pod_uid, id);
    service_command(m->fleet, m->peer->pod_uid, id);
}

struct member *fleet_member_add(struct fleet *fleet, const struct fleet_bearer *bearer) {
    struct member *m = fleet_member(fleet, bearer->pod_uid);
    if (m)
        return m;
    m = mem_alloc(sizeof(*m));
    m->fleet = fleet;
    m->peer = peer_new(bearer);
    m->peer->events = (struct peer_events){on_status, on_policy, on_command, m};
    kube_map_put(&fleet->peers, bearer->pod_uid, m);
    return m;
}

static void member_free(struct member *m) {
    peer_free(m->peer);
    mem_free(m);
}

/* ---- life ---- */

static void on_sweep(struct ev_loop *ev, ev_timer *w, int revents) {
    struct fleet *fleet = w->data;
    (void)ev, (void)revents;
    connect_sweep(fleet);
    service_sweep(fleet);
}

static struct rpc_method *methods_of(const struct fleet *fleet, size_t *ret_count) {
    size_t count = 1 + (fleet->opt.caller ? service_method_count : 0);
    struct rpc_method *methods = mem_array(count, sizeof(*methods));
    methods[0] = (struct rpc_method){"/mssql.v1.Controller/Connect", RPC_BIDI, &mssql__v1__sidecar_message__descriptor,
                                     connect_handler};
    if (fleet->opt.caller)
        memcpy(methods + 1, service_methods, service_method_count * sizeof(*methods));
    *ret_count = count;
    return methods;
}

static int serve(struct fleet *fleet, struct err *err) {
    size_t count;
    _cleanup_free_ struct rpc_method *methods = methods_of(fleet, &count);
    struct rpc_server_options o = {
        .listen = fleet->opt.listen,
        .tls = {.cert = fleet->opt.tls.cert, .key = fleet->opt.tls.key, .ca = fleet->opt.tls.ca},
        .methods = methods,
        .method_count = count,
        .user = fleet,
        .max_connections = fleet->opt.sessions_max + OTHER_CALLS,
        .max_calls = fleet->opt.sessions_max + OTHER_CALLS,
        .max_streams = 64,
        .keepalive_s = 20,
    };
    return rpc_server_new(fleet->opt.loop, &o, &fleet->server, err);
}

int fleet_new(const struct fleet_options *options, struct fleet **ret_fleet, struct err *err) {
    struct fleet *fleet = mem_alloc(sizeof(*fleet));
    fleet->opt = *options;
    fleet->opt.heartbeat_s = options->heartbeat_s ? options->heartbeat_s : HEARTBEAT_S;
    fleet->opt.sessions_max = options->sessions_max ? options->sessions_max : SESSIONS_MAX;
    fleet->controller_id = mem_strdup(options->controller_id);
    fleet->leader = mem_strdup("");
    kube_map_init(&fleet->peers);
    ev_timer_init(&fleet->sweep, on_sweep, SWEEP_S, SWEEP_S);
    fleet->sweep.data = fleet;
    if (grant_key_new(options->grant_seed, &fleet->grants, err) < 0 || serve(fleet, err) < 0) {
        fleet_free(fleet);
        return -1;
    }
    grant_key_public(fleet->grants, fleet->grant_public);
    ev_timer_start(rpc_loop_ev(options->loop), &fleet->sweep);
    *ret_fleet = fleet;
    return 0;
}

void fleet_stop(struct fleet *fleet, unsigned grace_ms, void (*stopped)(void *user), void *user) {
    fleet->stopping = true;
    connect_end_all(fleet);
    service_end_all(fleet);
    rpc_server_stop(fleet->server, grace_ms, stopped, user);
}

void fleet_free(struct fleet *fleet) {
    if (!fleet)
        return;
    fleet->stopping = true;
    ev_timer_stop(rpc_loop_ev(fleet->opt.loop), &fleet->sweep);
    connect_end_all(fleet);
    service_end_all(fleet);
    rpc_server_free(fleet->server);
    _cleanup_free_ void **members = kube_map_values(&fleet->peers);
    for (size_t i = 0; i < fleet->peers.count; i++)
        member_free(members[i]);
    kube_map_done(&fleet->peers);
    grant_key_free(fleet->grants);
    mem_free(fleet->controller_id);
    mem_free(fleet->leader);
    mem_free(fleet);
}

unsigned fleet_port(const struct fleet *fleet, size_t n) {
    return rpc_server_port(fleet->server, n);
}

void fleet_lead(struct fleet *fleet, bool lead, const char *leader_address) {
    bool had = fleet->lead;
    mem_free(fleet->leader);
    fleet->leader = mem_strdup(leader_address);
    fleet->lead = lead;
    if (had && !lead) {
        connect_end_all(fleet);
        service_end_all(fleet);
    }
}

/* ---- sessions ---- */

static const char *text(const char *s) {
    return s ? s : "";
}

static void describe(const struct peer *p, struct fleet_session *s) {
    const Mssql__V1__Hello *h = p->hello;
    const Mssql__V1__Identity *id = h ? h->identity : NULL;
    *s = (struct fleet_session){
        .pod_uid = p->pod_uid,
        .namespace_name = p->namespace_name,
        .pod = p->pod,
        .service_account = p->service_account,
        .instance = text(id ? id->instance : NULL),
        .instance_namespace = text(id ? id->namespace_ : NULL),
        .release = text(h ? h->release : NULL),
        .sidecar_version = text(h && h->versions ? h->versions->sidecar : NULL),
        .fetch_address = text(h ? h->fetch_address : NULL),
        .fetch_certificate = text(h ? h->fetch_certificate : NULL),
        .process_id = text(h ? h->process_id : NULL),
        .connected = p->connected,
        .status_complete = p->report.complete,
        .since_at = p->since_at,
        .heard_at = p->heard_at,
    };
}

bool fleet_session(const struct fleet *fleet, const char *pod_uid, struct fleet_session *ret_session) {
    const struct member *m = fleet_member(fleet, pod_uid);
    if (m)
        describe(m->peer, ret_session);
    return m != NULL;
}

void fleet_forget(struct fleet *fleet, const char *pod_uid) {
    struct member *m = fleet_member(fleet, pod_uid);
    if (!m)
        return;
    connect_forget(m);
    service_forget(fleet, pod_uid);
    kube_map_remove(&fleet->peers, pod_uid);
    member_free(m);
}

Mssql__V1__Status *fleet_status(const struct fleet *fleet, const char *pod_uid, bool with_databases) {
    const struct member *m = fleet_member(fleet, pod_uid);
    return m ? report_status(&m->peer->report, with_databases) : NULL;
}

/* ---- policy ---- */

bool fleet_policy(const struct fleet *fleet, const char *pod_uid, struct fleet_policy *ret_policy) {
    const struct member *m = fleet_member(fleet, pod_uid);
    if (!m)
        return false;
    const Mssql__V1__PolicyApplied *a = m->peer->applied, *r = m->peer->refused;
    *ret_policy = (struct fleet_policy){
        .uid = text(a ? a->uid : NULL),
        .generation = a ? a->generation : 0,
        .source = text(a   ? a->source
                       : r ? r->source
                           : NULL),
        .refused_uid = text(r ? r->uid : NULL),
        .refused_generation = r ? r->generation : 0,
        .error_class = text(r ? r->error_class : NULL),
        .message = text(r ? r->message : NULL),
    };
    return true;
}

static struct member *need(struct fleet *fleet, const char *pod_uid, struct err *err) {
    struct member *m = fleet_member(fleet, pod_uid);
    if (!m)
        err_set(err, ERR_NOT_FOUND, "no sidecar of pod uid '%.80s' has connected yet", pod_uid);
    return m;
}

int fleet_policy_push(struct fleet *fleet, const char *pod_uid, const char *uid, int64_t generation, const char *json,
                      struct err *err) {
    struct member *m = need(fleet, pod_uid, err);
    return m ? peer_push(m->peer, uid, generation, json, err) : -1;
}

/* ---- commands ---- */

int fleet_command_give(struct fleet *fleet, const char *pod_uid, const Mssql__V1__Command *command, struct err *err) {
    struct member *m = need(fleet, pod_uid, err);
    if (!m)
        return -1;
    fleet->stats.commands += !peer_find(m->peer, command->id);
    return peer_give(m->peer, command, clock_wall(), err);
}

static void describe_command(const struct peer_command *c, struct fleet_command *ret) {
    *ret = (struct fleet_command){
        .id = c->id,
        .state = c->state,
        .progress = (const Mssql__V1__CommandProgress *const *)c->progress,
        .progress_count = c->progress_count,
        .result = c->result,
        .given_at = c->given_at,
        .acked_at = c->acked_at,
        .done_at = c->done_at,
        .moved_at = c->moved_at,
    };
}

bool fleet_command(const struct fleet *fleet, const char *pod_uid, const char *id, struct fleet_command *ret_command) {
    const struct member *m = fleet_member(fleet, pod_uid);
    const struct peer_command *c = m ? peer_find(m->peer, id) : NULL;
    if (c)
        describe_command(c, ret_command);
    return c != NULL;
}

void fleet_command_cancel(struct fleet *fleet, const char *pod_uid, const char *id) {
    struct member *m = fleet_member(fleet, pod_uid);
    if (m)
        peer_cancel(m->peer, id, clock_wall());
}

void fleet_command_ack(struct fleet *fleet, const char *pod_uid, const char *id) {
    struct member *m = fleet_member(fleet, pod_uid);
    if (m)
        peer_ack(m->peer, id);
}

/* ---- grants ---- */

int fleet_grant(struct fleet *fleet, const char *source_pod_uid, const char *target_pod_uid, const char *const *set_guids,
                size_t count, uint8_t **ret_grant, size_t *ret_len, struct err *err) {
    struct member *m = need(fleet, source_pod_uid, err);
    if (!m)
        return -1;
    if (!m->peer->connected)
        return err_set(err, ERR_STATE, "the sidecar of %s/%s is not connected", m->peer->namespace_name, m->peer->pod);
    if (!count || count > GRANT_SETS_MAX)
        return err_set(err, ERR_LIMIT, "a grant is for 1 to %d backup sets", GRANT_SETS_MAX);
    Mssql__V1__Grant g = MSSQL__V1__GRANT__INIT;
    char id[GUID_TEXT_MAX];
    struct guid random;
    guid_random(&random);
    g.id = guid_format(id, &random);
    g.source_pod_uid = m->peer->pod_uid;
    g.source_process_id = m->peer->hello->process_id;
    g.target_pod_uid = (char *)(uintptr_t)target_pod_uid;
    g.set_guids = (char **)(uintptr_t)set_guids;
    g.n_set_guids = count;
    g.from_at = clock_wall();
    g.until_at = g.from_at + GRANT_LIFE_US;
    return grant_sign(fleet->grants, &g, ret_grant, ret_len, err);
}

/* ---- figures ---- */

void fleet_get_stats(const struct fleet *fleet, struct fleet_stats *ret_stats) {
    struct rpc_server_stats server;
    _cleanup_free_ void **members = kube_map_values(&fleet->peers);
    struct fleet_stats s = fleet->stats;
    rpc_server_get_stats(fleet->server, &server);
    s.cert_not_after_at = server.cert_not_after_at;
    s.known = (unsigned)fleet->peers.count;
    for (size_t i = 0; i < fleet->peers.count; i++) {
        const struct peer *p = ((const struct member *)members[i])->peer;
        s.connected += p->connected;
        s.commands_open += p->command_count;
        s.status_bytes += p->report.view.bytes;
    }
    *ret_stats = s;
}
