/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/verify/scrubber.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/lineage.h"
#include "sidecar/job/job.h"
#include "sidecar/restore/runs.h"
#include "sidecar/verify/damage.h"
#include "sidecar/verify/position.h"

#define FIRST_AFTER CLOCK_HOUR /* of a sidecar's life: there is better to do at its beginning */
#define PAUSE_US CLOCK_SECOND /* between two sets */
#define RETRY_US CLOCK_MINUTE
#define AGAIN_US CLOCK_HOUR /* a damaged backup is read again so often: it may have been repaired */
#define TRIES 5 /* then a set that cannot be read is a finding, if the store is there otherwise */
#define FLOOR_BYTES_S (UINT64_C(4) << 20)
#define PLAIN_PER_STORED 8 /* the rate is of plain bytes, and with room for a store that grows */
#define FOUND_MAX 64 /* findings of one step that are told one by one */

struct step {
    struct pool_item item;
    struct agent *agent;
    struct store *store;
    char scope[NAME_SCOPE_MAX];
    char newest[STORE_NAME_MAX]; /* what the catalog has as the newest commit of the folder */
    bool last_try;
    bool again; /* `set` alone, which is known to be damaged; the position stays */
    bool names; /* the names of the folder were checked */
    struct rate rate;
    struct position position; /* before the step, then behind it */
    char set[STORE_NAME_MAX];
    struct scrub_finding found[FOUND_MAX];
    size_t found_count;
    struct err err, save_err;
};

struct scrubber {
    struct agent *agent;
    struct pool *pool;
    ev_async wake;
    bool open, busy;
    char *path;
    struct position position;
    int64_t next_us; /* monotonic */
    unsigned failures;
};

/* ---- on the worker ---- */

static uint64_t losses(const uint64_t findings[SCRUB_KIND_COUNT]) {
    uint64_t sum = 0;
    for (unsigned kind = 0; kind < SCRUB_KIND_COUNT; kind++)
        sum += scrub_kind_is_loss(kind) ? findings[kind] : 0;
    return sum;
}

static void on_finding(void *user, const struct scrub_finding *finding) {
    struct step *s = user;
    if (s->found_count < FOUND_MAX)
        s->found[s->found_count++] = *finding;
}

static int take_name(void *user, const struct store_entry *entry, struct err *err) {
    struct step *s = user;
    (void)err;
    str_copy(s->set, sizeof(s->set), entry->name);
    return 0;
}

/* An object that is missing is one thing, a store that is missing another. */
static int store_is_there(struct step *s, struct err *err) {
    struct lineage lineage;
    return lineage_read(s->store, s->scope, &lineage, err) < 0 ? err_context(err, "the store itself is away") : 0;
}

/* What the store never gives back is damaged, whatever its errors are called. */
static int give_up(struct step *s, const struct scrub_options *options) {
    struct err why;
    if (!s->last_try || atomic_load(&s->agent->stopping) || store_is_there(s, &why) < 0)
        return -1;
    struct scrub_finding finding = {.kind = SCRUB_OBJECT_CORRUPT};
    str_copy(finding.name, sizeof(finding.name), s->set);
    str_copy(finding.folder, sizeof(finding.folder), s->position.folder);
    finding.err = s->err;
    s->position.totals.findings[SCRUB_OBJECT_CORRUPT]++;
    options->finding(options->user, &finding);
    err_clear(&s->err);
    return 0;
}

static bool found_loss(const struct step *s) {
    for (size_t i = 0; i < s->found_count; i++)
        if (scrub_kind_is_loss(s->found[i].kind))
            return true;
    return false;
}

/* What looks bad is read twice: bits that were turned on the way here are not in the store. */
static int read_set(struct step *s, const struct scrub_options *options) {
    struct position before = s->position;
    int rc = store_scrub_set(s->store, s->set, options, &s->position.totals, &s->err);
    if (rc == 0 && found_loss(s)) {
        s->position = before;
        s->found_count = 0;
        rc = store_scrub_set(s->store, s->set, options, &s->position.totals, &s->err);
    }
    return rc == 0 ? 0 : give_up(s, options);
}

static int read_next(struct step *s) {
    struct position *p = &s->position;
    struct scrub_options options = {.rate = &s->rate, .cancel = &s->agent->stopping, .finding = on_finding, .user = s};
    if (s->again)
        return read_set(s, &options);
    if (p->cursor.kind < BACKUP_KIND_COUNT &&
        store_list_manifests(s->store, s->scope, p->folder, &p->cursor, 1, take_name, s, &s->err) < 0)
        return -1;
    if (s->set[0])
        return read_set(s, &options);
    s->names = p->names = true;
    const struct scrub_known known = {.newest = s->newest};
    return store_scrub_names(s->store, s->scope, p->folder, &known, clock_wall(), &options, &p->totals, &s->err);
}

static void step_work(struct pool_item *item) {
    struct step *s = container_of(item, struct step, item);
    if (read_next(s) < 0)
        return;
    if (s->found_count && store_is_there(s, &s->err) < 0)
        return;
    if (s->again || found_loss(s))
        return; /* what is damaged is remembered first: see step_done() */
    _cleanup_free_ char *path = file_join(s->agent->config->paths.state, "scrub.json");
    (void)!position_save(path, &s->position, &s->save_err); /* the class says whether it was */
}

/* ---- on the loop ---- */

static void tell(const struct step *s) {
    for (size_t i = 0; i < s->found_count && !s->again; i++) {
        const struct scrub_finding *f = &s->found[i];
        log_error(scrub_kind_is_loss(f->kind) ? LOG_ERROR : LOG_WARN, &f->err, "scrub of the store found something", "problem",
                  scrub_kind_word(f->kind), "object", f->name, NULL);
    }
}

static void save(struct scrubber *sc) {
    struct err err;
    if (position_save(sc->path, &sc->position, &err) < 0)
        log_error(LOG_WARN, &err, "the position of the scrub could not be written", NULL);
}

/* Manifests of this folder that were missing, and that no other names any more, or that are back. */
static void forget_missing(struct step *s) {
    struct damage *all = &s->agent->damage;
    for (size_t i = all->count; i-- > 0 && s->found_count < FOUND_MAX;) {
        const struct damaged *d = &all->items[i];
        bool missing = d->problem == SCRUB_MANIFEST_MISSING || d->problem == SCRUB_NEWEST_MISSING, found = false;
        for (size_t k = 0; k < s->found_count && !found; k++)
            found = str_ends(s->found[k].name, d->manifest);
        if (missing && !found && !strcmp(d->folder, s->position.folder))
            damage_forget(s->agent, i, "it is not missing any more");
    }
}

/* The set was read and nothing was wrong with it, or it is gone and nobody misses it. */
static void forget_good(struct step *s, size_t index) {
    struct damaged *d = &s->agent->damage.items[index];
    bool gone = s->found_count && s->found[0].kind == SCRUB_MANIFEST_MISSING;
    bool missed = d->problem == SCRUB_MANIFEST_MISSING || d->problem == SCRUB_NEWEST_MISSING || damage_is_known(s->agent, d);
    d->asked_us = clock_mono_us();
    if (!found_loss(s))
        damage_forget(s->agent, index, "it was read again, and is good");
    else if (gone && !missed)
        damage_forget(s->agent, index, "it is gone, and nothing needs it");
}

/* First what is damaged, then that this was read: a kill between the two finds it once more. */
static int remember(struct step *s, struct err *err) {
    struct agent *agent = s->agent;
    for (size_t i = 0; i < s->found_count && !s->again; i++) {
        const struct scrub_finding *f = &s->found[i];
        if (scrub_kind_is_loss(f->kind))
            damage_found(agent, s->set[0] ? s->set : f->name, f);
    }
    if (s->set[0]) {
        size_t inside = strlen(s->scope) + 1 + strlen(s->position.folder) + 1;
        size_t index = strlen(s->set) > inside ? damage_find(agent, s->position.folder, s->set + inside) : SIZE_MAX;
        if (index != SIZE_MAX)
            forget_good(s, index);
    }
    if (s->names)
        forget_missing(s);
    return damage_save(agent, err);
}

static void step_good(struct step *s) {
    struct scrubber *sc = s->agent->scrubber;
    struct err err;
    if (remember(s, &err) < 0) {
        log_error(LOG_WARN, &err, "damaged backups could not be written down; tried again", NULL);
        sc->next_us = clock_mono_us() + RETRY_US;
        return;
    }
    sc->failures = 0;
    if (s->again)
        return;
    if (s->save_err.class != ERR_NONE)
        log_error(LOG_WARN, &s->save_err, "the position of the scrub could not be written", NULL);
    sc->position = s->position;
    if (found_loss(s))
        save(sc);
    tell(s);
}

static void step_done(struct pool_item *item) {
    struct step *s = container_of(item, struct step, item);
    struct agent *agent = s->agent;
    struct scrubber *sc = agent->scrubber;
    sc->busy = false;
    sc->next_us = clock_mono_us() + PAUSE_US;
    if (atomic_load(&agent->stopping)) {
        /* the position stays where it was, or is written already */
    } else if (s->err.class == ERR_NONE) {
        step_good(s);
    } else if (s->err.class != ERR_CANCELLED) {
        sc->next_us = clock_mono_us() + RETRY_US;
        if (!sc->failures++)
            log_error(LOG_WARN, &s->err, "the store could not be read for its scrub; tried again", NULL);
        keeper_failed(agent->keeper, s->store, &s->err);
    }
    keeper_put_store(agent->keeper, s->store);
    rate_done(&s->rate);
    mem_free(s);
    scheduler_wake(agent);
}

/* The first folder of the catalog behind this one. */
static const struct catalog_database *folder_behind(const struct catalog *catalog, const char *folder) {
    const struct catalog_database *next = NULL;
    for (uint32_t id = 0; id < catalog_database_count(catalog); id++) {
        const struct catalog_database *cd = catalog_database_at(catalog, id);
        if (strcmp(cd->folder, folder) > 0 && (!next || strcmp(cd->folder, next->folder) < 0))
            next = cd;
    }
    return next;
}

static uint64_t rate_for(const struct agent *agent) {
    uint64_t stored = 0, days = (uint64_t)agent->policy->scrub_days, seconds = (days ? days : 1) * 86400;
    for (size_t i = 0; i < agent->database_count; i++)
        stored += agent->databases[i]->stored_bytes;
    uint64_t needed = stored / seconds * PLAIN_PER_STORED;
    return needed > FLOOR_BYTES_S ? needed : FLOOR_BYTES_S;
}

static struct step *new_step(struct scrubber *sc) {
    struct agent *agent = sc->agent;
    struct store *store = keeper_take_store(agent->keeper);
    if (!store)
        return NULL;
    struct step *s = mem_alloc(sizeof(*s));
    s->agent = agent;
    s->store = store;
    s->position = sc->position;
    s->last_try = sc->failures + 1 >= TRIES;
    s->item = (struct pool_item){.work = step_work, .done = step_done};
    str_copy(s->scope, sizeof(s->scope), agent->scope);
    rate_init(&s->rate, rate_for(agent));
    return s;
}

static void submit(struct scrubber *sc, struct step *s) {
    sc->busy = pool_submit(sc->pool, &s->item);
    if (!sc->busy) {
        keeper_put_store(sc->agent->keeper, s->store);
        rate_done(&s->rate);
        mem_free(s);
    }
}

static void begin_step(struct scrubber *sc, const struct catalog_database *cd) {
    struct catalog_entry newest = {.index = CATALOG_NONE};
    struct err err;
    struct step *s = new_step(sc);
    if (!s)
        return;
    if (catalog_previous(keeper_catalog(sc->agent->keeper), cd->id, &newest, &err) > 0)
        name_manifest(s->newest, &newest.backup);
    submit(sc, s);
}

/* The damaged one that was not read for the longest time, when that is long enough. */
static const struct damaged *again_due(const struct scrubber *sc, int64_t now_us) {
    const struct damage *all = &sc->agent->damage;
    const struct damaged *oldest = NULL;
    for (size_t i = 0; i < all->count; i++)
        if (!oldest || all->items[i].asked_us < oldest->asked_us)
            oldest = &all->items[i];
    return oldest && (!oldest->asked_us || now_us - oldest->asked_us >= AGAIN_US) ? oldest : NULL;
}

static void begin_again(struct scrubber *sc, const struct damaged *d) {
    struct err err;
    struct step *s = new_step(sc);
    if (!s)
        return;
    s->again = true;
    str_copy(s->position.folder, sizeof(s->position.folder), d->folder);
    if (name_join(s->set, s->scope, d->folder, d->manifest, &err) < 0)
        s->set[0] = 0; /* cannot be: it was such a name before */
    submit(sc, s);
}

static bool runs(const struct position *p) {
    return p->begun_at && p->ended_at < p->begun_at;
}

static int64_t due_at(const struct scrubber *sc) {
    const struct position *p = &sc->position;
    return p->begun_at ? p->begun_at + sc->agent->policy->scrub_days * CLOCK_DAY : p->first_at;
}

static void begin_pass(struct position *p, int64_t now) {
    memcpy(p->before, p->totals.findings, sizeof(p->before));
    p->totals = (struct scrub_totals){0};
    p->cursor = (struct store_cursor){0};
    p->names = false;
    p->folder[0] = 0;
    p->begun_at = now;
    log_event(LOG_INFO, "scrub of the store begins", NULL);
}

static void end_pass(struct scrubber *sc, int64_t now) {
    struct position *p = &sc->position;
    bool loss = losses(p->totals.findings) > 0;
    memset(p->before, 0, sizeof(p->before));
    p->ended_at = now > p->begun_at ? now : p->begun_at;
    log_event(LOG_INFO, "scrub of the store ended", "damage", loss ? "found" : "none", NULL);
    save(sc);
}

/* The folder that is to be read now; NULL: the pass has read all. */
static const struct catalog_database *next_folder(struct position *p, const struct catalog *catalog) {
    const struct catalog_database *cd = p->folder[0] ? catalog_database_by_folder(catalog, p->folder) : NULL;
    if (cd && !p->names)
        return cd;
    cd = folder_behind(catalog, p->folder);
    if (cd) {
        str_copy(p->folder, sizeof(p->folder), cd->folder);
        p->cursor = (struct store_cursor){0};
        p->names = false;
    }
    return cd;
}

void scrubber_tick(struct agent *agent, int64_t now, int64_t *next_at) {
    struct scrubber *sc = agent->scrubber;
    struct position *p = &sc->position;
    const struct catalog *catalog = agent->opened ? keeper_catalog(agent->keeper) : NULL;
    int64_t now_us = clock_mono_us();
    if (!sc->open || sc->busy || agent->draining || !catalog || !keeper_state(agent->keeper)->usable)
        return;
    if (p->begun_at > now)
        p->begun_at = now; /* the clock was set back */
    const struct damaged *again = again_due(sc, now_us);
    bool due = agent->policy->scrub_days && (runs(p) || now >= due_at(sc));
    if (!again && !due)
        return;
    if (now_us < sc->next_us) {
        int64_t at = now + (sc->next_us - now_us);
        *next_at = at < *next_at ? at : *next_at;
        return;
    }
    if (job_unshipped(agent, NULL) || restores_busy(agent))
        return; /* they go before; the next tick asks again */
    if (again) {
        begin_again(sc, again);
        return;
    }
    if (!runs(p))
        begin_pass(p, now);
    const struct catalog_database *cd = next_folder(p, catalog);
    if (cd)
        begin_step(sc, cd);
    else
        end_pass(sc, now);
}

void scrubber_progress(const struct agent *agent, struct scrub_progress *ret_progress) {
    *ret_progress = (struct scrub_progress){0};
    if (!agent->scrubber)
        return; /* the end of the program */
    const struct position *p = &agent->scrubber->position;
    struct scrub_progress r = {.begun_at = p->begun_at,
                               .running = runs(p),
                               .ended_at = p->ended_at,
                               .sets = p->totals.sets,
                               .stored_bytes = p->totals.stored_bytes};
    for (unsigned kind = 0; kind < SCRUB_KIND_COUNT; kind++) {
        uint64_t now = p->totals.findings[kind], before = p->before[kind];
        r.findings[kind] = now > before ? now : before;
    }
    *ret_progress = r;
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    pool_collect(((struct scrubber *)w->data)->pool);
}

static void wake(void *user) {
    struct scrubber *sc = user;
    ev_async_send(sc->agent->loop, &sc->wake);
}

void scrubber_start(struct agent *agent) {
    struct scrubber *sc = mem_alloc(sizeof(*sc));
    sc->agent = agent;
    agent->scrubber = sc;
    ev_async_init(&sc->wake, on_wake);
    sc->wake.data = sc;
    ev_async_start(agent->loop, &sc->wake);
    sc->pool = pool_new("scrub", 1, 1, wake, sc);
}

void scrubber_open(struct agent *agent) {
    struct scrubber *sc = agent->scrubber;
    struct err err;
    mem_free(sc->path);
    sc->path = file_join(agent->config->paths.state, "scrub.json");
    sc->open = true;
    if (position_load(sc->path, &sc->position, &err) == 0)
        return;
    if (err.class != ERR_NOT_FOUND)
        log_error(LOG_WARN, &err, "the scrub of the store begins anew", NULL);
    sc->position = (struct position){.first_at = clock_wall() + FIRST_AFTER};
    save(sc);
}

void scrubber_stop(struct agent *agent) {
    struct scrubber *sc = agent->scrubber;
    if (!sc)
        return;
    pool_free(sc->pool);
    ev_async_stop(agent->loop, &sc->wake);
    mem_free(sc->path);
    mem_free(sc);
    agent->scrubber = NULL;
}
