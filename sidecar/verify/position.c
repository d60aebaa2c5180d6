/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/verify/position.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FILE_BYTES_MAX (64 * 1024)

static bool text(const json_t *root, const char *key, char *dst, size_t dst_bytes) {
    const char *s = json_string_value(json_object_get(root, key));
    return s && str_copy(dst, dst_bytes, s);
}

static bool moment(const json_t *root, const char *key, int64_t *ret_at) {
    const char *s = json_string_value(json_object_get(root, key));
    *ret_at = 0;
    return !s || clock_parse(s, ret_at);
}

static bool number(const json_t *root, const char *key, uint64_t *ret_value) {
    const json_t *value = json_object_get(root, key);
    json_int_t n = json_integer_value(value);
    *ret_value = (uint64_t)n;
    return json_is_integer(value) && n >= 0;
}

static bool counts(const json_t *root, const char *key, uint64_t dst[SCRUB_KIND_COUNT]) {
    const json_t *map = json_object_get(root, key);
    bool good = json_is_object(map);
    for (unsigned kind = 0; good && kind < SCRUB_KIND_COUNT; kind++)
        good = number(map, scrub_kind_word(kind), &dst[kind]);
    return good;
}

static bool parse(const json_t *root, struct position *p) {
    uint64_t kind = 0;
    bool good = moment(root, "firstAt", &p->first_at) && moment(root, "begunAt", &p->begun_at) &&
                moment(root, "endedAt", &p->ended_at) && text(root, "folder", p->folder, sizeof(p->folder)) &&
                number(root, "kind", &kind) && kind <= BACKUP_KIND_COUNT &&
                text(root, "after", p->cursor.after, sizeof(p->cursor.after)) && number(root, "sets", &p->totals.sets) &&
                number(root, "objects", &p->totals.objects) && number(root, "storedBytes", &p->totals.stored_bytes) &&
                counts(root, "findings", p->totals.findings) && counts(root, "before", p->before);
    p->cursor.kind = (unsigned)kind;
    p->names = json_is_true(json_object_get(root, "names"));
    return good;
}

int position_load(const char *path, struct position *ret_position, struct err *err) {
    _cleanup_free_ char *data = NULL;
    struct position p = {0};
    size_t len;
    if (!file_exists(path))
        return err_set(err, ERR_NOT_FOUND, "there is no %s", path);
    if (file_read_all(path, FILE_BYTES_MAX, &data, &len, err) < 0)
        return -1;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, NULL);
    bool good = parse(root, &p);
    json_decref(root);
    if (!good)
        return err_set(err, ERR_CORRUPT, "%s cannot be read", path);
    *ret_position = p;
    return 0;
}

static void put_time(json_t *root, const char *key, int64_t at) {
    char buf[CLOCK_TEXT_MAX];
    if (at)
        json_object_set_new(root, key, json_string(clock_format(buf, at)));
}

static void put_counts(json_t *root, const char *key, const uint64_t src[SCRUB_KIND_COUNT]) {
    json_t *map = json_object();
    for (unsigned kind = 0; kind < SCRUB_KIND_COUNT; kind++)
        json_object_set_new(map, scrub_kind_word(kind), json_integer((json_int_t)src[kind]));
    json_object_set_new(root, key, map);
}

int position_save(const char *path, const struct position *p, struct err *err) {
    json_t *root = json_object();
    put_time(root, "firstAt", p->first_at);
    put_time(root, "begunAt", p->begun_at);
    put_time(root, "endedAt", p->ended_at);
    json_object_set_new(root, "folder", json_string(p->folder));
    json_object_set_new(root, "kind", json_integer(p->cursor.kind));
    json_object_set_new(root, "after", json_string(p->cursor.after));
    json_object_set_new(root, "names", json_boolean(p->names));
    json_object_set_new(root, "sets", json_integer((json_int_t)p->totals.sets));
    json_object_set_new(root, "objects", json_integer((json_int_t)p->totals.objects));
    json_object_set_new(root, "storedBytes", json_integer((json_int_t)p->totals.stored_bytes));
    put_counts(root, "findings", p->totals.findings);
    put_counts(root, "before", p->before);
    char *out = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!out)
        return err_set(err, ERR_INTERNAL, "the position of the scrub cannot be said in JSON");
    int rc = file_write_durable(path, out, strlen(out), 0600, err);
    free(out);
    return rc;
}
