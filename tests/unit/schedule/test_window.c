/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/schedule/window.h"

static int64_t at_of(const char *text) {
    int64_t at;
    assert_true(clock_parse(text, &at));
    return at;
}

static void texts(void **state) {
    (void)state;
    static const struct {
        const char *text, *canonical;
    } good[] = {
        {"MON-FRI 08:00-18:00", "MON,TUE,WED,THU,FRI 08:00-18:00"},
        {"22:00-06:00", "22:00-06:00"},
        {"SAT,SUN", "SAT,SUN 00:00-24:00"},
        {"sat-mon 23:30-24:00", "MON,SAT,SUN 23:30-24:00"},
        {"MON-SUN", "00:00-24:00"},
        {" TUE  01:00-02:00 ", "TUE 01:00-02:00"},
        {"12:00-00:00", "12:00-24:00"},
    };
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"", ""},
        {"8:00-18:00", "HH:MM-HH:MM"},
        {"08:00", "HH:MM-HH:MM"},
        {"08:00-08:00", "it is empty"},
        {"24:00-01:00", "it is empty"},
        {"25:00-26:00", "HH:MM-HH:MM"},
        {"08:60-09:00", "HH:MM-HH:MM"},
        {"MONDAY 08:00-09:00", "days are not"},
        {"MON- 08:00-09:00", "days are not"},
        {"XXX 08:00-09:00", "days are not"},
        {"MON,,TUE", "days are not"},
        {"08:00-09:00 MON", "HH:MM-HH:MM"},
        {"MON08:00-09:00", "days are not"},
    };
    struct err err;
    struct window w;
    char text[WINDOW_TEXT_MAX], again[WINDOW_TEXT_MAX];
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_succeeds(window_parse(good[i].text, &w, &err), err);
        assert_string_equal(window_format(text, &w), good[i].canonical);
        assert_succeeds(window_parse(text, &w, &err), err);
        assert_string_equal(window_format(again, &w), text);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(window_parse(bad[i].text, &w, &err), err, ERR_CONFIG, bad[i].part);
}

static void inside_and_edges(void **state) {
    (void)state;
    struct err err;
    struct window w[3];
    int64_t end;
    char text[CLOCK_TEXT_MAX];
    assert_succeeds(window_parse("MON-FRI 08:00-18:00", &w[0], &err), err);
    assert_succeeds(window_parse("FRI 22:00-06:00", &w[1], &err), err);
    assert_succeeds(window_parse("18:00-19:30", &w[2], &err), err);
    /* 2026-11-20 is a Friday */
    assert_false(window_inside(w, 2, NULL, at_of("2026-11-20T07:59:59.999999Z")));
    assert_true(window_inside(w, 2, NULL, at_of("2026-11-20T08:00:00Z")));
    assert_true(window_inside(w, 2, NULL, at_of("2026-11-20T17:59:59Z")));
    assert_false(window_inside(w, 2, NULL, at_of("2026-11-20T18:00:00Z")));
    assert_true(window_inside(w, 2, NULL, at_of("2026-11-21T05:59:59Z")));
    assert_false(window_inside(w, 2, NULL, at_of("2026-11-21T06:00:00Z")));
    assert_false(window_inside(w, 2, NULL, at_of("2026-11-20T05:00:00Z"))); /* the night before is Thursday's */
    assert_false(window_inside(w, 2, NULL, at_of("2026-11-22T09:00:00Z")));
    assert_false(window_inside(w, 0, NULL, at_of("2026-11-20T09:00:00Z")));
    /* windows that touch are one */
    assert_true(window_next_outside(w, 3, NULL, at_of("2026-11-20T12:00:00Z"), &end));
    assert_string_equal(clock_format(text, end), "2026-11-20T19:30:00Z");
    assert_true(window_next_outside(w, 3, NULL, at_of("2026-11-20T20:00:00Z"), &end));
    assert_string_equal(clock_format(text, end), "2026-11-20T20:00:00Z");
    assert_true(window_next_inside(w, 2, NULL, at_of("2026-11-21T06:00:00Z"), &end));
    assert_string_equal(clock_format(text, end), "2026-11-23T08:00:00Z");
    assert_false(window_next_inside(w, 0, NULL, at_of("2026-11-21T06:00:00Z"), &end));
}

static void whole_week(void **state) {
    (void)state;
    struct err err;
    struct window w[3];
    assert_succeeds(window_parse("MON-FRI", &w[0], &err), err);
    assert_succeeds(window_parse("SAT,SUN 00:00-23:59", &w[1], &err), err);
    assert_false(window_cover_week(w, 2));
    assert_succeeds(window_parse("SAT,SUN 23:59-24:00", &w[2], &err), err);
    assert_true(window_cover_week(w, 3));
    assert_false(window_cover_week(w, 0));
    assert_succeeds(window_parse("12:00-12:01", &w[0], &err), err);
    assert_succeeds(window_parse("12:01-12:00", &w[1], &err), err);
    assert_true(window_cover_week(w, 2));
}

/* Ends and beginnings against a walk by minutes, over changes of the clock. */
static void edges_are_those_of_a_walk(void **state) {
    (void)state;
    static const char *const zones[] = {"UTC", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia", "America/Sao_Paulo"};
    static const char *const lists[][2] = {
        {"01:30-02:30", "SUN 03:00-03:15"}, {"SAT 22:00-02:15", "MON"}, {"00:00-01:00", "23:00-00:00"}};
    static const char *const starts[] = {"2011-12-27T00:00:00Z", "2018-02-15T00:00:00Z", "2018-11-01T00:00:00Z",
                                         "2026-03-06T00:00:00Z", "2026-04-03T00:00:00Z", "2026-10-02T00:00:00Z",
                                         "2026-10-30T00:00:00Z"};
    struct err err;
    for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
        struct tz *tz;
        assert_succeeds(tz_load(NULL, zones[z], &tz, &err), err);
        for (size_t l = 0; l < ARRAY_LEN(lists) * ARRAY_LEN(starts); l++) {
            struct window w[2];
            for (int i = 0; i < 2; i++)
                assert_succeeds(window_parse(lists[l % ARRAY_LEN(lists)][i], &w[i], &err), err);
            int64_t from = at_of(starts[l / ARRAY_LEN(lists)]), known[2] = {-1, -1};
            for (int64_t at = from + 5 * CLOCK_DAY; at >= from; at -= CLOCK_MINUTE) {
                bool inside = window_inside(w, 2, tz, at);
                int64_t next;
                known[inside] = at;
                if (known[!inside] < 0 || at / CLOCK_MINUTE % 7)
                    continue;
                assert_true(inside ? window_next_outside(w, 2, tz, at, &next) : window_next_inside(w, 2, tz, at, &next));
                assert_int_equal(next, known[!inside]);
            }
        }
        tz_free(tz);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(inside_and_edges),
        cmocka_unit_test(whole_week),
        cmocka_unit_test(edges_are_those_of_a_walk),
    };
    return cmocka_run_group_tests_name("schedule/window", tests, NULL, NULL);
}
