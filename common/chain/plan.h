/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The restore planner: which sets to restore, in which order, to bring a database to a target.
 *
 * A plan is a full, perhaps a differential on it, and logs, contiguous by LSN and recovery fork. Of all that reach the
 * target it is the cheapest: fewest stored bytes to read, then fewest sets, then the newest full. Nothing is ever planned
 * across two incarnations.
 *
 * STOPAT. The last certain log of a plan to a moment is the first that may have ended behind it. A commit that was made
 * while that backup ran may be in the next one only, so that one is listed as `if_needed`: it is restored only when the
 * server answered 4322 (moment not reached) to the log before it, never after the moment was reached (4335). When the
 * last log was restored and the server still says 4322, nothing was committed between its end and the moment: recover.
 * A member whose `stop` is false gets no stop option: data backups, and bulk-logged logs that end before the target.
 *
 * When a set turns out to be damaged or missing, the next cheapest plan is the same call with its GUID in `avoid`.
 */
#ifndef MSSQL_CHAIN_PLAN_H
#define MSSQL_CHAIN_PLAN_H

#include "common/chain/history.h"
#include "common/chain/interval.h"
#include "common/chain/target.h"

/* A row of msdb.dbo.logmarkhistory, as the manifest of the log keeps it. */
struct chain_log_mark {
    const char *name;
    struct lsn lsn;
    int64_t at; /* UTC */
    struct guid set; /* the log whose manifest has it: says the path; zero when unknown */
};

/* A database that is RESTORING: only the rest is planned. */
struct chain_resume {
    bool on;
    struct lsn redo_lsn; /* sys.master_files.redo_start_lsn of file 1 */
    struct guid redo_fork; /* redo_start_fork_guid */
    struct guid base; /* differential_base_guid, zero unknown: then no differential is planned */
};

struct chain_plan_request {
    const struct chain_history *history;
    const struct chain_foreign *foreign; /* who made the holes, as for the intervals */
    size_t foreign_count;
    const struct chain_hole *known;
    size_t known_count;
    int64_t quiet_until_at; /* nothing was committed between the newest log and this moment; 0 not known */
    struct chain_target target;
    const struct chain_path *path; /* only this one; NULL: the newest path that holds the target */
    const struct guid *avoid; /* sets found damaged or missing */
    size_t avoid_count;
    const struct chain_log_mark *marks; /* any order; for mark targets */
    size_t mark_count;
    struct chain_resume resume;
    bool allow_damaged; /* a full or differential taken over bad pages is a base where there is no other */
    int64_t now; /* 0: a target in the future is just behind the window */
};

enum chain_member_why {
    CHAIN_WHY_BASE, /* "base": the full to begin with */
    CHAIN_WHY_DIFF, /* "differential": replaces the logs between it and its full */
    CHAIN_WHY_ROLL, /* "roll_forward": joins what is before it to what is behind */
    CHAIN_WHY_TARGET, /* "holds_target": restore stops in it, or at its end */
    CHAIN_WHY_MAYBE, /* "may_hold_target": commits made while the log before it was taken */
    CHAIN_WHY_COUNT,
};

struct chain_member {
    uint32_t set; /* index in the array of the history */
    enum backup_kind kind;
    enum chain_member_why why;
    bool if_needed; /* only after 4322 */
    bool stop; /* the plan's stop goes on this RESTORE LOG */
    bool damaged; /* WITH CONTINUE_AFTER_ERROR */
};

struct chain_plan {
    struct chain_member *members; /* in the order of restoring */
    size_t count;
    struct chain_stop stop;
    struct chain_path path; /* where it ends */
    int64_t reaches_at; /* TIME: the moment (stop.at); else when the last record was written as far as that is known, or 0 */
    struct lsn reaches_lsn; /* end of the last member that is certain; LSN: the target */
    /* TIME: every commit up to here is in the certain members. Not before stop.at: the if_needed one holds nothing more. */
    int64_t complete_until_at;
    uint64_t stored_bytes; /* to read, with the if_needed one */
    uint64_t size_bytes; /* the same, uncompressed */
    uint64_t if_needed_bytes; /* of stored_bytes */
    bool damaged; /* built on a damaged set, because of allow_damaged */
    /* TIME: the path's first backup is newer than the moment, and the fork that it came from is not backed up that far. If the
     * database was restored in between, what it held at the moment is lost, and this is what the restore gave it. */
    bool before_path;
    bool closed; /* a history with older sets would give the same plan: for callers that hold the newer part only */
    bool has_hole; /* LATEST: newer backups exist that nothing reaches, because of `hole` */
    struct chain_hole hole;
};

/* What people must know of a plan that is `before_path`. */
#define CHAIN_BEFORE_PATH_TEXT                                                                                                   \
    "the backups of the recovery fork that was in use at the moment do not reach it. The plan takes those of a fork that was "   \
    "begun "                                                                                                                     \
    "later: if the database was restored in between, rows of the moment itself are lost, and this is what that restore gave it"

enum chain_refusal_reason {
    CHAIN_REFUSED_NONE = 0,
    CHAIN_REFUSED_NO_BACKUPS, /* "no_backups" */
    CHAIN_REFUSED_NO_BASE, /* "no_base": backups, but nothing can be restored from them */
    CHAIN_REFUSED_BEFORE_WINDOW, /* "before_window": older than the first restorable moment */
    CHAIN_REFUSED_AFTER_WINDOW, /* "after_window": newer than what is backed up */
    CHAIN_REFUSED_IN_FUTURE, /* "in_future" */
    CHAIN_REFUSED_IN_HOLE, /* "in_hole": `hole` says why */
    CHAIN_REFUSED_BULK_LOGGED, /* "bulk_logged": inside a log with minimally logged changes */
    CHAIN_REFUSED_AMBIGUOUS_HOUR, /* "ambiguous_hour": the source's local time was shown twice, or its offset is not known */
    CHAIN_REFUSED_CLOCK_SET_BACK, /* "clock_set_back": the server's clock went back over this moment */
    CHAIN_REFUSED_MARK_UNKNOWN, /* "mark_unknown" */
    CHAIN_REFUSED_MARK_AMBIGUOUS, /* "mark_ambiguous": several marks of this name and no moment */
    CHAIN_REFUSED_BASE_DAMAGED, /* "base_damaged": reachable with allow_damaged only */
    CHAIN_REFUSED_SET_UNUSABLE, /* "set_unusable": reachable only with a set of `avoid` */
    CHAIN_REFUSED_PATH_UNKNOWN, /* "path_unknown": the wanted path (or redo fork) is not in the history */
    CHAIN_REFUSED_PAST_TARGET, /* "past_target": the database that is RESTORING is already behind the target */
    CHAIN_REFUSED_RESUME_GAP, /* "resume_gap": no log continues where the database stands */
    CHAIN_REFUSED_COUNT,
};

struct chain_nearest {
    bool any;
    int64_t at; /* a moment that can be restored; where the clock is the reason, only its LSN names it */
    struct lsn lsn; /* the same state as before-lsn, zero when the moment lies inside of a log */
    struct chain_path path;
};

struct chain_refusal {
    enum chain_refusal_reason reason;
    enum err_class class;
    struct chain_hole hole; /* cause NONE when there is none */
    struct guid set; /* the one that stands in the way (bulk-logged, damaged, avoided); zero none */
    struct chain_nearest before; /* the nearest restorable moments */
    struct chain_nearest after;
    char text[CHAIN_TEXT_MAX]; /* what, where, what to do */
};

/* True: ret_plan is filled, chain_plan_done() it. False: ret_refusal is. The other one is untouched. */
bool chain_plan_build(const struct chain_plan_request *request, struct chain_plan *ret_plan, struct chain_refusal *ret_refusal);
void chain_plan_done(struct chain_plan *plan);

/* The stable words above. */
const char *chain_member_why_word(enum chain_member_why why);
const char *chain_refusal_word(enum chain_refusal_reason reason);
bool chain_refusal_parse(const char *word, enum chain_refusal_reason *ret_reason);
/* Sets err to class and text; returns -1. */
int chain_refusal_err(const struct chain_refusal *refusal, struct err *err);

#endif
