/* SPDX-License-Identifier: Apache-2.0 */
/* The first part of a job: look, decide, BACKUP, make it durable, read it back. Runs on a worker. */
#include "sidecar/job/job.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/errors.h"
#include "common/sql/history.h"
#include "sidecar/job/draft.h"

#define FOREIGN_LIMIT 500

static int64_t lap(int64_t *since) {
    int64_t now = clock_mono_us(), spent = now - *since;
    *since = now;
    return spent;
}

static struct chain_view view_of(const struct job *job) {
    return (struct chain_view){
        .tip = &job->tip,
        .server = &job->server_state,
        .memory = &job->memory,
        .foreign = job->foreign,
        .foreign_count = job->foreign_count,
        .restore = job->restore,
    };
}

/* Who broke it? Asked only when something looks broken: msdb can be large. */
static void read_foreign(struct job *job, struct sql_session *session, const struct sql_clock *clock) {
    struct sql_history_list rows = {0};
    struct err err;
    if (sql_foreign_read(session, &job->server, &job->server_state.family_guid, job->foreign_id, job->agent->name_prefix,
                         FOREIGN_LIMIT, &rows, &err) < 0) {
        log_error(LOG_DEBUG, &err, "history of other backups could not be read", NULL);
        return;
    }
    mem_free(job->foreign);
    job->foreign = mem_array(rows.count + 1, sizeof(*job->foreign));
    job->foreign_count = 0;
    for (size_t i = 0; i < rows.count; i++) {
        const struct sql_history *row = &rows.items[i];
        if (!row->kind_known)
            continue;
        struct chain_foreign *f = &job->foreign[job->foreign_count++];
        sql_history_to_foreign(row, f);
        f->set.incarnation = job->tip.path.incarnation;
    }
    sql_history_done(&rows);
    if (sql_restore_last(session, job->info.name, clock, &job->restore, &err) < 0)
        log_error(LOG_DEBUG, &err, "history of restores could not be read", NULL);
}

static int look(struct job *job, struct sql_session *session, struct sql_clock *clock, struct err *err) {
    struct sql_look found;
    enum sql_look_what what = job->lane == LANE_LOG ? SQL_LOOK_LOG : SQL_LOOK_ALL;
    if (sql_database_look(session, &job->info, what, true, &found, err) < 0)
        return -1;
    sql_extents_keep(&found.state, &found.sizes, &job->server_state, &job->sizes);
    found.state.full_only = str_ieq(job->info.name, "master");
    job->server_state = found.state;
    job->sizes = found.sizes;
    *clock = found.clock;
    job->looked = true;
    struct chain_view view = view_of(job);
    struct chain_diagnosis diagnosis;
    chain_diagnose(&view, &diagnosis);
    if (diagnosis.reason != CHAIN_REASON_NONE || diagnosis.base_moved)
        read_foreign(job, session, clock);
    return 0;
}

/* Nothing to take: quiet, waiting, or not possible. */
static void conclude_without(struct job *job) {
    const struct chain_decision *d = &job->decision;
    if (d->action == CHAIN_ACTION_QUIET)
        job_set_outcome(job, OUTCOME_QUIET, chain_reason_word(d->reason), d->text);
    else if (d->reason == CHAIN_REASON_RUNNING || d->wait_until_at)
        job_set_outcome(job, OUTCOME_DEFERRED, chain_reason_word(d->reason), d->text);
    else
        job_set_outcome(job, OUTCOME_SKIPPED, chain_reason_word(d->reason), d->text);
}

static bool decide(struct job *job) {
    struct chain_view view = view_of(job);
    chain_decide(&view, &job->due, &job->rules, clock_wall(), &job->decision);
    if (job->decision.action != CHAIN_ACTION_TAKE) {
        conclude_without(job);
        return false;
    }
    const char *skip = sql_database_skip(&job->info, job->decision.kind);
    if (skip) {
        job_set_outcome(job, OUTCOME_SKIPPED, skip, "the database is in a state that does not allow this backup");
        return false;
    }
    /* beside the logs, not before them: a full in their lane would stop them for hours, and take their worker */
    if (job->lane == LANE_LOG && job->decision.kind != BACKUP_LOG) {
        job->to_data_lane = true;
        job_set_outcome(job, OUTCOME_DEFERRED, "needs_data_backup", job->decision.text);
        return false;
    }
    if (job->options.dry_run) {
        job_set_outcome(job, OUTCOME_SKIPPED, "dry_run", job->decision.text);
        return false;
    }
    return true;
}

static uint64_t estimate(const struct job *job) {
    uint64_t bytes = job->decision.kind == BACKUP_FULL   ? job->sizes.full_bytes
                     : job->decision.kind == BACKUP_DIFF ? job->sizes.diff_bytes
                                                         : job->sizes.log_bytes;
    /* headers, and what is written while the backup runs */
    return bytes + bytes / 20 + (UINT64_C(1) << 20);
}

static bool room(struct job *job) {
    struct staging *staging = job->agent->staging;
    struct staging_state state;
    if (staging_measure(staging, &state, &job->err) < 0) {
        job_fail(job);
        return false;
    }
    /* counted before it is judged: two that ask at the same time must not both get the last room */
    job->pending_bytes = estimate(job);
    state.pending_bytes = atomic_fetch_add(&job->agent->pending_bytes, job->pending_bytes);
    enum staging_verdict verdict = staging_judge(&job->limits, &state, job->decision.kind, job->pending_bytes, &job->err);
    if (verdict == STAGING_TOO_SMALL) {
        job_set_outcome(job, OUTCOME_SKIPPED, "StagingTooSmall", NULL);
        return false;
    }
    if (verdict == STAGING_NEEDS_RESERVE) {
        log_event(LOG_WARN, "giving up the staging reserve for a log backup", NULL);
        staging_reserve_give_up(staging);
    }
    return true;
}

/* What is written already is measured; only the rest is still to come. */
static void written(struct job *job, uint64_t bytes) {
    uint64_t all = estimate(job), left = all > bytes ? all - bytes : 0;
    if (left >= job->pending_bytes)
        return;
    atomic_fetch_sub(&job->agent->pending_bytes, job->pending_bytes - left);
    job->pending_bytes = left;
}

static int plan(struct job *job, const struct sql_clock *clock, struct err *err) {
    struct journal_entry *e = &job->entry;
    int64_t now = clock_wall();
    *e = (struct journal_entry){
        .step = JOURNAL_PLANNED,
        .kind = job->decision.kind,
        .flags = job->decision.copy_only ? BACKUP_COPY_ONLY : 0,
        .stripes = job->decision.kind == BACKUP_LOG ? 1 : job->options.stripes,
        .incarnation = job->tip.path.incarnation + (job->decision.new_incarnation ? 1 : 0),
        .utc_offset_s = clock->utc_offset_s,
        .planned_at = now,
        .sampled_at = clock->server_at,
        .family_guid = job->server_state.family_guid,
        .database_guid = job->server_state.database_guid,
        .not_before = job->tip.max_lsn,
    };
    staging_run_id(e->run_id, e->kind, now);
    str_copy(e->database, sizeof(e->database), job->info.name);
    str_copy(e->trigger, sizeof(e->trigger), job->decision.unplanned ? "healing" : job->trigger);
    str_copy(e->reason, sizeof(e->reason), chain_reason_word(job->decision.reason));
    if (journal_add(job->agent->journal, e, &job->slot, err) < 0)
        return -1;
    job->journaled = true;
    log_bind("run", e->run_id);
    return 0;
}

static void on_progress(void *user, double percent) {
    struct job *job = user;
    atomic_store(&job->progress.percent, percent);
}

static uint64_t staged_so_far(const struct job *job) {
    uint64_t total = 0, bytes;
    for (uint32_t i = 0; i < job->entry.stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(job->entry.run_id, job->entry.kind, i, job->entry.stripes);
        _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), name);
        if (file_size(path, &bytes, NULL) == 0)
            total += bytes;
    }
    return total;
}

/* About once per second. A backup may take hours, but it moves: a file that does not grow, with percents that stand still, for the whole
 * time-out is stuck and is cancelled. */
static void on_tick(void *user) {
    struct job *job = user;
    uint64_t bytes = staged_so_far(job);
    double percent = atomic_load(&job->progress.percent);
    int64_t now = clock_mono_us();
    atomic_store(&job->progress.done_bytes, bytes);
    written(job, bytes);
    if (bytes != job->moved_bytes || percent != job->moved_percent || !job->moved_us) {
        job->moved_bytes = bytes;
        job->moved_percent = percent;
        job->moved_us = now;
    } else if (now - job->moved_us > job->options.progress_timeout_ms * 1000) {
        log_event(LOG_ERROR, "the backup does not move any more; cancelling it", NULL);
        atomic_store(&job->cancel, true);
    }
}

static int run_backup(struct job *job, struct sql_session *session, bool over_bad_pages, struct err *err) {
    char name[128];
    job_backup_name(job, name, sizeof(name));
    char **paths = job_server_paths(job);
    struct sql_backup_request request = {
        .database = job->info.name,
        .kind = job->entry.kind,
        .copy_only = job->decision.copy_only,
        .paths = (const char *const *)paths,
        .path_count = job->entry.stripes,
        .name = name,
        .description = "mssql-sidecar",
        .no_checksum = !job->options.checksum,
        .compression = job->compression_refused ? SQL_COMPRESSION_OFF : job->options.compression,
        .max_transfer_bytes = job->options.max_transfer_bytes,
        .buffer_count = job->options.buffer_count,
        .continue_after_error = over_bad_pages,
        .cancel = &job->cancel,
        .progress = on_progress,
        .tick = on_tick,
        .user = job,
    };
    struct sql_backup_result result = {0};
    int rc = sql_backup_run(session, &request, &job->server, &result, err);
    if (rc == 0) {
        job->compression_refused |= result.fell_back;
        sql_messages_done(&result.messages);
    }
    job_paths_free(paths);
    return rc;
}

static int end_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    const char *text = sql_row_text(row, "log_end_lsn");
    struct lsn *end = user;
    if (text && !lsn_parse_hex(text, end))
        *end = (struct lsn){0};
    return 0;
}

/* The end of the log is noted only when it stood still from the look before the statement until now: then everything up to
 * it is in the backup, and as long as it stays there nothing was committed. A server that writes to the log by itself is
 * never called quiet; its log is simply backed up. */
static void note_quiet_end(struct job *job, struct sql_session *session) {
    struct buf text;
    struct lsn end = {0};
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT log_end_lsn FROM sys.dm_db_log_stats(DB_ID(");
    sql_quote_text(&text, job->info.name);
    buf_puts(&text, "))");
    struct err err;
    if (sql_text_check(&text, "end of the log", &err) == 0 && sql_query(session, text.data, NULL, end_row, &end, &err) == 0 &&
        !lsn_is_zero(end) && lsn_cmp(end, job->server_state.log_end_lsn) == 0)
        job->quiet_end_lsn = end;
    buf_done(&text);
}

/* Did SQL Server itself say that the backup failed? If the connection broke, or a cancel crossed its end, it may have succeeded and the
 * log be truncated: then resume asks msdb. */
static bool refused(const struct err *err) {
    return err->sql_number != 0 || err->class == ERR_USAGE;
}

/* A full over bad pages is better than none, but never a base when there is another: one is taken and marked. The logs go on in any case;
 * one with minimally logged changes has pages in it, too, and refused for ever it would only let the log grow. */
static int run_backup_or_damaged(struct job *job, struct sql_session *session, struct err *err) {
    int rc = run_backup(job, session, false, err);
    if (rc == 0 || err->sql_number != 3043 || job->entry.kind == BACKUP_DIFF || atomic_load(&job->cancel))
        return rc;
    log_error(LOG_ERROR, err, "bad pages in the database: taking one backup that goes on over them. Run DBCC CHECKDB", NULL);
    struct err ignored;
    if (staging_remove(job->agent->staging, job->entry.run_id, job->entry.kind, job->entry.stripes, &ignored) < 0)
        log_error(LOG_WARN, &ignored, "partial backup file could not be removed", NULL);
    return run_backup(job, session, true, err);
}

static int take(struct job *job, struct sql_session *session, const struct sql_clock *clock, struct err *err) {
    int64_t since = clock_mono_us();
    atomic_store(&job->progress.phase, JOB_TAKING);
    if (run_backup_or_damaged(job, session, err) < 0) {
        job->ambiguous = !refused(err) || !sql_session_alive(session);
        if (!job->ambiguous)
            job_clean(job);
        return -1;
    }
    job->timing.take = lap(&since);
    uint64_t bytes;
    if (staging_sync(job->agent->staging, job->entry.run_id, job->entry.kind, job->entry.stripes, &bytes, err) < 0) {
        job->ambiguous = true; /* the only copy of what the log held: never dropped, looked at again */
        return -1;
    }
    job->staged_bytes = bytes;
    if (journal_advance(job->agent->journal, job->slot, JOURNAL_TAKEN, err) < 0)
        /* the file is durable and PLANNED finds it as well, by msdb */
        log_error(LOG_WARN, err, "journal could not be advanced; going on", NULL);
    err_clear(err);
    job->timing.sync = lap(&since);
    atomic_store(&job->progress.phase, JOB_INSPECTING);
    if (job_inspect(job, session, clock, err) < 0) {
        job->ambiguous = true;
        return -1;
    }
    if (job->entry.kind == BACKUP_LOG)
        note_quiet_end(job, session);
    job->timing.inspect = lap(&since);
    return 0;
}

/* Nobody but the set's header told. A crash must not join it to what was before, so it is written down before anything else is done. */
static void leave_incarnation(struct job *job) {
    struct err err;
    job->entry.incarnation = job->set.incarnation = job->manifest.backup.incarnation = job->tip.path.incarnation + 1;
    if (journal_set_incarnation(job->agent->journal, job->slot, job->entry.incarnation, &err) < 0)
        log_error(LOG_WARN, &err, "journal could not be changed; after a restart the set is checked again", NULL);
}

/* Who made the hole before this set is known now; msdb forgets it, and so does this process. The manifest does not. */
static void note_hole(struct job *job) {
    const struct chain_hole *candidates[] = {&job->verdict.hole, &job->decision.hole, &job->open_hole}, *best = NULL;
    const bool there[] = {job->verdict.has_hole, job->decision.has_hole, job->open_hole.cause != CHAIN_HOLE_NONE};
    for (size_t i = 0; i < ARRAY_LEN(candidates); i++) {
        const struct chain_hole *h = candidates[i];
        if (there[i] && h->cause != CHAIN_HOLE_LOG_PENDING && (!best || (best->cause == CHAIN_HOLE_LOG_MISSING && !best->who[0])))
            best = h;
    }
    if (!best)
        return;
    struct manifest_hole *m = &job->manifest.hole;
    manifest_set(&m->cause, chain_hole_cause_word(best->cause));
    manifest_set(&m->who, best->who);
    manifest_set(&m->device, best->device);
    m->cause_at = best->cause_at;
    m->from_lsn = best->from_lsn;
    m->from_at = best->from_at;
}

/* The check comes after the set is safe: whatever it says, the set is kept. */
static void check(struct job *job, struct sql_session *session, const struct sql_clock *clock) {
    struct chain_view view = view_of(job);
    struct chain_expectation expected = {
        .kind = job->decision.kind,
        .copy_only = job->decision.copy_only,
        .new_incarnation = job->decision.new_incarnation,
        .not_before = job->tip.max_lsn,
    };
    chain_check(&view, &expected, &job->set, &job->verdict);
    bool nobodys = job->verdict.has_hole && job->verdict.hole.cause == CHAIN_HOLE_LOG_MISSING;
    if ((nobodys || (!job->verdict.ok && job->verdict.has_hole)) && !job->foreign_count) {
        read_foreign(job, session, clock); /* somebody was there between our look and our backup */
        view = view_of(job);
        chain_check(&view, &expected, &job->set, &job->verdict);
    }
    if (job->verdict.new_incarnation && !job->decision.new_incarnation)
        leave_incarnation(job);
    note_hole(job);
}

/* The journal has a fixed size. While the store is away long enough to fill half of it, what is staged is kept by its draft alone, so
 * that log backups go on as long as staging has room. */
static void keep_draft(struct job *job) {
    struct journal *journal = job->agent->journal;
    struct err err;
    job->drafted = draft_save(job, &err) == 0;
    if (!job->drafted)
        log_error(LOG_WARN, &err, "draft could not be kept; after a restart the header is read again", NULL);
    if (!job->drafted || journal_used(journal) * 2 <= journal_slots(journal))
        return;
    if (journal_remove(journal, job->slot, &err) < 0)
        log_error(LOG_WARN, &err, "journal entry could not be removed", NULL);
    else
        job->journaled = false;
}

static void take_with(struct job *job, struct sql_session *session) {
    struct sql_clock clock;
    int64_t since = clock_mono_us();
    if (look(job, session, &clock, &job->err) < 0) {
        job_fail(job);
        return;
    }
    bool go = decide(job) && room(job);
    job->timing.decide = lap(&since);
    if (!go)
        return;
    if (plan(job, &clock, &job->err) < 0) {
        job_fail(job);
        return;
    }
    if (take(job, session, &clock, &job->err) < 0) {
        job_fail(job);
        return;
    }
    check(job, session, &clock);
    keep_draft(job);
    job->taken = true;
    job->outcome = OUTCOME_COMPLETED; /* so far: the commit has the last word */
}

void job_take(struct job *job) {
    log_bind("database", job->info.name);
    struct sql_session *session = NULL;
    if (sessions_take(job->agent->sessions, SESSIONS_DAEMON, &session, &job->err) < 0) {
        job_fail(job);
    } else {
        take_with(job, session);
        sessions_give(job->agent->sessions, SESSIONS_DAEMON, session);
    }
    atomic_fetch_sub(&job->agent->pending_bytes, job->pending_bytes);
    job->pending_bytes = 0;
    log_unbind(8);
}
