/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of a result, by column name. Values are UTF-8 text, NULL for SQL's NULL: numbers as digits, bits as 0 and 1,
 * GUIDs in upper case with dashes, binary as hex digits, dates as "2026-11-21T13:05:33.123" with the offset appended
 * when the type has one. The row is valid during the callback only.
 */
#ifndef MSSQL_SQL_ROW_H
#define MSSQL_SQL_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/guid.h"
#include "common/chain/lsn.h"

struct sql_row {
    size_t count;
    const char *const *names;
    const char *const *values;
    unsigned result; /* number of the result set in the batch, from 0 */
};

typedef int (*sql_row_fn)(void *user, const struct sql_row *row, struct err *err);

bool sql_row_has(const struct sql_row *row, const char *name);
/* NULL when the value is NULL or there is no such column. Names compare without case. */
const char *sql_row_text(const struct sql_row *row, const char *name);
/* The following are false, and leave the result alone, when the value is NULL, absent or not of that kind. */
bool sql_row_i64(const struct sql_row *row, const char *name, int64_t *ret_value);
bool sql_row_u64(const struct sql_row *row, const char *name, uint64_t *ret_value);
bool sql_row_int(const struct sql_row *row, const char *name, int *ret_value);
bool sql_row_double(const struct sql_row *row, const char *name, double *ret_value);
bool sql_row_lsn(const struct sql_row *row, const char *name, struct lsn *ret_lsn);
bool sql_row_guid(const struct sql_row *row, const char *name, struct guid *ret_guid);
/* Date in the server's local time, `utc_offset_s` east of UTC; an offset in the text wins. Microseconds UTC. */
bool sql_row_at(const struct sql_row *row, const char *name, int32_t utc_offset_s, int64_t *ret_at);
/* True only for a non-zero number. */
bool sql_row_bool(const struct sql_row *row, const char *name);
/* Copies text, "" for NULL. False when it did not fit. */
bool sql_row_copy(const struct sql_row *row, const char *name, char *dst, size_t dst_bytes);

/* "2026-11-21T13:05:33.123" or "... 13:05:33", with optional offset -> UTC. */
bool sql_date_parse(const char *text, int32_t utc_offset_s, int64_t *ret_at);
/* The offset at the end of a datetimeoffset's text; 0 when it has none. */
int32_t sql_date_offset(const char *text);
/* Local time of the server as T-SQL reads it in any language and DATEFORMAT: "2026-11-21T13:05:33.123". */
#define SQL_DATE_TEXT_MAX 32
char *sql_date_format(char dst[SQL_DATE_TEXT_MAX], int64_t at, int32_t utc_offset_s);

#endif
