/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a run that the journal knows: after a crash of ours, of the server, or of the connection in the middle of
 * BACKUP. The order of the questions matters: a BACKUP that ends between two of them must not be missed.
 */
#include "sidecar/job/job.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/history.h"

struct running {
    const struct sql_clock *clock;
    int64_t before_at; /* server's clock */
    bool found;
};

static int running_row(void *user, const struct sql_row *row, struct err *err) {
    struct running *r = user;
    int64_t at;
    (void)err;
    r->found |= !sql_row_at(row, "start_time", r->clock->utc_offset_s, &at) || at <= r->before_at;
    return 0;
}

/* Does a BACKUP that may be ours still run on the server (the session that ran it may be in its rollback)? One that began after the run
 * was first looked for is not it. What runs in another database's context than the backup's own is in master's, as ours are. */
static int still_running(struct job *job, struct sql_session *session, const struct sql_clock *clock, bool *ret_running,
                         struct err *err) {
    struct running r = {.clock = clock, .before_at = clock->server_at - (clock_mono_us() - job->asked_us) + CLOCK_SECOND};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_printf(&text, "SELECT start_time FROM sys.dm_exec_requests WHERE command LIKE 'BACKUP %s%%'",
               job->entry.kind == BACKUP_LOG ? "LOG" : "DATABASE");
    if (job->entry.database[0]) {
        buf_puts(&text, " AND database_id IN (1, DB_ID(");
        sql_quote_text(&text, job->entry.database);
        buf_puts(&text, "))");
    }
    int rc = sql_text_check(&text, "look for a running backup", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, running_row, &r, err);
    buf_done(&text);
    *ret_running = r.found;
    return rc;
}

static bool staged_files_there(const struct job *job) {
    for (uint32_t i = 0; i < job->entry.stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(job->entry.run_id, job->entry.kind, i, job->entry.stripes);
        _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), name);
        if (!file_exists(path))
            return false;
    }
    return true;
}

/* A volume that went away is no volume without the file: asked again later. */
static bool staging_away(struct job *job) {
    if (staging_marked(job->agent->staging))
        return false;
    err_set(&job->err, ERR_STATE, "staging directory %s is not there", staging_path(job->agent->staging));
    job_set_outcome(job, OUTCOME_DEFERRED, "staging_unusable", NULL);
    return true;
}

/* The set is known to be complete, or to be looked at. After a power loss the file may be shorter than SQL Server wrote it:
 * VERIFYONLY reads all of it. */
static void keep(struct job *job, struct sql_session *session, const struct sql_clock *clock, bool verify) {
    uint64_t bytes;
    if (staging_sync(job->agent->staging, job->entry.run_id, job->entry.kind, job->entry.stripes, &bytes, &job->err) < 0) {
        job_fail(job);
        return;
    }
    if (verify) {
        char **paths = job_server_paths(job);
        struct sql_call call = {.timeout_s = SQL_TIMEOUT_NONE, .cancel = &job->cancel};
        int rc = sql_verify(session, (const char *const *)paths, job->entry.stripes, &call, &job->err);
        job_paths_free(paths);
        if (rc < 0) {
            job_fail(job);
            return;
        }
    }
    job->staged_bytes = bytes;
    struct err err;
    if (job->entry.step == JOURNAL_PLANNED && job->journaled &&
        journal_advance(job->agent->journal, job->slot, JOURNAL_TAKEN, &err) < 0)
        log_error(LOG_WARN, &err, "journal could not be advanced; going on", NULL);
    if (job_inspect(job, session, clock, &job->err) < 0) {
        job_fail(job);
        return;
    }
    job->taken = true;
    job->outcome = OUTCOME_COMPLETED;
}

static void give_up(struct job *job, const char *why) {
    log_event(LOG_WARN, "interrupted backup gave nothing and is removed", "why", why, NULL);
    job_clean(job);
    err_set(&job->err, ERR_CANCELLED, "the backup was interrupted: %s", why);
    job_set_outcome(job, OUTCOME_FAILED, "interrupted", NULL);
}

/* msdb cannot be asked, and the file is no whole backup (any more?). If BACKUP LOG succeeded, nothing else has what it took out of the
 * log: nobody but a person may throw it away. The chain goes on without it, and sees a hole when there is one. */
static void set_aside(struct job *job, const struct err *why) {
    struct err err;
    log_error(LOG_ERROR, why,
              "interrupted log backup cannot be read, and msdb cannot be asked whether it was taken: its file is set aside",
              NULL);
    if (staging_set_aside(job->agent->staging, job->entry.run_id, job->entry.kind, job->entry.stripes, &err) < 0) {
        job->err = err;
        job_set_outcome(job, OUTCOME_DEFERRED, "staging_unusable", NULL); /* asked again */
        return;
    }
    job_clean(job); /* the journal's entry; the files have another name */
    job_set_outcome(job, OUTCOME_FAILED, "set_aside", NULL);
}

/* What a file that is not whole means. in_history: msdb says that it was a success, so it is kept and said. */
static void judge_torn(struct job *job, bool in_history, bool unknown) {
    struct err why = job->err;
    if (in_history)
        return;
    if (unknown && job->entry.kind == BACKUP_LOG)
        set_aside(job, &why);
    else
        give_up(job, "its file is not complete");
}

/* PLANNED: the statement may not have begun, may have failed, be running, or have succeeded without our knowing. */
static void resume_planned(struct job *job, struct sql_session *session, const struct sql_clock *clock) {
    bool running = false;
    if (still_running(job, session, clock, &running, &job->err) < 0) {
        job_fail(job);
        return;
    }
    if (running) {
        err_set(&job->err, ERR_STATE, "a backup of the database still runs on the server");
        job_set_outcome(job, OUTCOME_DEFERRED, "still_running", NULL);
        return;
    }
    char name[128];
    job_backup_name(job, name, sizeof(name));
    struct sql_history row;
    bool in_history = sql_history_find(session, &job->server, name, NULL, &row, &job->err) == 0;
    bool unknown = !in_history && job->err.class == ERR_PERMISSION;
    if (!in_history && job->err.class != ERR_NOT_FOUND && !unknown) {
        job_fail(job);
        return;
    }
    err_clear(&job->err);
    if (!staged_files_there(job)) {
        if (staging_away(job))
            return;
        give_up(job, in_history ? "msdb knows the backup, but its staged file is gone" : "it had not begun");
        return;
    }
    /* not in msdb: history may have failed (3009) while the backup succeeded; a complete header says so */
    keep(job, session, clock, true);
    if (!job->taken && job->outcome != OUTCOME_DEFERRED && job->err.class == ERR_CORRUPT)
        judge_torn(job, in_history, unknown);
}

static void resume_with(struct job *job, struct sql_session *session) {
    struct sql_clock clock;
    if (sql_clock_read(session, &clock, &job->err) < 0) {
        job_fail(job);
        return;
    }
    if (job->entry.step == JOURNAL_TAKEN) {
        if (staged_files_there(job))
            keep(job, session, &clock, false);
        else if (!staging_away(job))
            give_up(job, "its staged file is gone: somebody removed it before it was shipped");
        return;
    }
    resume_planned(job, session, &clock);
}

void job_resume(struct job *job) {
    log_bind("database", job->entry.database);
    log_bind("run", job->entry.run_id);
    job->resumed = true;
    atomic_store(&job->progress.phase, JOB_INSPECTING);
    struct sql_session *session = NULL;
    if (job->entry.step == JOURNAL_COMMITTED) {
        job->committed = true; /* only the cleaning is left */
        job_clean(job);
        job->outcome = OUTCOME_COMPLETED;
    } else if (sessions_take(job->agent->sessions, SESSIONS_DAEMON, &session, &job->err) < 0) {
        job_fail(job);
    } else {
        resume_with(job, session);
        sessions_give(job->agent->sessions, SESSIONS_DAEMON, session);
    }
    log_unbind(8);
}

/* Which database does the file hold? Everything else is then as with a run that the journal knows. */
static int adopt_header(struct job *job, struct sql_session *session, const struct sql_clock *clock, struct err *err) {
    char **paths = job_server_paths(job);
    struct sql_header header;
    int rc = sql_header_read(session, (const char *const *)paths, job->entry.stripes, clock, &header, err);
    job_paths_free(paths);
    if (rc < 0)
        return -1;
    if (!str_ends(header.name, job->entry.run_id))
        return err_set(err, ERR_CONFLICT, "staged file of run %s holds a backup set named '%s': it is left alone",
                       job->entry.run_id, header.name);
    str_copy(job->entry.database, sizeof(job->entry.database), header.database);
    job->entry.family_guid = header.backup.family_guid;
    job->entry.database_guid = header.backup.database_guid;
    job->entry.planned_at = header.backup.start_at;
    job->entry.step = JOURNAL_PLANNED; /* until it is verified */
    str_copy(job->entry.trigger, sizeof(job->entry.trigger), "adopted");
    str_copy(job->entry.reason, sizeof(job->entry.reason), "adopted");
    if (journal_add(job->agent->journal, &job->entry, &job->slot, err) < 0)
        return -1;
    job->journaled = true;
    return 0;
}

static void adopt_with(struct job *job, struct sql_session *session) {
    struct sql_clock clock;
    bool running = false;
    if (sql_clock_read(session, &clock, &job->err) < 0 || still_running(job, session, &clock, &running, &job->err) < 0) {
        job_fail(job);
        return;
    }
    if (running) {
        err_set(&job->err, ERR_STATE, "a backup still runs on the server; the staged file may be its");
        job_set_outcome(job, OUTCOME_DEFERRED, "still_running", NULL);
        return;
    }
    if (adopt_header(job, session, &clock, &job->err) == 0) {
        log_event(LOG_WARN, "staged backup that the journal did not know is adopted", NULL);
        keep(job, session, &clock, true);
    } else if (job->err.class == ERR_CORRUPT) {
        give_up(job, "its file is not complete");
    } else {
        job_fail(job);
    }
}

void job_adopt(struct job *job) {
    log_bind("run", job->entry.run_id);
    job->resumed = true;
    struct sql_session *session = NULL;
    if (sessions_take(job->agent->sessions, SESSIONS_DAEMON, &session, &job->err) < 0) {
        job_fail(job);
    } else {
        adopt_with(job, session);
        sessions_give(job->agent->sessions, SESSIONS_DAEMON, session);
    }
    log_unbind(8);
}
