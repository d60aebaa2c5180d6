/* SPDX-License-Identifier: Apache-2.0 */
/* The second and third part of a job: staged files into the store, then the manifest, then cleaning. Runs on a worker. */
#include "sidecar/job/job.h"

#include <fcntl.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

static void on_progress(void *user, const struct pipe_progress *p) {
    struct job *job = user;
    atomic_store(&job->progress.done_bytes, p->plain_bytes);
    unsigned long long total = atomic_load(&job->progress.total_bytes);
    if (total)
        atomic_store(&job->progress.percent, 100.0 * (double)p->plain_bytes / (double)total);
}

static int ship_stripe(struct job *job, uint32_t stripe, const struct filter_ops *filter, struct err *err) {
    _cleanup_free_ char *file = staging_file_name(job->entry.run_id, job->entry.kind, stripe, job->entry.stripes);
    _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), file);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    job->staging_failed = fd < 0;
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "open staged file %s", path);
    char name[STORE_NAME_MAX];
    name_object(name, &job->set, stripe + 1, filter->suffix);
    struct pipe_spec spec = {
        .codec = job->options.codec, .level = job->options.codec_level, .record_bytes = job->options.record_bytes};
    struct pipe_source source = {.fd = fd, .drop_cache = true, .failed = &job->staging_failed};
    struct pipe_control control = {.progress = on_progress, .user = job, .cancel = &job->cancel};
    struct manifest_object *object = manifest_add_object(&job->manifest);
    object->stripe = stripe + 1;
    int rc = store_ship_object(job->store, job->agent->scope, job->manifest.folder, &job->set, name, &spec, &source, &control,
                               object, err);
    close(fd);
    return job->staging_failed ? err_context(err, "staged file %s", path) : rc;
}

/* Somebody removed the only copy, of a staging that is there. */
static bool staged_gone(const struct job *job) {
    bool there = true;
    for (uint32_t i = 0; there && i < job->entry.stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(job->entry.run_id, job->entry.kind, i, job->entry.stripes);
        _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), name);
        there = file_exists(path);
    }
    return !there && staging_marked(job->agent->staging);
}

static int ship(struct job *job, struct err *err) {
    if (job->resumed || job->commit_tried) {
        struct manifest found;
        if (store_find_backup(job->store, job->agent->scope, job->manifest.folder, &job->set, &found, err) == 0) {
            manifest_done(&job->manifest);
            job->manifest = found; /* its name is visible already; the commit finds it equal and makes it durable */
            return 0;
        }
        if (err->class != ERR_NOT_FOUND)
            return -1;
        err_clear(err);
    }
    if (!job->staged_bytes && /* of an earlier life, which may have died before it was durable */
        staging_sync(job->agent->staging, job->entry.run_id, job->entry.kind, job->entry.stripes, &job->staged_bytes, err) < 0) {
        job->staging_failed = true;
        return -1;
    }
    const struct filter_ops *filter;
    if (filter_find(job->options.codec, &filter, err) < 0)
        return -1;
    job_forget_objects(&job->manifest); /* of an earlier attempt */
    job->manifest.sequence = 0; /* so is its place: the other lane may have committed since */
    uint64_t stored = 0;
    for (uint32_t i = 0; i < job->entry.stripes; i++)
        if (ship_stripe(job, i, filter, err) < 0)
            return -1;
    for (size_t i = 0; i < job->manifest.object_count; i++)
        stored += job->manifest.objects[i].stored_bytes;
    job->manifest.backup = job->set; /* on_shipped() takes it over: the loop reads the set of a staged job at any time */
    job->manifest.backup.stored_bytes = stored;
    return 0;
}

void job_ship(struct job *job) {
    int64_t begin = clock_mono_us();
    log_bind("database", job->entry.database);
    log_bind("run", job->entry.run_id);
    atomic_store(&job->progress.total_bytes, job->staged_bytes);
    atomic_store(&job->progress.done_bytes, 0);
    atomic_store(&job->progress.percent, 0.0);
    atomic_store(&job->progress.phase, JOB_SHIPPING);
    err_clear(&job->err);
    job->staging_failed = false;
    job->shipped = ship(job, &job->err) == 0;
    job->lost = !job->shipped && job->err.class == ERR_NOT_FOUND && staged_gone(job);
    if (job->lost)
        job_clean(job);
    job->timing.ship = clock_mono_us() - begin;
    log_unbind(8);
}

void job_commit(struct job *job) {
    int64_t begin = clock_mono_us();
    log_bind("database", job->entry.database);
    log_bind("run", job->entry.run_id);
    atomic_store(&job->progress.phase, JOB_COMMITTING);
    err_clear(&job->err);
    job->commit_tried = true;
    if (store_commit_backup(job->store, job->agent->scope, &job->manifest, job->manifest_name, &job->err) == 0) {
        job->committed = true;
        struct err err;
        if (job->journaled && journal_advance(job->agent->journal, job->slot, JOURNAL_COMMITTED, &err) < 0)
            log_error(LOG_WARN, &err, "journal could not be advanced; the manifest is what counts", NULL);
        job_clean(job);
    }
    job->timing.commit = clock_mono_us() - begin;
    log_unbind(8);
}
