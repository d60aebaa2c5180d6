/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/restore/manifests.h"
#include "common/restore/source.h"
#include "tests/unit/store/sets.h"

static char *dir;
static struct store *store;
static struct source *source;
static struct err err;

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    assert_succeeds(source_store_open(store, SETS_SCOPE, 4, &source, &err), err);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    source_free(source);
    store_free(store);
    unit_rm(dir);
    return 0;
}

static void put(uint32_t family, uint32_t from, uint32_t until, const char *name, const char *folder) {
    for (uint32_t n = from; n < until; n++)
        assert_succeeds(sets_put(store, family, n, name, folder, &err), err);
}

static void test_histories(void **state) {
    (void)state;
    struct source_history h;
    put(1, 0, 300, "orders", "orders~00000001");
    assert_succeeds(source_history(source, "orders~00000001", true, &h, &err), err);
    assert_int_equal(h.count, 300);
    assert_int_equal(h.unreadable_total, 0);
    source_history_done(&h);
    assert_succeeds(source_history(source, "nobody~00000001", false, &h, &err), err);
    assert_int_equal(h.count, 0);
    source_history_done(&h);
}

static void test_names(void **state) {
    (void)state;
    struct source_list list;
    size_t *found, count;
    put(1, 0, 3, "orders", "orders~00000001");
    put(1, 3, 6, "Orders 2026", "orders~00000001"); /* renamed */
    put(2, 0, 8, "orders", "orders~00000002"); /* a new one of the old name */
    put(3, 0, 1, "stock", "stock~00000003");
    assert_succeeds(source_databases(source, &list, &err), err);
    assert_int_equal(list.count, 3);
    assert_succeeds(source_find(&list, "ORDERS 2026", &found, &count, &err), err);
    assert_int_equal(count, 1);
    assert_string_equal(list.items[found[0]].folder, "orders~00000001");
    mem_free(found);
    assert_succeeds(source_find(&list, "orders", &found, &count, &err), err);
    assert_int_equal(count, 1); /* the current name wins over the earlier one */
    assert_string_equal(list.items[found[0]].folder, "orders~00000002");
    mem_free(found);
    assert_succeeds(source_find(&list, "orders~00000001", &found, &count, &err), err);
    assert_string_equal(list.items[found[0]].name, "Orders 2026");
    mem_free(found);
    assert_fails(source_find(&list, "stok", &found, &count, &err), err, ERR_NOT_FOUND, "There is 'stock'");
    source_list_done(&list);
}

static void test_an_earlier_name_and_two_of_one_name(void **state) {
    (void)state;
    struct source_list list;
    size_t *found, count;
    put(1, 0, 3, "old", "old~00000001");
    put(1, 3, 6, "new", "old~00000001");
    put(2, 0, 3, "twin", "twin~00000002");
    put(3, 0, 9, "twin", "twin~00000003");
    assert_succeeds(source_databases(source, &list, &err), err);
    assert_succeeds(source_find(&list, "old", &found, &count, &err), err);
    assert_string_equal(list.items[found[0]].name, "new");
    mem_free(found);
    assert_succeeds(source_find(&list, "twin", &found, &count, &err), err);
    assert_int_equal(count, 2);
    assert_string_equal(list.items[found[0]].folder, "twin~00000003"); /* the newest first */
    mem_free(found);
    source_list_done(&list);
}

static char *manifest_path(uint32_t family, uint32_t n, const char *folder) {
    char rest[STORE_NAME_MAX];
    struct backup b = sets_backup(family, n);
    name_manifest(rest, &b);
    return mem_printf("%s/%s/%s/%s", dir, SETS_SCOPE, folder, rest);
}

static void test_unreadable_ones_are_left_out_and_told(void **state) {
    (void)state;
    struct source_history h;
    struct backup b = sets_backup(1, 5);
    struct manifest m;
    put(1, 0, 20, "orders", "orders~00000001");
    char *five = manifest_path(1, 5, "orders~00000001"), *six = manifest_path(1, 6, "orders~00000001");
    assert_succeeds(file_write_durable(five, "{", 1, 0600, &err), err);
    assert_int_equal(rename(six, five), 0); /* and one that is another's */
    assert_succeeds(source_history(source, "orders~00000001", false, &h, &err), err);
    assert_int_equal(h.count, 18);
    assert_int_equal(h.unreadable_total, 1);
    assert_int_equal(h.unreadable[0].err.class, ERR_CORRUPT);
    source_history_done(&h);
    assert_fails(source_manifest(source, "orders~00000001", &b, &m, &err), err, ERR_CORRUPT, "another");
    mem_free(five);
    mem_free(six);
}

/* Also where the newest manifests and all of fulls are: any that can be read says which database it is. */
static void test_a_folder_of_which_nothing_can_be_read_is_listed(void **state) {
    (void)state;
    struct source_history h;
    struct source_list list;
    size_t *found, count;
    put(1, 0, 100, "orders", "My%20Orders~00000001");
    put(2, 0, 3, "stock", "stock~00000002");
    for (uint32_t n = 0; n < 100; n++) {
        char *path = manifest_path(1, n, "My%20Orders~00000001");
        if (n == 50) { /* as long as one can be read, its name is known */
            assert_succeeds(source_databases(source, &list, &err), err);
            assert_int_equal(list.count, 2);
            assert_string_equal(list.items[0].name, "orders");
            assert_false(list.items[0].unreadable);
            source_list_done(&list);
        }
        assert_succeeds(file_write_durable(path, "{", 1, 0600, &err), err);
        mem_free(path);
    }
    assert_succeeds(source_databases(source, &list, &err), err);
    assert_int_equal(list.count, 2);
    assert_succeeds(source_find(&list, "my orders", &found, &count, &err), err);
    assert_int_equal(count, 1);
    assert_true(list.items[found[0]].unreadable);
    assert_int_equal(list.items[found[0]].newest_at / CLOCK_SECOND, sets_backup(1, 99).finish_at / CLOCK_SECOND);
    assert_fails(source_history(source, list.items[found[0]].folder, false, &h, &err), err, ERR_CORRUPT, "none of 100 manifests");
    mem_free(found);
    source_list_done(&list);
}

static void test_names_that_differ_in_case(void **state) {
    (void)state;
    struct source_database items[] = {{.name = "SALES"}, {.name = "Zeta"}, {.name = "sales"}};
    const struct source_list list = {.items = items, .count = 3};
    assert_false(source_list_repeats(&list, 0));
    assert_false(source_list_repeats(&list, 1));
    assert_true(source_list_repeats(&list, 2));
}

static void test_probe(void **state) {
    (void)state;
    struct backup b = sets_backup(1, 1);
    struct manifest m;
    put(1, 0, 3, "orders", "orders~00000001");
    assert_succeeds(source_manifest(source, "orders~00000001", &b, &m, &err), err);
    assert_succeeds(source_probe(source, "orders~00000001", &m, &err), err);
    char *path = mem_printf("%s/%s/orders~00000001/%s", dir, SETS_SCOPE, m.objects[0].name);
    assert_int_equal(truncate(path, 3), 0);
    assert_fails(source_probe(source, "orders~00000001", &m, &err), err, ERR_CORRUPT, "3 bytes");
    assert_int_equal(unlink(path), 0);
    assert_fails(source_probe(source, "orders~00000001", &m, &err), err, ERR_NOT_FOUND, m.objects[0].name);
    mem_free(path);
    manifest_done(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_histories, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_earlier_name_and_two_of_one_name, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable_ones_are_left_out_and_told, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder_of_which_nothing_can_be_read_is_listed, setup, teardown),
        cmocka_unit_test(test_names_that_differ_in_case),
        cmocka_unit_test_setup_teardown(test_probe, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
