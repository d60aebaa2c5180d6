/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/keeper.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/pool.h"
#include "common/base/str.h"
#include "sidecar/lend.h"

#define HEARTBEAT_MS 60000

/* What the worker does. One piece of work at a time, so the worker and the loop never touch the same thing. */
enum op {
    OP_OPEN, /* open the store, claim the scope */
    OP_CATALOG, /* rebuild the catalog or catch it up; the worker holds it meanwhile */
    OP_HEARTBEAT, /* lineage and instance.json */
};

struct keeper {
    struct ev_loop *loop;
    struct keeper_options options;
    struct keeper_events events;
    struct keeper_state state;
    char *catalog_path;
    char *url; /* with the prefix */

    struct pool *pool;
    ev_async wake;
    ev_timer retry; /* the next attempt to open */
    ev_timer heartbeat;
    double retry_s;

    struct lending lending; /* the store that is open and claimed */
    struct catalog *catalog; /* NULL: not there, or the worker has it */
    bool stopping;
    bool catalog_bad; /* must be made anew from the store */
    bool catalog_stale; /* lacks a set of the store, or cannot be written any more: open it again and catch up */

    json_t *document; /* instance.json as it should be */
    char *written; /* as it is, by us */

    struct pool_item item;
    bool working;
    enum op op;
    struct err op_err; /* class NONE: success */
    struct store *op_store;
    uint64_t op_known_sets; /* that the catalog has */
    struct catalog *op_catalog;
    struct catalog_rebuild_result op_rebuilt;
    struct lineage op_lineage, op_before;
    enum lineage_outcome op_outcome;
    bool op_new_catalog, op_reopen;
    bool op_off_volume;
    bool op_local; /* the error is the state directory's, not the store's */
    int op_sync_fd; /* of the catalog, -1: nothing to sync */
    bool op_sync_failed;
    char *op_text; /* instance.json to write */
    json_t *op_document;
    atomic_bool cancel;
};

/* ---- on the worker ---- */

/* What follows from the claim, and may take as long as a volume likes. */
static void note_claimed(struct keeper *k) {
    struct store_space there;
    struct file_space here;
    k->op_off_volume = store_space_of(k->op_store, &there, NULL) == 0 &&
                       (!there.known || (file_space_of(k->options.data_path, &here, NULL) == 0 && there.device != here.device));
    if (!guid_eq(&k->options.identity.cluster_id, &k->op_lineage.cluster_id)) {
        struct identity known = {.cluster_id = k->op_lineage.cluster_id, .owner = k->options.identity.owner};
        struct err why;
        if (identity_save(k->options.state_dir, &known, &why) < 0)
            log_error(LOG_WARN, &why, "cluster id could not be remembered", NULL);
    }
}

static void work_open(struct keeper *k) {
    struct store_options so = {.writer = "sidecar"};
    struct err *err = &k->op_err;
    /* the folder of the prefix is ours to make, the volume is not: one that is not mounted must not become a folder elsewhere */
    if (k->options.prefix && *k->options.prefix && file_exists(k->options.url) && file_mkdirs(k->url, 0750, err) < 0)
        return;
    if (store_open(k->url, &so, &k->op_store, err) < 0)
        return;
    struct lineage want = {.cluster_id = k->options.identity.cluster_id, .owner = k->options.identity.owner};
    str_copy(want.kube_namespace, sizeof(want.kube_namespace), k->options.kube_namespace);
    str_copy(want.instance, sizeof(want.instance), k->options.instance);
    str_copy(want.holder, sizeof(want.holder), k->options.holder);
    struct lineage there;
    if (k->op_known_sets && !k->options.adopt && lineage_read(k->op_store, k->options.scope, &there, err) < 0) {
        if (err->class == ERR_NOT_FOUND) {
            err_set(err, ERR_STORE, "store %s is empty, but %llu backups of ours should be in it", k->url,
                    (unsigned long long)k->op_known_sets);
            err_hint(err, "Is the backup volume mounted? To begin anew in an empty store, start once with store.adopt: true");
        }
        store_free(k->op_store);
        k->op_store = NULL;
        return;
    }
    if (lineage_claim(k->op_store, &want, k->options.adopt, clock_wall(), &k->op_lineage, &k->op_before, &k->op_outcome, err) <
        0) {
        store_free(k->op_store);
        k->op_store = NULL;
        return;
    }
    note_claimed(k);
}

static void unreadable(void *user, const char *name, const struct err *err) {
    (void)user;
    log_error(LOG_ERROR, err, "manifest left out of the catalog", "manifest", name, NULL);
}

static int rebuild(struct keeper *k, struct err *err) {
    catalog_free(k->op_catalog);
    k->op_catalog = NULL;
    struct catalog_rebuild_control control = {.unreadable = unreadable, .cancel = &k->cancel};
    if (catalog_rebuild(k->catalog_path, k->url, k->options.scope, k->op_store, &control, &k->op_rebuilt, err) < 0)
        return -1;
    k->op_new_catalog = true;
    return catalog_open(k->catalog_path, k->url, k->options.scope, CATALOG_SYNC_LATER, &k->op_catalog, NULL, err);
}

static void catch_up_or_rebuild(struct keeper *k) {
    struct err *err = &k->op_err;
    uint64_t added = 0;
    if (k->op_catalog && k->op_reopen) {
        catalog_free(k->op_catalog);
        k->op_catalog = NULL;
        if (catalog_open(k->catalog_path, k->url, k->options.scope, CATALOG_SYNC_LATER, &k->op_catalog, NULL, err) < 0 &&
            err->class != ERR_CORRUPT)
            return;
        err_clear(err);
    }
    if (k->op_catalog && catalog_catch_up(k->op_catalog, k->op_store, &added, err) == 0) {
        k->op_new_catalog = added > 0;
        return;
    }
    if (k->op_catalog && err->class != ERR_CORRUPT)
        return;
    err_clear(err);
    (void)!rebuild(k, err); /* the result is op_err's class */
}

static void work_catalog(struct keeper *k) {
    catch_up_or_rebuild(k);
    struct err why;
    if (k->op_err.class == ERR_NONE && k->op_catalog && catalog_wants_compaction(k->op_catalog) &&
        catalog_compact(k->op_catalog, &why) < 0) {
        log_error(LOG_WARN, &why, "catalog could not be compacted; it is opened again", "path", k->catalog_path, NULL);
        catalog_free(k->op_catalog);
        k->op_catalog = NULL;
        (void)!catalog_open(k->catalog_path, k->url, k->options.scope, CATALOG_SYNC_LATER, &k->op_catalog, NULL, &k->op_err);
    }
    /* the store is only read here */
    k->op_local = k->op_err.class == ERR_SPACE || (k->op_err.class != ERR_NONE && access(k->options.state_dir, W_OK | X_OK) < 0);
}

static void work_heartbeat(struct keeper *k) {
    struct err why;
    if (k->op_sync_fd >= 0) {
        k->op_sync_failed = catalog_sync_wait(k->op_sync_fd, &why) < 0;
        if (k->op_sync_failed)
            log_error(LOG_WARN, &why, "catalog could not be made durable; it is caught up from the store", "path",
                      k->catalog_path, NULL);
        close(k->op_sync_fd);
        k->op_sync_fd = -1;
    }
    if (lineage_heartbeat(k->op_store, &k->op_lineage, clock_wall(), &k->op_err) < 0)
        return;
    if (k->op_document && instance_write(k->op_store, k->options.scope, k->op_document, &k->op_err) < 0)
        return;
}

static void work(struct pool_item *item) {
    struct keeper *k = container_of(item, struct keeper, item);
    switch (k->op) {
    case OP_OPEN:
        work_open(k);
        break;
    case OP_CATALOG:
        work_catalog(k);
        break;
    case OP_HEARTBEAT:
        work_heartbeat(k);
        break;
    }
}

/* ---- on the loop ---- */

static void begin(struct keeper *k, enum op op);

static double retry_max_s(const struct keeper *k) {
    return (double)k->options.retry_max_ms / 1000.0;
}

static void retry_later(struct keeper *k) {
    /* up to a quarter more, so that many sidecars do not come back together */
    double jitter = (double)(clock_mono_us() % 1000) / 4000.0;
    ev_timer_stop(k->loop, &k->retry);
    ev_timer_set(&k->retry, k->retry_s * (1.0 + jitter), 0.);
    ev_timer_start(k->loop, &k->retry);
    k->retry_s = k->retry_s * 2 < retry_max_s(k) ? k->retry_s * 2 : retry_max_s(k);
}

static void lost(struct keeper *k, const struct err *err) {
    bool told = !k->state.usable && k->state.error.class == err->class;
    k->state.usable = false;
    k->state.foreign = err->class == ERR_CONFLICT;
    k->state.error = *err;
    k->state.error_at = clock_wall();
    if (!told) {
        log_error(LOG_ERROR, err, "store is not usable", "url", k->url, NULL);
        k->events.lost(k->events.user, err);
    }
    retry_later(k);
}

static void ready(struct keeper *k, bool catalog_is_new) {
    bool was = k->state.usable;
    k->state.usable = true;
    k->state.foreign = false;
    k->state.catalog_damaged = false;
    err_clear(&k->state.error);
    k->state.used_at = clock_wall();
    k->retry_s = (double)k->options.retry_min_ms / 1000.0;
    if (!was)
        log_event(LOG_INFO, "store is usable", "url", k->url, "scope", k->options.scope, NULL);
    k->events.ready(k->events.user, catalog_is_new);
}

static void opened(struct keeper *k) {
    if (k->op_err.class != ERR_NONE) {
        lost(k, &k->op_err);
        return;
    }
    lending_open(&k->lending, k->op_store);
    k->state.lineage = k->op_lineage;
    k->options.adopt = false;
    if (k->op_outcome == LINEAGE_ADOPTED)
        log_event(LOG_WARN, "took the store's scope over from an earlier owner", "scope", k->options.scope, "holder",
                  k->op_before.holder, NULL);
    k->state.off_volume = k->op_off_volume;
    k->options.identity.cluster_id = k->op_lineage.cluster_id;
    begin(k, OP_CATALOG);
}

static void catalog_done(struct keeper *k) {
    k->catalog = k->op_catalog;
    k->op_catalog = NULL;
    k->state.catalog_stuck = k->op_local;
    if (k->op_err.class != ERR_NONE) {
        lending_retire(&k->lending);
        lost(k, &k->op_err);
        return;
    }
    k->catalog_bad = false;
    if (!lending_current(&k->lending)) /* given up meanwhile; the next attempt is under way */
        return;
    if (k->catalog_stale) { /* something was committed while the worker listed the store */
        begin(k, OP_CATALOG);
        return;
    }
    k->state.unreadable_manifests = k->op_rebuilt.unreadable;
    str_copy(k->state.first_unreadable, sizeof(k->state.first_unreadable), k->op_rebuilt.first_unreadable);
    ready(k, k->op_new_catalog);
    ev_feed_event(k->loop, &k->heartbeat, EV_TIMER); /* instance.json right away */
}

static void heartbeat_done(struct keeper *k, struct store *store) {
    if (k->op_sync_failed && k->catalog)
        catalog_sync_failed(k->catalog);
    k->op_sync_failed = false;
    if (k->op_err.class == ERR_NONE) {
        k->state.lineage = k->op_lineage;
        k->state.used_at = clock_wall();
        if (k->op_text) {
            mem_free(k->written);
            k->written = k->op_text;
            k->op_text = NULL;
        }
    } else {
        keeper_failed(k, store, &k->op_err);
    }
    mem_free(k->op_text);
    k->op_text = NULL;
    json_decref(k->op_document);
    k->op_document = NULL;
}

static void done(struct pool_item *item) {
    struct keeper *k = container_of(item, struct keeper, item);
    k->working = false;
    if (k->stopping) {
        if (k->op == OP_OPEN)
            store_free(k->op_store);
        else
            keeper_put_store(k, k->op_store);
        if (k->op == OP_CATALOG)
            k->catalog = k->op_catalog;
        mem_free(k->op_text);
        json_decref(k->op_document);
        return;
    }
    switch (k->op) {
    case OP_OPEN:
        opened(k);
        break;
    case OP_CATALOG:
        keeper_put_store(k, k->op_store);
        catalog_done(k);
        break;
    case OP_HEARTBEAT:
        heartbeat_done(k, k->op_store);
        keeper_put_store(k, k->op_store);
        if (k->catalog_stale && lending_current(&k->lending))
            begin(k, OP_CATALOG);
        break;
    }
}

static void begin(struct keeper *k, enum op op) {
    k->op = op;
    err_clear(&k->op_err);
    k->op_new_catalog = k->op_local = false;
    memset(&k->op_rebuilt, 0, sizeof(k->op_rebuilt));
    if (k->catalog) {
        struct catalog_stats stats;
        catalog_stats_of(k->catalog, &stats);
        k->op_known_sets = stats.live;
    }
    if (op != OP_OPEN) { /* the worker is a user like any other: a store that is given up meanwhile must outlive it */
        k->op_store = lending_take(&k->lending);
    }
    if (op == OP_CATALOG) {
        k->op_reopen = k->catalog_stale;
        k->catalog_stale = false;
        k->op_catalog = k->catalog_bad ? NULL : k->catalog;
        if (k->catalog_bad)
            catalog_free(k->catalog);
        k->catalog = NULL;
    }
    k->item = (struct pool_item){.work = work, .done = done};
    k->working = pool_submit(k->pool, &k->item);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    pool_collect(((struct keeper *)w->data)->pool);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    struct keeper *k = w->data;
    if (k->working) /* a heartbeat to the store that was given up: once it is through */
        retry_later(k);
    else if (!lending_current(&k->lending))
        begin(k, OP_OPEN);
}

static void on_heartbeat(struct ev_loop *loop, ev_timer *w, int events) {
    (void)loop, (void)events;
    struct keeper *k = w->data;
    if (k->working || !lending_current(&k->lending) || !k->state.usable)
        return;
    if (k->catalog && catalog_wants_compaction(k->catalog)) { /* the worker has it meanwhile; the heartbeat comes after it */
        begin(k, OP_CATALOG);
        return;
    }
    k->op_sync_fd = k->catalog ? catalog_sync_begin(k->catalog) : -1;
    k->op_lineage = k->state.lineage;
    if (k->document) {
        char *text = json_dumps(k->document, JSON_SORT_KEYS | JSON_COMPACT);
        if (text && (!k->written || strcmp(text, k->written))) {
            k->op_text = mem_strdup(text);
            k->op_document = json_deep_copy(k->document);
        }
        free(text);
    }
    begin(k, OP_HEARTBEAT);
}

static void wake(void *user) {
    struct keeper *k = user;
    ev_async_send(k->loop, &k->wake);
}

/* A good catalog serves reading at once. One that is damaged, another store's, or cannot be made for want of space, is made anew when the
 * store is there, as often as it takes. */
static int open_catalog(struct keeper *k, struct err *err) {
    bool fresh = !file_exists(k->catalog_path);
    uint64_t cut = 0;
    if (catalog_open(k->catalog_path, k->url, k->options.scope, CATALOG_SYNC_LATER, &k->catalog, &cut, err) == 0) {
        k->catalog_bad = fresh; /* empty is not the same as known to be empty */
        if (cut)
            log_event(LOG_WARN, "catalog had a torn end; it is caught up from the store", "path", k->catalog_path, NULL);
        return 0;
    }
    if (err->class == ERR_BUSY || err->class == ERR_CONFLICT)
        return err_context(err, "catalog");
    bool damaged = err->class == ERR_CORRUPT;
    log_error(LOG_ERROR, err,
              damaged ? "catalog is damaged; it is made anew from the store" : "catalog cannot be opened; tried again", "path",
              k->catalog_path, NULL);
    k->catalog_bad = true;
    k->state.catalog_damaged = damaged;
    k->state.catalog_stuck = !damaged;
    return 0;
}

int keeper_new(struct ev_loop *loop, const struct keeper_options *options, const struct keeper_events *events,
               struct keeper **ret_keeper, struct err *err) {
    struct keeper *k = mem_alloc(sizeof(*k));
    k->loop = loop;
    k->options = *options;
    k->events = *events;
    k->retry_s = (double)options->retry_min_ms / 1000.0;
    k->op_sync_fd = -1;
    k->catalog_path = file_join(options->state_dir, "catalog");
    if (options->url)
        k->url = options->prefix && *options->prefix ? file_join(options->url, options->prefix) : mem_strdup(options->url);
    k->state.configured = options->url != NULL;
    ev_async_init(&k->wake, on_wake);
    ev_init(&k->retry, on_retry);
    ev_timer_init(&k->heartbeat, on_heartbeat, 0.,
                  (double)(options->heartbeat_ms ? options->heartbeat_ms : HEARTBEAT_MS) / 1000.0);
    k->wake.data = k->retry.data = k->heartbeat.data = k;
    if (!options->url) {
        *ret_keeper = k;
        return 0;
    }
    if (open_catalog(k, err) < 0) {
        mem_free(k->catalog_path);
        mem_free(k->url);
        mem_free(k);
        return -1;
    }
    k->pool = k->lending.pool = pool_new("keeper", 2, 16, wake, k); /* one for the work, one to close what was given up */
    ev_async_start(loop, &k->wake);
    ev_timer_again(loop, &k->heartbeat);
    begin(k, OP_OPEN);
    *ret_keeper = k;
    return 0;
}

void keeper_free(struct keeper *keeper) {
    if (!keeper)
        return;
    struct keeper *k = keeper;
    atomic_store(&k->cancel, true);
    ev_timer_stop(k->loop, &k->retry);
    ev_timer_stop(k->loop, &k->heartbeat);
    if (k->pool) {
        k->stopping = true;
        k->lending.pool = NULL;
        pool_free(k->pool);
        ev_async_stop(k->loop, &k->wake);
    }
    if (k->op_sync_fd >= 0)
        close(k->op_sync_fd);
    catalog_free(k->catalog);
    lending_end(&k->lending);
    json_decref(k->document);
    mem_free(k->written);
    mem_free(k->catalog_path);
    mem_free(k->url);
    mem_free(k);
}

struct store *keeper_take_store(struct keeper *keeper) {
    return keeper && keeper->state.usable ? lending_take(&keeper->lending) : NULL;
}

void keeper_put_store(struct keeper *keeper, struct store *store) {
    lending_put(&keeper->lending, store);
}

struct catalog *keeper_catalog(struct keeper *keeper) {
    return keeper && !keeper->catalog_bad ? keeper->catalog
                                          : NULL; /* an empty one that was just made says nothing of the store */
}

void keeper_catalog_stale(struct keeper *keeper) {
    struct keeper *k = keeper;
    k->catalog_stale = true;
    if (!k->working && lending_current(&k->lending) && k->state.usable)
        begin(k, OP_CATALOG);
}

static bool store_itself_is_away(enum err_class class) {
    return class == ERR_STORE || class == ERR_IO || class == ERR_CONNECT || class == ERR_AUTH || class == ERR_PERMISSION ||
           class == ERR_TIMEOUT || class == ERR_CONFLICT || class == ERR_NOT_FOUND;
}

void keeper_failed(struct keeper *keeper, const struct store *store, const struct err *err) {
    struct keeper *k = keeper;
    if (!store || lending_current(&k->lending) != store)
        return; /* it was given up already: the one that is open now is not to blame */
    if (!store_itself_is_away(err->class)) {
        k->state.error = *err;
        k->state.error_at = clock_wall();
        return;
    }
    if (!k->state.usable)
        return;
    lending_retire(&k->lending);
    lost(k, err);
}

void keeper_succeeded(struct keeper *keeper, int64_t now) {
    keeper->state.used_at = now;
    if (keeper->state.usable)
        err_clear(&keeper->state.error);
}

const struct keeper_state *keeper_state(const struct keeper *keeper) {
    static const struct keeper_state none = {.configured = true};
    return keeper ? &keeper->state : &none;
}

void keeper_describe(struct keeper *keeper, json_t *document) {
    bool first = !keeper->document;
    json_decref(keeper->document);
    keeper->document = json_incref(document);
    if (first && ev_is_active(&keeper->heartbeat))
        ev_feed_event(keeper->loop, &keeper->heartbeat, EV_TIMER); /* later ones wait for the next heartbeat */
}
