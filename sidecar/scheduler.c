/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is due, and beginning it. One tick looks at every database; it comes at the time of the next due run, at the latest after
 * five seconds, and whenever something changed.
 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial.h"
#include "sidecar/agent.h"
#include "sidecar/conditions.h"
#include "sidecar/instruments.h"
#include "sidecar/job/job.h"
#include "sidecar/past.h"
#include "sidecar/pause.h"
#include "sidecar/request.h"
#include "sidecar/restore/runs.h"
#include "sidecar/verify/scrubber.h"
#include "sidecar/verify/verifier.h"
#include "sidecar/volume.h"

#define TICK_MAX_US (5 * CLOCK_SECOND)
#define TICK_BUSY_US (CLOCK_SECOND / 2) /* while somebody watches progress */

struct job_options scheduler_job_options(const struct agent *agent, const struct database *db) {
    const struct policy_rules *r = db && db->rules ? db->rules : &agent->policy->rules;
    struct job_options o = {
        .checksum = r->checksum,
        .stripes = (unsigned)r->stripes,
        .max_transfer_bytes = (uint32_t)r->max_transfer_bytes,
        .buffer_count = (uint32_t)r->buffer_count,
        .codec_level = (int)r->codec_level,
        .record_bytes = pipe_record_bytes(2 * (unsigned)agent->config->limits.store_workers),
        .progress_timeout_ms = agent->config->sql.progress_timeout_ms,
        .dry_run = agent->policy->dry_run,
    };
    str_copy(o.codec, sizeof(o.codec), policy_codec_name(policy_codec_of(r)));
    if (!strcmp(o.codec, "none"))
        o.codec_level = 0; /* it has none, and says so */
    o.compression = r->server_compression == POLICY_SERVER_ON ? SQL_COMPRESSION_ON : SQL_COMPRESSION_OFF;
    /* a staging that runs full: the same log would only grow uncompressed */
    if (r->server_compression == POLICY_SERVER_AUTO && agent->space.total_bytes &&
        agent->space.used_bytes > staging_quota(staging_limits_get(agent->staging), &agent->space) / 2)
        o.compression = SQL_COMPRESSION_ON;
    if (db && db->compression_refused)
        o.compression = SQL_COMPRESSION_OFF;
    return o;
}

static struct chain_rules rules_for(struct agent *agent, const struct database *db, int64_t now) {
    const struct policy *p = agent->policy;
    int64_t day = now / CLOCK_DAY;
    unsigned fulls = db->heal_day == day ? db->heal_fulls : 0, diffs = db->heal_day == day ? db->heal_diffs : 0;
    unsigned budget = (unsigned)p->heal_fulls_per_day;
    struct chain_rules r = {
        .heal = p->healing == POLICY_HEAL_AUTO,
        .diffs = true, /* a differential heals, also where none is scheduled */
        .window_open = policy_heal_allowed(p, now),
        .fulls_left = fulls < budget ? budget - fulls : 0,
        .diffs_left = diffs < 4 * budget ? 4 * budget - diffs : 0,
        .budget_at = (day + 1) * CLOCK_DAY,
        .max_quiet_us = db->rules->max_quiet_ms * 1000,
        .log_limit_bytes = (uint64_t)db->rules->log_size_bytes,
        .data_running = db->running[LANE_DATA] || db->recovering[LANE_DATA],
    };
    if (!r.window_open)
        r.window_at = now + CLOCK_MINUTE;
    return r;
}

/* Polls the schedule of one database; due kinds, and the time of the next one. */
static void poll(struct agent *agent, struct database *db, int64_t now, struct chain_due *due, int64_t *next_at) {
    bool *flags[POLICY_KIND_COUNT] = {[POLICY_FULL] = &due->full, [POLICY_DIFF] = &due->diff, [POLICY_LOG] = &due->log};
    for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++) {
        struct due_rule rule;
        struct due_answer answer;
        policy_due_rule(db->rules, (enum policy_kind)kind, agent->config->identity.instance, db->name, &rule);
        if (kind == POLICY_LOG && (db->info.recovery == SQL_RECOVERY_SIMPLE || str_ieq(db->name, "master")))
            rule.enabled = false; /* SQL Server has no log backup of them */
        due_poll(&rule, &db->due[kind], now, &answer);
        *flags[kind] = answer.due;
        db->next_at[kind] = answer.next_at;
        if (!answer.due && answer.next_at && answer.next_at < *next_at)
            *next_at = answer.next_at;
    }
}

static void ran(struct database *db, enum lane lane, const struct chain_due *due, int64_t now) {
    if (due->copy_only) /* beside the schedule */
        return;
    if (lane == LANE_LOG) {
        due_ran(&db->due[POLICY_LOG], now);
        return;
    }
    if (due->full)
        due_ran(&db->due[POLICY_FULL], now);
    if (due->diff || due->full)
        due_ran(&db->due[POLICY_DIFF], now);
}

static bool begin(struct agent *agent, struct database *db, enum lane lane, const struct chain_due *due, const char *trigger,
                  struct request_item *item, int64_t now) {
    struct job *job = job_new(agent, db, lane, trigger);
    job->info = db->info;
    job->server = agent->server;
    job->tip = db->taken;
    job->memory = db->memory;
    job->memory.paused = false; /* asked by look_at(), now; a pause stops the schedule, not a person */
    job->due = *due;
    job->rules = rules_for(agent, db, now);
    job->open_hole = past_open_hole(db);
    job->options = scheduler_job_options(agent, db);
    job->limits = *staging_limits_get(agent->staging);
    job->compression_refused = db->compression_refused;
    job->foreign_id = agent->foreign_id;
    if (!job_start(job))
        return false;
    if (item)
        request_item_started(item, job);
    ran(db, lane, due, now);
    return true;
}

/* May a lane of this database begin something? A job compares the server with the tip that it was given: no backup of the other
 * lane may end in between. So a data backup begins between two log backups, and logs wait while a data backup decides; once its
 * statement runs they go on beside it. */
static bool lane_open(const struct agent *agent, const struct database *db, enum lane lane) {
    if (db->running[lane] || db->recovering[LANE_LOG] || agent->orphans_unasked || !db->tips_known)
        return false;
    if (lane == LANE_LOG)
        return !db->running[LANE_DATA] || atomic_load(&db->running[LANE_DATA]->progress.phase) >= JOB_TAKING;
    /* not more than there are workers: one that waits for a worker would hold up the database's logs */
    unsigned most = (unsigned)agent->policy->max_concurrent < agent->data_workers ? (unsigned)agent->policy->max_concurrent
                                                                                  : agent->data_workers;
    return !db->recovering[LANE_DATA] && !db->running[LANE_LOG] && agent->data_running < most;
}

static bool serve_request(struct agent *agent, struct database *db, enum lane lane, int64_t now) {
    struct request_item *item = request_waiting(agent, db, lane);
    if (!item)
        return false;
    struct chain_due due = {.copy_only = item->copy_only, .force = item->force};
    if (item->any_kind)
        due.log = db->info.recovery != SQL_RECOVERY_SIMPLE, due.diff = !due.log;
    else
        due.full = item->kind == BACKUP_FULL, due.diff = item->kind == BACKUP_DIFF, due.log = item->kind == BACKUP_LOG;
    return begin(agent, db, lane, &due, item->request->trigger, item, now);
}

static const char *why_not(const struct agent *agent, const struct database *db) {
    if (db->restoring)
        return "being_restored";
    if (!agent->server_reachable)
        return "server_unreachable";
    if (agent->staging_err.class != ERR_NONE)
        return "staging_unusable";
    if (db->info.state != SQL_DB_ONLINE || db->info.standby || db->info.in_group || db->info.snapshot) {
        const char *word = sql_database_skip(&db->info, BACKUP_FULL);
        return word ? word : "not_online";
    }
    if (db->access_known && !db->may_data)
        return "permission";
    return NULL;
}

/* What somebody asked for and what cannot be begun ends with the reason, it does not wait for better times. */
static void refuse_requests(struct agent *agent, struct database *db, enum outcome outcome, const char *reason,
                            const char *text) {
    struct request_item *item;
    for (enum lane lane = 0; agent->requests && lane < LANE_COUNT; lane++)
        while ((item = request_waiting(agent, db, lane)))
            job_refuse(agent, db, item, lane, outcome, reason, text);
}

/* While stopping, only the last logs are begun. */
static void refuse_late(struct agent *agent, struct database *db) {
    struct request_item *item;
    for (enum lane lane = 0; agent->requests && lane < LANE_COUNT; lane++)
        while ((item = request_waiting(agent, db, lane)) && (lane == LANE_DATA || strcmp(item->request->trigger, "shutdown")))
            job_refuse(agent, db, item, lane, OUTCOME_DEFERRED, "stopping", "the sidecar is stopping");
}

static const char *why_not_ever(const struct agent *agent, const struct database *db) {
    if (!db->present)
        return "gone";
    if (restore_trial_is_scratch(db->name))
        return "trial_scratch";
    if (!keeper_state(agent->keeper)->configured)
        return "no_store";
    if (!db->tips_known)
        return "catalog_rebuilding";
    return NULL;
}

static bool log_too_large(const struct database *db) {
    return db->rules->log_size_bytes && db->sizes.log_bytes > (uint64_t)db->rules->log_size_bytes &&
           db->info.recovery != SQL_RECOVERY_SIMPLE;
}

static bool serve_requests(struct agent *agent, struct database *db, int64_t now) {
    for (enum lane lane = 0; lane < LANE_COUNT; lane++)
        if (lane_open(agent, db, lane) && serve_request(agent, db, lane, now))
            return true;
    return false;
}

/* Something is due that cannot be begun: one skip per due run is counted, not one per tick. */
static void skip_due(struct agent *agent, struct database *db, const struct chain_due *due, const char *reason, int64_t now) {
    const bool flags[POLICY_KIND_COUNT] = {[POLICY_FULL] = due->full, [POLICY_DIFF] = due->diff, [POLICY_LOG] = due->log};
    databases_skip(db, reason, "");
    if (due->full || due->diff || due->log)
        instruments_skipped(agent, db, reason);
    for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++)
        if (flags[kind])
            due_retry(&db->due[kind], now + CLOCK_MINUTE);
}

static bool stands_still(struct agent *agent, struct database *db, int64_t now) {
    bool paused = pause_of(agent, db->name, now) != NULL;
    if (db->was_paused && !paused)
        for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++)
            due_resumed(&db->due[kind], now);
    db->was_paused = paused;
    return paused || agent->draining;
}

/* Before the first full there is no log to take, and the full is under way or waits for its lane: the log stays due. A job for it
 * would only find that out, with a tip that is old by the time a worker is free. */
static bool full_comes_first(const struct database *db, const struct chain_due *due, bool healing_waits) {
    return db->status.state == CHAIN_AWAITING_FIRST_FULL &&
           (db->running[LANE_DATA] || due->full || due->diff || (db->heal_now && !healing_waits));
}

static void begin_due(struct agent *agent, struct database *db, const struct chain_due *due, int64_t now) {
    bool waiting = db->not_before_at > now && db->not_before_at < now + CLOCK_DAY;
    if ((due->full || due->diff) && lane_open(agent, db, LANE_DATA)) {
        struct chain_due data = {.full = due->full, .diff = due->diff};
        begin(agent, db, LANE_DATA, &data, "schedule", NULL, now);
        return;
    }
    /* a chain that is broken heals on the data lane: what it needs is a full or a differential */
    if (db->heal_now && !waiting && lane_open(agent, db, LANE_DATA)) {
        struct chain_due none = {0};
        db->heal_now = false;
        begin(agent, db, LANE_DATA, &none, "healing", NULL, now);
        return;
    }
    if ((due->log || log_too_large(db)) && lane_open(agent, db, LANE_LOG) && !full_comes_first(db, due, waiting)) {
        struct chain_due log = {.log = true};
        begin(agent, db, LANE_LOG, &log, due->log ? "schedule" : "size", NULL, now);
        db->sizes.log_bytes = 0;
    }
}

static void look_at(struct agent *agent, struct database *db, int64_t now, int64_t *next_at) {
    struct chain_due due = {0};
    if (!db->tips_known && db->present) { /* also of a database that is closed and was never looked at */
        databases_load_tips(agent, db);
        databases_judge(agent, db, NULL, 0);
    }
    const char *never = why_not_ever(agent, db), *reason = never ? never : why_not(agent, db);
    if (reason)
        refuse_requests(agent, db, never && db->tips_known ? OUTCOME_SKIPPED : OUTCOME_DEFERRED, reason,
                        "the backup cannot be begun now");
    if (agent->draining)
        refuse_late(agent, db);
    if (!database_wanted(db)) {
        memset(db->next_at, 0, sizeof(db->next_at));
        if (!reason)
            serve_requests(agent, db, now);
        return;
    }
    poll(agent, db, now, &due, next_at);
    reason = why_not(agent, db);
    if (reason)
        skip_due(agent, db, &due, reason, now);
    else if (!serve_requests(agent, db, now) && !stands_still(agent, db, now))
        begin_due(agent, db, &due, now);
}

/* Before what an earlier life began is known, nothing new begins; and that waits for staging. */
static void refuse_early(struct agent *agent) {
    for (size_t i = 0; agent->requests && agent->staging_err.class != ERR_NONE && i < agent->database_count; i++)
        refuse_requests(agent, agent->databases[i], OUTCOME_DEFERRED, "staging_unusable", agent->staging_err.text);
}

/* Data backups are what not all can have at once. */
static void look_at_all(struct agent *agent, int64_t now, int64_t *next_at) {
    struct rota turn = agent->rota; /* of this round: who is served changes the next one */
    for (size_t k = 0; agent->recovery_begun && k < agent->database_count; k++) {
        size_t i = rota_at(&turn, k, agent->database_count);
        struct database *db = agent->databases[i];
        const struct job *before = db->running[LANE_DATA];
        look_at(agent, db, now, next_at);
        if (db->running[LANE_DATA] && db->running[LANE_DATA] != before)
            rota_served(&agent->rota, i, agent->database_count);
    }
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events) {
    (void)events;
    struct agent *agent = w->data;
    int64_t now = clock_wall(), next_at = now + TICK_MAX_US;
    if (agent->opened)
        volume_tick(agent, now, &next_at);
    if (agent->recovery_begun)
        job_recover_tick(agent);
    else
        refuse_early(agent);
    request_tick(agent);
    restores_tick(agent, now);
    if ((agent->requests || restores_busy(agent)) && next_at > now + TICK_BUSY_US)
        next_at = now + TICK_BUSY_US;
    look_at_all(agent, now, &next_at);
    job_ship_pending(agent);
    scrubber_tick(agent, now, &next_at);
    verifier_tick(agent, now, &next_at);
    if (verifier_busy(agent) && next_at > now + TICK_BUSY_US)
        next_at = now + TICK_BUSY_US;
    conditions_update(agent);
    agent_drain_tick(agent);
    double wait = (double)(next_at - clock_wall()) / 1e6;
    ev_timer_stop(loop, w);
    ev_timer_set(w, wait > 0.01 ? wait : 0.01, 0.);
    ev_timer_start(loop, w);
}

void scheduler_start(struct agent *agent) {
    ev_timer_init(&agent->tick, on_tick, 0.1, 0.);
    agent->tick.data = agent;
    ev_timer_start(agent->loop, &agent->tick);
}

void scheduler_wake(struct agent *agent) {
    if (!ev_is_active(&agent->tick))
        return;
    ev_timer_stop(agent->loop, &agent->tick);
    ev_timer_set(&agent->tick, 0., 0.);
    ev_timer_start(agent->loop, &agent->tick);
}

void scheduler_stop(struct agent *agent) {
    ev_timer_stop(agent->loop, &agent->tick);
}
