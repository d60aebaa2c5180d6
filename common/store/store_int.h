/* SPDX-License-Identifier: Apache-2.0 */
/* For drivers: what a store has to be able to do. Names are checked before they come here. */
#ifndef MSSQL_STORE_STORE_INT_H
#define MSSQL_STORE_STORE_INT_H

#include "common/store/store.h"

struct store_ops {
    const char *scheme;
    unsigned caps;
    /* Parts smaller than this are gathered before part_put() (the last one excepted); 0: each write is a part. */
    size_t part_min_bytes;

    int (*object_begin)(struct store *store, const char *name, const char *resume, struct store_object **ret_object,
                        uint64_t *ret_done_bytes, struct err *err);
    int (*part_put)(struct store_object *object, unsigned number, const void *bytes, size_t len,
                    struct err *err); /* number counts from 1 */
    int (*object_state)(struct store_object *object, char **ret_state, struct err *err);
    int (*object_commit)(struct store_object *object, struct err *err); /* frees in either case */
    void (*object_close)(struct store_object *object, bool keep); /* abort, or leave for a resume; frees */

    int (*put)(struct store *store, const char *name, const void *bytes, size_t len, enum store_put_mode mode, const char *step,
               struct err *err);
    int (*get_range)(struct store *store, const char *name, uint64_t offset, void *dst, size_t len, size_t *ret_len,
                     struct err *err);
    int (*stat)(struct store *store, const char *name, struct store_entry *ret_entry, struct err *err);
    int (*list)(struct store *store, const char *prefix, const char *after, unsigned limit, store_entry_fn *fn, void *user,
                bool *ret_more, struct err *err);
    int (*make_durable)(struct store *store, const char *name, struct err *err);
    int (*remove)(struct store *store, const char *name, struct err *err);
    int (*clean)(struct store *store, int64_t older_than_ms, unsigned *ret_removed, struct err *err);
    int (*space)(struct store *store, struct store_space *ret_space, struct err *err);
    void (*free)(struct store *store);
};

/* First member of every driver's store and object. */
struct store {
    const struct store_ops *ops;
    char *url;
    char *local_path;
    bool read_only;
};
struct store_object {
    struct store *store;
    char *name;
    unsigned parts; /* put so far */
    struct buf pending; /* gathered up to part_min_bytes */
};

int store_fs_open(const char *path, const struct store_options *options, struct store **ret_store, struct err *err) ERR_CHECK;

/* Durable steps. Each has a fault point before and after; the text is in ONE table in fault_table.c. */
enum store_step {
    STORE_STEP_OBJECT_WRITE,
    STORE_STEP_OBJECT_SYNC,
    STORE_STEP_OBJECT_RENAME,
    STORE_STEP_OBJECT_DIR_SYNC,
    STORE_STEP_MANIFEST_WRITE,
    STORE_STEP_MANIFEST_SYNC,
    STORE_STEP_MANIFEST_RENAME,
    STORE_STEP_MANIFEST_DIR_SYNC,
    STORE_STEP_LINEAGE_RENAME,
    STORE_STEP_INSTANCE_RENAME,
    STORE_STEP_HOLD_RENAME,
    STORE_STEP_SMALL_RENAME,
    STORE_STEP_REMOVE,
    STORE_STEP_CATALOG_APPEND,
    STORE_STEP_CATALOG_SYNC,
    STORE_STEP_CATALOG_MARK,
    STORE_STEP_CATALOG_RENAME,
    STORE_STEP_COUNT,
    STORE_STEP_NONE = -1,
};
/* fault_point() by number; 0 for STORE_STEP_NONE. */
int store_step_before(enum store_step step, struct err *err) ERR_CHECK;
int store_step_after(enum store_step step, struct err *err) ERR_CHECK;

#endif
