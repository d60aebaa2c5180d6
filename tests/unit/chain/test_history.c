/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/history.h"
#include "tests/unit/chain/make.h"

static void test_empty(void **state) {
    (void)state;
    struct chain_history h;
    chain_history_init(&h, NULL, 0);
    size_t at;
    struct guid g = G(1);
    assert_int_equal(h.count, 0);
    assert_int_equal(h.path_count, 0);
    assert_false(chain_history_find(&h, &g, &at));
    chain_history_done(&h);
    chain_history_done(&h);
    assert_false(chain_history_find(&h, &g, &at));
}

static void test_order(void **state) {
    (void)state;
    struct backup later = make_log(6, 5, 8, 60);
    later.incarnation = 1;
    struct backup sets[] = {
        later,
        on_fork(make_full(5, 15, 16, 50), FORK_B, FORK_B, 0), /* on a GUID that sorts behind, but later anyway */
        make_log(4, 30, 30, 41),
        make_log(3, 20, 30, 40),
        make_full(1, 10, 12, 10),
        make_log(2, 10, 20, 20),
    };
    struct chain_history h;
    chain_history_init(&h, sets, ARRAY_LEN(sets));
    assert_int_equal(h.count, 6);
    for (unsigned i = 0; i < 6; i++) {
        struct guid g = G(i + 1);
        size_t at;
        assert_true(guid_eq(&chain_history_peek(&h, i)->set_guid, &g));
        assert_true(chain_history_find(&h, &g, &at));
        assert_int_equal(at, i);
    }
    assert_int_equal(h.path_count, 3);
    assert_int_equal(h.paths[0].end, 4);
    assert_int_equal(h.paths[1].begin, 4);
    assert_int_equal(h.paths[2].path.incarnation, 1);
    size_t index;
    assert_true(chain_history_path_find(&h, &h.paths[1].path, &index));
    assert_int_equal(index, 1);
    struct chain_path none = {.incarnation = 9};
    assert_false(chain_history_path_find(&h, &none, &index));
    chain_history_done(&h);
}

/* The path that was entered first stands first, whatever its GUID is. */
static void test_path_order(void **state) {
    (void)state;
    struct backup sets[] = {on_fork(make_full(1, 10, 12, 10), FORK_B, FORK_B, 0), make_full(2, 5, 6, 20)};
    struct chain_history h;
    chain_history_init(&h, sets, 2);
    assert_true(guid_eq(&h.paths[0].path.fork, &sets[0].last_fork));
    chain_history_done(&h);
}

static void test_duplicates(void **state) {
    (void)state;
    struct backup known = with(make_log(2, 10, 20, 20), BACKUP_FOREIGN | BACKUP_HELD);
    struct backup stripe = with(make_full(1, 10, 12, 10), BACKUP_OFF_VOLUME);
    struct backup better = make_full(1, 10, 12, 10);
    better.valid_until = SEC(11);
    struct backup nameless = make_log(0, 20, 30, 30);
    struct backup sets[] = {make_full(1, 10, 12, 10), known, stripe, make_log(2, 10, 20, 20), better, nameless, nameless};
    struct chain_history h;
    chain_history_init(&h, sets, ARRAY_LEN(sets));
    assert_int_equal(h.count, 4); /* sets without GUID are never taken for one */
    struct backup full = chain_history_at(&h, 0), log = chain_history_at(&h, 1);
    assert_true(backup_has(&full, BACKUP_OFF_VOLUME));
    assert_int_equal(full.valid_until, SEC(11));
    assert_false(backup_has(&log, BACKUP_FOREIGN)); /* we have it */
    assert_true(backup_has(&log, BACKUP_HELD));
    size_t at;
    struct guid zero = {{0}};
    assert_false(chain_history_find(&h, &zero, &at));
    chain_history_done(&h);
}

static void test_many(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    struct backup *sets = mem_array(COUNT, sizeof(*sets));
    for (unsigned i = 0; i < COUNT; i++) {
        unsigned k = (i * 7919u) % COUNT;
        sets[i] = make_log(k + 1, k + 1, k + 2, k);
    }
    struct chain_history h;
    chain_history_init(&h, sets, COUNT);
    assert_int_equal(h.count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct guid g = G(i + 1);
        size_t at;
        assert_true(chain_history_find(&h, &g, &at) && at == i);
    }
    chain_history_done(&h);
    mem_free(sets);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_empty), cmocka_unit_test(test_order),
                                       cmocka_unit_test(test_path_order), cmocka_unit_test(test_duplicates),
                                       cmocka_unit_test(test_many)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
