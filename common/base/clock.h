/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Wall time is `int64_t` microseconds since 1970-01-01T00:00:00Z (suffix `_at`), UTC, 0 = unknown. Durations and
 * timeouts are monotonic milliseconds or microseconds. Tests replace both clocks.
 */
#ifndef MSSQL_BASE_CLOCK_H
#define MSSQL_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_SECOND INT64_C(1000000)
#define CLOCK_MINUTE (60 * CLOCK_SECOND)
#define CLOCK_HOUR (60 * CLOCK_MINUTE)
#define CLOCK_DAY (24 * CLOCK_HOUR)
#define CLOCK_TEXT_MAX 40

int64_t clock_wall(void); /* microseconds since the epoch, UTC */
int64_t clock_mono_us(void); /* never goes back */
/* Test hook: NULL restores the system's clocks. */
void clock_set_hooks(int64_t (*wall)(void), int64_t (*mono_us)(void));

struct clock_civil {
    int year, month, day, hour, minute, second, micro;
    int weekday; /* 0 Sunday */
};
/* Proleptic Gregorian, no zone. */
void clock_to_civil(int64_t at, struct clock_civil *ret_civil);
int64_t clock_from_civil(const struct clock_civil *civil); /* fields may be out of range and are normalised */

/* "2026-11-21T02:47:00Z", with a fraction only when there is one. at == 0 gives "-". Returns dst. */
char *clock_format(char dst[CLOCK_TEXT_MAX], int64_t at);
/* RFC 3339 with any offset and up to nine digits of fraction ("Z", "+01:00"); false when malformed. */
bool clock_parse(const char *s, int64_t *ret_at);

#endif
