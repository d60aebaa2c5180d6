/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which sets of a history are of one database. What SQL Server calls a database by is its name, but names change: a rename keeps the
 * chain, two databases may swap names, and a copy under another name is another database of the same family.
 *
 * Sets of the same family and database GUID are one database, whatever its name was. A restore in place may give a new database GUID:
 * so two GUIDs of one family and one name are one database too when the one was over before the other began. Where rows have no
 * GUIDs, the name decides.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/history_int.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* Sets of one family, database GUID and, when that is zero, name. */
struct unit {
    struct guid family, guid;
    const char *name; /* the newest */
    int64_t first_at, last_at; /* start of the first, finish of the last set */
    uint32_t set; /* one of them, to compare with */
    uint32_t parent; /* of the database that it is in */
};

static int guid_cmp(const struct guid *a, const struct guid *b) {
    return memcmp(a->bytes, b->bytes, sizeof(a->bytes));
}

static int compare_keys(const struct history *h, uint32_t a, uint32_t b) {
    const struct backup *x = &h->sets[a], *y = &h->sets[b];
    int order = guid_cmp(&x->family_guid, &y->family_guid);
    if (!order)
        order = guid_cmp(&x->database_guid, &y->database_guid);
    if (!order && guid_is_zero(&x->database_guid))
        order = strcasecmp(h->details[a].database, h->details[b].database);
    return order;
}

static int by_key(const void *a, const void *b, void *user) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = compare_keys(user, x, y);
    return order ? order : (x > y) - (x < y);
}

static uint32_t root_of(struct unit *units, uint32_t i) {
    while (units[i].parent != i)
        i = units[i].parent = units[units[i].parent].parent;
    return i;
}

/* ---- units ---- */

struct grouping {
    struct history *h;
    uint32_t *order; /* set indexes */
    uint32_t *unit_of; /* set -> unit */
    struct unit *units;
    size_t unit_count, unit_cap;
};

static void unit_take(struct unit *u, const struct history *h, uint32_t set) {
    const struct backup *b = &h->sets[set];
    if (!u->first_at || b->start_at < u->first_at)
        u->first_at = b->start_at;
    if (!u->name || b->finish_at >= u->last_at) {
        u->name = h->details[set].database;
        u->last_at = b->finish_at;
    }
}

static void make_units(struct grouping *g) {
    struct history *h = g->h;
    qsort_r(g->order, h->count, sizeof(*g->order), by_key, h);
    for (size_t i = 0; i < h->count; i++) {
        uint32_t set = g->order[i];
        if (!i || compare_keys(h, g->order[i - 1], set)) {
            g->units = mem_grow(g->units, &g->unit_cap, g->unit_count + 1, sizeof(*g->units));
            const struct backup *b = &h->sets[set];
            g->units[g->unit_count] = (struct unit){
                .family = b->family_guid, .guid = b->database_guid, .set = set, .parent = (uint32_t)g->unit_count};
            g->unit_count++;
        }
        unit_take(&g->units[g->unit_count - 1], h, set);
        g->unit_of[set] = (uint32_t)g->unit_count - 1;
    }
}

/* ---- databases ---- */

static int by_name_and_time(const void *a, const void *b, void *user) {
    const struct unit *units = user, *x = &units[*(const uint32_t *)a], *y = &units[*(const uint32_t *)b];
    int order = guid_cmp(&x->family, &y->family);
    if (!order)
        order = strcasecmp(x->name, y->name);
    if (!order)
        order = (x->first_at > y->first_at) - (x->first_at < y->first_at);
    return order ? order : (x > y) - (x < y);
}

/* Units of one family and name, one after the other in time. */
static void join_restored(struct grouping *g) {
    uint32_t *order = mem_array(g->unit_count, sizeof(*order));
    for (uint32_t i = 0; i < g->unit_count; i++)
        order[i] = i;
    qsort_r(order, g->unit_count, sizeof(*order), by_name_and_time, g->units);
    for (size_t i = 1; i < g->unit_count; i++) {
        struct unit *a = &g->units[order[i - 1]], *b = &g->units[order[i]];
        bool same = guid_eq(&a->family, &b->family) && !guid_is_zero(&a->family) && !strcasecmp(a->name, b->name);
        if (same && a->last_at <= b->first_at)
            g->units[root_of(g->units, order[i])].parent = root_of(g->units, order[i - 1]);
    }
    mem_free(order);
}

struct database_order {
    struct history *h;
    struct unit *units;
    uint32_t *unit_of;
    uint32_t *rank; /* root unit -> place of its database */
};

static int by_database(const void *a, const void *b, void *user) {
    const struct database_order *o = user;
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    uint32_t p = o->rank[root_of(o->units, o->unit_of[x])], q = o->rank[root_of(o->units, o->unit_of[y])];
    if (p == q) { /* foreign ones last */
        p = backup_has(&o->h->sets[x], BACKUP_FOREIGN);
        q = backup_has(&o->h->sets[y], BACKUP_FOREIGN);
    }
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static int by_database_name(const void *a, const void *b, void *user) {
    const struct history *h = user;
    const struct history_database *x = &h->databases[*(const uint32_t *)a], *y = &h->databases[*(const uint32_t *)b];
    int order = strcasecmp(x->name, y->name);
    if (!order)
        order = (x->newest_at > y->newest_at) - (x->newest_at < y->newest_at);
    return order ? order : (x > y) - (x < y);
}

/* Databases in their order; rank[root unit] is the place of its database. */
static void make_databases(struct grouping *g, uint32_t *rank) {
    struct history *h = g->h;
    uint32_t *made = mem_array(g->unit_count, sizeof(*made)); /* root unit -> database + 1, in the order of units */
    size_t cap = 0;
    for (uint32_t i = 0; i < g->unit_count; i++) {
        uint32_t root = root_of(g->units, i);
        const struct unit *u = &g->units[i];
        if (!made[root]) {
            h->databases = mem_grow(h->databases, &cap, h->database_count + 1, sizeof(*h->databases));
            h->databases[h->database_count] = (struct history_database){0};
            made[root] = (uint32_t)++h->database_count;
        }
        struct history_database *d = &h->databases[made[root] - 1];
        if (!d->name || u->last_at >= d->newest_at) {
            d->name = u->name;
            d->newest_at = u->last_at;
            d->family = u->family;
            d->guid = u->guid;
        }
    }
    uint32_t *order = mem_array(h->database_count, sizeof(*order));
    for (uint32_t i = 0; i < h->database_count; i++)
        order[i] = i;
    qsort_r(order, h->database_count, sizeof(*order), by_database_name, h);
    struct history_database *sorted = mem_array(h->database_count, sizeof(*sorted));
    uint32_t *place = mem_array(h->database_count, sizeof(*place));
    for (uint32_t i = 0; i < h->database_count; i++) {
        sorted[i] = h->databases[order[i]];
        place[order[i]] = i;
    }
    for (uint32_t i = 0; i < g->unit_count; i++)
        if (made[i])
            rank[i] = place[made[i] - 1];
    mem_free(h->databases);
    h->databases = sorted;
    mem_free(made);
    mem_free(order);
    mem_free(place);
}

/* ---- bringing the sets into order ---- */

/* order[i] is the set that belongs at i. In place: a second copy of a million sets would be large. */
static void permute(struct history *h, uint32_t *order) {
    for (size_t i = 0; i < h->count; i++) {
        if (order[i] == i)
            continue;
        struct backup set = h->sets[i];
        struct history_set detail = h->details[i];
        size_t at = i;
        for (;;) {
            size_t from = order[at];
            order[at] = (uint32_t)at;
            if (from == i)
                break;
            h->sets[at] = h->sets[from];
            h->details[at] = h->details[from];
            at = from;
        }
        h->sets[at] = set;
        h->details[at] = detail;
    }
}

static int by_set(const void *a, const void *b) {
    const struct history_file *x = a, *y = b;
    if (x->set != y->set)
        return x->set < y->set ? -1 : 1;
    if (x->sequence != y->sequence)
        return x->sequence < y->sequence ? -1 : 1;
    return strcmp(x->path, y->path);
}

/* The same path twice is one file, and so are two paths of one stripe: copies. */
static void sort_files(struct history *h) {
    size_t count = 0;
    if (h->file_count)
        qsort(h->files, h->file_count, sizeof(*h->files), by_set);
    for (size_t i = 0; i < h->file_count; i++) {
        const struct history_file *f = &h->files[i], *last = count ? &h->files[count - 1] : NULL;
        if (last && last->set == f->set && (f->sequence ? last->sequence == f->sequence : !strcmp(last->path, f->path)))
            continue;
        struct history_set *d = &h->details[f->set];
        if (!d->file_count++)
            d->first_file = (uint32_t)count;
        h->files[count++] = *f;
    }
    h->file_count = count;
    for (size_t i = 0; i < h->count; i++) {
        struct history_set *d = &h->details[i];
        if (d->families < d->file_count)
            d->families = (uint16_t)d->file_count;
        h->sets[i].stripes = d->families ? d->families : 1;
    }
}

/* Nobody has the bytes of what went to NUL: it says only that something is missing. */
static void mark_nul(struct history *h) {
    for (size_t i = 0; i < h->file_count; i++) {
        const char *path = h->files[i].path;
        if (str_ieq(path, "NUL") || str_ieq(path, "NUL:") || !strcmp(path, "/dev/null"))
            h->sets[h->files[i].set].flags |= BACKUP_FOREIGN;
    }
}

void history_group(struct history *history) {
    if (!history->count)
        return;
    struct history *h = history;
    mark_nul(h);
    struct grouping g = {
        .h = h, .order = mem_array(h->count, sizeof(uint32_t)), .unit_of = mem_array(h->count, sizeof(uint32_t))};
    for (uint32_t i = 0; i < h->count; i++)
        g.order[i] = i;
    make_units(&g);
    join_restored(&g);
    uint32_t *rank = mem_array(g.unit_count, sizeof(*rank));
    make_databases(&g, rank);
    struct database_order by = {h, g.units, g.unit_of, rank};
    qsort_r(g.order, h->count, sizeof(*g.order), by_database, &by);
    uint32_t *place = mem_array(h->count, sizeof(*place));
    for (uint32_t i = 0; i < h->count; i++) {
        struct history_database *d = &h->databases[rank[root_of(g.units, g.unit_of[g.order[i]])]];
        if (d->end == 0)
            d->begin = d->foreign = i;
        d->end = i + 1;
        if (!backup_has(&h->sets[g.order[i]], BACKUP_FOREIGN))
            d->foreign = i + 1;
        place[g.order[i]] = i;
    }
    for (size_t i = 0; i < h->file_count; i++)
        h->files[i].set = place[h->files[i].set];
    permute(h, g.order);
    sort_files(h);
    mem_free(place);
    mem_free(rank);
    mem_free(g.units);
    mem_free(g.order);
    mem_free(g.unit_of);
}
