/* SPDX-License-Identifier: Apache-2.0 */
/* Paths in use: a hash table over paths without case, for names that are made up keep clear of all that look alike. */
#include <ctype.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/place.h"
#include "common/restore/place_int.h"

struct taken_entry {
    char *path;
    char *owner;
    struct taken_entry *next;
};

struct restore_taken {
    struct taken_entry **buckets;
    size_t bucket_count;
    size_t count;
};

static size_t bucket_of(const char *path, size_t buckets) {
    uint64_t h = UINT64_C(1469598103934665603);
    for (; *path; path++)
        h = (h ^ (uint64_t)tolower((unsigned char)*path)) * UINT64_C(1099511628211);
    return (size_t)(h % buckets);
}

struct restore_taken *restore_taken_new(void) {
    struct restore_taken *taken = mem_alloc(sizeof(*taken));
    taken->bucket_count = 256;
    taken->buckets = mem_array(taken->bucket_count, sizeof(struct taken_entry *));
    return taken;
}

void restore_taken_free(struct restore_taken *taken) {
    for (size_t i = 0; taken && i < taken->bucket_count; i++) {
        struct taken_entry *next;
        for (struct taken_entry *e = taken->buckets[i]; e; e = next) {
            next = e->next;
            mem_free(e->path);
            mem_free(e->owner);
            mem_free(e);
        }
    }
    if (taken)
        mem_free(taken->buckets);
    mem_free(taken);
}

static void grow(struct restore_taken *taken) {
    size_t old_count = taken->bucket_count;
    struct taken_entry **old = taken->buckets;
    taken->bucket_count = old_count * 4;
    taken->buckets = mem_array(taken->bucket_count, sizeof(struct taken_entry *));
    for (size_t i = 0; i < old_count; i++) {
        struct taken_entry *next;
        for (struct taken_entry *e = old[i]; e; e = next) {
            next = e->next;
            size_t at = bucket_of(e->path, taken->bucket_count);
            e->next = taken->buckets[at];
            taken->buckets[at] = e;
        }
    }
    mem_free(old);
}

void restore_taken_add(struct restore_taken *taken, const char *path, const char *owner) {
    char *normal = restore_path_normal(path);
    if (!normal)
        return; /* nothing that could be placed collides with it */
    if (++taken->count > taken->bucket_count * 2)
        grow(taken);
    size_t at = bucket_of(normal, taken->bucket_count);
    struct taken_entry *e = mem_alloc(sizeof(*e));
    *e = (struct taken_entry){.path = normal, .owner = mem_strdup(owner), .next = taken->buckets[at]};
    taken->buckets[at] = e;
}

void restore_taken_add_target(struct restore_taken *taken, const struct restore_target *target, const char *except) {
    const struct target_db *skip = except ? target_find(target, except) : NULL;
    for (size_t i = 0; i < target->file_count; i++) {
        const struct target_file *f = &target->files[i];
        const char *name = "tempdb";
        if (skip && skip->info.id == f->database_id)
            continue;
        for (size_t k = 0; k < target->database_count; k++)
            if (target->databases[k].info.id == f->database_id)
                name = target->databases[k].info.name;
        _cleanup_free_ char *owner = mem_printf("database '%s'", name);
        restore_taken_add(taken, f->file.physical, owner);
    }
}

static const char *taken_exact(const struct restore_taken *taken, const char *normal, bool fold) {
    for (const struct taken_entry *e = taken->buckets[bucket_of(normal, taken->bucket_count)]; e; e = e->next)
        if (fold ? str_ieq(e->path, normal) : !strcmp(e->path, normal))
            return e->owner;
    return NULL;
}

const char *taken_lookup(const struct restore_taken *taken, const char *normal, bool fold) {
    _cleanup_free_ char *folder = mem_strdup(normal);
    const char *owner = taken_exact(taken, normal, fold);
    /* A path below one that is taken: that one is a directory of somebody's data. */
    for (char *slash = strrchr(folder, '/'); !owner && slash && slash != folder; slash = strrchr(folder, '/')) {
        *slash = 0;
        owner = taken_exact(taken, folder, fold);
    }
    return owner;
}

const char *restore_taken_find(const struct restore_taken *taken, const char *path) {
    _cleanup_free_ char *normal = restore_path_normal(path);
    return normal ? taken_lookup(taken, normal, false) : NULL;
}
