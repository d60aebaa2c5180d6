/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over a history that the tip and the list of intervals share, so that both say the same. For implementers of
 * common/chain only.
 *
 * The walk keeps a tip and emits a span when something is closed: an interval, a lone point (a data backup that no log
 * joins to anything), or a stretch of logs that no base reaches.
 */
#ifndef MSSQL_CHAIN_WALK_INT_H
#define MSSQL_CHAIN_WALK_INT_H

#include "common/chain/tip.h"

struct chain_span {
    struct chain_path path;
    struct chain_point from;
    struct lsn until_lsn;
    int64_t until_at;
    enum chain_hole_cause cause; /* why it is not joined to the span before */
    bool unreachable; /* logs without base: from.lsn and until_lsn are the logs' ends */
    bool tip; /* the last of the history, where a quiet extension belongs */
};

struct chain_walk {
    struct chain_tip *tip;
    const struct chain_history *history; /* to look up bases of differentials; NULL: the tip's own few */
    void (*emit)(void *user, const struct chain_span *span); /* may be NULL */
    /* The oldest reachable point of the fork that `log` comes from, between its FirstLSN and its fork point. NULL: the
     * tip's own few. */
    bool (*join)(void *user, const struct backup *log, struct chain_point *ret_point);
    void *user;
};

void chain_walk_add(struct chain_walk *walk, const struct backup *set);
/* Emits what is open. `pending`: cause of the hole before data backups that still wait for their log. The tip is then
 * only good for chain_tip_init(). */
void chain_walk_end(struct chain_walk *walk, enum chain_hole_cause pending, bool tip);

/* The part of the tip that looks at copies on another volume only. */
void chain_off_add(struct chain_tip *tip, const struct backup *set);
/* Another path: what survives of it. `log` is what led there, NULL when it crosses nothing. */
void chain_off_fork(struct chain_tip *tip, const struct backup *log);

#endif
