/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/document.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define FORMAT "1.0"
#define FORMAT_MAJOR "1."

int document_parse(const char *data, size_t len, const char *what, json_t **ret_root, struct err *err) {
    json_error_t why;
    json_t *root = json_loadb(data, len, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return err_set(err, ERR_CORRUPT, "%s is not JSON: line %d: %s", what, why.line, why.text);
    const char *format = json_string_value(json_object_get(root, "format"));
    int rc = 0;
    if (!format)
        rc = err_set(err, ERR_CORRUPT, "%s: field format: missing", what);
    else if (!str_starts(format, FORMAT_MAJOR))
        rc = err_set(err, ERR_UNSUPPORTED, "%s: format %.20s: this version reads 1.x. Use a newer program", what, format);
    if (rc < 0) {
        json_decref(root);
        return -1;
    }
    *ret_root = root;
    return 0;
}

json_t *document_new(void) {
    json_t *root = json_object();
    document_set_text(root, "format", FORMAT);
    return root;
}

/* 1: there is a text, 0: absent and allowed to be, -1: wrong. */
static int find_text(const json_t *root, const char *key, bool required, const char **ret_text, struct err *err) {
    const json_t *value = json_object_get(root, key);
    if (!value)
        return required ? err_set(err, ERR_CORRUPT, "field %s: missing", key) : 0;
    if (!json_is_string(value))
        return err_set(err, ERR_CORRUPT, "field %s: not a text", key);
    *ret_text = json_string_value(value);
    return 1;
}

int document_text(const json_t *root, const char *key, bool required, char *dst, size_t dst_bytes, struct err *err) {
    const char *text = NULL;
    int rc = find_text(root, key, required, &text, err);
    if (rc <= 0)
        return rc;
    if (strlen(text) >= dst_bytes || !str_is_clean_utf8(text, strlen(text)))
        return err_set(err, ERR_CORRUPT, "field %s: too long, or with control characters", key);
    str_copy(dst, dst_bytes, text);
    return 0;
}

int document_guid(const json_t *root, const char *key, bool required, struct guid *dst, struct err *err) {
    const char *text = NULL;
    int rc = find_text(root, key, required, &text, err);
    if (rc <= 0)
        return rc;
    return guid_parse(text, dst) ? 0 : err_set(err, ERR_CORRUPT, "field %s: not a GUID", key);
}

int document_time(const json_t *root, const char *key, bool required, int64_t *dst, struct err *err) {
    const char *text = NULL;
    int rc = find_text(root, key, required, &text, err);
    if (rc <= 0)
        return rc;
    return clock_parse(text, dst) ? 0 : err_set(err, ERR_CORRUPT, "field %s: not a time such as 2026-11-21T02:47:00Z", key);
}

int document_number(const json_t *root, const char *key, bool required, uint64_t *dst, struct err *err) {
    const json_t *value = json_object_get(root, key);
    if (!value)
        return required ? err_set(err, ERR_CORRUPT, "field %s: missing", key) : 0;
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return err_set(err, ERR_CORRUPT, "field %s: not a whole number", key);
    *dst = (uint64_t)json_integer_value(value);
    return 0;
}

void document_set_text(json_t *root, const char *key, const char *value) {
    json_object_set_new(root, key, json_string(value));
}

void document_set_guid(json_t *root, const char *key, const struct guid *value) {
    char text[GUID_TEXT_MAX];
    document_set_text(root, key, guid_format(text, value));
}

void document_set_time(json_t *root, const char *key, int64_t value) {
    char text[CLOCK_TEXT_MAX];
    if (value)
        document_set_text(root, key, clock_format(text, value));
}

int document_put(struct store *store, const char *name, const json_t *root, enum store_put_mode mode, const char *step,
                 struct err *err) {
    char *text = json_dumps(root, JSON_INDENT(1));
    if (!text)
        return err_set(err, ERR_INTERNAL, "%s: not to be written as JSON", name);
    int rc = store_put(store, name, text, strlen(text), mode, step, err);
    free(text);
    return rc;
}
