/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/buf.h"
#include "common/base/guid.h"
#include "common/base/str.h"

static void numbers_are_whole_strings_in_range(void **state) {
    (void)state;
    int64_t i;
    uint64_t u;
    assert_true(str_to_i64("-5", -10, 10, &i) && i == -5);
    static const char *const bad[] = {"", " 1", "1 ", "1x", "+1", "11", "9223372036854775808", "-", "0x1"};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_false(str_to_i64(bad[k], -10, 10, &i));
    assert_true(str_to_u64("18446744073709551615", UINT64_MAX, &u) && u == UINT64_MAX);
    assert_false(str_to_u64("18446744073709551616", UINT64_MAX, &u));
    assert_false(str_to_u64("-1", UINT64_MAX, &u));
    double d;
    assert_true(str_to_double("2.5", &d) && d == 2.5);
    assert_false(str_to_double("nan", &d));
    assert_false(str_to_double("1e999", &d));
}

static void durations_and_sizes(void **state) {
    (void)state;
    static const struct {
        const char *s;
        int64_t ms; /* -1: refused */
    } durations[] = {{"90", 90000},  {"90s", 90000},    {"5m", 300000}, {"1h30m", 5400000},
                     {"250ms", 250}, {"2d", 172800000}, {"", -1},       {"5x", -1},
                     {"m", -1},      {"-5m", -1},       {"5 m", -1},    {"9223372036854775807d", -1}};
    for (size_t k = 0; k < ARRAY_LEN(durations); k++) {
        int64_t ms = -1;
        assert_int_equal(str_to_duration_ms(durations[k].s, &ms), durations[k].ms >= 0);
        assert_int_equal(ms, durations[k].ms);
    }
    static const struct {
        const char *s;
        uint64_t bytes; /* 0: refused */
    } sizes[] = {{"1000", 1000},
                 {"64Ki", 65536},
                 {"10Gi", UINT64_C(10) << 30},
                 {"5G", UINT64_C(5000000000)},
                 {"3k", 3000},
                 {"", 0},
                 {"Gi", 0},
                 {"1gb", 0},
                 {"1.5Gi", 0},
                 {"99999999999Pi", 0}};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        uint64_t bytes = 0;
        assert_int_equal(str_to_bytes(sizes[k].s, &bytes), sizes[k].bytes > 0);
        assert_int_equal(bytes, sizes[k].bytes);
    }
    char text[32];
    str_from_bytes(text, sizeof(text), 1536);
    assert_string_equal(text, "1.5 KiB");
    str_from_duration(text, sizeof(text), 8000000);
    assert_string_equal(text, "2h13m");
}

static void patterns(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *s;
        bool match;
    } cases[] = {{"*", "", true},
                 {"db*", "DB1", true},
                 {"db?", "db", false},
                 {"*_old", "sales_old", true},
                 {"*_old", "sales_older", false},
                 {"a*b*c", "aXXbYYc", true},
                 {"a*b*c", "aXXbYY", false},
                 {"", "", true},
                 {"", "x", false},
                 {"**", "x", true}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++)
        assert_int_equal(str_glob(cases[k].pattern, cases[k].s), cases[k].match);
}

static void suggestions_are_near_or_none(void **state) {
    (void)state;
    static const char *const keys[] = {"retentionDays", "fullBackupSchedule", "mode"};
    assert_string_equal(str_nearest("retentiondays", keys, 3), "retentionDays");
    assert_string_equal(str_nearest("retensionDay", keys, 3), "retentionDays");
    assert_null(str_nearest("zzzzzz", keys, 3));
}

static void utf8_is_checked_to_the_byte(void **state) {
    (void)state;
    static const struct {
        const char *s;
        bool ok;
    } cases[] = {{"Bücher", true},
                 {"日本", true},
                 {"a\tb", true},
                 {"a\nb", false},
                 {"\xc3", false},
                 {"\xc0\xaf", false},
                 {"\xed\xa0\x80", false},
                 {"\xf4\x90\x80\x80", false},
                 {"\xf0\x9f\x98\x80", true},
                 {"\x7f", false},
                 {"\x80", false}};
    for (size_t k = 0; k < ARRAY_LEN(cases); k++)
        assert_int_equal(str_is_clean_utf8(cases[k].s, strlen(cases[k].s)), cases[k].ok);
    assert_false(str_is_clean_utf8("a\0b", 3));
}

static void buffers_keep_their_maximum(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 10);
    assert_true(buf_puts(&b, "12345"));
    assert_false(buf_puts(&b, "678901"));
    assert_true(b.overflow);
    assert_string_equal(b.data, "12345");
    assert_true(buf_printf(&b, "%d", 67890));
    assert_false(buf_putc(&b, 'x'));
    buf_consume(&b, 3);
    assert_string_equal(b.data, "4567890");
    buf_reset(&b);
    assert_int_equal(b.len, 0);
    char *s = buf_take(&b);
    assert_string_equal(s, "");
    mem_free(s);
    buf_done(&b);
    buf_init(&b, 100);
    buf_json(&b, "a\"b\\c\n\x01");
    assert_string_equal(b.data, "a\\\"b\\\\c\\n\\u0001");
    buf_done(&b);
}

static void guids(void **state) {
    (void)state;
    struct guid g, h;
    char text[GUID_TEXT_MAX];
    assert_true(guid_parse("c6c44151-8a2c-4c6c-9bf5-2e02090c8ebc", &g));
    assert_string_equal(guid_format(text, &g), "C6C44151-8A2C-4C6C-9BF5-2E02090C8EBC");
    static const char *const bad[] = {"",
                                      "c6c44151",
                                      "c6c44151-8a2c-4c6c-9bf5-2e02090c8eb",
                                      "c6c44151-8a2c-4c6c-9bf5-2e02090c8ebcc",
                                      "c6c44151x8a2c-4c6c-9bf5-2e02090c8ebc",
                                      "g6c44151-8a2c-4c6c-9bf5-2e02090c8ebc"};
    for (size_t k = 0; k < ARRAY_LEN(bad); k++)
        assert_false(guid_parse(bad[k], &h));
    guid_random(&g);
    guid_random(&h);
    assert_false(guid_eq(&g, &h));
    assert_false(guid_is_zero(&g));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_whole_strings_in_range),
        cmocka_unit_test(durations_and_sizes),
        cmocka_unit_test(patterns),
        cmocka_unit_test(suggestions_are_near_or_none),
        cmocka_unit_test(utf8_is_checked_to_the_byte),
        cmocka_unit_test(buffers_keep_their_maximum),
        cmocka_unit_test(guids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
