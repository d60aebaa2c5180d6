/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool str_copy(char *dst, size_t dst_bytes, const char *src) {
    size_t len = strlen(src);
    bool fits = len < dst_bytes;
    if (!fits)
        len = dst_bytes - 1;
    memmove(dst, src, len);
    dst[len] = 0;
    return fits;
}

bool str_format(char *dst, size_t dst_bytes, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(dst, dst_bytes, fmt, ap);
    va_end(ap);
    return n >= 0 && (size_t)n < dst_bytes;
}

bool str_starts(const char *s, const char *prefix) {
    return !strncmp(s, prefix, strlen(prefix));
}

bool str_ends(const char *s, const char *suffix) {
    size_t len = strlen(s), n = strlen(suffix);
    return len >= n && !strcmp(s + len - n, suffix);
}

bool str_ieq(const char *a, const char *b) {
    return !strcasecmp(a, b);
}

bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret_value) {
    if (!isdigit((unsigned char)*s) && *s != '-')
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (errno || end == s || *end || v < min || v > max)
        return false;
    *ret_value = v;
    return true;
}

bool str_to_u64(const char *s, uint64_t max, uint64_t *ret_value) {
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (errno || *end || v > max)
        return false;
    *ret_value = v;
    return true;
}

bool str_to_double(const char *s, double *ret_value) {
    char *end;
    errno = 0;
    double v = strtod(s, &end);
    if (errno || end == s || *end || !isfinite(v))
        return false;
    *ret_value = v;
    return true;
}

bool str_to_bool(const char *s, bool *ret_value) {
    static const char *const yes[] = {"true", "yes", "on", "1"}, *const no[] = {"false", "no", "off", "0"};
    for (size_t i = 0; i < 4; i++) {
        if (str_ieq(s, yes[i]))
            return *ret_value = true;
        if (str_ieq(s, no[i])) {
            *ret_value = false;
            return true;
        }
    }
    return false;
}

bool str_to_duration_ms(const char *s, int64_t *ret_ms) {
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"w", 604800000}};
    if (!*s)
        return false;
    int64_t total = 0;
    while (*s) {
        if (!isdigit((unsigned char)*s))
            return false;
        char *end;
        errno = 0;
        long long n = strtoll(s, &end, 10);
        size_t len = strspn(end, "msdhw");
        bool known = false;
        for (size_t i = 0; i < sizeof(units) / sizeof(units[0]) && !known; i++) {
            known = strlen(units[i].unit) == len && !strncmp(units[i].unit, end, len);
            int64_t part;
            if (known && (errno || __builtin_mul_overflow(n, units[i].ms, &part) || __builtin_add_overflow(total, part, &total)))
                return false;
        }
        if (!known || (!len && end[0]))
            return false;
        s = end + len;
    }
    *ret_ms = total;
    return true;
}

bool str_to_bytes(const char *s, uint64_t *ret_bytes) {
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {{"", 1},
                 {"k", 1000},
                 {"K", 1000},
                 {"M", 1000000},
                 {"G", 1000000000},
                 {"T", UINT64_C(1000000000000)},
                 {"P", UINT64_C(1000000000000000)},
                 {"Ki", UINT64_C(1) << 10},
                 {"Mi", UINT64_C(1) << 20},
                 {"Gi", UINT64_C(1) << 30},
                 {"Ti", UINT64_C(1) << 40},
                 {"Pi", UINT64_C(1) << 50}};
    if (!isdigit((unsigned char)*s))
        return false;
    char *end;
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    if (errno)
        return false;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        uint64_t v;
        if (!strcmp(end, units[i].unit)) {
            if (__builtin_mul_overflow((uint64_t)n, units[i].bytes, &v))
                return false;
            *ret_bytes = v;
            return true;
        }
    }
    return false;
}

void str_from_bytes(char *dst, size_t dst_bytes, uint64_t bytes) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1024 && u + 1 < sizeof(units) / sizeof(units[0]); u++)
        v /= 1024;
    snprintf(dst, dst_bytes, u && v < 100 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void str_from_duration(char *dst, size_t dst_bytes, int64_t ms) {
    int64_t s = ms / 1000;
    if (ms < 0)
        snprintf(dst, dst_bytes, "-");
    else if (ms < 1000)
        snprintf(dst, dst_bytes, "%dms", (int)ms);
    else if (s < 60)
        snprintf(dst, dst_bytes, "%ds", (int)s);
    else if (s < 3600)
        snprintf(dst, dst_bytes, "%dm%02ds", (int)(s / 60), (int)(s % 60));
    else if (s < 86400)
        snprintf(dst, dst_bytes, "%dh%02dm", (int)(s / 3600), (int)(s / 60 % 60));
    else
        snprintf(dst, dst_bytes, "%ldd%02dh", (long)(s / 86400), (int)(s / 3600 % 24));
}

bool str_glob(const char *pattern, const char *s) {
    const char *star = NULL, *resume = NULL;
    while (*s) {
        if (*pattern == '*') {
            star = pattern++;
            resume = s;
        } else if (*pattern == '?' || tolower((unsigned char)*pattern) == tolower((unsigned char)*s)) {
            pattern++;
            s++;
        } else if (star) {
            pattern = star + 1;
            s = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

/* Levenshtein distance of names up to 63 characters; longer ones never suggest anything. */
static unsigned edit_distance(const char *a, const char *b) {
    size_t la = strlen(a), lb = strlen(b);
    if (la > 63 || lb > 63)
        return 64;
    unsigned row[64];
    for (size_t j = 0; j <= lb; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= la; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= lb; j++) {
            unsigned best = diagonal + (tolower((unsigned char)a[i - 1]) != tolower((unsigned char)b[j - 1]));
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[lb];
}

const char *str_nearest(const char *s, const char *const *candidates, size_t count) {
    const char *nearest = NULL;
    unsigned best = (unsigned)(strlen(s) / 3 + 2);
    for (size_t i = 0; i < count; i++) {
        unsigned d = edit_distance(s, candidates[i]);
        if (d < best) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* Length of the UTF-8 sequence that begins at s, 0 when it is not one. */
static size_t utf8_sequence(const unsigned char *s, size_t left) {
    if (s[0] < 0x80)
        return 1;
    size_t len = s[0] >= 0xf0 && s[0] <= 0xf4 ? 4 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : 0;
    if (!len || len > left)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool str_is_clean_utf8(const char *s, size_t len) {
    const unsigned char *p = (const unsigned char *)s;
    while (len) {
        size_t n = utf8_sequence(p, len);
        if (!n || (p[0] < 0x20 && p[0] != '\t') || p[0] == 0x7f)
            return false;
        p += n;
        len -= n;
    }
    return true;
}

char *str_to_utf8(char *dst, size_t dst_bytes, const char *src) {
    size_t left = strlen(src), used = 0;
    while (left) {
        size_t n = utf8_sequence((const unsigned char *)src, left);
        size_t take = n ? n : 1;
        if (used + take >= dst_bytes)
            break;
        if (n)
            memcpy(dst + used, src, n);
        else
            dst[used] = '?';
        used += take;
        src += take;
        left -= take;
    }
    dst[used] = 0;
    return dst;
}

void str_hex(char *dst, const uint8_t *data, size_t len) {
    static const char hex[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        dst[2 * i] = hex[data[i] >> 4];
        dst[2 * i + 1] = hex[data[i] & 15];
    }
    dst[2 * len] = 0;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_unhex(const char *s, uint8_t *dst, size_t len) {
    if (strlen(s) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int hi = hex_digit(s[2 * i]), lo = hex_digit(s[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return false;
        dst[i] = (uint8_t)(hi << 4 | lo);
    }
    return true;
}
