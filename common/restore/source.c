/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/source_int.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

static int by_name(const void *a, const void *b) {
    const struct source_database *x = a, *y = b;
    int rc = strcmp(x->name, y->name);
    return rc ? rc : strcmp(x->folder, y->folder);
}

int source_databases(struct source *source, struct source_list *ret_list, struct err *err) {
    struct source_list list = {0};
    if (source->ops->list(source, &list, err) < 0)
        return -1;
    if (list.count)
        qsort(list.items, list.count, sizeof(*list.items), by_name);
    *ret_list = list;
    return 0;
}

void source_list_done(struct source_list *list) {
    mem_free(list->items);
    *list = (struct source_list){0};
}

bool source_list_repeats(const struct source_list *list, size_t index) {
    for (size_t i = 0; i < index; i++)
        if (str_ieq(list->items[i].name, list->items[index].name))
            return true;
    return false;
}

int source_history(struct source *source, const char *folder, bool with_marks, struct source_history *ret_history,
                   struct err *err) {
    struct source_history h = {0};
    if (source->ops->history(source, folder, with_marks, &h, err) < 0) {
        source_history_done(&h);
        return err_context(err, "backups of %s", folder);
    }
    if (!h.count && h.unreadable_total) {
        err_set(err, ERR_CORRUPT, "backups of %s: none of %zu manifests can be read, the first one: %s", folder,
                h.unreadable_total, h.unreadable[0].err.text);
        source_history_done(&h);
        return -1;
    }
    *ret_history = h;
    return 0;
}

void source_history_done(struct source_history *h) {
    for (size_t i = 0; i < h->mark_count; i++)
        mem_free((char *)(uintptr_t)h->marks[i].name);
    mem_free(h->sets);
    mem_free(h->holes);
    mem_free(h->marks);
    mem_free(h->unreadable);
    *h = (struct source_history){0};
}

int source_manifest(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m,
                    struct err *err) {
    struct manifest m;
    if (source->ops->manifest(source, folder, set, &m, err) < 0)
        return -1;
    /* The name of a manifest has eight digits of the set's GUID only. */
    if (!guid_eq(&m.backup.set_guid, &set->set_guid) || m.backup.kind != set->kind ||
        lsn_cmp(m.backup.last_lsn, set->last_lsn) != 0) {
        manifest_done(&m);
        return err_set(err, ERR_CORRUPT, "the manifest of a %s backup in %s describes another one", backup_kind_name(set->kind),
                       folder);
    }
    *ret_m = m;
    return 0;
}

int source_probe(struct source *source, const char *folder, const struct manifest *m, struct err *err) {
    return source->ops->probe(source, folder, m, err);
}

int source_fetch(struct source *source, const char *folder, const struct manifest_object *object, const struct pipe_sink *sink,
                 const struct pipe_control *control, struct err *err) {
    return source->ops->fetch(source, folder, object, sink, control, err);
}

int source_store_probe(struct store *store, const char *scope, const char *folder, const struct manifest *m, struct err *err) {
    for (size_t i = 0; i < m->object_count; i++) {
        const struct manifest_object *o = &m->objects[i];
        char name[STORE_NAME_MAX];
        struct store_entry entry;
        if (name_join(name, scope, folder, o->name, err) < 0)
            return -1;
        if (store_stat(store, name, &entry, err) < 0)
            return err_context(err, "object %s", name);
        if (entry.bytes != o->stored_bytes)
            return err_set(err, ERR_CORRUPT, "object %s has %llu bytes, its manifest says %llu", name,
                           (unsigned long long)entry.bytes, (unsigned long long)o->stored_bytes);
    }
    return 0;
}

void source_history_unreadable(struct source_history *h, size_t *cap, const char *name, const struct err *why) {
    h->unreadable_total++;
    if (h->unreadable_count >= SOURCE_UNREADABLE_KEPT)
        return;
    h->unreadable = mem_grow(h->unreadable, cap, h->unreadable_count + 1, sizeof(*h->unreadable));
    struct source_unreadable *u = &h->unreadable[h->unreadable_count++];
    str_copy(u->name, sizeof(u->name), name);
    u->err = *why;
}

void source_history_marks(struct source_history *h, size_t *cap, const struct manifest *m) {
    for (size_t i = 0; i < m->mark_count; i++) {
        h->marks = mem_grow(h->marks, cap, h->mark_count + 1, sizeof(*h->marks));
        h->marks[h->mark_count++] = (struct chain_log_mark){
            .name = mem_strdup(m->marks[i].name), .lsn = m->marks[i].lsn, .at = m->marks[i].at, .set = m->backup.set_guid};
    }
}

void source_free(struct source *source) {
    if (source)
        source->ops->free(source);
}

/* ---- by name ---- */

struct rank {
    size_t index;
    int64_t newest_at;
};

static int newest_first(const void *a, const void *b) {
    const struct rank *x = a, *y = b;
    return (x->newest_at < y->newest_at) - (x->newest_at > y->newest_at);
}

/* 3 a folder, 2 its name, 1 a name that it had, 0 none of these. */
static int how_near(const struct source_database *db, const char *name) {
    if (!strcmp(db->folder, name))
        return 3;
    if (str_ieq(db->name, name))
        return 2;
    for (unsigned i = 0; i < db->older_count; i++)
        if (str_ieq(db->older[i], name))
            return 1;
    return 0;
}

static int not_there(const struct source_list *list, const char *name, struct err *err) {
    const char **names = mem_array(list->count + 1, sizeof(*names));
    for (size_t i = 0; i < list->count; i++)
        names[i] = list->items[i].name;
    const char *near = str_nearest(name, names, list->count);
    err_set(err, ERR_NOT_FOUND, "there is no backup of a database '%s'", name);
    if (near)
        err_hint(err, "There is '%s'", near);
    mem_free(names);
    return -1;
}

int source_find(const struct source_list *list, const char *name, size_t **ret_indexes, size_t *ret_count, struct err *err) {
    struct rank *found = mem_array(list->count + 1, sizeof(*found));
    size_t count = 0;
    for (int near = 3; near > 0 && !count; near--)
        for (size_t i = 0; i < list->count; i++)
            if (how_near(&list->items[i], name) == near)
                found[count++] = (struct rank){i, list->items[i].newest_at};
    if (!count) {
        mem_free(found);
        return not_there(list, name, err);
    }
    qsort(found, count, sizeof(*found), newest_first);
    size_t *indexes = mem_array(count, sizeof(*indexes));
    for (size_t i = 0; i < count; i++)
        indexes[i] = found[i].index;
    mem_free(found);
    *ret_indexes = indexes;
    *ret_count = count;
    return 0;
}
