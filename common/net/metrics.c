/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/metrics.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/metrics_int.h"

const double metric_buckets_seconds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,  1,    2.5,   5,
                                         10,    30,   60,    180,  600, 1800, 3600, 7200, 21600, 0};
const double metric_buckets_bytes[] = {1024.0,        16384.0,       131072.0,       1048576.0,       4194304.0,
                                       16777216.0,    67108864.0,    268435456.0,    1073741824.0,    4294967296.0,
                                       17179869184.0, 68719476736.0, 274877906944.0, 1099511627776.0, 0};

/* --- rules of names --- */

static bool is_snake_word(const char *s) {
    if (*s < 'a' || *s > 'z')
        return false;
    for (const char *p = s; *p; p++)
        if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || (*p == '_' && p[1] != '_' && p[1])))
            return false;
    return true;
}

/* Parts of a name that say "not a base unit": seconds, bytes, ratio and the like are the base units. */
static const char *derived_unit_in(const char *name) {
    static const char *const units[] = {
        "ms", "us", "ns",  "milliseconds", "microseconds", "nanoseconds", "minutes",   "hours",     "days", "kb",
        "mb", "gb", "kib", "mib",          "gib",          "kilobytes",   "megabytes", "gigabytes", "bits", "percent"};
    for (const char *p = name; *p;) {
        size_t len = strcspn(p, "_");
        for (size_t i = 0; i < ARRAY_LEN(units); i++)
            if (strlen(units[i]) == len && !strncmp(units[i], p, len))
                return units[i];
        p += len + (p[len] == '_');
    }
    return NULL;
}

static int name_check(const struct metric_spec *spec, struct err *err) {
    const char *name = spec->name;
    if (!name || !is_snake_word(name))
        return err_set(err, ERR_USAGE, "metric '%s': a name is lower-case words joined by single underscores", name ? name : "");
    const char *unit = derived_unit_in(name);
    if (unit)
        return err_set(err, ERR_USAGE, "metric '%s': '%s' is not a base unit, use seconds, bytes or ratio", name, unit);
    if ((spec->type == METRIC_COUNTER) != str_ends(name, "_total"))
        return err_set(err, ERR_USAGE, "metric '%s': counters, and only they, end in _total", name);
    if (str_ends(name, "_count") || str_ends(name, "_sum") || str_ends(name, "_bucket"))
        return err_set(err, ERR_USAGE, "metric '%s': _count, _sum and _bucket belong to histograms", name);
    if (!spec->help || strlen(spec->help) < 10 || !str_ends(spec->help, ".") ||
        !str_is_clean_utf8(spec->help, strlen(spec->help)))
        return err_set(err, ERR_USAGE, "metric '%s': the help must be one sentence that ends in a full stop", name);
    return 0;
}

static int labels_check(const struct metric_spec *spec, struct err *err) {
    unsigned n = 0;
    for (; n < METRIC_LABELS_MAX && spec->labels[n]; n++) {
        if (!is_snake_word(spec->labels[n]))
            return err_set(err, ERR_USAGE, "metric '%s': label '%s' is not lower-case words", spec->name, spec->labels[n]);
        if (!strcmp(spec->labels[n], "le"))
            return err_set(err, ERR_USAGE, "metric '%s': label 'le' belongs to histograms", spec->name);
        for (unsigned i = 0; i < n; i++)
            if (!strcmp(spec->labels[i], spec->labels[n]))
                return err_set(err, ERR_USAGE, "metric '%s': label '%s' twice", spec->name, spec->labels[n]);
    }
    return spec->labels[n] ? err_set(err, ERR_USAGE, "metric '%s': more than %d labels", spec->name, METRIC_LABELS_MAX) : 0;
}

static int buckets_check(const struct metric_spec *spec, struct err *err) {
    if ((spec->type == METRIC_HISTOGRAM) != (spec->buckets != NULL))
        return err_set(err, ERR_USAGE, "metric '%s': histograms, and only they, have buckets", spec->name);
    if (!spec->buckets)
        return 0;
    unsigned n = 0;
    double last = 0;
    for (; spec->buckets[n] != 0; n++) {
        if (n == METRIC_BUCKETS_MAX)
            return err_set(err, ERR_USAGE, "metric '%s': more than %d buckets", spec->name, METRIC_BUCKETS_MAX);
        if (!isfinite(spec->buckets[n]) || spec->buckets[n] <= last)
            return err_set(err, ERR_USAGE, "metric '%s': buckets must be positive and rising", spec->name);
        last = spec->buckets[n];
    }
    return n ? 0 : err_set(err, ERR_USAGE, "metric '%s': no buckets", spec->name);
}

int metric_spec_check(const struct metric_spec *spec, struct err *err) {
    if (name_check(spec, err) < 0 || labels_check(spec, err) < 0)
        return -1;
    return buckets_check(spec, err);
}

/* --- series --- */

/* Copies a label value: valid UTF-8 of bounded length, whatever came in. */
static size_t value_copy(char *dst, const char *src) {
    size_t len = strnlen(src, METRIC_LABEL_VALUE_MAX + 1);
    if (len > METRIC_LABEL_VALUE_MAX) {
        len = METRIC_LABEL_VALUE_MAX;
        while (len && ((unsigned char)src[len] & 0xC0) == 0x80) /* not in the middle of a character */
            len--;
    }
    memcpy(dst, src, len);
    dst[len] = 0;
    if (!str_is_clean_utf8(dst, len))
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)dst[i] < 0x20 || (unsigned char)dst[i] >= 0x7F)
                dst[i] = '?';
    return len + 1;
}

/* `values` has the metric's number of values. */
static struct series *series_new(const struct metric *m, const char *const *values) {
    char text[METRIC_LABELS_MAX * (METRIC_LABEL_VALUE_MAX + 1)];
    size_t len = 0;
    for (unsigned i = 0; i < m->labels; i++)
        len += value_copy(text + len, values[i]);
    struct series *s = mem_alloc(sizeof(*s) + len);
    memcpy(s->text, text, len);
    const char *p = s->text;
    for (unsigned i = 0; i < m->labels; i++, p += strlen(p) + 1)
        s->values[i] = p;
    if (m->buckets)
        s->bucket = mem_array(m->buckets, sizeof(*s->bucket));
    return s;
}

static void series_free(struct series *s) {
    if (!s)
        return;
    mem_free(s->bucket);
    mem_free(s);
}

static int values_cmp(const struct metric *m, const char *const *a, const char *const *b) {
    for (unsigned i = 0; i < m->labels; i++) {
        int diff = strcmp(a[i], b[i]);
        if (diff)
            return diff;
    }
    return 0;
}

/* Index of the series, or of where it would be. */
static size_t series_search(const struct metric *m, const char *const *values, bool *ret_found) {
    size_t low = 0, high = m->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int diff = values_cmp(m, m->series[mid]->values, values);
        if (!diff) {
            *ret_found = true;
            return mid;
        }
        if (diff < 0)
            low = mid + 1;
        else
            high = mid;
    }
    *ret_found = false;
    return low;
}

static struct series *series_other(struct metric *m) {
    static const char *const all_other[METRIC_LABELS_MAX] = {"other", "other", "other", "other", "other", "other"};
    if (!m->other)
        m->other = series_new(m, all_other);
    if (m != m->reg->overflow) {
        const char *const name[] = {m->spec.name};
        bool found;
        size_t at = series_search(m->reg->overflow, name, &found);
        if (found)
            m->reg->overflow->series[at]->value++;
    }
    return m->other;
}

static void series_insert(struct metric *m, size_t at, struct series *s) {
    m->series = mem_grow(m->series, &m->cap, m->count + 1, sizeof(*m->series));
    memmove(m->series + at + 1, m->series + at, (m->count - at) * sizeof(*m->series));
    m->series[at] = s;
    m->count++;
}

/* The series of these values, made when absent. Cleaning a value can change it: the cleaned one is what is searched. */
static struct series *series_of(struct metric *m, const char *const *values) {
    bool found;
    size_t at = series_search(m, values, &found);
    if (found)
        return m->series[at];
    struct series *s = series_new(m, values);
    at = series_search(m, s->values, &found);
    if (found || m->count >= m->spec.max_series) {
        series_free(s);
        return found ? m->series[at] : series_other(m);
    }
    series_insert(m, at, s);
    return s;
}

static void series_remove(struct metric *m, size_t at) {
    series_free(m->series[at]);
    m->count--;
    memmove(m->series + at, m->series + at + 1, (m->count - at) * sizeof(*m->series));
}

/* --- registry --- */

struct metrics *metrics_new(const char *prefix) {
    struct metrics *reg = mem_alloc(sizeof(*reg));
    pthread_mutex_init(&reg->lock, NULL);
    reg->prefix = mem_strdup(prefix);
    reg->overflow_name = mem_printf("%s_metrics_overflow_total", prefix);
    reg->overflow = metrics_counter(reg, reg->overflow_name,
                                    "Updates that went to the series 'other' because a metric had too many series.", "metric");
    reg->overflow->spec.max_series = UINT32_MAX; /* bounded by the number of metrics */
    return reg;
}

static void metric_free(struct metric *m) {
    for (size_t i = 0; i < m->count; i++)
        series_free(m->series[i]);
    series_free(m->other);
    mem_free(m->series);
    mem_free(m);
}

void metrics_free(struct metrics *reg) {
    if (!reg)
        return;
    for (size_t i = 0; i < reg->count; i++)
        metric_free(reg->metric[i]);
    mem_free(reg->metric);
    mem_free(reg->prefix);
    mem_free(reg->overflow_name);
    mem_free(reg->process);
    pthread_mutex_destroy(&reg->lock);
    mem_free(reg);
}

static void spec_must_be_good(const struct metrics *reg, const struct metric_spec *spec) {
    struct err err = {0};
    if (metric_spec_check(spec, &err) < 0) {
        fprintf(stderr, "defect: %s\n", err.text);
        abort();
    }
    if (!str_starts(spec->name, reg->prefix) && !str_starts(spec->name, "process_")) {
        fprintf(stderr, "defect: metric '%s' does not begin with '%s'\n", spec->name, reg->prefix);
        abort();
    }
}

static void metric_insert(struct metrics *reg, struct metric *m) {
    size_t at = 0;
    while (at < reg->count && strcmp(reg->metric[at]->spec.name, m->spec.name) < 0)
        at++;
    if (at < reg->count && !strcmp(reg->metric[at]->spec.name, m->spec.name)) {
        fprintf(stderr, "defect: metric '%s' twice\n", m->spec.name);
        abort();
    }
    reg->metric = mem_grow(reg->metric, &reg->cap, reg->count + 1, sizeof(struct metric *));
    memmove(reg->metric + at + 1, reg->metric + at, (reg->count - at) * sizeof(struct metric *));
    reg->metric[at] = m;
    reg->count++;
}

struct metric *metrics_add(struct metrics *reg, const struct metric_spec *spec) {
    spec_must_be_good(reg, spec);
    struct metric *m = mem_alloc(sizeof(*m));
    m->reg = reg;
    m->spec = *spec;
    if (!m->spec.max_series)
        m->spec.max_series = METRIC_SERIES_DEFAULT;
    while (m->labels < METRIC_LABELS_MAX && spec->labels[m->labels])
        m->labels++;
    for (unsigned i = 0; spec->buckets && spec->buckets[i] != 0; i++)
        m->buckets++;
    pthread_mutex_lock(&reg->lock);
    metric_insert(reg, m);
    if (!m->labels) /* there from the start, so that a rate() over it has a beginning */
        (void)series_of(m, NULL);
    else if (reg->overflow && m->labels)
        (void)series_of(reg->overflow, &m->spec.name);
    pthread_mutex_unlock(&reg->lock);
    return m;
}

void metrics_on_collect(struct metrics *reg, void (*fn)(void *user), void *user) {
    pthread_mutex_lock(&reg->lock);
    assert(reg->collectors < COLLECTORS_MAX);
    reg->collector[reg->collectors++] = (struct collector){fn, user};
    pthread_mutex_unlock(&reg->lock);
}

/* Collectors call metric_set(), so the lock is not held. They are only added at start. */
void metrics_collect(struct metrics *reg) {
    pthread_mutex_lock(&reg->lock);
    unsigned n = reg->collectors;
    pthread_mutex_unlock(&reg->lock);
    for (unsigned i = 0; i < n; i++)
        reg->collector[i].fn(reg->collector[i].user);
}

/* --- updates --- */

static void series_apply(struct metric *m, struct series *s, enum metric_op op, double value) {
    switch (m->spec.type) {
    case METRIC_COUNTER:
        if (op == METRIC_OP_ADD && value >= 0)
            s->value += value;
        else if (op == METRIC_OP_SET && value > s->value)
            s->value = value;
        break;
    case METRIC_GAUGE:
        s->value = op == METRIC_OP_ADD ? s->value + value : value;
        break;
    case METRIC_HISTOGRAM:
        if (isnan(value))
            break;
        s->count++;
        s->value += value;
        for (unsigned i = 0; i < m->buckets; i++)
            if (value <= m->spec.buckets[i]) {
                s->bucket[i]++;
                break;
            }
        break;
    }
}

/* A wrong number of values is a defect that no input can cause. */
static void values_must_fit(const struct metric *m, const char *const *values) {
    unsigned n = 0;
    while (values[n])
        n++;
    if (n != m->labels) {
        fprintf(stderr, "defect: metric '%s' has %u labels, got %u values\n", m->spec.name, m->labels, n);
        abort();
    }
}

void metric_update(struct metric *m, enum metric_op op, double value, const char *const *values) {
    values++; /* the place holder */
    values_must_fit(m, values);
    pthread_mutex_lock(&m->reg->lock);
    if (op == METRIC_OP_REMOVE) {
        bool found;
        size_t at = series_search(m, values, &found);
        if (found && m->labels)
            series_remove(m, at);
    } else {
        series_apply(m, series_of(m, values), op, value);
    }
    pthread_mutex_unlock(&m->reg->lock);
}

bool metric_read(struct metric *m, double *ret_value, const char *const *values) {
    values++;
    values_must_fit(m, values);
    pthread_mutex_lock(&m->reg->lock);
    bool found;
    size_t at = series_search(m, values, &found);
    if (found)
        *ret_value = m->series[at]->value;
    pthread_mutex_unlock(&m->reg->lock);
    return found;
}

void metrics_forget(struct metrics *reg, const char *name, const char *value) {
    pthread_mutex_lock(&reg->lock);
    for (size_t i = 0; i < reg->count; i++) {
        struct metric *m = reg->metric[i];
        unsigned label = 0;
        while (label < m->labels && strcmp(m->spec.labels[label], name))
            label++;
        if (label == m->labels)
            continue;
        for (size_t at = m->count; at-- > 0;)
            if (!strcmp(m->series[at]->values[label], value))
                series_remove(m, at);
    }
    pthread_mutex_unlock(&reg->lock);
}

void metric_clear(struct metric *m) {
    pthread_mutex_lock(&m->reg->lock);
    while (m->count && m->labels)
        series_remove(m, m->count - 1);
    series_free(m->other);
    m->other = NULL;
    pthread_mutex_unlock(&m->reg->lock);
}
