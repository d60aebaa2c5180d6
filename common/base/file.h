/* SPDX-License-Identifier: Apache-2.0 */
/* Files and directories with durability spelled out: what returned 0 survives a power loss. */
#ifndef MSSQL_BASE_FILE_H
#define MSSQL_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

/* Creates the directory and its missing parents with `mode` (umask ignored); each new entry's parent is fsynced. */
int file_mkdirs(const char *path, mode_t mode, struct err *err) ERR_CHECK;
int file_fsync_dir(const char *path, struct err *err) ERR_CHECK;
/* fsyncs the file and the directory that holds it. */
int file_fsync_path(const char *path, struct err *err) ERR_CHECK;
/* Atomic and durable: unique temporary name beside it, write, fsync, rename, fsync of the directory. */
int file_write_durable(const char *path, const void *data, size_t len, mode_t mode, struct err *err) ERR_CHECK;
/* Durable rename within one file system; both directories are fsynced. */
int file_rename_durable(const char *from, const char *to, struct err *err) ERR_CHECK;
/* Durable unlink; a missing file is success. */
int file_unlink_durable(const char *path, struct err *err) ERR_CHECK;
/* Whole file, NUL-terminated, at most max_bytes (ERR_LIMIT beyond). mem_free() the result. */
int file_read_all(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len, struct err *err) ERR_CHECK;
int file_size(const char *path, uint64_t *ret_bytes, struct err *err) ERR_CHECK;
bool file_exists(const char *path);
/* Reads until len or end of file; the number of bytes read or -1. */
ssize_t file_read_full(int fd, void *data, size_t len, struct err *err) ERR_CHECK;

struct file_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* available to us */
    uint64_t device; /* st_dev: equal numbers are one volume */
};
int file_space_of(const char *path, struct file_space *ret_space, struct err *err) ERR_CHECK;

/* Path joined with one slash; mem_free() it. */
char *file_join(const char *dir, const char *name);

/* Calls fn for every entry but . and ..; fn's non-zero result ends the walk and is returned. */
int file_each(const char *dir, int (*fn)(void *user, const char *name), void *user, struct err *err) ERR_CHECK;

#endif
