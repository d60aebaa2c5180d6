/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/interval.h"
#include "tests/unit/chain/make.h"

/* A history written as sets, and what is restorable of it written as "[from lsn-until lsn @from-until]" and "(cause)". */
static struct chain_intervals built;
static char shape[1024];

static const char *shape_of(const struct chain_interval_input *extra, const struct backup *sets, size_t count) {
    struct chain_history h;
    struct chain_interval_input input = extra ? *extra : (struct chain_interval_input){0};
    chain_intervals_done(&built);
    chain_history_init(&h, sets, count);
    input.history = &h;
    chain_intervals_build(&input, &built);
    chain_history_done(&h);
    size_t len = 0, hole = 0;
    shape[0] = 0;
    for (size_t i = 0; i <= built.count; i++) {
        for (; hole < built.hole_count; hole++) {
            const struct chain_hole *o = &built.holes[hole];
            if (i < built.count && o->until_at > built.intervals[i].from_at)
                break;
            if (i < built.count && !o->until_at)
                break;
            len += (size_t)snprintf(shape + len, sizeof(shape) - len, "(%s)", chain_hole_cause_word(o->cause));
        }
        if (i == built.count)
            break;
        const struct chain_interval *v = &built.intervals[i];
        len += (size_t)snprintf(shape + len, sizeof(shape) - len, "[%u-%u @%d-%d]", v->from_lsn.block, v->until_lsn.block,
                                (int)(v->from_at / CLOCK_SECOND), (int)(v->until_at / CLOCK_SECOND));
    }
    return shape;
}
#define SHAPE(extra, ...) shape_of(extra, (struct backup[]){__VA_ARGS__}, ARRAY_LEN(((struct backup[]){__VA_ARGS__})))

static int teardown(void **state) {
    (void)state;
    chain_intervals_done(&built);
    return 0;
}

static void test_plain(void **state) {
    (void)state;
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10)), "[12-12 @10-10]");
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 20, 30, 30)),
                        "[12-30 @10-30]");
    /* A log that ends where the full ends is of no use, and no harm. */
    assert_string_equal(SHAPE(NULL, make_log(2, 8, 12, 9), make_full(1, 10, 12, 10), make_log(3, 12, 20, 20)), "[12-20 @10-20]");
    /* A log taken inside the full, on top of nothing, and the one that straddles its end. */
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 15, 10), make_log(2, 9, 11, 9), make_log(3, 11, 20, 20)), "[15-20 @10-20]");
    /* Fulls do not break logs: the older full and all logs are one interval. */
    assert_string_equal(
        SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_full(3, 25, 26, 25), make_log(4, 20, 30, 30)),
        "[12-30 @10-30]");
    /* Empty logs repeat their LSNs and move only the time. */
    assert_string_equal(
        SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 20, 20, 30), make_log(4, 20, 20, 40)),
        "[12-20 @10-40]");
    /* Overlaps inside one fork, as on a read-only database, are stepped over. */
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 10, 30, 30)),
                        "[12-30 @10-30]");
    /* A copy-only full is as good a start as any. */
    assert_string_equal(SHAPE(NULL, with(make_full(1, 10, 12, 10), BACKUP_COPY_ONLY), make_log(2, 10, 20, 20)), "[12-20 @10-20]");
    assert_int_equal(built.hole_count, 0);
    assert_true(built.intervals[0].current);
}

static void test_holes(void **state) {
    (void)state;
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(4, 30, 40, 40)),
                        "[12-20 @10-20](log_missing)");
    assert_int_equal(built.open_hole_count, 1);
    assert_int_equal(built.holes[0].from_at, SEC(20));
    assert_int_equal(built.holes[0].until_at, 0);
    /* A differential bridges what the logs lost. */
    assert_string_equal(
        SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_diff(3, 1, 31, 32, 35), make_log(4, 30, 40, 40)),
        "[12-20 @10-20](log_missing)[32-40 @35-40]");
    assert_int_equal(built.open_hole_count, 0);
    assert_lsn(built.holes[0].from_lsn, 20);
    assert_lsn(built.holes[0].until_lsn, 32);
    /* But not one whose full we do not have, or have damaged. */
    assert_string_equal(
        SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_diff(3, 9, 31, 32, 35), make_log(4, 30, 40, 40)),
        "[12-20 @10-20](log_missing)");
    assert_string_equal(SHAPE(NULL, with(make_full(1, 10, 12, 10), BACKUP_DAMAGED), make_log(2, 10, 20, 20)), "(damaged_base)");
    assert_string_equal(SHAPE(NULL, make_log(2, 10, 20, 20), make_full(1, 30, 31, 30)), "(base_missing)[31-31 @30-30]");
    assert_string_equal(SHAPE(NULL, make_log(2, 10, 20, 20)), "(base_missing)");
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_full(2, 20, 22, 20), make_full(3, 30, 32, 30)),
                        "[12-12 @10-10](no_logs)[22-22 @20-20](no_logs)[32-32 @30-30]");
    /* Between the last log and a data backup there is only a log still to come. */
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_full(3, 25, 26, 25)),
                        "[12-20 @10-20](log_pending)[26-26 @25-25]");
    assert_int_equal(built.open_hole_count, 0);
    struct backup begins = with(make_log(4, 30, 40, 40), BACKUP_BEGINS_LOG_CHAIN);
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_diff(3, 1, 30, 32, 35), begins),
                        "[12-20 @10-20](not_full_recovery)[32-40 @35-40]");
    /* A set without LSNs is as good as none. */
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 0, 20, 20)), "[12-12 @10-10]");
}

static void test_bulk(void **state) {
    (void)state;
    struct backup bulk = with(make_log(3, 20, 30, 30), BACKUP_BULK_LOGGED);
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), bulk, make_log(4, 30, 40, 40)),
                        "[12-20 @10-20](bulk_logged)[30-40 @30-40]");
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_full(5, 24, 25, 25), bulk),
                        "[12-20 @10-20](bulk_logged)[25-25 @25-25](bulk_logged)[30-30 @30-30]");
    struct backup first = with(make_log(2, 10, 20, 20), BACKUP_BULK_LOGGED);
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), first), "[12-12 @10-10](bulk_logged)[20-20 @20-20]");
    assert_string_equal(SHAPE(NULL, first, make_full(1, 25, 26, 26)), "(base_missing)[26-26 @26-26]");
}

static struct chain_foreign foreign_log(unsigned first, unsigned last, const char *device) {
    struct chain_foreign f = {.set = with(make_log(99, first, last, 25), BACKUP_FOREIGN), .who = "CORP\\bob"};
    strcpy(f.device, device);
    return f;
}

static void test_blame(void **state) {
    (void)state;
    static const char *const nul[] = {"NUL", "nul", "NUL:", "/dev/null"};
    for (size_t i = 0; i < ARRAY_LEN(nul) + 1; i++) {
        struct chain_foreign rows[] = {foreign_log(40, 50, "later"),
                                       foreign_log(20, 30, i < ARRAY_LEN(nul) ? nul[i] : "/tmp/x.trn"),
                                       {.set = with(make_full(98, 22, 23, 22), BACKUP_FOREIGN)}};
        struct chain_interval_input input = {.foreign = rows, .foreign_count = ARRAY_LEN(rows)};
        SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_diff(3, 1, 31, 32, 35), make_log(4, 30, 40, 40));
        assert_int_equal(built.hole_count, 1);
        assert_int_equal(built.holes[0].cause, i < ARRAY_LEN(nul) ? CHAIN_HOLE_FOREIGN_LOG_NUL : CHAIN_HOLE_FOREIGN_LOG);
        assert_string_equal(built.holes[0].who, "CORP\\bob");
        assert_int_equal(built.holes[0].cause_at, SEC(24));
    }
    /* A foreign set among ours is evidence, and no set. */
    struct backup theirs = with(make_log(99, 20, 30, 25), BACKUP_FOREIGN);
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), theirs, make_log(4, 30, 40, 40)),
                        "[12-20 @10-20](foreign_log)");
}

static void test_known(void **state) {
    (void)state;
    struct chain_hole known[] = {{.cause = CHAIN_HOLE_LOG_REBUILT,
                                  .family = G(FAMILY),
                                  .fork = G(FORK_A),
                                  .from_lsn = L(70),
                                  .until_lsn = L(80),
                                  .until_at = SEC(80)},
                                 {.cause = CHAIN_HOLE_FOREIGN_LOG_NUL,
                                  .family = G(FAMILY),
                                  .fork = G(FORK_A),
                                  .from_lsn = L(20),
                                  .from_at = SEC(20),
                                  .who = "x"}};
    struct chain_interval_input input = {.known = known, .known_count = 2};
    assert_string_equal(
        SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_diff(3, 1, 31, 32, 35), make_log(4, 30, 40, 40)),
        "[12-20 @10-20](foreign_log_nul)[32-40 @35-40]");
    assert_string_equal(built.holes[0].who, "x");
    /* Recorded, and nothing came since: the hole is open. */
    assert_string_equal(SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20)), "[12-20 @10-20](foreign_log_nul)");
    assert_int_equal(built.open_hole_count, 1);
    assert_non_null(chain_hole_at(&built, SEC(1000)));
    /* Fork and volume holes are matched by time, for LSNs of two paths do not compare. */
    known[0] = (struct chain_hole){.cause = CHAIN_HOLE_RECREATED, .from_at = SEC(20), .until_at = SEC(50), .who = "y"};
    assert_string_equal(
        SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), on_fork(make_full(3, 5, 6, 40), FORK_B, FORK_B, 0)),
        "[12-20 @10-20](recreated)[6-6 @40-40]");
    known[0] = (struct chain_hole){.cause = CHAIN_HOLE_VOLUME_REVERTED, .from_at = SEC(7), .from_lsn = L(5)};
    known[1] = known[0];
    assert_string_equal(SHAPE(&input, make_full(1, 10, 12, 10)), "[12-12 @10-10]"); /* healed since */
}

static void test_forks(void **state) {
    (void)state;
    struct backup old[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(3, 20, 30, 30)};
    struct backup full_b = on_fork(make_full(5, 26, 27, 50), FORK_B, FORK_B, 0);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], full_b), "[12-30 @10-30](fork)[27-27 @50-50]");
    /* Restored to LSN 25; the next log carries the fork and begins where a set of ours ends. */
    struct backup cross = on_fork(make_log(4, 20, 40, 40), FORK_A, FORK_B, 25);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], cross), "[12-30 @10-30][20-40 @20-40]");
    assert_int_equal(built.hole_count, 0);
    /* Restored to the end: it goes on. */
    cross = on_fork(make_log(4, 30, 40, 40), FORK_A, FORK_B, 30);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], cross), "[12-30 @10-30][30-40 @30-40]");
    /* Nothing of ours ends between the log's beginning and the fork. */
    cross = on_fork(make_log(4, 22, 40, 40), FORK_A, FORK_B, 25);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], cross), "[12-30 @10-30](fork)");
    assert_string_equal(SHAPE(NULL, on_fork(make_log(4, 22, 40, 40), 0x77, FORK_B, 25)), "(base_missing)");
    /* A differential on the new fork over a full of the old one. */
    struct backup diff = on_fork(make_diff(6, 1, 44, 45, 45), FORK_B, FORK_B, 0);
    assert_string_equal(SHAPE(NULL, old[0], old[1], diff), "[12-20 @10-20](fork)[45-45 @45-45]");
    /* A differential is such an end too; one without its full is none. */
    struct backup d = make_diff(7, 1, 23, 24, 25);
    cross = on_fork(make_log(4, 22, 40, 40), FORK_A, FORK_B, 25);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], d, cross), "[12-30 @10-30][24-40 @25-40]");
    /* A set that msdb alone knows, and a damaged one, are no such ends. */
    struct backup theirs = with(make_log(8, 20, 24, 25), BACKUP_FOREIGN), torn = with(make_full(9, 23, 24, 25), BACKUP_DAMAGED);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], theirs, torn, cross), "[12-30 @10-30](fork)");
    d.diff_base_guid = G(999);
    assert_string_equal(SHAPE(NULL, old[0], old[1], old[2], d, cross), "[12-30 @10-30](fork)");
}

static void test_incarnations(void **state) {
    (void)state;
    struct backup reverted[] = {make_full(11, 14, 15, 50), make_log(12, 14, 20, 60), make_diff(13, 1, 24, 25, 65)};
    for (size_t i = 0; i < ARRAY_LEN(reverted); i++)
        reverted[i].incarnation = 1;
    /* The same LSNs with other content: the log that would join is not joined, the differential neither. */
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 30, 30), reverted[0], reverted[1], reverted[2]),
                        "[12-30 @10-30](volume_reverted)[15-20 @50-60]");
    struct backup other = make_full(21, 5, 6, 70);
    other.family_guid = G(0xFB);
    assert_string_equal(SHAPE(NULL, make_full(1, 10, 12, 10), other), "[12-12 @10-10](replaced)[6-6 @70-70]");
}

static void test_quiet(void **state) {
    (void)state;
    struct chain_interval_input input = {.quiet_until_at = SEC(100)};
    assert_string_equal(SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20)), "[12-20 @10-100]");
    assert_string_equal(SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_full(3, 25, 26, 25)),
                        "[12-20 @10-100][26-26 @25-100]");
    /* Not when the end of the log is not ours to restore. */
    assert_string_equal(SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_log(4, 30, 40, 40)),
                        "[12-20 @10-20](log_missing)");
    input.quiet_until_at = SEC(15);
    assert_string_equal(SHAPE(&input, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20)), "[12-20 @10-20]");
}

static void test_off_volume(void **state) {
    (void)state;
    struct backup f = with(make_full(1, 10, 12, 10), BACKUP_OFF_VOLUME), a = with(make_log(2, 10, 20, 20), BACKUP_OFF_VOLUME);
    SHAPE(NULL, f, a, make_log(3, 20, 30, 30));
    assert_int_equal(built.off_volume_until_at, SEC(20));
    SHAPE(NULL, make_full(1, 10, 12, 10), a);
    assert_int_equal(built.off_volume_until_at, 0);
    struct chain_interval_input input = {.quiet_until_at = SEC(100)};
    SHAPE(&input, f, a);
    assert_int_equal(built.off_volume_until_at, SEC(100));
}

static void test_lookup(void **state) {
    (void)state;
    SHAPE(NULL, make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_diff(3, 1, 31, 32, 35), make_log(4, 30, 40, 40));
    assert_ptr_equal(chain_interval_at(&built, SEC(15)), &built.intervals[0]);
    assert_ptr_equal(chain_interval_at(&built, SEC(40)), &built.intervals[1]);
    assert_null(chain_interval_at(&built, SEC(30)));
    assert_ptr_equal(chain_hole_at(&built, SEC(30)), &built.holes[0]);
    assert_null(chain_hole_at(&built, SEC(15)));
    assert_null(chain_hole_at(&built, SEC(5)));
    SHAPE(NULL, make_full(0, 0, 0, 0)); /* nothing at all */
    assert_int_equal(built.count + built.hole_count, 0);
}

/* More data backups without logs than a tip keeps: none is lost, and a late log still takes them in. */
static void test_many_pending(void **state) {
    (void)state;
    struct backup sets[14];
    for (unsigned i = 0; i < 12; i++)
        sets[i] = make_full(i + 1, 10 * i + 10, 10 * i + 12, 10 * i + 10);
    shape_of(NULL, sets, 12);
    assert_int_equal(built.count, 12);
    assert_int_equal(built.hole_count, 11);
    sets[12] = make_log(50, 20, 200, 200);
    shape_of(NULL, sets, 13); /* only the kept ones can be its start; the older ones stay points */
    assert_lsn(built.intervals[built.count - 1].until_lsn, 200);
    sets[12] = make_log(50, 10, 13, 13);
    sets[13] = make_log(51, 13, 200, 200);
    assert_string_equal(shape_of(NULL, sets, 14), "[12-200 @10-200]");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_plain, teardown),        cmocka_unit_test_teardown(test_holes, teardown),
        cmocka_unit_test_teardown(test_bulk, teardown),         cmocka_unit_test_teardown(test_blame, teardown),
        cmocka_unit_test_teardown(test_known, teardown),        cmocka_unit_test_teardown(test_forks, teardown),
        cmocka_unit_test_teardown(test_incarnations, teardown), cmocka_unit_test_teardown(test_quiet, teardown),
        cmocka_unit_test_teardown(test_off_volume, teardown),   cmocka_unit_test_teardown(test_lookup, teardown),
        cmocka_unit_test_teardown(test_many_pending, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
