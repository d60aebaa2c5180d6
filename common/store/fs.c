/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/fs_int.h"

#define DROP_CACHE_FROM (128u * 1024) /* reads of this size are streams */

static enum err_class class_of(int errno_value) {
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return ERR_SPACE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    case ENOENT:
        return ERR_NOT_FOUND;
    case ESTALE:
    case EIO:
    case ENOTCONN:
    case EHOSTDOWN:
    case ETIMEDOUT:
    case ENXIO:
    case ENODEV:
        return ERR_STORE;
    default:
        return ERR_IO;
    }
}

int fs_error(struct err *err, int errno_value, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    err_os(err, class_of(errno_value), errno_value, "%s", text);
    if (errno_value == EROFS)
        return err_hint(err, "The store is mounted read-only");
    if (errno_value == ESTALE)
        return err_hint(err, "The network file system of the store was replaced or went away");
    return -1;
}

char *fs_path(const struct fs_store *fs, const char *name) {
    return *name ? file_join(fs->root, name) : mem_strdup(fs->root);
}

int fs_write_full(int fd, const void *bytes, size_t len, struct err *err) {
    const char *at = bytes;
    while (len) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return fs_error(err, n < 0 ? errno : EIO, "write");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* ---- folders ---- */

static uint64_t hash_path(const char *path) {
    uint64_t h = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *path; path++)
        h = (h ^ (unsigned char)*path) * UINT64_C(1099511628211);
    return h ? h : 1;
}

static bool dir_is_known(struct fs_store *fs, uint64_t hash) {
    pthread_mutex_lock(&fs->lock);
    bool known = fs->known_dirs[hash % FS_KNOWN_DIRS] == hash;
    pthread_mutex_unlock(&fs->lock);
    return known;
}

static void dir_set_known(struct fs_store *fs, uint64_t hash) {
    pthread_mutex_lock(&fs->lock);
    fs->known_dirs[hash % FS_KNOWN_DIRS] = hash;
    pthread_mutex_unlock(&fs->lock);
}

static int dir_sync(const char *dir, struct err *err) {
    struct err why = {0};
    if (file_fsync_dir(dir, &why) == 0)
        return 0;
    return fs_error(err, why.os, "fsync folder %s", dir);
}

int fs_dir_sync_of(const char *path, struct err *err) {
    const char *slash = strrchr(path, '/');
    _cleanup_free_ char *dir = mem_strndup(path, slash == path ? 1 : (size_t)(slash - path));
    return dir_sync(dir, err);
}

int fs_root_check(const struct fs_store *fs, struct err *err) {
    struct stat st;
    if (stat(fs->root, &st) < 0)
        return fs_error(err, errno, "store %s", fs->root);
    if (st.st_dev == fs->root_dev && st.st_ino == fs->root_ino)
        return 0;
    err_set(err, ERR_STORE, "store %s is not the folder any more that was opened", fs->root);
    return err_hint(err, "Was the backup volume unmounted?");
}

/* An earlier life may have made a folder and died before its parent was synced, so each is synced once by this one. */
int fs_dir_prepare(struct fs_store *fs, const char *path, struct err *err) {
    _cleanup_free_ char *dir = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    uint64_t hash = hash_path(dir);
    if (fs_root_check(fs, err) < 0)
        return -1;
    if (dir_is_known(fs, hash) && access(dir, F_OK) == 0)
        return 0;
    for (size_t at = strlen(fs->root); dir[at];) {
        size_t end = at + 1 + strcspn(dir + at + 1, "/");
        char saved = dir[end];
        dir[end] = 0;
        if (mkdir(dir, FS_DIR_MODE) < 0 && errno != EEXIST)
            return fs_error(err, errno, "create folder %s", dir);
        dir[at] = 0;
        int rc = dir_sync(*dir ? dir : "/", err);
        dir[at] = '/';
        dir[end] = saved;
        if (rc < 0)
            return -1;
        at = end;
    }
    dir_set_known(fs, hash);
    return 0;
}

/* ---- unfinished objects ---- */

static int make_writer_dir(struct fs_store *fs, struct err *err) {
    struct guid random;
    char text[GUID_TEXT_MAX];
    guid_random(&random);
    _cleanup_free_ char *tmp = fs_path(fs, FS_TMP);
    if (mkdir(tmp, FS_DIR_MODE) < 0 && errno != EEXIST)
        return fs_error(err, errno, "create folder %s", tmp);
    _cleanup_free_ char *dir = mem_printf("%s/%s~%.8s", tmp, fs->writer, guid_format(text, &random));
    if (mkdir(dir, FS_DIR_MODE) < 0)
        return fs_error(err, errno, "create folder %s", dir);
    _cleanup_free_ char *alive = file_join(dir, FS_ALIVE);
    int fd = open(alive, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FS_FILE_MODE);
    if (fd < 0) {
        int saved = errno;
        (void)rmdir(dir);
        return fs_error(err, saved, "create %s", alive);
    }
    (void)flock(fd, LOCK_EX | LOCK_NB); /* where locks do not work, the age alone protects */
    if (fs->alive_fd >= 0)
        close(fs->alive_fd);
    mem_free(fs->writer_dir);
    fs->alive_fd = fd;
    fs->writer_dir = dir;
    dir = NULL;
    return 0;
}

static int try_temp(struct fs_store *fs, const char *suffix, char **ret_path) {
    *ret_path = mem_printf("%s/%u%s", fs->writer_dir, atomic_fetch_add(&fs->serial, 1), suffix);
    int fd = open(*ret_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FS_FILE_MODE);
    if (fd < 0) {
        int saved = errno;
        mem_free(*ret_path);
        errno = saved;
    }
    return fd;
}

int fs_temp_open(struct fs_store *fs, const char *suffix, char **ret_path, int *ret_fd, struct err *err) {
    char *path = NULL;
    int fd = -1, rc = 0;
    pthread_mutex_lock(&fs->lock);
    if (!fs->writer_dir)
        rc = make_writer_dir(fs, err);
    if (rc == 0) {
        fd = try_temp(fs, suffix, &path);
        /* Somebody cleaned up what looked dead: a clock that jumped, or a file system without locks. */
        if (fd < 0 && errno == ENOENT && (rc = make_writer_dir(fs, err)) == 0)
            fd = try_temp(fs, suffix, &path);
        if (rc == 0 && fd < 0)
            rc = fs_error(err, errno, "create a file in %s", fs->writer_dir);
    }
    if (rc == 0)
        (void)futimens(fs->alive_fd, NULL); /* the sign of life for those who do not see our lock */
    pthread_mutex_unlock(&fs->lock);
    if (rc < 0)
        return -1;
    *ret_path = path;
    *ret_fd = fd;
    return 0;
}

/* ---- reading ---- */

static int fs_get_range(struct store *store, const char *name, uint64_t offset, void *dst, size_t len, size_t *ret_len,
                        struct err *err) {
    _cleanup_free_ char *path = fs_path(fs_of(store), name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fs_error(err, errno, "open");
    size_t have = 0;
    int failed = 0;
    while (have < len) {
        ssize_t n = pread(fd, (char *)dst + have, len - have, (off_t)(offset + have));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            failed = errno;
        if (n <= 0)
            break;
        have += (size_t)n;
    }
    if (len >= DROP_CACHE_FROM)
        (void)posix_fadvise(fd, (off_t)offset, (off_t)have, POSIX_FADV_DONTNEED);
    close(fd);
    if (failed)
        return fs_error(err, failed, "read at byte %llu", (unsigned long long)(offset + have));
    *ret_len = have;
    return 0;
}

static int fs_stat(struct store *store, const char *name, struct store_entry *ret_entry, struct err *err) {
    _cleanup_free_ char *path = fs_path(fs_of(store), name);
    struct stat st;
    if (lstat(path, &st) < 0)
        return fs_error(err, errno == ENOTDIR ? ENOENT : errno, "look at it");
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return err_set(err, ERR_CORRUPT, "%s is no plain file", path);
    *ret_entry = (struct store_entry){
        .name = name,
        .bytes = S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size,
        .modified_at = (int64_t)st.st_mtim.tv_sec * CLOCK_SECOND + st.st_mtim.tv_nsec / 1000,
        .is_folder = S_ISDIR(st.st_mode),
    };
    return 0;
}

static int fs_make_durable(struct store *store, const char *name, struct err *err) {
    struct fs_store *fs = fs_of(store);
    _cleanup_free_ char *path = fs_path(fs, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fs_error(err, errno, "open");
    int rc = fsync(fd) < 0 ? fs_error(err, errno, "fsync") : 0;
    close(fd);
    return rc < 0 || fs_dir_prepare(fs, path, err) < 0 || fs_dir_sync_of(path, err) < 0 ? -1 : 0;
}

static int fs_remove(struct store *store, const char *name, struct err *err) {
    _cleanup_free_ char *path = fs_path(fs_of(store), name);
    if (store_step_before(STORE_STEP_REMOVE, err) < 0)
        return -1;
    if (unlink(path) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return fs_error(err, errno, "remove");
    }
    if (fs_dir_sync_of(path, err) < 0)
        return -1;
    return store_step_after(STORE_STEP_REMOVE, err);
}

static int fs_space(struct store *store, struct store_space *ret_space, struct err *err) {
    struct file_space space;
    struct err why = {0};
    if (file_space_of(fs_of(store)->root, &space, &why) < 0)
        return fs_error(err, why.os, "free space of %s", fs_of(store)->root);
    *ret_space = (struct store_space){
        .known = true, .total_bytes = space.total_bytes, .free_bytes = space.free_bytes, .device = space.device};
    return 0;
}

static void fs_free(struct store *store) {
    struct fs_store *fs = fs_of(store);
    if (fs->writer_dir) {
        _cleanup_free_ char *alive = file_join(fs->writer_dir, FS_ALIVE);
        /* What was left for a resume keeps the folder. */
        (void)unlink(alive);
        (void)rmdir(fs->writer_dir);
        close(fs->alive_fd);
    }
    pthread_mutex_destroy(&fs->lock);
    mem_free(fs->writer_dir);
    mem_free(fs->writer);
    mem_free(fs->root);
    mem_free(fs);
}

static const struct store_ops fs_ops = {
    .scheme = "file",
    .caps = STORE_CAP_PUT_IF_ABSENT | STORE_CAP_RESUME | STORE_CAP_LOCAL | STORE_CAP_CHEAP_STAT,
    .object_begin = fs_object_begin,
    .part_put = fs_part_put,
    .object_state = fs_object_state,
    .object_commit = fs_object_commit,
    .object_close = fs_object_close,
    .put = fs_put,
    .get_range = fs_get_range,
    .stat = fs_stat,
    .list = fs_list,
    .make_durable = fs_make_durable,
    .remove = fs_remove,
    .clean = fs_clean,
    .space = fs_space,
    .free = fs_free,
};

int store_fs_open(const char *path, const struct store_options *options, struct store **ret_store, struct err *err) {
    _cleanup_free_ char *root = mem_strdup(path);
    size_t len = strlen(root);
    while (len > 1 && root[len - 1] == '/')
        root[--len] = 0;
    struct stat st;
    if (len == 1)
        return err_set(err, ERR_CONFIG, "store '/': the root of the file system is no place for backups");
    if (stat(root, &st) < 0) {
        fs_error(err, errno, "store %s", root);
        return errno == ENOENT ? err_hint(err, "The folder must exist: is the backup volume mounted?") : -1;
    }
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFIG, "store %s is not a folder", root);
    struct fs_store *fs = mem_alloc(sizeof(*fs));
    fs->base.ops = &fs_ops;
    fs->base.local_path = mem_strdup(root);
    fs->root = root;
    fs->root_dev = st.st_dev;
    fs->root_ino = st.st_ino;
    root = NULL;
    fs->writer = mem_strdup(options->writer ? options->writer : "writer");
    fs->alive_fd = -1;
    pthread_mutex_init(&fs->lock, NULL);
    *ret_store = &fs->base;
    return 0;
}
