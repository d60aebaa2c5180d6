/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a job. */
#include "sidecar/job/flow.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/instruments.h"
#include "sidecar/request.h"
#include "sidecar/volume.h"

static void remember_result(struct job *job) {
    struct database *db = job->db;
    enum backup_kind kind = job->taken || job->journaled || job->decision.action == CHAIN_ACTION_TAKE ? job->entry.kind
                            : job->lane == LANE_LOG                                                   ? BACKUP_LOG
                            : job->due.diff && !job->due.full                                         ? BACKUP_DIFF
                                                                                                      : BACKUP_FULL;
    if (job->outcome == OUTCOME_QUIET)
        return;
    struct last_result *last = &db->last[kind];
    last->outcome = job->outcome;
    last->kind = kind;
    str_copy(last->reason, sizeof(last->reason), job->reason);
    last->err = job->err;
    last->at = clock_wall();
}

static void tell(const struct job *job) {
    char bytes[24], took[24];
    str_format(bytes, sizeof(bytes), "%llu", (unsigned long long)job->set.stored_bytes);
    str_format(took, sizeof(took), "%lld", (long long)((clock_wall() - job->begun_at) / 1000));
    log_bind("database", job->entry.database[0] ? job->entry.database : job->info.name);
    if (job->entry.run_id[0])
        log_bind("run", job->entry.run_id);
    const char *kind = backup_kind_name(job->entry.kind);
    switch (job->outcome) {
    case OUTCOME_COMPLETED:
        log_event(LOG_INFO, "backup committed", "kind", kind, "trigger", job->entry.trigger, "reason", job->entry.reason,
                  "stored_bytes", bytes, "ms", took, NULL);
        break;
    case OUTCOME_FAILED:
        log_error(LOG_ERROR, &job->err, "backup failed", "kind", kind, "reason", job->reason, NULL);
        break;
    case OUTCOME_QUIET:
        log_event(LOG_DEBUG, "nothing was committed since the last log backup", NULL);
        break;
    default:
        log_event(job->request || strcmp(job->trigger, "healing") ? LOG_INFO : LOG_DEBUG,
                  job->outcome == OUTCOME_SKIPPED ? "backup skipped" : "backup deferred", "reason", job->reason, "detail",
                  job->err.text, NULL);
        break;
    }
    log_unbind(8);
}

void job_finish(struct job *job) {
    struct agent *agent = job->agent;
    tell(job);
    remember_result(job);
    instruments_finished(agent, job);
    if (job->request)
        request_item_finished(agent, job->request, job);
    if (job->on_finish)
        job->on_finish(job);
    if (job->unclean)
        volume_clean_later(agent, &job->entry, job->journaled, job->slot);
    job_free(job);
    scheduler_wake(agent);
}

void job_refuse(struct agent *agent, struct database *db, struct request_item *item, enum lane lane, enum outcome outcome,
                const char *reason, const char *text) {
    struct job *job = job_new(agent, db, lane, item->request->trigger);
    job->info = db->info;
    request_item_started(item, job);
    job_set_outcome(job, outcome, reason, text);
    job_finish(job);
}
