/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A backup store: named objects, written once, seen whole or not at all. Names are relative paths with '/'; what a store
 * does with them is its own affair. A struct store may be used from several threads at once; an object that is being
 * written belongs to one thread at a time. Every call may block: call from a worker.
 *
 * An object is written in parts that hold whole records, and becomes visible in one step (commit). Small objects are put
 * in one call.
 */
#ifndef MSSQL_STORE_STORE_H
#define MSSQL_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define STORE_NAME_MAX 1024 /* bytes of a whole object name with its terminator */
#define STORE_SEGMENT_MAX 255 /* bytes between two slashes */
#define STORE_SMALL_MAX (8u << 20) /* bytes of an object that is put or read whole */
#define STORE_STALE_MS (10 * 60 * 1000) /* unfinished objects of a writer that left no sign for this long are removed */

struct store;
struct store_object;

/* What a driver can do beyond the least that all can. */
enum store_cap {
    STORE_CAP_PUT_IF_ABSENT = 1 << 0, /* atomic; else it is a look followed by a write */
    STORE_CAP_RESUME = 1 << 1, /* an unfinished object survives its writer */
    STORE_CAP_LOCAL = 1 << 2, /* a file system: a path and a volume can be named */
    STORE_CAP_CHEAP_STAT = 1 << 3,
};

struct store_options {
    bool read_only; /* nothing is written or cleaned, not even at open */
    const char *writer; /* who writes, for the names of unfinished objects (letters, digits, '-'); NULL: "writer" */
};

/* "file:///path" or "/path". Other schemes: ERR_UNSUPPORTED that names what there is. The folder must exist
 * (ERR_NOT_FOUND says so: a backup volume that is not mounted must not become a folder on another disk). Unfinished
 * objects of dead writers are removed, see store_clean(). */
int store_open(const char *url, const struct store_options *options, struct store **ret_store, struct err *err) ERR_CHECK;
void store_free(struct store *store); /* NULL is allowed; objects must be gone */
unsigned store_caps(const struct store *store);
/* As given to store_open, without secrets. */
const char *store_url(const struct store *store);
/* STORE_CAP_LOCAL: the folder; else NULL. */
const char *store_local_path(const struct store *store);

/* Removes unfinished objects whose writer is dead: its lock is free and it left no sign for `older_than_ms`. Objects of a
 * live second writer stay, however old. ret_removed may be NULL. */
int store_clean(struct store *store, int64_t older_than_ms, unsigned *ret_removed, struct err *err) ERR_CHECK;

/* ---- writing an object ---- */

/* resume: what store_object_state() gave in an earlier life, or NULL. With it, *ret_done_bytes are already there and the
 * caller goes on after them; ERR_NOT_FOUND when that is gone: begin anew. The object's name becomes visible at commit only;
 * an object of that name is replaced then. */
int store_object_begin(struct store *store, const char *name, const char *resume, struct store_object **ret_object,
                       uint64_t *ret_done_bytes, struct err *err) ERR_CHECK;
/* One whole record, or several. */
int store_object_write(struct store_object *object, const void *bytes, size_t len, struct err *err) ERR_CHECK;
/* Makes durable what was written and describes it in an opaque line of text for store_object_begin(). mem_free() it.
 * ERR_UNSUPPORTED without STORE_CAP_RESUME. */
int store_object_state(struct store_object *object, char **ret_state, struct err *err) ERR_CHECK;
/* Durable and visible when it returns 0. The object is freed in either case; after a failure nothing of it is visible
 * unless the failure came after the rename, then it is whole. */
int store_object_commit(struct store_object *object, struct err *err) ERR_CHECK;
/* Throws away what was written; NULL is allowed. */
void store_object_abort(struct store_object *object);
/* Leaves it for store_object_begin(resume) of a later life; NULL is allowed. */
void store_object_leave(struct store_object *object);

/* ---- small objects ---- */

enum store_put_mode {
    STORE_PUT_REPLACE, /* atomically: readers see the old or the new one */
    STORE_PUT_IF_ABSENT, /* ERR_EXISTS when there is one */
};
/* `step` names the fault points ("manifest", "lineage", "instance", "hold"). */
int store_put(struct store *store, const char *name, const void *bytes, size_t len, enum store_put_mode mode, const char *step,
              struct err *err) ERR_CHECK;
/* NUL-terminated; ERR_NOT_FOUND, ERR_LIMIT beyond max_bytes. mem_free() the result. */
int store_get(struct store *store, const char *name, size_t max_bytes, char **ret_data, size_t *ret_len,
              struct err *err) ERR_CHECK;

/* ---- looking, reading, removing ---- */

/* Reads up to len bytes at offset; fewer only at the end of the object. */
int store_get_range(struct store *store, const char *name, uint64_t offset, void *dst, size_t len, size_t *ret_len,
                    struct err *err) ERR_CHECK;

struct store_entry {
    const char *name; /* whole name; a folder's ends with '/' */
    uint64_t bytes;
    int64_t modified_at;
    bool is_folder;
};
int store_stat(struct store *store, const char *name, struct store_entry *ret_entry,
               struct err *err) ERR_CHECK; /* ret name: the caller's */
/* Is it there? Failures other than ERR_NOT_FOUND are failures. */
int store_exists(struct store *store, const char *name, bool *ret_exists, struct err *err) ERR_CHECK;

/* Called per entry; non-zero ends the listing and is returned (fill err). The entry lives during the call only. */
typedef int store_entry_fn(void *user, const struct store_entry *entry, struct err *err);
/* One level of the folder `prefix` ("" or ending in '/'), in byte order of the names. Objects and folders that begin with
 * '.' are the store's own and never listed. A missing folder is an empty one. At most `limit` (0: 1000) entries whose name
 * is greater than `after` (NULL: all); *ret_more says that there are others: call again with the last name. */
int store_list(struct store *store, const char *prefix, const char *after, unsigned limit, store_entry_fn *fn, void *user,
               bool *ret_more, struct err *err) ERR_CHECK;
/* What is visible survives a power loss when this returned 0: for what an earlier life made visible and may not have
 * finished. ERR_NOT_FOUND when it is not there. */
int store_make_durable(struct store *store, const char *name, struct err *err) ERR_CHECK;
/* Durable. A missing object is success. */
int store_remove(struct store *store, const char *name, struct err *err) ERR_CHECK;

struct store_space {
    bool known;
    uint64_t total_bytes;
    uint64_t free_bytes;
    uint64_t device; /* equal to the data volume's: no copy is off the volume */
};
int store_space_of(struct store *store, struct store_space *ret_space, struct err *err) ERR_CHECK;

/* ERR_USAGE unless it is a relative name: no empty, "." or ".." segment, no control character, nothing too long, no
 * segment that begins with '.', because those are the store's own. */
int store_name_check(const char *name, struct err *err) ERR_CHECK;

/* The names of all durable steps of this area, for tests that make each of them fail. */
const char *const *store_fault_points(size_t *ret_count);

#endif
