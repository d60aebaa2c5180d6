/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/holds.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

struct loading {
    struct pool_item item;
    struct agent *agent;
    struct store *store;
    char (*folders)[NAME_FOLDER_MAX];
    size_t folder_count, at;
    struct holds found;
    struct err err;
};

bool hold_keeps(const struct hold *hold, const struct backup *set) {
    if (!guid_is_zero(&hold->set_guid))
        return guid_eq(&set->set_guid, &hold->set_guid);
    return set->finish_at >= hold->from_at && (!hold->until_at || set->start_at <= hold->until_at);
}

static bool in_force(const struct hold *hold, int64_t now) {
    return !hold->expires_at || hold->expires_at > now;
}

bool holds_keep(const struct agent *agent, const char *folder, const struct backup *set, int64_t now) {
    for (size_t i = 0; i < agent->holds.count; i++) {
        const struct known_hold *k = &agent->holds.items[i];
        if (!strcmp(k->folder, folder) && in_force(&k->hold, now) && hold_keeps(&k->hold, set))
            return true;
    }
    return false;
}

static bool add(struct holds *holds, const char *folder, const struct hold *hold) {
    if (holds->count == HOLDS_MAX)
        return false;
    holds->items = mem_grow(holds->items, &holds->cap, holds->count + 1, sizeof(*holds->items));
    struct known_hold *k = &holds->items[holds->count++];
    str_copy(k->folder, sizeof(k->folder), folder);
    k->hold = *hold;
    return true;
}

/* So that listings show it. */
static void mark(struct agent *agent, const char *folder) {
    struct catalog *catalog = keeper_catalog(agent->keeper);
    const struct catalog_database *cd = catalog ? catalog_database_by_folder(catalog, folder) : NULL;
    struct catalog_entry e = {.index = CATALOG_NONE};
    struct err err;
    int64_t now = clock_wall();
    while (cd && catalog_previous(catalog, cd->id, &e, &err) > 0) {
        bool held = holds_keep(agent, folder, &e.backup, now);
        if (held != backup_has(&e.backup, BACKUP_HELD) &&
            catalog_mark(catalog, e.index, held ? BACKUP_HELD : 0, held ? 0 : BACKUP_HELD, &err) < 0) {
            keeper_catalog_stale(agent->keeper); /* it is caught up, and marked, from the store */
            return;
        }
    }
}

void holds_replace(struct agent *agent, const char *folder, const struct hold *all, size_t count) {
    struct holds *h = &agent->holds;
    size_t kept = 0;
    for (size_t i = 0; i < h->count; i++)
        if (strcmp(h->items[i].folder, folder) != 0)
            h->items[kept++] = h->items[i];
    h->count = kept;
    for (size_t i = 0; i < count && add(h, folder, &all[i]); i++)
        ;
    mark(agent, folder);
}

static int remember(void *user, const struct hold *hold, struct err *err) {
    struct loading *l = user;
    (void)err;
    add(&l->found, l->folders[l->at], hold);
    return 0;
}

static void load_work(struct pool_item *item) {
    struct loading *l = container_of(item, struct loading, item);
    err_clear(&l->err);
    for (l->at = 0; l->at < l->folder_count && !atomic_load(&l->agent->stopping); l->at++)
        if (hold_list(l->store, l->agent->scope, l->folders[l->at], remember, l, &l->err) < 0)
            return;
}

static void load_done(struct pool_item *item) {
    struct loading *l = container_of(item, struct loading, item);
    struct agent *agent = l->agent;
    keeper_put_store(agent->keeper, l->store);
    agent->holds_loading = false;
    if (l->err.class != ERR_NONE) {
        log_error(LOG_WARN, &l->err, "holds could not be read; they count all the same", NULL);
        mem_free(l->found.items);
    } else if (!atomic_load(&agent->stopping)) {
        mem_free(agent->holds.items);
        agent->holds = l->found;
        const char *last = "";
        for (size_t i = 0; i < agent->holds.count; i++) { /* those of one folder stand together */
            if (strcmp(last, agent->holds.items[i].folder) != 0)
                mark(agent, agent->holds.items[i].folder);
            last = agent->holds.items[i].folder;
        }
    } else {
        mem_free(l->found.items);
    }
    mem_free(l->folders);
    mem_free(l);
}

void holds_load(struct agent *agent) {
    const struct catalog *catalog = keeper_catalog(agent->keeper);
    if (agent->holds_loading || !catalog || !catalog_database_count(catalog))
        return;
    struct store *store = keeper_take_store(agent->keeper);
    if (!store)
        return;
    struct loading *l = mem_alloc(sizeof(*l));
    l->agent = agent;
    l->store = store;
    l->folder_count = catalog_database_count(catalog);
    l->folders = mem_array(l->folder_count, sizeof(*l->folders));
    for (size_t i = 0; i < l->folder_count; i++) {
        const struct catalog_database *cd = catalog_database_at(catalog, (uint32_t)i);
        if (cd) /* always; the optimiser does not know */
            str_copy(l->folders[i], sizeof(l->folders[i]), cd->folder);
    }
    l->item = (struct pool_item){.work = load_work, .done = load_done};
    agent->holds_loading = pool_submit(agent->serve, &l->item);
    if (agent->holds_loading)
        return;
    keeper_put_store(agent->keeper, store);
    mem_free(l->folders);
    mem_free(l);
}

void holds_free(struct agent *agent) {
    mem_free(agent->holds.items);
    agent->holds = (struct holds){0};
}
