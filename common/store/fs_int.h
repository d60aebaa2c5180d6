/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file system driver. Unfinished objects are files in <root>/.tmp/<writer>~<random>/ beside a file `alive` that their
 * writer keeps locked: a second process sees by the lock, and by the age where locks do not reach, whether they are dead.
 */
#ifndef MSSQL_STORE_FS_INT_H
#define MSSQL_STORE_FS_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "common/store/store_int.h"

#define FS_TMP ".tmp"
#define FS_ALIVE "alive"
#define FS_FILE_MODE 0640
#define FS_DIR_MODE 0750
#define FS_KNOWN_DIRS 256

struct fs_store {
    struct store base;
    char *root;
    dev_t root_dev; /* which folder it was at open */
    ino_t root_ino;
    char *writer;
    pthread_mutex_t lock; /* of what follows */
    char *writer_dir; /* NULL until the first write */
    int alive_fd;
    uint64_t known_dirs[FS_KNOWN_DIRS]; /* hashes of folders that are durable with all their parents */
    atomic_uint serial;
    atomic_uint objects; /* that are being written */
};

static inline struct fs_store *fs_of(struct store *store) {
    return (struct fs_store *)store;
}

/* err_os() with the classes of a store: full -> SPACE, no right or read-only -> PERMISSION, a file system that went away
 * (ESTALE, EIO, ENOTCONN, ...) -> STORE. */
int fs_error(struct err *err, int errno_value, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* <root>/<name>; mem_free() it. */
char *fs_path(const struct fs_store *fs, const char *name);
/* A new file for writing in our folder of unfinished objects, made when it is missing. mem_free() the path. */
int fs_temp_open(struct fs_store *fs, const char *suffix, char **ret_path, int *ret_fd, struct err *err) ERR_CHECK;
/* Is the root still the folder that was opened? A volume that is unmounted leaves an empty folder of the same name: what is written there
 * is lost when the volume comes back. ERR_STORE then. */
int fs_root_check(const struct fs_store *fs, struct err *err) ERR_CHECK;
/* The folder that will hold `path`, with its parents down from the root, exists and is durable. */
int fs_dir_prepare(struct fs_store *fs, const char *path, struct err *err) ERR_CHECK;
int fs_dir_sync_of(const char *path, struct err *err) ERR_CHECK;
int fs_write_full(int fd, const void *bytes, size_t len, struct err *err) ERR_CHECK;

int fs_object_begin(struct store *store, const char *name, const char *resume, struct store_object **ret_object,
                    uint64_t *ret_done_bytes, struct err *err);
int fs_part_put(struct store_object *object, unsigned number, const void *bytes, size_t len, struct err *err);
int fs_object_state(struct store_object *object, char **ret_state, struct err *err);
int fs_object_commit(struct store_object *object, struct err *err);
void fs_object_close(struct store_object *object, bool keep);
int fs_put(struct store *store, const char *name, const void *bytes, size_t len, enum store_put_mode mode, const char *step,
           struct err *err);
int fs_list(struct store *store, const char *prefix, const char *after, unsigned limit, store_entry_fn *fn, void *user,
            bool *ret_more, struct err *err);
int fs_clean(struct store *store, int64_t older_than_ms, unsigned *ret_removed, struct err *err);

#endif
