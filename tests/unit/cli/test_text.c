/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "cli/text.h"
#include "common/base/clock.h"

#define NOW 1795270800000000 /* 2026-11-21T14:20:00Z */

static void width_counts_columns(void **state) {
    (void)state;
    assert_int_equal(text_width(""), 0);
    assert_int_equal(text_width("orders"), 6);
    assert_int_equal(text_width("größe"), 5);
    assert_int_equal(text_width("gro\xcc\x88\xc3\x9f"), 4); /* o with a combining mark */
    assert_int_equal(text_width("日本語"), 6);
    assert_int_equal(text_width("한국"), 4);
    assert_int_equal(text_width("\xf0\x9f\x98\x80"), 2);
    assert_int_equal(text_width("a\xff"
                                "b"),
                     3);
}

static void fits(const char *text, size_t width, const char *want) {
    char *fit = text_fit(text, width);
    assert_string_equal(fit, want);
    assert_true(text_width(fit) <= width);
    mem_free(fit);
}

static void cutting_keeps_characters_whole(void **state) {
    (void)state;
    fits("orders", 6, "orders");
    fits("orders", 5, "orde…");
    fits("orders", 1, "…");
    fits("orders", 0, "");
    fits("日本語", 6, "日本語");
    fits("日本語", 5, "日本…");
    fits("日本語", 4, "日…"); /* three columns: the next one would be half of a character */
    fits("größe", 4, "grö…");
}

static void cleaning_disarms_what_others_named(void **state) {
    (void)state;
    static const struct {
        const char *text, *want;
    } cases[] = {
        {"plain", "plain"},
        {"a\nb\tc", "a b c"},
        {"\033[31mred", "\xef\xbf\xbd[31mred"},
        {"a\x7f", "a\xef\xbf\xbd"},
        {"\xc2\x9b"
         "1m",
         "\xef\xbf\xbd"
         "1m"}, /* CSI in one character */
        {"abc\xe2\x80\xae"
         "def",
         "abc\xef\xbf\xbd"
         "def"}, /* right-to-left override */
        {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* a surrogate */
        {"\xe6\x97", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut in the middle */
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *clean = text_clean(cases[i].text);
        assert_string_equal(clean, cases[i].want);
        mem_free(clean);
    }
}

static void times(void **state) {
    (void)state;
    char text[TEXT_MAX];
    assert_string_equal(text_time(text, 0), "-");
    assert_string_equal(text_time(text, NOW), "2026-11-21T14:20:00Z");
    assert_string_equal(text_time(text, NOW + 999999), "2026-11-21T14:20:00Z"); /* never later than it is */
    assert_string_equal(text_time(text, -1), "1969-12-31T23:59:59Z");
}

static void ages(void **state) {
    (void)state;
    char text[TEXT_MAX];
    assert_string_equal(text_ago(text, 0, NOW), "-");
    assert_string_equal(text_ago(text, NOW, NOW), "now");
    assert_string_equal(text_ago(text, NOW - 999999, NOW), "now");
    assert_string_equal(text_ago(text, NOW - CLOCK_SECOND, NOW), "1s ago");
    assert_string_equal(text_ago(text, NOW - 303 * CLOCK_SECOND, NOW), "5m03s ago");
    assert_string_equal(text_ago(text, NOW + 3 * CLOCK_HOUR + 2 * CLOCK_MINUTE, NOW), "in 3h02m");
    assert_string_equal(text_ago(text, NOW - 4 * CLOCK_DAY, NOW), "4d00h ago");
}

static void spans(void **state) {
    (void)state;
    char text[TEXT_MAX];
    assert_string_equal(text_span(text, 0), "0s");
    assert_string_equal(text_span(text, 400000), "0s");
    assert_string_equal(text_span(text, -12 * CLOCK_SECOND), "12s");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(width_counts_columns),
        cmocka_unit_test(cutting_keeps_characters_whole),
        cmocka_unit_test(cleaning_disarms_what_others_named),
        cmocka_unit_test(times),
        cmocka_unit_test(ages),
        cmocka_unit_test(spans),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
