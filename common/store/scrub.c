/* SPDX-License-Identifier: Apache-2.0 */
/* One set after the other: is each what its manifest says? */
#include <string.h>

#include "common/base/str.h"
#include "common/store/scrub_int.h"

static const struct {
    const char *word;
    bool is_loss;
} kinds[SCRUB_KIND_COUNT] = {
    [SCRUB_MANIFEST] = {"manifest", true},
    [SCRUB_OBJECT_MISSING] = {"object_missing", true},
    [SCRUB_OBJECT_SIZE] = {"object_size", true},
    [SCRUB_OBJECT_CORRUPT] = {"object_corrupt", true},
    [SCRUB_MANIFEST_MISSING] = {"manifest_missing", true},
    [SCRUB_NEWEST_MISSING] = {"newest_missing", true},
    [SCRUB_ORPHAN] = {"orphan", false},
};

const char *scrub_kind_word(enum scrub_kind kind) {
    return (unsigned)kind < SCRUB_KIND_COUNT ? kinds[kind].word : "unknown";
}

bool scrub_kind_is_loss(enum scrub_kind kind) {
    return (unsigned)kind < SCRUB_KIND_COUNT && kinds[kind].is_loss;
}

/* "<namespace>/<instance>/<folder>/..." -> folder. */
static void folder_of(const char *name, char dst[NAME_FOLDER_MAX]) {
    const char *at = strchr(name, '/');
    at = at ? strchr(at + 1, '/') : NULL;
    const char *end = at ? strchr(at + 1, '/') : NULL;
    dst[0] = 0;
    if (end && (size_t)(end - at) <= NAME_FOLDER_MAX) {
        memcpy(dst, at + 1, (size_t)(end - at - 1));
        dst[end - at - 1] = 0;
    }
}

void scrub_found(const struct scrub_options *options, struct scrub_totals *totals, enum scrub_kind kind, const char *name,
                 const struct backup *set, const struct err *err) {
    struct scrub_finding finding = {.kind = kind};
    str_copy(finding.name, sizeof(finding.name), name);
    folder_of(name, finding.folder);
    if (set) {
        finding.set = set->set_guid;
        finding.backup_kind = set->kind;
    }
    err_copy(&finding.err, err);
    totals->findings[kind]++;
    if (options->finding)
        options->finding(options->user, &finding);
}

/* Did the store answer, so that what it said is about the object? */
static bool is_answer(const struct err *err) {
    return err->class == ERR_CORRUPT || err->class == ERR_NOT_FOUND || err->class == ERR_UNSUPPORTED || err->class == ERR_LIMIT;
}

static int discard(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err) {
    (void)user, (void)bytes, (void)len, (void)plain_len, (void)err;
    return 0;
}

struct reading {
    const struct scrub_options *options;
    const char *name;
};

static void on_progress(void *user, const struct pipe_progress *progress) {
    const struct reading *reading = user;
    if (reading->options->progress)
        reading->options->progress(reading->options->user, reading->name, progress->stored_bytes);
}

/* 1: good, 0: a finding, -1: the store could not be asked. */
static int check_object(struct store *store, const char *scope, const struct manifest *m, const struct manifest_object *object,
                        const struct scrub_options *options, struct scrub_totals *totals, struct err *err) {
    char name[STORE_NAME_MAX];
    struct store_entry entry;
    if (name_join(name, scope, m->folder, object->name, err) < 0)
        return -1;
    totals->objects++;
    totals->stored_bytes += object->stored_bytes;
    if (store_stat(store, name, &entry, err) < 0) {
        if (err->class != ERR_NOT_FOUND)
            return -1;
        scrub_found(options, totals, SCRUB_OBJECT_MISSING, name, &m->backup, err);
        return 0;
    }
    if (entry.bytes != object->stored_bytes) {
        err_set(err, ERR_CORRUPT, "object %s has %llu bytes, its manifest says %llu", name, (unsigned long long)entry.bytes,
                (unsigned long long)object->stored_bytes);
        scrub_found(options, totals, SCRUB_OBJECT_SIZE, name, &m->backup, err);
        return 0;
    }
    if (options->sizes_only)
        return 1;
    struct reading reading = {options, name};
    struct pipe_sink sink = {.write = discard};
    struct pipe_control control = {.progress = on_progress, .user = &reading, .cancel = options->cancel, .rate = options->rate};
    if (store_fetch_object(store, scope, m->folder, object, &sink, &control, err) == 0)
        return 1;
    if (!is_answer(err))
        return -1;
    scrub_found(options, totals, err->class == ERR_NOT_FOUND ? SCRUB_OBJECT_MISSING : SCRUB_OBJECT_CORRUPT, name, &m->backup,
                err);
    return 0;
}

/* "<namespace>/<instance>" of a whole name. */
static bool scope_of(const char *name, char dst[NAME_SCOPE_MAX]) {
    const char *at = strchr(name, '/');
    const char *end = at ? strchr(at + 1, '/') : NULL;
    if (!end || (size_t)(end - name) >= NAME_SCOPE_MAX)
        return false;
    memcpy(dst, name, (size_t)(end - name));
    dst[end - name] = 0;
    return true;
}

int store_scrub_set(struct store *store, const char *manifest, const struct scrub_options *options, struct scrub_totals *totals,
                    struct err *err) {
    char scope[NAME_SCOPE_MAX];
    struct manifest m;
    if (!scope_of(manifest, scope))
        return err_set(err, ERR_USAGE, "'%.200s' is not the name of a manifest", manifest);
    if (options->cancel && *options->cancel)
        return err_set(err, ERR_CANCELLED, "cancelled before %s", manifest);
    totals->sets++;
    if (store_read_manifest(store, manifest, &m, err) < 0) {
        if (!is_answer(err))
            return -1;
        scrub_found(options, totals, err->class == ERR_NOT_FOUND ? SCRUB_MANIFEST_MISSING : SCRUB_MANIFEST, manifest, NULL, err);
        err_clear(err);
        return 0;
    }
    int rc = 0;
    for (size_t i = 0; i < m.object_count && rc >= 0; i++)
        rc = check_object(store, scope, &m, &m.objects[i], options, totals, err);
    manifest_done(&m);
    if (rc < 0)
        return -1;
    err_clear(err);
    if (options->progress)
        options->progress(options->user, manifest, 0);
    return 0;
}

struct sets {
    struct store *store;
    const struct scrub_options *options;
    struct scrub_totals *totals;
};

static int on_set(void *user, const struct store_entry *entry, struct err *err) {
    struct sets *sets = user;
    char name[STORE_NAME_MAX];
    str_copy(name, sizeof(name), entry->name);
    return store_scrub_set(sets->store, name, sets->options, sets->totals, err);
}

int store_scrub_sets(struct store *store, const char *scope, const char *folder, struct store_cursor *cursor, unsigned limit,
                     const struct scrub_options *options, struct scrub_totals *totals, struct err *err) {
    struct sets sets = {store, options, totals};
    return store_list_manifests(store, scope, folder, cursor, limit, on_set, &sets, err);
}
