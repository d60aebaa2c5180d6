/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/history_value.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define OFFSET_MAX_S (14 * 3600) /* SQL Server's own limit */

/* Exactly `count` digits. */
static bool take_digits(const char **s, int count, int *ret_value) {
    int v = 0;
    for (int i = 0; i < count; i++, (*s)++) {
        if (**s < '0' || **s > '9')
            return false;
        v = v * 10 + (**s - '0');
    }
    *ret_value = v;
    return true;
}

/* Behind the sign: "hh", "hhmm", "hh:mm", "h". */
static bool take_offset(const char **s, int32_t *ret_offset_s) {
    int hours, minutes = 0;
    int sign = **s == '-' ? -1 : 1;
    if (**s != '+' && **s != '-')
        return false;
    (*s)++;
    if (!take_digits(s, (*s)[0] && (*s)[1] >= '0' && (*s)[1] <= '9' ? 2 : 1, &hours))
        return false;
    if (**s == ':')
        (*s)++;
    else if (**s < '0' || **s > '9')
        minutes = -1; /* hours alone */
    if (minutes < 0)
        minutes = 0;
    else if (!take_digits(s, 2, &minutes))
        return false;
    if (minutes > 59 || hours * 3600 + minutes * 60 > OFFSET_MAX_S)
        return false;
    *ret_offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

bool history_offset_parse(const char *s, int32_t *ret_offset_s) {
    int32_t offset;
    if (str_ieq(s, "Z") || str_ieq(s, "UTC")) {
        *ret_offset_s = 0;
        return true;
    }
    if (!take_offset(&s, &offset) || *s)
        return false;
    *ret_offset_s = offset;
    return true;
}

/* "/Date(1493883737000+0200)/": milliseconds of the epoch; the zone is only how the writer would show it. */
static bool parse_ticks(const char *s, struct history_date *ret_date) {
    char digits[24];
    struct history_date date = {.has_zone = true};
    size_t n = 0;
    s += strlen("/Date(");
    if (*s == '-')
        digits[n++] = *s++;
    while (*s >= '0' && *s <= '9' && n < sizeof(digits) - 1)
        digits[n++] = *s++;
    digits[n] = 0;
    int64_t ms;
    if (!str_to_i64(digits, INT64_MIN / 2000, INT64_MAX / 2000, &ms))
        return false;
    if (*s == '+' || *s == '-') {
        if (!take_offset(&s, &date.offset_s))
            return false;
        date.has_offset = true;
    }
    if (strcmp(s, ")/"))
        return false;
    date.at = ms * 1000;
    *ret_date = date;
    return true;
}

static bool take_time(const char **s, struct clock_civil *c) {
    if (!take_digits(s, 2, &c->hour) || *(*s)++ != ':' || !take_digits(s, 2, &c->minute))
        return false;
    if (**s == ':') {
        (*s)++;
        if (!take_digits(s, 2, &c->second))
            return false;
    }
    if (**s == '.' || **s == ',') {
        int digit, scale = 100000, count = 0;
        for ((*s)++; **s >= '0' && **s <= '9'; count++, scale /= 10) {
            if (!take_digits(s, 1, &digit))
                return false;
            c->micro += digit * scale;
        }
        if (!count || count > 9)
            return false;
    }
    return c->hour < 24 && c->minute < 60 && c->second < 60;
}

static bool is_day(const struct clock_civil *c) {
    struct clock_civil back;
    if (c->year < 1753 || c->month < 1 || c->month > 12 || c->day < 1)
        return false;
    clock_to_civil(clock_from_civil(c), &back);
    return back.month == c->month && back.day == c->day;
}

bool history_date_parse(const char *s, struct history_date *ret_date) {
    struct clock_civil c = {0};
    struct history_date date = {0};
    if (str_starts(s, "/Date("))
        return parse_ticks(s, ret_date);
    if (!take_digits(&s, 4, &c.year) || *s++ != '-' || !take_digits(&s, 2, &c.month) || *s++ != '-' ||
        !take_digits(&s, 2, &c.day))
        return false;
    if (*s == 'T' || *s == 't' || *s == ' ') {
        s++;
        if (!take_time(&s, &c))
            return false;
    }
    if (*s == 'Z' || *s == 'z') {
        s++;
        date.has_zone = true;
    } else if (*s == ' ' ? (s++, true) : *s == '+' || *s == '-') { /* datetimeoffset as text has a space */
        if (!take_offset(&s, &date.offset_s))
            return false;
        date.has_zone = date.has_offset = true;
    }
    if (*s || !is_day(&c))
        return false;
    date.at = clock_from_civil(&c) - date.offset_s * CLOCK_SECOND;
    *ret_date = date;
    return true;
}

/* The digits before a fraction of zeros, without leading zeros; false when there is anything else. */
static bool plain_digits(const char *s, char *dst, size_t dst_bytes) {
    size_t zeros = strspn(s, "0");
    s += zeros;
    size_t n = strspn(s, "0123456789");
    const char *rest = s + n;
    if (*rest == '.' && rest[1])
        rest += 1 + strspn(rest + 1, "0");
    if (*rest || !(n + zeros) || n >= dst_bytes)
        return false;
    memcpy(dst, n ? s : "0", n ? n : 1);
    dst[n ? n : 1] = 0;
    return true;
}

bool history_lsn_parse(const char *s, struct lsn *ret_lsn) {
    char digits[LSN_TEXT_MAX];
    return *s && plain_digits(s, digits, sizeof(digits)) && lsn_parse(digits, ret_lsn);
}

bool history_size_parse(const char *s, uint64_t *ret_size) {
    char digits[24];
    return *s && plain_digits(s, digits, sizeof(digits)) && str_to_u64(digits, INT64_MAX, ret_size);
}

bool history_int_parse(const char *s, int64_t min, int64_t max, int64_t *ret_value) {
    return str_to_i64(s, min, max, ret_value);
}

bool history_guid_parse(const char *s, struct guid *ret_guid) {
    char text[GUID_TEXT_MAX];
    size_t len = strlen(s);
    if (len != 38 || s[0] != '{' || s[37] != '}')
        return guid_parse(s, ret_guid);
    memcpy(text, s + 1, 36);
    text[36] = 0;
    return guid_parse(text, ret_guid);
}

bool history_bit_parse(const char *s, bool *ret_bit) {
    bool yes = !strcmp(s, "1") || str_ieq(s, "true");
    if (!yes && strcmp(s, "0") && !str_ieq(s, "false"))
        return false;
    *ret_bit = yes;
    return true;
}

char history_type_parse(const char *s) {
    static const struct {
        const char *word;
        char type;
    } words[] = {
        {"1", 'D'},
        {"5", 'I'},
        {"2", 'L'},
        {"4", 'X'},
        {"6", 'X'},
        {"7", 'X'},
        {"8", 'X'},
        {"D", 'D'},
        {"I", 'I'},
        {"L", 'L'},
        {"F", 'X'},
        {"G", 'X'},
        {"P", 'X'},
        {"Q", 'X'},
        {"Full", 'D'},
        {"Database", 'D'},
        {"Differential", 'I'},
        {"Diff", 'I'},
        {"Database Differential", 'I'},
        {"Log", 'L'},
        {"Transaction Log", 'L'},
        {"File", 'X'},
        {"File or Filegroup", 'X'},
        {"File Differential", 'X'},
        {"Partial", 'X'},
        {"Partial Differential", 'X'},
        {"Differential File", 'X'},
        {"Partial Full", 'X'},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (str_ieq(words[i].word, s))
            return words[i].type;
    return 0;
}
