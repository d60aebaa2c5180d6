/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/backup.h"
#include "tests/unit/chain/make.h"

static void test_kinds(void **state) {
    (void)state;
    enum backup_kind kind;
    for (int k = 0; k < BACKUP_KIND_COUNT; k++) {
        assert_true(backup_kind_parse(backup_kind_name((enum backup_kind)k), &kind));
        assert_int_equal(kind, k);
    }
    assert_string_equal(backup_kind_name((enum backup_kind)99), "unknown");
    assert_false(backup_kind_parse("Full", &kind));
    static const struct {
        const char *type;
        int kind; /* -1: not ours */
    } rows[] = {{"1", BACKUP_FULL}, {"2", BACKUP_LOG}, {"5", BACKUP_DIFF}, {"D", BACKUP_FULL},
                {"I", BACKUP_DIFF}, {"L", BACKUP_LOG}, {"4", -1},          {"6", -1},
                {"7", -1},          {"8", -1},         {"F", -1},          {"G", -1},
                {"P", -1},          {"Q", -1},         {"", -1},           {"11", -1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        bool known = backup_kind_from_type(rows[i].type, &kind);
        assert_int_equal(known, rows[i].kind >= 0);
        if (known)
            assert_int_equal(kind, rows[i].kind);
    }
}

static void test_base(void **state) {
    (void)state;
    struct backup full = make_full(1, 10, 20, 5);
    assert_true(backup_is_base(&full));
    static const uint32_t never[] = {BACKUP_DAMAGED, BACKUP_SNAPSHOT, BACKUP_FOREIGN};
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        struct backup b = with(full, never[i]);
        assert_false(backup_is_base(&b));
    }
    struct backup copy = with(full, BACKUP_COPY_ONLY);
    assert_true(backup_is_base(&copy)); /* for a restore of its own and the logs behind it */
    struct backup log = make_log(2, 10, 20, 5), blank = make_full(3, 0, 20, 5), turned = make_full(4, 20, 10, 5);
    assert_false(backup_is_base(&log));
    assert_false(backup_is_base(&blank));
    assert_false(backup_is_base(&turned));
}

static void test_ended_by(void **state) {
    (void)state;
    for (enum backup_kind kind = BACKUP_FULL; kind < BACKUP_KIND_COUNT; kind++) {
        struct backup set = make_set(kind, 1, 10, 20, 0);
        set.finish_at = SEC(100); /* at 100.0 or at 100.999 */
        assert_int_equal(backup_ended_by(&set), SEC(101));
        set.finish_at = SEC(100) + 1; /* somebody knew it better */
        assert_int_equal(backup_ended_by(&set), SEC(100) + 1);
        set.finish_at = 0;
        assert_int_equal(backup_ended_by(&set), 0);
    }
}

static void test_reach(void **state) {
    (void)state;
    struct backup log = make_log(1, 10, 20, 100);
    log.start_at = SEC(90);
    assert_int_equal(backup_reach_at(&log), SEC(100));
    log.valid_until = 0; /* an older server, nobody sampled: only what was there when it began is certain */
    assert_int_equal(backup_reach_at(&log), SEC(90));
    struct backup full = make_full(2, 10, 20, 100);
    full.finish_at = SEC(100);
    assert_int_equal(backup_reach_at(&full), SEC(100));
    full.valid_until = SEC(101);
    assert_int_equal(backup_reach_at(&full), SEC(101));
    assert_false(backup_crosses_fork(&full));
    struct backup cross = on_fork(log, FORK_A, FORK_B, 15);
    assert_true(backup_crosses_fork(&cross));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_base), cmocka_unit_test(test_reach),
                                       cmocka_unit_test(test_ended_by)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
