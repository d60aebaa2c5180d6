/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A token bucket that answers "how long to wait". It never sleeps itself, so the caller can look at its cancel flag. One
 * bucket may be shared by several streams: the limit is then for all of them together.
 */
#ifndef MSSQL_PIPE_RATE_H
#define MSSQL_PIPE_RATE_H

#include <pthread.h>
#include <stdint.h>

struct rate {
    pthread_mutex_t lock;
    uint64_t bytes_per_s; /* 0: no limit */
    double tokens; /* may be negative: what was taken ahead of time */
    int64_t filled_us;
};

/* The bucket holds a quarter of a second's worth. */
void rate_init(struct rate *rate, uint64_t bytes_per_s);
void rate_done(struct rate *rate);
/* A new limit for streams that are running, too. */
void rate_set(struct rate *rate, uint64_t bytes_per_s);
/* Takes `bytes` now; the microseconds that the caller has to wait before it goes on (0: none). */
int64_t rate_take(struct rate *rate, uint64_t bytes, int64_t now_us);

#endif
