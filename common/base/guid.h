/* SPDX-License-Identifier: Apache-2.0 */
/* GUIDs as SQL Server prints them. Compared by value; the text form is upper case with dashes, as db-lib gives it. */
#ifndef MSSQL_BASE_GUID_H
#define MSSQL_BASE_GUID_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GUID_TEXT_MAX 37

struct guid {
    uint8_t bytes[16]; /* in the order of the text */
};

bool guid_parse(const char *s, struct guid *ret_guid);
char *guid_format(char dst[GUID_TEXT_MAX], const struct guid *guid);
void guid_random(struct guid *ret_guid); /* version 4 */
static inline bool guid_eq(const struct guid *a, const struct guid *b) {
    return !memcmp(a->bytes, b->bytes, 16);
}
static inline bool guid_is_zero(const struct guid *g) {
    static const struct guid zero;
    return guid_eq(g, &zero);
}

#endif
