/* SPDX-License-Identifier: Apache-2.0 */
/* What a store holds, found by its folders alone. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/backups.h"

#define PAGE 1000

/* Calls fn with the last segment of every folder under prefix. */
struct folder_walk {
    int (*fn)(void *user, const char *prefix, const char *folder, struct err *err);
    void *user;
    const char *prefix;
    char after[STORE_NAME_MAX];
};

static int on_folder(void *user, const struct store_entry *entry, struct err *err) {
    struct folder_walk *walk = user;
    str_copy(walk->after, sizeof(walk->after), entry->name);
    if (!entry->is_folder)
        return 0;
    const char *tail = entry->name + strlen(walk->prefix);
    _cleanup_free_ char *folder = mem_strndup(tail, strlen(tail) - 1);
    return walk->fn(walk->user, walk->prefix, folder, err);
}

static int each_folder(struct store *store, const char *prefix, int (*fn)(void *, const char *, const char *, struct err *),
                       void *user, struct err *err) {
    struct folder_walk walk = {.fn = fn, .user = user, .prefix = prefix};
    bool more = true;
    while (more) {
        more = false;
        int rc = store_list(store, prefix, walk.after, PAGE, on_folder, &walk, &more, err);
        if (rc)
            return rc;
    }
    return 0;
}

/* ---- instances ---- */

struct instances {
    struct store *store;
    store_scope_fn *fn;
    void *user;
};

static int on_instance(void *user, const char *prefix, const char *folder, struct err *err) {
    struct instances *in = user;
    _cleanup_free_ char *kube_namespace = mem_strndup(prefix, strlen(prefix) - 1);
    char scope[NAME_SCOPE_MAX];
    if (name_scope(scope, kube_namespace, folder, NULL) < 0)
        return 0;
    return in->fn(in->user, scope, err);
}

/* A volume has folders of its own (lost+found): what is no DNS name is none of ours. */
static int on_namespace(void *user, const char *prefix, const char *folder, struct err *err) {
    (void)prefix;
    struct instances *in = user;
    char scope[NAME_SCOPE_MAX];
    if (name_scope(scope, folder, "x", NULL) < 0)
        return 0;
    _cleanup_free_ char *inside = mem_printf("%s/", folder);
    return each_folder(in->store, inside, on_instance, in, err);
}

int store_list_instances(struct store *store, store_scope_fn *fn, void *user, struct err *err) {
    struct instances in = {store, fn, user};
    return each_folder(store, "", on_namespace, &in, err);
}

/* ---- databases ---- */

struct databases {
    store_folder_fn *fn;
    void *user;
};

static int on_database(void *user, const char *prefix, const char *folder, struct err *err) {
    (void)prefix;
    struct databases *in = user;
    return strchr(folder, '~') ? in->fn(in->user, folder, err) : 0;
}

int store_list_databases(struct store *store, const char *scope, store_folder_fn *fn, void *user, struct err *err) {
    struct databases in = {fn, user};
    _cleanup_free_ char *prefix = mem_printf("%s/", scope);
    return each_folder(store, prefix, on_database, &in, err);
}

/* ---- manifests ---- */

struct manifests {
    struct store_cursor *cursor;
    unsigned left;
    store_entry_fn *fn;
    void *user;
    bool full; /* ended by ourselves */
};

static int on_manifest(void *user, const struct store_entry *entry, struct err *err) {
    struct manifests *in = user;
    if (!entry->is_folder && name_is_manifest(entry->name)) {
        if (!in->left) {
            in->full = true;
            return 1;
        }
        int rc = in->fn(in->user, entry, err);
        if (rc)
            return rc;
        in->left--;
    }
    str_copy(in->cursor->after, sizeof(in->cursor->after), entry->name);
    return 0;
}

int store_list_manifests(struct store *store, const char *scope, const char *folder, struct store_cursor *cursor, unsigned limit,
                         store_entry_fn *fn, void *user, struct err *err) {
    struct manifests in = {.cursor = cursor, .left = limit ? limit : PAGE, .fn = fn, .user = user};
    /* Objects are listed between the manifests, so a page of the store has twice as many. */
    unsigned page = in.left > UINT32_MAX / 2 ? UINT32_MAX : in.left * 2;
    while (cursor->kind < BACKUP_KIND_COUNT) {
        char prefix[STORE_NAME_MAX];
        if (!str_format(prefix, sizeof(prefix), "%s/%s/%s/", scope, folder, backup_kind_name((enum backup_kind)cursor->kind)))
            return err_set(err, ERR_LIMIT, "folder '%.100s' has too long a name", folder);
        bool more = false;
        int rc = store_list(store, prefix, cursor->after, page, on_manifest, &in, &more, err);
        if (in.full)
            return 0;
        if (rc)
            return rc;
        if (more)
            continue;
        cursor->kind++;
        cursor->after[0] = 0;
    }
    return 0;
}
