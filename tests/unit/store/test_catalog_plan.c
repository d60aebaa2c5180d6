/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan from a part of the catalog is the plan from all of it. Two databases with 14,000 sets each: late commits, a fork,
 * holes, differentials of every full, logs that cost more than a full after a while.
 */
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/store/catalog_plan.h"
#include "tests/unit/store/sets.h"
#include "tests/unit/support/unit.h"

#define SETS 14000
#define EVERY CLOCK_MINUTE
#define BEGIN (INT64_C(1700000000) * CLOCK_SECOND)

static struct err err;
static char *dir, *path;
static struct backup sets[2][SETS];
static uint32_t seed = 12345;

static uint32_t below(uint32_t n) {
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % n;
}

static struct lsn lsn_at(uint32_t n) {
    return (struct lsn){.vlf = 100, .block = n, .slot = 1};
}

static void sets_make(struct backup *list, uint32_t family) {
    struct guid fork = sets_guid(family + 1), base = {{0}};
    uint32_t at = 1;
    for (uint32_t n = 0; n < SETS; n++) {
        struct backup *b = &list[n];
        int64_t now = BEGIN + n * EVERY;
        *b = (struct backup){.kind = n % 600 == 0   ? BACKUP_FULL
                                     : n % 150 == 0 ? BACKUP_DIFF
                                                    : BACKUP_LOG,
                             .set_guid = sets_guid(family * 1000000 + n),
                             .family_guid = sets_guid(family),
                             .first_fork = fork,
                             .last_fork = fork,
                             .start_at = now - CLOCK_SECOND,
                             .finish_at = now,
                             .stripes = 1,
                             .position = 1};
        if (b->kind == BACKUP_LOG) {
            uint32_t first = n % 2111 == 2000 ? at + 1 : at; /* somebody took a log */
            if (n == SETS / 2) { /* restored to the end of the last log */
                fork = sets_guid(family + 2);
                b->last_fork = fork;
                b->fork_point = lsn_at(at);
            }
            at = first + 10;
            b->first_lsn = lsn_at(first);
            b->last_lsn = lsn_at(at);
            b->valid_until = b->start_at;
            b->stored_bytes = 1 + below(20);
        } else {
            b->first_lsn = b->checkpoint_lsn = lsn_at(at + 1);
            b->last_lsn = lsn_at(at + 2);
            b->stored_bytes = b->kind == BACKUP_FULL ? 3000 + below(6000) : 200 + below(800);
            if (b->kind == BACKUP_FULL)
                base = b->set_guid;
            else
                b->diff_base_guid = base;
        }
        b->size_bytes = b->stored_bytes;
    }
}

/* In the order of their commits: some are hours late. */
static void sets_append(struct catalog *c, uint32_t ids[2]) {
    for (uint32_t n = 0; n < SETS; n++) {
        for (int db = 0; db < 2; db++) {
            uint32_t with = n + below(8) * below(40);
            if (!below(10) && with < SETS) {
                struct backup swap = sets[db][n];
                sets[db][n] = sets[db][with];
                sets[db][with] = swap;
            }
            assert_succeeds(catalog_append(c, ids[db], &sets[db][n], 0, &err), err);
        }
    }
}

static struct catalog *catalog_made(uint32_t ids[2]) {
    struct catalog *c;
    assert_succeeds(catalog_open(path, "/store", SETS_SCOPE, CATALOG_SYNC_LATER, &c, NULL, &err), err);
    for (uint32_t db = 0; db < 2; db++) {
        char folder[NAME_FOLDER_MAX];
        struct guid family = sets_guid(10 * (db + 1));
        sets_make(sets[db], 10 * (db + 1));
        name_folder(folder, db ? "sales" : "orders", &family, 1);
        assert_succeeds(catalog_database_put(c, folder, db ? "sales" : "orders", &family, &family, &ids[db], &err), err);
    }
    sets_append(c, ids);
    return c;
}

static struct chain_target target_random(void) {
    struct chain_target target = {.kind = CHAIN_TO_TIME};
    switch (below(9)) {
    case 0:
        target.kind = CHAIN_TO_LATEST;
        break;
    case 1:
    case 8:
        target.kind = CHAIN_TO_LSN;
        target.before = below(2);
        target.lsn = lsn_at(1 + below(SETS * 10));
        break;
    case 2:
        target.at = BEGIN + (int64_t)SETS * EVERY - (int64_t)below(600) * CLOCK_SECOND;
        break;
    default:
        target.at = BEGIN - 100 * EVERY + (int64_t)below(SETS + 200) * EVERY + below(60) * CLOCK_SECOND;
        break;
    }
    return target;
}

static void compare(const struct catalog_plan *part, const struct chain_plan_request *request, bool *ret_planned) {
    struct chain_plan plan;
    struct chain_refusal refusal;
    *ret_planned = chain_plan_build(request, &plan, &refusal);
    assert_int_equal(*ret_planned, part->planned);
    if (!*ret_planned) {
        assert_string_equal(refusal.text, part->refusal.text);
        return;
    }
    assert_int_equal(plan.count, part->plan.count);
    assert_int_equal(plan.stored_bytes, part->plan.stored_bytes);
    assert_true(chain_path_eq(&plan.path, &part->plan.path) && plan.complete_until_at == part->plan.complete_until_at);
    assert_string_equal(plan.stop.value, part->plan.stop.value);
    for (size_t i = 0; i < plan.count; i++) {
        const struct backup *a = &request->history->sets[plan.members[i].set], *b = &part->sets[part->plan.members[i].set];
        assert_true(guid_eq(&a->set_guid, &b->set_guid) && plan.members[i].if_needed == part->plan.members[i].if_needed);
    }
    chain_plan_done(&plan);
}

static void test_part_is_enough(void **state) {
    (void)state;
    uint32_t ids[2];
    struct catalog *c = catalog_made(ids);
    struct chain_history histories[2];
    unsigned planned = 0, refused = 0, parts = 0;
    for (int db = 0; db < 2; db++)
        chain_history_init(&histories[db], sets[db], SETS);
    for (unsigned i = 0; i < 200; i++) {
        uint32_t db = below(2);
        struct catalog_plan part;
        bool good;
        struct chain_plan_request request = {.target = target_random(), .history = &histories[db]};
        assert_succeeds(catalog_plan_build(c, ids[db], &request, &part, &err), err);
        compare(&part, &request, &good);
        planned += good;
        refused += !good;
        parts += part.count < SETS;
        catalog_plan_done(&part);
    }
    printf("%u planned, %u refused, %u from a part\n", planned, refused, parts);
    assert_true(planned > 80 && refused > 2 && parts > 50);
    for (int db = 0; db < 2; db++)
        chain_history_done(&histories[db]);
    catalog_free(c);
}

static void test_nothing_there(void **state) {
    (void)state;
    struct catalog *c;
    struct catalog_plan plan;
    struct chain_plan_request request = {.target = {.kind = CHAIN_TO_LATEST}};
    uint32_t id;
    struct guid family = sets_guid(1);
    assert_succeeds(catalog_open(path, "/store", SETS_SCOPE, CATALOG_SYNC_LATER, &c, NULL, &err), err);
    assert_succeeds(catalog_database_put(c, "orders~00000001", "orders", &family, &family, &id, &err), err);
    assert_succeeds(catalog_plan_build(c, id, &request, &plan, &err), err);
    assert_false(plan.planned);
    assert_int_equal(plan.refusal.reason, CHAIN_REFUSED_NO_BACKUPS);
    catalog_plan_done(&plan);
    assert_int_equal(catalog_plan_build(c, id + 1, &request, &plan, &err), -1);
    catalog_free(c);
}

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    path = mem_printf("%s/catalog", dir);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    mem_free(path);
    unit_rm(dir);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_part_is_enough, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
