/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe/rate.h"

#define US_PER_S 1e6
#define BURST_PART 0.25 /* of a second's worth */

void rate_init(struct rate *rate, uint64_t bytes_per_s) {
    *rate = (struct rate){.bytes_per_s = bytes_per_s, .filled_us = -1};
    pthread_mutex_init(&rate->lock, NULL);
}

void rate_done(struct rate *rate) {
    pthread_mutex_destroy(&rate->lock);
}

void rate_set(struct rate *rate, uint64_t bytes_per_s) {
    pthread_mutex_lock(&rate->lock);
    rate->bytes_per_s = bytes_per_s;
    if (rate->tokens < 0) /* debts at the old pace must not stall the new one */
        rate->tokens = 0;
    pthread_mutex_unlock(&rate->lock);
}

static void refill(struct rate *rate, double per_us, int64_t now_us) {
    double burst = (double)rate->bytes_per_s * BURST_PART;
    if (rate->filled_us < 0)
        rate->tokens = burst;
    else if (now_us > rate->filled_us)
        rate->tokens += (double)(now_us - rate->filled_us) * per_us;
    if (rate->tokens > burst)
        rate->tokens = burst;
    if (now_us > rate->filled_us)
        rate->filled_us = now_us;
}

int64_t rate_take(struct rate *rate, uint64_t bytes, int64_t now_us) {
    int64_t wait = 0;
    pthread_mutex_lock(&rate->lock);
    if (rate->bytes_per_s) {
        double per_us = (double)rate->bytes_per_s / US_PER_S;
        refill(rate, per_us, now_us);
        rate->tokens -= (double)bytes;
        if (rate->tokens < 0)
            wait = (int64_t)(-rate->tokens / per_us) + 1;
    }
    pthread_mutex_unlock(&rate->lock);
    return wait;
}
