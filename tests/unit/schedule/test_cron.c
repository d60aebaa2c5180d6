/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/str.h"
#include "common/schedule/cron.h"

static void good_lines(void **state) {
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"0 0 * * *", "0 0 * * *"},
        {"*/15 * * * *", "*/15 * * * *"},
        {"0,15,30,45 * * * *", "*/15 * * * *"},
        {"5-7,9 1,2 1-15 1-6 1-5", "5-7,9 1-2 1-15 1-6 1-5"},
        {"  30\t4 *  * * ", "30 4 * * *"},
        {"10-50/20 0 * * *", "10,30,50 0 * * *"},
        {"0 0 L * *", "0 0 L * *"},
        {"32 2 L * */7", "32 2 L * */7"}, /* Sundays, and a star: the last day only when it is one */
        {"0 0 15,L * *", "0 0 15,L * *"},
        {"0 0 l feb *", "0 0 L 2 *"},
        {"0 0 * JAN-MAR mon", "0 0 * 1-3 1"},
        {"0 0 * * FRI-SUN", "0 0 * * 0,5-6"},
        {"0 0 * * 7", "0 0 * * 0"},
        {"0 0 * * 0-7", "0 0 * * 0-6"},
        {"0 0 ? * *", "0 0 * * *"},
        {"0 0 */2 * 1", "0 0 */2 * 1"},
        {"*/10 * * * * *", "*/10 * * * * *"},
        {"0 0 0 * * *", "0 0 * * *"},
        {"30 5 0 1 1 *", "30 5 0 1 1 *"},
        {"0 0 29 2 *", "0 0 29 2 *"},
        {"0 0 30 2 MON", "0 0 30 2 1"},
        {"0 0 31 1-12 *", "0 0 31 * *"},
        {"@hourly", "0 * * * *"},
        {"@daily", "0 0 * * *"},
        {"@Midnight", "0 0 * * *"},
        {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"},
        {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cron one, two;
        struct err err;
        char text[CRON_TEXT_MAX];
        memset(&one, 0, sizeof(one));
        memset(&two, 0, sizeof(two));
        assert_succeeds(cron_parse(cases[i].text, &one, &err), err);
        assert_string_equal(cron_format(text, &one), cases[i].canonical);
        assert_succeeds(cron_parse(text, &two, &err), err);
        assert_memory_equal(&one, &two, offsetof(struct cron, any_weekday) + 1);
    }
}

static void bad_lines(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"", "five fields"},
        {"* * * *", "five fields"},
        {"* * * * * * *", "five fields"},
        {"60 * * * *", "minute '60' is out of range, allowed: 0-59"},
        {"60 * * * * *", "second '60' is out of range"},
        {"* 24 * * *", "hour '24' is out of range, allowed: 0-23"},
        {"0 0 0 * *", "day of month '0' is out of range"},
        {"0 0 32 * *", "day of month '32' is out of range"},
        {"0 0 * 13 *", "month '13' is out of range"},
        {"0 0 * 0 *", "month '0' is out of range"},
        {"0 0 * * 8", "day of week '8' is out of range"},
        {"0 0 * * XYZ", "day of week 'XYZ' is not a value, allowed: 0-7, SUN-SAT"},
        {"0 0 * MONDAY *", "month 'MONDAY' is not a value"},
        {"0 0 * JANX *", "month 'JANX' is not a value"},
        {"5-1 * * * *", "runs backwards"},
        {"*/0 * * * *", "step that is not possible"},
        {"*/61 * * * *", "step that is not possible"},
        {"*/ * * * *", "step that is not possible"},
        {"5/15 * * * *", "step without a range"},
        {"1,,2 * * * *", "empty element"},
        {",1 * * * *", "empty element"},
        {"1, * * * *", "empty element"},
        {"1- * * * *", "is not a range"},
        {"-1 * * * *", "is not a value"},
        {"+1 * * * *", "is not a value"},
        {"1.5 * * * *", "is not a value"},
        {"99999999999999999999 * * * *", "is not a value"},
        {"? * * * *", "is not a value"},
        {"0 0 30 2 *", "never comes: day of month '30' is not in month '2'"},
        {"0 0 31 2,4,6,9,11 *", "never comes"},
        {"0 0 31 apr *", "never comes"},
        {"@reboot", "allowed: @hourly"},
        {"@", "allowed: @hourly"},
        {"111111111111111111111111111111111111111111111 * * * *", "is not a value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct cron cron = {.hours = 77};
        struct err err;
        assert_fails(cron_parse(cases[i].text, &cron, &err), err, ERR_CONFIG, cases[i].part);
        assert_int_equal(cron.hours, 77);
    }
    char *longer = mem_alloc(5000);
    memset(longer, ' ', 4999);
    struct cron cron;
    struct err err;
    assert_fails(cron_parse(longer, &cron, &err), err, ERR_CONFIG, "is not a cron line");
    mem_free(longer);
}

/* Whatever can be parsed is written in a form that means the same. */
static void random_lines_round_trip(void **state) {
    (void)state;
    static const char *const pieces[] = {"*", "1",   "5",   "0", "2-4", "*/2", "3,9", "1-9/3",
                                         "L", "MON", "JAN", "7", "?",   "12",  "0-6"};
    unsigned good = 0;
    srand(11);
    for (int n = 0; n < 50000; n++) {
        char text[128] = "";
        int fields = 5 + rand() % 2;
        for (int i = 0; i < fields; i++)
            str_format(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "",
                       pieces[rand() % (int)ARRAY_LEN(pieces)]);
        struct cron one, two;
        char canonical[CRON_TEXT_MAX], again[CRON_TEXT_MAX];
        struct err err;
        if (cron_parse(text, &one, &err) < 0)
            continue;
        good++;
        cron_format(canonical, &one);
        assert_succeeds(cron_parse(canonical, &two, &err), err);
        assert_string_equal(cron_format(again, &two), canonical);
        int64_t a = 0, b = 0;
        assert_int_equal(cron_next(&one, NULL, INT64_C(1700000000000000) + n, &a),
                         cron_next(&two, NULL, INT64_C(1700000000000000) + n, &b));
        assert_int_equal(a, b);
    }
    assert_true(good > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_lines),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(random_lines_round_trip),
    };
    return cmocka_run_group_tests_name("schedule/cron", tests, NULL, NULL);
}
