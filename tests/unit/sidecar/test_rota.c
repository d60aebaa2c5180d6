/* SPDX-License-Identifier: Apache-2.0 */
/* Who is served when more are due than may be: nobody starves, whoever is due how often. */
#include "tests/unit/support/unit.h"

#include "sidecar/rota.h"

#define N 10

/* One round: slots for so many; bit i of due says who asks. */
static void serve(struct rota *rota, unsigned due, unsigned slots, unsigned *served) {
    struct rota turn = *rota;
    for (size_t k = 0; k < N; k++) {
        size_t i = rota_at(&turn, k, N);
        if (!slots || !(due >> i & 1))
            continue;
        slots--;
        served[i]++;
        rota_served(rota, i, N);
    }
}

static void all_due_all_served_equally(void **state) {
    (void)state;
    for (unsigned slots = 1; slots < N; slots++) {
        struct rota rota = {0};
        unsigned served[N] = {0};
        for (unsigned round = 0; round < 10 * N; round++)
            serve(&rota, ~0u, slots, served);
        for (unsigned i = 0; i < N; i++)
            assert_int_equal(served[i], 10 * slots);
    }
}

static void one_who_waits_is_served_within_a_round_of_all(void **state) {
    (void)state;
    uint32_t seed = 7;
    struct rota rota = {0};
    for (unsigned try = 0; try < 1000; try++) {
        unsigned who = seed % N, waited = 0, served[N] = {0};
        while (!served[who]) {
            seed = seed * 1664525u + 1013904223u;
            serve(&rota, seed >> 8 | 1u << who, 1, served); /* others come and go */
            assert_true(++waited <= N);
        }
    }
}

static void everybody_has_a_turn_in_each_round(void **state) {
    (void)state;
    struct rota rota = {.first = 7};
    bool seen[N] = {false};
    for (size_t k = 0; k < N; k++)
        seen[rota_at(&rota, k, N)] = true;
    for (unsigned i = 0; i < N; i++)
        assert_true(seen[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_due_all_served_equally),
        cmocka_unit_test(one_who_waits_is_served_within_a_round_of_all),
        cmocka_unit_test(everybody_has_a_turn_in_each_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
