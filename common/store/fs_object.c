/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/fs_int.h"

/* Written bytes are handed to the disk in steps, and dropped from the page cache when they are there. All objects that are
 * written at once share this much of the cache, so that a backup of any size leaves no more behind. */
#define FLUSH_STEP (512u << 10)
#define CACHE_BUDGET (8u << 20)
#define CACHE_BLOCK (4 << 20) /* no block of the page cache is larger */
#define STATE_TAG "fs1"

struct fs_object {
    struct store_object base;
    struct fs_store *fs;
    int fd;
    char *temp;
    char *path;
    uint64_t bytes;
    uint64_t flushed; /* handed to the disk up to here */
    uint64_t dropped; /* out of the page cache up to here */
};

static struct fs_object *object_of(struct store_object *object) {
    return (struct fs_object *)object;
}

static void free_object(struct fs_object *o) {
    atomic_fetch_sub(&o->fs->objects, 1);
    if (o->fd >= 0)
        close(o->fd);
    mem_free(o->temp);
    mem_free(o->path);
    mem_free(o);
}

void fs_object_close(struct store_object *object, bool keep) {
    struct fs_object *o = object_of(object);
    if (!keep)
        (void)unlink(o->temp);
    free_object(o);
}

/* "fs1:<bytes>:<writer folder>/<file>:<object name>" */
static int parse_state(struct fs_store *fs, const char *state, const char *name, uint64_t *ret_bytes, char **ret_temp,
                       struct err *err) {
    _cleanup_free_ char *copy = mem_strdup(state);
    char *save = NULL;
    char *tag = strtok_r(copy, ":", &save), *bytes = strtok_r(NULL, ":", &save);
    char *file = strtok_r(NULL, ":", &save), *object = strtok_r(NULL, "", &save);
    if (!tag || strcmp(tag, STATE_TAG) || !bytes || !str_to_u64(bytes, INT64_MAX, ret_bytes) || !file ||
        store_name_check(file, NULL) < 0 || !object || strcmp(object, name))
        return err_set(err, ERR_NOT_FOUND, "'%.200s' is no unfinished object of this name here", state);
    *ret_temp = mem_printf("%s/%s/%s", fs->root, FS_TMP, file);
    return 0;
}

/* Takes the file over into our own folder, where nobody cleans it up. */
static int resume_temp(struct fs_store *fs, const char *state, struct fs_object *o, struct err *err) {
    _cleanup_free_ char *old = NULL;
    uint64_t bytes;
    if (parse_state(fs, state, o->base.name, &bytes, &old, err) < 0 || fs_temp_open(fs, ".part", &o->temp, &o->fd, err) < 0)
        return -1;
    close(o->fd);
    o->fd = -1;
    struct stat st;
    if (rename(old, o->temp) < 0) {
        int saved = errno;
        (void)unlink(o->temp);
        return fs_error(err, saved, "take over the unfinished object");
    }
    o->fd = open(o->temp, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (o->fd < 0 || fstat(o->fd, &st) < 0)
        return fs_error(err, errno, "open the unfinished object");
    if ((uint64_t)st.st_size < bytes)
        return err_set(err, ERR_NOT_FOUND, "the unfinished object has %llu of %llu bytes", (unsigned long long)st.st_size,
                       (unsigned long long)bytes);
    if (ftruncate(o->fd, (off_t)bytes) < 0 || lseek(o->fd, 0, SEEK_END) < 0)
        return fs_error(err, errno, "cut the unfinished object");
    o->bytes = o->flushed = o->dropped = bytes;
    return 0;
}

int fs_object_begin(struct store *store, const char *name, const char *resume, struct store_object **ret_object,
                    uint64_t *ret_done_bytes, struct err *err) {
    struct fs_store *fs = fs_of(store);
    struct fs_object *o = mem_alloc(sizeof(*o));
    o->fs = fs;
    atomic_fetch_add(&fs->objects, 1);
    o->fd = -1;
    o->path = fs_path(fs, name);
    o->base.name = mem_strdup(name);
    int rc = fs_dir_prepare(fs, o->path, err);
    if (rc == 0)
        rc = resume ? resume_temp(fs, resume, o, err) : fs_temp_open(fs, ".part", &o->temp, &o->fd, err);
    mem_free(o->base.name);
    o->base.name = NULL;
    if (rc < 0) {
        if (o->temp && o->fd >= 0)
            (void)unlink(o->temp);
        free_object(o);
        return -1;
    }
    *ret_done_bytes = o->bytes;
    *ret_object = &o->base;
    return 0;
}

static void flush_behind(struct fs_object *o) {
    if (o->bytes - o->flushed < FLUSH_STEP)
        return;
    (void)sync_file_range(o->fd, (off_t)o->flushed, (off_t)(o->bytes - o->flushed), SYNC_FILE_RANGE_WRITE);
    o->flushed = o->bytes;
    unsigned writers = atomic_load(&o->fs->objects);
    uint64_t share = CACHE_BUDGET / (writers ? writers : 1);
    if (o->flushed - o->dropped <= share)
        return;
    uint64_t upto = (o->flushed - share) & ~UINT64_C(4095);
    if (upto <= o->dropped)
        return;
    off_t from = (off_t)o->dropped, len = (off_t)(upto - o->dropped);
    (void)sync_file_range(o->fd, from, len, SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER);
    /* blocks of many pages are dropped only as a whole: those that the last range cut are in this one again */
    off_t block = from & ~(off_t)(CACHE_BLOCK - 1);
    (void)posix_fadvise(o->fd, block, from + len - block, POSIX_FADV_DONTNEED);
    o->dropped = upto;
}

int fs_part_put(struct store_object *object, unsigned number, const void *bytes, size_t len, struct err *err) {
    (void)number; /* a file takes its parts in their order */
    struct fs_object *o = object_of(object);
    if (store_step_before(STORE_STEP_OBJECT_WRITE, err) < 0 || fs_write_full(o->fd, bytes, len, err) < 0)
        return -1;
    o->bytes += len;
    flush_behind(o);
    return store_step_after(STORE_STEP_OBJECT_WRITE, err);
}

int fs_object_state(struct store_object *object, char **ret_state, struct err *err) {
    struct fs_object *o = object_of(object);
    if (fsync(o->fd) < 0)
        return fs_error(err, errno, "fsync");
    const char *file = strstr(o->temp, "/" FS_TMP "/") + strlen("/" FS_TMP "/");
    if (fs_dir_sync_of(o->temp, err) < 0)
        return -1;
    *ret_state = mem_printf("%s:%llu:%s:%s", STATE_TAG, (unsigned long long)o->bytes, file, object->name);
    return 0;
}

static int sync_step(int fd, enum store_step step, struct err *err) {
    if (store_step_before(step, err) < 0)
        return -1;
    if (fsync(fd) < 0)
        return fs_error(err, errno, "fsync");
    return store_step_after(step, err);
}

static int rename_step(const char *from, const char *to, enum store_step step, struct err *err) {
    if (store_step_before(step, err) < 0)
        return -1;
    if (rename(from, to) < 0)
        return fs_error(err, errno, "rename");
    return store_step_after(step, err);
}

static int dir_sync_step(const char *path, enum store_step step, struct err *err) {
    if (store_step_before(step, err) < 0 || fs_dir_sync_of(path, err) < 0)
        return -1;
    return store_step_after(step, err);
}

int fs_object_commit(struct store_object *object, struct err *err) {
    struct fs_object *o = object_of(object);
    int rc = sync_step(o->fd, STORE_STEP_OBJECT_SYNC, err);
    if (rc == 0) {
        (void)posix_fadvise(o->fd, 0, 0, POSIX_FADV_DONTNEED);
        rc = rename_step(o->temp, o->path, STORE_STEP_OBJECT_RENAME, err);
    }
    if (rc == 0)
        rc = dir_sync_step(o->path, STORE_STEP_OBJECT_DIR_SYNC, err);
    if (rc == 0)
        rc = fs_root_check(fs_of(object->store), err);
    if (rc < 0)
        (void)unlink(o->temp); /* gone already when the rename was done */
    free_object(o);
    return rc;
}

/* ---- small objects ---- */

struct put_steps {
    const char *what;
    enum store_step write, sync, rename, dir_sync;
};

static const struct put_steps *steps_of(const char *what) {
    static const struct put_steps table[] = {
        {"manifest", STORE_STEP_MANIFEST_WRITE, STORE_STEP_MANIFEST_SYNC, STORE_STEP_MANIFEST_RENAME,
         STORE_STEP_MANIFEST_DIR_SYNC},
        {"lineage", STORE_STEP_NONE, STORE_STEP_NONE, STORE_STEP_LINEAGE_RENAME, STORE_STEP_NONE},
        {"instance", STORE_STEP_NONE, STORE_STEP_NONE, STORE_STEP_INSTANCE_RENAME, STORE_STEP_NONE},
        {"hold", STORE_STEP_NONE, STORE_STEP_NONE, STORE_STEP_HOLD_RENAME, STORE_STEP_NONE},
        {"", STORE_STEP_NONE, STORE_STEP_NONE, STORE_STEP_SMALL_RENAME, STORE_STEP_NONE},
    };
    const struct put_steps *row = table;
    while (*row->what && (!what || strcmp(row->what, what)))
        row++;
    return row;
}

/* Gives `temp` the name `path` unless there is one. Not every file system has the one-step call: a hard link is as good. */
static int rename_if_absent(const char *temp, const char *path, struct err *err) {
    if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno == EEXIST)
        return err_set(err, ERR_EXISTS, "there is one already");
    if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
        return fs_error(err, errno, "rename");
    if (link(temp, path) == 0) {
        (void)unlink(temp);
        return 0;
    }
    if (errno == EEXIST)
        return err_set(err, ERR_EXISTS, "there is one already");
    if (errno != EPERM && errno != ENOTSUP && errno != ENOSYS && errno != EMLINK)
        return fs_error(err, errno, "link");
    if (access(path, F_OK) == 0) /* neither exists here: one writer per scope (lineage) makes the look good enough */
        return err_set(err, ERR_EXISTS, "there is one already");
    return rename(temp, path) < 0 ? fs_error(err, errno, "rename") : 0;
}

static int put_content(int fd, const void *bytes, size_t len, const struct put_steps *steps, struct err *err) {
    if (store_step_before(steps->write, err) < 0 || fs_write_full(fd, bytes, len, err) < 0 ||
        store_step_after(steps->write, err) < 0)
        return -1;
    return sync_step(fd, steps->sync, err);
}

static int put_name(const char *temp, const char *path, enum store_put_mode mode, const struct put_steps *steps,
                    struct err *err) {
    if (mode == STORE_PUT_REPLACE)
        return rename_step(temp, path, steps->rename, err);
    if (store_step_before(steps->rename, err) < 0 || rename_if_absent(temp, path, err) < 0)
        return -1;
    return store_step_after(steps->rename, err);
}

int fs_put(struct store *store, const char *name, const void *bytes, size_t len, enum store_put_mode mode, const char *step,
           struct err *err) {
    struct fs_store *fs = fs_of(store);
    const struct put_steps *steps = steps_of(step);
    _cleanup_free_ char *path = fs_path(fs, name), *temp = NULL;
    int fd;
    if (fs_dir_prepare(fs, path, err) < 0 || fs_temp_open(fs, ".put", &temp, &fd, err) < 0)
        return -1;
    int rc = put_content(fd, bytes, len, steps, err);
    close(fd);
    if (rc == 0)
        rc = put_name(temp, path, mode, steps, err);
    if (rc < 0) {
        (void)unlink(temp);
        return -1;
    }
    if (dir_sync_step(path, steps->dir_sync, err) < 0)
        return -1;
    return fs_root_check(fs, err);
}
