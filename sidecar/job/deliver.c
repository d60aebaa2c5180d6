/* SPDX-License-Identifier: Apache-2.0 */
/* Staged sets into the store: one at a time per database and lane, oldest first; one commit at a time per database. Loop thread. */
#include "sidecar/job/flow.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/holds.h"
#include "sidecar/instruments.h"
#include "sidecar/job/park.h"

static void submit_commit(struct job *job);

/* The folder of the set's chain in the store, the number and the predecessor of the commit. */
static int locate(struct job *job, struct catalog *catalog, uint32_t *ret_id, struct err *err) {
    const struct catalog_database *cd = catalog_database_by_guid(catalog, &job->set.family_guid, &job->set.database_guid);
    char folder[NAME_FOLDER_MAX];
    if (cd)
        str_copy(folder, sizeof(folder), cd->folder);
    else
        catalog_choose_folder(catalog, job->manifest.database, &job->set.family_guid, folder);
    uint32_t id;
    if (catalog_database_put(catalog, folder, job->manifest.database, &job->set.family_guid, &job->set.database_guid, &id, err) <
        0)
        return -1;
    manifest_set(&job->manifest.folder, folder);
    *ret_id = id;
    return 0;
}

static int number(struct job *job, struct catalog *catalog, uint32_t id, struct err *err) {
    if (job->manifest.sequence)
        return 0; /* found in the store: it keeps its place */
    struct catalog_entry newest = {.index = CATALOG_NONE};
    int rc = catalog_previous(catalog, id, &newest, err);
    if (rc < 0)
        return -1;
    char previous[STORE_NAME_MAX] = "";
    if (rc > 0)
        name_manifest(previous, &newest.backup);
    manifest_set(&job->manifest.previous, previous);
    job->manifest.sequence = catalog_database_at(catalog, id)->sequence + 1;
    return 0;
}

/* The store is put back here, after it was told what it did. */
static void put_store(struct job *job) {
    struct keeper *keeper = job->agent->keeper;
    if (job->store && job->err.class != ERR_NONE && !job->staging_failed)
        keeper_failed(keeper, job->store, &job->err);
    if (job->store)
        keeper_put_store(keeper, job->store);
    job->store = NULL;
}

/* Reading staging is what this job could not do, or could. */
static void note_staging(struct job *job) {
    struct agent *agent = job->agent;
    if (job->staging_failed)
        agent->staging_read_err = job->err;
    else if (job->shipped)
        err_clear(&agent->staging_read_err);
}

static void ship_again_later(struct job *job) {
    struct ship_queue *q = &job->db->ship[job->lane];
    double first = (double)job->agent->config->limits.retry_min_ms / 1000.0,
           most = (double)job->agent->config->limits.retry_max_ms / 1000.0;
    q->running = false;
    q->retry_s = q->retry_s <= 0 ? first : q->retry_s * 2 < most ? q->retry_s * 2 : most;
    q->retry_us = clock_mono_us() + (int64_t)(q->retry_s * 1e6);
    log_bind("database", job->entry.database);
    log_bind("run", job->entry.run_id);
    log_error(LOG_WARN, &job->err, "backup is staged, but not in the store yet; tried again", NULL);
    log_unbind(2);
    instruments_ship_failed(job->agent, &job->err);
    put_store(job);
}

static void queue_pop(struct job *job) {
    struct ship_queue *q = &job->db->ship[job->lane];
    park_pop(job->agent, job->db, job->lane);
    q->running = false;
    q->retry_s = 0;
    q->retry_us = 0;
}

static void committed(struct job *job) {
    struct agent *agent = job->agent;
    struct database *db = job->db;
    struct catalog *catalog = keeper_catalog(agent->keeper);
    struct err err;
    struct catalog_note note;
    uint32_t id = CATALOG_NONE;
    catalog_note_of(&job->manifest, &note);
    if (keeper_state(agent->keeper)->off_volume)
        job->set.flags |= BACKUP_OFF_VOLUME;
    if (holds_keep(agent, job->manifest.folder, &job->set, clock_wall()))
        job->set.flags |= BACKUP_HELD;
    if (!catalog) {
        keeper_catalog_stale(agent->keeper); /* the keeper's worker has it, and may have listed the store before */
    } else if (locate(job, catalog, &id, &err) < 0 ||
               catalog_append_noted(catalog, id, &job->set, &note, job->manifest.sequence, &err) < 0) {
        log_error(LOG_ERROR, &err, "catalog could not be extended; it is caught up from the store", NULL);
        keeper_catalog_stale(agent->keeper);
    }
    if (id != CATALOG_NONE)
        db->catalog_id = id;
    str_copy(db->folder, sizeof(db->folder), job->manifest.folder);
    databases_note_window(db);
    chain_tip_add(&db->committed, &job->set);
    databases_note_window(db);
    db->sets++;
    db->stored_bytes += job->set.stored_bytes;
    keeper_succeeded(agent->keeper, clock_wall());
    atomic_store(&job->progress.phase, JOB_DONE);
    databases_judge(agent, db, NULL, 0);
}

static void on_committed(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    struct agent *agent = job->agent;
    struct database *db = job->db;
    db->committing = false;
    struct job *waiting = db->commit_wait;
    db->commit_wait = NULL;
    if (job->committed) {
        put_store(job);
        committed(job);
        queue_pop(job);
        job_finish(job);
    } else {
        job->shipped = false; /* what stands in the store now is asked anew */
        ship_again_later(job);
    }
    if (waiting)
        submit_commit(waiting);
    job_ship_pending(agent);
}

static void commit_work(struct pool_item *item) {
    job_commit(container_of(item, struct job, item));
}

static struct pool *ship_pool(const struct job *job) {
    return job->lane == LANE_LOG ? job->agent->ship_log : job->agent->ship_data;
}

static void submit_commit(struct job *job) {
    struct database *db = job->db;
    if (atomic_load(&job->agent->stopping)) { /* pools are being freed; the next start goes on with it */
        keeper_put_store(job->agent->keeper, job->store);
        job->store = NULL;
        return;
    }
    if (db->committing) {
        db->commit_wait = job; /* the other lane's: each lane ships one at a time */
        return;
    }
    struct catalog *catalog = keeper_catalog(job->agent->keeper);
    uint32_t id;
    err_clear(&job->err);
    bool ok = catalog ? locate(job, catalog, &id, &job->err) == 0 && number(job, catalog, id, &job->err) == 0
                      : err_set(&job->err, ERR_STATE, "the catalog is being caught up from the store") == 0;
    if (catalog && !ok)
        keeper_catalog_stale(job->agent->keeper);
    job->item = (struct pool_item){.work = commit_work, .done = on_committed};
    if (ok && !pool_submit(ship_pool(job), &job->item))
        ok = err_set(&job->err, ERR_BUSY, "too many backups wait for the store") == 0;
    db->committing = ok;
    if (!ok) { /* nothing that the store did */
        keeper_put_store(job->agent->keeper, job->store);
        job->store = NULL;
        ship_again_later(job);
    }
}

/* ---- ship ---- */

/* Somebody removed the only copy. Those behind it go on, and a chain that the store cannot continue is seen and healed. */
static void lose(struct job *job) {
    struct agent *agent = job->agent;
    struct database *db = job->db;
    queue_pop(job);
    job_set_outcome(job, OUTCOME_FAILED, "staged_file_gone", NULL);
    databases_load_tips(agent, db);
    databases_judge(agent, db, NULL, 0);
    job_finish(job);
    job_ship_pending(agent);
}

static void on_shipped(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    note_staging(job);
    if (job->shipped) {
        job->set = job->manifest.backup;
        submit_commit(job); /* the store stays lent */
        return;
    }
    if (!job->lost) {
        ship_again_later(job);
        return;
    }
    put_store(job);
    lose(job);
}

static void ship_work(struct pool_item *item) {
    job_ship(container_of(item, struct job, item));
}

/* The oldest job of a lane, when nothing stands against it. One whose objects are in the store already only needs its commit. */
static void ship_next(struct agent *agent, struct database *db, enum lane lane) {
    struct ship_queue *q = &db->ship[lane];
    struct job *job = q->head;
    struct catalog *catalog = keeper_catalog(agent->keeper);
    if (!job || q->running || !catalog || q->retry_us > clock_mono_us())
        return;
    struct store *store = keeper_take_store(agent->keeper);
    if (!store)
        return;
    uint32_t id;
    job->store = store;
    job->item = (struct pool_item){.work = ship_work, .done = on_shipped};
    atomic_store(&job->cancel, false); /* whoever cancelled meant the statement; what is staged is shipped */
    if (locate(job, catalog, &id, &job->err) < 0) {
        keeper_put_store(agent->keeper, store);
        job->store = NULL;
        ship_again_later(job);
        keeper_catalog_stale(agent->keeper);
        return;
    }
    q->running = true;
    if (job->shipped) {
        submit_commit(job);
    } else if (!pool_submit(ship_pool(job), &job->item)) {
        keeper_put_store(agent->keeper, store);
        job->store = NULL;
        q->running = false;
    }
}

void job_ship_pending(struct agent *agent) {
    if (atomic_load(&agent->stopping)) /* pools are being freed */
        return;
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            ship_next(agent, agent->databases[i], lane);
}

void job_enqueue(struct job *job) {
    struct agent *agent = job->agent;
    park_append(&job->db->ship[job->lane], job);
    job_ship_pending(agent);
}
