/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/job/job.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/errors.h"
#include "sidecar/job/draft.h"

const char *outcome_name(enum outcome outcome) {
    static const char *const names[OUTCOME_COUNT] = {"none", "completed", "quiet", "skipped", "deferred", "failed"};
    return names[outcome];
}

struct job *job_new(struct agent *agent, struct database *db, enum lane lane, const char *trigger) {
    struct job *job = mem_alloc(sizeof(*job));
    job->agent = agent;
    job->db = db;
    job->lane = lane;
    job->begun_at = clock_wall();
    job->begun_us = clock_mono_us();
    job->server_state = db->server; /* as it was last seen: what the job's own look does not ask */
    job->sizes = db->sizes;
    atomic_store(&job->progress.percent, -1.0);
    str_copy(job->trigger, sizeof(job->trigger), trigger);
    manifest_init(&job->manifest);
    return job;
}

void job_free(struct job *job) {
    if (!job)
        return;
    manifest_done(&job->manifest);
    mem_free(job->foreign);
    mem_free(job);
}

void job_forget_objects(struct manifest *m) {
    struct manifest empty; /* manifest_done() knows what an object owns */
    manifest_init(&empty);
    struct manifest_object *objects = m->objects;
    size_t count = m->object_count;
    m->objects = NULL;
    m->object_count = 0;
    empty.objects = objects;
    empty.object_count = count;
    manifest_done(&empty);
}

void job_set_outcome(struct job *job, enum outcome outcome, const char *reason, const char *text) {
    job->outcome = outcome;
    str_copy(job->reason, sizeof(job->reason), reason);
    if (text)
        str_copy(job->err.text, sizeof(job->err.text), text);
}

void job_fail(struct job *job) {
    enum sql_reaction reaction = sql_err_reaction(&job->err);
    bool passes = job->err.class == ERR_CANCELLED || reaction == SQL_RETRY || reaction == SQL_WAIT ||
                  (job->err.class != ERR_SPACE && job->err.class != ERR_CONNECT && err_class_transient(job->err.class) &&
                   reaction == SQL_FAIL);
    job->outcome = passes ? OUTCOME_DEFERRED : reaction == SQL_SKIP ? OUTCOME_SKIPPED : OUTCOME_FAILED;
    str_copy(job->reason, sizeof(job->reason), err_class_name(job->err.class));
}

void job_backup_name(const struct job *job, char *dst, size_t dst_bytes) {
    str_format(dst, dst_bytes, "%s%s", job->agent->name_prefix, job->entry.run_id);
}

char **job_server_paths(const struct job *job) {
    char **paths = mem_array(job->entry.stripes + 1, sizeof(*paths));
    for (uint32_t i = 0; i < job->entry.stripes; i++) {
        char *name = staging_file_name(job->entry.run_id, job->entry.kind, i, job->entry.stripes);
        paths[i] = file_join(job->agent->config->paths.staging_server, name);
        mem_free(name);
    }
    return paths;
}

void job_paths_free(char **paths) {
    if (!paths)
        return;
    for (char **p = paths; *p; p++)
        mem_free(*p);
    mem_free(paths);
}

/* In this order: a draft or an entry without its file is understood after a crash, a file without them is looked at as a stranger. */
int job_clean_run(struct agent *agent, const struct journal_entry *entry, bool journaled, unsigned slot, struct err *err) {
    if (staging_remove(agent->staging, entry->run_id, entry->kind, entry->stripes, err) < 0)
        return -1;
    draft_remove(agent, entry->run_id);
    return journaled ? journal_remove(agent->journal, slot, err) : 0;
}

void job_clean(struct job *job) {
    struct err err;
    job->unclean = job_clean_run(job->agent, &job->entry, job->journaled, job->slot, &err) < 0;
    if (job->unclean)
        log_error(LOG_WARN, &err, "a staged file or its journal entry could not be removed; tried again", NULL);
    else
        job->journaled = false;
}

static size_t collect(const char *const *points, const char **names, size_t n, size_t max) {
    for (; *points && n < max; points++)
        names[n++] = *points;
    return n;
}

size_t job_fault_points(const char **names, size_t max) {
    size_t n = collect(journal_fault_points(), names, 0, max);
    n = collect(staging_fault_points(), names, n, max);
    n = collect(draft_fault_points(), names, n, max);
    size_t store_count;
    const char *const *store = store_fault_points(&store_count);
    for (size_t i = 0; i < store_count && n < max; i++)
        if (strcmp(store[i], "store.small.rename")) /* a put of no kind: only restores have one */
            names[n++] = store[i];
    return n;
}
