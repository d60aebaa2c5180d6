/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the planner: the search for the cheapest way, the source's clock, and refusals. For implementers only. */
#ifndef MSSQL_CHAIN_PLAN_INT_H
#define MSSQL_CHAIN_PLAN_INT_H

#include "common/chain/plan.h"

#define PLAN_NONE UINT32_MAX

struct plan_cost {
    uint64_t bytes;
    uint32_t sets;
};

/* What is looked for on one path and the paths that it came from. */
struct plan_goal {
    bool by_time;
    int64_t at; /* by time: every commit up to it, none behind it */
    struct lsn lsn; /* by LSN */
    bool before; /* everything before lsn; else with the record at lsn */
    int64_t quiet_until_at; /* 0 unless the path is the newest one */
};

struct plan_way {
    uint32_t full; /* positions in the order of the history; PLAN_NONE: the database has it already */
    uint32_t diff; /* PLAN_NONE without */
    uint32_t *logs;
    size_t log_count;
    struct plan_cost cost;
    bool closed; /* no older set, known or not, can make it cheaper */
};

/* Which sets may be used. */
struct plan_rules {
    const struct chain_history *history;
    const struct chain_resume *resume;
    uint32_t *avoided; /* positions, ascending */
    size_t avoided_count;
    bool allow_damaged;
};
void plan_rules_init(const struct chain_plan_request *request, struct plan_rules *ret_rules);
void plan_rules_done(struct plan_rules *rules);
/* A set of ours with LSNs that is not avoided. */
bool plan_set_usable(const struct plan_rules *rules, uint32_t position);
/* Can the end of this data backup be restored? ret_full is the full to begin with, itself or a differential's. */
bool plan_base_usable(const struct plan_rules *rules, uint32_t position, uint32_t *ret_full);
uint64_t plan_set_bytes(const struct backup *set);
/* When the path was certainly in use: the beginning of its first backup. */
int64_t plan_path_used_at(const struct chain_history *history, size_t path);
/* The same, or when somebody saw the restore that made it, if that is earlier. */
int64_t plan_path_known_at(const struct chain_plan_request *request, size_t path);
/* A log with minimally logged changes: restored whole or not at all. An empty one holds none, whatever its flag says. */
static inline bool plan_log_is_whole(const struct backup *log) {
    return backup_has(log, BACKUP_BULK_LOGGED) && lsn_cmp(log->first_lsn, log->last_lsn) < 0;
}

/*
 * The cheapest way to the goal on the path; false when there is none: then ret_gap (may be NULL) is the lowest LSN from
 * which logs would reach the goal, zero when no log holds it.
 */
bool plan_search(const struct plan_rules *rules, size_t path, const struct plan_goal *goal, struct plan_way *ret_way,
                 struct lsn *ret_gap);
void plan_way_done(struct plan_way *way);

/* The source's local time at a moment. */
enum plan_clock_kind { PLAN_CLOCK_GOOD, PLAN_CLOCK_FOLD, PLAN_CLOCK_UNKNOWN, PLAN_CLOCK_SET_BACK };
struct plan_clock {
    enum plan_clock_kind kind;
    int32_t utc_offset_s;
    bool offset_known;
};
void plan_clock_at(const struct chain_history *history, size_t path, int64_t at, struct plan_clock *ret_clock);

/* What was found, or why not. */
struct plan_attempt {
    const struct chain_plan_request *request;
    const struct plan_rules *rules;
    struct chain_target target; /* a mark's LSN is filled in */
    struct plan_goal goal;
    struct plan_way way;
    size_t path;
    struct chain_stop stop;
    int64_t mark_at;
    bool before_path; /* see struct chain_plan */
    enum chain_refusal_reason refused; /* IN_HOLE stands for all that the intervals tell apart */
    struct plan_clock clock;
};
/* ret_attempt is filled in both cases; when it is found, plan_way_done() its way. */
bool plan_find(const struct chain_plan_request *request, const struct plan_rules *rules, struct plan_attempt *ret_attempt);

/* Why nothing was found. `clock` is for the reasons of the clock, else NULL. */
void plan_refuse(const struct chain_plan_request *request, enum chain_refusal_reason reason, const struct plan_clock *clock,
                 const struct guid *set, struct chain_refusal *ret_refusal);

#endif
