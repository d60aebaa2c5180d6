/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/agent.h"

#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/conditions.h"
#include "sidecar/holds.h"
#include "sidecar/instruments.h"
#include "sidecar/job/job.h"
#include "sidecar/past.h"
#include "sidecar/pause.h"
#include "sidecar/request.h"
#include "sidecar/restore/runs.h"
#include "sidecar/verify/damage.h"
#include "sidecar/uplink/uplink.h"
#include "sidecar/verify/scrubber.h"
#include "sidecar/verify/verifier.h"
#include "sidecar/volume.h"

#define LOG_SHARE_PERCENT 25

static void wake_loop(void *user) {
    struct agent *agent = user;
    ev_async_send(agent->loop, &agent->wake);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    struct agent *agent = w->data;
    pool_collect(agent->control);
    pool_collect(agent->serve);
    pool_collect(agent->log);
    pool_collect(agent->data);
    pool_collect(agent->ship_log);
    pool_collect(agent->ship_data);
}

/* What the store has is known also while the server is away, or does not have it any more. */
static void add_from_catalog(struct agent *agent) {
    const struct catalog *catalog = keeper_catalog(agent->keeper);
    for (uint32_t id = 0; catalog && id < catalog_database_count(catalog); id++)
        databases_find_or_add(agent, catalog_database_at(catalog, id)->name);
}

static void store_ready(void *user, bool catalog_is_new) {
    struct agent *agent = user;
    bool unknown = false;
    agent->store_asked = true;
    add_from_catalog(agent);
    for (size_t i = 0; i < agent->database_count; i++)
        unknown |= !agent->databases[i]->tips_known;
    damage_mark(agent); /* before the tips are made of it */
    if (catalog_is_new || unknown)
        databases_load_all_tips(agent);
    databases_forget_gone(agent);
    past_ask(agent);
    holds_load(agent);
    job_ship_pending(agent);
    scheduler_wake(agent);
}

static void store_lost(void *user, const struct err *err) {
    struct agent *agent = user;
    (void)err;
    agent->store_asked = true;
    conditions_update(user);
}

static struct staging_limits limits_of(const struct sidecar_config *c, const struct policy *p) {
    return (struct staging_limits){
        .quota_bytes = (uint64_t)(p->staging_quota_bytes ? p->staging_quota_bytes : c->staging.quota_bytes),
        .floor_bytes = (uint64_t)c->staging.floor_bytes,
        .reserve_bytes = (uint64_t)c->staging.reserve_bytes,
        .log_share_percent = LOG_SHARE_PERCENT,
    };
}

static void name_self(struct agent *agent) {
    const char *pod = getenv("POD_NAME");
    char host[128] = "";
    if (!pod || !*pod)
        gethostname(host, sizeof(host) - 1);
    str_copy(agent->holder, sizeof(agent->holder), pod && *pod ? pod : host);
    char owner[9];
    str_hex(owner, agent->identity.owner.bytes, 4);
    str_format(agent->name_prefix, sizeof(agent->name_prefix), "mssql-sidecar/%s/", owner);
}

static int open_state(struct agent *agent, struct err *err) {
    const struct sidecar_config *c = agent->config;
    unsigned damaged = 0;
    if (file_mkdirs(c->paths.state, 0750, err) < 0)
        return err_context(err, "state directory");
    if (identity_load(c->paths.state, c->identity.cluster, &agent->identity, err) < 0)
        return -1;
    name_self(agent);
    if (journal_open(c->paths.state, (unsigned)c->limits.journal_entries, &agent->journal, &damaged, err) < 0)
        return -1;
    if (damaged) {
        char n[16];
        str_format(n, sizeof(n), "%u", damaged);
        log_event(LOG_ERROR, "damaged journal entries: what they staged is looked for by name", "count", n, NULL);
    }
    return 0;
}

static int open_store(struct agent *agent, struct err *err) {
    const struct sidecar_config *c = agent->config;
    struct keeper_options options = {
        .url = c->store.path,
        .prefix = c->store.prefix,
        .scope = agent->scope,
        .kube_namespace = c->identity.namespace_name,
        .instance = c->identity.instance,
        .holder = agent->holder,
        .state_dir = c->paths.state,
        .data_path = c->paths.data_volume ? c->paths.data_volume : c->paths.staging,
        .identity = agent->identity,
        .adopt = c->store.adopt,
        .retry_min_ms = c->limits.retry_min_ms,
        .retry_max_ms = c->limits.retry_max_ms,
    };
    struct keeper_events events = {.ready = store_ready, .lost = store_lost, .user = agent};
    return keeper_new(agent->loop, &options, &events, &agent->keeper, err);
}

static void open_sessions(struct agent *agent) {
    const struct sidecar_sql_config *s = &agent->config->sql;
    static const enum sql_encryption encryption[] = {
        [SIDECAR_ENCRYPT_OFF] = SQL_ENCRYPTION_OFF,
        [SIDECAR_ENCRYPT_REQUEST] = SQL_ENCRYPTION_REQUEST,
        [SIDECAR_ENCRYPT_REQUIRE] = SQL_ENCRYPTION_REQUIRE,
    };
    struct sessions_options options = {
        .host = s->host,
        .port = (uint16_t)s->port,
        .user = s->user,
        .password = s->password,
        .admin_user = s->admin_user,
        .admin_password = s->admin_password,
        .encryption = encryption[s->encryption],
        .ca_file = s->ca_file,
        .check_hostname = s->check_hostname && s->ca_file, /* without a CA there is nothing to check it against */
        .login_timeout_s = (unsigned)((s->login_timeout_ms + 999) / 1000),
        .idle_max = 4,
    };
    agent->sessions = sessions_new(&options);
}

static void start_pools(struct agent *agent) {
    unsigned workers = (unsigned)agent->config->limits.sql_workers, queue = (unsigned)agent->config->limits.queue;
    unsigned shippers = (unsigned)agent->config->limits.store_workers;
    agent->control = pool_new("control", 1, 16, wake_loop, agent);
    agent->serve = pool_new("serve", 2, 16, wake_loop, agent);
    agent->log = pool_new("log", workers, queue, wake_loop, agent);
    agent->data_workers = (unsigned)agent->policy->max_concurrent;
    agent->data = pool_new("data", agent->data_workers, queue, wake_loop, agent);
    agent->ship_log = pool_new("ship-log", shippers, queue, wake_loop, agent);
    agent->ship_data = pool_new("ship-data", shippers, queue, wake_loop, agent);
}

static void close_all(struct agent *agent) {
    keeper_free(agent->keeper);
    sessions_free(agent->sessions);
    if (agent->sql_ready)
        sql_global_done();
    journal_close(agent->journal);
    agent->keeper = NULL;
    agent->sessions = NULL;
    agent->sql_ready = false;
    agent->journal = NULL;
}

static void take_policy(struct agent *agent, const struct policy *policy, const char *source, int64_t generation) {
    if (agent->policy != policy)
        agent->policy_at = clock_wall();
    agent->policy = policy;
    agent->policy_source = source;
    agent->policy_generation = generation;
    struct staging_limits limits = limits_of(agent->live, policy);
    staging_limits_set(agent->staging, &limits);
}

/* What the controller pushed before goes on to hold, whether it can be reached or not. */
static void open_uplink(struct agent *agent) {
    int64_t generation;
    uplink_open(agent->uplink);
    const struct policy *pushed = uplink_policy(agent->uplink, &generation);
    if (pushed)
        take_policy(agent, pushed, "controller", generation);
}

/* Everything that needs the state directory. */
static int open_all(struct agent *agent, struct err *err) {
    int rc = open_state(agent, err);
    if (rc == 0)
        rc = pauses_load(agent, err);
    if (rc == 0) {
        rc = sql_global_init(agent->config->paths.state, err);
        agent->sql_ready = rc == 0;
    }
    if (rc == 0)
        rc = open_store(agent, err);
    if (rc < 0) {
        close_all(agent);
        return -1;
    }
    open_sessions(agent);
    agent->opened = true;
    err_clear(&agent->state_err);
    open_uplink(agent);
    restores_open(agent);
    damage_open(agent);
    scrubber_open(agent);
    verifier_open(agent);
    discover_start(agent);
    return 0;
}

/* What does not pass by itself, and what nobody repairs while the program runs. */
static bool ends_the_program(enum err_class class) {
    return class == ERR_CONFIG || class == ERR_USAGE || class == ERR_CONFLICT || class == ERR_CORRUPT || class == ERR_INTERNAL;
}

static void open_later(struct agent *agent, const struct err *err) {
    const struct sidecar_config *c = agent->config;
    bool told = agent->state_err.class == err->class;
    agent->state_err = *err;
    err_hint(&agent->state_err,
             "Nothing is backed up until it can be used: it must be a directory of uid %u on a volume that is mounted "
             "writable and has room",
             geteuid());
    if (!told)
        log_error(LOG_ERROR, &agent->state_err,
                  "the state directory cannot be used, so nothing is backed up; tried again until it can", "path", c->paths.state,
                  NULL);
    agent->open_pause_ms = !agent->open_pause_ms ? c->limits.retry_min_ms : 2 * agent->open_pause_ms;
    if (agent->open_pause_ms > c->limits.retry_max_ms)
        agent->open_pause_ms = c->limits.retry_max_ms;
    ev_timer_stop(agent->loop, &agent->open_timer);
    ev_timer_set(&agent->open_timer, (double)agent->open_pause_ms / 1000.0, 0.);
    ev_timer_start(agent->loop, &agent->open_timer);
    conditions_update(agent);
}

static void on_open(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    struct agent *agent = w->data;
    struct err err;
    if (agent->draining)
        return;
    if (open_all(agent, &err) < 0) {
        open_later(agent, &err);
        return;
    }
    log_event(LOG_INFO, "the state directory can be used", "path", agent->config->paths.state, NULL);
    conditions_update(agent);
    scheduler_wake(agent);
}

int agent_new(struct ev_loop *loop, const struct sidecar_config *config, struct agent **ret_agent, struct err *err) {
    struct agent *agent = mem_alloc(sizeof(*agent));
    agent->loop = loop;
    agent->config = agent->live = config;
    agent->policy = &config->policy;
    agent->policy_source = config->policy_given ? "file" : "default";
    agent->started_at = agent->policy_at = clock_wall();
    agent->started_us = clock_mono_us();
    agent->conditions = mem_array(CONDITION_COUNT, sizeof(struct condition));
    agent->instruments = instruments_new(agent);
    if (config->controller.address)
        agent->uplink = uplink_new(agent);
    ev_async_init(&agent->wake, on_wake);
    agent->wake.data = agent;
    ev_async_start(loop, &agent->wake);
    ev_init(&agent->open_timer, on_open);
    agent->open_timer.data = agent;
    agent->pauses = mem_alloc(sizeof(*agent->pauses));
    struct staging_limits limits = limits_of(config, agent->policy);
    agent->staging = staging_new(config->paths.staging, &limits);
    start_pools(agent);
    scrubber_start(agent);
    verifier_start(agent);
    int rc = name_scope(agent->scope, config->identity.namespace_name, config->identity.instance, err);
    if (rc == 0 && open_all(agent, err) < 0) {
        rc = ends_the_program(err->class) ? -1 : 0;
        if (rc == 0)
            open_later(agent, err);
    }
    if (rc < 0) {
        agent_free(agent);
        return -1;
    }
    volume_start(agent);
    conditions_update(agent);
    scheduler_start(agent);
    *ret_agent = agent;
    return 0;
}

static void cancel_all(struct agent *agent) {
    for (size_t i = 0; i < agent->database_count; i++) {
        struct database *db = agent->databases[i];
        for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
            if (db->running[lane])
                atomic_store(&db->running[lane]->cancel, true);
            for (struct job *job = db->ship[lane].head; job; job = job->next)
                atomic_store(&job->cancel, true);
        }
        if (db->resuming)
            atomic_store(&db->resuming->cancel, true);
    }
}

void agent_free(struct agent *agent) {
    if (!agent)
        return;
    agent->draining = true;
    atomic_store(&agent->stopping, true);
    scheduler_stop(agent);
    discover_stop(agent);
    ev_timer_stop(agent->loop, &agent->open_timer);
    cancel_all(agent);
    verifier_stop(agent);
    restores_stop(agent);
    pool_free(agent->data);
    pool_free(agent->log);
    pool_free(agent->control);
    pool_free(agent->serve);
    pool_free(agent->ship_data);
    pool_free(agent->ship_log);
    scrubber_stop(agent);
    volume_stop(agent);
    scheduler_stop(agent);
    discover_stop(agent);
    ev_async_stop(agent->loop, &agent->wake);
    agent_drain_forget(agent, NULL);
    requests_free(agent);
    restores_free(agent);
    databases_free(agent);
    past_free(agent);
    holds_free(agent);
    damage_free(agent);
    close_all(agent);
    staging_free(agent->staging);
    uplink_free(agent->uplink);
    mem_free(agent->recover_known);
    instruments_free(agent->instruments);
    pauses_free(agent);
    mem_free(agent->conditions);
    mem_free(agent);
}

void agent_set_policy(struct agent *agent, const struct policy *policy, const char *source, int64_t generation) {
    take_policy(agent, policy, source, generation);
    databases_apply_policy(agent);
    scheduler_wake(agent);
    discover_soon(agent);
}

void agent_reload(struct agent *agent, const struct sidecar_config *fresh) {
    agent->live = fresh;
    log_setup(fresh->log.level, fresh->log.format, "mssql-sidecar");
    if (agent->opened)
        sessions_set_passwords(agent->sessions, fresh->sql.password, fresh->sql.admin_password);
    int64_t generation;
    const struct policy *pushed = uplink_policy(agent->uplink, &generation);
    if (pushed)
        agent_set_policy(agent, pushed, "controller", generation); /* limits of the file count all the same */
    else
        agent_set_policy(agent, &fresh->policy, fresh->policy_given ? "file" : "default", 0);
}
