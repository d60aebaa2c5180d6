/* SPDX-License-Identifier: Apache-2.0 */
/* RESTORE VERIFYONLY of every backup of a plan. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/fetch.h"
#include "common/restore/probe.h"
#include "common/restore/trial_int.h"
#include "common/sql/backup.h"
#include "common/sql/errors.h"

#define RESERVE_MAX (UINT64_C(1) << 30) /* of the staging volume, left free */
#define FOLDERS 16 /* so many may verify in one staging directory at once */

struct job {
    const struct restore_env *env;
    struct trial_sets *out;
    struct backup *sets;
    size_t count;
    struct sql_session *session;
    struct restore_staging staging;
    struct restore_budget budget;
    bool has_budget;
    unsigned fetches; /* begun so far: names of staged files */
};

void trial_sets_done(struct trial_sets *sets) {
    mem_free(sets->items);
    *sets = (struct trial_sets){0};
}

/* ---- the plan ---- */

static int plan_from(struct job *job, const struct trial_request *request, const struct source_history *h, struct err *err) {
    struct chain_history order;
    struct chain_refusal refusal;
    struct chain_plan plan;
    trial_target(request, h, &job->out->target);
    chain_history_init(&order, h->sets, h->count);
    const struct chain_plan_request q = {.history = &order,
                                         .known = h->holes,
                                         .known_count = h->hole_count,
                                         .quiet_until_at = h->quiet_until_at,
                                         .target = job->out->target,
                                         .marks = h->marks,
                                         .mark_count = h->mark_count,
                                         .now = clock_wall()};
    bool good = chain_plan_build(&q, &plan, &refusal);
    if (good) {
        job->sets = mem_array(plan.count + 1, sizeof(*job->sets));
        for (size_t i = 0; i < plan.count; i++)
            job->sets[job->count++] = h->sets[plan.members[i].set];
        chain_plan_done(&plan);
    } else {
        chain_refusal_err(&refusal, err);
    }
    chain_history_done(&order);
    job->out->planned = job->count;
    return good ? 0 : -1;
}

static int make_plan(struct job *job, const struct trial_request *request, struct err *err) {
    struct source_database db;
    struct source_history history;
    if (trial_find(job->env->source, request->database, &db, err) < 0)
        return -1;
    str_copy(job->out->database, sizeof(job->out->database), db.name);
    str_copy(job->out->folder, sizeof(job->out->folder), db.folder);
    job->out->random = request->random;
    job->out->seed = request->seed;
    bool marks = !request->random && request->target.kind == CHAIN_TO_MARK;
    if (source_history(job->env->source, db.folder, marks, &history, err) < 0)
        return -1;
    int rc = plan_from(job, request, &history, err);
    source_history_done(&history);
    return rc;
}

/* ---- staging ---- */

/* Nothing is durable here: what a run that was killed left in its folder goes when the next one takes the folder. */
static int take_folder(struct job *job, struct err *err) {
    int rc = -1;
    for (unsigned i = 1; i <= FOLDERS; i++) {
        char id[RESTORE_ID_MAX];
        str_format(id, sizeof(id), "verify-only-%u", i);
        rc = restore_staging_make(job->env->staging_local, job->env->staging_server, id, &job->staging, err);
        if (rc == 0 || err->class != ERR_BUSY)
            break;
    }
    return rc;
}

static int open_staging(struct job *job, struct err *err) {
    struct file_space space;
    uint64_t limit = job->env->staging_bytes;
    if (sql_session_open(job->env->sql, &job->session, err) < 0)
        return err_context(err, "the instance that verifies");
    if (take_folder(job, err) < 0 || file_space_of(job->env->staging_local, &space, err) < 0 ||
        restore_staging_probe(job->session, &job->staging, err) < 0)
        return -1;
    uint64_t reserve = space.total_bytes / 20 < RESERVE_MAX ? space.total_bytes / 20 : RESERVE_MAX;
    if (!limit)
        limit = space.free_bytes > reserve ? space.free_bytes - reserve : 0;
    restore_budget_init(&job->budget, limit);
    job->has_budget = true;
    return 0;
}

static void close_staging(struct job *job) {
    if (job->has_budget)
        restore_budget_done(&job->budget);
    if (job->staging.lock_fd > 0)
        restore_staging_remove(&job->staging);
    restore_staging_done(&job->staging);
    sql_session_close(job->session);
    mem_free(job->sets);
}

/* ---- one backup after the other ---- */

static int is_cancelled(const struct job *job, struct err *err) {
    if (job->env->cancel && atomic_load(job->env->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    return 0;
}

/* -1: it is not about this backup, nothing goes on. */
static int verify_one(struct job *job, const struct restore_staged *staged, struct trial_set *set, struct err *err) {
    const struct sql_call call = {.timeout_s = SQL_TIMEOUT_NONE, .cancel = job->env->cancel};
    int64_t begun = clock_mono_us();
    set->plain_bytes = staged->plain_bytes;
    int rc = sql_verify(job->session, staged->paths, staged->path_count, &call, &set->err);
    set->verify_ms = (clock_mono_us() - begun) / 1000;
    if (rc == 0)
        return 0;
    job->out->bad++;
    if (set->err.class == ERR_CORRUPT || sql_err_reaction(&set->err) == SQL_MEDIA)
        return 0;
    err_copy(err, &set->err);
    return -1;
}

static int begin_fetch(struct job *job, size_t from, struct restore_fetch **ret_fetch, struct err *err) {
    char stem[32];
    str_format(stem, sizeof(stem), "v%u", ++job->fetches);
    const struct restore_fetch_spec spec = {.source = job->env->source,
                                            .folder = job->out->folder,
                                            .sets = job->sets + from,
                                            .count = job->count - from,
                                            .local_dir = job->staging.local,
                                            .server_dir = job->staging.server,
                                            .stem = stem,
                                            .mode = job->staging.file_mode,
                                            .budget = &job->budget,
                                            .cancel = job->env->cancel};
    return restore_fetch_start(&spec, ret_fetch, err);
}

/* From `from` until all are done, or one cannot be had: *ret_next is the one behind. */
static int verify_from(struct job *job, size_t from, size_t *ret_next, struct err *err) {
    struct restore_fetch *fetch = NULL;
    int rc = begin_fetch(job, from, &fetch, err);
    bool bad = false;
    size_t n = from;
    while (rc == 0 && !bad && n < job->count) {
        struct restore_staged staged;
        struct trial_set *set = &job->out->items[n];
        *set = (struct trial_set){.kind = job->sets[n].kind, .set = job->sets[n].set_guid, .finish_at = job->sets[n].finish_at};
        err_clear(&set->err);
        rc = is_cancelled(job, err);
        if (rc == 0 && restore_fetch_wait(fetch, n - from, &staged, &bad, &set->err) == 0) {
            rc = verify_one(job, &staged, set, err);
            restore_fetch_drop(fetch, n - from);
        } else if (rc == 0 && bad) {
            job->out->bad++;
        } else if (rc == 0) {
            err_copy(err, &set->err);
            rc = -1;
        }
        n++;
    }
    job->out->count = n;
    restore_fetch_free(fetch);
    *ret_next = n;
    return rc;
}

static int verify_all(struct job *job, struct err *err) {
    struct trial_sets *out = job->out;
    out->items = mem_array(job->count + 1, sizeof(*out->items));
    for (size_t next = 0; next < job->count;)
        if (verify_from(job, next, &next, err) < 0)
            return -1;
    if (!out->bad)
        return 0;
    for (size_t i = 0; i < out->count; i++)
        if (out->items[i].err.class != ERR_NONE)
            return err_set(err, ERR_CORRUPT, "%zu of %zu backups of '%s' %s not good, the first: %s", out->bad, out->planned,
                           out->database, out->bad == 1 ? "is" : "are", out->items[i].err.text);
    return 0;
}

int restore_trial_sets(const struct restore_env *env, const struct trial_request *request, struct trial_sets *ret_sets,
                       struct err *err) {
    struct job job = {.env = env, .out = ret_sets};
    *ret_sets = (struct trial_sets){0};
    int rc = make_plan(&job, request, err);
    if (rc == 0)
        rc = open_staging(&job, err);
    if (rc == 0)
        rc = verify_all(&job, err);
    close_staging(&job);
    return rc;
}
