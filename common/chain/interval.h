/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restorable intervals of a history and the holes between them.
 *
 * Inside an interval every moment from `from_at` to `until_at` (and every LSN from from_lsn to until_lsn) can be restored
 * from our sets. `from_at` is backup_ended_by() of the base that begins it; `until_at` is the valid_until of its last log. The
 * inside of a bulk-logged log is a hole; its end begins the next interval. A data backup that no log joins to anything is
 * an interval of one point.
 *
 * A fork gets intervals of its own. When a log crosses the fork and the sets before it reach the fork point, the
 * interval of the new fork begins at the last reachable set before the fork and there is no hole.
 */
#ifndef MSSQL_CHAIN_INTERVAL_H
#define MSSQL_CHAIN_INTERVAL_H

#include "common/chain/history.h"
#include "common/chain/reason.h"

/* A backup that msdb knows and we do not have. */
struct chain_foreign {
    struct backup set; /* BACKUP_FOREIGN */
    char who[CHAIN_WHO_MAX]; /* backupset.user_name */
    char device[CHAIN_DEVICE_MAX]; /* physical_device_name: a path, a URL, NUL, or the GUID of a virtual device */
};
/* A log backup whose bytes nobody has: TO DISK = 'NUL' or '/dev/null'. */
bool chain_foreign_is_nul(const struct chain_foreign *foreign);
/*
 * The foreign regular log backup that overlaps (from, until), the first of them when there are several; until zero means
 * no end. NULL when there is none.
 */
const struct chain_foreign *chain_foreign_log(const struct chain_foreign *foreign, size_t count, const struct chain_path *path,
                                              struct lsn from, struct lsn until);

struct chain_interval {
    struct chain_path path;
    int64_t from_at;
    int64_t until_at;
    struct lsn from_lsn;
    struct lsn until_lsn;
    struct guid begins; /* set whose end is `from` */
    bool current; /* the chain's tip: the quiet extension was applied here */
};

struct chain_intervals {
    struct chain_interval *intervals; /* in the order of paths, then by LSN */
    size_t count;
    struct chain_hole *holes; /* in the same order; CHAIN_HOLE_LOG_PENDING ones are none yet */
    size_t hole_count;
    size_t open_hole_count; /* logs at the end that nothing reaches, or a known hole that goes on */
    int64_t off_volume_until_at; /* latest moment that copies on another volume alone reach, on the last path */
};

struct chain_interval_input {
    const struct chain_history *history;
    int64_t quiet_until_at; /* nothing was committed between the last log and this moment; 0 not known */
    const struct chain_foreign *foreign; /* who and where, for the holes */
    size_t foreign_count;
    const struct chain_hole *known; /* holes as they were recorded when they arose: their cause is the better one */
    size_t known_count;
};

void chain_intervals_build(const struct chain_interval_input *input, struct chain_intervals *ret_intervals);
void chain_intervals_done(struct chain_intervals *intervals);

/* The interval that holds the moment, of the newest path when several do; NULL when none does. */
const struct chain_interval *chain_interval_at(const struct chain_intervals *intervals, int64_t at);
/* Where the moment is not restorable: the hole that holds it; NULL when it is restorable or outside of everything. */
const struct chain_hole *chain_hole_at(const struct chain_intervals *intervals, int64_t at);

#endif
