/* SPDX-License-Identifier: Apache-2.0 */
/* Databases come and go for years: the table does not grow, and nothing that is in use is taken out of it. */
#include "tests/unit/support/unit.h"

#include "common/base/mem.h"
#include "sidecar/agent.h"
#include "sidecar/job/job.h"

static struct agent agent;

static struct database *add(bool present, int64_t gone_at) {
    struct database *db = mem_alloc(sizeof(*db));
    static unsigned n;
    db->name = mem_printf("db%u", n++);
    db->present = present;
    db->gone_at = gone_at;
    db->tips_known = true;
    db->sets = 1;
    agent.databases = mem_grow(agent.databases, &agent.database_cap, agent.database_count + 1, sizeof(struct database *));
    agent.databases[agent.database_count++] = db;
    return db;
}

static bool there(const struct database *db) {
    for (size_t i = 0; i < agent.database_count; i++)
        if (agent.databases[i] == db)
            return true;
    return false;
}

static int setup(void **state) {
    (void)state;
    agent = (struct agent){.server_listed = true};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    databases_free(&agent);
    return 0;
}

static void the_newest_stay(void **state) {
    (void)state;
    struct database *present = add(true, 0), *last = NULL;
    for (int64_t round = 1; round <= 3 * DATABASES_GONE_MAX; round++) {
        last = add(false, round);
        databases_forget_gone(&agent);
        assert_true(agent.database_count <= 1 + DATABASES_GONE_MAX);
        assert_true(there(last) && there(present));
    }
    int64_t oldest = INT64_MAX;
    for (size_t i = 0; i < agent.database_count; i++)
        if (!agent.databases[i]->present && agent.databases[i]->gone_at < oldest)
            oldest = agent.databases[i]->gone_at;
    assert_int_equal(oldest, 2 * DATABASES_GONE_MAX + 1);
}

static void what_is_used_stays(void **state) {
    (void)state;
    struct job job = {0};
    struct database *running = add(false, 1), *shipping = add(false, 1), *recovering = add(false, 1), *resuming = add(false, 1),
                    *restoring = add(false, 1), *nothing = add(false, 1);
    running->running[LANE_LOG] = &job;
    shipping->ship[LANE_DATA].jobs = 1;
    recovering->recovering[LANE_LOG] = 1;
    job.db = resuming;
    agent.resuming = &job;
    restoring->restoring = true;
    nothing->sets = 0; /* there is nothing to tell of it */
    for (unsigned i = 0; i < 2 * DATABASES_GONE_MAX; i++)
        add(false, 100 + i);
    databases_forget_gone(&agent);
    assert_int_equal(agent.database_count, 5 + DATABASES_GONE_MAX);
    assert_true(there(running) && there(shipping) && there(recovering) && there(resuming) && there(restoring));
    assert_false(there(nothing));
    agent.resuming = NULL;
}

static void before_the_server_was_asked_nobody_is_gone(void **state) {
    (void)state;
    agent.server_listed = false;
    for (unsigned i = 0; i < 2 * DATABASES_GONE_MAX; i++)
        add(false, 0);
    databases_forget_gone(&agent);
    assert_int_equal(agent.database_count, 2 * DATABASES_GONE_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_stay, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_used_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(before_the_server_was_asked_nobody_is_gone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
