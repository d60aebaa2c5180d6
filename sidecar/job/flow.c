/* SPDX-License-Identifier: Apache-2.0 */
/* What comes after what: taking a backup, and what its result means for the database. Loop thread. */
#include "sidecar/job/flow.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/errors.h"
#include "sidecar/instruments.h"
#include "sidecar/job/park.h"
#include "sidecar/request.h"

#define RETRY_US (15 * CLOCK_SECOND)
#define RETRY_MAX_US CLOCK_HOUR

void job_note_set(struct job *job) {
    struct agent *agent = job->agent;
    struct database *db = job->db;
    if (job->verdict.has_hole)
        databases_add_hole(agent, db, &job->verdict.hole);
    if (job->resumed || job->verdict.recordable)
        databases_taken(db, &job->set);
    db->heal_now = job->verdict.heal;
    if (job->set.kind == BACKUP_LOG) {
        db->memory.quiet_end_lsn = job->quiet_end_lsn;
        db->quiet_until_at = 0;
        db->last_log_checked_at = job->set.valid_until;
    }
}

/* A healing that was begun costs of the budget, whatever came of it: one that always fails must not load the server all day. */
static void count_healing(struct job *job) {
    struct database *db = job->db;
    int64_t day = clock_wall() / CLOCK_DAY;
    if (!job->decision.unplanned || !job->entry.run_id[0] || job->decision.reason == CHAIN_REASON_FIRST_FULL)
        return; /* the first full heals nothing */
    if (db->heal_day != day)
        db->heal_fulls = db->heal_diffs = 0;
    db->heal_day = day;
    if (job->entry.kind == BACKUP_FULL)
        db->heal_fulls++;
    else
        db->heal_diffs++;
}

/* The due run did not come about. Only what this job carried is due again, after a pause as long as the attempt was: a refused healing
 * must not become a scheduled full. */
static void due_again(struct job *job, int64_t now) {
    const bool carried[POLICY_KIND_COUNT] = {
        [POLICY_FULL] = job->due.full, [POLICY_DIFF] = job->due.diff, [POLICY_LOG] = job->due.log};
    int64_t pause = clock_mono_us() - job->begun_us;
    pause = pause < RETRY_US ? RETRY_US : pause > RETRY_MAX_US ? RETRY_MAX_US : pause;
    if (!job->decision.wait_until_at && !job->request)
        for (unsigned kind = 0; kind < POLICY_KIND_COUNT; kind++)
            if (carried[kind])
                due_retry(&job->db->due[kind], now + pause);
    if (!strcmp(job->trigger, "healing") && job->db->not_before_at < now + pause)
        job->db->not_before_at = now + pause;
}

/* Nothing was taken: when to ask again. */
static void plan_retry(struct job *job) {
    struct database *db = job->db;
    int64_t now = clock_wall();
    if (job->to_data_lane) {
        db->heal_now = true;
        db->not_before_at = 0;
        return;
    }
    if (job->outcome == OUTCOME_QUIET) {
        databases_skip(db, "", "");
        db->quiet_until_at = job->decision.quiet_until_at;
        db->last_log_checked_at = job->decision.quiet_until_at;
        return;
    }
    if (job->decision.wait_until_at > now)
        db->not_before_at = job->decision.wait_until_at;
    if (job->outcome == OUTCOME_SKIPPED)
        databases_skip(db, job->reason, job->err.text);
    if (sql_err_reaction(&job->err) == SQL_CHAIN) {
        db->heal_now = true;
        db->not_before_at = now + CLOCK_SECOND;
        return;
    }
    /* a skip that may pass by itself: staging that is full, a state that the server told only in the middle of it */
    bool passes = job->outcome == OUTCOME_SKIPPED && (job->err.sql_number || job->err.class == ERR_SPACE);
    if (job->outcome == OUTCOME_DEFERRED || job->outcome == OUTCOME_FAILED || passes)
        due_again(job, now);
}

static void lane_free(struct job *job) {
    struct database *db = job->db;
    if (db->running[job->lane] == job) {
        db->running[job->lane] = NULL;
        if (job->lane == LANE_DATA)
            job->agent->data_running--;
    }
}

static void on_taken(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    struct agent *agent = job->agent;
    struct database *db = job->db;
    lane_free(job);
    db->compression_refused |= job->compression_refused;
    if (job->decision.has_hole)
        databases_add_hole(agent, db, &job->decision.hole);
    bool fresh = job->looked && databases_looked(agent, db, &job->server_state, &job->sizes, job->begun_us);
    if (fresh)
        databases_judge(agent, db, job->foreign, job->foreign_count); /* as it was before: who broke what this backup heals */
    count_healing(job);
    if (job->taken) {
        job_note_set(job);
        databases_judge(agent, db, NULL, 0);
    }
    if (job->err.class == ERR_CONNECT)
        discover_soon(agent);
    if (job->ambiguous) {
        db->recovering[job->lane]++;
        job->asked_us = clock_mono_us();
        job_resume_later(job);
        return;
    }
    if (job->taken) {
        databases_skip(db, "", "");
        job_enqueue(job);
        return;
    }
    plan_retry(job);
    if (job->to_data_lane && job->request && !agent->draining) {
        request_item_moved(job->request, &job->decision); /* served there at the next tick */
        job->request = NULL;
    }
    job_finish(job);
}

static void take_work(struct pool_item *item) {
    job_take(container_of(item, struct job, item));
}

bool job_start(struct job *job) {
    struct agent *agent = job->agent;
    job->item = (struct pool_item){.work = take_work, .done = on_taken};
    if (!pool_submit(job->lane == LANE_LOG ? agent->log : agent->data, &job->item)) {
        job_free(job);
        return false;
    }
    job->db->running[job->lane] = job;
    if (job->lane == LANE_DATA)
        agent->data_running++;
    return true;
}

/* ---- questions ---- */

unsigned job_unshipped(const struct agent *agent, int64_t *ret_oldest_at) {
    unsigned n = 0;
    int64_t oldest = 0;
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
            const struct ship_queue *q = &agent->databases[i]->ship[lane];
            n += park_count(q);
            if (q->head && (!oldest || q->head->entry.planned_at < oldest))
                oldest = q->head->entry.planned_at;
        }
    for (struct job *job = agent->resuming; job; job = job->next) {
        n++;
        if (!oldest || job->entry.planned_at < oldest)
            oldest = job->entry.planned_at;
    }
    if (ret_oldest_at)
        *ret_oldest_at = oldest;
    return n;
}

bool job_any_running(const struct agent *agent) {
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (db->running[LANE_DATA] || db->running[LANE_LOG] || db->ship[LANE_DATA].head || db->ship[LANE_LOG].head ||
            db->recovering[LANE_DATA] || db->recovering[LANE_LOG])
            return true;
    }
    return agent->requests != NULL;
}
