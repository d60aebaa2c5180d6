/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/guid.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/errors.h"
#include "common/sql/text.h"

#define PROBE_TEXT "mssql-sidecar: can SQL Server read this?\n"

/* ---- the folder ---- */

static int remove_one(void *user, const char *name) {
    _cleanup_free_ char *path = mem_printf("%s/%s", (const char *)user, name);
    unlink(path);
    return 0;
}

/* The kernel gives it back however this process ends. */
static int lock(struct restore_staging *s, const char *id, struct err *err) {
    int fd = open(s->local, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "opening '%s'", s->local);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int reason = errno;
        close(fd);
        if (reason == EWOULDBLOCK)
            return err_set(err, ERR_BUSY, "another process is at restore %s", id);
        return err_os(err, ERR_NONE, reason, "locking '%s'", s->local);
    }
    s->lock_fd = fd;
    return 0;
}

int restore_staging_make(const char *local, const char *server, const char *id, struct restore_staging *ret_staging,
                         struct err *err) {
    struct stat st;
    if (stat(local, &st) < 0)
        return err_os(err, ERR_CONFIG, errno, "staging directory '%s'", local);
    if (!S_ISDIR(st.st_mode))
        return err_set(err, ERR_CONFIG, "staging '%s' is not a directory", local);
    /* Who may pass through staging is who may read the files: SQL Server's user is in the group, or it is open to all. */
    mode_t others = st.st_mode & S_IXOTH;
    mode_t mode = 0750 | (st.st_mode & S_ISGID) | (others ? 0005 : 0);
    struct restore_staging s = {.local = mem_printf("%s/%s", local, id),
                                .server = mem_printf("%s/%s", server, id),
                                .file_mode = 0640 | (others ? 0004 : 0)};
    int rc = 0;
    if (mkdir(s.local, mode) < 0 && errno != EEXIST)
        rc = err_os(err, ERR_NONE, errno, "creating '%s'", s.local);
    if (rc == 0 && chmod(s.local, mode) < 0)
        rc = err_os(err, ERR_NONE, errno, "mode of '%s'", s.local);
    if (rc == 0)
        rc = lock(&s, id, err);
    if (rc == 0)
        rc = file_each(s.local, remove_one, s.local, err);
    if (rc < 0) {
        restore_staging_done(&s);
        return -1;
    }
    *ret_staging = s;
    return 0;
}

void restore_staging_remove(struct restore_staging *s) {
    if (!s->local)
        return;
    if (file_each(s->local, remove_one, s->local, NULL) == 0)
        rmdir(s->local);
}

void restore_staging_done(struct restore_staging *s) {
    if (s->lock_fd > 0)
        close(s->lock_fd);
    mem_free(s->local);
    mem_free(s->server);
    *s = (struct restore_staging){0};
}

/* ---- the proof ---- */

static int write_probe(const char *path, mode_t mode, struct err *err) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_os(err, ERR_NONE, errno, "writing into staging: '%s'", path);
    int rc = 0;
    if (fchmod(fd, mode) < 0 || write(fd, PROBE_TEXT, strlen(PROBE_TEXT)) != (ssize_t)strlen(PROBE_TEXT))
        rc = err_os(err, ERR_NONE, errno ? errno : EIO, "writing into staging: '%s'", path);
    close(fd);
    return rc;
}

/* What we wrote is no backup: that answer says that it was found and read. */
static bool was_read(const struct err *err) {
    return err->sql_number == 3241 || err->sql_number == 3242 || err->sql_number == 3243 || err->sql_number == 3254;
}

static int explain(const struct restore_staging *s, const char *server_path, struct err *err) {
    struct stat st = {0};
    (void)stat(s->local, &st);
    int os = sql_os_error(err->text);
    if (err->sql_number == 3201 && (os == 2 || os == 3)) {
        err_set(err, ERR_CONFIG, "SQL Server does not find '%s', which was just written as '%s/' here", server_path, s->local);
        return err_hint(err,
                        "The same volume must be mounted in both places. Say how SQL Server sees it: --staging LOCAL:SERVERPATH");
    }
    if (err->sql_number == 3201 && os == 5) {
        err_set(err, ERR_PERMISSION, "SQL Server may not read '%s' (here '%s', owner %u:%u, mode %04o)", server_path, s->local,
                (unsigned)st.st_uid, (unsigned)st.st_gid, (unsigned)(st.st_mode & 07777));
        return err_hint(err,
                        "Its user (10001 in the images) must be in the group that owns staging, and staging be of mode 2770");
    }
    return err_context(err, "staging '%s' as SQL Server sees it", server_path);
}

int restore_staging_probe(struct sql_session *session, const struct restore_staging *s, struct err *err) {
    struct guid guid;
    char name[GUID_TEXT_MAX];
    guid_random(&guid);
    guid_format(name, &guid);
    _cleanup_free_ char *path = mem_printf("%s/.probe-%s", s->local, name);
    _cleanup_free_ char *server_path = mem_printf("%s/.probe-%s", s->server, name);
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "RESTORE LABELONLY FROM DISK = ");
    sql_quote_text_max(&text, server_path, SQL_PATH_CHARS);
    int rc = sql_text_check(&text, "RESTORE LABELONLY", err);
    if (rc == 0)
        rc = write_probe(path, s->file_mode, err);
    if (rc == 0) {
        struct err why;
        err_clear(&why);
        if (sql_exec(session, text.data, NULL, &why) < 0 && !was_read(&why)) {
            explain(s, server_path, &why);
            err_copy(err, &why);
            rc = -1;
        }
    }
    unlink(path);
    buf_done(&text);
    return rc;
}
