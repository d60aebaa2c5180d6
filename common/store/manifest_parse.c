/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/manifest_int.h"

#define KEY_MAX 48
#define TIME_END (INT64_C(253402300800) * CLOCK_SECOND) /* the year 10000 has no text */

static int wrong(struct err *err, const char *where, const struct manifest_field *field, const char *want) {
    return err_set(err, ERR_CORRUPT, "field %s%s: %s", where, field->path, want);
}

/* The object that holds the last key of a dotted path, and that key. NULL when a step is missing. */
static json_t *walk(json_t *root, const char *path, char key[KEY_MAX]) {
    for (;;) {
        const char *dot = strchr(path, '.');
        if (!dot) {
            str_copy(key, KEY_MAX, path);
            return json_is_object(root) ? root : NULL;
        }
        char step[KEY_MAX];
        snprintf(step, sizeof(step), "%.*s", (int)(dot - path), path);
        root = json_object_get(root, step);
        path = dot + 1;
    }
}

static bool take_integer(const json_t *value, int64_t min, int64_t max, int64_t *ret_value) {
    if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
        return false;
    *ret_value = json_integer_value(value);
    return true;
}

static int parse_number(void *at, const struct manifest_field *field, const json_t *value, const char *where, struct err *err) {
    int64_t n;
    switch (field->type) {
    case FIELD_U64:
        if (!take_integer(value, 0, INT64_MAX, &n))
            return wrong(err, where, field, "not a whole number");
        *(uint64_t *)at = (uint64_t)n;
        return 0;
    case FIELD_U32:
        if (!take_integer(value, 0, UINT32_MAX, &n))
            return wrong(err, where, field, "not a whole number up to 4294967295");
        *(uint32_t *)at = (uint32_t)n;
        return 0;
    case FIELD_U16:
        if (!take_integer(value, 0, UINT16_MAX, &n))
            return wrong(err, where, field, "not a whole number up to 65535");
        *(uint16_t *)at = (uint16_t)n;
        return 0;
    default:
        if (!take_integer(value, INT32_MIN, INT32_MAX, &n))
            return wrong(err, where, field, "not a whole number");
        *(int32_t *)at = (int32_t)n;
        return 0;
    }
}

static int parse_flags(uint32_t *flags, const struct manifest_field *field, const json_t *value, const char *where,
                       struct err *err) {
    if (!json_is_array(value))
        return wrong(err, where, field, "not a list");
    for (size_t i = 0; i < json_array_size(value); i++) {
        const char *name = json_string_value(json_array_get(value, i));
        if (!name)
            return wrong(err, where, field, "not a list of words");
        *flags |= manifest_flag_bit(name); /* a word of a later version says something that we cannot use */
    }
    return 0;
}

static int parse_text(void *at, const struct manifest_field *field, const json_t *value, const char *where, struct err *err) {
    const char *text = json_string_value(value);
    if (!text)
        return wrong(err, where, field, "not a text");
    switch (field->type) {
    case FIELD_STRING:
        manifest_set(at, text);
        return 0;
    case FIELD_LSN:
        return lsn_parse(text, at) ? 0 : wrong(err, where, field, "not an LSN of up to 25 digits");
    case FIELD_GUID:
        return guid_parse(text, at) ? 0 : wrong(err, where, field, "not a GUID");
    case FIELD_TIME:
        return clock_parse(text, at) && *(int64_t *)at >= 0 && *(int64_t *)at < TIME_END
                   ? 0
                   : wrong(err, where, field, "not a time such as 2026-11-21T02:47:00Z");
    case FIELD_HASH:
        return str_unhex(text, ((struct hash *)at)->bytes, HASH_BYTES)
                   ? 0
                   : wrong(err, where, field, "not a SHA-256 of 64 hex digits");
    case FIELD_KIND:
        return backup_kind_parse(text, at) ? 0 : wrong(err, where, field, "not full, diff or log");
    default:
        if (strlen(text) != 1 || !strchr("DLSF", *text))
            return wrong(err, where, field, "not one of D, L, S, F");
        *(char *)at = *text;
        return 0;
    }
}

static int parse_value(void *at, const struct manifest_field *field, const json_t *value, const char *where, struct err *err) {
    switch (field->type) {
    case FIELD_U64:
    case FIELD_U32:
    case FIELD_U16:
    case FIELD_I32:
        return parse_number(at, field, value, where, err);
    case FIELD_BOOL:
        if (!json_is_boolean(value))
            return wrong(err, where, field, "not true or false");
        *(bool *)at = json_is_true(value);
        return 0;
    case FIELD_FLAGS:
        return parse_flags(at, field, value, where, err);
    default:
        return parse_text(at, field, value, where, err);
    }
}

/* Words of a flag list that this version does not know stay behind, so that they are written back. */
static bool keep_unknown_flags(json_t *value) {
    for (size_t i = json_array_size(value); i-- > 0;)
        if (manifest_flag_bit(json_string_value(json_array_get(value, i))))
            json_array_remove(value, i);
    return json_array_size(value) > 0;
}

/* What is understood is taken out of the tree: the rest is what this version does not know. */
static int parse_fields(void *base, const struct manifest_field *fields, size_t count, json_t *root, const char *where,
                        struct err *err) {
    for (size_t i = 0; i < count; i++) {
        char key[KEY_MAX];
        json_t *parent = walk(root, fields[i].path, key);
        json_t *value = parent ? json_object_get(parent, key) : NULL;
        if (!value || json_is_null(value)) {
            if (fields[i].required)
                return wrong(err, where, &fields[i], "missing");
            if (value)
                json_object_del(parent, key);
            continue;
        }
        if (parse_value((char *)base + fields[i].offset, &fields[i], value, where, err) < 0)
            return -1;
        if (fields[i].type != FIELD_FLAGS || !keep_unknown_flags(value))
            json_object_del(parent, key);
    }
    return 0;
}

/* Objects that hold nothing any more are gone, and NULL when the whole is empty. Steals the reference. */
static json_t *only_rest(json_t *root) {
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(root, next, key, value) {
        if (!json_is_object(value))
            continue;
        json_incref(value);
        value = only_rest(value);
        if (!value)
            json_object_del(root, key);
        else
            json_decref(value);
    }
    if (json_object_size(root))
        return root;
    json_decref(root);
    return NULL;
}

static int parse_list(void *owner, const struct manifest_list *list, json_t *root, const char *where, struct err *err) {
    json_t *array = json_object_get(root, list->key);
    if (!array)
        return 0;
    if (!json_is_array(array))
        return err_set(err, ERR_CORRUPT, "field %s%s: not a list", where, list->key);
    if (json_array_size(array) > list->max)
        return err_set(err, ERR_LIMIT, "field %s%s: %zu entries, at most %zu", where, list->key, json_array_size(array),
                       list->max);
    for (size_t i = 0; i < json_array_size(array); i++) {
        char here[3 * KEY_MAX];
        snprintf(here, sizeof(here), "%s%s[%zu].", where, list->key, i);
        json_t *element = json_array_get(array, i);
        if (!json_is_object(element))
            return err_set(err, ERR_CORRUPT, "field %s: not an object", here);
        char *item = manifest_list_add(owner, list);
        if (parse_fields(item, list->fields, list->field_count, element, here, err) < 0)
            return -1;
        if (list->inner && parse_list(item, list->inner, element, here, err) < 0)
            return -1;
        if (list->extra_at != SIZE_MAX)
            *(json_t **)(item + list->extra_at) = only_rest(json_incref(element));
    }
    json_object_del(root, list->key);
    return 0;
}

static int parse_version(struct manifest *m, json_t *root, struct err *err) {
    const char *text = json_string_value(json_object_get(root, "format"));
    uint64_t major, minor;
    const char *dot = text ? strchr(text, '.') : NULL;
    char whole[16] = "";
    if (dot)
        snprintf(whole, sizeof(whole), "%.*s", (int)(dot - text > 10 ? 10 : dot - text), text);
    if (!dot || !str_to_u64(whole, UINT32_MAX, &major) || !str_to_u64(dot + 1, UINT32_MAX, &minor))
        return err_set(err, ERR_CORRUPT, "field format: missing or not like \"1.0\"");
    if (major != MANIFEST_FORMAT_MAJOR)
        return err_set(err, ERR_UNSUPPORTED, "format %.20s: this version reads %d.x. Use a newer program", text,
                       MANIFEST_FORMAT_MAJOR);
    m->format_major = (uint32_t)major;
    m->format_minor = (uint32_t)minor;
    json_object_del(root, "format");
    return 0;
}

static int parse_root(struct manifest *m, json_t *root, struct err *err) {
    if (parse_version(m, root, err) < 0 || parse_fields(m, manifest_fields, manifest_field_count, root, "", err) < 0)
        return -1;
    for (size_t i = 0; i < manifest_list_count; i++)
        if (parse_list(m, &manifest_lists[i], root, "", err) < 0)
            return -1;
    return manifest_check(m, err);
}

int manifest_parse(const char *data, size_t len, struct manifest *ret_m, struct err *err) {
    if (len > MANIFEST_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "manifest of %zu bytes, at most %u", len, MANIFEST_BYTES_MAX);
    json_error_t why;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(err, ERR_CORRUPT, "manifest is not JSON: line %d: %s", why.line, why.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "manifest is not a JSON object");
    }
    struct manifest m;
    manifest_init(&m);
    if (parse_root(&m, root, err) < 0) {
        json_decref(root);
        manifest_done(&m);
        return -1;
    }
    m.extra = only_rest(root);
    *ret_m = m;
    return 0;
}
