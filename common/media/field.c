/* SPDX-License-Identifier: Apache-2.0 */
/* Fields of blocks and records. Little-endian, except for dates. */
#include <string.h>

#include "common/base/clock.h"
#include "common/media/media_int.h"

static uint64_t media_number(struct media_bytes b, size_t at, size_t bytes) {
    uint64_t value = 0;
    if (at > b.len || b.len - at < bytes)
        return 0;
    for (size_t i = bytes; i > 0; i--)
        value = value << 8 | b.data[at + i - 1];
    return value;
}

uint16_t media_u16(struct media_bytes b, size_t at) {
    return (uint16_t)media_number(b, at, 2);
}

uint32_t media_u32(struct media_bytes b, size_t at) {
    return (uint32_t)media_number(b, at, 4);
}

uint64_t media_u64(struct media_bytes b, size_t at) {
    return media_number(b, at, 8);
}

struct lsn media_lsn(struct media_bytes b, size_t at) {
    return (struct lsn){.vlf = media_u32(b, at), .block = media_u32(b, at + 4), .slot = media_u16(b, at + 8)};
}

/* On disk the first three groups of a GUID are little-endian numbers. */
struct guid media_guid(struct media_bytes b, size_t at) {
    static const uint8_t order[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    struct guid guid = {{0}};
    if (at > b.len || b.len - at < sizeof(guid.bytes))
        return guid;
    for (size_t i = 0; i < sizeof(guid.bytes); i++)
        guid.bytes[i] = b.data[at + order[i]];
    return guid;
}

int64_t media_date(struct media_bytes b, size_t at) {
    uint64_t v = 0;
    if (at > b.len || b.len - at < 5)
        return 0;
    for (size_t i = 0; i < 5; i++)
        v = v << 8 | b.data[at + i];
    struct clock_civil c = {
        .year = (int)(v >> 26),
        .month = (int)(v >> 22 & 15),
        .day = (int)(v >> 17 & 31),
        .hour = (int)(v >> 12 & 31),
        .minute = (int)(v >> 6 & 63),
        .second = (int)(v & 63),
    };
    if (c.year < 1753 || c.year > 9999 || !c.month || c.month > 12 || !c.day || c.hour > 23 || c.minute > 59 || c.second > 59)
        return 0;
    return clock_from_civil(&c);
}

static size_t utf8_put(char *dst, size_t room, uint32_t c) {
    if (c < 0x20 || c == 0x7f)
        c = ' ';
    if (c < 0x80 && room >= 1) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800 && c >= 0x80 && room >= 2) {
        dst[0] = (char)(0xc0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000 && c >= 0x800 && room >= 3) {
        dst[0] = (char)(0xe0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 0x3f));
        dst[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    if (c >= 0x10000 && room >= 4) {
        dst[0] = (char)(0xf0 | c >> 18);
        dst[1] = (char)(0x80 | (c >> 12 & 0x3f));
        dst[2] = (char)(0x80 | (c >> 6 & 0x3f));
        dst[3] = (char)(0x80 | (c & 0x3f));
        return 4;
    }
    return 0;
}

/* One character of UTF-16; a half of a pair that stands alone is U+FFFD. */
static uint32_t utf16_get(const uint8_t *data, size_t len, size_t *pos) {
    struct media_bytes b = {data, len};
    uint32_t c = media_u16(b, *pos), low;
    *pos += 2;
    if (c < 0xd800 || c > 0xdfff)
        return c;
    low = media_u16(b, *pos);
    if (c > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return 0xfffd;
    *pos += 2;
    return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

void media_text(struct media_bytes b, size_t at, bool utf16, char *dst, size_t dst_bytes) {
    size_t len = media_u16(b, at), offset = media_u16(b, at + 2), n = 0;
    *dst = 0;
    if (offset > b.len || b.len - offset < len)
        return;
    for (size_t pos = 0; utf16 ? pos + 2 <= len : pos < len;) {
        /* What the code page of an ANSI text was is not known: beyond ASCII it is Latin-1. */
        uint32_t c = utf16 ? utf16_get(b.data + offset, len, &pos) : b.data[offset + pos++];
        if (!c)
            break;
        size_t added = utf8_put(dst + n, dst_bytes - 1 - n, c);
        if (!added)
            break;
        n += added;
    }
    dst[n] = 0;
}
