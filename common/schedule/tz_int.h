/* SPDX-License-Identifier: Apache-2.0 */
/* For the files that make up struct tz. Here everything is in seconds. */
#ifndef MSSQL_SCHEDULE_TZ_INT_H
#define MSSQL_SCHEDULE_TZ_INT_H

#include "common/schedule/tz.h"

#define TZ_OFFSET_MAX (26 * 3600) /* RFC 9636 asks for less; everything beyond is refused */

struct tz_step {
    int64_t at_s; /* from this moment on */
    int32_t offset_s; /* this is the offset */
};

struct tz_day_rule {
    enum { TZ_DAY_JULIAN, TZ_DAY_ZERO, TZ_DAY_WEEK } form; /* Jn (1..365, no leap day), n (0..365), Mm.w.d */
    int day; /* of the year, or weekday 0..6 */
    int month, week; /* TZ_DAY_WEEK: week 5 is the last one */
    int32_t time_s; /* local time of the change, may be negative or beyond a day */
};

/* The POSIX rule at the end of a TZif file: what holds after the last listed change. */
struct tz_rule {
    bool present;
    bool has_dst;
    int32_t std_offset_s, dst_offset_s;
    struct tz_day_rule dst_begin, dst_end;
};

/* False when `text` is not a POSIX TZ string. */
bool tz_rule_parse(const char *text, struct tz_rule *ret_rule);
/* Offset in effect at at_s, and when that began. */
void tz_rule_at(const struct tz_rule *rule, int64_t at_s, struct tz_step *ret_step);
/* The first change after at_s; false when the rule has none. */
bool tz_rule_next(const struct tz_rule *rule, int64_t at_s, struct tz_step *ret_step);

/* A zone without offset and changes. */
struct tz *tz_new_utc(const char *name);

#endif
