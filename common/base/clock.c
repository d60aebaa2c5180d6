/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef int64_t clock_fn(void);
static _Atomic(clock_fn *) wall_hook;
static _Atomic(clock_fn *) mono_hook;

static int64_t read_clock(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * CLOCK_SECOND + ts.tv_nsec / 1000;
}

int64_t clock_wall(void) {
    clock_fn *hook = atomic_load(&wall_hook);
    return hook ? hook() : read_clock(CLOCK_REALTIME);
}

int64_t clock_mono_us(void) {
    clock_fn *hook = atomic_load(&mono_hook);
    return hook ? hook() : read_clock(CLOCK_MONOTONIC);
}

void clock_set_hooks(int64_t (*wall)(void), int64_t (*mono_us)(void)) {
    atomic_store(&wall_hook, wall);
    atomic_store(&mono_hook, mono_us);
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* Days since 1970-01-01 of a Gregorian date; the year begins in March, so that leap days come last. */
static int64_t days_from_civil(int64_t y, int m, int d) {
    int64_t years_of_months = floor_div(m - 1, 12);
    y += years_of_months;
    m -= (int)years_of_months * 12;
    y -= m <= 2;
    int64_t era = floor_div(y, 400);
    int64_t yoe = y - era * 400;
    int64_t doy = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5;
    int64_t doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + doe - 719468 + d - 1;
}

void clock_to_civil(int64_t at, struct clock_civil *ret_civil) {
    int64_t days = floor_div(at, CLOCK_DAY);
    int64_t rest = at - days * CLOCK_DAY;
    int64_t z = days + 719468;
    int64_t era = floor_div(z, 146097);
    int64_t doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *ret_civil = (struct clock_civil){
        .year = (int)(yoe + era * 400 + (month <= 2)),
        .month = month,
        .day = (int)(doy - (153 * mp + 2) / 5 + 1),
        .hour = (int)(rest / CLOCK_HOUR),
        .minute = (int)(rest / CLOCK_MINUTE % 60),
        .second = (int)(rest / CLOCK_SECOND % 60),
        .micro = (int)(rest % CLOCK_SECOND),
        .weekday = (int)((days % 7 + 11) % 7),
    };
}

int64_t clock_from_civil(const struct clock_civil *c) {
    return days_from_civil(c->year, c->month, c->day) * CLOCK_DAY + c->hour * CLOCK_HOUR + c->minute * CLOCK_MINUTE +
           c->second * CLOCK_SECOND + c->micro;
}

char *clock_format(char dst[CLOCK_TEXT_MAX], int64_t at) {
    if (!at) {
        memcpy(dst, "-", 2);
        return dst;
    }
    struct clock_civil c;
    clock_to_civil(at, &c);
    int n = snprintf(dst, CLOCK_TEXT_MAX, "%04d-%02d-%02dT%02d:%02d:%02d", c.year, c.month, c.day, c.hour, c.minute, c.second);
    if (c.micro && n > 0 && n < CLOCK_TEXT_MAX) {
        n += snprintf(dst + n, CLOCK_TEXT_MAX - (size_t)n, ".%06d", c.micro);
        while (n > 0 && dst[n - 1] == '0')
            dst[--n] = 0;
    }
    if (n > 0 && n < CLOCK_TEXT_MAX - 1)
        memcpy(dst + n, "Z", 2);
    return dst;
}

static bool digits(const char **s, int count, int *ret_value) {
    int v = 0;
    for (int i = 0; i < count; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        v = v * 10 + (**s - '0');
    }
    *ret_value = v;
    return true;
}

static bool expect(const char **s, const char *any) {
    if (!**s || !strchr(any, **s))
        return false;
    (*s)++;
    return true;
}

static bool parse_fraction(const char **s, int *ret_micro) {
    int scale = 100000, micro = 0, count = 0;
    for (; **s >= '0' && **s <= '9'; (*s)++, count++) {
        micro += (**s - '0') * scale;
        scale /= 10;
    }
    *ret_micro = micro;
    return count >= 1 && count <= 9;
}

static bool parse_offset(const char **s, int64_t *ret_offset) {
    if (expect(s, "Zz")) {
        *ret_offset = 0;
        return true;
    }
    int64_t sign = **s == '-' ? -1 : 1;
    int hours, minutes;
    if (!expect(s, "+-") || !digits(s, 2, &hours) || !expect(s, ":") || !digits(s, 2, &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_offset = sign * (hours * CLOCK_HOUR + minutes * CLOCK_MINUTE);
    return true;
}

static int days_in_month(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

bool clock_parse(const char *s, int64_t *ret_at) {
    struct clock_civil c = {0};
    int64_t offset = 0;
    if (!digits(&s, 4, &c.year) || !expect(&s, "-") || !digits(&s, 2, &c.month) || !expect(&s, "-") || !digits(&s, 2, &c.day) ||
        !expect(&s, "Tt ") || !digits(&s, 2, &c.hour) || !expect(&s, ":") || !digits(&s, 2, &c.minute) || !expect(&s, ":") ||
        !digits(&s, 2, &c.second))
        return false;
    if (*s == '.' && (s++, !parse_fraction(&s, &c.micro)))
        return false;
    if (!parse_offset(&s, &offset) || *s)
        return false;
    if (c.month < 1 || c.month > 12 || c.day < 1 || c.day > days_in_month(c.year, c.month) || c.hour > 23 || c.minute > 59 ||
        c.second > 59)
        return false;
    *ret_at = clock_from_civil(&c) - offset;
    return true;
}
