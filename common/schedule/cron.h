/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cron lines. Five fields (minute hour day-of-month month day-of-week) or six (second first), or @hourly, @daily,
 * @midnight, @weekly, @monthly, @yearly, @annually. A field is a list of `*`, N, N-M, each of these ranges with
 * /STEP; months and weekdays also by their English three-letter names; weekday 7 is Sunday; `L` as day of month is
 * the last day of the month. When day-of-month and day-of-week are both restricted, a day that fits either one
 * counts; a field that is `*`, `?` or `* / STEP` does not restrict.
 *
 * Daylight saving: every local time that the line names is run once. One in an hour that is skipped is run at the first
 * moment after it, together with the others of that hour; one in an hour that is repeated is run the first time.
 */
#ifndef MSSQL_SCHEDULE_CRON_H
#define MSSQL_SCHEDULE_CRON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/schedule/tz.h"

#define CRON_TEXT_MAX 512

struct cron {
    uint64_t seconds, minutes; /* bit n: value n */
    uint32_t hours;
    uint32_t days; /* bits 1..31 */
    uint16_t months; /* bits 1..12 */
    uint8_t weekdays; /* bits 0..6, Sunday 0 */
    bool last_day; /* L */
    bool any_day, any_weekday; /* the field does not restrict */
};

/* ERR_CONFIG; the message names the field, the value and what is allowed. A line that can never come true is refused. */
int cron_parse(const char *text, struct cron *ret_cron, struct err *err) ERR_CHECK;
/* The shortest usual form; parsing it gives an equal struct. Returns dst. */
char *cron_format(char dst[CRON_TEXT_MAX], const struct cron *cron);
/* The first run after `after`; false when none is near (beyond the year 9000). */
bool cron_next(const struct cron *cron, const struct tz *tz, int64_t after, int64_t *ret_at);

#endif
