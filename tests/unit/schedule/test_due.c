/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/schedule/due.h"

static int64_t at_of(const char *text) {
    int64_t at;
    assert_true(clock_parse(text, &at));
    return at;
}

static struct due_rule every(int64_t interval) {
    return (struct due_rule){.enabled = true, .interval_us = interval, .seed = due_seed("i", "db1", "log")};
}

static struct due_rule cron_of(const char *text) {
    struct due_rule rule = {.enabled = true, .seed = due_seed("i", "db1", "full")};
    struct err err;
    assert_succeeds(cron_parse(text, &rule.cron, &err), err);
    return rule;
}

/* Polls each `step` from `from` to `to`, starting what is due; the starts are counted, the last one is kept. */
static unsigned live(const struct due_rule *rule, struct due_state *s, int64_t from, int64_t to, int64_t step,
                     int64_t *ret_last) {
    unsigned runs = 0;
    for (int64_t now = from; now < to; now += step) {
        struct due_answer a;
        due_poll(rule, s, now, &a);
        if (a.due) {
            due_ran(s, now);
            runs++;
            if (ret_last)
                *ret_last = now;
        }
    }
    return runs;
}

static void an_interval_keeps_its_grid(void **state) {
    (void)state;
    struct due_rule rule = every(5 * CLOCK_MINUTE);
    struct due_state s;
    int64_t t0 = at_of("2026-11-21T02:47:13Z"), last = 0;
    due_init(&s, 0, t0);
    assert_int_equal(live(&rule, &s, t0, t0 + CLOCK_DAY, CLOCK_SECOND, &last), 288);
    assert_int_equal(last % (5 * CLOCK_MINUTE), 0);
    /* a restart between two runs changes nothing */
    due_init(&s, last, last + 100 * CLOCK_SECOND);
    struct due_answer a;
    due_poll(&rule, &s, last + 100 * CLOCK_SECOND, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, last + 5 * CLOCK_MINUTE);
    assert_int_equal(a.reason, DUE_REASON_SCHEDULE);
}

static void jitter_spreads_and_is_bounded(void **state) {
    (void)state;
    int64_t t0 = at_of("2026-11-21T00:00:00Z"), low = INT64_MAX, high = 0;
    for (int i = 0; i < 200; i++) {
        char name[16];
        struct due_rule rule = every(5 * CLOCK_MINUTE);
        struct due_state s;
        struct due_answer a, b;
        str_format(name, sizeof(name), "db%d", i);
        rule.jitter_us = CLOCK_HOUR; /* a tenth of the interval is the bound */
        rule.seed = due_seed("i", name, "log");
        due_init(&s, t0, t0 + 1);
        due_poll(&rule, &s, t0 + 1, &a);
        int64_t phase = a.next_at % (5 * CLOCK_MINUTE);
        assert_true(phase < 30 * CLOCK_SECOND);
        low = phase < low ? phase : low;
        high = phase > high ? phase : high;
        due_init(&s, t0, t0 + 2); /* the same database has the same phase */
        due_poll(&rule, &s, t0 + 2, &b);
        assert_int_equal(a.next_at, b.next_at);
    }
    assert_true(low < 3 * CLOCK_SECOND && high > 27 * CLOCK_SECOND);
    assert_true(due_seed("ab", "c", "log") != due_seed("a", "bc", "log"));
}

static void cron_runs_once_a_day(void **state) {
    (void)state;
    struct due_rule rule = cron_of("0 2 * * *");
    rule.jitter_us = 30 * CLOCK_SECOND;
    struct due_state s;
    int64_t t0 = at_of("2026-11-21T01:00:00Z"), last = 0;
    due_init(&s, at_of("2026-11-20T02:00:10Z"), t0);
    assert_int_equal(live(&rule, &s, t0, t0 + 10 * CLOCK_DAY, 7 * CLOCK_SECOND, &last), 10);
    assert_true(last % CLOCK_DAY >= 2 * CLOCK_HOUR && last % CLOCK_DAY < 2 * CLOCK_HOUR + 40 * CLOCK_SECOND);
}

static void the_first_one(void **state) {
    (void)state;
    struct due_rule rule = cron_of("0 2 * * *");
    struct due_state s;
    struct due_answer a;
    int64_t t0 = at_of("2026-11-21T12:00:00Z");
    due_init(&s, 0, t0);
    due_poll(&rule, &s, t0, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, at_of("2026-11-22T02:00:00Z"));
    rule.first_at_once = true;
    due_init(&s, 0, t0);
    due_poll(&rule, &s, t0, &a);
    assert_true(a.due);
    assert_int_equal(a.reason, DUE_REASON_FIRST);
    due_ran(&s, t0);
    due_poll(&rule, &s, t0 + CLOCK_SECOND, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, at_of("2026-11-22T02:00:00Z"));
}

static void a_missed_run_is_made_up_once(void **state) {
    (void)state;
    struct due_rule rule = cron_of("0 2 * * *");
    rule.jitter_us = CLOCK_MINUTE;
    struct due_state s;
    struct due_answer a;
    int64_t t0 = at_of("2026-11-21T12:00:00Z"), last = at_of("2026-11-18T02:00:20Z");
    due_init(&s, last, t0);
    due_poll(&rule, &s, t0, &a);
    assert_int_equal(a.reason, DUE_REASON_MISSED);
    assert_true(a.next_at >= t0 && a.next_at < t0 + CLOCK_MINUTE);
    assert_int_equal(live(&rule, &s, t0, t0 + 13 * CLOCK_HOUR, CLOCK_SECOND, NULL), 1);
    /* never twice: the next process sees that it was made up */
    due_init(&s, s.last_at, t0 + 13 * CLOCK_HOUR);
    assert_int_equal(live(&rule, &s, t0 + 13 * CLOCK_HOUR, t0 + 14 * CLOCK_HOUR, CLOCK_SECOND, NULL), 0);
    /* or skipped */
    rule.missed = DUE_MISSED_SKIP;
    due_init(&s, last, t0);
    due_poll(&rule, &s, t0, &a);
    assert_false(a.due);
    assert_int_equal(a.reason, DUE_REASON_SCHEDULE);
    assert_true(a.next_at >= at_of("2026-11-22T02:00:00Z") && a.next_at < at_of("2026-11-22T02:01:00Z"));
}

static void a_long_run_is_not_followed_by_a_storm(void **state) {
    (void)state;
    struct due_rule rule = every(10 * CLOCK_SECOND);
    struct due_state s;
    struct due_answer a;
    int64_t t0 = at_of("2026-11-21T12:00:00Z");
    due_init(&s, t0 - 1, t0);
    /* nobody starts it for four minutes: it stays due, as one */
    for (int64_t now = t0; now < t0 + 4 * CLOCK_MINUTE; now += CLOCK_SECOND)
        due_poll(&rule, &s, now, &a);
    assert_true(a.due);
    assert_int_equal(a.reason, DUE_REASON_MISSED); /* it was due at the very start */
    due_ran(&s, t0 + 4 * CLOCK_MINUTE);
    due_poll(&rule, &s, t0 + 4 * CLOCK_MINUTE, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, t0 + 4 * CLOCK_MINUTE + 10 * CLOCK_SECOND);
}

static void blackouts_hold_back(void **state) {
    (void)state;
    struct due_rule rule = cron_of("0 2 * * *");
    struct window w;
    struct err err;
    struct due_state s;
    struct due_answer a;
    assert_succeeds(window_parse("01:00-05:00", &w, &err), err);
    rule.blackouts = &w;
    rule.blackout_count = 1;
    int64_t t0 = at_of("2026-11-21T00:30:00Z");
    due_init(&s, at_of("2026-11-20T05:00:00Z"), t0);
    due_poll(&rule, &s, t0, &a);
    assert_int_equal(a.next_at, at_of("2026-11-21T05:00:00Z"));
    assert_int_equal(a.held_at, at_of("2026-11-21T02:00:00Z"));
    int64_t last = 0;
    assert_int_equal(live(&rule, &s, t0, t0 + CLOCK_DAY, CLOCK_SECOND, &last), 1);
    assert_int_equal(last, at_of("2026-11-21T05:00:00Z"));
    /* due before the window, but no slot was free: it must not slip in */
    rule = cron_of("59 0 * * *");
    rule.blackouts = &w;
    rule.blackout_count = 1;
    due_init(&s, at_of("2026-11-20T05:00:00Z"), t0);
    for (int64_t now = t0; now < at_of("2026-11-21T01:00:00Z"); now += CLOCK_SECOND)
        due_poll(&rule, &s, now, &a);
    assert_true(a.due);
    due_poll(&rule, &s, at_of("2026-11-21T01:00:00Z"), &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, at_of("2026-11-21T05:00:00Z"));
    assert_int_equal(a.held_at, at_of("2026-11-21T00:59:00Z"));
}

static void odd_blackouts(void **state) {
    (void)state;
    struct due_rule rule = cron_of("30 1 * * *");
    struct window w[2];
    struct err err;
    struct due_state s;
    struct due_answer a;
    int64_t t0 = at_of("2026-11-21T01:00:00Z");
    /* one that never ends: the run waits, it is not lost */
    assert_succeeds(window_parse("MON-SUN", &w[0], &err), err);
    rule.blackouts = w;
    rule.blackout_count = 1;
    due_init(&s, t0 - CLOCK_DAY, t0);
    due_poll(&rule, &s, t0, &a);
    assert_int_equal(live(&rule, &s, t0, t0 + 3 * CLOCK_DAY, CLOCK_MINUTE, NULL), 0);
    rule.blackout_count = 0;
    assert_in_range(live(&rule, &s, t0 + 3 * CLOCK_DAY, t0 + 3 * CLOCK_DAY + 2 * CLOCK_HOUR, CLOCK_MINUTE, NULL), 1, 2);
    /* a minute between two windows: the spread must not put the run into the second */
    rule.blackout_count = 2;
    rule.jitter_us = 10 * CLOCK_MINUTE;
    rule.seed = 5 * (uint64_t)CLOCK_MINUTE;
    assert_succeeds(window_parse("01:00-02:00", &w[0], &err), err);
    assert_succeeds(window_parse("02:01-03:00", &w[1], &err), err);
    due_init(&s, t0 - CLOCK_DAY + CLOCK_HOUR, t0 - CLOCK_HOUR);
    due_poll(&rule, &s, t0 - CLOCK_HOUR, &a);
    assert_int_equal(a.next_at, at_of("2026-11-21T02:00:00Z"));
}

static void nothing_left_to_run(void **state) {
    (void)state;
    struct due_rule rule = cron_of("0 0 * * *");
    struct due_state s;
    struct due_answer a;
    struct clock_civil c = {.year = 9001, .month = 1, .day = 1};
    int64_t now = clock_from_civil(&c);
    due_init(&s, 0, now);
    due_poll(&rule, &s, now, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, 0);
}

static void the_clock_is_set_back(void **state) {
    (void)state;
    struct due_rule rule = every(5 * CLOCK_MINUTE);
    struct due_state s;
    int64_t t0 = at_of("2026-11-21T12:00:00Z"), last = 0;
    due_init(&s, t0, t0);
    assert_int_equal(live(&rule, &s, t0, t0 + CLOCK_HOUR + 1, CLOCK_SECOND, NULL), 12);
    /* by a day: no silence, no storm */
    int64_t back = t0 - CLOCK_DAY;
    assert_int_equal(live(&rule, &s, back, back + CLOCK_HOUR, CLOCK_SECOND, &last), 11);
    /* by a minute: nothing twice */
    assert_int_equal(live(&rule, &s, last - CLOCK_MINUTE, last + 4 * CLOCK_MINUTE, CLOCK_SECOND, NULL), 0);
    /* at start: the last run lies in the future */
    due_init(&s, t0 + 1000 * CLOCK_DAY, t0);
    assert_in_range(live(&rule, &s, t0, t0 + CLOCK_HOUR, CLOCK_SECOND, NULL), 11, 12);
    /* a nightly run, ten minutes back right after it: not again that night, but the next */
    rule = cron_of("0 2 * * *");
    int64_t night = at_of("2026-11-21T02:00:00Z");
    due_init(&s, night - CLOCK_DAY, night - 5 * CLOCK_SECOND);
    assert_int_equal(live(&rule, &s, night - 5 * CLOCK_SECOND, night + CLOCK_MINUTE, CLOCK_SECOND, NULL), 1);
    assert_int_equal(live(&rule, &s, night - 10 * CLOCK_MINUTE, night + CLOCK_HOUR, CLOCK_SECOND, NULL), 0);
    assert_int_equal(live(&rule, &s, night + CLOCK_HOUR, night + CLOCK_DAY + CLOCK_HOUR, CLOCK_SECOND, NULL), 1);
}

static void the_clock_jumps_ahead(void **state) {
    (void)state;
    struct due_rule rule = every(5 * CLOCK_MINUTE);
    struct due_state s;
    struct due_answer a;
    int64_t t0 = at_of("2026-11-21T12:00:00Z"), far = t0 + 400 * CLOCK_DAY;
    rule.jitter_us = CLOCK_MINUTE;
    due_init(&s, t0, t0);
    (void)live(&rule, &s, t0, t0 + CLOCK_HOUR, CLOCK_SECOND, NULL);
    /* one run, spread, not all databases at the same moment */
    due_poll(&rule, &s, far, &a);
    assert_int_equal(a.reason, DUE_REASON_MISSED);
    assert_true(a.next_at >= far && a.next_at < far + 30 * CLOCK_SECOND);
    assert_in_range(live(&rule, &s, far, far + 30 * CLOCK_MINUTE, CLOCK_SECOND, NULL), 6, 7);
    /* and back again: it goes on */
    assert_in_range(live(&rule, &s, t0 + CLOCK_HOUR, t0 + 2 * CLOCK_HOUR, CLOCK_SECOND, NULL), 11, 12);
}

static void rules_change_and_pauses_end(void **state) {
    (void)state;
    struct due_rule rule = cron_of("0 2 * * *");
    struct due_state s;
    struct due_answer a;
    int64_t noon = at_of("2026-11-21T12:00:00Z");
    due_init(&s, at_of("2026-11-21T02:00:00Z"), noon);
    due_poll(&rule, &s, noon, &a);
    /* at noon the time becomes ten o'clock: today's was never promised */
    rule = cron_of("0 10 * * *");
    due_rule_changed(&s, noon);
    due_poll(&rule, &s, noon, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, at_of("2026-11-22T10:00:00Z"));
    /* a pause over the run: it is made up */
    int64_t later = at_of("2026-11-22T11:00:00Z");
    due_resumed(&s, later);
    due_poll(&rule, &s, later, &a);
    assert_true(a.due);
    assert_int_equal(a.reason, DUE_REASON_MISSED);
    /* an attempt that failed comes again when it is told to */
    due_retry(&s, later + CLOCK_MINUTE);
    due_poll(&rule, &s, later + CLOCK_SECOND, &a);
    assert_false(a.due);
    due_poll(&rule, &s, later + CLOCK_MINUTE, &a);
    assert_true(a.due);
    /* within the delay of a jittered run a change of rules does not lose it */
    rule.jitter_us = CLOCK_HOUR;
    rule.seed = 10 * (uint64_t)CLOCK_MINUTE;
    int64_t slot = at_of("2026-11-23T10:00:00Z");
    due_init(&s, later, slot - CLOCK_SECOND);
    due_rule_changed(&s, slot + 5 * CLOCK_MINUTE);
    due_poll(&rule, &s, slot + 5 * CLOCK_MINUTE, &a);
    assert_int_equal(a.next_at, slot + 10 * CLOCK_MINUTE);
    rule.enabled = false;
    due_poll(&rule, &s, slot + CLOCK_DAY, &a);
    assert_false(a.due);
    assert_int_equal(a.next_at, 0);
    assert_string_equal(due_reason_name(DUE_REASON_MISSED), "missed");
}

/* Random walks of the clock, with restarts: the silence is never longer than two intervals, and no more runs than
 * intervals passed plus one for each step of the clock. */
static void no_silence_and_no_storm(void **state) {
    (void)state;
    srand(3);
    for (int n = 0; n < 200; n++) {
        int64_t interval = (10 + rand() % 600) * CLOCK_SECOND, now = at_of("2026-11-21T00:00:00Z");
        struct due_rule rule = every(interval);
        struct due_state s;
        rule.jitter_us = (rand() % 60) * CLOCK_SECOND;
        rule.seed = (uint64_t)rand();
        due_init(&s, 0, now);
        int64_t elapsed = 0, quiet = 0;
        unsigned runs = 0, steps = 0;
        for (int i = 0; i < 3000; i++) {
            struct due_answer a;
            due_poll(&rule, &s, now, &a);
            if (a.due) {
                due_ran(&s, now);
                runs++;
                quiet = 0;
            }
            assert_true(quiet <= 2 * interval + CLOCK_MINUTE);
            if (rand() % 200 == 0) {
                now += ((int64_t)rand() % 2000000 - 1000000) * CLOCK_SECOND;
                quiet = 0;
                steps++;
            }
            if (rand() % 300 == 0) {
                due_init(&s, s.last_at, now);
                steps++;
            }
            int64_t tick = (1 + rand() % 20) * CLOCK_SECOND;
            now += tick;
            elapsed += tick;
            quiet += tick;
        }
        assert_true(runs <= (unsigned)(elapsed / interval) + 2 * steps + 2);
        assert_true(runs >= 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interval_keeps_its_grid),   cmocka_unit_test(jitter_spreads_and_is_bounded),
        cmocka_unit_test(cron_runs_once_a_day),         cmocka_unit_test(the_first_one),
        cmocka_unit_test(a_missed_run_is_made_up_once), cmocka_unit_test(a_long_run_is_not_followed_by_a_storm),
        cmocka_unit_test(blackouts_hold_back),          cmocka_unit_test(odd_blackouts),
        cmocka_unit_test(nothing_left_to_run),          cmocka_unit_test(the_clock_is_set_back),
        cmocka_unit_test(the_clock_jumps_ahead),        cmocka_unit_test(rules_change_and_pauses_end),
        cmocka_unit_test(no_silence_and_no_storm),
    };
    return cmocka_run_group_tests_name("schedule/due", tests, NULL, NULL);
}
