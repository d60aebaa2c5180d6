/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/instruments.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/conditions.h"
#include "sidecar/job/job.h"
#include "sidecar/pause.h"
#include "sidecar/restore/runs.h"
#include "sidecar/uplink/uplink.h"
#include "sidecar/verify/damage.h"
#include "sidecar/verify/scrubber.h"
#include "sidecar/verify/verifier.h"
#include "sidecar/version.h"

#define P "mssql_sidecar_"

struct instruments {
    struct metrics *reg;
    struct agent *agent;
    /* events */
    struct metric *backups, *duration, *phase, *bytes, *holes, *ship_errors, *ship_bytes, *rpc, *reloads, *skips, *restores,
        *restore_seconds, *restore_bytes, *restored_databases;
    /* state, set when somebody looks */
    struct metric *up, *info, *condition, *databases, *chain_state, *chain_broken_since, *from, *until, *off_volume,
        *last_success, *log_age, *next, *staged, *staging_quota, *staging_free, *staging_aside, *unshipped, *oldest_unshipped,
        *journal_used, *store_up, *store_bytes, *store_sets, *server_log_used, *paused, *clock_offset, *running, *progress,
        *rpo_target, *restores_running, *restored_copies, *scrub_pass, *scrub_sets, *scrub_bytes, *scrub_findings, *damaged,
        *linked, *sessions, *session_failures, *commands_open, *commands, *media_differs, *trials, *trial_at, *trial_verified,
        *trial_reached, *trial_speed, *trial_log_seconds;
};

static void make_events(struct instruments *m) {
    m->backups = metrics_counter(m->reg, P "backups_total", "Finished backup runs by kind and result.", "database", "kind",
                                 "result", "reason");
    m->duration = metrics_histogram(m->reg, P "backup_duration_seconds", "From the start of a backup to its commit in the store.",
                                    metric_buckets_seconds, "kind");
    m->phase = metrics_histogram(m->reg, P "backup_phase_seconds", "Time spent in each phase of a committed backup.",
                                 metric_buckets_seconds, "kind", "phase");
    m->bytes = metrics_counter(m->reg, P "backup_bytes_total",
                               "Bytes of committed backups: raw as SQL Server wrote them, stored as the store holds them.",
                               "kind", "stage");
    m->holes = metrics_counter(m->reg, P "chain_gaps_total", "Holes in log chains by cause.", "database", "cause");
    m->ship_errors = metrics_counter(m->reg, P "ship_errors_total", "Failed attempts to bring a staged backup into the store.",
                                     "class");
    m->ship_bytes = metrics_counter(m->reg, P "ship_bytes_total", "Bytes written to the store.", NULL);
    m->rpc = metrics_counter(m->reg, P "grpc_requests_total", "gRPC calls by method and result.", "method", "class");
    m->reloads = metrics_counter(m->reg, P "config_reloads_total", "Reloads of the configuration.", "result");
    m->skips = metrics_counter(m->reg, P "schedule_skips_total", "Due backups that were not begun, by reason.", "database",
                               "reason");
}

static void make_restore_events(struct instruments *m) {
    m->restores = metrics_counter(m->reg, P "restores_total", "Finished restores by result and class of error.", "result",
                                  "class");
    m->restored_databases = metrics_counter(m->reg, P "restored_databases_total", "Databases of finished restores by result.",
                                            "result");
    m->restore_seconds = metrics_histogram(m->reg, P "restore_phase_seconds",
                                           "Time spent in each phase of the restore of a database.", metric_buckets_seconds,
                                           "phase");
    m->restore_bytes = metrics_counter(m->reg, P "restore_bytes_total", "Bytes fetched from the store by restores, decoded.",
                                       NULL);
}

static void make_controller(struct instruments *m) {
    m->linked = metrics_gauge(m->reg, P "controller_connected", "1 while there is a session with the controller.", NULL);
    m->sessions = metrics_counter(m->reg, P "controller_sessions_total", "Sessions with the controller that began.", NULL);
    m->session_failures = metrics_counter(m->reg, P "controller_session_failures_total",
                                          "Attempts to have a session that came to nothing.", NULL);
    m->commands_open = metrics_gauge(m->reg, P "controller_commands",
                                     "Commands whose result the controller has not acknowledged.", NULL);
    m->commands = metrics_counter(m->reg, P "controller_commands_total", "Commands of the controller that ended by result.",
                                  "result");
}

static void make_gauges(struct instruments *m) {
    make_controller(m);
    m->restores_running = metrics_gauge(m->reg, P "restores", "Restores that are not over by state.", "state");
    m->restored_copies = metrics_gauge(m->reg, P "restored_copies", "Restored copies that will be dropped by themselves.", NULL);
    m->info = metrics_gauge(m->reg, P "build_info", "Constant 1; versions as labels.", "version", "server_version",
                            "server_edition");
    m->up = metrics_gauge(m->reg, P "sql_server_up", "1 when SQL Server answered at the last look.", NULL);
    m->condition = metrics_gauge(m->reg, P "condition", "Conditions: 1 true, 0 false, -1 unknown.", "type");
    m->databases = metrics_gauge(m->reg, P "databases", "Databases by whether the policy protects them.", "protected");
    m->chain_state = metrics_gauge(m->reg, P "chain_state", "1 for the state that the database's log chain is in.", "database",
                                   "state");
    m->chain_broken_since = metrics_gauge(m->reg, P "chain_broken_since_timestamp_seconds", "Since when the chain is broken.",
                                          "database");
    m->from = metrics_gauge(m->reg, P "recoverable_from_timestamp_seconds", "First moment of the current restorable interval.",
                            "database");
    m->until = metrics_gauge(m->reg, P "recoverable_until_timestamp_seconds", "Last restorable moment.", "database");
    m->off_volume = metrics_gauge(m->reg, P "recoverable_off_volume_until_timestamp_seconds",
                                  "Last moment restorable without the data volume.", "database");
    m->last_success = metrics_gauge(m->reg, P "backup_last_success_timestamp_seconds", "Finish of the last committed backup.",
                                    "database", "kind");
    m->log_age = metrics_gauge(m->reg, P "last_log_backup_age_seconds",
                               "Age of the last log backup, or of the last look that found nothing to back up.", "database");
    m->next = metrics_gauge(m->reg, P "next_backup_timestamp_seconds", "Next planned run.", "database", "kind");
    m->staged = metrics_gauge(m->reg, P "staged_bytes", "Bytes of our files in staging.", NULL);
    m->staging_quota = metrics_gauge(m->reg, P "staging_quota_bytes", "What may be in staging.", NULL);
    m->staging_free = metrics_gauge(m->reg, P "staging_free_bytes", "Free space of the staging volume.", NULL);
    m->staging_aside = metrics_gauge(m->reg, P "staging_set_aside_files",
                                     "Files of interrupted log backups that nobody could judge and that are not shipped.", NULL);
    m->unshipped = metrics_gauge(m->reg, P "unshipped_backups", "Backups that are staged and not in the store.", NULL);
    m->oldest_unshipped = metrics_gauge(m->reg, P "oldest_unshipped_seconds", "Age of the oldest of them; 0 when there is none.",
                                        NULL);
    m->journal_used = metrics_gauge(m->reg, P "journal_entries", "Runs in the journal.", NULL);
    m->store_up = metrics_gauge(m->reg, P "store_up", "1 while the store is usable.", NULL);
    m->store_bytes = metrics_gauge(m->reg, P "store_bytes", "Bytes of a database's backups in the store.", "database");
    m->store_sets = metrics_gauge(m->reg, P "store_backups", "Backups of a database in the store.", "database");
    m->server_log_used = metrics_gauge(m->reg, P "log_since_last_backup_bytes",
                                       "Log written since the last log backup, at the last look.", "database");
    m->paused = metrics_gauge(m->reg, P "paused", "1 while scheduled backups are paused.", NULL);
    m->clock_offset = metrics_gauge(m->reg, P "server_clock_offset_seconds", "SQL Server's clock minus ours.", NULL);
    m->running = metrics_gauge(m->reg, P "running_backups", "Backups that are being taken.", "kind");
    m->progress = metrics_gauge(m->reg, P "backup_progress_ratio", "Progress of the running phase, 0 to 1.", "database", "kind");
    m->rpo_target = metrics_gauge(m->reg, P "rpo_target_seconds", "Recovery point objective of the policy.", NULL);
}

static void make_scrub_gauges(struct instruments *m) {
    m->scrub_pass = metrics_gauge(m->reg, P "scrub_last_pass_timestamp_seconds",
                                  "When everything in the store had been read again the last time.", NULL);
    m->scrub_sets = metrics_gauge(m->reg, P "scrub_backups", "Backups that the running or last scrub has read.", NULL);
    m->scrub_bytes = metrics_gauge(m->reg, P "scrub_bytes", "Stored bytes that the running or last scrub has read.", NULL);
    m->scrub_findings = metrics_gauge(m->reg, P "scrub_findings", "What the running or last scrub found.", "problem");
    m->damaged = metrics_gauge(m->reg, P "damaged_backups", "Backups of a database that are damaged or missing in the store.",
                               "database");
}

static void make_trial_gauges(struct instruments *m) {
    m->media_differs = metrics_counter(m->reg, P "media_mismatches_total",
                                       "Backups of which the media reader says something else than SQL Server.", NULL);
    m->trials = metrics_counter(m->reg, P "trial_restores_total", "Trial restores that ended, by error class.", "result");
    m->trial_at = metrics_gauge(m->reg, P "trial_restore_timestamp_seconds", "When the last trial restore of a database ended.",
                                "database");
    m->trial_verified = metrics_gauge(m->reg, P "trial_restore_verified", "1 when it was verified, 0 when not.", "database");
    m->trial_reached = metrics_gauge(m->reg, P "trial_restore_reached_timestamp_seconds",
                                     "The moment that the last good trial restore came to.", "database");
    m->trial_speed = metrics_gauge(m->reg, P "trial_restore_data_bytes_per_second",
                                   "How fast its full and differential were fetched and restored.", "database");
    m->trial_log_seconds = metrics_gauge(m->reg, P "trial_restore_seconds_per_log", "What each log took.", "database");
}

static double seconds(int64_t at) {
    return (double)at / 1e6;
}

static void set_time(struct metric *metric, int64_t at, const char *database, const char *kind) {
    if (!at)
        return;
    if (kind)
        metric_set(metric, seconds(at), database, kind);
    else
        metric_set(metric, seconds(at), database);
}

static void collect_schedule(struct instruments *m, const struct database *db, int64_t now) {
    const struct chain_tip *t = &db->committed;
    static const char *const kinds[POLICY_KIND_COUNT] = {"full", "diff", "log"};
    const int64_t last[POLICY_KIND_COUNT] = {t->last_full.finish_at, t->last_diff.finish_at, t->last_log.finish_at};
    for (unsigned k = 0; k < POLICY_KIND_COUNT; k++) {
        set_time(m->last_success, last[k], db->name, kinds[k]);
        set_time(m->next, db->next_at[k], db->name, kinds[k]);
    }
    int64_t log_at = db->last_log_checked_at > last[POLICY_LOG] ? db->last_log_checked_at : last[POLICY_LOG];
    if (log_at)
        metric_set(m->log_age, now > log_at ? seconds(now - log_at) : 0, db->name);
}

static void collect_database(struct instruments *m, const struct database *db, int64_t now) {
    if (!database_wanted(db))
        return;
    struct chain_window w;
    database_window(db, &w);
    if (w.any) {
        set_time(m->from, w.from.at, db->name, NULL);
        set_time(m->until, w.until_at, db->name, NULL);
        set_time(m->off_volume, w.off_volume_until_at, db->name, NULL);
    }
    if (db->server_known && db->tips_known)
        metric_set(m->chain_state, 1, db->name, chain_state_name(db->status.state));
    if (db->status.state == CHAIN_BROKEN)
        set_time(m->chain_broken_since, db->status.since, db->name, NULL);
    collect_schedule(m, db, now);
    metric_set(m->store_bytes, (double)db->stored_bytes, db->name);
    metric_set(m->store_sets, (double)db->sets, db->name);
    metric_set(m->server_log_used, (double)db->sizes.log_bytes, db->name);
    for (enum lane lane = 0; lane < LANE_COUNT; lane++) {
        const struct job *job = db->running[lane];
        double percent = job ? atomic_load(&job->progress.percent) : -1;
        if (percent >= 0)
            metric_set(m->progress, percent / 100.0, db->name, lane == LANE_LOG ? "log" : "data");
    }
}

static void clear_per_database(struct instruments *m) {
    struct metric *const per_database[] = {
        m->chain_state, m->chain_broken_since, m->from,       m->until,           m->off_volume, m->last_success, m->log_age,
        m->next,        m->store_bytes,        m->store_sets, m->server_log_used, m->progress};
    for (size_t i = 0; i < ARRAY_LEN(per_database); i++)
        metric_clear(per_database[i]);
}

static void collect_restores(struct instruments *m, const struct agent *agent) {
    struct restores_counts n;
    restores_count(agent, &n);
    metric_set(m->restores_running, n.running, "running");
    metric_set(m->restores_running, n.waiting, "waiting");
    metric_set(m->restores_running, n.unfinished, "unfinished");
    metric_set(m->restored_copies, n.copies);
}

static void collect_controller(struct instruments *m, const struct agent *agent) {
    struct uplink_stats s;
    uplink_get_stats(agent->uplink, &s);
    metric_set(m->linked, s.connected);
    metric_set(m->sessions, (double)s.sessions);
    metric_set(m->session_failures, (double)s.failures);
    metric_set(m->commands_open, s.commands);
    metric_set(m->commands, (double)(s.commands_done - s.commands_failed), "carried_out");
    metric_set(m->commands, (double)s.commands_failed, "failed");
}

static void collect_sidecar(struct instruments *m, struct agent *agent, int64_t now) {
    collect_controller(m, agent);
    collect_restores(m, agent);
    int64_t oldest = 0;
    metric_clear(m->info);
    metric_set(m->info, 1, MSSQL_SIDECAR_VERSION, agent->server.version, agent->server.edition);
    metric_set(m->up, agent->server_reachable);
    metric_set(m->staged, (double)agent->space.used_bytes);
    metric_set(m->staging_quota, (double)staging_quota(staging_limits_get(agent->staging), &agent->space));
    metric_set(m->staging_free, (double)agent->space.free_bytes);
    metric_set(m->staging_aside, agent->space.aside);
    metric_set(m->unshipped, job_unshipped(agent, &oldest));
    metric_set(m->oldest_unshipped, oldest && now > oldest ? seconds(now - oldest) : 0);
    metric_set(m->journal_used, journal_used(agent->journal));
    metric_set(m->store_up, keeper_state(agent->keeper)->usable);
    metric_set(m->paused, pause_of(agent, NULL, now) != NULL);
    metric_set(m->clock_offset, seconds(agent->server.clock.offset_us));
    metric_set(m->rpo_target, (double)agent->policy->rpo_target_ms / 1000.0);
    const struct condition *c = conditions_of(agent);
    for (unsigned i = 0; i < CONDITION_COUNT; i++)
        metric_set(m->condition,
                   c[i].status == CONDITION_TRUE    ? 1
                   : c[i].status == CONDITION_FALSE ? 0
                                                    : -1,
                   condition_type_name((enum condition_type)i));
}

static void collect_scrub(struct instruments *m, const struct agent *agent) {
    struct scrub_progress p;
    scrubber_progress(agent, &p);
    if (p.ended_at)
        metric_set(m->scrub_pass, seconds(p.ended_at));
    metric_set(m->scrub_sets, (double)p.sets);
    metric_set(m->scrub_bytes, (double)p.stored_bytes);
    metric_clear(m->damaged);
    for (size_t i = 0; i < agent->damage.count; i++)
        metric_set(m->damaged, damage_count_of(agent, agent->damage.items[i].folder),
                   damage_database(agent, &agent->damage.items[i]));
    for (enum scrub_kind kind = 0; kind < SCRUB_KIND_COUNT; kind++)
        metric_set(m->scrub_findings, (double)p.findings[kind], scrub_kind_word(kind));
}

static void collect_trials(struct instruments *m, const struct agent *agent) {
    struct metric *const all[] = {m->trial_at, m->trial_verified, m->trial_reached, m->trial_speed, m->trial_log_seconds};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        metric_clear(all[i]);
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        const struct proof *p = database_wanted(db) ? verifier_proof(agent, db->folder) : NULL;
        if (!p)
            continue;
        metric_set(m->trial_at, seconds(p->finished_at), db->name);
        metric_set(m->trial_verified, p->verified, db->name);
        if (p->verified_reached_at)
            metric_set(m->trial_reached, seconds(p->verified_reached_at), db->name);
        if (p->data_mb_per_s > 0)
            metric_set(m->trial_speed, p->data_mb_per_s * 1e6, db->name);
        if (p->seconds_per_log > 0)
            metric_set(m->trial_log_seconds, p->seconds_per_log, db->name);
    }
}

static void collect(void *user) {
    struct instruments *m = user;
    struct agent *agent = m->agent;
    int64_t now = clock_wall();
    unsigned wanted = 0, present = 0, log_running = 0;
    clear_per_database(m);
    collect_sidecar(m, agent, now);
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        collect_database(m, db, now);
        present += db->present;
        wanted += database_wanted(db);
        log_running += db->running[LANE_LOG] != NULL;
    }
    metric_set(m->databases, wanted, "true");
    metric_set(m->databases, present - wanted, "false");
    metric_set(m->running, agent->data_running, "data");
    metric_set(m->running, log_running, "log");
    collect_scrub(m, agent);
    collect_trials(m, agent);
}

struct instruments *instruments_new(struct agent *agent) {
    struct instruments *m = mem_alloc(sizeof(*m));
    m->agent = agent;
    m->reg = metrics_new("mssql_sidecar");
    make_events(m);
    make_restore_events(m);
    make_gauges(m);
    make_scrub_gauges(m);
    make_trial_gauges(m);
    metrics_add_process(m->reg);
    metrics_on_collect(m->reg, collect, m);
    return m;
}

void instruments_free(struct instruments *instruments) {
    if (!instruments)
        return;
    metrics_free(instruments->reg);
    mem_free(instruments);
}

struct metrics *instruments_registry(struct instruments *instruments) {
    return instruments->reg;
}

static void observe_phases(struct instruments *m, const struct job *job, const char *kind) {
    const struct job_timing *t = &job->timing;
    metric_observe(m->phase, seconds(t->decide), kind, "decide");
    metric_observe(m->phase, seconds(t->take), kind, "take");
    metric_observe(m->phase, seconds(t->sync), kind, "sync");
    metric_observe(m->phase, seconds(t->inspect), kind, "inspect");
    metric_observe(m->phase, seconds(t->ship), kind, "ship");
    metric_observe(m->phase, seconds(t->commit), kind, "commit");
}

void instruments_finished(struct agent *agent, const struct job *job) {
    struct instruments *m = agent->instruments;
    const char *kind = job->entry.run_id[0] ? backup_kind_name(job->entry.kind) : job->lane == LANE_LOG ? "log" : "data";
    const char *name = job->entry.database[0] ? job->entry.database : job->info.name;
    metric_inc(m->backups, name, kind, outcome_name(job->outcome), job->reason);
    if (job->media_differs)
        metric_inc(m->media_differs);
    if (job->outcome != OUTCOME_COMPLETED || !job->committed)
        return;
    metric_observe(m->duration, seconds(clock_wall() - job->begun_at), kind);
    if (!job->resumed)
        observe_phases(m, job, kind);
    metric_add(m->bytes, (double)job->staged_bytes, kind, "raw");
    metric_add(m->bytes, (double)job->set.stored_bytes, kind, "stored");
    metric_add(m->ship_bytes, (double)job->set.stored_bytes);
}

void instruments_skipped(struct agent *agent, const struct database *db, const char *reason) {
    metric_inc(agent->instruments->skips, db->name, reason);
}

void instruments_hole(struct agent *agent, const struct database *db, const struct chain_hole *hole) {
    metric_inc(agent->instruments->holes, db->name, chain_hole_cause_word(hole->cause));
}

void instruments_ship_failed(struct agent *agent, const struct err *err) {
    metric_inc(agent->instruments->ship_errors, err_class_name(err->class));
}

void instruments_rpc(struct agent *agent, const char *path, enum err_class class, int64_t us) {
    (void)us;
    const char *method = strrchr(path, '/');
    metric_inc(agent->instruments->rpc, method ? method + 1 : path, err_class_name(class));
}

static const char *restore_result(enum err_class class) {
    return class == ERR_NONE ? "completed" : class == ERR_CANCELLED ? "cancelled" : "failed";
}

static void observe_restore(struct instruments *m, const Mssql__V1__RestorePhases *p) {
    const struct {
        const char *phase;
        int64_t begin_ms, end_ms;
    } phases[] = {
        {"plan", 0, p->planned_ms},
        {"begin", p->planned_ms, p->first_statement_ms},
        {"base", p->first_statement_ms, p->base_ms},
        {"logs", p->base_ms, p->applied_ms},
        {"recover", p->applied_ms, p->recovered_ms},
        {"after", p->recovered_ms, p->finished_ms},
    };
    for (size_t i = 0; i < ARRAY_LEN(phases); i++)
        if (phases[i].end_ms >= phases[i].begin_ms)
            metric_observe(m->restore_seconds, (double)(phases[i].end_ms - phases[i].begin_ms) / 1000.0, phases[i].phase);
}

void instruments_restored(struct agent *agent, const struct err *err, const Mssql__V1__RestoreReport *report) {
    struct instruments *m = agent->instruments;
    metric_inc(m->restores, restore_result(err->class), err_class_name(err->class));
    for (size_t i = 0; report && i < report->n_results; i++) {
        const Mssql__V1__RestoreResult *r = report->results[i];
        bool finished = r->step == MSSQL__V1__RESTORE_STEP__RESTORE_STEP_FINISHED;
        metric_inc(m->restored_databases, restore_result(finished ? ERR_NONE : err_class_parse(r->error_class)));
        metric_add(m->restore_bytes, (double)r->fetched_bytes);
        if (finished && r->phases)
            observe_restore(m, r->phases);
    }
}

void instruments_trial(struct agent *agent, const struct err *why) {
    metric_inc(agent->instruments->trials, why->class == ERR_NONE ? "verified" : err_class_name(why->class));
}

void instruments_reload(struct agent *agent, bool good) {
    metric_inc(agent->instruments->reloads, good ? "good" : "bad");
}

void instruments_forget(struct agent *agent, const struct database *db) {
    metrics_forget(agent->instruments->reg, "database", db->name);
}
