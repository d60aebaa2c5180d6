/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define REPLACEMENT "\xef\xbf\xbd"
#define ELLIPSIS "\xe2\x80\xa6"

struct range {
    uint32_t first, last;
};

/* Not the whole tables of Unicode: scripts in which databases are named, and emoji. */
static const struct range none[] = {{0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
                                    {0x93c, 0x93c},   {0x94d, 0x94d},   {0xe31, 0xe31},   {0xe34, 0xe3a},   {0xe47, 0xe4e},
                                    {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064},
                                    {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0100, 0xe01ef}};
static const struct range wide[] = {{0x1100, 0x115f},   {0x231a, 0x231b},   {0x2e80, 0x303e},  {0x3041, 0x33ff},
                                    {0x3400, 0x4dbf},   {0x4e00, 0x9fff},   {0xa000, 0xa4cf},  {0xac00, 0xd7a3},
                                    {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},  {0xffe0, 0xffe6},
                                    {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff}, {0x20000, 0x3fffd}};

static bool is_in(const struct range *ranges, size_t count, uint32_t c) {
    for (size_t i = 0; i < count; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

/* One character: its bytes, 0 when it is not UTF-8. */
static size_t decode(const char *s, uint32_t *ret_c) {
    const unsigned char *p = (const unsigned char *)s;
    size_t len = p[0] < 0x80                    ? 1
                 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                 : p[0] >= 0xe0 && p[0] < 0xf0  ? 3
                 : p[0] >= 0xc2 && p[0] < 0xe0  ? 2
                                                : 0;
    if (len < 2) {
        *ret_c = p[0];
        return len;
    }
    uint32_t c = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *ret_c = c;
    return len;
}

static size_t columns(uint32_t c) {
    if (c < 0x300)
        return 1;
    if (is_in(none, ARRAY_LEN(none), c))
        return 0;
    return is_in(wide, ARRAY_LEN(wide), c) ? 2 : 1;
}

size_t text_width(const char *s) {
    size_t width = 0;
    uint32_t c;
    while (*s) {
        size_t n = decode(s, &c);
        width += n ? columns(c) : 1;
        s += n ? n : 1;
    }
    return width;
}

char *text_clean(const char *s) {
    char *out = mem_alloc(3 * strlen(s) + 1), *w = out;
    uint32_t c;
    while (*s) {
        size_t n = decode(s, &c);
        bool is_space = c == '\t' || c == '\n' || c == '\r';
        /* 0x202a.. turn the direction of what follows: a name could then hide what it is */
        bool bad = !n || c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
        if (n && is_space) {
            *w++ = ' ';
        } else if (bad) {
            memcpy(w, REPLACEMENT, 3);
            w += 3;
        } else {
            memcpy(w, s, n);
            w += n;
        }
        s += n ? n : 1;
    }
    *w = 0;
    return out;
}

char *text_vprintf(const char *fmt, va_list ap) {
    va_list again;
    if (!fmt)
        return mem_strdup("");
    va_copy(again, ap);
    int len = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    if (len < 0)
        return mem_strdup("");
    _cleanup_free_ char *text = mem_alloc((size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, fmt, ap);
    return text_clean(text);
}

char *text_fit(const char *s, size_t width) {
    char *out = text_clean(s);
    if (text_width(out) <= width)
        return out;
    size_t used = 0, at = 0;
    uint32_t c;
    while (out[at]) {
        size_t n = decode(out + at, &c);
        if (used + columns(c) + 1 > width)
            break;
        used += columns(c);
        at += n;
    }
    out[at] = 0;
    char *cut = width ? mem_printf("%s" ELLIPSIS, out) : mem_strdup("");
    mem_free(out);
    return cut;
}

char *text_time(char dst[TEXT_MAX], int64_t at) {
    char text[CLOCK_TEXT_MAX];
    str_copy(dst, TEXT_MAX, clock_format(text, at ? at - ((at % CLOCK_SECOND) + CLOCK_SECOND) % CLOCK_SECOND : 0));
    return dst;
}

char *text_span(char dst[TEXT_MAX], int64_t us) {
    int64_t s = (us < 0 ? -us : us) / CLOCK_SECOND;
    str_from_duration(dst, TEXT_MAX, s ? s * 1000 : 0);
    if (!s)
        str_copy(dst, TEXT_MAX, "0s");
    return dst;
}

char *text_ago(char dst[TEXT_MAX], int64_t at, int64_t now) {
    char span[TEXT_MAX];
    if (!at)
        str_copy(dst, TEXT_MAX, "-");
    else if (at > now - CLOCK_SECOND && at < now + CLOCK_SECOND)
        str_copy(dst, TEXT_MAX, "now");
    else
        str_format(dst, TEXT_MAX, at < now ? "%s ago" : "in %s", text_span(span, now - at));
    return dst;
}

char *text_bytes(char dst[TEXT_MAX], uint64_t bytes) {
    str_from_bytes(dst, TEXT_MAX, bytes);
    return dst;
}
