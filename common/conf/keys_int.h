/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_CONF_KEYS_INT_H
#define MSSQL_CONF_KEYS_INT_H

#include "common/conf/keys.h"

/* Where a value comes from, for the beginning of a message. */
struct conf_where {
    const char *origin; /* file, variable or flag; NULL none */
    unsigned line; /* 0 not known */
    const char *prefix; /* before the path: "policy." */
};

static inline void *conf_field(const struct conf_key *key, const void *object) {
    return (char *)(uintptr_t)object + key->offset;
}

int conf_fail_at(struct err *err, enum err_class class, const struct conf_where *where, const char *path, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Parses the text of a scalar into the field. False when it is not of the kind or out of bounds; the field is
 * untouched then. Not for lists. */
bool conf_value_parse(const struct conf_key *key, const char *text, void *object);
const struct conf_gap *conf_gap_find(const struct conf_schema *schema, const char *path, const char *value);
/* What a value of the key is: "a number", "a duration". */
const char *conf_kind_noun(enum conf_kind kind);

#endif
