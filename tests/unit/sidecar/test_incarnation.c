/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of an earlier life, whose header alone tells whether they still belong to the history. */
#include "tests/unit/support/unit.h"

#include <string.h>

#include "sidecar/job/incarnation.h"

static struct guid fork_of(unsigned char n) {
    struct guid g = {{0}};
    g.bytes[15] = n;
    return g;
}

static struct backup set_of(enum backup_kind kind, unsigned first, unsigned last, unsigned char id) {
    struct backup b = {.kind = kind, .incarnation = 3, .first_lsn = {first, 1, 1}, .last_lsn = {last, 1, 1}};
    b.checkpoint_lsn = b.first_lsn;
    b.family_guid = fork_of(1);
    b.first_fork = b.last_fork = fork_of(2);
    b.set_guid = fork_of(id);
    b.start_at = b.finish_at = b.valid_until = INT64_C(1000000) * last;
    b.flags = BACKUP_CHECKSUMS;
    return b;
}

static void chain_of(struct chain_tip *tip) {
    struct backup full = set_of(BACKUP_FULL, 10, 20, 10), log = set_of(BACKUP_LOG, 10, 50, 11);
    chain_tip_init(tip);
    chain_tip_add(tip, &full);
    chain_tip_add(tip, &log);
}

static uint32_t of(enum backup_kind kind, unsigned first, unsigned last, uint32_t planned, const char *trigger, bool *ret_left) {
    struct chain_tip tip;
    struct backup set = set_of(kind, first, last, 12);
    struct journal_entry entry = {.kind = kind, .incarnation = planned, .not_before = {50, 1, 1}};
    struct chain_verdict verdict;
    memset(&verdict, 0, sizeof(verdict));
    memcpy(entry.trigger, trigger, strlen(trigger) + 1);
    chain_of(&tip);
    uint32_t n = incarnation_of(&entry, &set, &tip, &verdict);
    *ret_left = verdict.new_incarnation;
    return n;
}

static void what_continues_stays(void **state) {
    (void)state;
    bool left;
    assert_int_equal(of(BACKUP_LOG, 50, 60, 3, "schedule", &left), 3);
    assert_false(left);
    assert_int_equal(of(BACKUP_FULL, 55, 60, 3, "schedule", &left), 3);
    assert_false(left);
    assert_int_equal(of(BACKUP_LOG, 50, 60, 0, "adopted", &left), 3); /* nobody had noted it */
    assert_false(left);
}

static void what_repeats_lsns_leaves(void **state) {
    (void)state;
    bool left;
    assert_int_equal(of(BACKUP_LOG, 30, 60, 3, "schedule", &left), 4);
    assert_true(left);
    assert_int_equal(of(BACKUP_FULL, 30, 40, 3, "schedule", &left), 4); /* the server was at 50 already */
    assert_true(left);
    assert_int_equal(of(BACKUP_LOG, 30, 60, 0, "adopted", &left), 4);
    assert_true(left);
}

/* What was planned with better knowledge than the header has is not asked again. */
static void what_was_planned_otherwise_stays(void **state) {
    (void)state;
    bool left;
    assert_int_equal(of(BACKUP_LOG, 30, 60, 4, "schedule", &left), 4);
    assert_false(left);
    assert_int_equal(of(BACKUP_FULL, 30, 40, 2, "schedule", &left), 2);
    assert_false(left);
}

/* full, log 20-30 (not known), log 30-40: the segment begins behind what is missing. */
static uint32_t of_missing(unsigned first, unsigned last, unsigned char fork, int64_t at, const char *trigger, bool *ret_left) {
    struct backup full = set_of(BACKUP_FULL, 10, 20, 10), log = set_of(BACKUP_LOG, 30, 40, 11);
    struct backup set = set_of(BACKUP_LOG, first, last, 12);
    struct journal_entry entry = {.kind = BACKUP_LOG, .incarnation = 3, .not_before = {20, 1, 1}};
    struct chain_verdict verdict;
    struct chain_tip tip;
    memset(&verdict, 0, sizeof(verdict));
    memcpy(entry.trigger, trigger, strlen(trigger) + 1);
    log.start_at = INT64_C(1000000) * 35;
    set.first_fork = set.last_fork = fork_of(fork);
    set.start_at = set.finish_at = set.valid_until = INT64_C(1000000) * at;
    chain_tip_init(&tip);
    chain_tip_add(&tip, &full);
    chain_tip_add(&tip, &log);
    uint32_t n = incarnation_of(&entry, &set, &tip, &verdict);
    *ret_left = verdict.new_incarnation;
    return n;
}

/* Its draft could not be read, and that of the next one could: it is what is missing, and the files were not put back. */
static void what_comes_late_stays(void **state) {
    (void)state;
    bool left;
    assert_int_equal(of_missing(20, 30, 2, 30, "schedule", &left), 3);
    assert_false(left);
    assert_int_equal(of_missing(20, 25, 2, 25, "adopted", &left), 3); /* one more is missing behind it */
    assert_false(left);
    assert_int_equal(of_missing(20, 30, 2, 50, "schedule", &left), 4); /* taken later: the LSNs were used again */
    assert_true(left);
    assert_int_equal(of_missing(20, 36, 2, 30, "schedule", &left), 4); /* it reaches into the segment: not what is missing */
    assert_true(left);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_continues_stays),
        cmocka_unit_test(what_repeats_lsns_leaves),
        cmocka_unit_test(what_was_planned_otherwise_stays),
        cmocka_unit_test(what_comes_late_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
