/* SPDX-License-Identifier: Apache-2.0 */
/* The C library's own zone code is the oracle. */
#include "tests/unit/support/unit.h"

#include <inttypes.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/schedule/tz_int.h"

static const char *const zones[] = {
    "UTC",
    "America/New_York",
    "America/St_Johns",
    "America/Sao_Paulo",
    "America/Nuuk",
    "Europe/Berlin",
    "Europe/Dublin",
    "Europe/London",
    "Europe/Istanbul",
    "Africa/Casablanca",
    "Africa/Cairo",
    "Asia/Kolkata",
    "Asia/Tehran",
    "Asia/Gaza",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "Australia/Sydney",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Etc/GMT+5",
    "Antarctica/Troll",
    "EST5EDT",
};

static int64_t seconds_of(int year, int month, int day) {
    struct clock_civil c = {.year = year, .month = month, .day = day};
    return clock_from_civil(&c) / CLOCK_SECOND;
}

static long libc_offset(int64_t s) {
    time_t t = s;
    struct tm tm;
    localtime_r(&t, &tm);
    return tm.tm_gmtoff;
}

static void offsets_are_those_of_libc(void **state) {
    (void)state;
    struct err err;
    for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
        struct tz *tz;
        assert_succeeds(tz_load(NULL, zones[z], &tz, &err), err);
        setenv("TZ", zones[z], 1);
        tzset();
        for (int64_t s = seconds_of(1920, 1, 1); s < seconds_of(2120, 1, 1); s += 31 * 3600 + 977)
            if (tz_offset_s(tz, s * CLOCK_SECOND) != libc_offset(s))
                fail_msg("%s at %" PRId64 ": %d, libc says %ld", zones[z], s, tz_offset_s(tz, s * CLOCK_SECOND), libc_offset(s));
        tz_free(tz);
    }
}

/* Each change is one for libc, too, to the second; and nothing is missed between two of them. */
static void changes_are_those_of_libc(void **state) {
    (void)state;
    struct err err;
    for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
        struct tz *tz;
        assert_succeeds(tz_load(NULL, zones[z], &tz, &err), err);
        setenv("TZ", zones[z], 1);
        tzset();
        int64_t at = seconds_of(1970, 1, 1) * CLOCK_SECOND, next;
        int64_t end = seconds_of(2110, 1, 1) * CLOCK_SECOND;
        while (at < end && tz_next_change(tz, at, &next)) {
            int64_t s = next / CLOCK_SECOND;
            assert_true(next > at);
            assert_int_not_equal(libc_offset(s - 1), libc_offset(s));
            assert_int_equal(tz_offset_s(tz, next - 1), libc_offset(s - 1));
            assert_int_equal(tz_offset_s(tz, next), libc_offset(s));
            at = next;
        }
        tz_free(tz);
    }
}

/* What libc shows for a moment must lead back to it; what it shows twice must be a fold, what it never shows a gap. */
static void local_times_lead_back(void **state) {
    (void)state;
    struct err err;
    for (size_t z = 0; z < ARRAY_LEN(zones); z++) {
        struct tz *tz;
        assert_succeeds(tz_load(NULL, zones[z], &tz, &err), err);
        int64_t at = seconds_of(1975, 1, 1) * CLOCK_SECOND, change;
        for (int n = 0; n < 300 && tz_next_change(tz, at, &change); n++, at = change) {
            int64_t before = tz_offset_s(tz, change - 1) * CLOCK_SECOND, after = tz_offset_s(tz, change) * CLOCK_SECOND;
            struct tz_moments m;
            int64_t low = change + (before < after ? before : after), high = change + (before < after ? after : before);
            tz_from_local(tz, low, &m);
            assert_int_equal(m.fit, before < after ? TZ_GAP : TZ_FOLD);
            if (before < after) {
                assert_int_equal(m.first, change);
            } else {
                assert_int_equal(m.first, low - before);
                assert_int_equal(m.second, change);
            }
            tz_from_local(tz, high - 1, &m);
            assert_int_equal(m.fit, before < after ? TZ_GAP : TZ_FOLD);
            tz_from_local(tz, high, &m);
            assert_int_equal(m.fit, TZ_ONCE);
            assert_int_equal(m.first, high - after);
            tz_from_local(tz, low - 1, &m);
            assert_int_equal(m.fit, TZ_ONCE);
            assert_int_equal(m.first, low - 1 - before);
        }
        for (int64_t t = seconds_of(2020, 1, 1) * CLOCK_SECOND; t < seconds_of(2023, 1, 1) * CLOCK_SECOND;
             t += 37 * CLOCK_MINUTE + 1) {
            struct tz_moments m;
            tz_from_local(tz, tz_to_local(tz, t), &m);
            assert_true(m.first == t || m.second == t);
        }
        tz_free(tz);
    }
}

static void rules_of_posix(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
    } cases[] = {
        {"CET-1CEST,M3.5.0,M10.5.0/3", true},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", true},
        {"<+01>-1", true},
        {"EST5EDT,J60,J300", true},
        {"XXX3EDT4,0/0,J365/23", true},
        {"IST-5:30", true},
        {"A5", false},
        {"EST", false},
        {"EST5EDT", false},
        {"EST5EDT,M13.1.0,M1.1.0", false},
        {"EST5EDT,M3.6.0,M1.1.0", false},
        {"EST5EDT,M3.2.0", false},
        {"EST5EDT,M3.2.0,M11.1.0x", false},
        {"EST99", false},
        {"<>5", false},
        {"<abc5", false},
        {"EST5EDT,J0,J300", false},
        {"EST5EDT,M3.2.0/168,M11.1.0", false},
        {"", false},
        {"EST5:60", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tz_rule rule;
        if (tz_rule_parse(cases[i].text, &rule) != cases[i].good)
            fail_msg("'%s' should be %s", cases[i].text, cases[i].good ? "good" : "refused");
    }
}

static void all_year_daylight_saving_has_one_offset(void **state) {
    (void)state;
    struct tz_rule rule;
    struct tz_step step;
    assert_true(tz_rule_parse("XXX3EDT4,0/0,J365/23", &rule));
    for (int64_t s = seconds_of(2025, 12, 1); s < seconds_of(2026, 2, 1); s += 600) {
        tz_rule_at(&rule, s, &step);
        assert_int_equal(step.offset_s, -4 * 3600);
    }
}

static void names(void **state) {
    (void)state;
    struct err err;
    struct tz *tz = NULL;
    static const char *const bad[] = {"",
                                      "/etc/passwd",
                                      "../../etc/passwd",
                                      "Europe/../../../etc/passwd",
                                      "Europe//Berlin",
                                      "Europe/",
                                      "Europe/Ber lin",
                                      ".",
                                      "posix.",
                                      "a\nb"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(tz_load(NULL, bad[i], &tz, &err), err, ERR_CONFIG, "is not a time zone");
    assert_fails(tz_load(NULL, "Europe/Berln", &tz, &err), err, ERR_CONFIG, "did you mean 'Europe/Berlin'?");
    assert_fails(tz_load(NULL, "Nowhere/At_All_Zone", &tz, &err), err, ERR_CONFIG, "allowed: names such as UTC");
    assert_fails(tz_load(NULL, "Europe", &tz, &err), err, ERR_CONFIG, "Europe");
    assert_succeeds(tz_load("/nonexistent", "UTC", &tz, &err), err);
    assert_string_equal(tz_name(tz), "UTC");
    assert_int_equal(tz_offset_s(tz, clock_wall()), 0);
    tz_free(tz);
    assert_string_equal(tz_name(NULL), "UTC");
}

/* The list ends on an offset that the rule behind it does not have: the rule holds, and no change is told that is none. */
static void a_list_that_disagrees_with_its_rule(void **state) {
    (void)state;
    static const char empty[44] = "TZif2", rule[] = "\n<+13>-13\n";
    uint8_t data[2 * 44 + 8 + 1 + 12 + 4 + sizeof(rule) - 1] = {0};
    uint8_t *second = data + 44, *p = second + 44;
    struct tz *tz;
    struct err err;
    int64_t at;
    memcpy(data, empty, 44);
    memcpy(second, empty, 44);
    second[35] = 1; /* changes */
    second[39] = 2; /* types */
    second[43] = 4; /* bytes of names */
    p[4] = 0x70; /* the change, in 2029 */
    p[8] = 1; /* to the second type */
    p += 9;
    p[2] = 0xb6; /* first type: +13 */
    p[3] = 0xd0;
    p += 12; /* second type: 0 */
    memcpy(p, "X\0Y", 4);
    memcpy(p + 4, rule, sizeof(rule) - 1);
    assert_succeeds(tz_parse("x", data, sizeof(data), &tz, &err), err);
    assert_int_equal(tz_offset_s(tz, 0), 13 * 3600);
    assert_int_equal(tz_offset_s(tz, seconds_of(2040, 1, 1) * CLOCK_SECOND), 13 * 3600);
    assert_false(tz_next_change(tz, 0, &at));
    tz_free(tz);
}

static void the_ends_of_time(void **state) {
    (void)state;
    struct err err;
    struct tz *tz;
    int64_t at;
    assert_succeeds(tz_load(NULL, "Europe/Berlin", &tz, &err), err);
    assert_int_equal(tz_offset_s(tz, INT64_MIN), 3208); /* local mean time, before zones */
    int32_t offset = tz_offset_s(tz, INT64_MAX);
    assert_true(offset == 3600 || offset == 7200);
    assert_false(tz_next_change(tz, INT64_MAX, &at));
    assert_true(tz_next_change(tz, INT64_MIN, &at));
    tz_free(tz);
}

/* A damaged file is refused or gives some zone, but never reads outside its bytes (ASan looks on). */
static void damaged_files(void **state) {
    (void)state;
    struct err err;
    char *data;
    size_t len;
    assert_succeeds(file_read_all(TZ_DIR "/Europe/Berlin", 1 << 20, &data, &len, &err), err);
    struct tz *tz;
    for (size_t cut = 0; cut < len; cut++) {
        char *part = mem_dup(data, cut);
        if (tz_parse("x", part, cut, &tz, NULL) == 0)
            fail_msg("a file cut at %zu of %zu bytes was taken", cut, len);
        mem_free(part);
    }
    unsigned good = 0;
    srand(7);
    for (int n = 0; n < 20000; n++) {
        char *copy = mem_dup(data, len);
        for (int k = rand() % 4; k >= 0; k--)
            copy[(size_t)rand() % (n % 2 ? 100 : len)] = (char)rand();
        if (tz_parse("x", copy, len, &tz, NULL) == 0) {
            int64_t at;
            struct tz_moments m;
            (void)tz_next_change(tz, (int64_t)rand() * 1000000000, &at);
            tz_from_local(tz, (int64_t)rand() * 1000000, &m);
            tz_free(tz);
            good++;
        }
        mem_free(copy);
    }
    assert_true(good > 0 && good < 20000);
    mem_free(data);
    assert_fails(tz_parse("x", "no zone at all, but long enough to hold a header", 48, &tz, &err), err, ERR_CORRUPT,
                 "is not a TZif file");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(offsets_are_those_of_libc),
        cmocka_unit_test(changes_are_those_of_libc),
        cmocka_unit_test(local_times_lead_back),
        cmocka_unit_test(rules_of_posix),
        cmocka_unit_test(all_year_daylight_saving_has_one_offset),
        cmocka_unit_test(names),
        cmocka_unit_test(a_list_that_disagrees_with_its_rule),
        cmocka_unit_test(the_ends_of_time),
        cmocka_unit_test(damaged_files),
    };
    return cmocka_run_group_tests_name("schedule/tz", tests, NULL, NULL);
}
