/* SPDX-License-Identifier: Apache-2.0 */
/* A store alone: everything is found by listing and reading manifests. */
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/manifests.h"
#include "common/restore/source_int.h"

#define READERS_DEFAULT 8
#define NEWEST_READ 4
#define NAMES_FROM_FULLS 64 /* newest ones whose manifests are read for names that the database had */

struct store_source {
    struct source base;
    struct store *store;
    char scope[NAME_SCOPE_MAX];
    unsigned readers;
};

static struct store_source *of(struct source *source) {
    return container_of(source, struct store_source, base);
}

/* ---- what the databases are called ---- */

struct listing {
    struct store_source *source;
    struct source_list list;
    size_t cap;
};

static bool has_name(const struct source_database *db, const char *name) {
    if (!strcmp(db->name, name))
        return true;
    for (unsigned i = 0; i < db->older_count; i++)
        if (!strcmp(db->older[i], name))
            return true;
    return false;
}

/* Manifests come newest first. */
static int take_names(void *user, const char *name, struct manifest *m, const struct err *why, struct err *err) {
    struct source_database *db = user;
    (void)name, (void)err, (void)why;
    if (!m)
        return 0; /* found again, and told, when its history is loaded */
    if (!db->name[0]) {
        str_copy(db->name, sizeof(db->name), m->database);
        db->family_guid = m->backup.family_guid;
        db->database_guid = m->backup.database_guid;
        db->newest_at = m->backup.finish_at;
    } else if (db->older_count < SOURCE_OLDER_NAMES_MAX && !has_name(db, m->database)) {
        str_copy(db->older[db->older_count++], SOURCE_NAME_MAX, m->database);
    }
    return 0;
}

static int newest_finish_first(const void *a, const void *b) {
    return strncmp(manifest_name_finish(*(char *const *)b), manifest_name_finish(*(char *const *)a), 16);
}

static bool is_full(const char *name) {
    return strstr(name, "/full/") != NULL;
}

static int read_names(struct listing *l, struct manifest_names *names, size_t from, bool all, struct source_database *db,
                      struct err *err) {
    char **wanted = mem_array(names->count + 1, sizeof(*wanted));
    size_t count = 0;
    for (size_t i = from; i < names->count && (all || count < NAMES_FROM_FULLS); i++)
        if (all || i < NEWEST_READ || is_full(names->items[i]))
            wanted[count++] = names->items[i];
    int rc = manifests_read(l->source->store, wanted, count, l->source->readers, take_names, db, err);
    mem_free(wanted);
    return rc;
}

/* "Sales%20DB~1f2e3d4c" -> "Sales DB": what the folder says where no manifest does. */
static void name_from_folder(struct source_database *db) {
    const char *end = strrchr(db->folder, '~');
    size_t len = end ? (size_t)(end - db->folder) : strlen(db->folder), at = 0;
    for (size_t i = 0; i < len && at + 1 < sizeof(db->name); i++) {
        char digits[3] = {0};
        if (db->folder[i] == '%' && i + 2 < len) {
            memcpy(digits, db->folder + i + 1, 2);
            i += 2;
        }
        db->name[at++] = digits[0] ? (char)strtoul(digits, NULL, 16) : db->folder[i];
    }
    db->name[at] = 0;
    if (!str_is_clean_utf8(db->name, at))
        str_copy(db->name, sizeof(db->name), db->folder);
}

/* A restore of everything must not leave it out without a word. */
static void list_unreadable(const struct manifest_names *names, struct source_database *db) {
    const char *f = manifest_name_finish(names->items[0]);
    char at[CLOCK_TEXT_MAX];
    name_from_folder(db);
    db->unreadable = true;
    if (*f && str_format(at, sizeof(at), "%.4s-%.2s-%.5s:%.2s:%.3s", f, f + 4, f + 6, f + 11, f + 13))
        (void)clock_parse(at, &db->newest_at);
}

static int on_folder(void *user, const char *folder, struct err *err) {
    struct listing *l = user;
    struct manifest_names names;
    struct source_database db = {0};
    str_copy(db.folder, sizeof(db.folder), folder);
    if (manifest_names_list(l->source->store, l->source->scope, folder, &names, err) < 0)
        return -1;
    if (names.count)
        qsort(names.items, names.count, sizeof(*names.items), newest_finish_first);
    /* The newest few, in case the very newest cannot be read, then fulls; any, when these cannot be read. */
    int rc = read_names(l, &names, 0, false, &db, err);
    if (rc == 0 && !db.name[0] && names.count > NEWEST_READ)
        rc = read_names(l, &names, NEWEST_READ, true, &db, err);
    if (rc == 0 && !db.name[0] && names.count)
        list_unreadable(&names, &db);
    if (rc == 0 && db.name[0]) {
        l->list.items = mem_grow(l->list.items, &l->cap, l->list.count + 1, sizeof(*l->list.items));
        l->list.items[l->list.count++] = db;
    }
    manifest_names_done(&names);
    return rc;
}

static int store_source_list(struct source *source, struct source_list *ret_list, struct err *err) {
    struct listing l = {.source = of(source)};
    if (store_list_databases(l.source->store, l.source->scope, on_folder, &l, err)) {
        source_list_done(&l.list);
        return -1;
    }
    *ret_list = l.list;
    return 0;
}

/* ---- histories ---- */

struct loading {
    struct source_history *h;
    size_t cap, mark_cap, unreadable_cap;
    bool with_marks;
};

static int take_set(void *user, const char *name, struct manifest *m, const struct err *why, struct err *err) {
    struct loading *l = user;
    struct source_history *h = l->h;
    if (!m && why->class == ERR_NOT_FOUND)
        return 0; /* pruned meanwhile */
    if (!m && why->class != ERR_CORRUPT && why->class != ERR_UNSUPPORTED && why->class != ERR_LIMIT) {
        err_copy(err, why);
        return -1;
    }
    if (!m) {
        source_history_unreadable(h, &l->unreadable_cap, name, why);
        return 0;
    }
    h->sets = mem_grow(h->sets, &l->cap, h->count + 1, sizeof(*h->sets));
    h->sets[h->count++] = m->backup;
    if (l->with_marks)
        source_history_marks(h, &l->mark_cap, m);
    return 0;
}

static int store_source_history(struct source *source, const char *folder, bool with_marks, struct source_history *ret_history,
                                struct err *err) {
    struct store_source *s = of(source);
    struct loading l = {.h = ret_history, .with_marks = with_marks};
    struct manifest_names names;
    if (manifest_names_list(s->store, s->scope, folder, &names, err) < 0)
        return -1;
    int rc = manifests_read(s->store, names.items, names.count, s->readers, take_set, &l, err);
    manifest_names_done(&names);
    return rc;
}

/* ---- one set ---- */

static int store_source_manifest(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m,
                                 struct err *err) {
    struct store_source *s = of(source);
    return store_find_backup(s->store, s->scope, folder, set, ret_m, err);
}

static int store_source_probe(struct source *source, const char *folder, const struct manifest *m, struct err *err) {
    struct store_source *s = of(source);
    return source_store_probe(s->store, s->scope, folder, m, err);
}

static int store_source_fetch(struct source *source, const char *folder, const struct manifest_object *object,
                              const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) {
    struct store_source *s = of(source);
    return store_fetch_object(s->store, s->scope, folder, object, sink, control, err);
}

static void store_source_free(struct source *source) {
    mem_free(of(source));
}

int source_store_open(struct store *store, const char *scope, unsigned readers, struct source **ret_source, struct err *err) {
    static const struct source_ops ops = {
        .list = store_source_list,
        .history = store_source_history,
        .manifest = store_source_manifest,
        .probe = store_source_probe,
        .fetch = store_source_fetch,
        .free = store_source_free,
    };
    struct store_source *s = mem_alloc(sizeof(*s));
    s->base.ops = &ops;
    s->store = store;
    s->readers = readers ? readers : READERS_DEFAULT;
    if (!str_copy(s->scope, sizeof(s->scope), scope)) {
        mem_free(s);
        return err_set(err, ERR_USAGE, "the scope is too long");
    }
    *ret_source = &s->base;
    return 0;
}
