/* SPDX-License-Identifier: Apache-2.0 */
/* Real chains of SQL Server: one of 2016 SP2 with all columns, and the histories of tests/data/dbatools. */
#include <jansson.h>

#include "common/chain/interval.h"
#include "common/chain/plan.h"
#include "common/chain/tip.h"
#include "tests/unit/chain/make.h"

static struct lsn real(unsigned block, unsigned slot) {
    return (struct lsn){.vlf = 39, .block = block, .slot = (uint16_t)slot};
}

static struct backup real_set(enum backup_kind kind, unsigned id, struct lsn first, struct lsn last, int64_t at) {
    struct backup b = make_set(kind, id, 1, 1, at);
    b.first_lsn = first;
    b.last_lsn = last;
    if (kind == BACKUP_DIFF)
        b.diff_base_guid = G(1);
    return b;
}

static size_t real_chain(struct backup *sets) {
    struct backup all[] = {
        real_set(BACKUP_FULL, 1, real(488, 71), real(518, 1), 10), real_set(BACKUP_LOG, 2, real(474, 1), real(541, 1), 20),
        real_set(BACKUP_LOG, 3, real(541, 1), real(571, 1), 30),   real_set(BACKUP_LOG, 4, real(571, 1), real(588, 1), 40),
        real_set(BACKUP_DIFF, 5, real(595, 1), real(598, 1), 45),  real_set(BACKUP_LOG, 6, real(588, 1), real(608, 1), 50),
        real_set(BACKUP_LOG, 7, real(608, 1), real(625, 1), 60),   real_set(BACKUP_LOG, 8, real(625, 1), real(642, 1), 70),
    };
    memcpy(sets, all, sizeof(all));
    return ARRAY_LEN(all);
}

static void build(const struct backup *sets, size_t count, struct chain_intervals *ret_intervals) {
    struct chain_history h;
    chain_history_init(&h, sets, count);
    struct chain_interval_input input = {.history = &h};
    chain_intervals_build(&input, ret_intervals);
    chain_history_done(&h);
}

static void test_real_chain(void **state) {
    (void)state;
    struct backup sets[8];
    size_t count = real_chain(sets);
    struct chain_intervals v;
    build(sets, count, &v);
    assert_int_equal(v.count, 1);
    assert_int_equal(v.hole_count, 0);
    assert_int_equal(lsn_cmp(v.intervals[0].from_lsn, real(518, 1)), 0);
    assert_int_equal(lsn_cmp(v.intervals[0].until_lsn, real(642, 1)), 0);
    chain_intervals_done(&v);
    /* Without one of the logs: the differential bridges what is before it, nothing bridges what is behind it. */
    for (size_t gone = 1; gone < count; gone++) {
        struct backup some[8];
        memcpy(some, sets, sizeof(some));
        memmove(some + gone, some + gone + 1, (count - gone - 1) * sizeof(*some));
        build(some, count - 1, &v);
        static const size_t expected[8][3] = {/* intervals, holes, open ones, by the set that is gone */
                                              {0}, {2, 1, 0}, {2, 1, 0}, {2, 1, 0}, {1, 0, 0}, {2, 2, 1}, {1, 1, 1}, {1, 0, 0}};
        assert_int_equal(v.count, expected[gone][0]);
        assert_int_equal(v.hole_count, expected[gone][1]);
        assert_int_equal(v.open_hole_count, expected[gone][2]);
        chain_intervals_done(&v);
    }
}

static json_t *load(const char *name) {
    char *path = mem_printf("%s/dbatools/%s.json", getenv("TEST_DATA") ? getenv("TEST_DATA") : "tests/data", name);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    if (!root)
        fail_msg("%s: %s", path, error.text);
    mem_free(path);
    return root;
}

static const char *text_of(const json_t *record, const char *key) {
    return json_string_value(json_object_get(record, key));
}

static struct backup set_of(const json_t *record) {
    struct backup b = {.family_guid = G(FAMILY)};
    assert_true(backup_kind_parse(text_of(record, "kind"), &b.kind));
    char guid[GUID_TEXT_MAX];
    snprintf(guid, sizeof(guid), "%s", text_of(record, "backup_set_id"));
    assert_true(guid_parse(guid, &b.set_guid));
    assert_true(lsn_parse(text_of(record, "first_lsn"), &b.first_lsn));
    assert_true(lsn_parse(text_of(record, "last_lsn"), &b.last_lsn));
    assert_true(lsn_parse(text_of(record, "checkpoint_lsn"), &b.checkpoint_lsn));
    assert_true(lsn_parse(text_of(record, "database_backup_lsn"), &b.database_backup_lsn));
    assert_true(clock_parse(text_of(record, "start"), &b.start_at));
    assert_true(clock_parse(text_of(record, "end"), &b.finish_at));
    return b;
}

/* The histories have no DifferentialBaseGUID: the base is the full with that checkpoint. */
static size_t history_of(const char *name, struct backup *sets, size_t max) {
    json_t *root = load(name), *record;
    size_t i, count = 0;
    json_array_foreach(json_object_get(root, "records"), i, record) {
        assert_true(count < max);
        sets[count++] = set_of(record);
    }
    json_decref(root);
    for (i = 0; i < count; i++) {
        for (size_t j = 0; sets[i].kind == BACKUP_DIFF && j < count; j++) {
            if (sets[j].kind == BACKUP_FULL && !lsn_cmp(sets[j].checkpoint_lsn, sets[i].database_backup_lsn))
                sets[i].diff_base_guid = sets[j].set_guid;
        }
    }
    return count;
}

static size_t without(struct backup *sets, size_t count, enum backup_kind kind) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (sets[i].kind != kind)
            sets[kept++] = sets[i];
    }
    return kept;
}

static void test_dbatools(void **state) {
    (void)state;
    struct backup sets[32];
    struct chain_intervals v;
    static const struct {
        const char *name, *from, *until;
    } rows[] = {{"DiffRestore", "34000000014400001", "34000000028400001"},
                {"RestoreTimeClean", "34000000014400001", "34000000026100001"},
                {"broken_chain", "17126658000000314300037", "17126658000000315600037"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t count = history_of(rows[i].name, sets, ARRAY_LEN(sets));
        build(sets, count, &v);
        char text[LSN_TEXT_MAX];
        assert_int_equal(v.count, 1); /* newest first, equal LSNs, a full inside its log: all one chain */
        assert_int_equal(v.hole_count, 0);
        assert_string_equal(lsn_format(text, v.intervals[0].from_lsn), rows[i].from);
        assert_string_equal(lsn_format(text, v.intervals[0].until_lsn), rows[i].until);
        chain_intervals_done(&v);
    }
    size_t count = history_of("DiffRestore", sets, ARRAY_LEN(sets));
    count = without(sets, count, BACKUP_DIFF); /* "missing-diff": the logs alone carry it */
    build(sets, count, &v);
    assert_int_equal(v.count, 1);
    chain_intervals_done(&v);
    count = history_of("DiffRestore", sets, ARRAY_LEN(sets));
    count = without(sets, count, BACKUP_LOG); /* two points */
    build(sets, count, &v);
    assert_int_equal(v.count, 2);
    assert_int_equal(v.holes[0].cause, CHAIN_HOLE_NO_LOGS);
    chain_intervals_done(&v);
}

/* The verdicts of planner_cases.json: are these sets, as they stand there, one chain to the last of them? */
static void test_verdicts(void **state) {
    (void)state;
    json_t *root = load("planner_cases"), *one;
    size_t i, seen = 0;
    json_array_foreach(json_object_get(root, "chain_verdicts"), i, one) {
        struct backup all[32], sets[33];
        history_of("DiffRestore", all, ARRAY_LEN(all));
        size_t n = 0, at;
        json_t *index, *mutation = json_object_get(one, "mutation"), *set = json_object_get(mutation, "set");
        json_array_foreach(json_object_get(one, "plan_indices"), at, index) sets[n++] = all[json_integer_value(index)];
        struct lsn end = sets[n - 1].last_lsn;
        if (json_object_get(mutation, "plan_position")) {
            struct backup *b = &sets[json_integer_value(json_object_get(mutation, "plan_position"))];
            assert_true(lsn_parse(text_of(set, "first_lsn"), &b->first_lsn) && lsn_parse(text_of(set, "last_lsn"), &b->last_lsn));
        }
        if (json_object_get(mutation, "duplicate"))
            sets[n++] = sets[0];
        struct chain_intervals v;
        build(sets, n, &v);
        bool valid = v.count && !v.open_hole_count && !lsn_cmp(v.intervals[v.count - 1].until_lsn, end);
        json_t *expected = json_object_get(one, "expected_chain_valid");
        if (json_is_boolean(expected))
            assert_int_equal(valid, json_is_true(expected));
        else /* other DatabaseBackupLSNs: LSNs and forks decide, and they are contiguous */
            assert_true(valid);
        chain_intervals_done(&v);
        seen++;
    }
    assert_int_equal(seen, 5);
    json_decref(root);
}

static void assert_members(const struct chain_plan *plan, const struct backup *sets, const json_t *one) {
    json_t *member;
    size_t i;
    const char *id = text_of(one, "id");
    if (plan->count != json_array_size(json_object_get(one, "derived_plan")))
        fail_msg("%s: %zu members", id, plan->count);
    json_array_foreach(json_object_get(one, "derived_plan"), i, member) {
        struct guid guid;
        assert_true(guid_parse(text_of(member, "backup_set_id"), &guid));
        if (!guid_eq(&guid, &sets[plan->members[i].set].set_guid))
            fail_msg("%s: member %zu is another one", id, i);
    }
}

/* The selections of planner_cases.json: what is restored, in which order. */
static void test_selections(void **state) {
    (void)state;
    json_t *root = load("planner_cases"), *one;
    size_t i;
    json_array_foreach(json_object_get(root, "selection_cases"), i, one) {
        struct backup sets[32];
        json_t *input = json_object_get(one, "input");
        const char *filter = text_of(input, "filter"), *when = text_of(input, "restore_time");
        char name[64];
        snprintf(name, sizeof(name), "%.*s", (int)strcspn(text_of(one, "history"), "."), text_of(one, "history"));
        size_t count = history_of(name, sets, ARRAY_LEN(sets));
        if (json_is_true(json_object_get(input, "ignore_diffs")) || (filter && !strcmp(filter, "drop_diffs")))
            count = without(sets, count, BACKUP_DIFF);
        if (json_is_true(json_object_get(input, "ignore_logs")))
            count = without(sets, count, BACKUP_LOG);
        struct chain_history h;
        struct chain_plan plan;
        struct chain_refusal refusal;
        struct err err;
        chain_history_init(&h, sets, count);
        struct chain_plan_request request = {.history = &h};
        assert_succeeds(chain_target_parse(when ? when : "latest", &request.target, &err), err);
        if (!chain_plan_build(&request, &plan, &refusal))
            fail_msg("%s: %s", text_of(one, "id"), refusal.text);
        assert_members(&plan, sets, one);
        chain_plan_done(&plan);
        chain_history_done(&h);
    }
    assert_int_equal(i, 6);
    json_decref(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_real_chain), cmocka_unit_test(test_dbatools),
                                       cmocka_unit_test(test_verdicts), cmocka_unit_test(test_selections)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
