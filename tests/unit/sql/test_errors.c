/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/errors.h"
#include "tests/unit/support/unit.h"

static struct err set(int number, int severity, const char *text) {
    struct err err;
    char copy[512];
    snprintf(copy, sizeof(copy), "%s", text);
    err_clear(&err);
    const struct sql_message m = {.number = number, .severity = severity, .state = 1, .text = copy};
    assert_int_equal(sql_error_set(&err, &m), -1);
    assert_int_equal(err.sql_number, number);
    assert_int_equal(err.sql_severity, severity);
    return err;
}

static void test_table(void **state) {
    (void)state;
    size_t count;
    const struct sql_error_row *rows = sql_error_table(&count);
    for (size_t i = 0; i < count; i++) {
        if (i)
            assert_true(rows[i].number > rows[i - 1].number); /* searched by halves */
        assert_ptr_equal(sql_error_find(rows[i].number), &rows[i]);
        assert_true(rows[i].reaction < SQL_REACTION_COUNT && rows[i].class < ERR_CLASS_COUNT);
        /* What is no error has no class; all else has one. */
        assert_int_equal(rows[i].reaction == SQL_INFO, rows[i].class == ERR_NONE);
    }
    assert_int_equal(sql_error_find(1)->reaction, SQL_FAIL);
    assert_int_equal(sql_error_find(1)->class, ERR_SQL);
    assert_int_equal(sql_error_find(41102)->reaction, SQL_WAIT);
    for (int r = 0; r < SQL_REACTION_COUNT; r++)
        assert_non_null(sql_reaction_name((enum sql_reaction)r));
}

/* The summary by reaction of the error catalogue. */
static void test_reactions(void **state) {
    (void)state;
    static const struct {
        enum sql_reaction reaction;
        int numbers[40];
    } groups[] = {
        {SQL_RETRY, {1205, 1222, 1204, 3023, 3101, 3204, 701, 802, 8645, 8651, 845, 952, 596, 6005, 6006, 10928, 10929, 40613}},
        {SQL_WAIT, {921, 922, 923, 924, 954, 955, 956, 983, 988, 992, 997, 3062, 18401, 18451, 18461, 4060, 17142, 17187, 35250}},
        {SQL_CHAIN, {4214, 3035}},
        {SQL_CONFIG, {1844, 3218, 18456, 18452, 15404, 33111, 5133, 5120, 3634, 1105, 3257, 3169, 9002, 18486, 18487, 18488}},
        {SQL_PERMISSION, {262, 229, 297, 300, 916, 3110}},
        {SQL_MEDIA, {3043, 3183, 3189, 3203, 3208, 3241, 3242, 3243, 3256, 3254, 823, 824, 9004}},
        {SQL_SKIP, {911, 927, 942, 976, 978, 3002, 3024, 3036, 3147, 4208, 4212, 3059}},
        {SQL_PLAN, {3117, 3132, 3136, 3154, 3159, 4305, 4326, 4330, 4335, 4338, 4341}},
        {SQL_INFO, {3014, 4035, 3211, 4322, 4329, 5701, 3009, 4217}},
        {SQL_FOLLOW_UP, {3013, 3041, 3119, 5069}},
    };
    for (size_t g = 0; g < ARRAY_LEN(groups); g++)
        for (size_t i = 0; groups[g].numbers[i]; i++)
            if (sql_error_find(groups[g].numbers[i])->reaction != groups[g].reaction)
                fail_msg("%d is %s, want %s", groups[g].numbers[i],
                         sql_reaction_name(sql_error_find(groups[g].numbers[i])->reaction),
                         sql_reaction_name(groups[g].reaction));
}

static void test_os_errors(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int code;
    } cases[] = {
        {"Cannot open backup device '/x/y.bak'. Operating system error 5(Access is denied.).", 5},
        {"Write on \"/x/y.bak\" failed: 112(There is not enough space on the disk.)", 112},
        {"A nonrecoverable I/O error occurred on file \"/x/y.bak:\" 995(The I/O operation has been aborted.).", 995},
        {"Unable to open the physical file \"/x\". Operating system error 2: \"2(The system cannot find the file.)\".", 2},
        {"Sicherungsmedium '/x(1)/9(b).bak' kann nicht ge\xc3\xb6"
         "ffnet werden: 112(Nicht genug Platz)",
         112},
        {"Cannot open backup device '/x/y.bak'.", -1},
        {"Write on \"/x 12.bak\" failed", -1},
        {"Operating system error (no number)", -1},
        {"Operating system error 99999999999999(x)", -1},
        {"(", -1},
        {"", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (sql_os_error(cases[i].text) != cases[i].code)
            fail_msg("'%s': %d", cases[i].text, sql_os_error(cases[i].text));
}

static void test_device_errors(void **state) {
    (void)state;
    struct err e = set(3201, 16, "Cannot open backup device '/s/x'. Operating system error 5(Access is denied.).");
    assert_int_equal(e.class, ERR_PERMISSION);
    assert_non_null(strstr(e.text, "10001"));
    assert_int_equal(sql_err_reaction(&e), SQL_CONFIG);
    e = set(3201, 16, "Cannot open backup device '/s/x'. Operating system error 3(The system cannot find the path specified.).");
    assert_int_equal(e.class, ERR_NOT_FOUND);
    assert_int_equal(sql_err_reaction(&e), SQL_CONFIG);
    e = set(3201, 16, "Cannot open backup device '/s/x'. Operating system error 19(The media is write protected.).");
    assert_int_equal(e.class, ERR_PERMISSION);
    assert_non_null(strstr(e.text, "read-only"));
    e = set(3202, 16, "Write on \"/s/x\" failed: 112(There is not enough space on the disk.)");
    assert_int_equal(e.class, ERR_SPACE);
    assert_int_equal(sql_err_reaction(&e), SQL_RETRY);
    e = set(3271, 16, "A nonrecoverable I/O error occurred on file \"/s/x:\" 112(There is not enough space on the disk.).");
    assert_int_equal(e.class, ERR_SPACE);
    e = set(3202, 16, "Write on \"/s/x\" failed: 19(The media is write protected.)");
    assert_int_equal(sql_err_reaction(&e), SQL_CONFIG);
    e = set(3202, 16, "Write on \"/s/x\" failed: 1117(The request could not be performed because of an I/O device error.)");
    assert_int_equal(e.class, ERR_IO);
    assert_int_equal(sql_err_reaction(&e), SQL_RETRY);
    e = set(3203, 16, "Read on \"/s/x\" failed: 38(Reached the end of the file.)");
    assert_int_equal(e.class, ERR_CORRUPT);
    assert_int_equal(sql_err_reaction(&e), SQL_MEDIA);
    /* A number in brackets elsewhere means nothing. */
    e = set(4214, 16, "BACKUP LOG cannot be performed because there is no current database backup. 5(x)");
    assert_int_equal(e.class, ERR_CHAIN);
}

static void test_errors_without_number(void **state) {
    (void)state;
    static const struct {
        enum err_class class;
        enum sql_reaction reaction;
    } cases[] = {{ERR_CONNECT, SQL_RETRY}, {ERR_TIMEOUT, SQL_RETRY}, {ERR_STATE, SQL_WAIT},    {ERR_AUTH, SQL_CONFIG},
                 {ERR_CHAIN, SQL_CHAIN},   {ERR_CORRUPT, SQL_MEDIA}, {ERR_INTERNAL, SQL_FAIL}, {ERR_PERMISSION, SQL_PERMISSION}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err e = {.class = cases[i].class};
        assert_int_equal(sql_err_reaction(&e), cases[i].reaction);
    }
}

static void test_text(void **state) {
    (void)state;
    struct err e = set(18456, 14, "Login failed for user 'x'.");
    assert_int_equal(e.class, ERR_AUTH);
    assert_non_null(strstr(e.text, "Login failed for user 'x'. (message 18456, severity 14, state 1)"));
    assert_non_null(strstr(e.text, "error log"));
    e = set(777777, 16, "Something new");
    assert_int_equal(e.class, ERR_SQL);
    assert_string_equal(e.text, "Something new (message 777777, severity 16, state 1)");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),         cmocka_unit_test(test_reactions), cmocka_unit_test(test_os_errors),
        cmocka_unit_test(test_device_errors), cmocka_unit_test(test_text),      cmocka_unit_test(test_errors_without_number),
    };
    return cmocka_run_group_tests_name("sql errors", tests, NULL, NULL);
}
