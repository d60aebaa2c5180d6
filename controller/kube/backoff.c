/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/backoff.h"

#include <sys/random.h>

#include "common/base/clock.h"

int64_t kube_backoff_ms(unsigned failures, int64_t first_ms, int64_t max_ms, uint32_t random) {
    int64_t wait = first_ms;
    for (unsigned i = 1; i < failures && wait < max_ms; i++)
        wait *= 2;
    if (wait > max_ms)
        wait = max_ms;
    return wait - wait / 2 + (int64_t)(random % (uint64_t)(wait / 2 + 1));
}

uint32_t kube_random(void) {
    uint32_t value;
    if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != (ssize_t)sizeof(value))
        value = (uint32_t)clock_mono_us(); /* jitter, not a secret */
    return value;
}
