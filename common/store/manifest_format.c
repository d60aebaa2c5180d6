/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/manifest_int.h"

static json_t *flags_json(uint32_t flags) {
    json_t *array = json_array();
    for (unsigned bit = 0; bit < 32; bit++) {
        const char *name = flags >> bit & 1 ? manifest_flag_name(1u << bit) : NULL;
        if (name)
            json_array_append_new(array, json_string(name));
    }
    return array;
}

/* The value, or NULL when it says nothing and may be left out. */
static json_t *value_json(const void *at, enum manifest_field_type type) {
    char text[HASH_TEXT_MAX];
    switch (type) {
    case FIELD_STRING:
        return **(char *const *)at ? json_string(*(char *const *)at) : NULL;
    case FIELD_U64:
        return json_integer((json_int_t) * (const uint64_t *)at);
    case FIELD_U32:
        return json_integer(*(const uint32_t *)at);
    case FIELD_U16:
        return json_integer(*(const uint16_t *)at);
    case FIELD_I32:
        return json_integer(*(const int32_t *)at);
    case FIELD_BOOL:
        return json_boolean(*(const bool *)at);
    case FIELD_LSN:
        return lsn_is_zero(*(const struct lsn *)at) ? NULL : json_string(lsn_format(text, *(const struct lsn *)at));
    case FIELD_GUID:
        return guid_is_zero(at) ? NULL : json_string(guid_format(text, at));
    case FIELD_TIME:
        return *(const int64_t *)at ? json_string(clock_format(text, *(const int64_t *)at)) : NULL;
    case FIELD_HASH:
        return json_string(hash_format(text, at));
    case FIELD_KIND:
        return json_string(backup_kind_name(*(const enum backup_kind *)at));
    case FIELD_FLAGS:
        return flags_json(*(const uint32_t *)at);
    case FIELD_LETTER:
        return json_stringn(at, 1);
    }
    return NULL;
}

static json_t *zero_json(const struct manifest_field *field) {
    switch (field->type) {
    case FIELD_STRING:
        return json_string("");
    case FIELD_LSN:
        return json_string("0");
    case FIELD_GUID:
        return json_string("00000000-0000-0000-0000-000000000000");
    default:
        return NULL;
    }
}

static void set_at(json_t *root, const char *path, json_t *value) {
    const char *dot;
    while ((dot = strchr(path, '.'))) {
        char step[64];
        snprintf(step, sizeof(step), "%.*s", (int)(dot - path), path);
        json_t *child = json_object_get(root, step);
        if (!child) {
            child = json_object();
            json_object_set_new(root, step, child);
        }
        root = child;
        path = dot + 1;
    }
    json_object_set_new(root, path, value);
}

static json_t *fields_json(json_t *root, const void *base, const struct manifest_field *fields, size_t count) {
    for (size_t i = 0; i < count; i++) {
        json_t *value = value_json((const char *)base + fields[i].offset, fields[i].type);
        if (!value && fields[i].required)
            value = zero_json(&fields[i]);
        if (value)
            set_at(root, fields[i].path, value);
    }
    return root;
}

/* What an earlier or later version wrote comes back where it was; what we know wins. */
static void merge_rest(json_t *into, json_t *rest) {
    const char *key;
    json_t *value;
    if (!rest)
        return;
    json_object_foreach(rest, key, value) {
        json_t *have = json_object_get(into, key);
        if (!have)
            json_object_set_new(into, key, json_deep_copy(value));
        else if (json_is_object(have) && json_is_object(value))
            merge_rest(have, value);
        else if (json_is_array(have) && json_is_array(value))
            json_array_extend(have, value);
    }
}

static json_t *list_json(const void *owner, const struct manifest_list *list) {
    const char *items = *(char *const *)((const char *)owner + list->items_at);
    size_t count = *(const size_t *)((const char *)owner + list->count_at);
    json_t *array = json_array();
    for (size_t i = 0; i < count; i++) {
        const char *item = items + i * list->item_bytes;
        json_t *element = fields_json(json_object(), item, list->fields, list->field_count);
        if (list->inner)
            json_object_set_new(element, list->inner->key, list_json(item, list->inner));
        if (list->extra_at != SIZE_MAX)
            merge_rest(element, *(json_t *const *)(item + list->extra_at));
        json_array_append_new(array, element);
    }
    return array;
}

static json_t *tree_of(const struct manifest *m) {
    json_t *root = json_object();
    char version[32];
    snprintf(version, sizeof(version), "%u.%u", m->format_major, m->format_minor);
    json_object_set_new(root, "format", json_string(version));
    fields_json(root, m, manifest_fields, manifest_field_count);
    for (size_t i = 0; i < manifest_list_count; i++)
        json_object_set_new(root, manifest_lists[i].key, list_json(m, &manifest_lists[i]));
    merge_rest(root, m->extra);
    return root;
}

int manifest_format(const struct manifest *m, char **ret_text, size_t *ret_len, struct err *err) {
    struct err why = {0};
    if (manifest_check(m, &why) < 0)
        return err_set(err, ERR_INTERNAL, "manifest is not consistent: %s", why.text);
    json_t *root = tree_of(m);
    char *text = json_dumps(root, JSON_INDENT(1));
    json_decref(root);
    if (!text)
        return err_set(err, ERR_LIMIT, "no memory for the text of a manifest");
    size_t len = strlen(text);
    char *copy = len <= MANIFEST_BYTES_MAX ? mem_printf("%s\n", text) : NULL;
    free(text);
    if (!copy)
        return err_set(err, ERR_LIMIT, "manifest of %zu bytes, at most %u", len, MANIFEST_BYTES_MAX);
    *ret_text = copy;
    *ret_len = len + 1;
    return 0;
}

bool manifest_equal(const struct manifest *a, const struct manifest *b) {
    json_t *x = tree_of(a), *y = tree_of(b);
    bool equal = json_equal(x, y);
    json_decref(x);
    json_decref(y);
    return equal;
}
