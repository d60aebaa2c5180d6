/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work by key, level-triggered: a key says "look at this", not what happened. Pure; the caller gives the time.
 *
 * A key is in the queue once, however often it is added. One that is taken is not given out again before its
 * kube_queue_end(); what was added meanwhile makes it due again then, so that no change is missed and no two workers are at
 * one object.
 */
#ifndef MSSQL_KUBE_QUEUE_H
#define MSSQL_KUBE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct kube_queue;

struct kube_queue_options {
    int64_t first_ms, max_ms; /* wait after the first failure, and at most; 0 = 500 ms, 5 min */
    unsigned in_flight_max; /* 0 = 16 */
    uint32_t (*random)(void); /* NULL = kube_random */
};

struct kube_queue *kube_queue_new(const struct kube_queue_options *options);
void kube_queue_free(struct kube_queue *queue);
/* Due at at_us (monotonic; now or earlier = at once). The earliest time that was asked for counts. */
void kube_queue_add(struct kube_queue *queue, const char *key, int64_t at_us);
/* The key that is due longest and not in flight; false when there is none or too many are in flight. Valid until its end. */
bool kube_queue_take(struct kube_queue *queue, int64_t now_us, const char **ret_key);
/* The work on a taken key is over. Failed: it comes again, later each time. Else its failures are forgotten, and it comes again
 * only when it was added meanwhile. */
void kube_queue_end(struct kube_queue *queue, const char *key, bool failed, int64_t now_us);
/* When kube_queue_take() will have something: INT64_MAX = not before an add or an end. */
int64_t kube_queue_next_us(const struct kube_queue *queue);

struct kube_queue_stats {
    unsigned waiting, due, in_flight;
    int64_t oldest_us; /* how long the first one is due */
    uint64_t added, retried;
};
void kube_queue_get_stats(const struct kube_queue *queue, int64_t now_us, struct kube_queue_stats *ret_stats);

#endif
