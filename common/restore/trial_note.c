/* SPDX-License-Identifier: Apache-2.0 */
/* What of a trial is durable beside the engine's journal, and the names of its databases. */
#include <ctype.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial_int.h"

#define SUFFIX ".trial"
#define MIDDLE "__verify_"
#define HEX 8
#define NOTE_BYTES_MAX (64 * 1024)

/* ---- names ---- */

bool restore_trial_is_scratch(const char *name) {
    size_t tail = strlen(MIDDLE) + HEX, len = strlen(name);
    if (len <= tail || strncmp(name + len - tail, MIDDLE, strlen(MIDDLE)) != 0)
        return false;
    for (const char *p = name + len - HEX; *p; p++)
        if (!isxdigit((unsigned char)*p) || isupper((unsigned char)*p))
            return false;
    return true;
}

int restore_trial_scratch(const char *name, uint32_t number, char dst[SQL_NAME_MAX], struct err *err) {
    _cleanup_free_ char *stem = mem_strdup(name);
    long room = SQL_NAME_CHARS - (long)strlen(MIDDLE) - HEX;
    if (!*name || sql_text_units(name) < 0)
        return err_set(err, ERR_USAGE, "'%.200s' cannot be the name of a database", name);
    /* A cut inside of a character is no text, and goes on to the character's begin. */
    for (size_t len = strlen(stem); len && (sql_text_units(stem) < 0 || sql_text_units(stem) > room); len--)
        stem[len - 1] = 0;
    if (!str_format(dst, SQL_NAME_MAX, "%s" MIDDLE "%08x", stem, number))
        return err_set(err, ERR_INTERNAL, "the name of a scratch database does not fit");
    return 0;
}

void trial_note_address(char *dst, size_t dst_bytes, const struct sql_params *sql) {
    if (!str_format(dst, dst_bytes, "%s:%u", sql->host ? sql->host : "", sql->port ? sql->port : 1433))
        dst[dst_bytes - 1] = 0;
}

/* ---- the file ---- */

static char *path_of(const char *dir, const char *id) {
    return mem_printf("%s/%s" SUFFIX, dir, id);
}

/* The lock is on the file itself; one that was removed meanwhile is nobody's. */
static int lock(const char *path, int *ret_fd, struct err *err) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_os(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_NONE, errno, "opening '%s'", path);
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int reason = errno;
        close(fd);
        if (reason == EWOULDBLOCK)
            return err_set(err, ERR_BUSY, "another process is at the trial of '%s'", path);
        return err_os(err, ERR_NONE, reason, "locking '%s'", path);
    }
    if (fstat(fd, &st) < 0 || !st.st_nlink) {
        close(fd);
        return err_set(err, ERR_NOT_FOUND, "'%s' was removed", path);
    }
    *ret_fd = fd;
    return 0;
}

int trial_note_write(const char *dir, struct trial_note *note, struct err *err) {
    char guid[GUID_TEXT_MAX];
    _cleanup_free_ char *path = path_of(dir, note->id);
    json_t *json = json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "version", 1, "id", note->id, "scratch", note->scratch, "server",
                             note->server, "address", note->address, "familyGuid", guid_format(guid, &note->family));
    char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
    json_decref(json);
    note->lock_fd = -1;
    if (!text)
        return err_set(err, ERR_INTERNAL, "the note of trial %s cannot be said in JSON", note->id);
    int rc = fault_point("trial.noted", FAULT_BEFORE, err);
    if (rc == 0)
        rc = file_write_durable(path, text, strlen(text), 0640, err);
    free(text);
    if (rc < 0 || lock(path, &note->lock_fd, err) < 0)
        return err_context(err, "note of trial %s", note->id);
    return fault_point("trial.noted", FAULT_AFTER, err);
}

static bool read_fields(const json_t *json, struct trial_note *n) {
    const char *scratch = json_string_value(json_object_get(json, "scratch"));
    const char *server = json_string_value(json_object_get(json, "server"));
    const char *address = json_string_value(json_object_get(json, "address"));
    const char *family = json_string_value(json_object_get(json, "familyGuid"));
    return scratch && server && address && family && restore_trial_is_scratch(scratch) &&
           str_copy(n->scratch, sizeof(n->scratch), scratch) && str_copy(n->server, sizeof(n->server), server) &&
           str_copy(n->address, sizeof(n->address), address) && guid_parse(family, &n->family);
}

int trial_note_take(const char *dir, const char *id, struct trial_note *ret_note, struct err *err) {
    _cleanup_free_ char *path = path_of(dir, id);
    struct trial_note n = {.lock_fd = -1};
    char *text = NULL;
    size_t len;
    if (!str_copy(n.id, sizeof(n.id), id) || lock(path, &n.lock_fd, err) < 0)
        return -1;
    int rc = file_read_all(path, NOTE_BYTES_MAX, &text, &len, err);
    json_t *json = rc == 0 ? json_loadb(text, len, 0, NULL) : NULL;
    if (rc == 0 && !read_fields(json, &n))
        rc = err_set(err, ERR_CORRUPT, "'%s' is not the note of a trial", path);
    json_decref(json);
    mem_free(text);
    if (rc < 0)
        trial_note_release(&n);
    else
        *ret_note = n;
    return rc;
}

void trial_note_release(struct trial_note *note) {
    if (note->lock_fd >= 0)
        close(note->lock_fd);
    note->lock_fd = -1;
}

int trial_note_forget(const char *dir, struct trial_note *note, struct err *err) {
    _cleanup_free_ char *path = path_of(dir, note->id);
    int rc = fault_point("trial.forgotten", FAULT_BEFORE, err);
    if (rc == 0)
        rc = file_unlink_durable(path, err);
    if (rc == 0)
        rc = fault_point("trial.forgotten", FAULT_AFTER, err);
    trial_note_release(note);
    return rc;
}

struct each {
    int (*fn)(void *user, const char *id);
    void *user;
};

static int on_name(void *user, const char *name) {
    struct each *each = user;
    char id[RESTORE_ID_MAX];
    size_t len = strlen(name);
    if (!str_ends(name, SUFFIX) || !str_copy(id, sizeof(id), name))
        return 0;
    id[len - strlen(SUFFIX)] = 0;
    return restore_id_valid(id) ? each->fn(each->user, id) : 0;
}

int trial_note_each(const char *dir, int (*fn)(void *user, const char *id), void *user, struct err *err) {
    struct each each = {fn, user};
    return file_each(dir, on_name, &each, err);
}
