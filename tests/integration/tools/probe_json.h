/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of a JSON object for probes. The comma before a field is put where one is needed. */
#ifndef MSSQL_TEST_PROBE_JSON_H
#define MSSQL_TEST_PROBE_JSON_H

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/chain/lsn.h"

static inline void put_text(struct buf *b, const char *key, const char *value) {
    if (b->data[b->len - 1] != '{' && b->data[b->len - 1] != '[')
        buf_putc(b, ',');
    if (key)
        buf_printf(b, "\"%s\":", key);
    if (!value) {
        buf_puts(b, "null");
        return;
    }
    buf_putc(b, '"');
    buf_json(b, value);
    buf_putc(b, '"');
}

static inline void put_number(struct buf *b, const char *key, double value) {
    buf_printf(b, "%s\"%s\":%.17g", b->data[b->len - 1] == '{' ? "" : ",", key, value);
}

static inline void put_lsn(struct buf *b, const char *key, struct lsn lsn) {
    char text[LSN_TEXT_MAX];
    put_text(b, key, lsn_format(text, lsn));
}

static inline void put_guid(struct buf *b, const char *key, const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    put_text(b, key, guid_is_zero(guid) ? NULL : guid_format(text, guid));
}

static inline void put_at(struct buf *b, const char *key, int64_t at) {
    char text[CLOCK_TEXT_MAX];
    put_text(b, key, at ? clock_format(text, at) : NULL);
}

#endif
