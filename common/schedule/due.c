/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/due.h"

#include "common/base/clock.h"

/* A poll later than this after the one before means that the process slept or that the clock jumped. */
#define JUMP (5 * CLOCK_MINUTE)
#define SPREAD_DIVISOR 10
/* Slots that are looked at to find one whose delay has not passed; more than one only when a rule changes within the delay. */
#define SLOTS_MAX 4096

uint64_t due_seed(const char *instance, const char *database, const char *kind) {
    const char *const parts[] = {instance, database, kind};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < 3; i++) {
        for (const char *s = parts[i];; s++) {
            hash = (hash ^ (unsigned char)*s) * UINT64_C(0x100000001b3); /* FNV-1a, the end of each part included */
            if (!*s)
                break;
        }
    }
    /* similar names give similar low bits: mix (splitmix64) */
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

/* This entry's share of the spread that a time of `period` between two runs allows. */
static int64_t spread(const struct due_rule *rule, int64_t period) {
    int64_t bound = rule->jitter_us;
    if (bound > period / SPREAD_DIVISOR)
        bound = period / SPREAD_DIVISOR;
    return bound > 0 ? (int64_t)(rule->seed % (uint64_t)bound) : 0;
}

static int64_t floor_to(int64_t at, int64_t step) {
    int64_t rest = at % step;
    return at - rest - (rest < 0 ? step : 0);
}

/* The time between the next two regular runs after `at`; 0 when there are none. */
static int64_t period_at(const struct due_rule *rule, int64_t at) {
    int64_t first, second;
    if (rule->interval_us)
        return rule->interval_us;
    if (!cron_next(&rule->cron, rule->tz, at, &first) || !cron_next(&rule->cron, rule->tz, first, &second))
        return 0;
    return second - first;
}

/* The first planned moment later than `from` whose regular time is later than `last`; 0 when there is none. */
static int64_t next_slot(const struct due_rule *rule, int64_t last, int64_t from) {
    int64_t at = last > from ? last : from;
    if (rule->interval_us) {
        int64_t phase = spread(rule, rule->interval_us);
        return floor_to(at - phase, rule->interval_us) + rule->interval_us + phase;
    }
    /* a regular time before `from` may still be ahead with its delay */
    int64_t slot = from - rule->jitter_us > last ? from - rule->jitter_us : last;
    for (int i = 0; i < SLOTS_MAX && cron_next(&rule->cron, rule->tz, slot, &slot); i++) {
        int64_t following;
        int64_t delay = cron_next(&rule->cron, rule->tz, slot, &following) ? spread(rule, following - slot) : 0;
        if (slot + delay > from)
            return slot + delay;
    }
    return 0;
}

/* Moves a run out of the blackout windows. */
static void hold_back(const struct due_rule *rule, struct due_state *s, int64_t at) {
    int64_t end;
    if (!window_inside(rule->blackouts, rule->blackout_count, rule->tz, at))
        return;
    if (!s->held_at)
        s->held_at = s->next_at;
    if (!window_next_outside(rule->blackouts, rule->blackout_count, rule->tz, at, &end)) {
        s->next_at = at + CLOCK_HOUR; /* no end in sight: look again */
        return;
    }
    s->next_at = end + spread(rule, period_at(rule, end));
    if (window_inside(rule->blackouts, rule->blackout_count, rule->tz, s->next_at))
        s->next_at = end;
}

static void make_plan(const struct due_rule *rule, struct due_state *s, int64_t now) {
    int64_t period = period_at(rule, now);
    /* the last run lies so far ahead that the clock must have been set back since: waiting for it would be silence */
    if (period && s->last_at > now + period)
        s->last_at = now;
    s->held_at = 0;
    s->reason = DUE_REASON_SCHEDULE;
    if (!s->last_at && rule->first_at_once) {
        s->reason = DUE_REASON_FIRST;
        s->next_at = s->since_at + spread(rule, period ? period : CLOCK_DAY);
    } else {
        s->next_at = next_slot(rule, s->last_at, s->from_at);
        if (s->next_at && s->next_at <= s->since_at) {
            if (rule->missed == DUE_MISSED_SKIP) {
                s->next_at = next_slot(rule, s->last_at, s->since_at);
            } else {
                s->reason = DUE_REASON_MISSED;
                s->next_at = s->since_at + spread(rule, period);
            }
        }
    }
    if (s->next_at)
        hold_back(rule, s, s->next_at);
}

void due_init(struct due_state *state, int64_t last_at, int64_t now) {
    *state = (struct due_state){.last_at = last_at, .from_at = last_at ? 0 : now, .since_at = now, .seen_at = now};
}

/* Clock steps and long sleeps since the poll before. */
static void look_at_clock(struct due_state *s, int64_t now) {
    if (now < s->seen_at) {
        if (s->from_at > now)
            s->from_at = now;
        if (s->since_at > now)
            s->since_at = now;
        s->next_at = 0;
    } else if (now - s->seen_at > JUMP && s->next_at && s->next_at <= now) {
        s->since_at = now;
        s->next_at = 0;
    }
    s->seen_at = now;
}

void due_poll(const struct due_rule *rule, struct due_state *state, int64_t now, struct due_answer *ret_answer) {
    look_at_clock(state, now);
    if (!rule->enabled) {
        state->next_at = 0;
        *ret_answer = (struct due_answer){0};
        return;
    }
    if (!state->next_at)
        make_plan(rule, state, now);
    /* due, but the start was late: it must not slip into a window */
    if (state->next_at && state->next_at <= now)
        hold_back(rule, state, now);
    *ret_answer = (struct due_answer){
        .due = state->next_at && state->next_at <= now,
        .next_at = state->next_at,
        .held_at = state->held_at,
        .reason = state->reason,
    };
}

void due_ran(struct due_state *state, int64_t now) {
    state->last_at = now;
    state->next_at = 0;
    state->held_at = 0;
}

void due_rule_changed(struct due_state *state, int64_t now) {
    state->from_at = now;
    state->since_at = now;
    state->next_at = 0;
}

void due_resumed(struct due_state *state, int64_t now) {
    state->since_at = now;
    state->next_at = 0;
}

void due_retry(struct due_state *state, int64_t retry_at) {
    state->next_at = retry_at;
}

const char *due_reason_name(enum due_reason reason) {
    static const char *const names[] = {"schedule", "first", "missed"};
    return (unsigned)reason < 3 ? names[reason] : "unknown";
}
