/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <time.h>

#include "common/base/clock.h"

static void civil_time_agrees_with_the_c_library(void **state) {
    (void)state;
    for (int64_t at = -3000000000; at < 9000000000; at += 86399 * 37 + 11) {
        time_t t = (time_t)at;
        struct tm tm;
        gmtime_r(&t, &tm);
        struct clock_civil c;
        clock_to_civil(at * CLOCK_SECOND + 5, &c);
        assert_int_equal(c.year, tm.tm_year + 1900);
        assert_int_equal(c.month, tm.tm_mon + 1);
        assert_int_equal(c.day, tm.tm_mday);
        assert_int_equal(c.hour, tm.tm_hour);
        assert_int_equal(c.minute, tm.tm_min);
        assert_int_equal(c.second, tm.tm_sec);
        assert_int_equal(c.weekday, tm.tm_wday);
        assert_int_equal(c.micro, 5);
        assert_true(clock_from_civil(&c) == at * CLOCK_SECOND + 5);
    }
}

static void out_of_range_fields_are_normalised(void **state) {
    (void)state;
    struct clock_civil c = {.year = 2025, .month = 14, .day = 31, .hour = 25};
    int64_t want;
    assert_true(clock_parse("2026-03-04T01:00:00Z", &want));
    assert_true(clock_from_civil(&c) == want);
}

static void rfc3339_round_trip_and_refusals(void **state) {
    (void)state;
    int64_t at;
    char text[CLOCK_TEXT_MAX];
    assert_true(clock_parse("2026-11-21T03:47:00.123456789+01:00", &at));
    assert_string_equal(clock_format(text, at), "2026-11-21T02:47:00.123456Z");
    assert_true(clock_parse("2026-11-21t02:47:00z", &at));
    assert_string_equal(clock_format(text, at), "2026-11-21T02:47:00Z");
    assert_string_equal(clock_format(text, 0), "-");
    static const char *const bad[] = {"",
                                      "2026-11-21",
                                      "2026-11-21T02:47:00",
                                      "2026-13-01T00:00:00Z",
                                      "2026-02-29T00:00:00Z",
                                      "2026-11-21T24:00:00Z",
                                      "2026-11-21T02:47:00.Z",
                                      "2026-11-21T02:47:00+1:00",
                                      "2026-11-21T02:47:00Z ",
                                      "yesterday",
                                      "2026-11-21T02:47:60Z"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(clock_parse(bad[i], &at));
    assert_true(clock_parse("2024-02-29T00:00:00Z", &at));
}

static int64_t fixed(void) {
    return 42;
}

static void hooks_replace_the_clock(void **state) {
    (void)state;
    clock_set_hooks(fixed, fixed);
    assert_int_equal(clock_wall(), 42);
    assert_int_equal(clock_mono_us(), 42);
    clock_set_hooks(NULL, NULL);
    assert_true(clock_wall() > 1700000000 * CLOCK_SECOND);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(civil_time_agrees_with_the_c_library),
        cmocka_unit_test(out_of_range_fields_are_normalised),
        cmocka_unit_test(rfc3339_round_trip_and_refusals),
        cmocka_unit_test(hooks_replace_the_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
