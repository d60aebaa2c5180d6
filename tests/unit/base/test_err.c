/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/str.h"
#include "tests/unit/support/unit.h"

static struct err err;

static void every_class_has_a_word_and_an_exit_code_of_its_own(void **state) {
    (void)state;
    for (int a = 0; a < ERR_CLASS_COUNT; a++) {
        assert_non_null(err_class_name((enum err_class)a));
        assert_in_range(err_class_grpc((enum err_class)a), 0, 16);
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(err_class_name((enum err_class)a), err_class_name((enum err_class)b));
            assert_int_not_equal(err_class_exit((enum err_class)a), err_class_exit((enum err_class)b));
        }
        if (a)
            assert_int_equal(err_class_parse(err_class_name((enum err_class)a)), a);
    }
    assert_int_equal(err_class_parse("nonsense"), ERR_NONE);
    assert_int_equal(err_class_exit(ERR_NONE), 0);
}

static void context_goes_in_front_and_the_class_stays(void **state) {
    (void)state;
    assert_int_equal(err_set(&err, ERR_CHAIN, "log %d is missing", 7), -1);
    assert_int_equal(err_context(&err, "database %s", "db1"), -1);
    err_hint(&err, "Take a full backup");
    assert_string_equal(err.text, "database db1: log 7 is missing. Take a full backup");
    assert_int_equal(err.class, ERR_CHAIN);
    err_set(&err, ERR_IO, "again: %s", err.text); /* an argument inside the struct itself */
    assert_string_equal(err.text, "again: database db1: log 7 is missing. Take a full backup");
}

static void errno_chooses_the_class(void **state) {
    (void)state;
    static const struct {
        int os;
        enum err_class class;
    } cases[] = {{ENOSPC, ERR_SPACE},      {EDQUOT, ERR_SPACE},     {ENOENT, ERR_NOT_FOUND},
                 {EACCES, ERR_PERMISSION}, {EROFS, ERR_PERMISSION}, {EIO, ERR_IO}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        err_os(&err, ERR_NONE, cases[i].os, "write %s", "/x");
        assert_int_equal(err.class, cases[i].class);
        assert_int_equal(err.os, cases[i].os);
        assert_int_equal(strncmp(err.text, "write /x: ", 10), 0);
        assert_true(strlen(err.text) > 12);
    }
    err_os(&err, ERR_STORE, ENOSPC, "x");
    assert_int_equal(err.class, ERR_STORE);
}

/* Every place of a cut, for characters of every length: what is left is text. */
static void a_message_is_cut_between_characters(void **state) {
    (void)state;
    static const char *const characters[] = {"x", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t c = 0; c < ARRAY_LEN(characters); c++)
        for (size_t room = 0; room < 6; room++) {
            char big[ERR_TEXT_MAX + 64] = "";
            memset(big, 'y', ERR_TEXT_MAX - 1 - room);
            for (size_t used = strlen(big); used < ERR_TEXT_MAX + 16; used = strlen(big))
                strcpy(big + used, characters[c]);
            err_set(&err, ERR_IO, "%s", big);
            assert_true(str_is_clean_utf8(err.text, strlen(err.text)));
            assert_in_range(strlen(err.text), ERR_TEXT_MAX - 4, ERR_TEXT_MAX - 1);
            err_context(&err, "%s", "a");
            assert_true(str_is_clean_utf8(err.text, strlen(err.text)));
            err_set(&err, ERR_IO, "short");
            err_hint(&err, "%s", big);
            assert_true(str_is_clean_utf8(err.text, strlen(err.text)));
        }
}

static void a_long_message_is_cut_not_overrun(void **state) {
    (void)state;
    char big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = 0;
    err_set(&err, ERR_IO, "%s", big);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    err_context(&err, "%s", big);
    err_context(&err, "short");
    err_hint(&err, "%s", big);
    assert_int_equal(strlen(err.text), ERR_TEXT_MAX - 1);
    assert_int_equal(strncmp(err.text, "short: xxx", 10), 0);
    assert_int_equal(err_set(NULL, ERR_IO, "nobody cares"), -1);
    assert_int_equal(err_context(NULL, "nobody"), -1);
}

static void grpc_codes_come_back_as_classes(void **state) {
    (void)state;
    for (int code = 1; code <= 16; code++)
        assert_int_not_equal(err_class_from_grpc(code), ERR_NONE);
    assert_int_equal(err_class_from_grpc(0), ERR_NONE);
    assert_int_equal(err_class_from_grpc(5), ERR_NOT_FOUND);
    assert_true(err_class_transient(ERR_CONNECT));
    assert_false(err_class_transient(ERR_CONFIG));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_class_has_a_word_and_an_exit_code_of_its_own),
        cmocka_unit_test(context_goes_in_front_and_the_class_stays),
        cmocka_unit_test(errno_chooses_the_class),
        cmocka_unit_test(a_long_message_is_cut_not_overrun),
        cmocka_unit_test(a_message_is_cut_between_characters),
        cmocka_unit_test(grpc_codes_come_back_as_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
