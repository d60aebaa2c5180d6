/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/prepare.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/base/str.h"

#define MODE_BITS 07777
#define MODE_MAX 03777 /* no setuid */
#define OWNER_ALL 0700
#define OTHERS_WRITE 0002

struct folder {
    const char *path; /* for messages */
    int fd;
    mode_t mode; /* wanted */
    struct stat st;
};

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
}

/* "/a/b=0750" -> "/a/b" and 0750. */
static int parse(const char *spec, char **ret_path, mode_t *ret_mode, struct err *err) {
    const char *sign = strrchr(spec, '=');
    if (sign && strchr(sign, '/'))
        sign = NULL;
    unsigned mode = PREPARE_MODE;
    if (sign) {
        size_t digits = strspn(sign + 1, "01234567");
        if (digits < 3 || digits > 4 || sign[1 + digits])
            return err_set(err, ERR_USAGE, "--prepare %s: the mode is not three or four octal digits, as in %.*s=0750", spec,
                           (int)(sign - spec), spec);
        mode = 0;
        for (const char *p = sign + 1; *p; p++)
            mode = mode * 8 + (unsigned)(*p - '0');
        if (mode > MODE_MAX || (mode & OWNER_ALL) != OWNER_ALL || (mode & OTHERS_WRITE))
            return err_set(err, ERR_USAGE,
                           "--prepare %s: mode %04o is not allowed: the owner needs rwx, and nobody else may write "
                           "but the group",
                           spec, mode);
    }
    char *path = sign ? mem_strndup(spec, (size_t)(sign - spec)) : mem_strdup(spec);
    for (size_t len = strlen(path); len > 1 && path[len - 1] == '/'; len--)
        path[len - 1] = 0;
    if (path[0] != '/' || !path[1] || strstr(path, "//") || strstr(path, "/./") || strstr(path, "/../") || str_ends(path, "/.") ||
        str_ends(path, "/..")) {
        mem_free(path);
        return err_set(err, ERR_USAGE, "--prepare %s: not an absolute path without '.', '..' and empty parts", spec);
    }
    *ret_path = path;
    *ret_mode = (mode_t)mode;
    return 0;
}

/* Why `name` in `dir` could not be opened as a folder. */
static int not_a_folder(int dir, const char *name, const char *path, int errno_value, struct err *err) {
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
        return err_os(err, ERR_NONE, errno_value, "%s", path);
    if (S_ISLNK(st.st_mode)) {
        err_set(err, ERR_CONFIG, "%s is a symbolic link", path);
        return err_hint(err, "It may lead out of the volume, so it is not followed. Replace it by a folder");
    }
    err_set(err, ERR_CONFIG, "%s is not a folder", path);
    return err_hint(err, "Move it away, or name another folder");
}

/* Opens every part of the path but the last one; ret_name points to the last one. */
static int open_parent(char *path, int *ret_fd, const char **ret_name, struct err *err) {
    int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *part = path + 1;
    for (char *slash; fd >= 0 && (slash = strchr(part, '/')); part = slash + 1) {
        *slash = 0;
        int next = openat(fd, part, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0) {
            int saved = errno;
            not_a_folder(fd, part, path, saved, err);
            close(fd);
            return saved == ENOENT ? err_hint(err, "The volume is not mounted there") : -1;
        }
        close(fd);
        fd = next;
        *slash = '/';
    }
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "open /");
    *ret_fd = fd;
    *ret_name = part;
    return 0;
}

static int open_folder(int parent, const char *name, const char *path, int *ret_fd, struct err *err) {
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return not_a_folder(parent, name, path, errno, err);
    *ret_fd = fd;
    return 0;
}

static bool ours(const char *name) {
    /* our mark, that of staging, and what a state directory has from its first start on */
    static const char *const names[] = {PREPARE_MARK, ".mssql-sidecar", "journal", "catalog"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

/* Fails when somebody else's things are in it. */
static int check_content(struct folder *f, struct err *err) {
    int fd = openat(f->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir) {
        int saved = errno;
        close_fd(&fd);
        return err_os(err, ERR_NONE, saved, "%s cannot be read", f->path);
    }
    char foreign[256] = "";
    bool marked = false;
    for (struct dirent *e; !marked && (e = readdir(dir));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        marked = ours(e->d_name);
        if (!foreign[0])
            (void)str_copy(foreign, sizeof(foreign), e->d_name);
    }
    closedir(dir);
    if (!marked && foreign[0]) {
        err_set(err, ERR_CONFIG, "%s holds '%s', and nothing of the sidecar's: it belongs to something else", f->path, foreign);
        return err_hint(err, "Name a folder of its own. If this one is meant, make an empty file " PREPARE_MARK " in it");
    }
    return 0;
}

/* The wanted mode; only the owner can set it. Says what could not be had. */
static int set_mode(struct folder *f, struct buf *said, struct err *err) {
    if (fchmod(f->fd, f->mode) < 0 || fstat(f->fd, &f->st) < 0)
        return err_os(err, ERR_NONE, errno, "%s: mode %04o cannot be set", f->path, (unsigned)f->mode);
    if ((f->st.st_mode & MODE_BITS) != f->mode) /* the kernel drops setgid when we are not in the group */
        (void)buf_printf(said, "warning: %s has mode %04o instead of %04o: uid %u is not in its group %u\n", f->path,
                         (unsigned)(f->st.st_mode & MODE_BITS), (unsigned)f->mode, geteuid(), f->st.st_gid);
    return 0;
}

/* A folder that was there before. What the sidecar itself will complain of is no reason to stop the pod. */
static int accept_folder(struct folder *f, struct buf *said, struct err *err) {
    if (check_content(f, err) < 0)
        return -1;
    unsigned was = f->st.st_mode & MODE_BITS;
    if (was == f->mode || (f->st.st_uid != geteuid() && (was & f->mode) == f->mode)) {
        (void)buf_printf(said, "%s: as it should be\n", f->path);
    } else if (f->st.st_uid != geteuid()) {
        (void)buf_printf(
            said,
            "warning: %s belongs to uid %u, gid %u and has mode %04o: uid %u cannot give it %04o. Change its owner, or "
            "run as that user\n",
            f->path, f->st.st_uid, f->st.st_gid, was, geteuid(), (unsigned)f->mode);
    } else if (set_mode(f, said, err) < 0) {
        (void)buf_printf(said, "warning: %s, it has %04o\n", err->text, was);
        err_clear(err);
    } else {
        (void)buf_printf(said, "%s: mode %04o, was %04o\n", f->path, (unsigned)(f->st.st_mode & MODE_BITS), was);
    }
    if (faccessat(f->fd, ".", R_OK | W_OK | X_OK, AT_EACCESS) < 0)
        (void)buf_printf(said, "warning: %s is not writable by uid %u, gid %u\n", f->path, geteuid(), getegid());
    return 0;
}

static int mark(struct folder *f, struct err *err) {
    int fd = openat(f->fd, PREPARE_MARK, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (fd >= 0) {
        close(fd);
        return 0;
    }
    if (errno == ENOSPC || errno == EDQUOT)
        return 0; /* an empty folder is ours without it */
    return err_os(err, ERR_NONE, errno, "%s/" PREPARE_MARK, f->path);
}

/* Some network file systems cannot fsync a folder and say so with EINVAL. */
static int sync_folder(int fd, const char *what, const char *path, struct err *err) {
    if (fsync(fd) < 0 && errno != EINVAL)
        return err_os(err, ERR_NONE, errno, "fsync %s%s", what, path);
    return 0;
}

static int make(int parent, const char *name, struct folder *f, struct buf *said, struct err *err) {
    if (geteuid() == 0) {
        err_set(err, ERR_CONFIG, "%s is not there, and a folder that root makes is root's", f->path);
        return err_hint(err, "Run as the user that SQL Server runs as (10001 in its images)");
    }
    if (mkdirat(parent, name, OWNER_ALL) < 0) {
        err_os(err, ERR_NONE, errno, "%s cannot be made by uid %u, gid %u", f->path, geteuid(), getegid());
        return err_hint(err, "The volume must let that user write: set fsGroup in the pod's securityContext");
    }
    if (open_folder(parent, name, f->path, &f->fd, err) < 0 || set_mode(f, said, err) < 0 || mark(f, err) < 0 ||
        sync_folder(f->fd, "", f->path, err) < 0)
        return -1;
    _cleanup_(close_fd) int above = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (above >= 0 && sync_folder(above, "the folder of ", f->path, err) < 0)
        return -1;
    (void)buf_printf(said, "%s: made, mode %04o, uid %u, gid %u\n", f->path, (unsigned)(f->st.st_mode & MODE_BITS), f->st.st_uid,
                     f->st.st_gid);
    return 0;
}

int prepare_directory(const char *spec, struct buf *said, struct err *err) {
    _cleanup_free_ char *path = NULL;
    struct folder f = {.fd = -1};
    if (parse(spec, &path, &f.mode, err) < 0)
        return -1;
    f.path = path;
    const char *name = NULL;
    _cleanup_(close_fd) int parent = -1;
    if (open_parent(path, &parent, &name, err) < 0)
        return -1;
    int rc;
    if (fstatat(parent, name, &f.st, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT)
        rc = make(parent, name, &f, said, err);
    else if ((rc = open_folder(parent, name, path, &f.fd, err)) == 0)
        rc = fstat(f.fd, &f.st) < 0 ? err_os(err, ERR_NONE, errno, "%s", path) : accept_folder(&f, said, err);
    close_fd(&f.fd);
    return rc;
}
