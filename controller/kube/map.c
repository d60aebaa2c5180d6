/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/map.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/backoff.h"

struct kube_map_entry {
    struct kube_map_entry *next;
    void *value;
    char key[];
};

void kube_map_init(struct kube_map *map) {
    *map = (struct kube_map){.seed = (uint64_t)kube_random() << 32 | kube_random()};
}

void kube_map_done(struct kube_map *map) {
    for (size_t i = 0; i < map->slot_count; i++)
        while (map->slots[i]) {
            struct kube_map_entry *entry = map->slots[i];
            map->slots[i] = entry->next;
            mem_free(entry);
        }
    mem_free(map->slots);
    *map = (struct kube_map){.seed = map->seed};
}

/* FNV-1a from a random start, with a last stir so that the low bits depend on all. */
static uint64_t hash(const struct kube_map *map, const char *key) {
    uint64_t h = map->seed ^ UINT64_C(14695981039346656037);
    for (; *key; key++)
        h = (h ^ (unsigned char)*key) * UINT64_C(1099511628211);
    return h ^ h >> 29;
}

/* Where the pointer to the entry is, or would be. Only for a map with slots. */
static struct kube_map_entry **find(const struct kube_map *map, const char *key) {
    struct kube_map_entry **at = &map->slots[hash(map, key) & (map->slot_count - 1)];
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

void *kube_map_get(const struct kube_map *map, const char *key) {
    struct kube_map_entry *entry = map->count ? *find(map, key) : NULL;
    return entry ? entry->value : NULL;
}

static void grow(struct kube_map *map) {
    struct kube_map old = *map;
    map->slot_count = old.slot_count ? old.slot_count * 2 : 64;
    map->slots = mem_array(map->slot_count, sizeof(struct kube_map_entry *));
    for (size_t i = 0; i < old.slot_count; i++)
        for (struct kube_map_entry *entry = old.slots[i], *next; entry; entry = next) {
            next = entry->next;
            entry->next = NULL;
            *find(map, entry->key) = entry;
        }
    mem_free(old.slots);
}

void kube_map_put(struct kube_map *map, const char *key, void *value) {
    if (map->count >= map->slot_count)
        grow(map);
    struct kube_map_entry **at = find(map, key);
    if (!*at) {
        size_t bytes = strlen(key) + 1;
        *at = mem_alloc(sizeof(struct kube_map_entry) + bytes);
        memcpy((*at)->key, key, bytes);
        map->count++;
    }
    (*at)->value = value;
}

void *kube_map_remove(struct kube_map *map, const char *key) {
    struct kube_map_entry **at = map->count ? find(map, key) : NULL, *entry = at ? *at : NULL;
    if (!entry)
        return NULL;
    void *value = entry->value;
    *at = entry->next;
    mem_free(entry);
    map->count--;
    return value;
}

void **kube_map_values(const struct kube_map *map) {
    size_t n = 0;
    void **values = map->count ? mem_array(map->count, sizeof(*values)) : NULL;
    for (size_t i = 0; values && i < map->slot_count; i++)
        for (struct kube_map_entry *entry = map->slots[i]; entry; entry = entry->next)
            values[n++] = entry->value;
    return values;
}
