/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper with a directory as store: it comes, goes, comes back, and belongs to one owner. */
#include "tests/unit/support/unit.h"

#include <ev.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "sidecar/keeper.h"

static char *dir, *store_dir, *state_dir;
static struct ev_loop *loop;
static struct keeper *keeper;
static struct err err;
static unsigned ready_count, lost_count;
static enum err_class lost_class;

static void on_ready(void *user, bool catalog_is_new) {
    (void)user, (void)catalog_is_new;
    ready_count++;
}

static void on_lost(void *user, const struct err *why) {
    (void)user;
    lost_count++;
    lost_class = why->class;
}

static struct keeper_options options(void) {
    struct keeper_options o = {.url = store_dir,
                               .scope = "ns/sql",
                               .kube_namespace = "ns",
                               .instance = "sql",
                               .holder = "pod",
                               .state_dir = state_dir,
                               .data_path = dir,
                               .heartbeat_ms = 20,
                               .retry_min_ms = 10,
                               .retry_max_ms = 50};
    assert_succeeds(identity_load(state_dir, NULL, &o.identity, &err), err);
    return o;
}

static void begin(const struct keeper_options *o) {
    struct keeper_events events = {.ready = on_ready, .lost = on_lost};
    ready_count = lost_count = 0;
    assert_succeeds(keeper_new(loop, o, &events, &keeper, &err), err);
}

static void over(struct ev_loop *l, ev_timer *w, int events) {
    (void)l, (void)w, (void)events;
    fail_msg("nothing happened for 30 s");
}

/* Runs the loop until *count reaches n. */
static void wait_for(const unsigned *count, unsigned n) {
    ev_timer limit;
    ev_timer_init(&limit, over, 30., 0.);
    ev_timer_start(loop, &limit);
    while (*count < n)
        ev_run(loop, EVRUN_ONCE);
    ev_timer_stop(loop, &limit);
}

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    store_dir = file_join(dir, "store");
    state_dir = file_join(dir, "state");
    assert_int_equal(mkdir(store_dir, 0700), 0);
    assert_int_equal(mkdir(state_dir, 0700), 0);
    loop = ev_loop_new(EVFLAG_AUTO);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    keeper_free(keeper);
    keeper = NULL;
    ev_loop_destroy(loop);
    mem_free(store_dir);
    mem_free(state_dir);
    unit_rm(dir);
    return 0;
}

static void test_opens_and_claims(void **state) {
    (void)state;
    struct keeper_options o = options();
    begin(&o);
    assert_null(keeper_take_store(keeper)); /* not before it is claimed */
    wait_for(&ready_count, 1);
    assert_true(keeper_state(keeper)->usable);
    assert_int_equal(keeper_state(keeper)->lineage.epoch, 1);
    assert_non_null(keeper_catalog(keeper));
    struct store *s = keeper_take_store(keeper);
    assert_non_null(s);
    keeper_put_store(keeper, s);
}

/* What a worker holds stays open, whatever the keeper thinks of it; the store comes back by itself. */
static void test_a_lent_store_outlives_its_loss(void **state) {
    (void)state;
    struct keeper_options o = options();
    begin(&o);
    wait_for(&ready_count, 1);
    for (unsigned round = 0; round < 20; round++) {
        struct store *s = keeper_take_store(keeper);
        assert_non_null(s);
        struct err why;
        err_set(&why, ERR_STORE, "away");
        keeper_failed(keeper, s, &why); /* also in the middle of heartbeats, which come every 20 ms */
        assert_false(keeper_state(keeper)->usable);
        assert_null(keeper_take_store(keeper));
        bool there;
        assert_succeeds(store_exists(s, "nothing", &there, &err), err);
        wait_for(&ready_count, round + 2);
        keeper_put_store(keeper, s);
    }
    assert_int_equal(lost_count, 20);
}

static void test_errors_that_are_not_the_stores(void **state) {
    (void)state;
    struct keeper_options o = options();
    begin(&o);
    wait_for(&ready_count, 1);
    struct err why;
    struct store *s = keeper_take_store(keeper);
    err_set(&why, ERR_CORRUPT, "one manifest is bad");
    keeper_failed(keeper, s, &why);
    keeper_put_store(keeper, s);
    assert_true(keeper_state(keeper)->usable);
    assert_int_equal(lost_count, 0);
}

/* An error that comes late, of a store that was given up meanwhile, says nothing of the one that is open now. */
static void test_errors_of_a_store_that_was_given_up(void **state) {
    (void)state;
    struct keeper_options o = options();
    begin(&o);
    wait_for(&ready_count, 1);
    struct store *first = keeper_take_store(keeper), *second = keeper_take_store(keeper);
    struct err why;
    err_set(&why, ERR_STORE, "away");
    keeper_failed(keeper, first, &why);
    keeper_put_store(keeper, first);
    wait_for(&ready_count, 2);
    keeper_failed(keeper, second, &why);
    assert_true(keeper_state(keeper)->usable);
    assert_int_equal(lost_count, 1);
    keeper_put_store(keeper, second);
}

/* No room for the catalog at the start: it is made when there is. */
static void test_catalog_that_cannot_be_made_yet(void **state) {
    (void)state;
    struct keeper_options o = options();
    char *path = file_join(state_dir, "catalog"), *in_the_way = file_join(path, "x");
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mkdir(in_the_way, 0700), 0);
    begin(&o);
    assert_null(keeper_catalog(keeper));
    wait_for(&lost_count, 1);
    assert_false(keeper_state(keeper)->usable);
    assert_int_equal(rmdir(in_the_way), 0);
    assert_int_equal(rmdir(path), 0);
    wait_for(&ready_count, 1);
    assert_non_null(keeper_catalog(keeper));
    mem_free(path);
    mem_free(in_the_way);
}

static void test_stale_catalog_is_opened_again(void **state) {
    (void)state;
    struct keeper_options o = options();
    begin(&o);
    wait_for(&ready_count, 1);
    keeper_catalog_stale(keeper);
    keeper_catalog_stale(keeper); /* while it is under way: once more */
    wait_for(&ready_count, 2);
    assert_non_null(keeper_catalog(keeper));
    assert_true(keeper_state(keeper)->usable);
}

/* Sets come and are pruned for years: the file does not grow, at a start and in the middle of a life. */
static void leave_useless_records(struct catalog *c, unsigned count) {
    struct backup b = {.kind = BACKUP_LOG, .family_guid = {{1}}, .database_guid = {{2}}};
    uint32_t id;
    struct catalog_entry e;
    assert_succeeds(catalog_database_put(c, "db~1", "db", &b.family_guid, &b.database_guid, &id, &err), err);
    for (unsigned i = 0; i < count; i++) {
        memcpy(b.set_guid.bytes, &i, sizeof(i));
        b.set_guid.bytes[15] = 1;
        b.first_lsn = (struct lsn){1, i, 1};
        b.last_lsn = (struct lsn){1, i + 1, 1};
        assert_succeeds(catalog_append(c, id, &b, 0, &err), err);
        e = (struct catalog_entry){.index = CATALOG_NONE};
        assert_int_equal(catalog_previous(c, id, &e, &err), 1);
        assert_succeeds(catalog_remove(c, e.index, &err), err);
    }
    assert_true(catalog_wants_compaction(c));
}

static void test_catalog_is_compacted(void **state) {
    (void)state;
    struct keeper_options o = options();
    struct catalog_stats stats;
    begin(&o);
    wait_for(&ready_count, 1);
    leave_useless_records(keeper_catalog(keeper), 2100);
    catalog_stats_of(keeper_catalog(keeper), &stats);
    uint64_t generation = stats.generation;
    wait_for(&ready_count, 2); /* at the next heartbeat */
    catalog_stats_of(keeper_catalog(keeper), &stats);
    assert_true(stats.generation > generation);
    assert_true(stats.records < 100);
    leave_useless_records(keeper_catalog(keeper), 2100);
    keeper_free(keeper);
    begin(&o);
    wait_for(&ready_count, 1); /* at the start */
    catalog_stats_of(keeper_catalog(keeper), &stats);
    assert_true(stats.records < 100);
}

static void test_store_that_comes_later(void **state) {
    (void)state;
    assert_int_equal(rmdir(store_dir), 0);
    struct keeper_options o = options();
    begin(&o);
    wait_for(&lost_count, 1);
    assert_false(keeper_state(keeper)->usable);
    assert_int_not_equal(keeper_state(keeper)->error.class, ERR_NONE);
    assert_int_equal(mkdir(store_dir, 0700), 0);
    wait_for(&ready_count, 1);
}

static void test_two_owners(void **state) {
    (void)state;
    struct keeper_options o = options();
    begin(&o);
    wait_for(&ready_count, 1);
    keeper_free(keeper);
    char *other = file_join(dir, "other");
    assert_int_equal(mkdir(other, 0700), 0);
    o.state_dir = other;
    assert_succeeds(identity_load(other, NULL, &o.identity, &err), err);
    begin(&o);
    wait_for(&lost_count, 1);
    assert_int_equal(lost_class, ERR_CONFLICT);
    assert_true(keeper_state(keeper)->foreign);
    assert_null(keeper_take_store(keeper));
    keeper_free(keeper);
    o.adopt = true;
    begin(&o);
    wait_for(&ready_count, 1);
    assert_int_equal(keeper_state(keeper)->lineage.epoch, 2);
    mem_free(other);
}

static void test_no_store(void **state) {
    (void)state;
    struct keeper_options o = options();
    o.url = NULL;
    begin(&o);
    assert_false(keeper_state(keeper)->configured);
    assert_null(keeper_take_store(keeper));
    assert_null(keeper_catalog(keeper));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_opens_and_claims, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_lent_store_outlives_its_loss, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_that_are_not_the_stores, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_of_a_store_that_was_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalog_that_cannot_be_made_yet, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stale_catalog_is_opened_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_catalog_is_compacted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_store_that_comes_later, setup, teardown),
        cmocka_unit_test_setup_teardown(test_two_owners, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_store, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
