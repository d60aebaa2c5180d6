/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the registry, for metrics.c and metrics_text.c. */
#ifndef MSSQL_NET_METRICS_INT_H
#define MSSQL_NET_METRICS_INT_H

#include <pthread.h>

#include "common/net/metrics.h"

struct series {
    double value; /* counter, gauge; sum of a histogram */
    uint64_t count; /* histogram: observations */
    uint64_t *bucket; /* histogram: observations per bound, not cumulated */
    const char *values[METRIC_LABELS_MAX + 1];
    char text[]; /* the values, one after the other */
};

struct metric {
    struct metrics *reg;
    struct metric_spec spec;
    unsigned labels, buckets;
    struct series **series; /* sorted by values */
    size_t count, cap;
    struct series *other; /* takes what does not fit; not in the array */
};

struct collector {
    void (*fn)(void *user);
    void *user;
};

#define COLLECTORS_MAX 16

struct metrics {
    pthread_mutex_t lock;
    char *prefix;
    struct metric **metric; /* sorted by name */
    size_t count, cap;
    struct collector collector[COLLECTORS_MAX];
    unsigned collectors;
    struct metric *overflow;
    char *overflow_name;
    void *process; /* of metrics_process.c */
};

void metrics_collect(struct metrics *reg);

#endif
