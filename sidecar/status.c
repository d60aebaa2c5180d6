/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/status.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/commit.h"
#include "sidecar/conditions.h"
#include "sidecar/holds.h"
#include "sidecar/instruments.h"
#include "sidecar/job/job.h"
#include "sidecar/pause.h"
#include "sidecar/restore/runs.h"
#include "sidecar/status_int.h"
#include "sidecar/verify/damage.h"
#include "sidecar/version.h"

#define HOLDS_SHOWN 200 /* the message stays bounded */
#define DAMAGED_SHOWN 200

static Mssql__V1__Identity *identity(const struct agent *agent) {
    Mssql__V1__Identity *m = mem_alloc(sizeof(*m));
    mssql__v1__identity__init(m);
    const struct keeper_state *k = keeper_state(agent->keeper);
    char cluster[GUID_TEXT_MAX];
    const struct guid *id = guid_is_zero(&k->lineage.cluster_id) ? &agent->identity.cluster_id : &k->lineage.cluster_id;
    m->namespace_ = mem_strdup(agent->config->identity.namespace_name);
    m->instance = mem_strdup(agent->config->identity.instance);
    m->cluster_id = mem_strdup(guid_is_zero(id) ? "" : guid_format(cluster, id));
    m->pod = mem_strdup(agent->holder);
    m->epoch = mem_printf("%llu", (unsigned long long)k->lineage.epoch);
    return m;
}

static Mssql__V1__Versions *versions(void) {
    Mssql__V1__Versions *m = mem_alloc(sizeof(*m));
    mssql__v1__versions__init(m);
    m->sidecar = mem_strdup(MSSQL_SIDECAR_VERSION);
    m->grpc_core = mem_strdup(rpc_core_version());
    m->api = mem_strdup("mssql.v1");
    m->freetds = mem_strdup(sql_client_version());
    m->commit = mem_strdup(MSSQL_SIDECAR_COMMIT);
    return m;
}

static Mssql__V1__SqlServer *sql_server(const struct agent *agent) {
    Mssql__V1__SqlServer *m = mem_alloc(sizeof(*m));
    mssql__v1__sql_server__init(m);
    const struct sql_server *s = &agent->server;
    m->reachable = agent->server_reachable;
    m->version = mem_strdup(s->version);
    m->edition = mem_strdup(s->edition);
    m->started_at = s->started_at;
    m->last_error = mem_strdup(agent->server_err.text);
    m->last_error_at = agent->server_err_at;
    m->connected_at = agent->connected_at;
    m->address = mem_printf("%s:%lld", agent->config->sql.host, (long long)agent->config->sql.port);
    m->host = mem_strdup(s->name);
    m->clock_offset_ms = s->clock.offset_us / 1000;
    m->utc_offset_seconds = s->clock.utc_offset_s;
    m->login = mem_strdup(agent->config->sql.user);
    return m;
}

static Mssql__V1__Store *store(const struct agent *agent) {
    Mssql__V1__Store *m = mem_alloc(sizeof(*m));
    mssql__v1__store__init(m);
    const struct keeper_state *k = keeper_state(agent->keeper);
    char codec[32];
    struct job_options o = scheduler_job_options(agent, NULL);
    str_format(codec, sizeof(codec), o.codec_level ? "%s:%d" : "%s", o.codec, o.codec_level);
    m->reachable = k->usable;
    m->url = mem_strdup(agent->config->store.url ? agent->config->store.url : "");
    m->off_volume = k->off_volume;
    m->off_volume_until_at = conditions_recovery_point(agent, true);
    m->last_error = mem_strdup(k->error.text);
    m->last_error_at = k->error.class == ERR_NONE ? 0 : k->error_at;
    m->codec = mem_strdup(codec);
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        const struct chain_tip *t = &db->committed;
        const int64_t at[] = {t->last_full.finish_at, t->last_diff.finish_at, t->last_log.finish_at};
        for (size_t n = 0; n < ARRAY_LEN(at); n++)
            if (at[n] > m->last_commit_at)
                m->last_commit_at = at[n];
        m->backups += db->sets;
        m->stored_bytes += db->stored_bytes;
    }
    return m;
}

static Mssql__V1__Staging *staging(const struct agent *agent) {
    Mssql__V1__Staging *m = mem_alloc(sizeof(*m));
    mssql__v1__staging__init(m);
    m->path = mem_strdup(staging_path(agent->staging));
    m->used_bytes = agent->space.used_bytes;
    m->quota_bytes = staging_quota(staging_limits_get(agent->staging), &agent->space);
    m->free_bytes = agent->space.free_bytes;
    m->total_bytes = agent->space.total_bytes;
    m->unshipped = job_unshipped(agent, &m->oldest_unshipped_at);
    m->writable = agent->staging_err.class == ERR_NONE;
    return m;
}

static Mssql__V1__Pause *status_pause(const struct pause *pause) {
    Mssql__V1__Pause *m = mem_alloc(sizeof(*m));
    mssql__v1__pause__init(m);
    m->database = mem_strdup(pause->database);
    m->reason = mem_strdup(pause->reason);
    m->by_whom = mem_strdup(pause->by);
    m->since_at = pause->since_at;
    m->until_at = pause->until_at;
    return m;
}

void status_pauses(const struct agent *agent, size_t *n, Mssql__V1__Pause ***list) {
    int64_t now = clock_wall();
    const struct pauses *all = agent->pauses;
    *list = mem_array(all->count + 1, sizeof(**list));
    for (size_t i = 0; i < all->count; i++)
        if (!all->items[i].until_at || all->items[i].until_at > now)
            (*list)[(*n)++] = status_pause(&all->items[i]);
    const struct pause *global = pause_of(agent, NULL, now);
    if (global == &all->policy)
        (*list)[(*n)++] = status_pause(global);
}

static Mssql__V1__Policy *policy(const struct agent *agent) {
    Mssql__V1__Policy *m = mem_alloc(sizeof(*m));
    mssql__v1__policy__init(m);
    const struct policy_rules *r = &agent->policy->rules;
    m->source = mem_strdup(agent->policy_source);
    m->applied_at = agent->policy_at;
    m->generation = agent->policy_generation;
    m->full_schedule = mem_strdup(r->full_enabled && r->full_schedule ? r->full_schedule : "");
    m->diff_schedule = mem_strdup(r->diff_enabled && r->diff_schedule ? r->diff_schedule : "");
    m->log_interval_seconds = r->log_enabled ? r->log_interval_ms / 1000 : 0;
    m->retention_days = (int32_t)r->retention_days;
    m->rpo_target_seconds = agent->policy->rpo_target_ms / 1000;
    status_pauses(agent, &m->n_pauses, &m->pauses);
    return m;
}

static void add_conditions(const struct agent *agent, Mssql__V1__Status *s) {
    static const Mssql__V1__ConditionStatus words[] = {
        [CONDITION_UNKNOWN] = MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_UNKNOWN,
        [CONDITION_TRUE] = MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_TRUE,
        [CONDITION_FALSE] = MSSQL__V1__CONDITION_STATUS__CONDITION_STATUS_FALSE,
    };
    const struct condition *all = conditions_of(agent);
    for (unsigned i = 0; i < CONDITION_COUNT; i++) {
        Mssql__V1__Condition *m = mem_alloc(sizeof(*m));
        mssql__v1__condition__init(m);
        m->type = mem_strdup(condition_type_name((enum condition_type)i));
        m->status = words[all[i].status];
        m->reason = mem_strdup(all[i].reason);
        m->message = mem_strdup(all[i].message);
        m->since_at = all[i].since_at;
        STATUS_APPEND(s, conditions, m);
    }
}

static void add_holds(struct agent *agent, Mssql__V1__Status *s) {
    const struct catalog *catalog = keeper_catalog(agent->keeper);
    int64_t now = clock_wall();
    for (size_t i = 0; i < agent->holds.count && s->n_holds < HOLDS_SHOWN; i++) {
        const struct known_hold *k = &agent->holds.items[i];
        const struct catalog_database *cd = catalog ? catalog_database_by_folder(catalog, k->folder) : NULL;
        if (k->hold.expires_at && k->hold.expires_at <= now)
            continue;
        Mssql__V1__Hold *m = mem_alloc(sizeof(*m));
        mssql__v1__hold__init(m);
        m->id = mem_strdup(k->hold.id);
        m->database = mem_strdup(cd ? cd->name : "");
        m->set_guid = message_guid(&k->hold.set_guid);
        m->from_at = k->hold.from_at;
        m->until_at = k->hold.until_at;
        m->reason = mem_strdup(k->hold.reason);
        m->created_at = k->hold.created_at;
        m->expires_at = k->hold.expires_at;
        STATUS_APPEND(s, holds, m);
    }
}

static void add_damaged(const struct agent *agent, Mssql__V1__Status *s) {
    for (size_t i = 0; i < agent->damage.count && i < DAMAGED_SHOWN; i++) {
        const struct damaged *d = &agent->damage.items[i];
        Mssql__V1__DamagedBackup *m = mem_alloc(sizeof(*m));
        mssql__v1__damaged_backup__init(m);
        m->database = mem_strdup(damage_database(agent, d));
        m->folder = mem_strdup(d->folder);
        m->manifest = mem_strdup(d->manifest);
        m->object = mem_strdup(d->object);
        m->problem = mem_strdup(scrub_kind_word(d->problem));
        m->message = mem_strdup(d->text);
        m->found_at = d->found_at;
        STATUS_APPEND(s, damaged, m);
    }
}

static bool fits(const char *name, char *const *patterns, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (str_glob(patterns[i], name))
            return true;
    return count == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(Mssql__V1__Database *const *)a)->name, (*(Mssql__V1__Database *const *)b)->name);
}

Mssql__V1__Status *status_build(struct agent *agent, char *const *patterns, size_t pattern_count, bool with_databases) {
    Mssql__V1__Status *s = mem_alloc(sizeof(*s));
    mssql__v1__status__init(s);
    s->identity = identity(agent);
    s->versions = versions();
    s->now_at = clock_wall();
    s->started_at = agent->started_at;
    s->sql_server = sql_server(agent);
    s->store = store(agent);
    s->staging = staging(agent);
    s->policy = policy(agent);
    add_conditions(agent, s);
    add_holds(agent, s);
    add_damaged(agent, s);
    instruments_counters(agent, s);
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        s->databases_total += db->present;
        s->databases_protected += database_wanted(db);
        bool shown = db->present || db->sets;
        if (with_databases && shown && fits(db->name, patterns, pattern_count))
            STATUS_APPEND(s, databases, status_database(agent, db));
    }
    restores_messages(agent, &s->n_restores, &s->restores);
    if (s->n_databases)
        qsort(s->databases, s->n_databases, sizeof(*s->databases), by_name);
    return s;
}

void status_free(Mssql__V1__Status *status) {
    mssql__v1__status__free_unpacked(status, NULL);
}
