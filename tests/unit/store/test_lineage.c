/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/store/holds.h"
#include "common/store/lineage.h"
#include "common/base/str.h"
#include "tests/unit/store/sets.h"

#define NOW SETS_START
static char *dir;
static struct store *store;
static struct err err;
static struct lineage now, before;
static enum lineage_outcome outcome;

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    store_free(store);
    unit_rm(dir);
    return 0;
}

static struct lineage who(uint32_t cluster, uint32_t owner) {
    struct lineage l = {.kube_namespace = "default", .instance = "sql-a", .holder = "pod-1"};
    if (cluster)
        l.cluster_id = sets_guid(cluster);
    l.owner = sets_guid(owner);
    return l;
}

static int claim(struct lineage l, bool adopt, int64_t at) {
    return lineage_claim(store, &l, adopt, at, &now, &before, &outcome, &err);
}

static void test_first_claim_and_restart(void **state) {
    (void)state;
    assert_succeeds(claim(who(1, 1), false, NOW), err);
    assert_int_equal(outcome, LINEAGE_CREATED);
    assert_int_equal(now.epoch, 1);
    assert_int_equal(before.epoch, 0);
    assert_succeeds(claim(who(1, 1), false, NOW + 5 * CLOCK_SECOND), err); /* at once after a restart */
    assert_int_equal(outcome, LINEAGE_OURS);
    assert_int_equal(now.epoch, 1);
    assert_int_equal(now.heartbeat_at, NOW + 5 * CLOCK_SECOND);
    struct lineage seen;
    assert_succeeds(lineage_read(store, SETS_SCOPE, &seen, &err), err);
    assert_true(guid_eq(&seen.owner, &now.owner));
    assert_string_equal(seen.holder, "pod-1");
}

static void test_empty_state_adopts_after_ten_minutes(void **state) {
    (void)state;
    assert_succeeds(claim(who(1, 1), false, NOW), err);
    assert_fails(claim(who(1, 2), false, NOW + LINEAGE_DEAD_AFTER), err, ERR_CONFLICT, "belongs to 'pod-1' (epoch 1");
    assert_non_null(strstr(err.text, "store.adopt: true"));
    assert_fails(claim(who(1, 2), false, NOW - CLOCK_DAY), err, ERR_CONFLICT,
                 "alive"); /* a clock that is behind proves nothing */
    assert_succeeds(claim(who(0, 2), false, NOW + LINEAGE_DEAD_AFTER + 1), err); /* cluster id not known: the store's */
    assert_int_equal(outcome, LINEAGE_ADOPTED);
    assert_int_equal(now.epoch, 2);
    assert_int_equal(before.epoch, 1);
    struct guid cluster = sets_guid(1);
    assert_true(guid_eq(&now.cluster_id, &cluster));
    assert_int_equal(now.created_at, NOW);
}

static void test_another_cluster_needs_a_word(void **state) {
    (void)state;
    assert_succeeds(claim(who(1, 1), false, NOW), err);
    assert_fails(claim(who(5, 2), false, NOW + 400 * CLOCK_DAY), err, ERR_CONFLICT, "another cluster");
    assert_fails(claim(who(5, 1), false, NOW), err, ERR_CONFLICT, "another cluster"); /* a copied state directory */
    assert_succeeds(claim(who(5, 2), true, NOW), err);
    assert_int_equal(outcome, LINEAGE_ADOPTED);
    assert_int_equal(now.epoch, 2);
    struct guid cluster = sets_guid(5);
    assert_true(guid_eq(&now.cluster_id, &cluster));
}

static void test_heartbeat(void **state) {
    (void)state;
    assert_succeeds(claim(who(1, 1), false, NOW), err);
    struct lineage mine = now;
    assert_succeeds(lineage_heartbeat(store, &mine, NOW + CLOCK_MINUTE, &err), err);
    assert_fails(claim(who(1, 2), false, NOW + LINEAGE_DEAD_AFTER + 1), err, ERR_CONFLICT, "alive");
    assert_succeeds(claim(who(1, 2), true, NOW + LINEAGE_DEAD_AFTER), err);
    assert_fails(lineage_heartbeat(store, &mine, NOW + LINEAGE_DEAD_AFTER, &err), err, ERR_CONFLICT, "it has taken over");
    assert_fails(claim(who(1, 1), false, NOW + LINEAGE_DEAD_AFTER), err, ERR_CONFLICT, "alive"); /* and does not take it back */
}

static void test_bad_lineage_files(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err_class class;
        const char *part;
    } rows[] = {
        {"", ERR_CORRUPT, "not JSON"},
        {"[1]", ERR_CORRUPT, "format"},
        {"{\"format\":\"9.0\"}", ERR_UNSUPPORTED, "format 9.0"},
        {"{\"format\":\"1.0\"}", ERR_CORRUPT, "field clusterId: missing"},
        {"{\"format\":\"1.0\",\"clusterId\":5}", ERR_CORRUPT, "field clusterId: not a text"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_succeeds(
            store_put(store, SETS_SCOPE "/lineage.json", rows[i].text, strlen(rows[i].text), STORE_PUT_REPLACE, "", &err), err);
        assert_fails(claim(who(1, 1), false, NOW), err, rows[i].class, rows[i].part);
        assert_fails(claim(who(1, 1), true, NOW), err, rows[i].class, rows[i].part); /* what cannot be read is not taken over */
    }
    struct lineage bad = who(1, 1);
    str_copy(bad.instance, sizeof(bad.instance), "../x");
    assert_fails(claim(bad, false, NOW), err, ERR_CONFIG, "instance");
}

static void test_instance_document(void **state) {
    (void)state;
    json_t *doc = json_pack("{s:s,s:[i,i]}", "productVersion", "16.0", "sizes", 1, 2), *back;
    assert_fails(instance_read(store, SETS_SCOPE, &back, &err), err, ERR_NOT_FOUND, "instance.json");
    assert_succeeds(instance_write(store, SETS_SCOPE, doc, &err), err);
    assert_succeeds(instance_read(store, SETS_SCOPE, &back, &err), err);
    assert_true(json_equal(doc, back));
    json_decref(back);
    json_decref(doc);
    assert_succeeds(store_put(store, SETS_SCOPE "/instance.json", "[]", 2, STORE_PUT_REPLACE, "", &err), err);
    assert_fails(instance_read(store, SETS_SCOPE, &back, &err), err, ERR_CORRUPT, "not a JSON object");
}

/* ---- holds ---- */

static int count_holds(void *user, const struct hold *hold, struct err *e) {
    (void)e;
    assert_true(*hold->reason);
    ++*(unsigned *)user;
    return 0;
}

static void test_holds(void **state) {
    (void)state;
    const char *f = "A~00000001";
    struct hold a = {.set_guid = sets_guid(1), .reason = "audit", .by = "alice"};
    struct hold b = {
        .id = "case-7", .from_at = NOW, .until_at = NOW + CLOCK_DAY, .reason = "lawyers", .expires_at = NOW + 9 * CLOCK_DAY};
    unsigned n = 0;
    assert_succeeds(hold_list(store, SETS_SCOPE, f, count_holds, &n, &err), err);
    assert_int_equal(n, 0);
    assert_succeeds(hold_create(store, SETS_SCOPE, f, &a, &err), err);
    assert_true(*a.id && a.created_at);
    assert_succeeds(hold_create(store, SETS_SCOPE, f, &b, &err), err);
    struct hold again = b;
    again.created_at = 0;
    assert_succeeds(hold_create(store, SETS_SCOPE, f, &again, &err), err);
    assert_int_equal(again.created_at, b.created_at);
    again.until_at++;
    assert_fails(hold_create(store, SETS_SCOPE, f, &again, &err), err, ERR_EXISTS, "case-7");
    assert_succeeds(hold_list(store, SETS_SCOPE, f, count_holds, &n, &err), err);
    assert_int_equal(n, 2);
    struct hold bad = {.reason = "nothing"};
    assert_fails(hold_create(store, SETS_SCOPE, f, &bad, &err), err, ERR_USAGE, "needs a set, or a range");
    bad = (struct hold){.id = "a/b", .set_guid = sets_guid(1)};
    assert_fails(hold_create(store, SETS_SCOPE, f, &bad, &err), err, ERR_USAGE, "id");
    assert_fails(hold_release(store, SETS_SCOPE, f, "../x", &err), err, ERR_USAGE, "id");
    assert_fails(hold_release(store, SETS_SCOPE, f, "none", &err), err, ERR_NOT_FOUND, "no hold 'none'");
    /* Retention must not go on past a hold that it cannot read. */
    assert_succeeds(store_put(store, SETS_SCOPE "/A~00000001/holds/zz.json", "{", 1, STORE_PUT_REPLACE, "", &err), err);
    assert_fails(hold_list(store, SETS_SCOPE, f, count_holds, &n, &err), err, ERR_CORRUPT, "zz.json");
    assert_succeeds(hold_release(store, SETS_SCOPE, f, "zz", &err), err);
    assert_succeeds(hold_release(store, SETS_SCOPE, f, "case-7", &err), err);
    n = 0;
    assert_succeeds(hold_list(store, SETS_SCOPE, f, count_holds, &n, &err), err);
    assert_int_equal(n, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_first_claim_and_restart, setup, teardown),
        cmocka_unit_test_setup_teardown(test_empty_state_adopts_after_ten_minutes, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_cluster_needs_a_word, setup, teardown),
        cmocka_unit_test_setup_teardown(test_heartbeat, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_lineage_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_instance_document, setup, teardown),
        cmocka_unit_test_setup_teardown(test_holds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
