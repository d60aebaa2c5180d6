/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the cache: cache.c (what is kept), reflector.c (how it is read, one for each namespace). */
#ifndef MSSQL_KUBE_CACHE_INT_H
#define MSSQL_KUBE_CACHE_INT_H

#include "controller/kube/cache.h"
#include "controller/kube/map.h"

struct kept {
    json_t *object;
    const struct kube_reflector *from;
    uint64_t pass; /* the full reading in which it was last seen */
};

struct kube_cache {
    struct kube_cache_options options;
    struct kube_map objects; /* "namespace/name" -> struct kept */
    struct kube_reflector *reflectors;
    char *api_version;
    bool synced, full;
};

struct kube_reflector {
    struct kube_cache *cache;
    char *namespace; /* NULL = all */
    struct kube_call *call;
    ev_timer timer;
    bool streaming; /* the next full reading is a streaming list */
    bool initial; /* the watch is still telling what was there */
    bool synced, reading_all; /* reading_all: the pass is not complete */
    bool expired; /* the watch said that its version is gone */
    bool whole; /* pages expired twice: the list in one piece */
    unsigned failures;
    uint64_t pass;
    char *version, *next_page;
    int64_t begun_us;
    enum err_class trouble;
    struct kube_reflector *next;
};

/* reflector.c */
struct kube_reflector *kube_reflector_new(struct kube_cache *cache, const char *namespace);
void kube_reflector_free(struct kube_reflector *reflector);

/* cache.c. The object may be changed by it before it is kept. */
void kube_cache_keep(struct kube_reflector *reflector, json_t *object);
void kube_cache_drop(struct kube_reflector *reflector, const json_t *object);
/* The pass is complete: what it did not see is gone. */
void kube_cache_sweep(struct kube_reflector *reflector);

#endif
