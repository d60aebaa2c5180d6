/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/base/mem.h"

/* Directory part of a path: "/a/b" -> "/a", "b" -> ".". */
static char *dir_of(const char *path) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return mem_strdup(".");
    return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

int file_fsync_dir(const char *path, struct err *err) {
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "open directory %s", path);
    int rc = fsync(fd);
    int saved = errno;
    close(fd);
    /* some network file systems cannot fsync a directory and say so with EINVAL; they order the rename themselves */
    if (rc < 0 && saved != EINVAL)
        return err_os(err, ERR_NONE, saved, "fsync directory %s", path);
    return 0;
}

static int fsync_parent(const char *path, struct err *err) {
    _cleanup_free_ char *dir = dir_of(path);
    return file_fsync_dir(dir, err);
}

int file_fsync_path(const char *path, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "open %s", path);
    int rc = fsync(fd);
    int saved = errno;
    close(fd);
    if (rc < 0)
        return err_os(err, ERR_NONE, saved, "fsync %s", path);
    return fsync_parent(path, err);
}

static int make_one_dir(const char *path, mode_t mode, struct err *err) {
    if (mkdir(path, mode) < 0) {
        int saved = errno;
        struct stat st;
        if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
            return 0;
        return err_os(err, ERR_NONE, saved, "create directory %s", path);
    }
    if (chmod(path, mode) < 0)
        return err_os(err, ERR_NONE, errno, "set mode %04o of directory %s", (unsigned)mode, path);
    return fsync_parent(path, err);
}

int file_mkdirs(const char *path, mode_t mode, struct err *err) {
    _cleanup_free_ char *p = mem_strdup(path);
    for (char *slash = p + 1; *p && (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (make_one_dir(p, mode, err) < 0)
            return -1;
        *slash = '/';
    }
    return make_one_dir(p, mode, err);
}

/* Full write at the current position, retrying short writes and EINTR. */
static int file_write_full(int fd, const void *data, size_t len, struct err *err) {
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, ERR_NONE, errno, "write");
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

ssize_t file_read_full(int fd, void *data, size_t len, struct err *err) {
    size_t have = 0;
    while (have < len) {
        ssize_t n = read(fd, (char *)data + have, len - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_os(err, ERR_NONE, errno, "read");
        if (n == 0)
            break;
        have += (size_t)n;
    }
    return (ssize_t)have;
}

static int write_and_sync(int fd, const void *data, size_t len, mode_t mode, struct err *err) {
    if (fchmod(fd, mode) < 0)
        return err_os(err, ERR_NONE, errno, "set mode");
    if (file_write_full(fd, data, len, err) < 0)
        return -1;
    if (fsync(fd) < 0)
        return err_os(err, ERR_NONE, errno, "fsync");
    return 0;
}

int file_write_durable(const char *path, const void *data, size_t len, mode_t mode, struct err *err) {
    static atomic_uint serial;
    _cleanup_free_ char *tmp = mem_printf("%s.tmp-%ld-%u", path, (long)getpid(), atomic_fetch_add(&serial, 1));
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST && unlink(tmp) == 0) /* left by an earlier process with our pid */
        fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "create %s", tmp);
    int rc = write_and_sync(fd, data, len, mode, err);
    if (close(fd) < 0 && rc == 0)
        rc = err_os(err, ERR_NONE, errno, "close");
    if (rc == 0 && rename(tmp, path) < 0)
        rc = err_os(err, ERR_NONE, errno, "rename to %s", path);
    if (rc < 0) {
        unlink(tmp);
        return err_context(err, "%s", path);
    }
    return fsync_parent(path, err);
}

int file_rename_durable(const char *from, const char *to, struct err *err) {
    if (rename(from, to) < 0)
        return err_os(err, ERR_NONE, errno, "rename %s to %s", from, to);
    if (fsync_parent(to, err) < 0)
        return -1;
    return fsync_parent(from, err);
}

int file_unlink_durable(const char *path, struct err *err) {
    if (unlink(path) < 0) {
        if (errno == ENOENT)
            return 0;
        return err_os(err, ERR_NONE, errno, "remove %s", path);
    }
    return fsync_parent(path, err);
}

static int read_growing(int fd, const char *path, size_t max_bytes, char **ret_data, size_t *ret_len, struct err *err) {
    size_t cap = 0, len = 0;
    char *data = NULL;
    for (;;) {
        data = mem_grow(data, &cap, len + 4096 + 1, 1);
        ssize_t n = file_read_full(fd, data + len, cap - len - 1, err);
        if (n < 0) {
            mem_free(data);
            return err_context(err, "%s", path);
        }
        len += (size_t)n;
        if (len > max_bytes) {
            mem_free(data);
            return err_set(err, ERR_LIMIT, "%s is larger than the allowed %zu bytes", path, max_bytes);
        }
        if (len < cap - 1)
            break;
    }
    data[len] = 0;
    *ret_data = data;
    *ret_len = len;
    return 0;
}

int file_read_all(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len, struct err *err) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "open %s", path);
    int rc = read_growing(fd, path, max_bytes, ret_data, ret_len, err);
    close(fd);
    return rc;
}

int file_size(const char *path, uint64_t *ret_bytes, struct err *err) {
    struct stat st;
    if (stat(path, &st) < 0)
        return err_os(err, ERR_NONE, errno, "stat %s", path);
    *ret_bytes = (uint64_t)st.st_size;
    return 0;
}

bool file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

int file_space_of(const char *path, struct file_space *ret_space, struct err *err) {
    struct statvfs vfs;
    struct stat st;
    if (statvfs(path, &vfs) < 0 || stat(path, &st) < 0)
        return err_os(err, ERR_NONE, errno, "free space of %s", path);
    *ret_space = (struct file_space){
        .total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize,
        .free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize,
        .device = (uint64_t)st.st_dev,
    };
    return 0;
}

char *file_join(const char *dir, const char *name) {
    size_t len = strlen(dir);
    return mem_printf("%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name);
}

int file_each(const char *dir, int (*fn)(void *user, const char *name), void *user, struct err *err) {
    DIR *d = opendir(dir);
    if (!d)
        return err_os(err, ERR_NONE, errno, "open directory %s", dir);
    int rc = 0;
    for (;;) {
        errno = 0;
        const struct dirent *e = readdir(d);
        if (!e) {
            if (errno)
                rc = err_os(err, ERR_NONE, errno, "read directory %s", dir);
            break;
        }
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if ((rc = fn(user, e->d_name)))
            break;
    }
    closedir(d);
    return rc;
}
