/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "controller/kube/backoff.h"
#include "controller/kube/limit.h"
#include "controller/kube/queue.h"

#define SECOND INT64_C(1000000)

static uint32_t least(void) {
    return 0;
}

static struct kube_queue *make(unsigned in_flight_max) {
    struct kube_queue_options options = {.first_ms = 1000, .max_ms = 8000, .in_flight_max = in_flight_max, .random = least};
    return kube_queue_new(&options);
}

static void assert_takes(struct kube_queue *queue, int64_t now_us, const char *want) {
    const char *key = NULL;
    assert_int_equal(kube_queue_take(queue, now_us, &key), want != NULL);
    if (want)
        assert_string_equal(key, want);
}

static void once_and_in_order(void **state) {
    (void)state;
    struct kube_queue *q = make(0);
    assert_true(kube_queue_next_us(q) == INT64_MAX);
    kube_queue_add(q, "b", 5);
    kube_queue_add(q, "a", 5);
    kube_queue_add(q, "late", 9);
    kube_queue_add(q, "b", 5);
    kube_queue_add(q, "a", 7);
    kube_queue_add(q, "first", 4);
    assert_takes(q, 3, NULL);
    assert_int_equal(kube_queue_next_us(q), 4);
    assert_takes(q, 6, "first");
    assert_takes(q, 6, "b");
    assert_takes(q, 6, "a");
    assert_takes(q, 6, NULL);
    kube_queue_add(q, "late", 2); /* earlier than it was */
    assert_takes(q, 6, "late");
    kube_queue_free(q);
}

static void added_while_in_flight(void **state) {
    (void)state;
    struct kube_queue *q = make(0);
    kube_queue_add(q, "a", 0);
    assert_takes(q, 1, "a");
    kube_queue_add(q, "a", 50);
    kube_queue_add(q, "a", 2);
    kube_queue_add(q, "a", 60);
    assert_takes(q, 100, NULL); /* not twice at once */
    kube_queue_end(q, "a", false, 3);
    assert_int_equal(kube_queue_next_us(q), 2);
    assert_takes(q, 3, "a");
    kube_queue_end(q, "a", false, 4);
    assert_takes(q, 1000 * SECOND, NULL);
    kube_queue_end(q, "a", true, 5); /* not taken: nothing */
    kube_queue_end(q, "never", true, 5);
    assert_true(kube_queue_next_us(q) == INT64_MAX);
    kube_queue_free(q);
}

static void failures_wait_longer(void **state) {
    (void)state;
    static const int64_t waits_ms[] = {500, 1000, 2000, 4000, 4000, 4000}; /* half of 1, 2, 4, 8, 8, 8 s: the least jitter */
    struct kube_queue *q = make(0);
    struct kube_queue_stats stats;
    int64_t now = 0;
    kube_queue_add(q, "a", now);
    for (size_t i = 0; i < ARRAY_LEN(waits_ms); i++) {
        assert_takes(q, now, "a");
        kube_queue_add(q, "a", now);
        kube_queue_end(q, "a", true, now);
        assert_int_equal(kube_queue_next_us(q), now + waits_ms[i] * 1000);
        assert_takes(q, now + waits_ms[i] * 1000 - 1, NULL);
        now += waits_ms[i] * 1000;
    }
    kube_queue_get_stats(q, now - 1, &stats);
    assert_true(stats.waiting == 1 && stats.due == 0 && stats.retried == ARRAY_LEN(waits_ms) && stats.oldest_us == 0);
    kube_queue_get_stats(q, now + 7, &stats);
    assert_true(stats.waiting == 0 && stats.due == 1 && stats.oldest_us == 7);
    assert_takes(q, now, "a");
    kube_queue_end(q, "a", false, now); /* forgets the failures */
    kube_queue_add(q, "a", now);
    assert_takes(q, now, "a");
    kube_queue_end(q, "a", true, now);
    assert_int_equal(kube_queue_next_us(q), now + 500000);
    kube_queue_add(q, "a", now); /* somebody changed it: at once */
    assert_takes(q, now, "a");
    kube_queue_free(q);
}

static void not_too_many_in_flight(void **state) {
    (void)state;
    struct kube_queue *q = make(2);
    kube_queue_add(q, "a", 0);
    kube_queue_add(q, "b", 0);
    kube_queue_add(q, "c", 0);
    assert_takes(q, 0, "a");
    assert_takes(q, 0, "b");
    assert_takes(q, 0, NULL);
    assert_true(kube_queue_next_us(q) == INT64_MAX);
    kube_queue_end(q, "b", false, 0);
    assert_takes(q, 0, "c");
    kube_queue_free(q);
}

/* Against a plain array: any adds, takes and ends give out the same keys. */
static void as_a_simple_model(void **state) {
    (void)state;
    enum { KEYS = 200 };
    static struct {
        bool queued, in_flight;
        int64_t due;
    } model[KEYS];
    struct kube_queue *q = make(KEYS);
    unsigned taken = 0;
    srand(7);
    for (int64_t now = 0; now < 20000; now++) {
        int k = rand() % KEYS;
        char key[16];
        snprintf(key, sizeof(key), "ns/k%d", k);
        if (rand() % 2) {
            int64_t at = now + rand() % 300;
            kube_queue_add(q, key, at);
            if (!model[k].queued || at < model[k].due)
                model[k].due = at;
            model[k].queued = true;
        } else if (model[k].in_flight) {
            kube_queue_end(q, key, false, now);
            model[k].in_flight = false;
        }
        const char *got;
        int64_t best = INT64_MAX;
        for (int i = 0; i < KEYS; i++)
            if (model[i].queued && !model[i].in_flight && model[i].due < best)
                best = model[i].due;
        assert_int_equal(kube_queue_next_us(q), best);
        assert_int_equal(kube_queue_take(q, now, &got), best <= now);
        if (best > now)
            continue;
        int g = atoi(got + 4);
        assert_true(model[g].queued && !model[g].in_flight && model[g].due == best);
        model[g].queued = false;
        model[g].in_flight = true;
        taken++;
    }
    assert_true(taken > 1000);
    kube_queue_free(q);
}

static void bucket(void **state) {
    (void)state;
    struct kube_limit limit;
    kube_limit_init(&limit, 4, 3, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(kube_limit_take(&limit, 0), 0);
    assert_int_equal(kube_limit_take(&limit, 0), 250000);
    assert_int_equal(kube_limit_take(&limit, 100000), 150000);
    assert_int_equal(kube_limit_take(&limit, 250000), 0);
    assert_int_equal(kube_limit_take(&limit, 200000), 250000); /* a clock that goes back gives nothing */
    for (int i = 0; i < 3; i++)
        assert_int_equal(kube_limit_take(&limit, 1000 * SECOND), 0); /* never more than the burst */
    assert_int_equal(kube_limit_take(&limit, 1000 * SECOND), 250000);
}

static void backoff_stays_in_bounds(void **state) {
    (void)state;
    for (unsigned failures = 1; failures < 200; failures++)
        for (uint32_t r = 0; r < 3; r++) {
            int64_t wait = kube_backoff_ms(failures, 200, 10000, r == 2 ? UINT32_MAX : r * 977);
            int64_t top = failures < 7 ? 200 << (failures - 1) : 10000;
            assert_true(wait >= top / 2 && wait <= top && wait > 0);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(once_and_in_order),       cmocka_unit_test(added_while_in_flight),
        cmocka_unit_test(failures_wait_longer),    cmocka_unit_test(not_too_many_in_flight),
        cmocka_unit_test(as_a_simple_model),       cmocka_unit_test(bucket),
        cmocka_unit_test(backoff_stays_in_bounds),
    };
    return cmocka_run_group_tests_name("kube_queue", tests, NULL, NULL);
}
