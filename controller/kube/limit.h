/* SPDX-License-Identifier: Apache-2.0 */
/* Token bucket: how long must the next request wait? Pure; the caller gives the time. */
#ifndef MSSQL_KUBE_LIMIT_H
#define MSSQL_KUBE_LIMIT_H

#include <stdint.h>

struct kube_limit {
    double per_second, burst, tokens;
    int64_t at_us; /* monotonic; tokens are as of then */
};

/* The bucket begins full. */
void kube_limit_init(struct kube_limit *limit, double per_second, unsigned burst, int64_t now_us);
/* Takes one token and gives 0, or takes none and gives the microseconds until there is one. */
int64_t kube_limit_take(struct kube_limit *limit, int64_t now_us);

#endif
