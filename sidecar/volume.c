/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/volume.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/pool.h"
#include "sidecar/conditions.h"
#include "sidecar/job/draft.h"
#include "sidecar/job/job.h"

#define LOOK_US (5 * CLOCK_SECOND)
#define HANGS_US (30 * CLOCK_SECOND)

/* A run whose file could not be removed. */
struct leftover {
    struct leftover *next;
    struct journal_entry entry;
    bool journaled;
    unsigned slot;
};

struct volume {
    struct agent *agent;
    struct pool *pool;
    ev_async wake;
    struct pool_item item;
    bool looking;
    bool told_hanging;
    int64_t begun_us, next_us; /* monotonic */
    int64_t pause_us; /* after a failure, grows */

    struct leftover *leftovers;

    /* the worker's while it looks */
    struct leftover *cleaning;
    struct staging_limits limits;
    uint64_t pending_bytes;
    unsigned known;
    bool want_files;
    struct staging_state space;
    struct staged_file *files;
    unsigned file_count;
    struct err err;
};

static void clean(struct volume *v) {
    struct leftover **p = &v->cleaning;
    struct err why;
    while (*p) {
        struct leftover *l = *p;
        if (job_clean_run(v->agent, &l->entry, l->journaled, l->slot, &why) < 0) {
            p = &l->next;
            continue;
        }
        log_event(LOG_INFO, "what a run left in staging is removed", "run", l->entry.run_id, NULL);
        *p = l->next;
        mem_free(l);
    }
}

static void look_work(struct pool_item *item) {
    struct volume *v = container_of(item, struct volume, item);
    struct staging *staging = v->agent->staging;
    err_clear(&v->err);
    if (staging_check(staging, v->known, &v->err) < 0 || staging_measure(staging, &v->space, &v->err) < 0)
        return;
    staging_reserve_make(staging, &v->limits, v->pending_bytes);
    clean(v);
    if (v->want_files)
        (void)!staging_scan(staging, &v->files, &v->file_count, &v->err); /* the class is the result */
}

/* True when that is news. */
static bool say(struct agent *agent, const struct err *err) {
    bool changed = err->class != agent->staging_err.class;
    bool first = !agent->staging_known;
    agent->staging_known = true;
    agent->staging_err = *err;
    if (!changed && !first)
        return false;
    if (err->class != ERR_NONE)
        log_error(LOG_ERROR, err, "staging cannot be used; tried again until it can", NULL);
    else if (changed)
        log_event(LOG_INFO, "staging can be used", "path", staging_path(agent->staging), NULL);
    conditions_update(agent);
    return true;
}

static void pause_after_failure(struct volume *v) {
    const struct sidecar_config *c = v->agent->config;
    int64_t first = c->limits.retry_min_ms * 1000, most = c->limits.retry_max_ms * 1000;
    v->pause_us = !v->pause_us ? first : v->pause_us * 2;
    if (v->pause_us > most)
        v->pause_us = most;
    v->next_us = clock_mono_us() + v->pause_us;
}

/* Those that could not be removed again. */
static void take_back(struct volume *v) {
    struct leftover **p = &v->leftovers;
    while (*p)
        p = &(*p)->next;
    *p = v->cleaning;
    v->cleaning = NULL;
}

static void look_done(struct pool_item *item) {
    struct volume *v = container_of(item, struct volume, item);
    struct agent *agent = v->agent;
    v->looking = v->told_hanging = false;
    take_back(v);
    if (atomic_load(&agent->stopping))
        return;
    if (v->err.class != ERR_NONE) {
        pause_after_failure(v);
    } else {
        v->pause_us = 0;
        v->next_us = clock_mono_us() + LOOK_US;
        agent->space = v->space;
    }
    bool news = say(agent, &v->err);
    if (v->err.class == ERR_NONE)
        job_recover_drafts(agent);
    if (v->err.class == ERR_NONE && v->want_files) {
        job_recover_all(agent, v->files, v->file_count);
        news = true;
    }
    mem_free(v->files);
    v->files = NULL;
    v->file_count = 0;
    if (news)
        scheduler_wake(agent);
}

/* How many staged backups should be there? */
static unsigned expected(struct agent *agent) {
    unsigned journaled = journal_used(agent->journal), others = 0;
    if (agent->drafts_recovered) {
        others = job_unshipped(agent, NULL);
    } else {
        char **drafts = draft_list(agent, &others);
        for (unsigned i = 0; i < others; i++)
            mem_free(drafts[i]);
        mem_free(drafts);
    }
    return journaled > others ? journaled : others;
}

static void begin(struct volume *v) {
    struct agent *agent = v->agent;
    v->limits = *staging_limits_get(agent->staging);
    v->pending_bytes = atomic_load(&agent->pending_bytes);
    v->known = expected(agent);
    v->want_files = job_recover_begin(agent);
    v->item = (struct pool_item){.work = look_work, .done = look_done};
    v->begun_us = clock_mono_us();
    v->cleaning = v->leftovers;
    v->leftovers = NULL;
    v->looking = pool_submit(v->pool, &v->item);
    if (!v->looking)
        take_back(v);
}

/* A volume of a dead server blocks whoever asks it. */
static void look_hangs(struct volume *v) {
    struct err err;
    if (v->told_hanging)
        return;
    v->told_hanging = true;
    err_set(&err, ERR_TIMEOUT, "staging directory %s does not answer", staging_path(v->agent->staging));
    err_hint(&err, "Is the server of its volume away?");
    say(v->agent, &err);
}

void volume_tick(struct agent *agent, int64_t now, int64_t *next_at) {
    struct volume *v = agent->volume;
    int64_t now_us = clock_mono_us();
    if (v->looking) {
        if (now_us - v->begun_us >= HANGS_US)
            look_hangs(v);
        return; /* the end of the look wakes the tick */
    }
    bool waited_for = agent->server_listed && !agent->recovery_begun && agent->staging_err.class == ERR_NONE;
    if (now_us >= v->next_us || waited_for) {
        begin(v);
        return;
    }
    int64_t at = now + (v->next_us - now_us);
    if (agent->staging_err.class != ERR_NONE && at < *next_at)
        *next_at = at;
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    pool_collect(((struct volume *)w->data)->pool);
}

static void wake(void *user) {
    struct volume *v = user;
    ev_async_send(v->agent->loop, &v->wake);
}

void volume_start(struct agent *agent) {
    struct volume *v = mem_alloc(sizeof(*v));
    v->agent = agent;
    agent->volume = v;
    ev_async_init(&v->wake, on_wake);
    v->wake.data = v;
    ev_async_start(agent->loop, &v->wake);
    v->pool = pool_new("staging", 1, 1, wake, v);
}

void volume_clean_later(struct agent *agent, const struct journal_entry *entry, bool journaled, unsigned slot) {
    struct volume *v = agent->volume;
    if (!v)
        return;
    struct leftover *l = mem_alloc(sizeof(*l));
    *l = (struct leftover){.next = v->leftovers, .entry = *entry, .journaled = journaled, .slot = slot};
    v->leftovers = l;
}

void volume_stop(struct agent *agent) {
    struct volume *v = agent->volume;
    if (!v)
        return;
    pool_free(v->pool);
    ev_async_stop(agent->loop, &v->wake);
    mem_free(v->files);
    take_back(v);
    while (v->leftovers) {
        struct leftover *l = v->leftovers;
        v->leftovers = l->next;
        mem_free(l);
    }
    mem_free(v);
    agent->volume = NULL;
}
