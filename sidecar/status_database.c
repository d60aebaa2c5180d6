/* SPDX-License-Identifier: Apache-2.0 */
/* One database as a message. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial.h"
#include "sidecar/job/job.h"
#include "sidecar/status_int.h"
#include "sidecar/verify/damage.h"
#include "sidecar/verify/verifier.h"

Mssql__V1__ChainState status_chain_state(enum chain_state state) {
    static const Mssql__V1__ChainState states[CHAIN_STATE_COUNT] = {
        [CHAIN_INTACT] = MSSQL__V1__CHAIN_STATE__CHAIN_STATE_INTACT,
        [CHAIN_AWAITING_FIRST_FULL] = MSSQL__V1__CHAIN_STATE__CHAIN_STATE_AWAITING_FIRST_FULL,
        [CHAIN_BROKEN] = MSSQL__V1__CHAIN_STATE__CHAIN_STATE_BROKEN,
        [CHAIN_NOT_FULL_RECOVERY] = MSSQL__V1__CHAIN_STATE__CHAIN_STATE_NOT_FULL_RECOVERY,
        [CHAIN_PAUSED] = MSSQL__V1__CHAIN_STATE__CHAIN_STATE_PAUSED,
    };
    return states[state];
}

Mssql__V1__ResultState status_outcome(enum outcome outcome) {
    static const Mssql__V1__ResultState states[OUTCOME_COUNT] = {
        [OUTCOME_NONE] = MSSQL__V1__RESULT_STATE__RESULT_STATE_UNSPECIFIED,
        [OUTCOME_COMPLETED] = MSSQL__V1__RESULT_STATE__RESULT_STATE_COMPLETED,
        [OUTCOME_QUIET] = MSSQL__V1__RESULT_STATE__RESULT_STATE_QUIET,
        [OUTCOME_SKIPPED] = MSSQL__V1__RESULT_STATE__RESULT_STATE_SKIPPED,
        [OUTCOME_DEFERRED] = MSSQL__V1__RESULT_STATE__RESULT_STATE_DEFERRED,
        [OUTCOME_FAILED] = MSSQL__V1__RESULT_STATE__RESULT_STATE_FAILED,
    };
    return states[outcome];
}

static Mssql__V1__Job *job_message(const struct job *job) {
    static const Mssql__V1__JobPhase phases[JOB_PHASE_COUNT] = {
        [JOB_QUEUED] = MSSQL__V1__JOB_PHASE__JOB_PHASE_QUEUED,         [JOB_TAKING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_TAKING,
        [JOB_INSPECTING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_INSPECTING, [JOB_SHIPPING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_SHIPPING,
        [JOB_COMMITTING] = MSSQL__V1__JOB_PHASE__JOB_PHASE_COMMITTING, [JOB_DONE] = MSSQL__V1__JOB_PHASE__JOB_PHASE_DONE,
    };
    Mssql__V1__Job *m = mem_alloc(sizeof(*m));
    mssql__v1__job__init(m);
    int phase = atomic_load(&job->progress.phase);
    m->phase = phases[phase];
    m->percent = atomic_load(&job->progress.percent);
    m->started_at = job->begun_at;
    m->done_bytes = atomic_load(&job->progress.done_bytes);
    m->total_bytes = atomic_load(&job->progress.total_bytes);
    m->why = mem_strdup(job->trigger);
    /* while a worker has the job its entry is the worker's */
    bool staged = phase >= JOB_SHIPPING;
    m->run_id = mem_strdup(staged ? job->entry.run_id : "");
    m->kind = staged                  ? message_kind(job->entry.kind)
              : job->lane == LANE_LOG ? MSSQL__V1__BACKUP_KIND__BACKUP_KIND_LOG
                                      : MSSQL__V1__BACKUP_KIND__BACKUP_KIND_UNSPECIFIED;
    return m;
}

static const struct job *shown_job(const struct database *db) {
    if (db->running[LANE_DATA])
        return db->running[LANE_DATA];
    if (db->running[LANE_LOG])
        return db->running[LANE_LOG];
    return db->ship[LANE_DATA].head ? db->ship[LANE_DATA].head : db->ship[LANE_LOG].head;
}

static void protection(const struct agent *agent, const struct database *db, Mssql__V1__Database *m) {
    const char *reason = "", *message = "";
    static const char *const out[] = {
        [POLICY_IN] = "",
        [POLICY_OUT_EXCLUDED] = "excluded",
        [POLICY_OUT_NOT_LISTED] = "not_listed",
        [POLICY_OUT_SYSTEM] = "system_database",
        [POLICY_OUT_NEVER] = "never",
    };
    if (db->copy) {
        reason = "restored_copy";
        message = "a restored copy that is dropped by itself";
    } else if (db->present && restore_trial_is_scratch(db->name)) {
        reason = "trial_scratch";
        message = "the name is that of a trial restore's scratch database; rename it if it is yours";
    } else if (db->scope != POLICY_IN) {
        reason = out[db->scope];
        message = policy_scope_reason(db->scope);
    } else if (!db->present && !agent->server_known) {
        reason = "server_unreachable";
        message = "the server was not reached yet";
    } else if (!db->present) {
        reason = "gone";
        message = "the server does not have it any more; its backups stay";
    } else if (db->access_known && !(db->may_data && db->may_log)) {
        reason = "permission";
        message = "the login has no right to back it up";
    } else if (!keeper_state(agent->keeper)->configured) {
        reason = "no_store";
        message = "no store is configured";
    }
    m->protected_ = !*reason;
    m->unprotected_reason = mem_strdup(reason);
    m->unprotected_message = mem_strdup(message);
    m->skip_reason = mem_strdup(db->skip);
    m->skip_message = mem_strdup(db->skip_text ? db->skip_text : "");
}

static void chain(const struct database *db, Mssql__V1__Database *m) {
    if (!db->server_known || !db->tips_known)
        return;
    m->chain_state = status_chain_state(db->status.state);
    m->chain_since_at = db->status.since;
    m->chain_reason = mem_strdup(chain_reason_word(db->status.reason));
    m->chain_by_whom = mem_strdup(db->status.who);
    m->chain_message = mem_strdup(db->status.text);
    m->family_guid = message_guid(&db->server.family_guid);
    m->database_guid = message_guid(&db->server.database_guid);
    m->fork_guid = message_guid(&db->server.recovery_fork_guid);
}

static void trial(const struct agent *agent, const struct database *db, Mssql__V1__Database *m) {
    const struct proof *p = verifier_proof(agent, db->folder);
    m->damaged_backups = *db->folder ? damage_count_of(agent, db->folder) : 0;
    if (!p)
        return;
    Mssql__V1__Trial *t = mem_alloc(sizeof(*t));
    mssql__v1__trial__init(t);
    t->finished_at = p->finished_at;
    t->verified = p->verified;
    t->error_class = mem_strdup(p->verified ? "" : err_class_name(p->class));
    t->message = mem_strdup(p->text ? p->text : "");
    t->reached_at = p->reached_at;
    t->label = mem_strdup("local");
    t->checked = p->checked;
    t->data_mb_per_second = p->data_mb_per_s;
    t->seconds_per_log = p->seconds_per_log;
    t->total_ms = p->total_ms;
    t->trigger = mem_strdup(p->requested ? "request" : "schedule");
    t->verified_at = p->verified_at;
    t->verified_reached_at = p->verified_reached_at;
    m->last_trial = t;
}

static void moments(const struct database *db, Mssql__V1__Database *m) {
    struct chain_window w;
    database_window(db, &w);
    if (w.any) {
        m->restorable_from_at = w.from.at;
        m->restorable_until_at = w.until_at;
        m->off_volume_until_at = w.off_volume_until_at;
    }
    for (unsigned i = db->hole_count; i-- > 0;)
        STATUS_APPEND(m, holes, message_hole(&db->holes[i]));
    m->holes_total = (uint32_t)db->holes_total;
    m->last_full_at = db->committed.last_full.finish_at;
    m->last_diff_at = db->committed.last_diff.finish_at;
    m->last_log_at = db->committed.last_log.finish_at;
    m->last_log_checked_at = db->last_log_checked_at;
    m->next_full_at = db->next_at[POLICY_FULL];
    m->next_diff_at = db->next_at[POLICY_DIFF];
    m->next_log_at = db->next_at[POLICY_LOG];
    m->incarnation = db->committed.path.incarnation;
}

static Mssql__V1__LastResult *last_result(const struct database *db) {
    const struct last_result *newest = NULL;
    for (unsigned k = 0; k < BACKUP_KIND_COUNT; k++)
        if (db->last[k].outcome != OUTCOME_NONE && (!newest || db->last[k].at > newest->at))
            newest = &db->last[k];
    if (!newest)
        return NULL;
    Mssql__V1__LastResult *m = mem_alloc(sizeof(*m));
    mssql__v1__last_result__init(m);
    m->kind = message_kind(newest->kind);
    m->state = status_outcome(newest->outcome);
    m->reason = mem_strdup(newest->reason);
    m->message = mem_strdup(newest->err.text);
    m->error_class = mem_strdup(newest->err.class == ERR_NONE ? "" : err_class_name(newest->err.class));
    m->sql_error = newest->err.sql_number;
    m->finish_at = newest->at;
    return m;
}

Mssql__V1__Database *status_database(const struct agent *agent, const struct database *db) {
    static const char *const models[] = {"", "FULL", "BULK_LOGGED", "SIMPLE"};
    Mssql__V1__Database *m = mem_alloc(sizeof(*m));
    mssql__v1__database__init(m);
    m->name = mem_strdup(db->name);
    m->state = mem_strdup(db->present ? db->info.state_text : agent->server_known ? "GONE" : "UNKNOWN");
    m->recovery_model = mem_strdup(db->info.recovery >= 1 && db->info.recovery <= 3 ? models[db->info.recovery] : "");
    protection(agent, db, m);
    chain(db, m);
    moments(db, m);
    const struct job *job = shown_job(db);
    if (job)
        m->job = job_message(job);
    m->last_result = last_result(db);
    trial(agent, db, m);
    m->data_bytes = db->sizes.full_bytes;
    m->log_bytes = db->sizes.log_file_bytes;
    m->log_used_bytes = db->sizes.log_active_bytes;
    m->changed_percent = db->server.allocated_pages
                             ? 100.0 * (double)db->server.modified_pages / (double)db->server.allocated_pages
                             : -1;
    m->stored_bytes = db->stored_bytes;
    m->backups = db->sets;
    m->log_reuse_wait = mem_strdup(db->info.log_reuse_wait);
    m->created_at = db->info.created_at;
    return m;
}
