/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/lend.h"

#include "common/base/mem.h"

struct lent {
    struct pool_item item;
    struct lending *lending;
    struct store *store;
    unsigned users;
    bool closing; /* a worker has it */
    struct lent *next;
};

static void close_work(struct pool_item *item) {
    store_free(container_of(item, struct lent, item)->store);
}

static void close_done(struct pool_item *item) {
    struct lent *l = container_of(item, struct lent, item);
    struct lent **p = &l->lending->retired;
    while (*p != l)
        p = &(*p)->next;
    *p = l->next;
    mem_free(l);
}

/* What no worker takes now is taken at the next time, or at the end. */
static void close_unused(struct lending *lending) {
    for (struct lent *l = lending->retired; l; l = l->next)
        if (!l->users && !l->closing && lending->pool) {
            l->item = (struct pool_item){.work = close_work, .done = close_done};
            l->closing = pool_submit(lending->pool, &l->item);
        }
}

void lending_open(struct lending *lending, struct store *store) {
    struct lent *l = mem_alloc(sizeof(*l));
    *l = (struct lent){.lending = lending, .store = store};
    lending->current = l;
}

struct store *lending_current(const struct lending *lending) {
    return lending->current ? lending->current->store : NULL;
}

struct store *lending_take(struct lending *lending) {
    if (!lending->current)
        return NULL;
    lending->current->users++;
    return lending->current->store;
}

void lending_put(struct lending *lending, const struct store *store) {
    if (lending->current && lending->current->store == store) {
        lending->current->users--;
        return;
    }
    for (struct lent *l = lending->retired; l; l = l->next) {
        if (l->store != store)
            continue;
        l->users--;
        close_unused(lending);
        return;
    }
}

void lending_retire(struct lending *lending) {
    struct lent *l = lending->current;
    lending->current = NULL;
    if (!l)
        return;
    l->next = lending->retired;
    lending->retired = l;
    close_unused(lending);
}

void lending_end(struct lending *lending) {
    lending->pool = NULL;
    lending_retire(lending);
    while (lending->retired) {
        struct lent *l = lending->retired;
        lending->retired = l->next;
        store_free(l->store);
        mem_free(l);
    }
}
