/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The backups of one database in an order that the chain rules can walk: by recovery path, then by LSN.
 *
 * A path is incarnation + family + recovery fork: LSNs are comparable inside one path only. Paths stand in the order in
 * which the database was on them (by incarnation, then by their earliest finish). Inside a path sets are sorted by
 * LastLSN, FirstLSN, finish.
 *
 * The history holds an index beside the caller's array, nothing else: per set 8 bytes of order and 6 to 12 bytes of a
 * hash table over the set GUIDs, and a few words per path. Building takes O(n log n). The array must stay where it is
 * while the history is used, and is not changed.
 */
#ifndef MSSQL_CHAIN_HISTORY_H
#define MSSQL_CHAIN_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/chain/backup.h"

#define CHAIN_HISTORY_MAX (UINT32_MAX / 4) /* sets */

struct chain_path {
    struct guid family;
    struct guid fork; /* LastRecoveryForkID of its sets */
    uint32_t incarnation;
};

static inline bool chain_path_eq(const struct chain_path *a, const struct chain_path *b) {
    return a->incarnation == b->incarnation && guid_eq(&a->fork, &b->fork) && guid_eq(&a->family, &b->family);
}
struct chain_path chain_path_of(const struct backup *b);

/* A run of the order that is one path. */
struct chain_history_path {
    struct chain_path path;
    size_t begin, end; /* positions in the order, end exclusive */
    int64_t first_at; /* earliest finish */
};

struct chain_history_entry {
    uint32_t at; /* index in the caller's array */
    uint32_t flags; /* enum backup_flag, merged over duplicates: FOREIGN only when all are */
};

struct chain_history {
    const struct backup *sets;
    struct chain_history_entry *order;
    size_t count; /* sets without duplicates */
    struct chain_history_path *paths;
    size_t path_count;
    uint32_t *table; /* position in the order + 1, 0 empty; open addressing over set GUIDs */
    size_t table_size;
};

/*
 * Sets may come in any order. Sets of equal, non-zero set GUID are one: a set of ours is preferred to what msdb knows of
 * it, OFF_VOLUME and HELD are kept from every copy. Aborts when count is over CHAIN_HISTORY_MAX (the catalog's own limit
 * is far below).
 */
void chain_history_init(struct chain_history *history, const struct backup *sets, size_t count);
void chain_history_done(struct chain_history *history);

/* The set at a position of the order, with its merged flags. */
struct backup chain_history_at(const struct chain_history *history, size_t position);
/* Without the copy: the caller's record, whose flags are not merged. */
const struct backup *chain_history_peek(const struct chain_history *history, size_t position);
/* Position of a set GUID; false when it is not there or zero. */
bool chain_history_find(const struct chain_history *history, const struct guid *set_guid, size_t *ret_position);
/* Index in paths of the path with this fork; false when there is none. */
bool chain_history_path_find(const struct chain_history *history, const struct chain_path *path, size_t *ret_index);

#endif
