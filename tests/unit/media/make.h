/* SPDX-License-Identifier: Apache-2.0 */
/* Makes backup media byte by byte, apart from the reader: for what no server writes, too. */
#ifndef MSSQL_TEST_MEDIA_MAKE_H
#define MSSQL_TEST_MEDIA_MAKE_H

#include "common/base/buf.h"
#include "common/chain/lsn.h"
#include "tests/unit/support/unit.h"

struct make {
    struct buf out;
    size_t block; /* where the last one began */
};

static inline void put_u16(uint8_t *at, unsigned v) {
    at[0] = (uint8_t)v;
    at[1] = (uint8_t)(v >> 8);
}

static inline void put_u32(uint8_t *at, uint32_t v) {
    put_u16(at, v & 0xffff);
    put_u16(at + 2, v >> 16);
}

static inline void put_lsn(uint8_t *at, struct lsn lsn) {
    put_u32(at, lsn.vlf);
    put_u32(at + 4, lsn.block);
    put_u16(at + 8, lsn.slot);
}

static inline void put_date(uint8_t *at, uint64_t year, uint64_t month, uint64_t day, uint64_t hour, uint64_t minute,
                            uint64_t second) {
    uint64_t v = year << 26 | month << 22 | day << 17 | hour << 12 | minute << 6 | second;
    for (int i = 4; i >= 0; i--, v >>= 8)
        at[i] = (uint8_t)v;
}

/* ASCII as UTF-16 at `where`, with {length, offset} at `field` of `base`. */
static inline void put_text(uint8_t *base, size_t field, size_t where, const char *text) {
    put_u16(base + field, (unsigned)strlen(text) * 2);
    put_u16(base + field + 2, (unsigned)where);
    for (size_t i = 0; text[i]; i++)
        put_u16(base + where + 2 * i, (unsigned char)text[i]);
}

static inline void make_sum(uint8_t *block) {
    unsigned sum = 0;
    for (int i = 0; i < 50; i += 2)
        sum ^= (unsigned)(block[i] | block[i + 1] << 8);
    put_u16(block + 50, sum);
}

/* A block of `bytes`, streams right behind it; without streams when `streams` is false. Returns its bytes, good until the
 * next call; make_sum() again after a change of the first 52. */
static inline uint8_t *make_block(struct make *m, const char *type, size_t bytes, bool streams) {
    static const uint8_t zero[1024];
    assert_true(bytes <= sizeof(zero));
    m->block = m->out.len;
    assert_true(buf_append(&m->out, zero, bytes));
    uint8_t *b = (uint8_t *)m->out.data + m->block;
    memcpy(b, type, 4);
    put_u16(b + 8, streams ? (unsigned)bytes : 0);
    b[48] = 2;
    make_sum(b);
    return b;
}

static inline void make_stream(struct make *m, const char *id, const void *data, size_t len) {
    uint8_t head[22] = {0};
    memcpy(head, id, 4);
    put_u32(head + 8, (uint32_t)len);
    assert_true(buf_append(&m->out, head, sizeof(head)) && (!len || buf_append(&m->out, data, len)));
    while (m->out.len % 4)
        assert_true(buf_putc(&m->out, 0));
}

/* A padding stream up to the next multiple of 512. */
static inline void make_pad(struct make *m) {
    static const uint8_t zero[512];
    size_t left = (512 - (m->out.len + 22) % 512) % 512;
    uint8_t head[22] = {'S', 'P', 'A', 'D'};
    put_u32(head + 8, (uint32_t)left);
    assert_true(buf_append(&m->out, head, sizeof(head)) && (!left || buf_append(&m->out, zero, left)));
}

static inline void make_media(struct make *m, uint8_t guid, uint32_t family) {
    buf_init(&m->out, 1 << 26);
    uint8_t raid[24], *b = make_block(m, "TAPE", 200, true);
    memset(raid, guid, sizeof(raid));
    put_u32(b + 52, family);
    put_text(b, 80, 100, "Microsoft SQL Server");
    put_u16(b + 84, 1024);
    put_date(b + 88, 2026, 11, 21, 2, 47, 0);
    make_stream(m, "RAID", raid, sizeof(raid));
    make_pad(m);
    make_block(m, "SFMB", 512, false);
}

#define MAKE_RECORD 0x194

/* A log record: 34:10:1 to 34:20:1, two hours east of UTC. */
static inline size_t make_record(uint8_t *r, bool final) {
    memset(r, 0, 1024);
    memcpy(r, "SCIN", 4);
    put_u16(r + 4, MAKE_RECORD);
    put_u16(r + 0x18, 4236);
    r[0x1b] = 16;
    r[0x1c] = 5;
    put_lsn(r + 0x20, (struct lsn){34, 10, 1});
    put_lsn(r + 0x2a, (struct lsn){34, final ? 20 : 15, 1});
    put_lsn(r + 0x34, (struct lsn){34, 5, 2});
    put_lsn(r + 0x3e, (struct lsn){33, 4, 3});
    put_date(r + 0x4d, 2026, 11, 21, 4, 0, 5);
    if (final)
        put_date(r + 0x52, 2026, 11, 21, 4, 0, 7);
    r[0x57] = 'L';
    r[0x5b] = 160;
    put_u16(r + 0x5e, 957);
    put_u32(r + 0x60, 77777);
    put_text(r, 0x68, MAKE_RECORD, "sales");
    put_text(r, 0x6c, MAKE_RECORD + 20, "sql1");
    memset(r + 0x7c, 0x7c, 16);
    memset(r + 0x9c, 0x9c, 16);
    memset(r + 0xb8, 0x9c, 16);
    memset(r + 0xc8, 0xc8, 16);
    memset(r + 0xe0, 0xe0, 16);
    memset(r + 0x13c, 0x9c, 16);
    put_lsn(r + 0x14c, (struct lsn){34, 20, 1});
    return MAKE_RECORD + 40;
}

static inline void make_config(struct make *m, const char *type, const uint8_t *record, size_t len) {
    make_block(m, type, 64, true);
    make_stream(m, "MQCI", record, len);
    make_pad(m);
}

static inline uint8_t *make_set_begin(struct make *m, unsigned position, uint8_t guid) {
    uint8_t *b = make_block(m, "SSET", 300, true);
    b[52] = 4;
    put_u16(b + 62, position);
    put_text(b, 64, 124, "run-1");
    put_text(b, 68, 140, "text");
    put_text(b, 76, 160, "backup");
    b[95] = 8;
    memset(b + 100, guid, 16);
    make_pad(m);
    b = make_block(m, "VOLB", 120, true);
    put_text(b, 64, 80, "host1");
    make_pad(m);
    return (uint8_t *)m->out.data;
}

static inline void make_set_end(struct make *m) {
    make_block(m, "SFMB", 1024, false);
    make_block(m, "ESET", 88, true);
    make_pad(m);
    make_block(m, "ESET", 1024, false);
    make_block(m, "SFMB", 1024, false);
}

static inline void make_data(struct make *m) {
    static const uint8_t pages[3000] = {1};
    make_block(m, "MSTL", 596, true);
    make_stream(m, "MQTL", pages, sizeof(pages));
    make_stream(m, "MQTL", NULL, 0);
    make_pad(m);
}

static inline void make_set(struct make *m, unsigned position, uint8_t guid) {
    uint8_t record[1024];
    make_set_begin(m, position, guid);
    make_config(m, "MSCI", record, make_record(record, false));
    make_data(m);
    make_config(m, "MSLS", record, make_record(record, true));
    make_set_end(m);
}

#endif
