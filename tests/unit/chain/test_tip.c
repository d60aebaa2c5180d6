/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/tip.h"
#include "tests/unit/chain/make.h"

static struct chain_tip tip_of(const struct backup *sets, size_t count) {
    struct chain_tip tip;
    chain_tip_init(&tip);
    for (size_t i = 0; i < count; i++)
        chain_tip_add(&tip, &sets[i]);
    return tip;
}
#define TIP(...) tip_of((struct backup[]){__VA_ARGS__}, ARRAY_LEN(((struct backup[]){__VA_ARGS__})))

static struct chain_window window_of(const struct chain_tip *tip, int64_t quiet) {
    struct chain_window w;
    chain_tip_window(tip, quiet, &w);
    return w;
}

static void test_window(void **state) {
    (void)state;
    struct chain_tip tip;
    chain_tip_init(&tip);
    struct lsn reach;
    assert_false(window_of(&tip, SEC(5)).any);
    assert_false(chain_tip_reach(&tip, &reach));
    assert_null(chain_tip_base(&tip));

    tip = TIP(make_full(1, 10, 12, 10));
    struct chain_window w = window_of(&tip, 0);
    assert_true(w.any && !w.broken);
    assert_int_equal(w.from.at, SEC(10));
    assert_int_equal(w.until_at, SEC(10));
    assert_lsn(w.latest_lsn, 12);

    tip = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_full(3, 25, 26, 25));
    w = window_of(&tip, 0);
    assert_int_equal(w.until_at, SEC(20));
    assert_int_equal(w.latest_at, SEC(25));
    assert_lsn(w.latest_lsn, 26);
    assert_true(chain_tip_reach(&tip, &reach));
    assert_lsn(reach, 26);
    w = window_of(&tip, SEC(90));
    assert_int_equal(w.until_at, SEC(90));
    assert_int_equal(w.latest_at, SEC(90));
    struct guid g3 = G(3), g9 = G(9), zero = {{0}};
    assert_true(guid_eq(&chain_tip_base(&tip)->set, &g3));
    assert_true(chain_tip_base_usable(&tip, &g3));
    assert_false(chain_tip_base_usable(&tip, &g9));
    assert_false(chain_tip_base_usable(&tip, &zero));

    tip = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 30, 40, 40));
    w = window_of(&tip, SEC(90));
    assert_true(!w.any && w.broken);
    assert_int_equal(tip.holes, 1);
    assert_lsn(tip.lost_lsn, 20);
    assert_int_equal(tip.lost_at, SEC(20));
}

static void test_marks(void **state) {
    (void)state;
    struct chain_tip tip = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), with(make_log(3, 20, 25, 24), BACKUP_COPY_ONLY),
                               make_diff(4, 1, 22, 23, 23), with(make_full(5, 26, 27, 27), BACKUP_COPY_ONLY));
    assert_lsn(tip.log_lsn, 20); /* the server's next log begins there: copy-only does not count */
    assert_lsn(tip.max_lsn, 27);
    assert_lsn(tip.last_log.last_lsn, 25);
    assert_lsn(tip.last_full.last_lsn, 12);
    assert_lsn(tip.last_diff.last_lsn, 23);
    assert_int_equal(tip.base_count, 1);
    assert_int_equal(tip.sets, 5);
    struct backup older = make_log(6, 5, 8, 9);
    chain_tip_add(&tip, &older);
    assert_lsn(tip.last_log.last_lsn, 25);
}

static void test_bases(void **state) {
    (void)state;
    struct chain_tip tip;
    chain_tip_init(&tip);
    for (unsigned i = 1; i <= CHAIN_BASES_MAX + 2; i++) {
        struct backup full = make_full(i, 10 * i, 10 * i + 2, 10 * i);
        chain_tip_add(&tip, &full);
    }
    assert_int_equal(tip.base_count, CHAIN_BASES_MAX);
    struct guid first = G(1), newest = G(CHAIN_BASES_MAX + 2);
    assert_false(chain_tip_base_usable(&tip, &first));
    assert_true(guid_eq(&chain_tip_base(&tip)->set, &newest));
    struct backup late = make_full(50, 8, 9, 9); /* older than all that are kept */
    chain_tip_add(&tip, &late);
    assert_true(guid_eq(&chain_tip_base(&tip)->set, &newest));
    struct backup diff = make_diff(51, 50, 100, 101, 100); /* its base is not kept: not known to be good */
    chain_tip_add(&tip, &diff);
    assert_int_equal(tip.bad, CHAIN_HOLE_BASE_MISSING);
    struct backup damaged = with(make_full(52, 110, 111, 110), BACKUP_DAMAGED), on_it = make_diff(53, 52, 120, 121, 120);
    chain_tip_add(&tip, &damaged);
    chain_tip_add(&tip, &on_it);
    assert_int_equal(tip.bad, CHAIN_HOLE_DAMAGED_BASE);
    struct backup good = make_full(54, 130, 131, 130);
    chain_tip_add(&tip, &good);
    assert_int_equal(tip.bad, CHAIN_HOLE_NONE);
    struct backup late_bad = with(make_full(55, 125, 126, 126), BACKUP_SNAPSHOT); /* behind a good one: says nothing */
    chain_tip_add(&tip, &late_bad);
    assert_int_equal(tip.bad, CHAIN_HOLE_NONE);
    assert_true(guid_eq(&chain_tip_base(&tip)->set, &good.set_guid)); /* sorted by LSN, not by arrival */
    struct backup bad_diff = with(make_diff(56, 54, 140, 141, 140), BACKUP_DAMAGED);
    chain_tip_add(&tip, &bad_diff);
    assert_int_equal(tip.bad, CHAIN_HOLE_DAMAGED_BASE);
}

static void test_late_full(void **state) {
    (void)state;
    struct backup full = make_full(9, 32, 33, 36);
    struct chain_tip in_time = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), full, make_log(3, 30, 40, 40));
    struct chain_tip late = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 30, 40, 40), full);
    assert_true(late.open);
    assert_true(chain_tip_eq(&in_time, &late));
    struct backup before_gap = make_full(9, 22, 23, 25); /* in the gap: a lone point */
    in_time = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), before_gap, make_log(3, 30, 40, 40));
    late = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 30, 40, 40), before_gap);
    assert_false(late.open);
    assert_true(chain_tip_eq(&in_time, &late));
    in_time = TIP(before_gap, make_log(3, 30, 40, 40));
    late = TIP(make_log(3, 30, 40, 40), before_gap);
    assert_int_equal(late.holes, 1);
    assert_int_equal(late.cause, CHAIN_HOLE_LOG_MISSING);
    in_time.seg_from_at = late.seg_from_at;
    in_time.path_at = late.path_at;
    assert_int_equal(in_time.holes, late.holes);
    struct backup two = make_full(8, 31, 32, 35); /* an earlier start of the same interval */
    in_time = TIP(make_log(2, 25, 30, 30), two, full, make_log(3, 30, 40, 40));
    late = TIP(make_log(2, 25, 30, 30), make_log(3, 30, 40, 40), full, two);
    assert_lsn(late.from.lsn, 32);
    assert_true(chain_tip_eq(&in_time, &late));
}

/* Each field counts: whatever differs, the tips differ. */
static void test_eq(void **state) {
    (void)state;
    struct backup cross = on_fork(make_log(5, 30, 40, 50), FORK_A, FORK_B, 30);
    struct chain_tip a = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 30, 30), make_diff(3, 1, 34, 35, 35), cross,
                             on_fork(make_full(6, 45, 46, 55), FORK_B, FORK_B, 0));
    struct chain_tip b = a;
    assert_true(chain_tip_eq(&a, &b));
    assert_int_equal(a.past_fork_count, 1);
    assert_int_equal(a.parent_count, 2);
#define DIFFERS(field, ...)                                                                                                      \
    do {                                                                                                                         \
        b = a;                                                                                                                   \
        b.field = __VA_ARGS__;                                                                                                   \
        assert_false(chain_tip_eq(&a, &b));                                                                                      \
    } while (0)
    DIFFERS(known, false);
    DIFFERS(path.incarnation, 7);
    DIFFERS(seg_last, L(1));
    DIFFERS(from.at, 1);
    DIFFERS(pending[0].lsn, L(1));
    DIFFERS(pending_count, 0);
    DIFFERS(bases[0].usable, false);
    DIFFERS(base_count, 0);
    DIFFERS(parent[0].at, 1);
    DIFFERS(parent_count, 0);
    DIFFERS(past_forks[0], G(3));
    DIFFERS(last_full.flags, 77);
    DIFFERS(off_lsn, L(9));
    DIFFERS(holes, 9);
    DIFFERS(bulk_lsn, L(9));
}

static void test_off_volume(void **state) {
    (void)state;
    struct backup f = make_full(1, 10, 12, 10), a = make_log(2, 10, 20, 20), d = make_diff(3, 1, 21, 22, 22),
                  b = make_log(4, 20, 30, 30);
    struct chain_tip tip = TIP(f, a, d, b);
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, 0);
    chain_tip_off_volume(&tip, &a); /* a log alone is nothing */
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, 0);
    chain_tip_off_volume(&tip, &d); /* nor is a differential */
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, 0);
    chain_tip_off_volume(&tip, &f);
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, SEC(20));
    chain_tip_off_volume(&tip, &d);
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, SEC(22));
    chain_tip_off_volume(&tip, &b);
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, SEC(30));
    assert_int_equal(window_of(&tip, SEC(99)).off_volume_until_at, SEC(99));
    struct backup gap = make_log(5, 40, 50, 50), elsewhere = on_fork(make_log(6, 30, 60, 60), FORK_B, FORK_B, 0);
    chain_tip_add(&tip, &gap);
    chain_tip_off_volume(&tip, &gap);
    chain_tip_off_volume(&tip, &elsewhere);
    assert_int_equal(window_of(&tip, 0).off_volume_until_at, SEC(30));
    /* Marked as they come, or marked later: the same. */
    struct chain_tip marked = TIP(with(f, BACKUP_OFF_VOLUME), with(a, BACKUP_OFF_VOLUME)), later = TIP(f, a);
    chain_tip_off_volume(&later, &f);
    chain_tip_off_volume(&later, &a);
    marked.last_log.flags = later.last_log.flags, marked.last_full.flags = later.last_full.flags;
    assert_true(chain_tip_eq(&marked, &later));
    /* Over a fork it goes on only where the log crosses from what is there. */
    struct backup cross = with(on_fork(make_log(7, 20, 40, 40), FORK_A, FORK_B, 20), BACKUP_OFF_VOLUME);
    chain_tip_add(&marked, &cross);
    assert_int_equal(window_of(&marked, 0).off_volume_until_at, SEC(40));
    cross = with(on_fork(make_log(7, 15, 40, 40), FORK_A, FORK_B, 18), BACKUP_OFF_VOLUME);
    chain_tip_add(&later, &cross);
    assert_int_equal(window_of(&later, 0).off_volume_until_at, 0);
}

static void test_paths(void **state) {
    (void)state;
    struct chain_tip tip;
    chain_tip_init(&tip);
    for (unsigned i = 0; i < CHAIN_FORKS_MAX + 3; i++) { /* a database that is restored again and again */
        struct backup full = on_fork(make_full(i + 1, 10, 12, 10 * i + 10), 0xC0 + i, 0xC0 + i, 0);
        chain_tip_add(&tip, &full);
    }
    assert_int_equal(tip.past_fork_count, CHAIN_FORKS_MAX);
    struct guid last = G(0xC0 + CHAIN_FORKS_MAX + 1), present = G(0xC0 + CHAIN_FORKS_MAX + 2);
    assert_true(chain_tip_fork_is_past(&tip, &last));
    assert_false(chain_tip_fork_is_past(&tip, &present));
    struct chain_tip before = tip;
    struct backup old = on_fork(make_log(60, 12, 20, 15), 0xC1, 0xC1, 0); /* of a path that was left */
    chain_tip_add(&tip, &old);
    assert_true(chain_tip_eq(&before, &tip));
    struct backup reverted = make_log(61, 5, 9, 500);
    reverted.incarnation = 1;
    chain_tip_add(&tip, &reverted);
    assert_int_equal(tip.past_fork_count, 0);
    assert_int_equal(tip.base_count, 0);
    assert_int_equal(tip.cause, CHAIN_HOLE_VOLUME_REVERTED);
    old.finish_at = SEC(600); /* of an incarnation that is over, whenever it comes */
    before = tip;
    chain_tip_add(&tip, &old);
    assert_true(chain_tip_eq(&before, &tip));
}

static void test_behind(void **state) {
    (void)state;
    struct chain_tip tip = TIP(make_full(1, 10, 12, 10), make_log(2, 10, 30, 30));
    assert_true(chain_tip_is_behind(&tip, L(29)));
    assert_false(chain_tip_is_behind(&tip, L(30)));
    struct backup diff = make_diff(3, 1, 25, 36, 36); /* a transaction that was open since 25 */
    chain_tip_add(&tip, &diff);
    assert_false(chain_tip_is_behind(&tip, L(25)));
    assert_true(chain_tip_is_behind(&tip, L(24)));
}

static void test_ties(void **state) {
    (void)state;
    /* Two empty logs in one second: the newest is the same one, whichever comes first. */
    struct backup f = make_full(1, 10, 12, 10), a = make_log(2, 10, 20, 20), b = make_log(3, 20, 20, 30),
                  c = make_log(4, 20, 20, 30);
    struct chain_tip one = TIP(f, a, b, c), other = TIP(f, a, c, b);
    assert_true(chain_tip_eq(&one, &other));
    struct guid newest = G(4);
    assert_true(guid_eq(&one.last_log.set, &newest));
    /* A log that begins before the segment makes it longer at that end too. */
    struct chain_tip longer = TIP(make_log(2, 20, 30, 30), make_log(3, 15, 40, 40), make_full(1, 16, 17, 41));
    assert_true(longer.open);
    assert_lsn(longer.from.lsn, 17);
}

static void test_foreign(void **state) {
    (void)state;
    struct backup f = make_full(1, 10, 12, 10), a = make_log(2, 10, 20, 20);
    struct backup new_one = with(make_log(90, 30, 40, 40), BACKUP_FOREIGN),
                  old_one = with(make_log(91, 20, 30, 30), BACKUP_FOREIGN);
    struct chain_tip tip = TIP(f, a, new_one, old_one);
    assert_lsn(tip.foreign_lsn, 40);
    assert_int_equal(tip.foreign_at, SEC(39));
    assert_int_equal(tip.sets, 2);
    assert_lsn(tip.max_lsn, 20);
    tip = TIP(new_one, f, a, with(new_one, BACKUP_COPY_ONLY), on_fork(new_one, FORK_B, FORK_B, 0),
              with(make_full(92, 30, 31, 31), BACKUP_FOREIGN));
    assert_true(lsn_is_zero(tip.foreign_lsn)); /* before anything of ours, copy-only, of another fork, a full */
    struct chain_tip same = TIP(f, a);
    assert_true(chain_tip_eq(&tip, &same));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_window), cmocka_unit_test(test_marks),
                                       cmocka_unit_test(test_bases),  cmocka_unit_test(test_late_full),
                                       cmocka_unit_test(test_eq),     cmocka_unit_test(test_off_volume),
                                       cmocka_unit_test(test_paths),  cmocka_unit_test(test_behind),
                                       cmocka_unit_test(test_ties),   cmocka_unit_test(test_foreign)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
