/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait after the n-th failure in a row: doubling, bounded, with jitter so that many do not come back at once. Pure. */
#ifndef MSSQL_KUBE_BACKOFF_H
#define MSSQL_KUBE_BACKOFF_H

#include <stdint.h>

/* Milliseconds in [w / 2, w], w = min(first_ms * 2^(failures - 1), max_ms). failures >= 1; random is any number. */
int64_t kube_backoff_ms(unsigned failures, int64_t first_ms, int64_t max_ms, uint32_t random);
/* For `random` above. */
uint32_t kube_random(void);

#endif
