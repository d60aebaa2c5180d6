/* SPDX-License-Identifier: Apache-2.0 */
/* A store with the catalog that a sidecar keeps of it: histories without reading manifests. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/manifests.h"
#include "common/restore/source_int.h"
#include "common/store/catalog.h"

#define MARK_READERS 8

struct catalog_source {
    struct source base;
    struct source_catalog_params params;
    char scope[NAME_SCOPE_MAX];
    char *path;
};

static struct catalog_source *of(struct source *source) {
    return container_of(source, struct catalog_source, base);
}

static int catalog_source_list(struct source *source, struct source_list *ret_list, struct err *err) {
    struct catalog *catalog;
    if (catalog_open_reader(of(source)->path, &catalog, err) < 0)
        return -1;
    size_t n = catalog_database_count(catalog);
    struct source_list list = {.items = mem_array(n + 1, sizeof(*list.items))};
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i++) {
        const struct catalog_database *db = catalog_database_at(catalog, (uint32_t)i);
        struct catalog_entry entry = {.index = CATALOG_NONE};
        if (!db || !db->sets)
            continue;
        struct source_database *out = &list.items[list.count++];
        str_copy(out->folder, sizeof(out->folder), db->folder);
        str_copy(out->name, sizeof(out->name), db->name);
        out->family_guid = db->family_guid;
        out->database_guid = db->database_guid;
        int found = catalog_previous(catalog, db->id, &entry, err);
        rc = found < 0 ? -1 : 0;
        if (found > 0)
            out->newest_at = entry.backup.finish_at;
    }
    catalog_free(catalog);
    if (rc < 0) {
        source_list_done(&list);
        return -1;
    }
    *ret_list = list;
    return 0;
}

static int take_marks(void *user, const char *name, struct manifest *m, const struct err *why, struct err *err) {
    struct source_history *h = user;
    size_t cap = h->mark_count;
    (void)name, (void)err, (void)why;
    if (m)
        source_history_marks(h, &cap, m);
    return 0;
}

/* The catalog has no names of transactions: manifests of logs have them. */
static int load_marks(struct catalog_source *s, const char *folder, struct source_history *h, struct err *err) {
    char **names = mem_array(h->count + 1, sizeof(*names));
    size_t count = 0;
    int rc = 0;
    for (size_t i = 0; i < h->count && rc == 0; i++) {
        char rest[STORE_NAME_MAX], whole[STORE_NAME_MAX];
        if (h->sets[i].kind != BACKUP_LOG)
            continue;
        name_manifest(rest, &h->sets[i]);
        rc = name_join(whole, s->scope, folder, rest, err);
        if (rc == 0)
            names[count++] = mem_strdup(whole);
    }
    if (rc == 0)
        rc = manifests_read(s->params.store, names, count, MARK_READERS, take_marks, h, err);
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
    return rc;
}

static int catalog_source_history(struct source *source, const char *folder, bool with_marks, struct source_history *ret_history,
                                  struct err *err) {
    struct catalog_source *s = of(source);
    struct catalog *catalog;
    if (catalog_open_reader(s->path, &catalog, err) < 0)
        return -1;
    const struct catalog_database *db = catalog_database_by_folder(catalog, folder);
    int rc = db ? catalog_load(catalog, db->id, &ret_history->sets, &ret_history->count, err)
                : err_set(err, ERR_NOT_FOUND, "the catalog has no database in '%s'", folder);
    catalog_free(catalog);
    if (rc == 0 && with_marks)
        rc = load_marks(s, folder, ret_history, err);
    if (rc == 0 && s->params.extras)
        rc = s->params.extras(s->params.user, folder, ret_history, err);
    return rc;
}

static int catalog_source_manifest(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m,
                                   struct err *err) {
    struct catalog_source *s = of(source);
    return store_find_backup(s->params.store, s->scope, folder, set, ret_m, err);
}

static int catalog_source_probe(struct source *source, const char *folder, const struct manifest *m, struct err *err) {
    struct catalog_source *s = of(source);
    return source_store_probe(s->params.store, s->scope, folder, m, err);
}

static int catalog_source_fetch(struct source *source, const char *folder, const struct manifest_object *object,
                                const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) {
    struct catalog_source *s = of(source);
    return store_fetch_object(s->params.store, s->scope, folder, object, sink, control, err);
}

static void catalog_source_free(struct source *source) {
    struct catalog_source *s = of(source);
    mem_free(s->path);
    mem_free(s);
}

int source_catalog_open(const struct source_catalog_params *params, struct source **ret_source, struct err *err) {
    static const struct source_ops ops = {
        .list = catalog_source_list,
        .history = catalog_source_history,
        .manifest = catalog_source_manifest,
        .probe = catalog_source_probe,
        .fetch = catalog_source_fetch,
        .free = catalog_source_free,
    };
    struct catalog_source *s = mem_alloc(sizeof(*s));
    s->base.ops = &ops;
    s->params = *params;
    if (!str_copy(s->scope, sizeof(s->scope), params->scope)) {
        mem_free(s);
        return err_set(err, ERR_USAGE, "the scope is too long");
    }
    s->path = mem_strdup(params->catalog_path);
    *ret_source = &s->base;
    return 0;
}
