/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which backup to take now, and why.
 *
 * Called per lane: once with the data kinds that are due, once with the log that is due (logs run during fulls), and
 * with nothing due when something changed, so that a broken chain heals without waiting for the clock. One decision is at
 * most one backup. What it decides is only advice until chain_check() has seen the set.
 */
#ifndef MSSQL_CHAIN_DECIDE_H
#define MSSQL_CHAIN_DECIDE_H

#include "common/chain/state.h"

struct chain_due {
    bool full;
    bool diff;
    bool log;
    bool force; /* a log although the database is quiet: a plan or a shutdown needs it */
    bool copy_only; /* the due kind was asked for as copy-only: nothing is healed or escalated */
};

struct chain_rules {
    bool heal; /* healing: auto; false is alert: never an unplanned backup */
    bool diffs; /* differentials may be taken, also to heal */
    bool window_open; /* healing window; true when there is none */
    int64_t window_at; /* when it opens next */
    unsigned fulls_left; /* unplanned fulls left today */
    unsigned diffs_left; /* unplanned differentials left today, UINT_MAX without limit */
    int64_t budget_at; /* when the budget is fresh again */
    int64_t max_quiet_us; /* a quiet database still gets a log backup this often; 0: quiet is never used */
    uint64_t log_limit_bytes; /* log since the last backup over this size is due at once; 0 no limit */
    bool data_running; /* a full or differential of this database runs already */
};

enum chain_action {
    CHAIN_ACTION_NONE, /* nothing; `reason` and wait_until_at say why and until when */
    CHAIN_ACTION_TAKE, /* take `kind` */
    CHAIN_ACTION_QUIET, /* nothing was committed: move until to quiet_until_at */
};

struct chain_decision {
    enum chain_action action;
    enum backup_kind kind; /* TAKE */
    bool copy_only;
    bool escalated; /* another kind than the due one, or unplanned */
    bool was_due; /* escalated_from holds: something was due */
    enum backup_kind escalated_from;
    bool unplanned; /* comes out of the healing budget */
    enum chain_reason reason; /* of the action */
    enum chain_reason broken; /* what is wrong with the chain, NONE when it is fine */
    bool has_hole; /* to be recorded, cause and moments so far */
    struct chain_hole hole;
    bool new_incarnation; /* the set begins incarnation tip + 1 */
    bool wanted; /* healing would take wanted_kind, but is not allowed to now */
    enum backup_kind wanted_kind;
    int64_t wait_until_at; /* ask again then; 0: when something changes or is due */
    int64_t quiet_until_at; /* QUIET */
    char text[CHAIN_TEXT_MAX];
};

void chain_decide(const struct chain_view *view, const struct chain_due *due, const struct chain_rules *rules, int64_t now,
                  struct chain_decision *ret_decision);

/* "none", "take", "quiet". */
const char *chain_action_name(enum chain_action action);

#endif
