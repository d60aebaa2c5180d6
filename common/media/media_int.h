/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of common/media: a window over the source, fields in bytes, and the parts of a walk. */
#ifndef MSSQL_MEDIA_MEDIA_INT_H
#define MSSQL_MEDIA_MEDIA_INT_H

#include "common/media/media.h"

#define MEDIA_HEAD_BYTES 52 /* of a block */
#define MEDIA_STREAM_BYTES 22 /* head of a stream */
#define MEDIA_STEP 512 /* blocks begin at multiples of this */
#define MEDIA_BLOCK_MAX 2048 /* fixed fields and texts of a block that are looked at */

/* A piece of the source. Small, because a walk skips nearly everything. */
struct media_window {
    const struct media_source *source;
    uint64_t at;
    size_t len;
    uint8_t data[4096];
};

/* Bytes with a length: fields outside of it read as zero. */
struct media_bytes {
    const uint8_t *data;
    size_t len;
};

uint16_t media_u16(struct media_bytes b, size_t at);
uint32_t media_u32(struct media_bytes b, size_t at);
uint64_t media_u64(struct media_bytes b, size_t at);
struct lsn media_lsn(struct media_bytes b, size_t at);
struct guid media_guid(struct media_bytes b, size_t at);
/* Five bytes of an MTF date as microseconds of the epoch, as if it were UTC; 0 for none or for what is no date. */
int64_t media_date(struct media_bytes b, size_t at);
/* The text that {length, offset} at `at` point to, as UTF-8, cut at a character. Ill-formed parts are U+FFFD, control
 * characters are spaces; outside of the bytes it is empty. */
void media_text(struct media_bytes b, size_t at, bool utf16, char *dst, size_t dst_bytes);

/* Fills a set from its SSET block, its VOLB block and its configuration record. */
void media_set_begin(struct media_set *set, struct media_bytes block);
void media_set_volume(struct media_set *set, struct media_bytes block);
/* False when the bytes are no such record. */
bool media_set_record(struct media_set *set, struct media_bytes record);
/* Walks the blocks of an uncompressed file. */
int media_walk(const struct media_source *source, struct media *media, struct err *err);

#endif
