/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/history.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct chain_path chain_path_of(const struct backup *b) {
    return (struct chain_path){.family = b->family_guid, .fork = b->last_fork, .incarnation = b->incarnation};
}

/* GUIDs of SQL Server are random enough, but a file may hold anything, so both halves are mixed. */
static size_t guid_slot(const struct guid *guid, size_t table_size) {
    uint64_t a, b;
    memcpy(&a, guid->bytes, sizeof(a));
    memcpy(&b, guid->bytes + 8, sizeof(b));
    a ^= b * UINT64_C(0x9e3779b97f4a7c15);
    a ^= a >> 32;
    a *= UINT64_C(0xd6e8feb86659fd93);
    a ^= a >> 32;
    return (size_t)a & (table_size - 1);
}

/* The slot that holds the GUID, or the empty one where it belongs. Table entries are positions in the order. */
static size_t table_probe(const struct chain_history *h, const struct guid *guid) {
    size_t slot = guid_slot(guid, h->table_size);
    while (h->table[slot]) {
        const struct chain_history_entry *e = &h->order[h->table[slot] - 1];
        if (guid_eq(&h->sets[e->at].set_guid, guid))
            break;
        slot = (slot + 1) & (h->table_size - 1);
    }
    return slot;
}

/* Which of two records of one set says more? One of ours, then one that is known to be correct until later. */
static bool record_better(const struct backup *a, const struct backup *b) {
    if (backup_has(a, BACKUP_FOREIGN) != backup_has(b, BACKUP_FOREIGN))
        return !backup_has(a, BACKUP_FOREIGN);
    return a->valid_until > b->valid_until;
}

static void entry_merge(const struct chain_history *h, struct chain_history_entry *e, uint32_t at) {
    const uint32_t kept = BACKUP_OFF_VOLUME | BACKUP_HELD;
    uint32_t old = e->flags, added = h->sets[at].flags;
    if (record_better(&h->sets[at], &h->sets[e->at])) {
        e->at = at;
        e->flags = added;
    }
    e->flags |= (old | added) & kept;
}

/* Fills the order with every set once, in the order of the array. */
static void entries_collect(struct chain_history *h, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct guid *guid = &h->sets[i].set_guid;
        if (!guid_is_zero(guid)) {
            size_t slot = table_probe(h, guid);
            if (h->table[slot]) {
                entry_merge(h, &h->order[h->table[slot] - 1], (uint32_t)i);
                continue;
            }
            h->table[slot] = (uint32_t)h->count + 1;
        }
        h->order[h->count++] = (struct chain_history_entry){(uint32_t)i, h->sets[i].flags};
    }
}

static int i64_cmp(int64_t a, int64_t b) {
    return (a > b) - (a < b);
}

static int set_cmp(const struct backup *a, const struct backup *b) {
    int c;
    if (a->incarnation != b->incarnation)
        return a->incarnation < b->incarnation ? -1 : 1;
    if ((c = memcmp(&a->family_guid, &b->family_guid, sizeof(a->family_guid))))
        return c;
    if ((c = memcmp(&a->last_fork, &b->last_fork, sizeof(a->last_fork))))
        return c;
    if ((c = lsn_cmp(a->last_lsn, b->last_lsn)) || (c = lsn_cmp(a->first_lsn, b->first_lsn)))
        return c;
    return i64_cmp(a->finish_at, b->finish_at);
}

static int entry_cmp(const void *a, const void *b, void *sets) {
    const struct chain_history_entry *x = a, *y = b;
    int c = set_cmp((struct backup *)sets + x->at, (struct backup *)sets + y->at);
    return c ? c : (x->at > y->at) - (x->at < y->at);
}

/* The catalog is written in order, so mostly there is nothing to sort. */
static void entries_sort(struct chain_history *h) {
    for (size_t i = 1; i < h->count; i++) {
        if (entry_cmp(&h->order[i - 1], &h->order[i], (void *)(uintptr_t)h->sets) > 0) {
            qsort_r(h->order, h->count, sizeof(*h->order), entry_cmp, (void *)(uintptr_t)h->sets);
            return;
        }
    }
}

static int path_cmp(const void *a, const void *b) {
    const struct chain_history_path *x = a, *y = b;
    if (x->path.incarnation != y->path.incarnation)
        return x->path.incarnation < y->path.incarnation ? -1 : 1;
    int c = i64_cmp(x->first_at, y->first_at);
    return c ? c : (x->begin > y->begin) - (x->begin < y->begin);
}

static void paths_collect(struct chain_history *h) {
    size_t cap = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct backup *b = &h->sets[h->order[i].at];
        struct chain_path path = chain_path_of(b);
        struct chain_history_path *last = h->path_count ? &h->paths[h->path_count - 1] : NULL;
        if (!last || !chain_path_eq(&last->path, &path)) {
            h->paths = mem_grow(h->paths, &cap, h->path_count + 1, sizeof(*h->paths));
            last = &h->paths[h->path_count++];
            *last = (struct chain_history_path){.path = path, .begin = i, .first_at = b->finish_at};
        }
        last->end = i + 1;
        if (b->finish_at < last->first_at)
            last->first_at = b->finish_at;
    }
}

/* Puts the runs of the order behind each other in the order of the paths. */
static void paths_order(struct chain_history *h) {
    if (h->path_count < 2)
        return;
    qsort(h->paths, h->path_count, sizeof(*h->paths), path_cmp);
    struct chain_history_entry *moved = mem_array(h->count, sizeof(*moved));
    size_t to = 0;
    for (size_t i = 0; i < h->path_count; i++) {
        struct chain_history_path *p = &h->paths[i];
        size_t n = p->end - p->begin;
        memcpy(moved + to, h->order + p->begin, n * sizeof(*moved));
        p->begin = to;
        p->end = to += n;
    }
    mem_free(h->order);
    h->order = moved;
}

/* While sets were collected the table held positions before sorting: write it again. */
static void table_rewrite(struct chain_history *h) {
    memset(h->table, 0, h->table_size * sizeof(*h->table));
    for (size_t i = 0; i < h->count; i++) {
        const struct guid *guid = &h->sets[h->order[i].at].set_guid;
        if (!guid_is_zero(guid))
            h->table[table_probe(h, guid)] = (uint32_t)i + 1;
    }
}

void chain_history_init(struct chain_history *history, const struct backup *sets, size_t count) {
    assert(count <= CHAIN_HISTORY_MAX);
    *history = (struct chain_history){.sets = sets, .table_size = 2};
    while (history->table_size < count + count / 2)
        history->table_size *= 2;
    history->order = mem_array(count ? count : 1, sizeof(*history->order));
    history->table = mem_array(history->table_size, sizeof(*history->table));
    entries_collect(history, count);
    entries_sort(history);
    paths_collect(history);
    paths_order(history);
    table_rewrite(history);
}

void chain_history_done(struct chain_history *history) {
    mem_free(history->order);
    mem_free(history->paths);
    mem_free(history->table);
    *history = (struct chain_history){0};
}

struct backup chain_history_at(const struct chain_history *history, size_t position) {
    struct backup b = history->sets[history->order[position].at];
    b.flags = history->order[position].flags;
    return b;
}

const struct backup *chain_history_peek(const struct chain_history *history, size_t position) {
    return &history->sets[history->order[position].at];
}

bool chain_history_find(const struct chain_history *history, const struct guid *set_guid, size_t *ret_position) {
    if (guid_is_zero(set_guid) || !history->table)
        return false;
    uint32_t found = history->table[table_probe(history, set_guid)];
    if (!found)
        return false;
    *ret_position = found - 1;
    return true;
}

bool chain_history_path_find(const struct chain_history *history, const struct chain_path *path, size_t *ret_index) {
    for (size_t i = 0; i < history->path_count; i++) {
        if (chain_path_eq(&history->paths[i].path, path)) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}
