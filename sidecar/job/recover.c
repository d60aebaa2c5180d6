/* SPDX-License-Identifier: Apache-2.0 */
/* Runs of an earlier life, and runs whose end nobody heard: one at a time per database and lane, oldest first. Loop thread. */
#include "sidecar/job/flow.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "sidecar/job/draft.h"
#include "sidecar/job/incarnation.h"
#include "sidecar/job/park.h"

#define RESUME_RETRY_US (5 * CLOCK_SECOND)
#define RESUME_MAX_US (5 * CLOCK_MINUTE)

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

/* A set that the store has keeps the incarnation that it was committed with. */
static bool committed_before(struct job *job) {
    const struct catalog *catalog = keeper_catalog(job->agent->keeper);
    const struct catalog_database *cd = catalog
                                            ? catalog_database_by_guid(catalog, &job->set.family_guid, &job->set.database_guid)
                                            : NULL;
    struct catalog_entry e;
    struct err ignored;
    if (!cd || catalog_find(catalog, cd->id, &job->set.set_guid, &e, &ignored) < 0)
        return false;
    job->set.incarnation = job->manifest.backup.incarnation = e.backup.incarnation;
    return true;
}

/* False while the chain that it is checked against is not known. */
static bool settle_incarnation(struct job *job) {
    struct database *db = job->db;
    if (!db->tips_known)
        databases_load_tips(job->agent, db);
    if (!db->tips_known)
        return false;
    if (committed_before(job))
        return true;
    if (job->settled)
        job->set.incarnation = job->manifest.backup.incarnation = job->entry.incarnation;
    else
        job->set.incarnation = job->manifest.backup.incarnation = incarnation_of(&job->entry, &job->set, &db->taken,
                                                                                 &job->verdict);
    return true;
}

static void ask_again(struct job *job) {
    log_bind("database", job->entry.database);
    log_bind("run", job->entry.run_id);
    log_error(LOG_WARN, &job->err, "what became of an interrupted backup is not known yet; asked again", NULL);
    log_unbind(2);
    job_resume_later(job);
}

/* An adopted one: its header said whose it is. */
static void find_owner(struct job *job) {
    if (!job->entry.database[0] || str_ieq(job->db->name, job->entry.database))
        return;
    job->db->recovering[job->lane]--;
    job->db = databases_find_or_add(job->agent, job->entry.database);
    job->db->recovering[job->lane]++;
}

static void on_resumed(struct pool_item *item) {
    struct job *job = container_of(item, struct job, item);
    struct agent *agent = job->agent;
    if (job->db->resuming == job)
        job->db->resuming = NULL;
    note_asked(job);
    if (not_settled(job)) {
        ask_again(job);
        return;
    }
    find_owner(job);
    if (job->taken && !settle_incarnation(job)) {
        job->taken = false;
        err_set(&job->err, ERR_STATE, "the catalog of the store is not there yet");
        ask_again(job);
        return;
    }
    job->db->recovering[job->lane]--;
    job->ambiguous = false;
    if (job->taken) {
        job_note_set(job);
        databases_judge(agent, job->db, NULL, 0);
        job_enqueue(job);
    } else {
        job_finish(job);
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
        job_resume_later(job);
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
void job_resume_later(struct job *job) {
    job->resume_pause_us = !job->resume_pause_us                  ? RESUME_RETRY_US
                           : job->resume_pause_us < RESUME_MAX_US ? 2 * job->resume_pause_us
                                                                  : RESUME_MAX_US;
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

/* Already on its way, by its draft? */
static bool under_way(const struct agent *agent, const char *run_id) {
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            if (park_has(&agent->databases[i]->ship[lane], run_id))
                return true;
    return false;
}

static void recover_orphans(struct agent *agent, const struct staged_file *files, unsigned count) {
    for (unsigned i = 0; i < count;) {
        unsigned n = 1;
        while (i + n < count && !strcmp(files[i + n].run_id, files[i].run_id))
            n++;
        bool journaled = false;
        for (unsigned k = 0; k < agent->recover_known_count && !journaled; k++)
            journaled = !strcmp(agent->recover_known[k].entry.run_id, files[i].run_id);
        /* the drafts may have been read after the list of known runs was made */
        if (!journaled && !under_way(agent, files[i].run_id)) {
            struct journal_entry entry = {
                .step = JOURNAL_PLANNED, .kind = files[i].kind, .stripes = n, .planned_at = clock_wall()};
            str_copy(entry.run_id, sizeof(entry.run_id), files[i].run_id);
            struct job *job = recover_one(agent, &entry, databases_find_or_add(agent, ""));
            job->orphan = true;
            agent->orphans_unasked++;
            await_resume(job);
        }
        i += n;
    }
}

static const struct journal_found *find(const struct journal_found *found, unsigned count, const char *run_id) {
    for (unsigned i = 0; i < count; i++)
        if (!strcmp(found[i].entry.run_id, run_id))
            return &found[i];
    return NULL;
}

/* One that is staged, and whose header was read before the restart. One that left the journal is known by its draft alone. */
static void recover_draft(struct agent *agent, const char *run_id, const struct journal_found *known) {
    struct err err;
    struct journal_entry entry = {.step = JOURNAL_TAKEN};
    str_copy(entry.run_id, sizeof(entry.run_id), run_id);
    if (known)
        entry = known->entry;
    if (entry.step != JOURNAL_TAKEN)
        return;
    struct job *job = job_new(agent, databases_find_or_add(agent, entry.database), LANE_LOG, ""); /* the draft says whose it is */
    job->entry = entry;
    if (draft_load(job, &err) < 0) {
        log_error(LOG_WARN, &err, "draft of a staged backup cannot be read; its header is read again", "run", run_id, NULL);
        job_free(job);
        return;
    }
    job->db = databases_find_or_add(agent, job->entry.database);
    job->lane = lane_of(job->entry.kind);
    job->options = scheduler_job_options(agent, job->db);
    str_copy(job->trigger, sizeof(job->trigger), job->entry.trigger);
    job->slot = known ? known->slot : 0;
    job->journaled = known != NULL;
    job->resumed = job->drafted = job->taken = true;
    job->outcome = OUTCOME_COMPLETED;
    job->begun_at = job->entry.planned_at;
    struct database *db = job->db;
    job_enqueue(job);
    if (db->tips_known) /* they were built before staging was there */
        databases_load_tips(agent, db);
}

/* Logs enter the tip and the store in their order; a run id tells it to the second only. */
struct draft_key {
    char *run_id;
    uint32_t incarnation;
    struct lsn last_lsn;
};

static int by_order(const void *a, const void *b) {
    const struct draft_key *x = a, *y = b;
    int c = strncmp(x->run_id, y->run_id, sizeof("20261121T024700Z") - 1);
    if (!c && x->incarnation != y->incarnation)
        c = x->incarnation < y->incarnation ? -1 : 1;
    return c ? c : lsn_cmp(x->last_lsn, y->last_lsn);
}

static struct draft_key *drafts_in_order(struct agent *agent, unsigned *ret_count) {
    char **names = draft_list(agent, ret_count);
    struct draft_key *keys = mem_array(*ret_count + 1, sizeof(*keys));
    for (unsigned i = 0; i < *ret_count; i++) {
        struct job *job = job_new(agent, databases_find_or_add(agent, ""), LANE_LOG, "");
        struct err ignored; /* told when it is recovered */
        str_copy(job->entry.run_id, sizeof(job->entry.run_id), names[i]);
        keys[i].run_id = names[i];
        if (draft_load(job, &ignored) == 0) {
            keys[i].incarnation = job->set.incarnation;
            keys[i].last_lsn = job->set.last_lsn;
        }
        job_free(job);
    }
    if (*ret_count)
        qsort(keys, *ret_count, sizeof(*keys), by_order);
    mem_free(names);
    return keys;
}

void job_recover_drafts(struct agent *agent) {
    unsigned known_count, count;
    if (agent->drafts_recovered)
        return;
    agent->drafts_recovered = true;
    struct journal_found *known = journal_list(agent->journal, &known_count);
    struct draft_key *drafts = drafts_in_order(agent, &count);
    for (unsigned i = 0; i < count; i++) {
        recover_draft(agent, drafts[i].run_id, find(known, known_count, drafts[i].run_id));
        mem_free(drafts[i].run_id);
    }
    if (count) {
        char n[16];
        str_format(n, sizeof(n), "%u", count);
        log_event(LOG_WARN, "backups of an earlier run are staged; shipping them", "count", n, NULL);
    }
    mem_free(drafts);
    mem_free(known);
}

/* Runs that are on their way without the journal: they, too, are no orphans. */
static void note_under_way(void *user, const char *run_id) {
    struct agent *agent = user;
    struct journal_found *f;
    if (find(agent->recover_known, agent->recover_known_count, run_id))
        return;
    agent->recover_known = mem_realloc(agent->recover_known, (agent->recover_known_count + 1) * sizeof(*f));
    f = &agent->recover_known[agent->recover_known_count++];
    *f = (struct journal_found){.slot = UINT_MAX};
    str_copy(f->entry.run_id, sizeof(f->entry.run_id), run_id);
}

bool job_recover_begin(struct agent *agent) {
    if (!agent->server_listed || agent->recovery_begun)
        return false;
    mem_free(agent->recover_known);
    agent->recover_known = journal_list(agent->journal, &agent->recover_known_count);
    agent->recover_journaled = agent->recover_known_count;
    for (size_t i = 0; i < agent->database_count; i++)
        for (enum lane lane = 0; lane < LANE_COUNT; lane++)
            park_each_run(&agent->databases[i]->ship[lane], note_under_way, agent);
    return true;
}

void job_recover_late(struct agent *agent, struct database *db, enum lane lane, const struct journal_entry *entry, bool journaled,
                      unsigned slot) {
    struct job *job = recover_one(agent, entry, db);
    job->lane = lane;
    job->settled = true;
    job->journaled = journaled;
    job->slot = slot;
    await_resume(job);
}

void job_recover_all(struct agent *agent, const struct staged_file *files, unsigned file_count) {
    const struct journal_found *found = agent->recover_known;
    unsigned count = agent->recover_journaled;
    agent->recovery_begun = true;
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
    recover_orphans(agent, files, file_count);
    mem_free(agent->recover_known);
    agent->recover_known = NULL;
    agent->recover_known_count = 0;
    job_recover_tick(agent);
}
