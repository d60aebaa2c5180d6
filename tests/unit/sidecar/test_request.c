/* SPDX-License-Identifier: Apache-2.0 */
/* Backups on demand: which databases, one result each, and who goes away when. */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "sidecar/job/job.h"
#include "sidecar/request.h"

static struct agent *agent;
static struct database dbs[3];
static struct database *table[3] = {&dbs[0], &dbs[1], &dbs[2]};
static char *names[3];
static unsigned results, ends;
static struct request *request;
static struct err err;

static void on_result(void *user, struct request_item *item, const struct job *job) {
    (void)user, (void)item, (void)job;
    results++;
}

static void on_end(void *user, struct request *r) {
    (void)user, (void)r;
    ends++;
}

static const struct request_events events = {.result = on_result, .end = on_end};

static int setup(void **state) {
    (void)state;
    static const char *const called[] = {"orders", "sales", "old"};
    agent = mem_alloc(sizeof(*agent));
    agent->server_known = true;
    agent->databases = table;
    agent->database_count = 3;
    for (unsigned i = 0; i < 3; i++) {
        names[i] = mem_strdup(called[i]);
        dbs[i] = (struct database){.name = names[i], .present = i < 2, .scope = i == 0 ? POLICY_IN : POLICY_IN + 1};
    }
    results = ends = 0;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    requests_free(agent);
    for (unsigned i = 0; i < 3; i++)
        mem_free(names[i]);
    mem_free(agent);
    return 0;
}

static struct job *start(struct request_item *item, enum lane lane) {
    struct job *job = job_new(agent, item->db, lane, "request");
    request_item_started(item, job);
    return job;
}

static void test_which_databases(void **state) {
    (void)state;
    struct request_spec all = {.trigger = "request", .kind = BACKUP_FULL};
    assert_succeeds(request_new(agent, &all, &events, &request, &err), err);
    assert_int_equal(request->count, 1); /* what the policy protects */
    assert_ptr_equal(request->items[0].db, &dbs[0]);
    char named_name[] = "sales", *named[] = {named_name};
    struct request_spec one = {.trigger = "request", .kind = BACKUP_LOG, .databases = named, .database_count = 1};
    assert_succeeds(request_new(agent, &one, &events, &request, &err), err);
    assert_ptr_equal(request->items[0].db, &dbs[1]); /* named: also what it does not */
    char gone_name[] = "old", *gone[] = {gone_name};
    one.databases = gone;
    assert_fails(request_new(agent, &one, &events, &request, &err), err, ERR_NOT_FOUND, "'old'");
    char typo_name[] = "order", *typo[] = {typo_name};
    one.databases = typo;
    assert_fails(request_new(agent, &one, &events, &request, &err), err, ERR_NOT_FOUND, "Did you mean 'orders'");
}

static void test_not_while_stopping(void **state) {
    (void)state;
    struct request_spec spec = {.trigger = "request", .kind = BACKUP_LOG};
    agent->draining = true;
    assert_fails(request_new(agent, &spec, &events, &request, &err), err, ERR_STATE, "stopping");
    spec.trigger = "shutdown";
    assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
}

static void test_oldest_first_and_end(void **state) {
    (void)state;
    struct request_spec spec = {.id = "first", .trigger = "request", .kind = BACKUP_FULL};
    struct request *second;
    assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
    spec.id = "second";
    assert_succeeds(request_new(agent, &spec, &events, &second, &err), err);
    assert_null(request_waiting(agent, &dbs[0], LANE_LOG));
    struct request_item *item = request_waiting(agent, &dbs[0], LANE_DATA);
    assert_ptr_equal(item->request, request);
    struct job *job = start(item, LANE_DATA);
    assert_ptr_equal(request_waiting(agent, &dbs[0], LANE_DATA)->request, second);
    job->outcome = OUTCOME_COMPLETED;
    request_item_finished(agent, item, job);
    job_free(job);
    assert_int_equal(results, 1);
    assert_int_equal(ends, 1);
    assert_null(request_find(agent, "first"));
    assert_non_null(request_find(agent, "second"));
}

/* A log backup that finds the chain broken waits again, in the lane of data backups. */
static void test_moves_to_the_other_lane(void **state) {
    (void)state;
    struct request_spec spec = {.trigger = "request", .any_kind = true};
    assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
    struct request_item *item = request_waiting(agent, &dbs[0], LANE_LOG);
    struct job *job = start(item, LANE_LOG);
    struct chain_decision decision = {.kind = BACKUP_FULL, .reason = CHAIN_REASON_FORKED, .text = "because"};
    request_item_moved(item, &decision);
    assert_string_equal(item->why, "because");
    assert_string_equal(item->why_reason, "forked");
    job_free(job);
    assert_null(request_waiting(agent, &dbs[0], LANE_LOG));
    assert_ptr_equal(request_waiting(agent, &dbs[0], LANE_DATA), item);
    assert_int_equal(results, 0);
}

/* Who asked went away: the statement is cancelled, what is staged is not, and nobody is told any more. */
static void test_detach(void **state) {
    (void)state;
    struct request_spec spec = {.trigger = "request", .kind = BACKUP_LOG, .cancel_on_disconnect = true};
    for (int phase = JOB_TAKING; phase <= JOB_SHIPPING; phase++) {
        assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
        struct job *job = start(request_waiting(agent, &dbs[0], LANE_LOG), LANE_LOG);
        atomic_store(&job->progress.phase, phase);
        request_detach(agent, request);
        assert_int_equal(atomic_load(&job->cancel), phase == JOB_TAKING);
        job->outcome = OUTCOME_DEFERRED;
        request_item_finished(agent, job->request, job);
        job_free(job);
        assert_null(agent->requests);
    }
    assert_int_equal(results, 0);
    assert_int_equal(ends, 0);
    assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
    request_detach(agent, request); /* it had not begun */
    assert_null(agent->requests);
}

static void test_limits(void **state) {
    (void)state;
    char id[REQUEST_ID_MAX + 1];
    memset(id, 'x', sizeof(id) - 1);
    id[sizeof(id) - 1] = 0;
    struct request_spec spec = {.id = id, .trigger = "request", .kind = BACKUP_LOG};
    assert_fails(request_new(agent, &spec, &events, &request, &err), err, ERR_USAGE, "63");
    spec.id = NULL;
    for (unsigned i = 0; i < 64; i++)
        assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
    assert_fails(request_new(agent, &spec, &events, &request, &err), err, ERR_LIMIT, "64 requests");
    spec.trigger = "shutdown"; /* the last logs are always taken */
    assert_succeeds(request_new(agent, &spec, &events, &request, &err), err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_which_databases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_while_stopping, setup, teardown),
        cmocka_unit_test_setup_teardown(test_oldest_first_and_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_moves_to_the_other_lane, setup, teardown),
        cmocka_unit_test_setup_teardown(test_detach, setup, teardown),
        cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
