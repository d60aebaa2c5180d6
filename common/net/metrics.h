/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registry of metrics and their Prometheus text (version 0.0.4).
 *
 *     struct metric *taken = metrics_counter(reg, "mssql_sidecar_backups_total", "Backups by kind and result.", "kind", "result");
 *     metric_add(taken, 1, "log", "completed");
 *
 * Names, helps and label names are fixed when a metric is made: breaking the rules (docs/reference/metrics.md) is a defect
 * of the program and aborts. Label values come from outside and are bounded: a metric has at most `max_series` series;
 * what does not fit goes to one series whose labels are all "other", and mssql_metrics_overflow_total counts it.
 * Updates and rendering may come from any thread. Order of output: metrics by name, series by label values.
 */
#ifndef MSSQL_NET_METRICS_H
#define MSSQL_NET_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define METRIC_LABELS_MAX 6
#define METRIC_BUCKETS_MAX 24
#define METRIC_SERIES_DEFAULT 2000
#define METRIC_LABEL_VALUE_MAX 256 /* bytes; longer values are cut */

struct metrics;
struct metric;

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* `prefix` begins the registry's own metrics: "mssql_sidecar" gives mssql_sidecar_metrics_overflow_total. */
struct metrics *metrics_new(const char *prefix);
void metrics_free(struct metrics *reg);

struct metric_spec {
    enum metric_type type;
    const char *name;
    const char *help;
    const char *labels[METRIC_LABELS_MAX + 1]; /* NULL-terminated */
    const double *buckets; /* histograms: positive, rising upper bounds without +Inf, ended by 0 */
    unsigned max_series; /* 0 = METRIC_SERIES_DEFAULT */
};
/* Is the specification acceptable? ERR_USAGE says which rule it breaks. metrics_add() checks the same. */
int metric_spec_check(const struct metric_spec *spec, struct err *err) ERR_CHECK;
/* The strings must live as long as the registry. A name that exists already aborts. */
struct metric *metrics_add(struct metrics *reg, const struct metric_spec *spec) __attribute__((returns_nonnull));

#define metrics_counter(reg, name_, help_, ...)                                                                                  \
    metrics_add((reg), &(struct metric_spec){.type = METRIC_COUNTER, .name = (name_), .help = (help_), .labels = {__VA_ARGS__}})
#define metrics_gauge(reg, name_, help_, ...)                                                                                    \
    metrics_add((reg), &(struct metric_spec){.type = METRIC_GAUGE, .name = (name_), .help = (help_), .labels = {__VA_ARGS__}})
#define metrics_histogram(reg, name_, help_, buckets_, ...)                                                                      \
    metrics_add((reg),                                                                                                           \
                &(struct metric_spec){                                                                                           \
                    .type = METRIC_HISTOGRAM, .name = (name_), .help = (help_), .buckets = (buckets_), .labels = {__VA_ARGS__}})

/* Bounds for seconds from 5 ms to 6 h, and for bytes from 1 KiB to 1 TiB. */
extern const double metric_buckets_seconds[];
extern const double metric_buckets_bytes[];

/* Label values follow in the order of the names, exactly as many. Counters only go up: a negative value is ignored, and
 * metric_set() on one is for totals that are counted elsewhere (CPU time). */
#define metric_add(metric, value, ...) metric_update((metric), METRIC_OP_ADD, (value), METRIC_VALUES(__VA_ARGS__))
#define metric_inc(metric, ...) metric_update((metric), METRIC_OP_ADD, 1, METRIC_VALUES(__VA_ARGS__))
#define metric_set(metric, value, ...) metric_update((metric), METRIC_OP_SET, (value), METRIC_VALUES(__VA_ARGS__))
#define metric_observe(metric, value, ...) metric_update((metric), METRIC_OP_OBSERVE, (value), METRIC_VALUES(__VA_ARGS__))
/* Removes one series, so that a gauge of something that is gone does not stand for ever. */
#define metric_remove(metric, ...) metric_update((metric), METRIC_OP_REMOVE, 0, METRIC_VALUES(__VA_ARGS__))
/* Value of a counter or gauge, sum of a histogram; false when there is no such series. */
#define metric_get(metric, ret_value, ...) metric_read((metric), (ret_value), METRIC_VALUES(__VA_ARGS__))

/* Removes every series in which label `name` has `value`: a database was dropped. */
void metrics_forget(struct metrics *reg, const char *name, const char *value);
/* Removes every series of one metric, for gauges that are written anew at each collection. */
void metric_clear(struct metric *metric);

/* fn runs at the start of each metrics_render(), on its thread, to set what is measured on demand. */
void metrics_on_collect(struct metrics *reg, void (*fn)(void *user), void *user);
/* Adds process_resident_memory_bytes, process_virtual_memory_bytes, process_cpu_seconds_total, process_open_fds,
 * process_max_fds, process_threads, process_start_time_seconds. */
void metrics_add_process(struct metrics *reg);
/* Appends the whole text. False when the buffer's maximum was reached (nothing of it is then to be used). */
bool metrics_render(struct metrics *reg, struct buf *out);
/* Calls fn with every counter and gauge series, in the order of the output. fn must not touch the registry. */
void metrics_each(struct metrics *reg,
                  void (*fn)(void *user, const struct metric_spec *spec, const char *const *values, double value), void *user);
#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Behind the macros. values[0] is a place holder, so that an empty list is valid C; NULL ends them. */
enum metric_op { METRIC_OP_ADD, METRIC_OP_SET, METRIC_OP_OBSERVE, METRIC_OP_REMOVE };
#define METRIC_VALUES(...)                                                                                                       \
    (const char *const[]) {                                                                                                      \
        "", ##__VA_ARGS__, NULL                                                                                                  \
    }
void metric_update(struct metric *metric, enum metric_op op, double value, const char *const *values);
bool metric_read(struct metric *metric, double *ret_value, const char *const *values);

#endif
