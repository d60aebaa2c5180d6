/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/check.h"
#include "tests/unit/chain/view.h"

static struct chain_verdict check(const struct view_case *c, struct backup set) {
    struct chain_verdict v;
    struct chain_view view = view_of(c);
    struct chain_expectation expected = {.kind = set.kind, .copy_only = backup_has(&set, BACKUP_COPY_ONLY)};
    chain_check(&view, &expected, &set, &v);
    assert_int_equal(v.ok, v.reason == CHAIN_REASON_NONE);
    assert_true(v.ok || v.text[0]);
    return v;
}

/* "ok", or the reason; + usable, * heal, hole's cause in brackets, ^ new incarnation */
static const char *said(const struct view_case *c, struct backup set) {
    static char text[128];
    struct chain_verdict v = check(c, set);
    snprintf(text, sizeof(text), "%s%s%s%s%s", v.ok ? "ok" : chain_reason_word(v.reason), v.usable ? "+" : "", v.heal ? "*" : "",
             v.has_hole ? chain_hole_cause_word(v.hole.cause) : "", v.new_incarnation ? "^" : "");
    return text;
}
#define SAYS(c, set, text) assert_string_equal(said(&(c), set), text)

static void test_good(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, make_log(9, 30, 40, 40), "ok+");
    SAYS(c, make_log(9, 30, 30, 40), "ok+");
    SAYS(c, with(make_log(9, 30, 40, 40), BACKUP_COPY_ONLY), "ok+");
    SAYS(c, with(make_log(9, 10, 40, 40), BACKUP_READ_ONLY), "ok+");
    SAYS(c, make_diff(9, 1, 31, 32, 40), "ok+");
    SAYS(c, make_full(9, 31, 32, 40), "ok+");
    SAYS(c, with(make_full(9, 31, 32, 40), BACKUP_COPY_ONLY), "ok+");
    chain_tip_init(&c.tip);
    SAYS(c, make_full(9, 31, 32, 40), "ok+");
}

static void test_log_gap(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, make_log(9, 35, 40, 40), "log_missing*log_missing");
    view_foreign(&c, make_log(91, 30, 35, 36), "NUL");
    struct chain_verdict v = check(&c, make_log(9, 35, 40, 40));
    assert_int_equal(v.reason, CHAIN_REASON_FOREIGN_LOG_NUL);
    assert_int_equal(v.hole.cause, CHAIN_HOLE_FOREIGN_LOG_NUL);
    assert_string_equal(v.hole.who, "CORP\\bob");
    assert_int_equal(v.hole.from_at, SEC(30));
    assert_lsn(v.hole.until_lsn, 35);
    assert_true(v.recordable && v.heal && !v.usable);
    strcpy(c.foreign[0].device, "/x");
    SAYS(c, make_log(9, 35, 40, 40), "foreign_log*foreign_log");
    c.foreign_count = 0;
    SAYS(c, with(make_log(9, 35, 40, 40), BACKUP_BEGINS_LOG_CHAIN), "pseudo_simple*not_full_recovery");
    view_add(&c, make_full(4, 36, 37, 38)); /* behind the gap, so the log is of use */
    v = check(&c, make_log(9, 35, 40, 40));
    assert_true(v.ok && v.usable && v.has_hole && !v.heal);
    assert_lsn(v.hole.until_lsn, 37);
    assert_int_equal(v.hole.until_at, SEC(38));
    assert_true(v.text[0] != 0);
}

static void test_log_without_base(void **state) {
    (void)state;
    struct view_case c = view_intact();
    chain_tip_init(&c.tip);
    SAYS(c, make_log(9, 30, 40, 40), "base_missing*");
    view_add(&c, with(make_full(1, 10, 12, 10), BACKUP_DAMAGED));
    SAYS(c, make_log(9, 10, 40, 40), "damaged_base*");
    c = view_intact();
    view_add(&c, make_log(5, 40, 50, 50));
    SAYS(c, make_log(9, 50, 60, 60), "log_missing*"); /* the hole is known, and not healed */
}

static void test_bulk(void **state) {
    (void)state;
    struct view_case c = view_intact();
    struct chain_verdict v = check(&c, with(make_log(9, 30, 40, 40), BACKUP_BULK_LOGGED));
    assert_true(v.ok && v.has_hole);
    assert_int_equal(v.hole.cause, CHAIN_HOLE_BULK_LOGGED);
    assert_int_equal(v.hole.from_at, SEC(30));
    assert_int_equal(v.hole.until_at, SEC(40));
    SAYS(c, with(make_log(9, 30, 30, 40), BACKUP_BULK_LOGGED), "ok+");
}

static void test_diff(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, make_diff(9, 77, 31, 32, 40), "base_moved*");
    SAYS(c, with(make_diff(9, 1, 31, 32, 40), BACKUP_DAMAGED), "damaged*");
    view_add(&c, with(make_full(4, 31, 32, 35), BACKUP_DAMAGED));
    SAYS(c, make_diff(9, 4, 33, 34, 40), "damaged_base*");
}

static void test_full(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, with(make_full(9, 31, 32, 40), BACKUP_DAMAGED), "damaged");
}

static void test_identity(void **state) {
    (void)state;
    struct view_case c = view_intact();
    struct backup other = make_log(9, 30, 40, 40);
    other.family_guid = G(0xFB);
    struct chain_verdict v = check(&c, other);
    assert_false(v.recordable);
    assert_int_equal(v.reason, CHAIN_REASON_REPLACED);
    SAYS(c, make_log(9, 0, 40, 40), "incomplete_header*incomplete");
    struct chain_view view = view_of(&c);
    struct backup log = make_log(9, 30, 40, 40);
    struct chain_expectation full = {.kind = BACKUP_FULL}, copy = {.kind = BACKUP_LOG, .copy_only = true};
    chain_check(&view, &full, &log, &v);
    assert_int_equal(v.reason, CHAIN_REASON_KIND_UNEXPECTED);
    assert_true(v.recordable && v.heal);
    chain_check(&view, &copy, &log, &v);
    assert_int_equal(v.reason, CHAIN_REASON_KIND_UNEXPECTED);
}

static void test_forked(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, on_fork(make_log(9, 25, 40, 40), FORK_A, FORK_B, 25), "forked*fork");
    SAYS(c, on_fork(make_log(9, 30, 40, 40), FORK_A, FORK_B, 35), "ok+");
    SAYS(c, on_fork(make_full(9, 25, 26, 40), FORK_B, FORK_B, 0), "ok+");
    SAYS(c, on_fork(make_diff(9, 1, 25, 26, 40), FORK_B, FORK_B, 0), "ok+");
    view_add(&c, on_fork(make_full(4, 25, 26, 40), FORK_B, FORK_B, 0));
    SAYS(c, make_log(9, 30, 40, 50), "volume_reverted*volume_reverted^"); /* on the fork that was left */
}

static void test_reverted(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, make_log(9, 20, 25, 40), "volume_reverted*volume_reverted^");
    SAYS(c, make_log(9, 20, 45, 40), "volume_reverted*volume_reverted^");
    struct chain_view view = view_of(&c);
    struct chain_verdict v;
    struct chain_expectation expected = {.kind = BACKUP_FULL, .not_before = L(30)};
    struct backup full = make_full(9, 20, 25, 40);
    chain_check(&view, &expected, &full, &v);
    assert_int_equal(v.reason, CHAIN_REASON_VOLUME_REVERTED);
    assert_true(v.usable && v.new_incarnation && !v.heal); /* it begins the new one */
    expected.new_incarnation = true; /* decided so: nothing new */
    chain_check(&view, &expected, &full, &v);
    assert_true(v.ok && v.new_incarnation);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),     cmocka_unit_test(test_log_gap), cmocka_unit_test(test_log_without_base),
        cmocka_unit_test(test_bulk),     cmocka_unit_test(test_diff),    cmocka_unit_test(test_full),
        cmocka_unit_test(test_identity), cmocka_unit_test(test_forked),  cmocka_unit_test(test_reverted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
