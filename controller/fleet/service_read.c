/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/fleet/service_int.h"

#define PAGE 100
#define PAGE_MAX 200
#define ANSWER_BYTES_MAX (4u << 20)

static bool is_of(const struct peer *p, const char *namespace_name, const char *instance) {
    const char *name = p->hello && p->hello->identity ? p->hello->identity->instance : "";
    return !strcmp(p->namespace_name, namespace_name) && !strcmp(name, instance);
}

struct member *service_find(const struct fleet *fleet, const char *namespace_name, const char *instance) {
    _cleanup_free_ void **members = kube_map_values(&fleet->peers);
    struct member *best = NULL;
    for (size_t i = 0; i < fleet->peers.count; i++) {
        struct member *m = members[i];
        if (!is_of(m->peer, namespace_name, instance))
            continue;
        if (!best || (m->peer->connected && !best->peer->connected) ||
            (m->peer->connected == best->peer->connected && m->peer->heard_at > best->peer->heard_at))
            best = m;
    }
    return best;
}

Mssql__V1__Instance *service_instance(const struct member *member, bool with_databases) {
    const struct peer *p = member->peer;
    Mssql__V1__Instance *m = mem_alloc(sizeof(*m));
    mssql__v1__instance__init(m);
    m->namespace_ = mem_strdup(p->namespace_name);
    m->instance = mem_strdup(p->hello && p->hello->identity ? p->hello->identity->instance : "");
    m->pod = mem_strdup(p->pod);
    m->pod_uid = mem_strdup(p->pod_uid);
    m->session = p->connected ? MSSQL__V1__SESSION_STATE__SESSION_STATE_CONNECTED : MSSQL__V1__SESSION_STATE__SESSION_STATE_LOST;
    m->since_at = p->since_at;
    m->heard_at = p->heard_at;
    m->status = report_status(&p->report, with_databases);
    return m;
}

static int by_name(const void *a, const void *b) {
    const struct peer *x = (*(struct member *const *)a)->peer, *y = (*(struct member *const *)b)->peer;
    int order = strcmp(x->namespace_name, y->namespace_name);
    if (!order)
        order = strcmp(x->pod, y->pod);
    return order ? order : strcmp(x->pod_uid, y->pod_uid);
}

/* "namespace pod uid" of the last one that was given: a space sorts before all that names have. */
static int after_token(const struct peer *p, const char *token) {
    _cleanup_free_ char *own = mem_printf("%s %s %s", p->namespace_name, p->pod, p->pod_uid);
    return strcmp(own, token) > 0;
}

void service_list(struct ask *a) {
    const Mssql__V1__ListInstancesRequest *q = (const void *)a->request;
    _cleanup_free_ void **members = kube_map_values(&a->fleet->peers);
    size_t count = a->fleet->peers.count, bytes = 0;
    uint32_t page = q->page_size ? q->page_size : PAGE;
    Mssql__V1__ListInstancesResponse *r = mem_alloc(sizeof(*r));
    mssql__v1__list_instances_response__init(r);
    if (page > PAGE_MAX)
        page = PAGE_MAX;
    if (count)
        qsort(members, count, sizeof(*members), by_name);
    r->instances = mem_array(page, sizeof(*r->instances));
    for (size_t i = 0; i < count; i++) {
        const struct member *m = members[i];
        if ((*q->namespace_ && strcmp(q->namespace_, m->peer->namespace_name)) || !after_token(m->peer, q->page_token))
            continue;
        if (r->n_instances == page || bytes > ANSWER_BYTES_MAX) {
            const Mssql__V1__Instance *last = r->instances[r->n_instances - 1];
            r->next_page_token = mem_printf("%s %s %s", last->namespace_, last->pod, last->pod_uid);
            break;
        }
        r->instances[r->n_instances++] = service_instance(m, false);
        bytes += mssql__v1__instance__get_packed_size(r->instances[r->n_instances - 1]);
    }
    ask_reply(a, &r->base);
    mssql__v1__list_instances_response__free_unpacked(r, NULL);
}

static bool fits(const char *name, char *const *patterns, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (str_glob(patterns[i], name))
            return true;
    return count == 0;
}

void service_get(struct ask *a) {
    const Mssql__V1__GetInstanceRequest *q = (const void *)a->request;
    const struct member *m = service_find(a->fleet, q->namespace_, q->instance);
    struct err err;
    if (!m) {
        err_set(&err, ERR_NOT_FOUND, "no sidecar of the instance '%s' in the namespace '%s' has connected", q->instance,
                q->namespace_);
        ask_fail(a, &err);
        return;
    }
    Mssql__V1__Instance *instance = service_instance(m, true);
    Mssql__V1__Status *s = instance->status;
    size_t kept = 0;
    for (size_t i = 0; s && i < s->n_databases; i++) {
        if (fits(s->databases[i]->name, q->databases, q->n_databases))
            s->databases[kept++] = s->databases[i];
        else
            mssql__v1__database__free_unpacked(s->databases[i], NULL);
    }
    if (s)
        s->n_databases = kept;
    ask_reply(a, &instance->base);
    mssql__v1__instance__free_unpacked(instance, NULL);
}
