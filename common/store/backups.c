/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/backups.h"

#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/manifest_int.h"

#define PART_BYTES (UINT64_C(64) << 20)
#define PARTS_WANTED 1000 /* parts grow beyond this number */

/* ---- shipping ---- */

struct shipment {
    struct store_object *to;
    struct manifest_object *object;
    struct manifest_part *part; /* the one that grows */
    uint64_t part_bytes;
    struct hash_run *hash; /* NULL: one part only, its hash is the whole's */
};

static int end_part(struct shipment *s, struct err *err) {
    return s->hash && s->part ? hash_take(s->hash, &s->part->stored_sha256, err) : 0;
}

static int ship_record(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err) {
    struct shipment *s = user;
    if (!s->part || (s->hash && s->part->stored_bytes >= s->part_bytes && s->object->part_count < MANIFEST_PARTS_MAX)) {
        if (end_part(s, err) < 0)
            return -1;
        s->part = manifest_add_part(s->object);
    }
    if (s->hash && hash_update(s->hash, bytes, len, err) < 0)
        return -1;
    s->part->plain_bytes += plain_len;
    s->part->stored_bytes += len;
    return store_object_write(s->to, bytes, len, err);
}

/* Bytes that the source will give, 0 when nobody knows. */
static uint64_t size_hint(const struct pipe_source *source) {
    struct stat st;
    return !source->read && fstat(source->fd, &st) == 0 && S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
}

static int run_shipment(struct shipment *s, const struct pipe_spec *spec, const struct pipe_source *source,
                        const struct pipe_control *control, struct err *err) {
    struct pipe_sink sink = {.write = ship_record, .user = s};
    struct pipe_result result;
    if (pipe_write_run(spec, source, &sink, control, &result, err) < 0 || end_part(s, err) < 0)
        return -1;
    if (s->part && !s->hash)
        s->part->stored_sha256 = result.stored_sha256;
    struct manifest_object *o = s->object;
    o->plain_bytes = result.plain_bytes;
    o->stored_bytes = result.stored_bytes;
    o->plain_sha256 = result.plain_sha256;
    o->stored_sha256 = result.stored_sha256;
    manifest_set(&o->codec, result.codec);
    o->level = result.level;
    o->record_bytes = (uint32_t)(spec->record_bytes ? spec->record_bytes : PIPE_RECORD_BYTES_DEFAULT);
    return 0;
}

static int refuse_committed(struct store *store, const char *scope, const char *folder, const struct backup *backup,
                            struct err *err) {
    char rest[STORE_NAME_MAX], name[STORE_NAME_MAX];
    bool committed;
    name_manifest(rest, backup);
    if (name_join(name, scope, folder, rest, err) < 0 || store_exists(store, name, &committed, err) < 0)
        return -1;
    return committed ? err_set(err, ERR_EXISTS, "%s is committed already; its objects must not be written again", name) : 0;
}

int store_ship_object(struct store *store, const char *scope, const char *folder, const struct backup *backup, const char *name,
                      const struct pipe_spec *spec, const struct pipe_source *source, const struct pipe_control *control,
                      struct manifest_object *ret_object, struct err *err) {
    char whole[STORE_NAME_MAX];
    if (name_join(whole, scope, folder, name, err) < 0 || refuse_committed(store, scope, folder, backup, err) < 0)
        return -1;
    uint64_t hint = size_hint(source);
    struct shipment s = {.object = ret_object, .part_bytes = hint / PARTS_WANTED > PART_BYTES ? hint / PARTS_WANTED : PART_BYTES};
    if ((!hint || hint > PART_BYTES / 2) && hash_begin(&s.hash, err) < 0)
        return -1;
    manifest_clear_parts(ret_object);
    manifest_set(&ret_object->name, name);
    int rc = store_object_begin(store, whole, NULL, &s.to, NULL, err);
    if (rc == 0) {
        rc = run_shipment(&s, spec, source, control, err);
        if (rc < 0)
            store_object_abort(s.to);
        else
            rc = store_object_commit(s.to, err);
    }
    hash_free(s.hash);
    return rc;
}

/* ---- fetching ---- */

struct fetch {
    struct store *store;
    const char *name;
    uint64_t at;
};

static ssize_t fetch_read(void *user, void *dst, size_t len, struct err *err) {
    struct fetch *f = user;
    size_t got;
    if (store_get_range(f->store, f->name, f->at, dst, len, &got, err) < 0)
        return -1;
    f->at += got;
    return (ssize_t)got;
}

int store_fetch_object(struct store *store, const char *scope, const char *folder, const struct manifest_object *object,
                       const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) {
    char name[STORE_NAME_MAX];
    if (name_join(name, scope, folder, object->name, err) < 0)
        return -1;
    struct fetch f = {.store = store, .name = name};
    struct pipe_source source = {.read = fetch_read, .user = &f};
    struct pipe_spec spec = {.codec = object->codec,
                             .record_bytes = object->record_bytes < PIPE_RECORD_BYTES_MIN ? 0 : object->record_bytes};
    struct pipe_expect expect = {
        .known = true,
        .plain_bytes = object->plain_bytes,
        .stored_bytes = object->stored_bytes,
        .plain_sha256 = object->plain_sha256,
        .stored_sha256 = object->stored_sha256,
        .part_count = object->part_count,
    };
    struct pipe_part_expect *parts = mem_array(object->part_count, sizeof(*parts));
    for (size_t i = 0; i < object->part_count; i++)
        parts[i] = (struct pipe_part_expect){object->parts[i].stored_bytes, object->parts[i].stored_sha256};
    expect.parts = parts;
    struct pipe_result result;
    int rc = pipe_read_run(&spec, &source, sink, control, &expect, &result, err);
    mem_free(parts);
    return rc < 0 ? err_context(err, "object %s", name) : 0;
}

/* ---- manifests ---- */

static int read_at(struct store *store, const char *name, struct manifest *ret_m, struct err *err) {
    _cleanup_free_ char *data = NULL;
    size_t len;
    if (store_get(store, name, MANIFEST_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    return manifest_parse(data, len, ret_m, err) < 0 ? err_context(err, "manifest %s", name) : 0;
}

/* The last two folders and the name must be what the content asks for: a set that was moved or exchanged is noticed. */
static int check_name(const char *name, const struct manifest *m, struct err *err) {
    char rest[STORE_NAME_MAX];
    name_manifest(rest, &m->backup);
    _cleanup_free_ char *want = mem_printf("/%s/%s", m->folder, rest);
    return str_ends(name, want) ? 0 : err_set(err, ERR_CORRUPT, "manifest %s describes another backup: ...%s", name, want);
}

int store_read_manifest(struct store *store, const char *name, struct manifest *ret_m, struct err *err) {
    struct manifest m;
    if (read_at(store, name, &m, err) < 0)
        return -1;
    if (check_name(name, &m, err) < 0) {
        manifest_done(&m);
        return -1;
    }
    *ret_m = m;
    return 0;
}

int store_find_backup(struct store *store, const char *scope, const char *folder, const struct backup *backup,
                      struct manifest *ret_m, struct err *err) {
    char rest[STORE_NAME_MAX], name[STORE_NAME_MAX];
    name_manifest(rest, backup);
    return name_join(name, scope, folder, rest, err) < 0 ? -1 : store_read_manifest(store, name, ret_m, err);
}

static int check_objects(struct store *store, const char *scope, const struct manifest *m, struct err *err) {
    for (size_t i = 0; i < m->object_count; i++) {
        const struct manifest_object *o = &m->objects[i];
        char name[STORE_NAME_MAX];
        struct store_entry entry;
        if (name_join(name, scope, m->folder, o->name, err) < 0 || store_stat(store, name, &entry, err) < 0)
            return -1;
        if (entry.bytes != o->stored_bytes)
            return err_set(err, ERR_CORRUPT, "object %s has %llu bytes, its manifest says %llu", name,
                           (unsigned long long)entry.bytes, (unsigned long long)o->stored_bytes);
    }
    return 0;
}

/* An earlier attempt may have made the name visible and died before it was durable. */
static int accept_existing(struct store *store, const char *name, const struct manifest *m, struct err *err) {
    struct manifest have;
    if (store_read_manifest(store, name, &have, err) < 0)
        return err_context(err, "a manifest of this name is there already");
    bool same = manifest_equal(&have, m);
    manifest_done(&have);
    if (!same)
        return err_set(err, ERR_EXISTS, "manifest %s is there already with another content", name);
    return store_make_durable(store, name, err);
}

int store_commit_backup(struct store *store, const char *scope, const struct manifest *m, char ret_name[STORE_NAME_MAX],
                        struct err *err) {
    _cleanup_free_ char *text = NULL;
    size_t len;
    char rest[STORE_NAME_MAX], name[STORE_NAME_MAX];
    if (manifest_format(m, &text, &len, err) < 0)
        return -1;
    name_manifest(rest, &m->backup);
    if (name_join(name, scope, m->folder, rest, err) < 0 || check_objects(store, scope, m, err) < 0)
        return -1;
    struct err why = {0};
    if (store_put(store, name, text, len, STORE_PUT_IF_ABSENT, "manifest", &why) < 0) {
        if (why.class != ERR_EXISTS) {
            err_copy(err, &why);
            return -1;
        }
        if (accept_existing(store, name, m, err) < 0)
            return -1;
    }
    if (ret_name)
        str_copy(ret_name, STORE_NAME_MAX, name);
    return 0;
}

int store_remove_backup(struct store *store, const char *scope, const struct manifest *m, struct err *err) {
    char rest[STORE_NAME_MAX], name[STORE_NAME_MAX];
    name_manifest(rest, &m->backup);
    if (name_join(name, scope, m->folder, rest, err) < 0 || store_remove(store, name, err) < 0)
        return -1;
    for (size_t i = 0; i < m->object_count; i++)
        if (name_join(name, scope, m->folder, m->objects[i].name, err) < 0 || store_remove(store, name, err) < 0)
            return -1;
    return 0;
}
