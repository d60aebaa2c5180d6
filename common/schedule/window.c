/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/window.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define DAY_MIN 1440
#define DAYS_AHEAD 9
#define ALL_DAYS 0x7f

static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

static int wrong(const char *text, const char *why, struct err *err) {
    return err_set(err, ERR_CONFIG,
                   "'%.64s' is not a window: %s, allowed: such as 'MON-FRI 08:00-18:00', '22:00-06:00', 'SAT,SUN'", text, why);
}

static int weekday_read(const char **s) {
    for (int i = 0; i < 7; i++) {
        if (!strncasecmp(*s, weekday_names[i], 3)) {
            *s += 3;
            return i;
        }
    }
    return -1;
}

/* "MON-FRI,SUN"; a range may pass the end of the week. The cursor stops at the first character that is not part of it. */
static bool days_read(const char **s, uint8_t *ret_days) {
    unsigned days = 0;
    for (;;) {
        int from = weekday_read(s);
        if (from < 0)
            return false;
        int to = from;
        if (**s == '-' && ((*s)++, (to = weekday_read(s)) < 0))
            return false;
        for (int d = from;; d = (d + 1) % 7) {
            days |= 1u << d;
            if (d == to)
                break;
        }
        if (**s != ',')
            break;
        (*s)++;
    }
    *ret_days = (uint8_t)days;
    return true;
}

/* "08:00"; 24:00 is the end of the day. */
static bool minute_read(const char **s, int *ret_minute) {
    const char *p = *s;
    for (int i = 0; i < 5; i++)
        if (i == 2 ? p[i] != ':' : p[i] < '0' || p[i] > '9')
            return false;
    int hour = (p[0] - '0') * 10 + p[1] - '0', minute = (p[3] - '0') * 10 + p[4] - '0';
    *ret_minute = hour * 60 + minute;
    *s += 5;
    return minute < 60 && *ret_minute <= DAY_MIN;
}

int window_parse(const char *text, struct window *ret_window, struct err *err) {
    const char *s = text + strspn(text, " ");
    struct window w = {.weekdays = ALL_DAYS, .end_min = DAY_MIN};
    if (*s < '0' || *s > '9') {
        if (!days_read(&s, &w.weekdays))
            return wrong(text, "the days are not MON, TUE, WED, THU, FRI, SAT, SUN", err);
        if (*s && *s != ' ')
            return wrong(text, "the days are not MON, TUE, WED, THU, FRI, SAT, SUN", err);
    }
    s += strspn(s, " ");
    if (*s) {
        int begin, end;
        if (!minute_read(&s, &begin) || *s != '-' || (s++, !minute_read(&s, &end)) || s[strspn(s, " ")])
            return wrong(text, "the times are not HH:MM-HH:MM", err);
        if (begin == DAY_MIN || begin == end)
            return wrong(text, "it is empty", err);
        w.begin_min = (int16_t)begin;
        w.end_min = (int16_t)(end > begin ? end : end + DAY_MIN);
    }
    *ret_window = w;
    return 0;
}

char *window_format(char dst[WINDOW_TEXT_MAX], const struct window *w) {
    char days[32] = "";
    for (int i = 1; w->weekdays != ALL_DAYS && i <= 7; i++)
        if (w->weekdays >> i % 7 & 1)
            (void)str_format(days + strlen(days), sizeof(days) - strlen(days), "%s%s", days[0] ? "," : "", weekday_names[i % 7]);
    int end = w->end_min > DAY_MIN ? w->end_min - DAY_MIN : w->end_min;
    (void)str_format(dst, WINDOW_TEXT_MAX, "%s%s%02d:%02d-%02d:%02d", days, days[0] ? " " : "", w->begin_min / 60,
                     w->begin_min % 60, end / 60, end % 60);
    return dst;
}

static int64_t midnight_before(int64_t local) {
    int64_t day = local / CLOCK_DAY - (local % CLOCK_DAY < 0);
    return day * CLOCK_DAY;
}

static int weekday_of(int64_t midnight) {
    struct clock_civil c;
    clock_to_civil(midnight, &c);
    return c.weekday;
}

bool window_inside(const struct window *windows, size_t count, const struct tz *tz, int64_t at) {
    int64_t local = tz_to_local(tz, at), today = midnight_before(local);
    for (size_t i = 0; i < count; i++) {
        /* it may have begun yesterday */
        for (int64_t day = today - CLOCK_DAY; day <= today; day += CLOCK_DAY)
            if (windows[i].weekdays >> weekday_of(day) & 1 && local >= day + windows[i].begin_min * CLOCK_MINUTE &&
                local < day + windows[i].end_min * CLOCK_MINUTE)
                return true;
    }
    return false;
}

static void nearer(int64_t candidate, int64_t after, int64_t *best) {
    if (candidate > after && candidate < *best)
        *best = candidate;
}

/* The first moment after `after` at which the answer of window_inside() may change: an edge of a window or a
 * change of the clock. */
static int64_t next_edge(const struct window *windows, size_t count, const struct tz *tz, int64_t after) {
    int64_t best = INT64_MAX, change;
    int64_t today = midnight_before(tz_to_local(tz, after));
    if (tz_next_change(tz, after, &change))
        nearer(change, after, &best);
    for (size_t i = 0; i < count; i++) {
        /* the first day with a window that is not over gives this window's next edge; two more for clocks set back */
        for (int day = -2; day <= DAYS_AHEAD; day++) {
            int64_t midnight = today + day * CLOCK_DAY;
            if (best != INT64_MAX && midnight > best + 2 * CLOCK_DAY)
                break;
            if (!(windows[i].weekdays >> weekday_of(midnight) & 1))
                continue;
            const int64_t edges[] = {midnight + windows[i].begin_min * CLOCK_MINUTE,
                                     midnight + windows[i].end_min * CLOCK_MINUTE};
            for (size_t e = 0; e < ARRAY_LEN(edges); e++) {
                struct tz_moments m;
                tz_from_local(tz, edges[e], &m);
                nearer(m.first, after, &best);
                nearer(m.second, after, &best);
            }
        }
    }
    return best;
}

static bool next_that_is(bool inside, const struct window *windows, size_t count, const struct tz *tz, int64_t at,
                         int64_t *ret_at) {
    int64_t end = at + DAYS_AHEAD * CLOCK_DAY;
    while (at <= end) {
        if (window_inside(windows, count, tz, at) == inside) {
            *ret_at = at;
            return true;
        }
        at = next_edge(windows, count, tz, at);
    }
    return false;
}

bool window_next_outside(const struct window *windows, size_t count, const struct tz *tz, int64_t at, int64_t *ret_at) {
    return next_that_is(false, windows, count, tz, at, ret_at);
}

bool window_next_inside(const struct window *windows, size_t count, const struct tz *tz, int64_t at, int64_t *ret_at) {
    return next_that_is(true, windows, count, tz, at, ret_at);
}

bool window_cover_week(const struct window *windows, size_t count) {
    /* 1970-01-04 was a Sunday */
    int64_t at = 10 * CLOCK_DAY, end;
    return count && !window_next_outside(windows, count, NULL, at, &end);
}
