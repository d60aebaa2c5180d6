/* SPDX-License-Identifier: Apache-2.0 */
/* The Prometheus text form of the registry. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/net/metrics_int.h"

static void put_number(struct buf *out, double value) {
    if (isnan(value)) {
        buf_puts(out, "NaN");
    } else if (isinf(value)) {
        buf_puts(out, value > 0 ? "+Inf" : "-Inf");
    } else if (value == floor(value) && fabs(value) < 9007199254740992.0) {
        buf_printf(out, "%.0f", value);
    } else {
        char text[40];
        for (int digits = 15; digits <= 17; digits++) { /* the shortest that reads back the same */
            snprintf(text, sizeof(text), "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
        buf_puts(out, text);
    }
}

static void put_escaped(struct buf *out, const char *s, bool quote) {
    for (; *s; s++) {
        if (*s == '\\')
            buf_puts(out, "\\\\");
        else if (*s == '\n')
            buf_puts(out, "\\n");
        else if (*s == '"' && quote)
            buf_puts(out, "\\\"");
        else
            buf_putc(out, *s);
    }
}

/* {a="x",b="y"} with `le` as the last label when given. */
static void put_labels(struct buf *out, const struct metric *m, const struct series *s, const double *le) {
    if (!m->labels && !le)
        return;
    buf_putc(out, '{');
    for (unsigned i = 0; i < m->labels; i++) {
        buf_printf(out, "%s%s=\"", i ? "," : "", m->spec.labels[i]);
        put_escaped(out, s->values[i], true);
        buf_putc(out, '"');
    }
    if (le) {
        buf_puts(out, m->labels ? ",le=\"" : "le=\"");
        put_number(out, *le);
        buf_putc(out, '"');
    }
    buf_putc(out, '}');
}

static void put_histogram(struct buf *out, const struct metric *m, const struct series *s) {
    uint64_t total = 0;
    for (unsigned i = 0; i <= m->buckets; i++) {
        double bound = i < m->buckets ? m->spec.buckets[i] : INFINITY;
        total = i < m->buckets ? total + s->bucket[i] : s->count;
        buf_printf(out, "%s_bucket", m->spec.name);
        put_labels(out, m, s, &bound);
        buf_printf(out, " %" PRIu64 "\n", total);
    }
    buf_printf(out, "%s_sum", m->spec.name);
    put_labels(out, m, s, NULL);
    buf_putc(out, ' ');
    put_number(out, s->value);
    buf_printf(out, "\n%s_count", m->spec.name);
    put_labels(out, m, s, NULL);
    buf_printf(out, " %" PRIu64 "\n", s->count);
}

static void put_series(struct buf *out, const struct metric *m, const struct series *s) {
    if (m->spec.type == METRIC_HISTOGRAM) {
        put_histogram(out, m, s);
        return;
    }
    buf_puts(out, m->spec.name);
    put_labels(out, m, s, NULL);
    buf_putc(out, ' ');
    put_number(out, s->value);
    buf_putc(out, '\n');
}

bool metrics_render(struct metrics *reg, struct buf *out) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    metrics_collect(reg);
    pthread_mutex_lock(&reg->lock);
    for (size_t i = 0; i < reg->count && !out->overflow; i++) {
        const struct metric *m = reg->metric[i];
        buf_printf(out, "# HELP %s ", m->spec.name);
        put_escaped(out, m->spec.help, false);
        buf_printf(out, "\n# TYPE %s %s\n", m->spec.name, types[m->spec.type]);
        for (size_t k = 0; k < m->count; k++)
            put_series(out, m, m->series[k]);
        if (m->other)
            put_series(out, m, m->other);
    }
    pthread_mutex_unlock(&reg->lock);
    return !out->overflow;
}

void metrics_each(struct metrics *reg,
                  void (*fn)(void *user, const struct metric_spec *spec, const char *const *values, double value), void *user) {
    metrics_collect(reg);
    pthread_mutex_lock(&reg->lock);
    for (size_t i = 0; i < reg->count; i++) {
        const struct metric *m = reg->metric[i];
        if (m->spec.type == METRIC_HISTOGRAM)
            continue;
        for (size_t k = 0; k < m->count; k++)
            fn(user, &m->spec, m->series[k]->values, m->series[k]->value);
        if (m->other)
            fn(user, &m->spec, m->other->values, m->other->value);
    }
    pthread_mutex_unlock(&reg->lock);
}
