/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/manifests.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"

#define PAGE 8192
#define BATCH 256 /* parsed manifests in memory at once */
#define READERS_MAX 64
#define FINISH_AT (25 + 1 + 25 + 1) /* in the last segment */

/* ---- names ---- */

static int on_name(void *user, const struct store_entry *entry, struct err *err) {
    struct manifest_names *names = user;
    (void)err;
    names->items = mem_grow(names->items, &names->cap, names->count + 1, sizeof(*names->items));
    names->items[names->count++] = mem_strdup(entry->name);
    return 0;
}

int manifest_names_list(struct store *store, const char *scope, const char *folder, struct manifest_names *ret_names,
                        struct err *err) {
    struct manifest_names names = {0};
    struct store_cursor cursor = {0};
    while (cursor.kind < BACKUP_KIND_COUNT)
        if (store_list_manifests(store, scope, folder, &cursor, PAGE, on_name, &names, err)) {
            manifest_names_done(&names);
            return -1;
        }
    *ret_names = names;
    return 0;
}

void manifest_names_done(struct manifest_names *names) {
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->items[i]);
    mem_free(names->items);
    *names = (struct manifest_names){0};
}

const char *manifest_name_finish(const char *name) {
    const char *slash = strrchr(name, '/');
    const char *stem = slash ? slash + 1 : name;
    return strlen(stem) > FINISH_AT + 16 ? stem + FINISH_AT : "";
}

/* ---- reading ---- */

struct slot {
    struct manifest m;
    struct err err;
    bool good;
};

struct batch {
    struct store *store;
    char *const *names;
    size_t count;
    atomic_size_t next;
    struct slot *slots;
};

static void *reader(void *arg) {
    struct batch *b = arg;
    for (;;) {
        size_t i = atomic_fetch_add(&b->next, 1);
        if (i >= b->count)
            return NULL;
        struct slot *s = &b->slots[i];
        err_clear(&s->err);
        s->good = store_read_manifest(b->store, b->names[i], &s->m, &s->err) == 0;
    }
}

static void read_batch(struct batch *b, unsigned readers) {
    pthread_t threads[READERS_MAX];
    unsigned started = 0;
    while (started + 1 < readers && started + 1 < b->count && pthread_create(&threads[started], NULL, reader, b) == 0)
        started++;
    reader(b); /* this thread is one of them */
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
}

static int give_batch(struct batch *b, manifest_read_fn *fn, void *user, struct err *err) {
    int rc = 0;
    for (size_t i = 0; i < b->count; i++) {
        struct slot *s = &b->slots[i];
        if (rc == 0)
            rc = fn(user, b->names[i], s->good ? &s->m : NULL, s->good ? NULL : &s->err, err);
        if (s->good)
            manifest_done(&s->m);
    }
    return rc;
}

int manifests_read(struct store *store, char *const *names, size_t count, unsigned readers, manifest_read_fn *fn, void *user,
                   struct err *err) {
    struct slot *slots = mem_array(BATCH, sizeof(*slots));
    int rc = 0;
    for (size_t at = 0; at < count && rc == 0; at += BATCH) {
        struct batch b = {.store = store, .names = names + at, .count = count - at < BATCH ? count - at : BATCH, .slots = slots};
        memset(slots, 0, BATCH * sizeof(*slots));
        read_batch(&b, readers > READERS_MAX ? READERS_MAX : readers);
        rc = give_batch(&b, fn, user, err);
    }
    mem_free(slots);
    return rc ? -1 : 0;
}
