/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What should be there and is not, and the other way round, by names. Of each manifest its name, the one before it and its
 * objects are noted, nothing else: some hundred bytes for each set of one database.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/scrub_int.h"

#define PAGE 1000
#define ORPHAN_AGE CLOCK_HOUR /* an object is there before its manifest: long uploads are none */

struct names {
    char **items; /* relative to the folder; sorted when all are there */
    size_t count, cap;
};

struct reading {
    struct store *store;
    const char *scope, *folder;
    const struct scrub_options *options;
    struct scrub_totals *totals;
    int64_t now;
    size_t prefix; /* bytes of "<scope>/<folder>/" */
    struct names manifests; /* that are there, readable or not */
    struct names previous; /* that a manifest names as the one before it */
    struct names objects; /* that a manifest names */
    struct names seen; /* objects that are there, old enough to have a manifest */
    bool unreadable; /* its objects are not known: no orphans can be told */
    char after[STORE_NAME_MAX];
};

static void names_add(struct names *names, const char *name) {
    names->items = mem_grow(names->items, &names->cap, names->count + 1, sizeof(*names->items));
    names->items[names->count++] = mem_strdup(name);
}

static int name_cmp(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_sort(struct names *names) {
    if (names->count)
        qsort(names->items, names->count, sizeof(*names->items), name_cmp);
}

static bool names_have(const struct names *names, const char *name) {
    return names->count && bsearch(&name, names->items, names->count, sizeof(*names->items), name_cmp);
}

static void names_done(struct names *names) {
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->items[i]);
    mem_free(names->items);
}

static int note_manifest(struct reading *r, const char *name, struct err *err) {
    struct manifest m;
    names_add(&r->manifests, name + r->prefix);
    if (store_read_manifest(r->store, name, &m, err) < 0) {
        if (err->class != ERR_CORRUPT && err->class != ERR_UNSUPPORTED && err->class != ERR_LIMIT && err->class != ERR_NOT_FOUND)
            return -1;
        r->unreadable = true; /* the sets' part tells it */
        err_clear(err);
        return 0;
    }
    if (m.previous[0])
        names_add(&r->previous, m.previous);
    for (size_t i = 0; i < m.object_count; i++)
        names_add(&r->objects, m.objects[i].name);
    manifest_done(&m);
    return 0;
}

static int on_entry(void *user, const struct store_entry *entry, struct err *err) {
    struct reading *r = user;
    str_copy(r->after, sizeof(r->after), entry->name);
    if (r->options->cancel && *r->options->cancel)
        return err_set(err, ERR_CANCELLED, "cancelled at %s", entry->name);
    if (entry->is_folder)
        return 0;
    if (name_is_manifest(entry->name))
        return note_manifest(r, r->after, err);
    if (entry->modified_at && entry->modified_at < r->now - ORPHAN_AGE)
        names_add(&r->seen, entry->name + r->prefix);
    return 0;
}

static int list_kind(struct reading *r, enum backup_kind kind, struct err *err) {
    char prefix[STORE_NAME_MAX];
    if (!str_format(prefix, sizeof(prefix), "%s/%s/%s/", r->scope, r->folder, backup_kind_name(kind)))
        return err_set(err, ERR_LIMIT, "folder '%.100s' has too long a name", r->folder);
    bool more = true;
    for (r->after[0] = 0; more;) {
        more = false;
        if (store_list(r->store, prefix, r->after, PAGE, on_entry, r, &more, err))
            return -1;
    }
    return 0;
}

static void tell(const struct reading *r, enum scrub_kind kind, const char *name, const char *what) {
    char whole[STORE_NAME_MAX];
    struct err err = {0};
    if (name_join(whole, r->scope, r->folder, name, NULL) < 0)
        str_copy(whole, sizeof(whole), name);
    err_set(&err, kind == SCRUB_ORPHAN ? ERR_EXISTS : ERR_NOT_FOUND, "%s: %s", whole, what);
    scrub_found(r->options, r->totals, kind, whole, NULL, &err);
}

static void compare(struct reading *r, const struct scrub_known *known) {
    names_sort(&r->manifests);
    names_sort(&r->objects);
    names_sort(&r->previous);
    for (size_t i = 0; i < r->previous.count; i++) {
        const char *name = r->previous.items[i];
        if (!names_have(&r->manifests, name) && (!i || strcmp(name, r->previous.items[i - 1]) != 0))
            tell(r, SCRUB_MANIFEST_MISSING, name, "a later backup says that this manifest was committed before it; it is gone");
    }
    if (known && known->newest && known->newest[0] && !names_have(&r->manifests, known->newest))
        tell(r, SCRUB_NEWEST_MISSING, known->newest, "this manifest was the newest that was committed; it is gone");
    for (size_t i = 0; i < r->seen.count && !r->unreadable; i++) {
        if (!names_have(&r->objects, r->seen.items[i]))
            tell(r, SCRUB_ORPHAN, r->seen.items[i], "no manifest names this object");
    }
}

int store_scrub_names(struct store *store, const char *scope, const char *folder, const struct scrub_known *known, int64_t now,
                      const struct scrub_options *options, struct scrub_totals *totals, struct err *err) {
    struct reading r = {.store = store,
                        .scope = scope,
                        .folder = folder,
                        .options = options,
                        .totals = totals,
                        .now = now,
                        .prefix = strlen(scope) + strlen(folder) + 2};
    int rc = 0;
    for (enum backup_kind kind = 0; kind < BACKUP_KIND_COUNT && rc == 0; kind++)
        rc = list_kind(&r, kind, err);
    if (rc == 0)
        compare(&r, known);
    names_done(&r.manifests);
    names_done(&r.previous);
    names_done(&r.objects);
    names_done(&r.seen);
    return rc;
}
