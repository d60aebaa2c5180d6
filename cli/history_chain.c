/* SPDX-License-Identifier: Apache-2.0 */
/* What rows leave unsaid about the chain: the base of a differential, and that the volume went back. */
#include <stdlib.h>
#include <string.h>

#include "cli/history_int.h"
#include "common/base/mem.h"

/* ---- bases ---- */

void history_share_columns(struct history *history) {
    bool any = false;
    for (size_t i = 0; i < history->count; i++)
        any = any || history->details[i].has_diff_base;
    for (size_t i = 0; i < history->count; i++)
        history->details[i].has_diff_base = any;
}

static int by_checkpoint(const void *a, const void *b, void *user) {
    const struct backup *sets = user, *x = &sets[*(const uint32_t *)a], *y = &sets[*(const uint32_t *)b];
    int order = lsn_cmp(x->checkpoint_lsn, y->checkpoint_lsn);
    return order ? order : (x->finish_at > y->finish_at) - (x->finish_at < y->finish_at);
}

/* The newest full with this checkpoint that was there before the differential. */
static const struct backup *find_base(const struct backup *sets, const uint32_t *fulls, size_t count, const struct backup *diff,
                                      struct lsn checkpoint) {
    size_t low = 0, high = count;
    const struct backup *found = NULL;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lsn_cmp(sets[fulls[middle]].checkpoint_lsn, checkpoint) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < count && !lsn_cmp(sets[fulls[low]].checkpoint_lsn, checkpoint); low++) {
        const struct backup *full = &sets[fulls[low]];
        if (guid_eq(&full->family_guid, &diff->family_guid) && full->finish_at <= diff->finish_at)
            found = full;
    }
    return found;
}

static void link_database(struct history *h, const struct history_database *d) {
    uint32_t *fulls = mem_array(d->end - d->begin + 1, sizeof(*fulls));
    size_t count = 0;
    for (size_t i = d->begin; i < d->end; i++)
        if (h->sets[i].kind == BACKUP_FULL && !backup_has(&h->sets[i], BACKUP_COPY_ONLY))
            fulls[count++] = (uint32_t)i;
    if (count)
        qsort_r(fulls, count, sizeof(*fulls), by_checkpoint, h->sets);
    for (size_t i = d->begin; i < d->end; i++) {
        struct backup *b = &h->sets[i];
        if (b->kind != BACKUP_DIFF || !guid_is_zero(&b->diff_base_guid))
            continue;
        /* NULLs in columns that are there mean several bases: no single full is the one */
        struct lsn checkpoint = h->details[i].has_diff_base ? b->diff_base_lsn : b->database_backup_lsn;
        const struct backup *base = lsn_is_zero(checkpoint) ? NULL : find_base(h->sets, fulls, count, b, checkpoint);
        if (base)
            b->diff_base_guid = base->set_guid;
    }
    mem_free(fulls);
}

void history_link_bases(struct history *history) {
    for (size_t i = 0; i < history->database_count; i++)
        link_database(history, &history->databases[i]);
}

/* ---- a volume that went back ---- */

/*
 * A reverted volume comes back with the same GUIDs and lower LSNs that are used again with other content. The sign of it are two
 * regular log backups of one fork that share a part of the log: no server makes those by itself. What is later in time, and every set
 * that ended behind an earlier one before it, is another incarnation.
 */
struct revert {
    struct history *h;
    uint32_t *order; /* sets of one fork */
    size_t count;
    int64_t *at; /* starts of incarnations */
    size_t found, cap;
};

static bool is_witness(const struct backup *b) {
    return b->kind == BACKUP_LOG && !backup_has(b, BACKUP_COPY_ONLY) && !backup_has(b, BACKUP_READ_ONLY) &&
           lsn_cmp(b->first_lsn, b->last_lsn) < 0;
}

static int by_fork(const void *a, const void *b, void *user) {
    const struct backup *sets = user, *x = &sets[*(const uint32_t *)a], *y = &sets[*(const uint32_t *)b];
    int order = memcmp(x->family_guid.bytes, y->family_guid.bytes, sizeof(x->family_guid.bytes));
    if (!order)
        order = memcmp(x->last_fork.bytes, y->last_fork.bytes, sizeof(x->last_fork.bytes));
    if (!order)
        order = lsn_cmp(x->first_lsn, y->first_lsn);
    return order ? order : lsn_cmp(x->last_lsn, y->last_lsn);
}

static int by_finish(const void *a, const void *b, void *user) {
    const struct backup *sets = user, *x = &sets[*(const uint32_t *)a], *y = &sets[*(const uint32_t *)b];
    if (x->finish_at != y->finish_at)
        return x->finish_at < y->finish_at ? -1 : 1;
    return lsn_cmp(x->last_lsn, y->last_lsn);
}

static bool same_fork(const struct backup *a, const struct backup *b) {
    return guid_eq(&a->family_guid, &b->family_guid) && guid_eq(&a->last_fork, &b->last_fork);
}

/* Do two sets that overlap hold different content? The same stretch again is a copy where nothing says that it is another backup. */
static bool is_repeat(const struct history *h, uint32_t x, uint32_t y) {
    const struct backup *a = &h->sets[x], *b = &h->sets[y];
    bool same = !lsn_cmp(a->first_lsn, b->first_lsn) && !lsn_cmp(a->last_lsn, b->last_lsn);
    if (a->finish_at == b->finish_at)
        return false;
    return !same || (!h->details[x].made_guid && !h->details[y].made_guid);
}

/* The finish of the earliest set that repeats a part of the log, 0 when there is none. The sets are sorted by LSN. */
static int64_t find_repeat(const struct revert *r, int64_t after) {
    const struct backup *sets = r->h->sets;
    int64_t found = 0;
    uint32_t reach = UINT32_MAX; /* the set that ends last so far */
    for (size_t i = 0; i < r->count; i++) {
        uint32_t at = r->order[i];
        const struct backup *b = &sets[at];
        if (!is_witness(b) || b->finish_at < after)
            continue;
        if (reach != UINT32_MAX && lsn_cmp(b->first_lsn, sets[reach].last_lsn) < 0 && is_repeat(r->h, reach, at)) {
            int64_t later = b->finish_at > sets[reach].finish_at ? b->finish_at : sets[reach].finish_at;
            if (!found || later < found)
                found = later;
        }
        if (reach == UINT32_MAX || lsn_cmp(b->last_lsn, sets[reach].last_lsn) > 0)
            reach = at;
    }
    return found;
}

/* Back from the repeating set (the last of the order, by finish): where did the run of sets begin that ended behind earlier ones? */
static int64_t run_begin(const struct history *h, const uint32_t *order, size_t count) {
    struct lsn *reach = mem_array(count, sizeof(*reach)); /* highest end before each */
    for (size_t i = 1; i < count; i++)
        reach[i] = lsn_max(reach[i - 1], h->sets[order[i - 1]].last_lsn);
    size_t i = count - 1;
    while (i > 1 && lsn_cmp(h->sets[order[i - 1]].last_lsn, reach[i - 1]) < 0)
        i--;
    int64_t at = h->sets[order[i]].start_at;
    mem_free(reach);
    return at;
}

static void find_in_fork(struct revert *r) {
    const struct history *h = r->h;
    int64_t after = 0, repeat;
    while ((repeat = find_repeat(r, after))) {
        uint32_t *order = mem_array(r->count, sizeof(*order));
        size_t n = 0;
        for (size_t i = 0; i < r->count; i++) {
            const struct backup *b = &h->sets[r->order[i]];
            if (b->finish_at >= after && b->finish_at <= repeat)
                order[n++] = r->order[i];
        }
        qsort_r(order, n, sizeof(*order), by_finish, h->sets);
        int64_t begin = run_begin(h, order, n);
        mem_free(order);
        if (begin <= after) /* one second holds all: nothing tells them apart */
            return;
        r->at = mem_grow(r->at, &r->cap, r->found + 1, sizeof(*r->at));
        r->at[r->found++] = begin;
        after = begin;
    }
}

static void find_in_database(struct history *h, const struct history_database *d) {
    struct revert r = {.h = h};
    size_t count = d->end - d->begin;
    uint32_t *order = mem_array(count, sizeof(*order));
    for (size_t i = 0; i < count; i++)
        order[i] = (uint32_t)(d->begin + i);
    qsort_r(order, count, sizeof(*order), by_fork, h->sets);
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin + 1; end < count && same_fork(&h->sets[order[begin]], &h->sets[order[end]]); end++)
            continue;
        r.order = order + begin;
        r.count = end - begin;
        find_in_fork(&r);
    }
    for (size_t k = 0; k < r.found; k++)
        for (size_t i = d->begin; i < d->end; i++)
            if (h->sets[i].start_at >= r.at[k])
                h->sets[i].incarnation++;
    mem_free(r.at);
    mem_free(order);
}

void history_find_reverts(struct history *history) {
    for (size_t i = 0; i < history->database_count; i++)
        find_in_database(history, &history->databases[i]);
}
