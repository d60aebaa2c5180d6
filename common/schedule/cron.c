/* SPDX-License-Identifier: Apache-2.0 */
#include "common/schedule/cron.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"

static const char *const month_names[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
static const char *const weekday_names[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

enum { SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const struct field {
    const char *name;
    int min, max;
    const char *const *names;
    int name_count, name_base;
    const char *allowed;
} fields[FIELDS] = {
    [SECOND] = {"second", 0, 59, NULL, 0, 0, "0-59, *, lists, ranges, steps"},
    [MINUTE] = {"minute", 0, 59, NULL, 0, 0, "0-59, *, lists, ranges, steps"},
    [HOUR] = {"hour", 0, 23, NULL, 0, 0, "0-23, *, lists, ranges, steps"},
    [DAY] = {"day of month", 1, 31, NULL, 0, 0, "1-31, L, *, lists, ranges, steps"},
    [MONTH] = {"month", 1, 12, month_names, 12, 1, "1-12, JAN-DEC, *, lists, ranges, steps"},
    [WEEKDAY] = {"day of week", 0, 7, weekday_names, 7, 0, "0-7, SUN-SAT, *, lists, ranges, steps"},
};

static const struct {
    const char *name, *line;
} shorthands[] = {
    {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"}, {"@monthly", "0 0 1 * *"}, {"@weekly", "0 0 * * 0"},
    {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@hourly", "0 * * * *"},
};

struct mask {
    uint64_t bits;
    bool any, last;
};

static int wrong(struct err *err, const struct field *f, const char *text, const char *why) {
    return err_set(err, ERR_CONFIG, "%s '%s' %s, allowed: %s", f->name, text, why, f->allowed);
}

/* A number or a name at *s; the cursor moves behind it. */
static bool value_read(const struct field *f, const char **s, int *ret_value) {
    if (isdigit((unsigned char)**s)) {
        int v = 0;
        for (; isdigit((unsigned char)**s); (*s)++) {
            v = v * 10 + (**s - '0');
            if (v > 1000)
                return false;
        }
        *ret_value = v;
        return true;
    }
    for (int i = 0; i < f->name_count; i++) {
        if (!strncasecmp(*s, f->names[i], 3) && !isalnum((unsigned char)(*s)[3])) {
            *s += 3;
            *ret_value = f->name_base + i;
            return true;
        }
    }
    return false;
}

/* N, N-M, N-M/S, *, * / S or L: one element of a list. */
static int element_read(const struct field *f, const char *text, struct mask *m, bool alone, struct err *err) {
    const char *s = text;
    int from = f->min, to = f == &fields[WEEKDAY] ? 6 : f->max, step = 1;
    bool range = true;
    if (f == &fields[DAY] && (!strcmp(s, "L") || !strcmp(s, "l"))) {
        m->last = true;
        return 0;
    }
    if (*s == '*' || (*s == '?' && !s[1] && (f == &fields[DAY] || f == &fields[WEEKDAY]))) {
        s++;
        m->any |= alone;
    } else {
        if (!value_read(f, &s, &from))
            return wrong(err, f, text, "is not a value");
        to = from;
        range = *s == '-';
        if (range && (s++, !value_read(f, &s, &to)))
            return wrong(err, f, text, "is not a range");
        if (f == &fields[WEEKDAY] && range && to == 0 && from > 0)
            to = 7; /* FRI-SUN */
    }
    if (*s == '/') {
        const char *digits = ++s;
        if (!range)
            return wrong(err, f, text, "has a step without a range (write N-M/STEP)");
        if (!isdigit((unsigned char)*digits) || !value_read(f, &s, &step) || step < 1 || step > f->max)
            return wrong(err, f, text, "has a step that is not possible");
    }
    if (*s)
        return wrong(err, f, text, "is not a value");
    if (from < f->min || from > f->max || to < f->min || to > f->max)
        return wrong(err, f, text, "is out of range");
    if (from > to)
        return wrong(err, f, text, "is a range that runs backwards");
    for (int v = from; v <= to; v += step)
        m->bits |= UINT64_C(1) << (f == &fields[WEEKDAY] && v == 7 ? 0 : v);
    return 0;
}

static int field_read(const struct field *f, const char *text, struct mask *ret, struct err *err) {
    struct mask m = {0};
    bool alone = !strchr(text, ',');
    const char *s = text;
    do {
        size_t len = strcspn(s, ",");
        char element[32];
        if (len >= sizeof(element))
            return wrong(err, f, text, "is not a value");
        memcpy(element, s, len);
        element[len] = 0;
        if (!len)
            return wrong(err, f, text, "has an empty element");
        if (element_read(f, element, &m, alone, err) < 0)
            return -1;
        s += len;
    } while (*s++ == ',');
    *ret = m;
    return 0;
}

/* Is there a month among those named that has one of the days named? */
static bool day_exists(const struct cron *c) {
    static const int days[] = {0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c->last_day || c->any_day || !c->any_weekday)
        return true;
    for (int month = 1; month <= 12; month++)
        if (c->months & 1u << month && c->days & ((UINT32_C(2) << days[month]) - 2))
            return true;
    return false;
}

/* Splits on blanks; the number of fields, or -1 when there are more than FIELDS or the text is too long. */
static int split(char *text, const char *parts[FIELDS]) {
    int count = 0;
    for (char *s = text; *(s += strspn(s, " \t"));) {
        if (count == FIELDS)
            return -1;
        parts[count++] = s;
        s += strcspn(s, " \t");
        if (*s)
            *s++ = 0;
    }
    return count;
}

static int shorthand_read(const char *text, const char **ret_line, struct err *err) {
    for (size_t i = 0; i < ARRAY_LEN(shorthands); i++) {
        if (str_ieq(text, shorthands[i].name)) {
            *ret_line = shorthands[i].line;
            return 0;
        }
    }
    return err_set(err, ERR_CONFIG,
                   "'%.40s' is not a cron line, allowed: @hourly, @daily, @weekly, @monthly, @yearly or five or six fields",
                   text);
}

int cron_parse(const char *text, struct cron *ret_cron, struct err *err) {
    char copy[CRON_TEXT_MAX];
    const char *parts[FIELDS], *line = text;
    if (text[0] == '@' && shorthand_read(text, &line, err) < 0)
        return -1;
    int count = str_copy(copy, sizeof(copy), line) ? split(copy, parts) : -1;
    if (count != 5 && count != 6)
        return err_set(
            err, ERR_CONFIG,
            "'%.80s' is not a cron line, allowed: five fields (minute hour day-of-month month day-of-week) or six (second first)",
            text);
    struct mask m[FIELDS] = {{.bits = 1}};
    for (int i = 0; i < count; i++)
        if (field_read(&fields[i + FIELDS - count], parts[i], &m[i + FIELDS - count], err) < 0)
            return -1;
    struct cron c = {
        .seconds = m[SECOND].bits,
        .minutes = m[MINUTE].bits,
        .hours = (uint32_t)m[HOUR].bits,
        .days = (uint32_t)m[DAY].bits,
        .months = (uint16_t)m[MONTH].bits,
        .weekdays = (uint8_t)m[WEEKDAY].bits,
        .last_day = m[DAY].last,
        .any_day = m[DAY].any,
        .any_weekday = m[WEEKDAY].any,
    };
    if (!day_exists(&c))
        return err_set(err, ERR_CONFIG, "'%.80s' never comes: day of month '%s' is not in month '%s'", text, parts[count - 3],
                       parts[count - 2]);
    *ret_cron = c;
    return 0;
}

/* The step n for which the bits are exactly * / n; 0 when there is none. Weekdays end at 6 here and may have a step of 7. */
static int step_of(uint64_t bits, int min, int max) {
    for (int step = 1; step <= max + 1; step++) {
        uint64_t want = 0;
        for (int v = min; v <= max; v += step)
            want |= UINT64_C(1) << v;
        if (want == bits)
            return step;
    }
    return 0;
}

/* `any`: the field does not restrict and must be written with a star. `two_ways`: a star and a list mean the same,
 * the shorter is taken. */
static void field_format(struct buf *out, uint64_t bits, int min, int max, bool any, bool two_ways, bool last) {
    bool star = any || (two_ways && !last && __builtin_popcountll(bits) > 2);
    int step = star ? step_of(bits, min, max) : 0;
    if (step == 1) {
        (void)buf_putc(out, '*');
        return;
    }
    if (step) {
        (void)buf_printf(out, "*/%d", step);
        return;
    }
    size_t begin = out->len;
    for (int v = min; v <= max; v++) {
        if (!(bits >> v & 1))
            continue;
        int end = v;
        while (end < max && bits >> (end + 1) & 1)
            end++;
        const char *comma = out->len > begin ? "," : "";
        if (end == v)
            (void)buf_printf(out, "%s%d", comma, v);
        else
            (void)buf_printf(out, "%s%d-%d", comma, v, end);
        v = end;
    }
    if (last)
        (void)buf_puts(out, out->len > begin ? ",L" : "L");
}

char *cron_format(char dst[CRON_TEXT_MAX], const struct cron *c) {
    struct buf out;
    buf_init(&out, CRON_TEXT_MAX - 1);
    if (c->seconds != 1) {
        field_format(&out, c->seconds, 0, 59, false, true, false);
        (void)buf_putc(&out, ' ');
    }
    field_format(&out, c->minutes, 0, 59, false, true, false);
    (void)buf_putc(&out, ' ');
    field_format(&out, c->hours, 0, 23, false, true, false);
    (void)buf_putc(&out, ' ');
    field_format(&out, c->days, 1, 31, c->any_day, false, c->last_day);
    (void)buf_putc(&out, ' ');
    field_format(&out, c->months, 1, 12, false, true, false);
    (void)buf_putc(&out, ' ');
    field_format(&out, c->weekdays, 0, 6, c->any_weekday, false, false);
    (void)str_copy(dst, CRON_TEXT_MAX, out.data);
    buf_done(&out);
    return dst;
}
