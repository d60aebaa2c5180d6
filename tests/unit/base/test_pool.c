/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <pthread.h>
#include <semaphore.h>

#include "common/base/pool.h"

struct job {
    struct pool_item item;
    sem_t *gate;
    unsigned *done;
    pthread_t worker;
};

static void work(struct pool_item *item) {
    struct job *j = container_of(item, struct job, item);
    j->worker = pthread_self();
    if (j->gate)
        sem_wait(j->gate);
}

static void done(struct pool_item *item) {
    ++*container_of(item, struct job, item)->done;
}

static void wake(void *user) {
    sem_post(user);
}

static void results_come_back_to_the_collecting_thread(void **state) {
    (void)state;
    sem_t ready;
    sem_init(&ready, 0, 0);
    struct pool *pool = pool_new("unit", 2, 100, wake, &ready);
    struct job jobs[50];
    unsigned finished = 0;
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct job){.item = {.work = work, .done = done}, .done = &finished};
        assert_true(pool_submit(pool, &jobs[i].item));
    }
    while (finished < ARRAY_LEN(jobs)) {
        sem_wait(&ready);
        pool_collect(pool);
    }
    assert_int_equal(pool_pending(pool), 0);
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++)
        assert_false(pthread_equal(jobs[i].worker, pthread_self()));
    pool_free(pool);
    sem_destroy(&ready);
}

static void a_full_queue_refuses_and_free_finishes_what_was_taken(void **state) {
    (void)state;
    sem_t ready, gate;
    sem_init(&ready, 0, 0);
    sem_init(&gate, 0, 0);
    struct pool *pool = pool_new("unit", 1, 2, wake, &ready);
    struct job jobs[8];
    unsigned finished = 0, accepted = 0;
    for (unsigned i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i] = (struct job){.item = {.work = work, .done = done}, .done = &finished, .gate = &gate};
        accepted += pool_submit(pool, &jobs[i].item);
    }
    assert_in_range(accepted, 2, 3); /* one may already run */
    for (unsigned i = 0; i < accepted; i++)
        sem_post(&gate);
    pool_free(pool);
    assert_int_equal(finished, accepted);
    sem_destroy(&ready);
    sem_destroy(&gate);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_come_back_to_the_collecting_thread),
        cmocka_unit_test(a_full_queue_refuses_and_free_finishes_what_was_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
