/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When is the next run of one schedule entry (one kind of backup of one database)? Pure: the caller brings the
 * time and keeps the state.
 *
 *     due_init(&state, last_run_at, now);
 *     each tick, at least once a minute and at answer.next_at:
 *         due_poll(&rule, &state, now, &answer);
 *         if (answer.due) { start it; due_ran(&state, now); }
 *
 * - An interval runs on a grid whose phase comes from the seed: no drift, a restart changes nothing, and many
 *   databases do not start together. A cron line runs at its time plus a delay from the seed. Both spreads are
 *   at most `jitter_us` and at most a tenth of the time between two runs.
 * - Runs that were missed while the process was down, asleep or the clock jumped forwards are made up by one run,
 *   soon, spread by the jitter; DUE_MISSED_SKIP waits for the next regular one. Runs that fall due while the
 *   previous one still runs are one run.
 * - A run inside a blackout window waits for the window's end, again spread.
 * - A clock that is set back by less than the time between two runs repeats nothing; set back by more, the next
 *   regular time runs. The silence is never longer than two ordinary ones.
 */
#ifndef MSSQL_SCHEDULE_DUE_H
#define MSSQL_SCHEDULE_DUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/schedule/cron.h"
#include "common/schedule/tz.h"
#include "common/schedule/window.h"

#define DUE_INTERVAL_MIN INT64_C(10000000) /* 10 s in microseconds */

enum due_missed { DUE_MISSED_ONCE, DUE_MISSED_SKIP };

struct due_rule {
    bool enabled;
    bool first_at_once; /* an entry that never ran is due now (spread), not at its next regular time */
    int64_t interval_us; /* 0: cron */
    struct cron cron;
    const struct tz *tz; /* NULL: UTC */
    int64_t jitter_us;
    enum due_missed missed;
    const struct window *blackouts;
    size_t blackout_count;
    uint64_t seed; /* due_seed() */
};

enum due_reason {
    DUE_REASON_SCHEDULE,
    DUE_REASON_FIRST, /* never ran before */
    DUE_REASON_MISSED, /* makes up for one or more missed runs */
};

/* Initialise with due_init(); only `last_at` is for others to read. */
struct due_state {
    int64_t last_at; /* start of the last run, 0 never */
    int64_t from_at; /* the rule holds from here on: nothing before it was ever due */
    int64_t since_at; /* we watch since then: what was due before it was missed */
    int64_t seen_at; /* time of the last poll */
    int64_t next_at; /* the plan, 0 when it must be made */
    int64_t held_at; /* when the run fell due that a blackout holds back, 0 none */
    enum due_reason reason;
};

struct due_answer {
    bool due;
    int64_t next_at; /* the planned run (<= now when due); 0 when the entry is disabled or never runs */
    int64_t held_at; /* the run was due then and waits for the end of a blackout; 0 */
    enum due_reason reason;
};

/* Stable number of a database's entry, from instance, database and kind. */
uint64_t due_seed(const char *instance, const char *database, const char *kind);

void due_init(struct due_state *state, int64_t last_at, int64_t now);
void due_poll(const struct due_rule *rule, struct due_state *state, int64_t now, struct due_answer *ret_answer);
/* A run of this kind, or one that replaces it, began now; also call it for a run on demand. */
void due_ran(struct due_state *state, int64_t now);
/* The rule changed: what the new rule would have run before `now` was not missed. */
void due_rule_changed(struct due_state *state, int64_t now);
/* A pause ended: what was due meanwhile was missed, and the rule for missed runs holds. */
void due_resumed(struct due_state *state, int64_t now);
/* The run did not come about (an error, a skip): due again at `retry_at`, until then not. */
void due_retry(struct due_state *state, int64_t retry_at);

const char *due_reason_name(enum due_reason reason);

#endif
