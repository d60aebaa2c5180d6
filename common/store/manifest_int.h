/* SPDX-License-Identifier: Apache-2.0 */
/* The table that reader and writer of manifests share: which JSON field is which member. */
#ifndef MSSQL_STORE_MANIFEST_INT_H
#define MSSQL_STORE_MANIFEST_INT_H

#include "common/store/manifest.h"

enum manifest_field_type {
    FIELD_STRING,
    FIELD_U64,
    FIELD_U32,
    FIELD_U16,
    FIELD_I32,
    FIELD_BOOL,
    FIELD_LSN,
    FIELD_GUID,
    FIELD_TIME,
    FIELD_HASH,
    FIELD_KIND,
    FIELD_FLAGS,
    FIELD_LETTER,
};

struct manifest_field {
    const char *path; /* dots are nested objects */
    enum manifest_field_type type;
    size_t offset;
    bool required;
};

struct manifest_list {
    const char *key;
    const struct manifest_field *fields;
    size_t field_count;
    size_t items_at, count_at; /* of pointer and number in the owner */
    size_t extra_at; /* of the json_t * in an item; SIZE_MAX: unknown fields of items are not kept */
    size_t item_bytes;
    size_t max;
    const struct manifest_list *inner;
};

enum { LIST_FILES, LIST_MARKS, LIST_OBJECTS };
extern const struct manifest_field manifest_fields[];
extern const size_t manifest_field_count;
extern const struct manifest_list manifest_lists[];
extern const size_t manifest_list_count;

void *manifest_list_add(void *owner, const struct manifest_list *list);
void manifest_clear_parts(struct manifest_object *object);
unsigned manifest_flag_bit(const char *name); /* 0: unknown */

#endif
