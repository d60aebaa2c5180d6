/* SPDX-License-Identifier: Apache-2.0 */
/* Next runs against a walk through every minute of years, with libc's idea of local time and matchers written by hand. */
#include "tests/unit/support/unit.h"

#include <inttypes.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/schedule/cron.h"

struct minute {
    int minute, hour, day, month, weekday;
    bool last_day;
};

static bool m_daily(const struct minute *m) {
    return m->hour == 2 && m->minute == 30;
}
static bool m_quarter(const struct minute *m) {
    return m->minute % 15 == 0;
}
static bool m_midnight(const struct minute *m) {
    return m->hour == 0 && m->minute == 0;
}
static bool m_or(const struct minute *m) { /* day of month or day of week */
    return m->hour == 1 && m->minute == 45 && (m->day == 13 || m->weekday == 5);
}
static bool m_last(const struct minute *m) {
    return m->hour == 23 && m->minute == 59 && m->last_day;
}
static bool m_leap(const struct minute *m) {
    return m->hour == 12 && m->minute == 0 && m->month == 2 && m->day == 29;
}
static bool m_work(const struct minute *m) {
    return m->minute % 20 == 5 && m->hour >= 1 && m->hour <= 3 && m->weekday >= 1 && m->weekday <= 5;
}
static bool m_star_and(const struct minute *m) { /* a stepped star does not restrict by itself: both must fit */
    return m->hour == 2 && m->minute == 0 && m->day % 2 == 1 && m->weekday == 0;
}

static const struct {
    const char *text;
    bool (*fits)(const struct minute *m);
} lines[] = {
    {"30 2 * * *", m_daily}, {"*/15 * * * *", m_quarter}, {"@daily", m_midnight},          {"45 1 13 * FRI", m_or},
    {"59 23 L * *", m_last}, {"0 12 29 2 *", m_leap},     {"5-45/20 1-3 * * 1-5", m_work}, {"0 2 */2 * 0", m_star_and},
};

static const struct {
    const char *zone;
    int from_year, years;
} places[] = {
    {"UTC", 2023, 3},
    {"America/New_York", 2024, 3},
    {"Europe/Berlin", 2024, 3},
    {"Australia/Lord_Howe", 2024, 3},
    {"Africa/Casablanca", 2016, 6}, /* in these it changed its rule, and has two pairs of changes a year */
    {"Pacific/Apia", 2010, 4}, /* a whole day was skipped */
    {"America/Sao_Paulo", 2016, 4}, /* the clock is changed at midnight */
    {"Asia/Gaza", 2024, 3},
};

static int days_of_month(int64_t local_minutes) {
    struct clock_civil c;
    clock_to_civil(local_minutes * CLOCK_MINUTE, &c);
    struct clock_civil first = {.year = c.year, .month = c.month, .day = 1},
                       next = {.year = c.year, .month = c.month + 1, .day = 1};
    return (int)((clock_from_civil(&next) - clock_from_civil(&first)) / CLOCK_DAY);
}

static struct minute minute_of(int64_t local_minutes) {
    struct clock_civil c;
    clock_to_civil(local_minutes * CLOCK_MINUTE, &c);
    return (struct minute){c.minute, c.hour, c.day, c.month, c.weekday, c.day >= 28 && c.day == days_of_month(local_minutes)};
}

/* Local minutes of each UTC minute; zones change at quarters of an hour. */
static int64_t *local_minutes_of(const char *zone, int64_t from, int64_t count) {
    int64_t *local = mem_array((size_t)count, sizeof(*local));
    long offset = 0;
    setenv("TZ", zone, 1);
    tzset();
    for (int64_t i = 0; i < count; i++) {
        if (i % 15 == 0) {
            time_t t = (from + i) * 60;
            struct tm tm;
            localtime_r(&t, &tm);
            offset = tm.tm_gmtoff / 60;
        }
        local[i] = from + i + offset;
    }
    return local;
}

struct expected {
    struct cron cron;
    int64_t next;
    bool any;
};

static void compare(const char *zone, size_t line, const struct expected *e, bool run, int64_t at) {
    char text[CLOCK_TEXT_MAX], got[CLOCK_TEXT_MAX];
    if (run != (e->any && e->next == at))
        fail_msg("%s '%s': at %s the walk %s, next is %s", zone, lines[line].text, clock_format(text, at),
                 run ? "runs" : "does not run", clock_format(got, e->any ? e->next : 0));
}

static void walk(const char *zone, const struct tz *tz, int64_t from, int64_t count, const int64_t *local) {
    struct expected e[ARRAY_LEN(lines)];
    struct err err;
    for (size_t l = 0; l < ARRAY_LEN(lines); l++) {
        assert_succeeds(cron_parse(lines[l].text, &e[l].cron, &err), err);
        e[l].any = cron_next(&e[l].cron, tz, from * CLOCK_MINUTE, &e[l].next);
    }
    int64_t shown = local[0];
    for (int64_t i = 1; i < count; i++) {
        /* every local minute that is new since the last: one, none in a repeated hour, many after a skipped one */
        bool run[ARRAY_LEN(lines)] = {false};
        for (; shown < local[i]; shown++) {
            struct minute m = minute_of(shown + 1);
            for (size_t l = 0; l < ARRAY_LEN(lines); l++)
                run[l] |= lines[l].fits(&m);
        }
        int64_t at = (from + i) * CLOCK_MINUTE;
        for (size_t l = 0; l < ARRAY_LEN(lines); l++) {
            compare(zone, l, &e[l], run[l], at);
            if (run[l]) /* a start a little late changes nothing */
                e[l].any = cron_next(&e[l].cron, tz, at + (i % 2 ? 0 : CLOCK_SECOND), &e[l].next);
        }
    }
}

static void next_runs(void **state) {
    (void)state;
    for (size_t p = 0; p < ARRAY_LEN(places); p++) {
        struct tz *tz;
        struct err err;
        struct clock_civil c = {.year = places[p].from_year, .month = 1, .day = 1};
        int64_t from = clock_from_civil(&c) / CLOCK_MINUTE;
        int64_t count = (int64_t)places[p].years * 365 * 1440;
        int64_t *local = local_minutes_of(places[p].zone, from, count);
        assert_succeeds(tz_load(NULL, places[p].zone, &tz, &err), err);
        walk(places[p].zone, tz, from, count, local);
        tz_free(tz);
        mem_free(local);
    }
}

static void next_is(const char *zone, const char *line, const char *after, const char *want) {
    struct tz *tz;
    struct cron cron;
    struct err err;
    int64_t at, next;
    char text[CLOCK_TEXT_MAX];
    assert_succeeds(tz_load(NULL, zone, &tz, &err), err);
    assert_succeeds(cron_parse(line, &cron, &err), err);
    assert_true(clock_parse(after, &at));
    assert_true(cron_next(&cron, tz, at, &next));
    assert_string_equal(clock_format(text, next), want);
    tz_free(tz);
}

static void known_moments(void **state) {
    (void)state;
    /* skipped: 02:30 does not exist on 2026-03-08 in New York; it runs at 03:00 EDT */
    next_is("America/New_York", "30 2 * * *", "2026-03-08T05:00:00Z", "2026-03-08T07:00:00Z");
    next_is("America/New_York", "30 2 * * *", "2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z");
    /* repeated: 01:30 comes twice on 2026-11-01; it runs the first time */
    next_is("America/New_York", "30 1 * * *", "2026-11-01T04:00:00Z", "2026-11-01T05:30:00Z");
    next_is("America/New_York", "30 1 * * *", "2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z");
    /* half an hour is skipped on Lord Howe */
    next_is("Australia/Lord_Howe", "15 2 * * *", "2026-10-03T10:00:00Z", "2026-10-03T15:30:00Z");
    /* Apia had no 2011-12-30 */
    next_is("Pacific/Apia", "0 12 30 12 *", "2011-12-29T00:00:00Z", "2011-12-30T10:00:00Z");
    /* seconds */
    next_is("UTC", "*/10 * * * * *", "2026-11-21T02:47:03.5Z", "2026-11-21T02:47:10Z");
    next_is("UTC", "*/10 * * * * *", "2026-11-21T02:47:10Z", "2026-11-21T02:47:20Z");
    next_is("UTC", "59 59 23 31 12 *", "2026-12-31T23:59:59Z", "2027-12-31T23:59:59Z");
    /* in the repeated hour nothing runs, also with seconds */
    next_is("America/New_York", "* * * * * *", "2026-11-01T05:59:59Z", "2026-11-01T07:00:00Z");
    /* also when now is in the middle of the repeated hour */
    next_is("America/New_York", "30 1 * * *", "2026-11-01T06:10:00Z", "2026-11-02T06:30:00Z");
    next_is("America/New_York", "*/15 * * * *", "2026-11-01T06:10:00Z", "2026-11-01T07:00:00Z");
    next_is("America/New_York", "*/15 * * * * *", "2026-11-01T06:10:03Z", "2026-11-01T07:00:00Z");
    /* far ahead: the 29th of February on a Thursday, over a year without one */
    next_is("UTC", "0 0 29 2 *", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z");
    next_is("UTC", "0 0 29 2 */4", "2096-03-01T00:00:00Z", "2120-02-29T00:00:00Z"); /* Sundays and Thursdays */
}

static void the_end_of_time(void **state) {
    (void)state;
    struct cron cron;
    struct err err;
    int64_t next = 5;
    assert_succeeds(cron_parse("0 0 * * *", &cron, &err), err);
    assert_false(cron_next(&cron, NULL, INT64_MAX, &next));
    assert_false(cron_next(&cron, NULL, INT64_MIN, &next));
    /* the last year that is looked at has no such day any more */
    struct clock_civil c = {.year = 8999, .month = 12, .day = 31};
    struct cron leap;
    assert_succeeds(cron_parse("0 0 29 2 *", &leap, &err), err);
    assert_false(cron_next(&leap, NULL, clock_from_civil(&c), &next));
    assert_int_equal(next, 5);
    assert_true(cron_next(&cron, NULL, -CLOCK_SECOND, &next));
    assert_int_equal(next, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(next_runs),
        cmocka_unit_test(known_moments),
        cmocka_unit_test(the_end_of_time),
    };
    return cmocka_run_group_tests_name("schedule/cron_next", tests, NULL, NULL);
}
