/* SPDX-License-Identifier: Apache-2.0 */
#include "common/api/message.h"

#include "tests/unit/chain/make.h"

static void one_backup(void **state) {
    (void)state;
    struct backup b = with(make_log(7, 10, 20, 100), BACKUP_COPY_ONLY | BACKUP_DAMAGED | BACKUP_HELD);
    b.stored_bytes = 5;
    Mssql__V1__Backup *m = message_backup(&b, "orders");
    assert_string_equal(m->database, "orders");
    assert_int_equal(m->kind, MSSQL__V1__BACKUP_KIND__BACKUP_KIND_LOG);
    assert_string_equal(m->set_guid, "00000007-0000-0000-0000-000000000000");
    assert_string_equal(m->first_lsn, "39000000001000001");
    assert_string_equal(m->last_lsn, "39000000002000001");
    assert_string_equal(m->fork_point_lsn, ""); /* none */
    assert_string_equal(m->diff_base_guid, "");
    assert_int_equal(m->finish_at, SEC(99));
    assert_int_equal(m->stored_bytes, 5);
    assert_true(m->copy_only && m->damaged && m->held && m->checksums);
    assert_false(m->foreign || m->tail || m->bulk_logged);
    assert_true(strncmp(m->manifest, "log/", 4) == 0);
    mssql__v1__backup__free_unpacked(m, NULL);
}

static Mssql__V1__Chain *chain_of(const struct backup *sets, size_t count) {
    static const struct chain_interval_input nothing;
    Mssql__V1__Chain *m = mem_alloc(sizeof(*m));
    mssql__v1__chain__init(m);
    m->database = mem_strdup("orders");
    message_chain_sets(m, sets, count, &nothing);
    return m;
}

static void a_chain_with_a_hole(void **state) {
    (void)state;
    const struct backup sets[] = {
        make_full(1, 10, 12, 100), make_log(2, 10, 20, 110), make_log(3, 30, 40, 130),
        make_full(4, 44, 46, 140), make_log(5, 40, 50, 150),
    };
    Mssql__V1__Chain *m = chain_of(sets, ARRAY_LEN(sets));
    assert_int_equal(m->n_intervals, 2);
    assert_int_equal(m->intervals[0]->from_at, SEC(100));
    assert_int_equal(m->intervals[0]->until_at, SEC(110));
    assert_int_equal(m->intervals[1]->from_at, SEC(140));
    assert_int_equal(m->intervals[1]->until_at, SEC(150));
    assert_int_equal(m->n_holes, 1);
    assert_int_equal(m->holes[0]->from_at, SEC(110));
    assert_int_equal(m->holes[0]->until_at, SEC(140));
    assert_int_equal(m->backups, 5);
    assert_string_equal(m->base_full->set_guid, "00000004-0000-0000-0000-000000000000");
    assert_string_equal(m->tip->set_guid, "00000005-0000-0000-0000-000000000000");
    mssql__v1__chain__free_unpacked(m, NULL);
}

static void nothing_at_all(void **state) {
    (void)state;
    Mssql__V1__Chain *m = chain_of(NULL, 0);
    assert_int_equal(m->n_intervals, 0);
    assert_int_equal(m->n_holes, 0);
    assert_null(m->tip);
    mssql__v1__chain__free_unpacked(m, NULL);
}

/* A log that waits for its full is no hole yet, and a damaged full is no base. */
static void what_is_not_a_hole_is_not_shown(void **state) {
    (void)state;
    const struct backup sets[] = {with(make_full(1, 10, 12, 100), BACKUP_DAMAGED), make_log(2, 10, 20, 110)};
    Mssql__V1__Chain *m = chain_of(sets, ARRAY_LEN(sets));
    assert_null(m->base_full);
    assert_non_null(m->tip);
    for (size_t i = 0; i < m->n_holes; i++)
        assert_string_not_equal(m->holes[i]->cause, chain_hole_cause_word(CHAIN_HOLE_LOG_PENDING));
    mssql__v1__chain__free_unpacked(m, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_backup),
        cmocka_unit_test(a_chain_with_a_hole),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(what_is_not_a_hole_is_not_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
