/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tail of a database that is restored over goes the way of every log backup: draft, journal, staging, store, catalog. The
 * engine's own file stays until the commit, so at any moment of a crash there is at least one way to find it again: the
 * engine gives it once more, and it is recognised by its set.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/tail.h"
#include "sidecar/job/draft.h"
#include "sidecar/job/flow.h"
#include "sidecar/restore/runs_int.h"

#define COPY_BYTES (1u << 20)

struct tail_call {
    struct agent *agent;
    const struct restore_tail *tail;
    struct job *job; /* the loop has not seen this set: it must be staged; the loop's again from `taken` on */
    bool taken;
    uint32_t incarnation; /* of the chain that it ends */
};

/* ---- on the loop ---- */

static void on_finish(struct job *job) {
    struct handoff_call *call = job->finish_user;
    struct err err = job->err;
    if (job->outcome == OUTCOME_COMPLETED)
        err_clear(&err);
    else if (err.class == ERR_NONE)
        err_set(&err, ERR_STATE, "the tail was not shipped: %s", job->reason);
    handoff_end(call, &err);
}

static void await(struct job *job, struct handoff_call *call) {
    job->on_finish = on_finish;
    job->finish_user = call;
}

static struct job *under_way(const struct agent *agent, const struct guid *set) {
    for (size_t i = 0; i < agent->database_count; i++)
        for (struct job *job = agent->databases[i]->ship[LANE_LOG].head; job; job = job->next)
            if (guid_eq(&job->set.set_guid, set))
                return job;
    return NULL;
}

static bool committed(struct agent *agent, const struct backup *set) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = catalog ? catalog_database_by_guid(catalog, &set->family_guid, &set->database_guid)
                                                : NULL;
    struct catalog_entry entry;
    struct err ignored;
    return cd && catalog_find(catalog, cd->id, &set->set_guid, &entry, &ignored) == 0;
}

/* A chain that goes on in several databases of one family is known by its fork. */
static uint32_t incarnation_of(const struct agent *agent, const struct backup *set) {
    for (size_t i = 0; i < agent->database_count; i++) {
        const struct database *db = agent->databases[i];
        if (guid_eq(&db->server.family_guid, &set->family_guid) && guid_eq(&db->server.database_guid, &set->database_guid))
            return db->taken.path.incarnation;
    }
    return set->incarnation;
}

static void look(struct handoff_call *call, void *arg) {
    struct tail_call *t = arg;
    struct err none;
    err_clear(&none);
    struct job *job = under_way(t->agent, &t->tail->set.set_guid);
    t->incarnation = incarnation_of(t->agent, &t->tail->set);
    if (job) {
        await(job, call);
        return;
    }
    if (!committed(t->agent, &t->tail->set))
        t->job = job_new(t->agent, databases_find_or_add(t->agent, t->tail->database), LANE_LOG, "restore");
    handoff_end(call, &none);
}

static void enqueue(struct handoff_call *call, void *arg) {
    struct tail_call *t = arg;
    struct job *job = t->job;
    t->taken = true;
    job->info = job->db->info;
    job->options = scheduler_job_options(t->agent, job->db);
    job->taken = true;
    job->outcome = OUTCOME_COMPLETED; /* so far: the commit has the last word */
    await(job, call);
    databases_taken(job->db, &job->set);
    job_enqueue(job);
}

/* ---- on the engine's thread ---- */

static int copy_bytes(int from, int to, const char *path, struct err *err) {
    _cleanup_free_ char *block = mem_array(COPY_BYTES, 1);
    ssize_t n;
    while ((n = file_read_full(from, block, COPY_BYTES, err)) > 0)
        for (ssize_t done = 0, w; done < n; done += w)
            if ((w = write(to, block + done, (size_t)(n - done))) < 0)
                return err_os(err, ERR_NONE, errno, "write %s", path);
    return n < 0 ? -1 : 0;
}

static int copy(const char *from, const char *to, struct err *err) {
    int in = open(from, O_RDONLY | O_CLOEXEC);
    if (in < 0)
        return err_os(err, ERR_NONE, errno, "open %s", from);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0660);
    int rc = out < 0 ? err_os(err, ERR_NONE, errno, "create %s", to) : copy_bytes(in, out, to, err);
    close(in);
    if (out >= 0 && close(out) < 0 && rc == 0)
        rc = err_os(err, ERR_NONE, errno, "close %s", to);
    return rc;
}

/* A second name where the file system has such a thing, else a second file. */
static int stage(struct job *job, const struct restore_tail *tail, struct err *err) {
    _cleanup_free_ char *name = staging_file_name(job->entry.run_id, BACKUP_LOG, 0, 1);
    _cleanup_free_ char *path = file_join(staging_path(job->agent->staging), name);
    if (link(tail->local_path, path) < 0 && copy(tail->local_path, path, err) < 0) {
        unlink(path);
        return -1;
    }
    return staging_sync(job->agent->staging, job->entry.run_id, BACKUP_LOG, 1, &job->staged_bytes, err);
}

/* The tail's manifest as a draft of this run; what is read back is a copy of our own. */
static int take_manifest(struct job *job, const struct restore_tail *tail, struct err *err) {
    manifest_done(&job->manifest);
    job->manifest = tail->manifest; /* its texts are borrowed, but for those that change */
    job->manifest.backup = job->set;
    job->manifest.run_id = mem_strdup(job->entry.run_id);
    job->manifest.reason = mem_strdup(job->entry.reason);
    job->manifest.trigger = mem_strdup(job->entry.trigger);
    job->manifest.folder = mem_strdup("");
    job->manifest.objects = NULL;
    job->manifest.object_count = 0;
    int rc = draft_save(job, err);
    mem_free(job->manifest.run_id);
    mem_free(job->manifest.reason);
    mem_free(job->manifest.trigger);
    mem_free(job->manifest.folder);
    manifest_init(&job->manifest);
    return rc < 0 ? -1 : draft_load(job, err);
}

static void fill_entry(struct job *job, const struct restore_tail *tail, int64_t now) {
    job->entry = (struct journal_entry){
        .step = JOURNAL_TAKEN,
        .kind = BACKUP_LOG,
        .flags = BACKUP_TAIL,
        .stripes = 1,
        .incarnation = job->set.incarnation,
        .utc_offset_s = job->set.utc_offset_s,
        .planned_at = now,
        .family_guid = job->set.family_guid,
        .database_guid = job->set.database_guid,
    };
    staging_run_id(job->entry.run_id, BACKUP_LOG, now);
    str_copy(job->entry.database, sizeof(job->entry.database), tail->database);
    str_copy(job->entry.trigger, sizeof(job->entry.trigger), "restore");
    str_copy(job->entry.reason, sizeof(job->entry.reason), "tail");
}

/* The journal knows the run before its file is there: a file without an entry would be taken for somebody's. */
static int prepare(struct job *job, const struct restore_tail *tail, uint32_t incarnation, struct err *err) {
    job->set = tail->set;
    job->set.incarnation = incarnation;
    job->set.flags |= BACKUP_TAIL;
    job->set.stripes = 1;
    fill_entry(job, tail, clock_wall());
    if (take_manifest(job, tail, err) < 0 || journal_add(job->agent->journal, &job->entry, &job->slot, err) < 0)
        return -1;
    job->journaled = true;
    return stage(job, tail, err);
}

int run_ship_tail(void *user, const struct restore_tail *tail, struct err *err) {
    struct run *run = user;
    struct handoff *handoff = run->agent->restores->handoff;
    struct tail_call t = {.agent = run->agent, .tail = tail};
    /* whoever cancels does not mean the only copy of the last commits: it gets to where it is shipped from */
    if (handoff_must(handoff, look, &t, &run->cancel, err) < 0)
        return err_context(err, "tail of database '%s'", tail->database);
    if (!t.job)
        return 0;
    if (prepare(t.job, tail, t.incarnation, err) < 0) {
        job_clean(t.job); /* the engine has its own file */
        job_free(t.job);
        return err_context(err, "tail of database '%s'", tail->database);
    }
    log_event(LOG_INFO, "tail of the log is taken; shipping it", "restore", run->ticket.id, "database", tail->database, "run",
              t.job->entry.run_id, NULL);
    int rc = handoff_must(handoff, enqueue, &t, &run->cancel, err);
    if (!t.taken)
        job_free(t.job); /* the program ends: the journal has it */
    return rc < 0 ? err_context(err, "tail of database '%s'", tail->database) : 0;
}
