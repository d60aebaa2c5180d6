/* SPDX-License-Identifier: Apache-2.0 */
/* The staging directory: SQL Server writes there, we read and remove. Two containers, two users, one volume. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/guid.h"
#include "common/sql/backup.h"
#include "common/sql/int.h"
#include "common/sql/preflight_int.h"

#define STAGING_MIN_BYTES (UINT64_C(1) << 30)

/* "owner 10001:0, mode 2770, we are 10001:0" */
static void describe(const char *dir, char *dst, size_t dst_bytes) {
    struct stat st;
    if (stat(dir, &st) < 0)
        str_format(dst, dst_bytes, "here it does not exist, we are %u:%u", (unsigned)geteuid(), (unsigned)getegid());
    else
        str_format(dst, dst_bytes, "here it is owned by %u:%u, mode %04o, we are %u:%u", (unsigned)st.st_uid, (unsigned)st.st_gid,
                   (unsigned)(st.st_mode & 07777), (unsigned)geteuid(), (unsigned)getegid());
}

/* SQL Server has written the file: can we do our part with it? */
static int check_file(const char *path, struct err *err) {
    struct stat st;
    char byte;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return err_set(err, ERR_CONFIG,
                       "SQL Server wrote '%s', but there is no such file here. Both containers must mount the same volume "
                       "at the same path",
                       path);
    if (fd < 0) {
        int e = errno;
        bool known = lstat(path, &st) == 0;
        err_os(err, ERR_PERMISSION, e, "SQL Server's file '%s' (owner %u:%u, mode %04o) cannot be read by us", path,
               known ? (unsigned)st.st_uid : 0u, known ? (unsigned)st.st_gid : 0u, known ? (unsigned)(st.st_mode & 07777) : 0u);
        return err_hint(err, "Run the sidecar as uid 10001 or in the group that owns the file");
    }
    ssize_t n = read(fd, &byte, 1);
    int e = errno;
    close(fd);
    if (n < 0)
        return err_os(err, ERR_IO, e, "reading '%s'", path);
    return n ? 0 : err_set(err, ERR_CORRUPT, "SQL Server's file '%s' is empty", path);
}

int sql_staging_probe(struct sql_session *session, const char *dir, struct err *err) {
    struct guid guid;
    char text[GUID_TEXT_MAX], name[64], where[160];
    guid_random(&guid);
    str_format(name, sizeof(name), ".probe-%s.bak", guid_format(text, &guid));
    _cleanup_free_ char *path = file_join(dir, name);
    const char *paths[] = {path};
    const struct sql_backup_request request = {
        .database = "model", .kind = BACKUP_FULL, .copy_only = true, .paths = paths, .path_count = 1, .name = name};
    struct sql_backup_result result = {0};
    int rc = sql_backup_run(session, &request, NULL, &result, err);
    sql_messages_done(&result.messages);
    if (rc < 0) {
        describe(dir, where, sizeof(where));
        if (err && (err->sql_number == 3201 || err->sql_number == 3202 || err->sql_number == 3271))
            err_hint(err, "Staging directory '%s': %s", dir, where);
    } else {
        rc = check_file(path, err);
    }
    /* A refused backup may have left the beginning of a file. */
    if (unlink(path) < 0 && errno != ENOENT && rc == 0) {
        rc = err_os(err, ERR_PERMISSION, errno, "SQL Server's file '%s' cannot be removed by us", path);
        describe(dir, where, sizeof(where));
        err_hint(err, "Staging directory '%s': %s", dir, where);
    }
    return rc;
}

static void check_directory(struct preflight *p, const char *dir) {
    struct stat st;
    char where[160];
    describe(dir, where, sizeof(where));
    if (stat(dir, &st) < 0)
        check_add(p, "staging", SQL_CHECK_FAIL, "'%s': %s (%s): create it with owner 10001:0 and mode 2770", dir,
                  strerrordesc_np(errno), where);
    else if (!S_ISDIR(st.st_mode))
        check_add(p, "staging", SQL_CHECK_FAIL, "'%s' is not a directory", dir);
    else if (access(dir, R_OK | W_OK | X_OK) < 0)
        check_add(p, "staging", SQL_CHECK_FAIL, "'%s' cannot be used by us: %s", dir, where);
    else if (st.st_mode & 0007)
        check_add(p, "staging", SQL_CHECK_WARN, "'%s' is open to every user: %s. Backups hold all data: chmod 2770", dir, where);
    else
        check_add(p, "staging", SQL_CHECK_OK, "'%s': %s", dir, where);
}

void preflight_staging(struct preflight *p) {
    const char *dir = p->in->staging_dir;
    struct err err;
    err_clear(&err);
    if (!dir)
        return;
    check_directory(p, dir);
    if (sql_staging_probe(p->session, dir, &err) < 0)
        check_add(p, "staging_write", SQL_CHECK_FAIL, "%s", err.text);
    else
        check_add(p, "staging_write", SQL_CHECK_OK, "SQL Server can write there, and its files can be read and removed by us");
}

/* --- space ----------------------------------------------------------------------------------------------------- */

void preflight_space(struct preflight *p) {
    const char *dir = p->in->staging_dir;
    uint64_t least = p->in->staging_min_bytes ? p->in->staging_min_bytes : STAGING_MIN_BYTES;
    struct buf text;
    struct err err;
    enum sql_check_result result = SQL_CHECK_OK;
    char size[32], total[32];
    buf_init(&text, 8192);
    struct file_space space;
    err_clear(&err);
    if (dir && file_space_of(dir, &space, &err) == 0) {
        str_from_bytes(size, sizeof(size), space.free_bytes);
        str_from_bytes(total, sizeof(total), space.total_bytes);
        buf_printf(&text, "staging has %s of %s free", size, total);
        if (space.free_bytes < least)
            result = SQL_CHECK_WARN;
    } else if (dir) {
        buf_puts(&text, err.text);
        result = SQL_CHECK_WARN;
    }
    struct sql_volume_list volumes = {0};
    err_clear(&err);
    if (sql_volumes_read(p->session, 1, &volumes, &err) < 0) {
        buf_printf(&text, "%s%s", text.len ? "; " : "", err.text);
        result = SQL_CHECK_WARN;
    }
    for (size_t i = 0; i < volumes.count; i++) {
        const struct sql_volume *v = &volumes.items[i];
        str_from_bytes(size, sizeof(size), v->free_bytes);
        str_from_bytes(total, sizeof(total), v->total_bytes);
        buf_printf(&text, "%sSQL Server's volume %s has %s of %s free", text.len ? "; " : "", v->mount, size, total);
        if (v->free_bytes < v->total_bytes / 10)
            result = SQL_CHECK_WARN;
    }
    sql_volumes_done(&volumes);
    check_add(p, "space", result, "%s%s", text.len ? text.data : "free space is not known",
              result == SQL_CHECK_WARN ? ": little is left, backups wait when it does not suffice" : "");
    buf_done(&text);
}
