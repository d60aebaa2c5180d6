/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/restore/request.h"

static struct err err;

static void fill(struct restore_request *r) {
    restore_request_init(r);
    assert_succeeds(restore_id_make(r->id, INT64_C(1700000000) * CLOCK_SECOND, &err), err);
    restore_request_set(&r->scope, "default/sql");
    assert_succeeds(chain_target_parse("2026-11-21T02:47:00.123Z", &r->target, &err), err);
    struct restore_wish *w = restore_request_add_wish(r, "orders", "orders copy");
    restore_wish_add_move(w, "orders", "/data/\"a'b\".mdf");
    restore_wish_add_move(w, "orders_log", "C:\\log\\x.ldf");
    (void)restore_request_add_wish(r, "Größe", NULL);
    restore_request_set(&r->data_dir, "/data");
    r->finish = RESTORE_FINISH_STANDBY;
    restore_request_set(&r->standby_dir, "/undo");
    str_copy(r->token, sizeof(r->token), "1234-abcd");
    r->parallel = 3;
    r->stuck_after_ms = 5000;
    r->requested_at = 42;
}

static void test_json_and_back(void **state) {
    (void)state;
    struct restore_request r, copy, back;
    fill(&r);
    assert_succeeds(restore_request_check(&r, &err), err);
    restore_request_copy(&copy, &r);
    restore_request_done(&r);
    json_t *json = restore_request_to_json(&copy);
    assert_succeeds(restore_request_from_json(json, &back, &err), err);
    json_t *again = restore_request_to_json(&back);
    assert_true(json_equal(json, again));
    assert_string_equal(back.wishes[0].moves[1].physical, "C:\\log\\x.ldf");
    assert_string_equal(back.wishes[1].database, "Größe");
    assert_int_equal(back.target.at, copy.target.at);
    json_decref(json);
    json_decref(again);
    restore_request_done(&copy);
    restore_request_done(&back);
}

/* Every member is missed, and every one of another type is refused. */
static void test_json_that_is_not_one(void **state) {
    (void)state;
    struct restore_request r, back;
    fill(&r);
    json_t *good = restore_request_to_json(&r);
    const char *key;
    json_t *value;
    json_object_foreach(good, key, value) {
        json_t *bad = json_deep_copy(good);
        json_object_del(bad, key);
        assert_fails(restore_request_from_json(bad, &back, &err), err, ERR_CORRUPT, "request of a restore");
        json_object_set_new(bad, key, json_pack("{s:i}", "x", 1));
        err_clear(&err);
        assert_int_equal(restore_request_from_json(bad, &back, &err), -1);
        json_decref(bad);
    }
    json_decref(good);
    restore_request_done(&r);
}

static void test_ids(void **state) {
    (void)state;
    static const char *const bad[] = {"", ".", "..", "-x", "a/b", "a b", "x\n", "ä"};
    char one[RESTORE_ID_MAX], two[RESTORE_ID_MAX];
    assert_succeeds(restore_id_make(one, INT64_C(1795229220) * CLOCK_SECOND, &err), err);
    assert_succeeds(restore_id_make(two, INT64_C(1795229220) * CLOCK_SECOND, &err), err);
    assert_true(str_starts(one, "20261121T024700Z-restore-"));
    assert_string_not_equal(one, two);
    assert_true(restore_id_valid(one));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(restore_id_valid(bad[i]));
}

static void breaks(void (*change)(struct restore_request *r), const char *part) {
    struct restore_request r;
    fill(&r);
    change(&r);
    assert_fails(restore_request_check(&r, &err), err, ERR_USAGE, part);
    restore_request_done(&r);
}

static void no_id(struct restore_request *r) {
    str_copy(r->id, sizeof(r->id), "../etc");
}
static void same_name(struct restore_request *r) {
    restore_request_set(&r->wishes[1].as, "ORDERS COPY");
}
static void long_name(struct restore_request *r) {
    mem_free(r->wishes[0].as);
    r->wishes[0].as = mem_alloc(130);
    memset(r->wishes[0].as, 'x', 129);
}
static void control(struct restore_request *r) {
    restore_request_set(&r->wishes[0].as, "a\nb");
}
static void relative(struct restore_request *r) {
    restore_request_set(&r->data_dir, "data");
}
static void twice(struct restore_request *r) {
    restore_wish_add_move(&r->wishes[0], "ORDERS", "/x");
}
static void no_undo(struct restore_request *r) {
    restore_request_set(&r->standby_dir, "");
}
static void cdc(struct restore_request *r) {
    r->keep_cdc = true;
}
static void many(struct restore_request *r) {
    r->parallel = RESTORE_PARALLEL_MAX + 1;
}

static void test_what_is_refused(void **state) {
    (void)state;
    breaks(no_id, "cannot be the id");
    breaks(same_name, "cannot both become");
    breaks(long_name, "1 to 128 characters");
    breaks(control, "is not text");
    breaks(relative, "absolute path");
    breaks(twice, "moved twice");
    breaks(no_undo, "standby needs");
    breaks(cdc, "need a database that is recovered");
    breaks(many, "at most");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_and_back),
        cmocka_unit_test(test_json_that_is_not_one),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
