/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/store_int.h"

#define LIST_LIMIT_DEFAULT 1000

int store_name_check(const char *name, struct err *err) {
    size_t len = strlen(name);
    if (!len || len >= STORE_NAME_MAX)
        return err_set(err, ERR_USAGE, "object name of %zu bytes: it must have from 1 to %d", len, STORE_NAME_MAX - 1);
    if (!str_is_clean_utf8(name, len) || strchr(name, '\t') || strchr(name, '\\'))
        return err_set(err, ERR_USAGE, "object name with a control character, a backslash or bytes that are no UTF-8");
    for (const char *at = name;; at++) {
        size_t segment = strcspn(at, "/");
        if (!segment || segment > STORE_SEGMENT_MAX || *at == '.')
            return err_set(err, ERR_USAGE, "object name '%s': a part between slashes is empty, too long or begins with '.'",
                           name);
        at += segment;
        if (!*at)
            return 0;
    }
}

static int check_folder(const char *prefix, struct err *err) {
    size_t len = strlen(prefix);
    if (!len)
        return 0;
    if (prefix[len - 1] != '/')
        return err_set(err, ERR_USAGE, "folder '%s' must end in '/'", prefix);
    _cleanup_free_ char *name = mem_strndup(prefix, len - 1);
    return store_name_check(name, err);
}

static int check_writable(const struct store *store, struct err *err) {
    return store->read_only ? err_set(err, ERR_PERMISSION, "store %s was opened for reading only", store->url) : 0;
}

/* ---- opening ---- */

static int open_driver(const char *url, const struct store_options *options, struct store **ret_store, struct err *err) {
    if (url[0] == '/')
        return store_fs_open(url, options, ret_store, err);
    if (str_starts(url, "file://")) {
        const char *path = url + strlen("file://");
        if (*path != '/')
            return err_set(err, ERR_CONFIG, "store '%s': a file URL has three slashes and no host, as in file:///backup-store",
                           url);
        return store_fs_open(path, options, ret_store, err);
    }
    const char *colon = strstr(url, "://");
    if (colon)
        return err_set(err, ERR_UNSUPPORTED, "store '%.*s://...': this version has file:///path and plain paths only",
                       (int)(colon - url > 32 ? 32 : colon - url), url);
    return err_set(err, ERR_CONFIG, "store '%.200s' is neither an absolute path nor a URL such as file:///backup-store", url);
}

int store_open(const char *url, const struct store_options *options, struct store **ret_store, struct err *err) {
    static const struct store_options defaults;
    options = options ? options : &defaults;
    const char *allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    if (options->writer &&
        (!*options->writer || options->writer[strspn(options->writer, allowed)] || strlen(options->writer) > 64))
        return err_set(err, ERR_USAGE, "writer '%.80s' of a store: 1 to 64 letters, digits and '-'", options->writer);
    struct store *store;
    if (open_driver(url, options, &store, err) < 0)
        return -1;
    store->read_only = options->read_only;
    store->url = mem_strdup(url);
    if (!store->read_only) { /* a store that is full or away now is told by the first write, not here */
        struct err ignored;
        (void)!store_clean(store, STORE_STALE_MS, NULL, &ignored);
    }
    *ret_store = store;
    return 0;
}

void store_free(struct store *store) {
    if (!store)
        return;
    mem_free(store->url);
    mem_free(store->local_path);
    store->ops->free(store);
}

unsigned store_caps(const struct store *store) {
    return store->ops->caps;
}

const char *store_url(const struct store *store) {
    return store->url;
}

const char *store_local_path(const struct store *store) {
    return store->local_path;
}

int store_clean(struct store *store, int64_t older_than_ms, unsigned *ret_removed, struct err *err) {
    unsigned removed = 0;
    if (check_writable(store, err) < 0 || store->ops->clean(store, older_than_ms, &removed, err) < 0)
        return -1;
    if (ret_removed)
        *ret_removed = removed;
    return 0;
}

/* ---- objects ---- */

int store_object_begin(struct store *store, const char *name, const char *resume, struct store_object **ret_object,
                       uint64_t *ret_done_bytes, struct err *err) {
    if (check_writable(store, err) < 0 || store_name_check(name, err) < 0)
        return -1;
    if (resume && !(store->ops->caps & STORE_CAP_RESUME))
        return err_set(err, ERR_UNSUPPORTED, "%s: unfinished objects cannot be resumed here", store->url);
    struct store_object *object;
    uint64_t done = 0;
    if (store->ops->object_begin(store, name, resume, &object, &done, err) < 0)
        return err_context(err, "object %s", name);
    object->store = store;
    object->name = mem_strdup(name);
    buf_init(&object->pending, SIZE_MAX / 2);
    *ret_object = object;
    if (ret_done_bytes)
        *ret_done_bytes = done;
    return 0;
}

static void release_common(struct store_object *object) {
    mem_free(object->name);
    object->name = NULL;
    buf_done(&object->pending);
}

static int put_part(struct store_object *object, const void *bytes, size_t len, struct err *err) {
    if (object->store->ops->part_put(object, object->parts + 1, bytes, len, err) < 0)
        return err_context(err, "object %s", object->name);
    object->parts++;
    return 0;
}

static int flush_pending(struct store_object *object, struct err *err) {
    if (!object->pending.len)
        return 0;
    if (put_part(object, object->pending.data, object->pending.len, err) < 0)
        return -1;
    buf_reset(&object->pending);
    return 0;
}

int store_object_write(struct store_object *object, const void *bytes, size_t len, struct err *err) {
    size_t least = object->store->ops->part_min_bytes;
    if (!len)
        return 0;
    if (!object->pending.len && len >= least)
        return put_part(object, bytes, len, err);
    if (!buf_append(&object->pending, bytes, len))
        return err_set(err, ERR_LIMIT, "object %s: part too large", object->name);
    return object->pending.len >= least ? flush_pending(object, err) : 0;
}

int store_object_state(struct store_object *object, char **ret_state, struct err *err) {
    if (!(object->store->ops->caps & STORE_CAP_RESUME))
        return err_set(err, ERR_UNSUPPORTED, "%s: unfinished objects cannot be resumed here", object->store->url);
    if (object->store->ops->object_state(object, ret_state, err) < 0)
        return err_context(err, "object %s", object->name);
    return 0;
}

int store_object_commit(struct store_object *object, struct err *err) {
    if (flush_pending(object, err) < 0) {
        store_object_abort(object);
        return -1;
    }
    _cleanup_free_ char *name = mem_strdup(object->name);
    const struct store_ops *ops = object->store->ops;
    release_common(object);
    return ops->object_commit(object, err) < 0 ? err_context(err, "object %s", name) : 0;
}

static void close_object(struct store_object *object, bool keep) {
    if (!object)
        return;
    release_common(object);
    object->store->ops->object_close(object, keep);
}

void store_object_abort(struct store_object *object) {
    close_object(object, false);
}

void store_object_leave(struct store_object *object) {
    close_object(object, true);
}

/* ---- the rest ---- */

int store_put(struct store *store, const char *name, const void *bytes, size_t len, enum store_put_mode mode, const char *step,
              struct err *err) {
    if (check_writable(store, err) < 0 || store_name_check(name, err) < 0)
        return -1;
    if (len > STORE_SMALL_MAX)
        return err_set(err, ERR_LIMIT, "%s: %zu bytes are too many for one put, at most %u", name, len, STORE_SMALL_MAX);
    return store->ops->put(store, name, bytes, len, mode, step, err) < 0 ? err_context(err, "object %s", name) : 0;
}

int store_get_range(struct store *store, const char *name, uint64_t offset, void *dst, size_t len, size_t *ret_len,
                    struct err *err) {
    if (store_name_check(name, err) < 0)
        return -1;
    if (offset > INT64_MAX - len)
        return err_set(err, ERR_USAGE, "object %s: offset %llu is out of range", name, (unsigned long long)offset);
    return store->ops->get_range(store, name, offset, dst, len, ret_len, err) < 0 ? err_context(err, "object %s", name) : 0;
}

int store_get(struct store *store, const char *name, size_t max_bytes, char **ret_data, size_t *ret_len, struct err *err) {
    struct store_entry entry;
    if (store_stat(store, name, &entry, err) < 0)
        return -1;
    if (max_bytes > STORE_SMALL_MAX)
        max_bytes = STORE_SMALL_MAX;
    if (entry.bytes > max_bytes)
        return err_set(err, ERR_LIMIT, "object %s has %llu bytes, at most %zu are read whole", name,
                       (unsigned long long)entry.bytes, max_bytes);
    /* One byte more than its size, so that an object that has just grown is seen. */
    _cleanup_free_ char *data = mem_try_alloc((size_t)entry.bytes + 2);
    if (!data)
        return err_set(err, ERR_LIMIT, "object %s: no memory for its %llu bytes", name, (unsigned long long)entry.bytes);
    size_t len;
    if (store_get_range(store, name, 0, data, (size_t)entry.bytes + 1, &len, err) < 0)
        return -1;
    if (len != entry.bytes)
        return err_set(err, ERR_STORE, "object %s changed while it was read", name);
    data[len] = 0;
    *ret_data = data;
    *ret_len = len;
    data = NULL;
    return 0;
}

int store_stat(struct store *store, const char *name, struct store_entry *ret_entry, struct err *err) {
    if (store_name_check(name, err) < 0)
        return -1;
    return store->ops->stat(store, name, ret_entry, err) < 0 ? err_context(err, "object %s", name) : 0;
}

int store_exists(struct store *store, const char *name, bool *ret_exists, struct err *err) {
    struct store_entry entry;
    struct err local = {0};
    if (store_stat(store, name, &entry, &local) == 0) {
        *ret_exists = true;
        return 0;
    }
    if (local.class != ERR_NOT_FOUND) {
        err_copy(err, &local);
        return -1;
    }
    *ret_exists = false;
    return 0;
}

int store_list(struct store *store, const char *prefix, const char *after, unsigned limit, store_entry_fn *fn, void *user,
               bool *ret_more, struct err *err) {
    if (check_folder(prefix, err) < 0)
        return -1;
    return store->ops->list(store, prefix, after, limit ? limit : LIST_LIMIT_DEFAULT, fn, user, ret_more, err);
}

int store_make_durable(struct store *store, const char *name, struct err *err) {
    if (check_writable(store, err) < 0 || store_name_check(name, err) < 0)
        return -1;
    return store->ops->make_durable(store, name, err) < 0 ? err_context(err, "object %s", name) : 0;
}

int store_remove(struct store *store, const char *name, struct err *err) {
    if (check_writable(store, err) < 0 || store_name_check(name, err) < 0)
        return -1;
    return store->ops->remove(store, name, err) < 0 ? err_context(err, "object %s", name) : 0;
}

int store_space_of(struct store *store, struct store_space *ret_space, struct err *err) {
    if (!store->ops->space) {
        *ret_space = (struct store_space){0};
        return 0;
    }
    return store->ops->space(store, ret_space, err);
}
