/* SPDX-License-Identifier: Apache-2.0 */
/* What comes after what. Loop thread: jobs come back from the workers here and are sent on. */
#include "sidecar/job/job.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/errors.h"
#include "sidecar/instruments.h"
#include "sidecar/job/draft.h"
#include "sidecar/request.h"

#define RESUME_RETRY_US (5 * CLOCK_SECOND)
#define RESUME_MAX_US (5 * CLOCK_MINUTE)
#define RETRY_US (15 * CLOCK_SECOND)
#define RETRY_MAX_US CLOCK_HOUR

static void submit_commit(struct job *job);

/* ---- the end of a job ---- */

static void remember_result(struct job *job) {
    struct database *db = job->db;
    enum backup_kind kind = job->taken || job->journaled || job->decision.action == CHAIN_ACTION_TAKE ? job->entry.kind : job->lane == LANE_LOG ? BACKUP_LOG : job->due.diff && !job->due.full ? BACKUP_DIFF : BACKUP_FULL;
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
        log_event(LOG_INFO, "backup committed", "kind", kind, "trigger", job->entry.trigger, "reason", job->entry.reason, "stored_bytes", bytes, "ms", took, NULL);
        break;
    case OUTCOME_FAILED:
        log_error(LOG_ERROR, &job->err, "backup failed", "kind", kind, "reason", job->reason, NULL);
        break;
    case OUTCOME_QUIET:
        log_event(LOG_DEBUG, "nothing was committed since the last log backup", NULL);
        break;
    default:
        log_event(job->request || strcmp(job->trigger, "healing") ? LOG_INFO : LOG_DEBUG, job->outcome == OUTCOME_SKIPPED ? "backup skipped" : "backup deferred", "reason", job->reason, "detail", job->err.text, NULL);
        break;
    }
    log_unbind(8);
}

static void finish(struct job *job) {
    struct agent *agent = job->agent;
    tell(job);
    remember_result(job);
    instruments_finished(agent, job);
    if (job->request)
        request_item_finished(agent, job->request, job);
    job_free(job);
    scheduler_wake(agent);
}

void job_refuse(struct agent *agent, struct database *db, struct request_item *item, enum lane lane, enum outcome outcome, const char *reason,
                const char *text) {
    struct job *job = job_new(agent, db, lane, item->request->trigger);
    job->info = db->info;
    request_item_started(item, job);
    job_set_outcome(job, outcome, reason, text);
    finish(job);
}

/* ---- commit ---- */

/* The folder of the set's chain in the store, the number and the predecessor of the commit. */
static int locate(struct job *job, struct catalog *catalog, uint32_t *ret_id, struct err *err) {
    const struct catalog_database *cd = catalog_database_by_guid(catalog, &job->set.family_guid, &job->set.database_guid);
    char folder[NAME_FOLDER_MAX];
    if (cd)
        str_copy(folder, sizeof(folder), cd->folder);
    else
        catalog_choose_folder(catalog, job->manifest.database, &job->set.family_guid, folder);
    uint32_t id;
    if (catalog_database_put(catalog, folder, job->manifest.database, &job->set.family_guid, &job->set.database_guid, &id, err) < 0)
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

static void ship_again_later(struct job *job) {
    struct ship_queue *q = &job->db->ship[job->lane];
    double first = (double)job->agent->config->limits.retry_min_ms / 1000.0, most = (double)job->agent->config->limits.retry_max_ms / 1000.0;
    q->running = false;
    q->retry_s = q->retry_s <= 0 ? first : q->retry_s * 2 < most ? q->retry_s * 2 : most;
    q->retry_us = clock_mono_us() + (int64_t)(q->retry_s * 1e6);
    log_bind("database", job->entry.database);
    log_bind("run", job->entry.run_id);
    log_error(LOG_WARN, &job->err, "backup is staged, but not in the store yet; tried again", NULL);
    log_unbind(2);
    instruments_ship_failed(job->agent, &job->err);
    keeper_failed(job->agent->keeper, &job->err);
}

static void queue_pop(struct job *job) {
    struct ship_queue *q = &job->db->ship[job->lane];
    q->head = job->next;
    if (!q->head)
        q->tail = NULL;
    q->running = false;
    q->retry_s = 0;
    q->retry_us = 0;
    job->next = NULL;
}

static void committed(struct job *job) {
    struct agent *agent = job->agent;
    struct database *db = job->db;
    struct catalog *catalog = keeper_catalog(agent->keeper);
    struct err err;
    uint32_t id = CATALOG_NONE;
    if (keeper_state(agent->keeper)->off_volume)
        job->set.flags |= BACKUP_OFF_VOLUME;
    if (!catalog) {
        keeper_catalog_stale(agent->keeper); /* the keeper's worker has it, and may have listed the store before */
    } else if (locate(job, catalog, &id, &err) < 0 || catalog_append(catalog, id, &job->set, job->manifest.sequence, &err) < 0) {
        log_error(LOG_ERROR, &err, "catalog could not be extended; it is caught up from the store", NULL);
        keeper_catalog_stale(agent->keeper);
    }
    if (id != CATALOG_NONE)
        db->catalog_id = id;
    str_copy(db->folder, sizeof(db->folder), job->manifest.folder);
    chain_tip_add(&db->committed, &job->set);
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
    keeper_put_store(agent->keeper, job->store);
    job->store = NULL;
    db->committing = false;
    struct job *waiting = db->commit_wait;
    db->commit_wait = NULL;
    if (job->committed) {
        committed(job);
        queue_pop(job);
        finish(job);
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
    if (!ok) {
        keeper_put_store(job->agent->keeper, job->store);
        job->store = NULL;
        ship_again_later(job);
    }
}

/* ---- ship ---- */

static bool staged_gone(const struct job *job) {
    bool there = true;
    for (uint32_t i = 0; there && i < job->entry.stripes; i++) {
        _cleanup_free_ char *name = staging_file_name(job->entry.run_id, job->entry.kind, i, job->entry.stripes);
        _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), name);
        there = file_exists(path);
    }
    return !there;
}

/* Somebody removed the only copy. Those behind it go on, and a chain that the store cannot continue is seen and healed. */
static void lose(struct job *job) {
    struct agent *agent = job->agent;
    struct database *db = job->db;
    queue_pop(job);
    job_clean(job);
    job_set_outcome(job, OUTCOME_FAILED, "staged_file_gone", NULL);
    databases_load_tips(agent, db);
    databases_judge(agent, db, NULL, 0);
    finish(job);
    job_ship_pending(agent);
}

static void on_shipped(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    if (job->shipped) {
        job->set = job->manifest.backup;
        submit_commit(job); /* the store stays lent */
        return;
    }
    keeper_put_store(job->agent->keeper, job->store);
    job->store = NULL;
    if (job->err.class == ERR_NOT_FOUND && staged_gone(job))
        lose(job);
    else
        ship_again_later(job);
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

static void enqueue(struct job *job) {
    struct ship_queue *q = &job->db->ship[job->lane];
    job->next = NULL;
    if (q->tail)
        q->tail->next = job;
    else
        q->head = job;
    q->tail = job;
    job_ship_pending(job->agent);
}

/* ---- take ---- */

static void note_set(struct job *job) {
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
    if (!job->decision.unplanned || !job->entry.run_id[0])
        return;
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
    const bool carried[POLICY_KIND_COUNT] = {[POLICY_FULL] = job->due.full, [POLICY_DIFF] = job->due.diff, [POLICY_LOG] = job->due.log};
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

static void resume_later(struct job *job);

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
        note_set(job);
        databases_judge(agent, db, NULL, 0);
    }
    if (job->err.class == ERR_CONNECT)
        discover_soon(agent);
    if (job->ambiguous) {
        db->recovering[job->lane]++;
        job->asked_us = clock_mono_us();
        resume_later(job);
        return;
    }
    if (job->taken) {
        databases_skip(db, "", "");
        enqueue(job);
        return;
    }
    plan_retry(job);
    if (job->to_data_lane && job->request && !agent->draining) {
        request_item_moved(job->request, job->decision.kind); /* served there at the next tick */
        job->request = NULL;
    }
    finish(job);
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

/* ---- resume ---- */

/* Is there still something to find out? A file that is damaged for good is not: it stays for people, and the chain heals behind it. */
static bool not_settled(const struct job *job) {
    if (job->outcome == OUTCOME_DEFERRED)
        return true;
    return job->outcome == OUTCOME_FAILED && !job->taken && strcmp(job->reason, "interrupted") && job->err.class != ERR_CORRUPT &&
           job->err.class != ERR_CONFLICT;
}

/* Until each orphan was asked about once, a new log could begin behind one that is staged and not known. */
static void note_asked(struct job *job) {
    if (job->orphan)
        job->agent->orphans_unasked--;
    job->orphan = false;
}

static void on_resumed(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    struct agent *agent = job->agent;
    if (job->db->resuming == job)
        job->db->resuming = NULL;
    note_asked(job);
    if (not_settled(job)) {
        log_bind("database", job->entry.database);
        log_bind("run", job->entry.run_id);
        log_error(LOG_WARN, &job->err, "what became of an interrupted backup is not known yet; asked again", NULL);
        log_unbind(2);
        resume_later(job);
        return;
    }
    job->db->recovering[job->lane]--;
    if (job->entry.database[0] && !str_ieq(job->db->name, job->entry.database))
        job->db = databases_find_or_add(agent, job->entry.database); /* an adopted one: its header said whose it is */
    job->ambiguous = false;
    if (job->taken) {
        note_set(job);
        databases_judge(agent, job->db, NULL, 0);
        enqueue(job);
    } else {
        finish(job);
    }
    scheduler_wake(agent);
}

static void resume_work(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    job->outcome = OUTCOME_NONE;
    err_clear(&job->err);
    manifest_done(&job->manifest);
    manifest_init(&job->manifest);
    if (job->entry.database[0])
        job_resume(job);
    else
        job_adopt(job);
}

static void submit_resume(struct job *job) {
    struct agent *agent = job->agent;
    job->server = agent->server;
    if (job->db->present)
        job->info = job->db->info;
    atomic_store(&job->cancel, atomic_load(&agent->stopping)); /* it meant the statement, not finding out about it */
    job->item = (struct pool_item){.work = resume_work, .done = on_resumed};
    if (pool_submit(agent->log, &job->item))
        job->db->resuming = job;
    else
        resume_later(job);
}

/* In the agent's list, oldest first. */
static void await_resume(struct job *job) {
    struct job **p = &job->agent->resuming;
    while (*p && (*p)->entry.planned_at <= job->entry.planned_at)
        p = &(*p)->next;
    job->next = *p;
    *p = job;
}

/* Waits in the agent's list; job_recover_tick() takes it up. */
static void resume_later(struct job *job) {
    job->resume_pause_us = !job->resume_pause_us ? RESUME_RETRY_US : job->resume_pause_us < RESUME_MAX_US ? 2 * job->resume_pause_us : RESUME_MAX_US;
    job->resume_us = clock_mono_us() + job->resume_pause_us;
    await_resume(job);
}

/* One at a time per database, oldest first: logs enter the tip and the store in their order. */
static bool may_resume(const struct job *job, const struct job *waiting, int64_t now_us) {
    if (job->db->resuming || job->resume_us > now_us)
        return false;
    for (; waiting && waiting != job; waiting = waiting->next)
        if (waiting->db == job->db && waiting->lane == job->lane)
            return false;
    return true;
}

void job_recover_tick(struct agent *agent) {
    int64_t now_us = clock_mono_us();
    struct job **p = &agent->resuming;
    while (*p) {
        struct job *job = *p;
        if (!may_resume(job, agent->resuming, now_us)) {
            p = &job->next;
            continue;
        }
        *p = job->next;
        job->next = NULL;
        submit_resume(job); /* when the queue is full it comes back to its place, to be asked later */
    }
}

static struct job *recover_one(struct agent *agent, const struct journal_entry *entry, struct database *db) {
    struct job *job = job_new(agent, db, lane_of(entry->kind), entry->trigger);
    job->entry = *entry;
    job->resumed = true;
    job->asked_us = job->begun_us;
    job->options = scheduler_job_options(agent, db);
    db->recovering[job->lane]++;
    return job;
}

static void recover_orphans(struct agent *agent, const struct journal_found *known, unsigned known_count) {
    struct staged_file *files = NULL;
    unsigned count = 0;
    struct err err;
    if (staging_scan(agent->staging, &files, &count, &err) < 0) {
        log_error(LOG_ERROR, &err, "staging could not be scanned", NULL);
        return;
    }
    for (unsigned i = 0; i < count;) {
        unsigned n = 1;
        while (i + n < count && !strcmp(files[i + n].run_id, files[i].run_id))
            n++;
        bool journaled = false;
        for (unsigned k = 0; k < known_count && !journaled; k++)
            journaled = !strcmp(known[k].entry.run_id, files[i].run_id);
        if (!journaled) {
            struct journal_entry entry = {.step = JOURNAL_PLANNED, .kind = files[i].kind, .stripes = n, .planned_at = clock_wall()};
            str_copy(entry.run_id, sizeof(entry.run_id), files[i].run_id);
            struct job *job = recover_one(agent, &entry, databases_find_or_add(agent, ""));
            job->orphan = true;
            agent->orphans_unasked++;
            await_resume(job);
        }
        i += n;
    }
    mem_free(files);
}

/* Already on its way, by its draft? */
static bool under_way(const struct agent *agent, const char *run_id) {
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            for (const struct job *job = agent->databases[i]->ship[lane].head; job; job = job->next)
                if (!strcmp(job->entry.run_id, run_id))
                    return true;
    return false;
}

void job_recover_drafts(struct agent *agent) {
    unsigned count;
    struct journal_found *found = journal_list(agent->journal, &count);
    for (unsigned i = 0; i < count; i++) {
        struct err err;
        struct database *db = databases_find_or_add(agent, found[i].entry.database);
        struct job *job = recover_one(agent, &found[i].entry, db);
        db->recovering[job->lane]--; /* nothing has to be asked */
        job->slot = found[i].slot;
        job->journaled = true;
        if (job->entry.step != JOURNAL_TAKEN || draft_load(job, &err) < 0 ||
            staging_sync(agent->staging, job->entry.run_id, job->entry.kind, job->entry.stripes, &job->staged_bytes, &err) < 0) {
            job_free(job);
            continue;
        }
        log_event(LOG_WARN, "backup of an earlier run is staged; shipping it", "database", db->name, "run", job->entry.run_id, NULL);
        job->taken = true;
        job->outcome = OUTCOME_COMPLETED;
        enqueue(job);
    }
    mem_free(found);
}

void job_recover_all(struct agent *agent) {
    unsigned count;
    struct journal_found *found = journal_list(agent->journal, &count);
    for (unsigned i = 0; i < count; i++) {
        if (under_way(agent, found[i].entry.run_id))
            continue;
        struct job *job = recover_one(agent, &found[i].entry, databases_find_or_add(agent, found[i].entry.database));
        job->slot = found[i].slot;
        job->journaled = true;
        await_resume(job);
    }
    if (count) {
        char n[16];
        str_format(n, sizeof(n), "%u", count);
        log_event(LOG_WARN, "backups of an earlier run are not through yet; going on with them", "count", n, NULL);
    }
    recover_orphans(agent, found, count);
    mem_free(found);
    job_recover_tick(agent);
}

/* ---- questions ---- */

unsigned job_unshipped(const struct agent *agent, int64_t *ret_oldest_at) {
    unsigned n = 0;
    int64_t oldest = 0;
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            for (struct job *job = agent->databases[i]->ship[lane].head; job; job = job->next) {
                n++;
                if (!oldest || job->entry.planned_at < oldest)
                    oldest = job->entry.planned_at;
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
        if (db->running[LANE_DATA] || db->running[LANE_LOG] || db->ship[LANE_DATA].head || db->ship[LANE_LOG].head || db->recovering[LANE_DATA] ||
            db->recovering[LANE_LOG])
            return true;
    }
    return agent->requests != NULL;
}
