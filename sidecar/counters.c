/* SPDX-License-Identifier: Apache-2.0 */
/* Counters as part of a status. */
#include <string.h>

#include "common/base/mem.h"
#include "sidecar/instruments.h"
#include "sidecar/status.h"

#define PREFIX "mssql_sidecar_"
#define COUNTERS_MAX 200

struct adding {
    Mssql__V1__Status *status;
};

static bool same(const Mssql__V1__Counter *c, const struct metric_spec *spec, const char *const *values) {
    size_t n = 0;
    if (strcmp(c->name, spec->name + sizeof(PREFIX) - 1) != 0)
        return false;
    for (size_t i = 0; spec->labels[i]; i++) {
        if (!strcmp(spec->labels[i], "database"))
            continue;
        if (n >= c->n_labels || strcmp(c->labels[n]->value, values[i]) != 0)
            return false;
        n++;
    }
    return n == c->n_labels;
}

static Mssql__V1__Counter *make(const struct metric_spec *spec, const char *const *values) {
    Mssql__V1__Counter *c = mem_alloc(sizeof(*c));
    mssql__v1__counter__init(c);
    c->name = mem_strdup(spec->name + sizeof(PREFIX) - 1);
    for (size_t i = 0; spec->labels[i]; i++) {
        if (!strcmp(spec->labels[i], "database"))
            continue;
        Mssql__V1__Label *l = mem_alloc(sizeof(*l));
        mssql__v1__label__init(l);
        l->name = mem_strdup(spec->labels[i]);
        l->value = mem_strdup(values[i]);
        STATUS_APPEND(c, labels, l);
    }
    return c;
}

static void add(void *user, const struct metric_spec *spec, const char *const *values, double value) {
    Mssql__V1__Status *s = ((struct adding *)user)->status;
    if (spec->type != METRIC_COUNTER || strncmp(spec->name, PREFIX, sizeof(PREFIX) - 1) != 0)
        return;
    for (size_t i = 0; i < s->n_counters; i++)
        if (same(s->counters[i], spec, values)) {
            s->counters[i]->value += value;
            return;
        }
    if (s->n_counters == COUNTERS_MAX)
        return;
    Mssql__V1__Counter *c = make(spec, values);
    c->value = value;
    STATUS_APPEND(s, counters, c);
}

void instruments_counters(struct agent *agent, Mssql__V1__Status *status) {
    struct adding adding = {status};
    metrics_each(instruments_registry(agent->instruments), add, &adding);
}
