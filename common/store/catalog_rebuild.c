/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog from the manifests. One database at a time is kept in memory, 350 bytes per set, so that its sets can be
 * put into the order of their commits.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/backups.h"
#include "common/store/catalog_int.h"
#include "common/store/holds.h"

#define PAGE 8192 /* names; a listing scans the whole folder for each page */

struct found {
    struct backup backup;
    struct catalog_note note;
    uint64_t sequence;
};

struct gathering {
    struct store *store;
    const char *scope;
    const struct catalog_rebuild_control *control;
    struct catalog_rebuild_result *result;
    struct catalog *into;
    const char *folder;
    struct found *sets;
    size_t count, cap;
    struct manifest newest; /* of the commit with the greatest sequence: the database's name as it is now */
    bool has_newest;
};

static int leave_out(struct gathering *g, const char *name, const struct err *why) {
    if (!g->result->unreadable++) {
        str_copy(g->result->first_unreadable, sizeof(g->result->first_unreadable), name);
        err_copy(&g->result->first_error, why);
    }
    if (g->control->unreadable)
        g->control->unreadable(g->control->user, name, why);
    return 0;
}

static int order(const void *x, const void *y) {
    const struct found *a = x, *b = y;
    if (a->sequence != b->sequence)
        return a->sequence < b->sequence ? -1 : 1;
    if (a->backup.finish_at != b->backup.finish_at)
        return a->backup.finish_at < b->backup.finish_at ? -1 : 1;
    int lsn = lsn_cmp(a->backup.last_lsn, b->backup.last_lsn);
    return lsn ? lsn : memcmp(a->backup.set_guid.bytes, b->backup.set_guid.bytes, sizeof(a->backup.set_guid.bytes));
}

static bool is_newer(const struct manifest *a, const struct manifest *b) {
    struct found x = {.backup = a->backup, .sequence = a->sequence}, y = {.backup = b->backup, .sequence = b->sequence};
    return order(&x, &y) > 0;
}

/* A manifest that cannot be read is left out and told; a store that cannot be read ends it all. */
static int on_manifest(void *user, const struct store_entry *entry, struct err *err) {
    struct gathering *g = user;
    if (g->control->cancel && atomic_load(g->control->cancel))
        return err_set(err, ERR_CANCELLED, "cancelled");
    struct manifest m;
    struct err why = {0};
    if (store_read_manifest(g->store, entry->name, &m, &why) < 0) {
        if (why.class == ERR_NOT_FOUND) /* pruned meanwhile */
            return 0;
        if (why.class == ERR_CORRUPT || why.class == ERR_UNSUPPORTED || why.class == ERR_LIMIT)
            return leave_out(g, entry->name, &why);
        err_copy(err, &why);
        return -1;
    }
    g->sets = mem_grow(g->sets, &g->cap, g->count + 1, sizeof(*g->sets));
    struct found *f = &g->sets[g->count++];
    *f = (struct found){.backup = m.backup, .sequence = m.sequence};
    catalog_note_of(&m, &f->note);
    if (!g->has_newest || is_newer(&m, &g->newest)) {
        if (g->has_newest)
            manifest_done(&g->newest);
        g->newest = m;
        g->has_newest = true;
    } else {
        manifest_done(&m);
    }
    if (g->control->progress)
        g->control->progress(g->control->user, g->folder, g->result->sets + g->count);
    return 0;
}

static int on_hold(void *user, const struct hold *hold, struct err *err) {
    (void)err;
    struct gathering *g = user;
    for (size_t i = 0; i < g->count; i++)
        if (!guid_is_zero(&hold->set_guid) && guid_eq(&hold->set_guid, &g->sets[i].backup.set_guid))
            g->sets[i].backup.flags |= BACKUP_HELD;
    return 0;
}

static int pour(struct gathering *g, bool check_same, struct err *err) {
    uint32_t id;
    const struct manifest *m = &g->newest;
    if (catalog_database_put(g->into, g->folder, m->database, &m->backup.family_guid, &m->backup.database_guid, &id, err) < 0)
        return -1;
    qsort(g->sets, g->count, sizeof(*g->sets), order);
    for (size_t i = 0; i < g->count; i++) {
        const struct found *f = &g->sets[i];
        int rc = check_same
                     ? catalog_append_noted(g->into, id, &f->backup, &f->note, f->sequence, err)
                     : catalog_append_unchecked(g->into, catalog_db_at(g->into, id), &f->backup, &f->note, f->sequence, err);
        if (rc < 0)
            return -1;
    }
    g->result->sets += g->count;
    g->result->databases++;
    return 0;
}

static void gathering_reset(struct gathering *g) {
    if (g->has_newest)
        manifest_done(&g->newest);
    g->has_newest = false;
    g->count = 0;
}

static int gather(struct gathering *g, struct store_cursor *cursor, struct err *err) {
    while (cursor->kind < BACKUP_KIND_COUNT) {
        int rc = store_list_manifests(g->store, g->scope, g->folder, cursor, PAGE, on_manifest, g, err);
        if (rc)
            return -1;
    }
    return 0;
}

static int on_database(void *user, const char *folder, struct err *err) {
    struct gathering *g = user;
    g->folder = folder;
    struct store_cursor cursor = {0};
    int rc = gather(g, &cursor, err);
    if (rc == 0 && g->count)
        rc = hold_list(g->store, g->scope, folder, on_hold, g, err);
    if (rc == 0 && g->count)
        rc = pour(g, false, err);
    gathering_reset(g);
    return rc;
}

/* The generation goes on from the file that is there, so that readers notice. */
static uint64_t next_generation(const char *path) {
    struct catalog_header h;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return 1;
    bool ok = read(fd, &h, sizeof(h)) == (ssize_t)sizeof(h) && h.magic == CATALOG_MAGIC;
    close(fd);
    return ok ? h.generation + 1 : 1;
}

static int rebuild_locked(const char *path, const struct hash *identity, struct gathering *g, struct err *err) {
    _cleanup_free_ char *fresh = mem_printf("%s.new", path);
    if (catalog_create(fresh, identity, next_generation(path), &g->into, err) < 0)
        return -1;
    int rc = store_list_databases(g->store, g->scope, on_database, g, err) ? -1 : 0;
    mem_free(g->sets);
    if (rc == 0)
        rc = catalog_checkpoint(g->into, err) < 0 || catalog_install(g->into, path, err) < 0 ? -1 : 0;
    catalog_free(g->into);
    if (rc < 0)
        (void)unlink(fresh);
    return rc;
}

int catalog_rebuild(const char *path, const char *identity, const char *scope, struct store *store,
                    const struct catalog_rebuild_control *control, struct catalog_rebuild_result *ret_result, struct err *err) {
    static const struct catalog_rebuild_control nothing;
    struct catalog_rebuild_result result = {0};
    struct gathering g = {.store = store, .scope = scope, .control = control ? control : &nothing, .result = &result};
    struct hash hash;
    int lock;
    if (catalog_identity(identity, scope, &hash, err) < 0 || catalog_take_lock(path, &lock, err) < 0)
        return -1;
    int rc = rebuild_locked(path, &hash, &g, err);
    close(lock);
    if (rc < 0)
        return err_context(err, "catalog from the store");
    if (ret_result)
        *ret_result = result;
    return 0;
}

/* ---- catching up ---- */

/* Names of sets that are known, as hashes: eight bytes each, of one database at a time. */
struct known {
    struct gathering *g;
    uint64_t *hashes;
    size_t count, cap;
};

static uint64_t hash_name(const char *kind_and_stem) {
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *kind_and_stem; kind_and_stem++)
        h = (h ^ (unsigned char)*kind_and_stem) * UINT64_C(1099511628211);
    return h;
}

static int order_hash(const void *x, const void *y) {
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

static int add_known(void *user, const struct catalog_entry *entry) {
    struct known *k = user;
    char name[STORE_NAME_MAX];
    name_manifest(name, &entry->backup);
    k->hashes = mem_grow(k->hashes, &k->cap, k->count + 1, sizeof(*k->hashes));
    k->hashes[k->count++] = hash_name(name);
    return 0;
}

static int collect_known(struct known *k, const struct catalog_database *db, struct err *err) {
    int rc = db ? catalog_each(k->g->into, db->id, add_known, k, err) : 0;
    if (k->count)
        qsort(k->hashes, k->count, sizeof(*k->hashes), order_hash);
    return rc;
}

static int on_name(void *user, const struct store_entry *entry, struct err *err) {
    struct known *k = user;
    const char *name = strstr(entry->name, k->g->folder) + strlen(k->g->folder) + 1;
    uint64_t hash = hash_name(name);
    bool known = k->count && bsearch(&hash, k->hashes, k->count, sizeof(*k->hashes), order_hash);
    return known ? 0 : on_manifest(k->g, entry, err);
}

static int on_database_catch_up(void *user, const char *folder, struct err *err) {
    struct gathering *g = user;
    g->folder = folder;
    struct known k = {.g = g};
    struct store_cursor cursor = {0};
    int rc = collect_known(&k, catalog_database_by_folder(g->into, folder), err);
    while (rc == 0 && cursor.kind < BACKUP_KIND_COUNT)
        rc = store_list_manifests(g->store, g->scope, folder, &cursor, PAGE, on_name, &k, err) ? -1 : 0;
    mem_free(k.hashes);
    if (rc == 0 && g->count)
        rc = pour(g, true, err);
    gathering_reset(g);
    return rc;
}

int catalog_catch_up(struct catalog *c, struct store *store, uint64_t *ret_added, struct err *err) {
    static const struct catalog_rebuild_control nothing;
    struct catalog_rebuild_result result = {0};
    if (!c->scope)
        return err_set(err, ERR_INTERNAL, "catalog %s was opened for reading", c->path);
    struct gathering g = {.store = store, .scope = c->scope, .control = &nothing, .result = &result, .into = c};
    uint64_t before = c->live;
    int rc = store_list_databases(store, c->scope, on_database_catch_up, &g, err) ? -1 : 0;
    mem_free(g.sets);
    if (rc == 0)
        rc = catalog_sync(c, err);
    if (rc == 0 && ret_added)
        *ret_added = c->live - before;
    return rc;
}
