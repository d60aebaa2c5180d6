/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/row.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"

static const char *find(const struct sql_row *row, const char *name, bool *ret_present) {
    for (size_t i = 0; i < row->count; i++) {
        if (str_ieq(row->names[i], name)) {
            *ret_present = true;
            return row->values[i];
        }
    }
    *ret_present = false;
    return NULL;
}

bool sql_row_has(const struct sql_row *row, const char *name) {
    bool present;
    find(row, name, &present);
    return present;
}

const char *sql_row_text(const struct sql_row *row, const char *name) {
    bool present;
    return find(row, name, &present);
}

bool sql_row_i64(const struct sql_row *row, const char *name, int64_t *ret_value) {
    const char *s = sql_row_text(row, name);
    return s && str_to_i64(s, INT64_MIN, INT64_MAX, ret_value);
}

bool sql_row_u64(const struct sql_row *row, const char *name, uint64_t *ret_value) {
    const char *s = sql_row_text(row, name);
    return s && str_to_u64(s, UINT64_MAX, ret_value);
}

bool sql_row_int(const struct sql_row *row, const char *name, int *ret_value) {
    const char *s = sql_row_text(row, name);
    int64_t v;
    if (!s || !str_to_i64(s, INT32_MIN, INT32_MAX, &v))
        return false;
    *ret_value = (int)v;
    return true;
}

bool sql_row_double(const struct sql_row *row, const char *name, double *ret_value) {
    const char *s = sql_row_text(row, name);
    return s && str_to_double(s, ret_value);
}

bool sql_row_lsn(const struct sql_row *row, const char *name, struct lsn *ret_lsn) {
    const char *s = sql_row_text(row, name);
    return s && lsn_parse(s, ret_lsn);
}

bool sql_row_guid(const struct sql_row *row, const char *name, struct guid *ret_guid) {
    const char *s = sql_row_text(row, name);
    return s && guid_parse(s, ret_guid);
}

bool sql_row_at(const struct sql_row *row, const char *name, int32_t utc_offset_s, int64_t *ret_at) {
    const char *s = sql_row_text(row, name);
    return s && sql_date_parse(s, utc_offset_s, ret_at);
}

bool sql_row_bool(const struct sql_row *row, const char *name) {
    int64_t v = 0;
    return sql_row_i64(row, name, &v) && v != 0;
}

bool sql_row_copy(const struct sql_row *row, const char *name, char *dst, size_t dst_bytes) {
    const char *s = sql_row_text(row, name);
    return str_copy(dst, dst_bytes, s ? s : "");
}

/* Does the time part carry "Z" or "+hh:mm"? */
static bool has_offset(const char *s) {
    const char *time = strpbrk(s, "Tt ");
    return time && strpbrk(time + 1, "Zz+-") != NULL;
}

bool sql_date_parse(const char *text, int32_t utc_offset_s, int64_t *ret_at) {
    char s[CLOCK_TEXT_MAX + 8];
    size_t len = strlen(text);
    if (len < 10 || len + 2 > sizeof(s))
        return false;
    memcpy(s, text, len + 1);
    if (len == 10) { /* a date alone */
        if (len + 10 > sizeof(s))
            return false;
        memcpy(s + len, "T00:00:00", 10);
        len += 9;
    }
    if (s[10] == ' ')
        s[10] = 'T';
    bool own = has_offset(s);
    if (!own)
        memcpy(s + len, "Z", 2);
    int64_t at;
    if (!clock_parse(s, &at))
        return false;
    *ret_at = own ? at : at - (int64_t)utc_offset_s * CLOCK_SECOND;
    return true;
}

int32_t sql_date_offset(const char *text) {
    size_t len = strlen(text);
    const char *zone = len > 16 ? text + len - 6 : ""; /* "+01:00" */
    if ((zone[0] != '+' && zone[0] != '-') || zone[3] != ':')
        return 0;
    int hours = (zone[1] - '0') * 10 + (zone[2] - '0'), minutes = (zone[4] - '0') * 10 + (zone[5] - '0');
    return (zone[0] == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
}

char *sql_date_format(char dst[SQL_DATE_TEXT_MAX], int64_t at, int32_t utc_offset_s) {
    struct clock_civil c;
    clock_to_civil(at + (int64_t)utc_offset_s * CLOCK_SECOND, &c);
    str_format(dst, SQL_DATE_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d.%03d", c.year, c.month, c.day, c.hour, c.minute, c.second,
               c.micro / 1000);
    return dst;
}
