/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <pthread.h>

#include "sidecar/restore/handoff.h"

/* One worker that hands over, and what the loop does with it. */
struct world {
    struct ev_loop *loop;
    struct handoff *handoff;
    atomic_bool cancel;
    atomic_bool over; /* the worker is back */
    struct handoff_call *kept; /* to be ended later */
    int seen;
    struct err result;
    int rc;
};

static struct err good;

static void end_at_once(struct handoff_call *call, void *arg) {
    struct world *w = arg;
    w->seen++;
    handoff_end(call, &good);
}

static void end_with_error(struct handoff_call *call, void *arg) {
    struct err e;
    (void)arg;
    err_set(&e, ERR_SPACE, "no room");
    handoff_end(call, &e);
}

static void keep(struct handoff_call *call, void *arg) {
    struct world *w = arg;
    w->seen++;
    w->kept = call;
}

typedef int run_fn(struct handoff *handoff, handoff_fn *fn, void *arg, const atomic_bool *cancel, struct err *err);

struct job {
    struct world *w;
    handoff_fn *fn;
    run_fn *run;
};

static void *worker(void *arg) {
    struct job *job = arg;
    err_clear(&job->w->result);
    job->w->rc = job->run(job->w->handoff, job->fn, job->w, &job->w->cancel, &job->w->result);
    atomic_store(&job->w->over, true);
    return NULL;
}

static void turn(struct world *w) {
    ev_run(w->loop, EVRUN_NOWAIT);
    usleep(1000);
}

static void run_with(struct world *w, run_fn *how, handoff_fn *fn, bool (*until)(struct world *w),
                     void (*then)(struct world *w)) {
    struct job job = {w, fn, how};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, worker, &job), 0);
    while (!until(w))
        turn(w);
    if (then)
        then(w);
    while (!atomic_load(&w->over))
        turn(w);
    pthread_join(thread, NULL);
}

static void run(struct world *w, handoff_fn *fn, bool (*until)(struct world *w), void (*then)(struct world *w)) {
    run_with(w, handoff_run, fn, until, then);
}

static bool is_over(struct world *w) {
    return atomic_load(&w->over);
}

static bool is_kept(struct world *w) {
    return w->kept != NULL;
}

static bool at_once(struct world *w) {
    (void)w;
    return true;
}

static void ended_at_once(void **state) {
    struct world *w = *state;
    run(w, end_at_once, is_over, NULL);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->seen, 1);
}

static void ended_with_an_error(void **state) {
    struct world *w = *state;
    run(w, end_with_error, is_over, NULL);
    assert_int_equal(w->rc, -1);
    assert_int_equal(w->result.class, ERR_SPACE);
    assert_string_equal(w->result.text, "no room");
}

static void end_kept(struct world *w) {
    for (int i = 0; i < 50; i++)
        turn(w);
    assert_false(atomic_load(&w->over)); /* it waits */
    handoff_end(w->kept, &good);
}

static void ended_later(void **state) {
    struct world *w = *state;
    run(w, keep, is_kept, end_kept);
    assert_int_equal(w->rc, 0);
}

static void cancel_it(struct world *w) {
    atomic_store(&w->cancel, true);
}

/* The worker goes; the call is ended afterwards by whoever has it, or never. */
static void cancelled_while_kept(void **state) {
    struct world *w = *state;
    run(w, keep, is_kept, cancel_it);
    assert_int_equal(w->result.class, ERR_CANCELLED);
    handoff_end(w->kept, &good);
}

static void cancelled_and_never_ended(void **state) {
    struct world *w = *state;
    run(w, keep, is_kept, cancel_it);
    assert_int_equal(w->result.class, ERR_CANCELLED);
}

static void stop(struct world *w) {
    handoff_stop(w->handoff);
}

static void stopped_while_kept(void **state) {
    struct world *w = *state;
    run(w, keep, is_kept, stop);
    assert_int_equal(w->result.class, ERR_CANCELLED);
    assert_string_equal(w->result.text, "the sidecar is stopping");
}

/* Not begun any more, or begun: it comes back in either case, and nobody looks at what it left. */
static void stopped_before_it_begins(void **state) {
    struct world *w = *state;
    handoff_stop(w->handoff);
    run(w, end_at_once, at_once, NULL);
    assert_true(w->rc == 0 || w->result.class == ERR_CANCELLED);
}

/* What must be done is done, whoever cancelled before; the waiting for its end is what cancel is about. */
static void cancelled_before_it_must_begin(void **state) {
    struct world *w = *state;
    atomic_store(&w->cancel, true);
    run_with(w, handoff_must, end_at_once, is_over, NULL);
    assert_int_equal(w->rc, 0);
    assert_int_equal(w->seen, 1);
}

static void cancelled_while_what_must_be_done_is_kept(void **state) {
    struct world *w = *state;
    atomic_store(&w->cancel, true);
    run_with(w, handoff_must, keep, is_over, NULL);
    assert_int_equal(w->seen, 1);
    assert_int_equal(w->result.class, ERR_CANCELLED);
    handoff_end(w->kept, &good);
}

static int setup(void **state) {
    struct world *w = mem_alloc(sizeof(*w));
    w->loop = ev_loop_new(EVFLAG_AUTO);
    w->handoff = handoff_new(w->loop);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    handoff_stop(w->handoff);
    handoff_free(w->handoff);
    ev_loop_destroy(w->loop);
    mem_free(w);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ended_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(ended_with_an_error, setup, teardown),
        cmocka_unit_test_setup_teardown(ended_later, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_while_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_and_never_ended, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_while_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(stopped_before_it_begins, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_before_it_must_begin, setup, teardown),
        cmocka_unit_test_setup_teardown(cancelled_while_what_must_be_done_is_kept, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
