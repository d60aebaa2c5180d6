/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/schedule/cron.h"

/* February 29 on one weekday comes after forty years at the latest (around 2100). */
#define YEARS_AHEAD 48
#define YEAR_MAX 9000
#define AFTER_MAX (INT64_C(221845392000) * CLOCK_SECOND) /* 9000-01-01 */

static int first_bit(uint64_t bits, int from) {
    if (from > 63 || !(bits >> from))
        return -1;
    return from + __builtin_ctzll(bits >> from);
}

static bool day_fits(const struct cron *c, int64_t midnight, int month_days) {
    struct clock_civil d;
    clock_to_civil(midnight, &d);
    bool day = c->days >> d.day & 1 || (c->last_day && d.day == month_days);
    bool weekday = c->weekdays >> d.weekday & 1;
    return c->any_day || c->any_weekday ? day && weekday : day || weekday;
}

static int64_t midnight_of(int year, int month, int day) {
    struct clock_civil c = {.year = year, .month = month, .day = day};
    return clock_from_civil(&c);
}

/* The first second of the day, at or after `from` (microseconds of the day), that fits; false when the day has none left. */
static bool time_of_day(const struct cron *c, int64_t from, int64_t *ret_time) {
    int hour = (int)(from / CLOCK_HOUR), minute = (int)(from / CLOCK_MINUTE % 60);
    int second = (int)((from % CLOCK_MINUTE + CLOCK_SECOND - 1) / CLOCK_SECOND);
    int h = first_bit(c->hours, hour);
    while (h >= 0) {
        if (h > hour) {
            minute = 0;
            second = 0;
        }
        int m = first_bit(c->minutes, minute);
        int s = m < 0 ? -1 : first_bit(c->seconds, m > minute ? 0 : second);
        if (m >= 0 && s < 0 && (m = first_bit(c->minutes, m + 1)) >= 0)
            s = first_bit(c->seconds, 0);
        if (s >= 0) {
            *ret_time = h * CLOCK_HOUR + m * CLOCK_MINUTE + s * CLOCK_SECOND;
            return true;
        }
        hour = h;
        h = first_bit(c->hours, h + 1);
    }
    return false;
}

/* The first local time at or after `from` that the line names. */
static bool local_next(const struct cron *c, int64_t from, int64_t *ret_local) {
    struct clock_civil start;
    clock_to_civil(from, &start);
    int64_t today = midnight_of(start.year, start.month, start.day);
    for (int n = start.month - 1; n < YEARS_AHEAD * 12; n++) {
        int year = start.year + n / 12, month = n % 12 + 1;
        if (year > YEAR_MAX)
            return false;
        if (!(c->months >> month & 1))
            continue;
        int64_t first = midnight_of(year, month, 1), next_month = midnight_of(year, month + 1, 1);
        int days = (int)((next_month - first) / CLOCK_DAY);
        for (int64_t midnight = first < today ? today : first; midnight < next_month; midnight += CLOCK_DAY) {
            int64_t time;
            if (day_fits(c, midnight, days) && time_of_day(c, midnight == today ? from - today : 0, &time)) {
                *ret_local = midnight + time;
                return true;
            }
        }
    }
    return false;
}

/* Local times in order give moments in order, with the first of two where the clock was set back; so the first
 * local time whose moment is later is the answer. Only in a repeated stretch does the loop go round more than
 * once. */
bool cron_next(const struct cron *cron, const struct tz *tz, int64_t after, int64_t *ret_at) {
    if (after > AFTER_MAX || after < -AFTER_MAX)
        return false;
    int64_t local = tz_to_local(tz, after) + 1;
    while (local_next(cron, local, &local)) {
        struct tz_moments m;
        tz_from_local(tz, local, &m);
        if (m.first > after) {
            *ret_at = m.first;
            return true;
        }
        local += CLOCK_SECOND;
    }
    return false;
}
