/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/cache.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/cache_int.h"

#define OBJECTS_MAX 50000

static char *key_of(const char *namespace, const char *name) {
    return mem_printf("%s/%s", namespace ? namespace : "", name);
}

static void tell(const struct kube_cache *cache, enum kube_event_type type, const json_t *object) {
    if (cache->options.changed)
        cache->options.changed(cache->options.user, type, object);
}

static void kept_free(struct kept *kept) {
    json_decref(kept->object);
    mem_free(kept);
}

/* Items of a list do not say what they are, and managedFields are often more than half of an object. */
static void tidy(const struct kube_cache *cache, json_t *object) {
    json_object_del(json_object_get(object, "metadata"), "managedFields");
    if (!json_object_get(object, "apiVersion"))
        json_object_set_new(object, "apiVersion", json_string(cache->api_version));
    if (!json_object_get(object, "kind"))
        json_object_set_new(object, "kind", json_string(cache->options.kind->kind));
}

static bool has_room(struct kube_reflector *reflector) {
    struct kube_cache *cache = reflector->cache;
    if (cache->objects.count < cache->options.objects_max)
        return true;
    if (!cache->full && cache->options.trouble) {
        struct err err = {0};
        err_set(&err, ERR_LIMIT, "more than %u %s: the rest is not seen", cache->options.objects_max,
                cache->options.kind->plural);
        cache->options.trouble(cache->options.user, reflector->namespace ? reflector->namespace : "", &err);
    }
    cache->full = true;
    return false;
}

void kube_cache_keep(struct kube_reflector *reflector, json_t *object) {
    struct kube_cache *cache = reflector->cache;
    _cleanup_free_ char *key = key_of(kube_namespace(object), kube_name(object));
    struct kept *kept = kube_map_get(&cache->objects, key);
    if (!kept) {
        if (!has_room(reflector))
            return;
        tidy(cache, object);
        kept = mem_alloc(sizeof(*kept));
        *kept = (struct kept){.object = json_incref(object), .from = reflector, .pass = reflector->pass};
        kube_map_put(&cache->objects, key, kept);
        tell(cache, KUBE_ADDED, object);
        return;
    }
    kept->pass = reflector->pass;
    if (!strcmp(kube_resource_version(kept->object), kube_resource_version(object)))
        return;
    tidy(cache, object);
    json_t *old = kept->object;
    kept->object = json_incref(object);
    /* Deleted and made again while nobody looked: whoever holds something for the old one must hear of its end. */
    if (strcmp(kube_uid(old), kube_uid(object)) != 0) {
        tell(cache, KUBE_DELETED, old);
        tell(cache, KUBE_ADDED, object);
    } else
        tell(cache, KUBE_MODIFIED, object);
    json_decref(old);
}

void kube_cache_drop(struct kube_reflector *reflector, const json_t *object) {
    struct kube_cache *cache = reflector->cache;
    _cleanup_free_ char *key = key_of(kube_namespace(object), kube_name(object));
    struct kept *kept = kube_map_remove(&cache->objects, key);
    if (!kept)
        return;
    cache->full = false;
    tell(cache, KUBE_DELETED, kept->object);
    kept_free(kept);
}

void kube_cache_sweep(struct kube_reflector *reflector) {
    struct kube_cache *cache = reflector->cache;
    size_t count = cache->objects.count;
    void **all = kube_map_values(&cache->objects);
    for (size_t i = 0; i < count; i++) {
        const struct kept *kept = all[i];
        if (kept->from == reflector && kept->pass != reflector->pass)
            kube_cache_drop(reflector, kept->object);
    }
    mem_free(all);
    reflector->synced = true;
    for (const struct kube_reflector *r = cache->reflectors; r; r = r->next)
        if (!r->synced)
            return;
    if (!cache->synced && cache->options.synced) {
        cache->synced = true;
        cache->options.synced(cache->options.user);
    }
    cache->synced = true;
}

struct kube_cache *kube_cache_new(const struct kube_cache_options *options) {
    static const char *const everywhere[] = {NULL, NULL};
    struct kube_cache *cache = mem_alloc(sizeof(*cache));
    cache->options = *options;
    if (!options->page)
        cache->options.page = 500;
    if (!options->objects_max)
        cache->options.objects_max = OBJECTS_MAX;
    const struct kube_kind *kind = options->kind;
    cache->api_version = kind->group[0] ? mem_printf("%s/%s", kind->group, kind->version) : mem_strdup(kind->version);
    kube_map_init(&cache->objects);
    const char *const *namespaces = options->namespaces ? options->namespaces : everywhere;
    do {
        struct kube_reflector *reflector = kube_reflector_new(cache, *namespaces);
        reflector->next = cache->reflectors;
        cache->reflectors = reflector;
    } while (options->namespaces && *++namespaces);
    cache->options.namespaces = NULL;
    return cache;
}

void kube_cache_free(struct kube_cache *cache) {
    if (!cache)
        return;
    while (cache->reflectors) {
        struct kube_reflector *reflector = cache->reflectors;
        cache->reflectors = reflector->next;
        kube_reflector_free(reflector);
    }
    void **all = kube_map_values(&cache->objects);
    for (size_t i = 0; i < cache->objects.count; i++)
        kept_free(all[i]);
    mem_free(all);
    kube_map_done(&cache->objects);
    mem_free(cache->api_version);
    mem_free(cache);
}

bool kube_cache_synced(const struct kube_cache *cache) {
    return cache->synced;
}

json_t *kube_cache_get(const struct kube_cache *cache, const char *namespace, const char *name) {
    _cleanup_free_ char *key = key_of(namespace, name);
    const struct kept *kept = kube_map_get(&cache->objects, key);
    return kept ? kept->object : NULL;
}

void kube_cache_each(const struct kube_cache *cache, void (*fn)(void *user, json_t *object), void *user) {
    void **all = kube_map_values(&cache->objects);
    for (size_t i = 0; i < cache->objects.count; i++)
        fn(user, ((const struct kept *)all[i])->object);
    mem_free(all);
}

size_t kube_cache_count(const struct kube_cache *cache) {
    return cache->objects.count;
}
