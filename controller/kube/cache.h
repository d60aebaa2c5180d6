/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All objects of one kind, kept current by list and watch. Objects are immutable: whoever wants to keep one takes a reference
 * with json_incref() and sees it as it was then. metadata.managedFields is left out, apiVersion and kind are always there.
 *
 * Where the server has streaming lists, one watch gives everything; else a list in pages and a watch from its version. A
 * watch that ends goes on where it was. When the server has forgotten that version (410), or sends what cannot be
 * understood, everything is read anew, and handlers hear the differences, deletions as well: nothing is missed, only
 * intermediate states are.
 */
#ifndef MSSQL_KUBE_CACHE_H
#define MSSQL_KUBE_CACHE_H

#include "controller/kube/client.h"

struct kube_cache;

struct kube_cache_options {
    struct kube_client *client; /* must live longer */
    struct ev_loop *ev;
    const struct kube_kind *kind;
    const char *const *namespaces; /* NULL-terminated list; NULL = all */
    const char *labels, *fields; /* selectors */
    unsigned page; /* objects in one answer; 0 = 500 */
    unsigned objects_max; /* 0 = 50,000: what is more is not kept, and trouble() says so */
    bool plain_lists; /* do not ask for a streaming list */
    void *user;
    /* type is KUBE_ADDED, KUBE_MODIFIED or KUBE_DELETED. `object`: as it is now, or as it last was. May start and cancel
     * calls; must not free the cache. */
    void (*changed)(void *user, enum kube_event_type type, const json_t *object);
    void (*synced)(void *user); /* once: everything that was there at the beginning has been told */
    /* err NULL: all is well again. Else the reading failed and is tried again; only changes of class are told. */
    void (*trouble)(void *user, const char *namespace, const struct err *err);
    /* Why a watch or list begins again, for metrics: "end", "error", "expired". */
    void (*restarted)(void *user, const char *why);
};

struct kube_cache *kube_cache_new(const struct kube_cache_options *options);
/* Not inside of a callback of the cache or the client. */
void kube_cache_free(struct kube_cache *cache);
bool kube_cache_synced(const struct kube_cache *cache);
/* NULL when there is none. namespace NULL for kinds without. Belongs to the cache, until the loop runs again. */
json_t *kube_cache_get(const struct kube_cache *cache, const char *namespace, const char *name);
/* In no order. fn must not change the cache. */
void kube_cache_each(const struct kube_cache *cache, void (*fn)(void *user, json_t *object), void *user);
size_t kube_cache_count(const struct kube_cache *cache);

#endif
