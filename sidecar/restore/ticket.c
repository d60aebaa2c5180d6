/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/restore/ticket.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FILE_BYTES_MAX (16u << 20)
#define FORMAT 1

const char *const *ticket_fault_points(void) {
    static const char *const points[] = {"restore.ticket.saved", "restore.ticket.removed", NULL};
    return points;
}

void ticket_init(struct ticket *t) {
    *t = (struct ticket){0};
    restore_request_init(&t->request);
}

void ticket_done(struct ticket *t) {
    restore_request_done(&t->request);
    mem_free(t->targets.items);
    mem_free(t->protect.items);
    mem_free(t->left.items);
    mem_free(t->tails.items);
    mem_free(t->copies);
    *t = (struct ticket){0};
}

static struct ticket_names names_copy(const struct ticket_names *from) {
    return (struct ticket_names){from->count ? mem_dup(from->items, from->count * sizeof(*from->items)) : NULL, from->count};
}

void ticket_copy(struct ticket *dst, const struct ticket *src) {
    *dst = *src;
    restore_request_copy(&dst->request, &src->request);
    dst->targets = names_copy(&src->targets);
    dst->protect = names_copy(&src->protect);
    dst->left = names_copy(&src->left);
    dst->tails = names_copy(&src->tails);
    dst->copies = src->copy_count ? mem_dup(src->copies, src->copy_count * sizeof(*src->copies)) : NULL;
}

static char *folder_of_all(const char *state_dir) {
    return file_join(state_dir, "restores");
}

char *ticket_folder(const char *state_dir, const char *id) {
    _cleanup_free_ char *all = folder_of_all(state_dir);
    return file_join(all, id);
}

/* ---- members ---- */

bool ticket_names_has(const struct ticket_names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (str_ieq(names->items[i], name))
            return true;
    return false;
}

void ticket_names_add(struct ticket_names *names, const char *name) {
    if (ticket_names_has(names, name))
        return;
    names->items = mem_realloc(names->items, (names->count + 1) * sizeof(*names->items));
    str_copy(names->items[names->count++], sizeof(*names->items), name);
}

void ticket_names_remove(struct ticket_names *names, const char *name) {
    size_t kept = 0;
    for (size_t i = 0; i < names->count; i++)
        if (!str_ieq(names->items[i], name))
            memmove(names->items[kept++], names->items[i], sizeof(*names->items));
    names->count = kept;
}

void ticket_names_clear(struct ticket_names *names) {
    names->count = 0;
}

struct ticket_copy *ticket_add_copy(struct ticket *t, const char *database) {
    t->copies = mem_realloc(t->copies, (t->copy_count + 1) * sizeof(*t->copies));
    struct ticket_copy *copy = &t->copies[t->copy_count++];
    *copy = (struct ticket_copy){0};
    str_copy(copy->database, sizeof(copy->database), database);
    return copy;
}

bool ticket_has_copies(const struct ticket *t) {
    for (size_t i = 0; i < t->copy_count; i++)
        if (t->copies[i].expires_at && !t->copies[i].dropped_at)
            return true;
    return false;
}

/* ---- writing ---- */

static json_t *copies_to_json(const struct ticket *t) {
    json_t *list = json_array();
    for (size_t i = 0; i < t->copy_count; i++) {
        const struct ticket_copy *c = &t->copies[i];
        char database[GUID_TEXT_MAX], fork[GUID_TEXT_MAX], message[TICKET_MESSAGE_MAX];
        json_array_append_new(list,
                              json_pack("{s:s,s:s,s:s,s:I,s:I,s:s}", "database", c->database, "databaseGuid",
                                        guid_format(database, &c->database_guid), "recoveryFork",
                                        guid_format(fork, &c->recovery_fork), "expiresAt", (json_int_t)c->expires_at, "droppedAt",
                                        (json_int_t)c->dropped_at, "message", str_to_utf8(message, sizeof(message), c->message)));
    }
    return list;
}

static json_t *names_to_json(const struct ticket_names *names) {
    json_t *list = json_array();
    for (size_t i = 0; i < names->count; i++)
        json_array_append_new(list, json_string(names->items[i]));
    return list;
}

static json_t *to_json(const struct ticket *t) {
    char error[ERR_TEXT_MAX], reason[TICKET_REASON_MAX], by[TICKET_BY_MAX]; /* one that was cut in a character is no JSON */
    return json_pack("{s:i,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:b,s:b,s:s,s:s,s:i,s:I,s:I,s:o,s:o,s:o,s:o,s:o,s:o}", "format", FORMAT,
                     "id", t->id, "requestId", t->request_id, "reason", str_to_utf8(reason, sizeof(reason), t->reason), "by",
                     str_to_utf8(by, sizeof(by), t->by), "requestedAt", (json_int_t)t->requested_at, "startedAt",
                     (json_int_t)t->started_at, "finishedAt", (json_int_t)t->finished_at, "cancelled", t->cancelled, "ended",
                     t->ended, "errorClass", t->err.class == ERR_NONE ? "" : err_class_name(t->err.class), "error",
                     t->err.class == ERR_NONE ? "" : str_to_utf8(error, sizeof(error), t->err.text), "sqlError",
                     t->err.sql_number, "expiresAt", (json_int_t)t->expires_at, "expiresInUs", (json_int_t)t->expires_in_us,
                     "request", restore_request_to_json(&t->request), "targets", names_to_json(&t->targets), "protect",
                     names_to_json(&t->protect), "left", names_to_json(&t->left), "tails", names_to_json(&t->tails), "copies",
                     copies_to_json(t));
}

int ticket_save(const struct ticket *t, const char *state_dir, struct err *err) {
    _cleanup_free_ char *folder = ticket_folder(state_dir, t->id), *path = file_join(folder, "ticket.json");
    json_t *root = to_json(t);
    if (!root)
        return err_set(err, ERR_INTERNAL, "restore %s: its ticket holds text that is not UTF-8", t->id);
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    int rc = fault_point("restore.ticket.saved", FAULT_BEFORE, err);
    if (rc == 0)
        rc = file_mkdirs(folder, 0700, err);
    if (rc == 0)
        rc = file_write_durable(path, text, strlen(text), 0600, err);
    free(text);
    if (rc < 0)
        return err_context(err, "ticket of restore %s", t->id);
    return fault_point("restore.ticket.saved", FAULT_AFTER, err);
}

void ticket_file_init(struct ticket_file *file) {
    *file = (struct ticket_file){0};
    pthread_mutex_init(&file->lock, NULL);
}

void ticket_file_done(struct ticket_file *file) {
    pthread_mutex_destroy(&file->lock);
}

int ticket_file_save(struct ticket_file *file, const struct ticket *t, const char *state_dir, struct err *err) {
    int rc = 0;
    pthread_mutex_lock(&file->lock);
    if (t->version > file->written)
        rc = ticket_save(t, state_dir, err);
    if (rc == 0 && t->version > file->written)
        file->written = t->version;
    pthread_mutex_unlock(&file->lock);
    return rc;
}

/* ---- reading ---- */

static bool text(const json_t *o, const char *key, char *dst, size_t dst_bytes) {
    const char *s = json_string_value(json_object_get(o, key));
    return s && str_copy(dst, dst_bytes, s);
}

static bool number(const json_t *o, const char *key, int64_t *ret_value) {
    const json_t *v = json_object_get(o, key);
    *ret_value = json_integer_value(v);
    return json_is_integer(v);
}

static bool flag(const json_t *o, const char *key, bool *ret_value) {
    const json_t *v = json_object_get(o, key);
    *ret_value = json_is_true(v);
    return json_is_boolean(v);
}

static bool guid(const json_t *o, const char *key, struct guid *ret_guid) {
    const char *s = json_string_value(json_object_get(o, key));
    return s && guid_parse(s, ret_guid);
}

static bool read_copies(struct ticket *t, const json_t *list) {
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o) {
        struct ticket_copy *c = ticket_add_copy(t, "");
        if (!text(o, "database", c->database, sizeof(c->database)) || !guid(o, "databaseGuid", &c->database_guid) ||
            !guid(o, "recoveryFork", &c->recovery_fork) || !number(o, "expiresAt", &c->expires_at) ||
            !number(o, "droppedAt", &c->dropped_at) || !text(o, "message", c->message, sizeof(c->message)))
            return false;
    }
    return json_is_array(list);
}

static bool read_names(struct ticket_names *names, const json_t *list) {
    size_t i;
    json_t *o;
    json_array_foreach(list, i, o) {
        if (!json_is_string(o) || json_string_length(o) >= SQL_NAME_MAX)
            return false;
        ticket_names_add(names, json_string_value(o));
    }
    return json_is_array(list);
}

/* Tickets of an older version do not have it. */
static bool read_later(struct ticket_names *names, const json_t *list) {
    return !list || read_names(names, list);
}

static bool read_error(struct ticket *t, const json_t *o) {
    char class[64];
    int64_t sql;
    if (!text(o, "errorClass", class, sizeof(class)) || !text(o, "error", t->err.text, sizeof(t->err.text)) ||
        !number(o, "sqlError", &sql))
        return false;
    t->err.class = *class ? err_class_parse(class) : ERR_NONE;
    t->err.sql_number = (int)sql;
    return !*class || t->err.class != ERR_NONE;
}

static bool read_members(struct ticket *t, const json_t *o) {
    return text(o, "id", t->id, sizeof(t->id)) && text(o, "requestId", t->request_id, sizeof(t->request_id)) &&
           text(o, "reason", t->reason, sizeof(t->reason)) && text(o, "by", t->by, sizeof(t->by)) &&
           number(o, "requestedAt", &t->requested_at) && number(o, "startedAt", &t->started_at) &&
           number(o, "finishedAt", &t->finished_at) && flag(o, "cancelled", &t->cancelled) && flag(o, "ended", &t->ended) &&
           read_error(t, o) && number(o, "expiresAt", &t->expires_at) && number(o, "expiresInUs", &t->expires_in_us) &&
           read_names(&t->targets, json_object_get(o, "targets")) && read_names(&t->protect, json_object_get(o, "protect")) &&
           read_later(&t->left, json_object_get(o, "left")) && read_later(&t->tails, json_object_get(o, "tails")) &&
           read_copies(t, json_object_get(o, "copies"));
}

int ticket_load(const char *state_dir, const char *id, struct ticket *ret_ticket, struct err *err) {
    _cleanup_free_ char *folder = ticket_folder(state_dir, id), *path = file_join(folder, "ticket.json"), *data = NULL;
    size_t len;
    int64_t format;
    if (file_read_all(path, FILE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    struct ticket t = {0};
    int rc = 0;
    if (!number(root, "format", &format) || format != FORMAT || !read_members(&t, root) || strcmp(t.id, id) != 0)
        rc = err_set(err, ERR_CORRUPT, "%s is not the ticket of a restore", path);
    else
        rc = restore_request_from_json(json_object_get(root, "request"), &t.request, err);
    json_decref(root);
    if (rc < 0) {
        mem_free(t.targets.items);
        mem_free(t.protect.items);
        mem_free(t.left.items);
        mem_free(t.tails.items);
        mem_free(t.copies);
        return -1;
    }
    *ret_ticket = t;
    return 0;
}

/* ---- all of them ---- */

struct removal {
    const char *folder;
    struct err *err;
};

static int remove_file(void *user, const char *name) {
    struct removal *r = user;
    _cleanup_free_ char *path = file_join(r->folder, name);
    return unlink(path) < 0 && errno != ENOENT ? err_os(r->err, ERR_NONE, errno, "remove %s", path) : 0;
}

int ticket_remove(const char *state_dir, const char *id, struct err *err) {
    _cleanup_free_ char *all = folder_of_all(state_dir), *folder = ticket_folder(state_dir, id);
    _cleanup_free_ char *path = file_join(folder, "ticket.json");
    if (fault_point("restore.ticket.removed", FAULT_BEFORE, err) < 0)
        return -1;
    if (!file_exists(folder))
        return 0;
    /* the ticket first: a folder without one is of no restore */
    if (file_unlink_durable(path, err) < 0)
        return -1;
    struct removal r = {folder, err};
    if (file_each(folder, remove_file, &r, err) < 0)
        return -1;
    if (rmdir(folder) < 0 && errno != ENOENT)
        return err_os(err, ERR_NONE, errno, "remove %s", folder);
    if (file_fsync_dir(all, err) < 0)
        return -1;
    return fault_point("restore.ticket.removed", FAULT_AFTER, err);
}

struct each {
    const char *all;
    int (*fn)(void *user, const char *id, struct err *err);
    void *user;
    struct err *err;
};

static int on_folder(void *user, const char *name) {
    struct each *e = user;
    _cleanup_free_ char *folder = file_join(e->all, name), *path = file_join(folder, "ticket.json");
    return restore_id_valid(name) && file_exists(path) ? e->fn(e->user, name, e->err) : 0;
}

int ticket_each(const char *state_dir, int (*fn)(void *user, const char *id, struct err *err), void *user, struct err *err) {
    _cleanup_free_ char *all = folder_of_all(state_dir);
    struct each e = {all, fn, user, err};
    return file_exists(all) ? file_each(all, on_folder, &e, err) : 0;
}
