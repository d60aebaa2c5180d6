/* SPDX-License-Identifier: Apache-2.0 */
/* From a text to a pointer. Names come from outside, so the hash has a seed of its own. */
#ifndef MSSQL_KUBE_MAP_H
#define MSSQL_KUBE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct kube_map_entry;
struct kube_map {
    struct kube_map_entry **slots;
    size_t slot_count, count;
    uint64_t seed;
};

void kube_map_init(struct kube_map *map);
/* Does not free the values. */
void kube_map_done(struct kube_map *map);
void *kube_map_get(const struct kube_map *map, const char *key);
/* Copies the key. value must not be NULL; one that is there already is replaced. */
void kube_map_put(struct kube_map *map, const char *key, void *value);
/* The value, NULL when there was none. */
void *kube_map_remove(struct kube_map *map, const char *key);
/* All values, in no order: the array is the caller's, mem_free() it. NULL when there are none. */
void **kube_map_values(const struct kube_map *map);

#endif
