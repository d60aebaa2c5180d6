/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/limit.h"

#include <math.h>

void kube_limit_init(struct kube_limit *limit, double per_second, unsigned burst, int64_t now_us) {
    *limit = (struct kube_limit){.per_second = per_second, .burst = burst, .tokens = burst, .at_us = now_us};
}

int64_t kube_limit_take(struct kube_limit *limit, int64_t now_us) {
    if (now_us > limit->at_us) {
        limit->tokens = fmin(limit->burst, limit->tokens + (double)(now_us - limit->at_us) * limit->per_second / 1e6);
        limit->at_us = now_us;
    }
    /* what rounding lost must not cost another turn of the loop */
    if (limit->tokens >= 1 - 1e-9) {
        limit->tokens = fmax(0, limit->tokens - 1);
        return 0;
    }
    return (int64_t)ceil((1 - limit->tokens) * 1e6 / limit->per_second);
}
