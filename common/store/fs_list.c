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
#include "common/base/mem.h"
#include "common/store/fs_int.h"

/* ---- listing: one pass over the folder keeps the smallest `limit` names behind `after` in a heap ---- */

struct page {
    char **names; /* a heap, the greatest on top; sorted at the end */
    size_t count, cap, limit;
    bool more;
};

static void sift_down(struct page *page, size_t at, size_t count) {
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= count)
            return;
        if (child + 1 < count && strcmp(page->names[child], page->names[child + 1]) < 0)
            child++;
        if (strcmp(page->names[at], page->names[child]) >= 0)
            return;
        char *swap = page->names[at];
        page->names[at] = page->names[child];
        page->names[child] = swap;
        at = child;
    }
}

static void sift_up(struct page *page, size_t at) {
    while (at) {
        size_t parent = (at - 1) / 2;
        if (strcmp(page->names[parent], page->names[at]) >= 0)
            return;
        char *swap = page->names[at];
        page->names[at] = page->names[parent];
        page->names[parent] = swap;
        at = parent;
    }
}

static void page_offer(struct page *page, const char *name) {
    if (page->count == page->limit) {
        page->more = true;
        if (strcmp(name, page->names[0]) >= 0)
            return;
        mem_free(page->names[0]);
        page->names[0] = mem_strdup(name);
        sift_down(page, 0, page->count);
        return;
    }
    page->names = mem_grow(page->names, &page->cap, page->count + 1, sizeof(char *));
    page->names[page->count++] = mem_strdup(name);
    sift_up(page, page->count - 1);
}

static void page_sort(struct page *page) {
    for (size_t end = page->count; end > 1; end--) {
        char *swap = page->names[0];
        page->names[0] = page->names[end - 1];
        page->names[end - 1] = swap;
        sift_down(page, 0, end - 1);
    }
}

static void page_done(struct page *page) {
    for (size_t i = 0; i < page->count; i++)
        mem_free(page->names[i]);
    mem_free(page->names);
}

static bool is_folder(DIR *dir, const struct dirent *entry) {
    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    struct stat st;
    return fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static int scan(const char *path, const char *after, struct page *page, struct err *err) {
    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOENT || errno == ENOTDIR ? 0 : fs_error(err, errno, "open folder %s", path);
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (!entry)
            break;
        if (entry->d_name[0] == '.' || store_name_check(entry->d_name, NULL) < 0)
            continue;
        bool folder = is_folder(dir, entry);
        char name[STORE_SEGMENT_MAX + 2];
        snprintf(name, sizeof(name), "%s%s", entry->d_name, folder ? "/" : "");
        if (strcmp(name, after) > 0)
            page_offer(page, name);
    }
    int failed = errno;
    closedir(dir);
    return failed ? fs_error(err, failed, "read folder %s", path) : 0;
}

static int emit(struct store *store, const char *prefix, const char *tail, store_entry_fn *fn, void *user, struct err *err) {
    char name[STORE_NAME_MAX + STORE_SEGMENT_MAX + 2];
    snprintf(name, sizeof(name), "%s%s", prefix, tail);
    size_t len = strlen(name);
    struct store_entry entry = {.name = name, .is_folder = true};
    if (name[len - 1] == '/')
        return fn(user, &entry, err);
    struct err why = {0};
    if (store->ops->stat(store, name, &entry, &why) < 0) {
        if (why.class == ERR_NOT_FOUND || why.class == ERR_CORRUPT)
            return 0; /* removed meanwhile, or nothing that a store has (a link, a socket) */
        err_copy(err, &why);
        return -1;
    }
    return fn(user, &entry, err);
}

int fs_list(struct store *store, const char *prefix, const char *after, unsigned limit, store_entry_fn *fn, void *user,
            bool *ret_more, struct err *err) {
    size_t prefix_len = strlen(prefix);
    const char *tail = "";
    if (after && *after) {
        if (strncmp(after, prefix, prefix_len))
            return err_set(err, ERR_USAGE, "'%s' is not in folder '%s'", after, prefix);
        tail = after + prefix_len;
    }
    struct page page = {.limit = limit};
    _cleanup_free_ char *path = fs_path(fs_of(store), prefix);
    int rc = scan(path, tail, &page, err);
    if (rc == 0) {
        page_sort(&page);
        for (size_t i = 0; i < page.count && rc == 0; i++)
            rc = emit(store, prefix, page.names[i], fn, user, err);
    }
    if (rc == 0 && ret_more)
        *ret_more = page.more;
    page_done(&page);
    return rc;
}

/* ---- cleaning up after dead writers ---- */

struct sweep {
    const char *dir;
    int64_t newest_at;
    unsigned files;
};

static int look_at_file(void *user, const char *name) {
    struct sweep *sweep = user;
    _cleanup_free_ char *path = file_join(sweep->dir, name);
    struct stat st;
    if (lstat(path, &st) < 0)
        return 0;
    int64_t at = (int64_t)st.st_mtim.tv_sec * CLOCK_SECOND;
    if (at > sweep->newest_at)
        sweep->newest_at = at;
    sweep->files += strcmp(name, FS_ALIVE) != 0;
    return 0;
}

static int remove_file(void *user, const char *name) {
    struct sweep *sweep = user;
    _cleanup_free_ char *path = file_join(sweep->dir, name);
    return unlink(path) < 0 && errno != ENOENT ? -1 : 0;
}

/* A lock that is held elsewhere means life. The lock is kept while the folder is removed. */
static bool take_lock(const char *dir, int *ret_fd) {
    _cleanup_free_ char *alive = file_join(dir, FS_ALIVE);
    *ret_fd = open(alive, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    return *ret_fd < 0 ? errno == ENOENT : flock(*ret_fd, LOCK_EX | LOCK_NB) == 0;
}

static int sweep_writer(const char *dir, int64_t older_than_ms, unsigned *removed, struct err *err) {
    int fd = -1;
    struct sweep sweep = {.dir = dir};
    struct stat st;
    int rc = 0;
    if (stat(dir, &st) == 0 && take_lock(dir, &fd)) {
        sweep.newest_at = (int64_t)st.st_mtim.tv_sec * CLOCK_SECOND;
        rc = file_each(dir, look_at_file, &sweep, err);
        if (rc == 0 && clock_wall() - sweep.newest_at >= older_than_ms * 1000) {
            rc = file_each(dir, remove_file, &sweep, err);
            if (rc == 0 && rmdir(dir) < 0 && errno != ENOENT && errno != ENOTEMPTY)
                rc = fs_error(err, errno, "remove folder %s", dir);
            *removed += sweep.files;
        }
    }
    if (fd >= 0)
        close(fd);
    return rc;
}

int fs_clean(struct store *store, int64_t older_than_ms, unsigned *ret_removed, struct err *err) {
    struct fs_store *fs = fs_of(store);
    _cleanup_free_ char *tmp = fs_path(fs, FS_TMP);
    DIR *dir = opendir(tmp);
    if (!dir)
        return errno == ENOENT ? 0 : fs_error(err, errno, "open folder %s", tmp);
    int rc = 0;
    const struct dirent *entry;
    while (rc == 0 && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        _cleanup_free_ char *path = file_join(tmp, entry->d_name);
        rc = sweep_writer(path, older_than_ms, ret_removed, err);
    }
    closedir(dir);
    return rc;
}
