/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weekly windows of local time: "MON-FRI 08:00-18:00", "SAT,SUN" (whole days), "22:00-06:00" (every day; a window
 * over midnight belongs to the day on which it begins). The end is not part of the window.
 */
#ifndef MSSQL_SCHEDULE_WINDOW_H
#define MSSQL_SCHEDULE_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/schedule/tz.h"

#define WINDOW_TEXT_MAX 64
#define WINDOW_COUNT_MAX 32 /* in one list */

struct window {
    uint8_t weekdays; /* bit 0 Sunday: days on which it begins */
    int16_t begin_min; /* minutes after midnight, 0..1439 */
    int16_t end_min; /* begin_min + 1 .. begin_min + 1440: beyond 1440 is the next day */
};

/* ERR_CONFIG with what is allowed. */
int window_parse(const char *text, struct window *ret_window, struct err *err) ERR_CHECK;
char *window_format(char dst[WINDOW_TEXT_MAX], const struct window *window);

/* Is the moment inside any of the windows? */
bool window_inside(const struct window *windows, size_t count, const struct tz *tz, int64_t at);
/* The first moment at or after `at` that is outside all (inside any) of them; false when there is none within nine days. */
bool window_next_outside(const struct window *windows, size_t count, const struct tz *tz, int64_t at, int64_t *ret_at);
bool window_next_inside(const struct window *windows, size_t count, const struct tz *tz, int64_t at, int64_t *ret_at);
/* Do they leave no minute of the week free? */
bool window_cover_week(const struct window *windows, size_t count);

#endif
