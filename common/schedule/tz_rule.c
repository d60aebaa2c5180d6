/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX TZ strings: "CET-1CEST,M3.5.0,M10.5.0/3", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0". */
#include <ctype.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/schedule/tz_int.h"

#define DAY_S 86400

static bool name_skip(const char **s) {
    const char *p = *s;
    if (*p == '<') {
        const char *end = strchr(p, '>');
        if (!end || end - p < 2)
            return false;
        *s = end + 1;
        return true;
    }
    while (isalpha((unsigned char)*p))
        p++;
    bool ok = p - *s >= 3;
    *s = p;
    return ok;
}

static bool number(const char **s, int min, int max, int *ret_value) {
    if (!isdigit((unsigned char)**s))
        return false;
    int v = 0;
    for (; isdigit((unsigned char)**s); (*s)++) {
        v = v * 10 + (**s - '0');
        if (v > max)
            return false;
    }
    *ret_value = v;
    return v >= min;
}

/* [+-]hh[:mm[:ss]] */
static bool clock_time(const char **s, int hours_max, int32_t *ret_seconds) {
    int sign = **s == '-' ? -1 : 1, hours, minutes = 0, seconds = 0;
    if (**s == '-' || **s == '+')
        (*s)++;
    if (!number(s, 0, hours_max, &hours))
        return false;
    if (**s == ':' && ((*s)++, !number(s, 0, 59, &minutes)))
        return false;
    if (**s == ':' && ((*s)++, !number(s, 0, 59, &seconds)))
        return false;
    *ret_seconds = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool expect(const char **s, char c) {
    if (**s != c)
        return false;
    (*s)++;
    return true;
}

static bool day_rule(const char **s, struct tz_day_rule *ret) {
    if (!expect(s, ','))
        return false;
    if (expect(s, 'M')) {
        ret->form = TZ_DAY_WEEK;
        if (!number(s, 1, 12, &ret->month) || !expect(s, '.') || !number(s, 1, 5, &ret->week) || !expect(s, '.') ||
            !number(s, 0, 6, &ret->day))
            return false;
    } else if (expect(s, 'J')) {
        ret->form = TZ_DAY_JULIAN;
        if (!number(s, 1, 365, &ret->day))
            return false;
    } else {
        ret->form = TZ_DAY_ZERO;
        if (!number(s, 0, 365, &ret->day))
            return false;
    }
    ret->time_s = 2 * 3600;
    return !expect(s, '/') || clock_time(s, 167, &ret->time_s);
}

bool tz_rule_parse(const char *text, struct tz_rule *ret_rule) {
    struct tz_rule r = {.present = true};
    const char *s = text;
    if (!name_skip(&s) || !clock_time(&s, 24, &r.std_offset_s))
        return false;
    r.std_offset_s = -r.std_offset_s; /* POSIX counts west of Greenwich */
    if (*s) {
        r.has_dst = true;
        r.dst_offset_s = r.std_offset_s + 3600;
        if (!name_skip(&s))
            return false;
        if (*s && *s != ',') {
            if (!clock_time(&s, 24, &r.dst_offset_s))
                return false;
            r.dst_offset_s = -r.dst_offset_s;
        }
        if (!day_rule(&s, &r.dst_begin) || !day_rule(&s, &r.dst_end) || *s)
            return false;
    }
    *ret_rule = r;
    return true;
}

static int64_t civil_day(int64_t year, int month, int day) {
    struct clock_civil c = {.year = (int)year, .month = month, .day = day};
    return clock_from_civil(&c) / CLOCK_DAY;
}

static bool leap_year(int64_t y) {
    return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
}

/* Local time, in seconds, at which the rule changes the clock that year. */
static int64_t day_rule_local(const struct tz_day_rule *r, int64_t year) {
    int64_t day = civil_day(year, 1, 1);
    if (r->form == TZ_DAY_ZERO) {
        day += r->day;
    } else if (r->form == TZ_DAY_JULIAN) {
        day += r->day - 1 + (leap_year(year) && r->day >= 60);
    } else {
        int64_t first = civil_day(year, r->month, 1);
        int weekday = (int)((first % 7 + 11) % 7); /* 1970-01-01 was a Thursday */
        day = first + (r->day - weekday + 7) % 7 + 7 * (r->week - 1);
        if (day >= civil_day(year, r->month + 1, 1))
            day -= 7;
    }
    return day * DAY_S + r->time_s;
}

/* The changes of the years around at_s in order. A rule of daylight saving all year ends one and begins the next
 * at the same moment: the beginning comes last then. */
#define STEPS 8
static void steps_around(const struct tz_rule *r, int64_t at_s, struct tz_step steps[STEPS]) {
    int64_t limit = INT64_MAX / CLOCK_SECOND - 400 * (int64_t)DAY_S; /* the calendar counts in microseconds */
    if (at_s > limit)
        at_s = limit;
    if (at_s < -limit)
        at_s = -limit;
    struct clock_civil c;
    clock_to_civil(at_s * CLOCK_SECOND, &c);
    for (int i = 0; i < STEPS / 2; i++) {
        int64_t year = (int64_t)c.year - 2 + i;
        steps[2 * i] = (struct tz_step){day_rule_local(&r->dst_end, year) - r->dst_offset_s, r->std_offset_s};
        steps[2 * i + 1] = (struct tz_step){day_rule_local(&r->dst_begin, year) - r->std_offset_s, r->dst_offset_s};
    }
    for (int i = 1; i < STEPS; i++) {
        struct tz_step step = steps[i];
        int k = i;
        for (; k > 0 && (steps[k - 1].at_s > step.at_s || (steps[k - 1].at_s == step.at_s && step.offset_s == r->std_offset_s));
             k--)
            steps[k] = steps[k - 1];
        steps[k] = step;
    }
}

void tz_rule_at(const struct tz_rule *rule, int64_t at_s, struct tz_step *ret_step) {
    *ret_step = (struct tz_step){INT64_MIN, rule->std_offset_s};
    if (!rule->has_dst)
        return;
    struct tz_step steps[STEPS];
    steps_around(rule, at_s, steps);
    for (int i = 0; i < STEPS && steps[i].at_s <= at_s; i++)
        *ret_step = steps[i];
}

bool tz_rule_next(const struct tz_rule *rule, int64_t at_s, struct tz_step *ret_step) {
    if (!rule->has_dst)
        return false;
    struct tz_step steps[STEPS];
    steps_around(rule, at_s, steps);
    for (int i = 0; i < STEPS; i++) {
        /* of two at the same moment only the last one counts */
        if (steps[i].at_s > at_s && (i + 1 == STEPS || steps[i + 1].at_s != steps[i].at_s)) {
            *ret_step = steps[i];
            return true;
        }
    }
    return false;
}
