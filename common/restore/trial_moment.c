/* SPDX-License-Identifier: Apache-2.0 */
/* A restorable moment by chance. */
#include "common/base/clock.h"
#include "common/chain/history.h"
#include "common/chain/interval.h"
#include "common/restore/trial_int.h"

#define STEP (CLOCK_SECOND / 1000) /* so that it can be said in a few digits */

/* splitmix64: the same everywhere, so that a seed can be given again. */
static uint64_t next_number(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static int64_t first_of(const struct chain_interval *interval) {
    return (interval->from_at + STEP - 1) / STEP * STEP;
}

static uint64_t length_of(const struct chain_interval *interval) {
    int64_t from = first_of(interval);
    return interval->until_at > from ? (uint64_t)(interval->until_at - from) / STEP : 0;
}

static bool pick(const struct chain_intervals *all, uint64_t seed, int64_t *ret_at) {
    uint64_t total = 0;
    for (size_t i = 0; i < all->count; i++)
        total += length_of(&all->intervals[i]);
    if (!total)
        return false;
    uint64_t at = next_number(&seed) % total;
    for (size_t i = 0; i < all->count; i++) {
        uint64_t length = length_of(&all->intervals[i]);
        if (at < length) {
            *ret_at = first_of(&all->intervals[i]) + (int64_t)(at * STEP);
            return true;
        }
        at -= length;
    }
    return false;
}

bool trial_moment(const struct source_history *h, uint64_t seed, int64_t *ret_at) {
    struct chain_history history;
    struct chain_intervals intervals;
    chain_history_init(&history, h->sets, h->count);
    struct chain_interval_input input = {
        .history = &history, .quiet_until_at = h->quiet_until_at, .known = h->holes, .known_count = h->hole_count};
    chain_intervals_build(&input, &intervals);
    bool found = pick(&intervals, seed, ret_at);
    chain_intervals_done(&intervals);
    chain_history_done(&history);
    return found;
}
