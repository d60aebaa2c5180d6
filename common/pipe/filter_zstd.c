/* SPDX-License-Identifier: Apache-2.0 */
/*
 * zstd: each record is one frame with its content size and its checksum, so `zstd -d` and `zstd -t` read the object.
 *
 * The reader must find where a frame ends before it has it whole. The frame format (RFC 8878) is walked here: a header
 * whose length its second field tells, then blocks with three bytes of header each, then a checksum.
 */
#include <string.h>
#include <zstd.h>

#include "common/base/mem.h"
#include "common/pipe/filter.h"

#define MAGIC_BYTES 4
#define HEADER_MAX 18 /* of a frame */
#define BLOCK_HEADER 3
#define CHECKSUM_BYTES 4

enum place { IN_HEADER, IN_BLOCK_HEADER, IN_BLOCK, IN_CHECKSUM };

struct zstd {
    struct filter base;
    ZSTD_CCtx *compress;
    ZSTD_DCtx *expand;
    uint64_t records;
    enum place place;
    uint8_t head[HEADER_MAX]; /* of the frame, or of the block */
    size_t head_have;
    size_t left; /* of the block or the checksum */
    size_t gathered;
    bool last_block, has_checksum;
};

static struct zstd *self(const struct filter *filter) {
    return container_of((void *)(uintptr_t)filter, struct zstd, base);
}

static void zstd_free(struct filter *filter) {
    if (!filter)
        return;
    struct zstd *z = self(filter);
    ZSTD_freeCCtx(z->compress);
    ZSTD_freeDCtx(z->expand);
    mem_free(z);
}

static int zstd_level(const struct filter *filter) {
    return filter->params.level ? filter->params.level : FILTER_ZSTD_LEVEL_DEFAULT;
}

static int zstd_open(const struct filter_params *params, struct filter **ret_filter, struct err *err) {
    if (params->level < 0 || params->level > FILTER_ZSTD_LEVEL_MAX)
        return err_set(err, ERR_CONFIG, "level %d of codec 'zstd' must be from 1 to %d", params->level, FILTER_ZSTD_LEVEL_MAX);
    struct zstd *z = mem_alloc(sizeof(*z));
    z->base = (struct filter){.ops = &filter_zstd, .params = *params};
    if (params->inverse)
        z->expand = ZSTD_createDCtx();
    else
        z->compress = ZSTD_createCCtx();
    if (!z->expand && !z->compress) {
        zstd_free(&z->base);
        return err_set(err, ERR_LIMIT, "out of memory for zstd");
    }
    if (z->compress && (ZSTD_isError(ZSTD_CCtx_setParameter(z->compress, ZSTD_c_compressionLevel, zstd_level(&z->base))) ||
                        ZSTD_isError(ZSTD_CCtx_setParameter(z->compress, ZSTD_c_checksumFlag, 1)))) {
        zstd_free(&z->base);
        return err_set(err, ERR_INTERNAL, "libzstd refuses level %d", params->level);
    }
    *ret_filter = &z->base;
    return 0;
}

static size_t zstd_stored_bound(const struct filter *filter, size_t plain_bytes) {
    (void)filter;
    return ZSTD_compressBound(plain_bytes) + HEADER_MAX + CHECKSUM_BYTES;
}

static int process_inverse(struct zstd *z, const void *in, size_t in_len, void *out, size_t out_cap, size_t *ret_len,
                           struct err *err) {
    unsigned long long plain = ZSTD_getFrameContentSize(in, in_len);
    if (plain == ZSTD_CONTENTSIZE_ERROR || plain == ZSTD_CONTENTSIZE_UNKNOWN)
        return err_set(err, ERR_CORRUPT, "record %llu: zstd frame without its size", (unsigned long long)z->records);
    if (plain > out_cap)
        return err_set(err, ERR_CORRUPT, "record %llu claims %llu bytes, more than the %zu of a record",
                       (unsigned long long)z->records, plain, out_cap);
    size_t n = ZSTD_decompressDCtx(z->expand, out, out_cap, in, in_len);
    if (ZSTD_isError(n))
        return err_set(err, ERR_CORRUPT, "record %llu: zstd: %s", (unsigned long long)z->records, ZSTD_getErrorName(n));
    z->records++;
    *ret_len = n;
    return 0;
}

static int zstd_process(struct filter *filter, const void *in, size_t in_len, void *out, size_t out_cap, size_t *ret_len,
                        struct err *err) {
    struct zstd *z = self(filter);
    if (filter->params.inverse)
        return process_inverse(z, in, in_len, out, out_cap, ret_len, err);
    size_t n = ZSTD_compress2(z->compress, out, out_cap, in, in_len);
    if (ZSTD_isError(n))
        return err_set(err, ERR_INTERNAL, "record %llu: zstd: %s", (unsigned long long)z->records, ZSTD_getErrorName(n));
    z->records++;
    *ret_len = n;
    return 0;
}

/* Bytes of the frame header as far as its first five bytes tell; 0 when it is no frame of ours. */
static size_t frame_header_bytes(struct zstd *z) {
    static const uint8_t magic[MAGIC_BYTES] = {0x28, 0xb5, 0x2f, 0xfd};
    static const uint8_t dictionary_bytes[] = {0, 1, 2, 4}, size_bytes[] = {0, 2, 4, 8};
    if (memcmp(z->head, magic, MAGIC_BYTES))
        return 0;
    unsigned descriptor = z->head[MAGIC_BYTES];
    bool single_segment = descriptor >> 5 & 1;
    z->has_checksum = descriptor >> 2 & 1;
    size_t content = size_bytes[descriptor >> 6];
    if (!content && single_segment)
        content = 1;
    return MAGIC_BYTES + 1 + !single_segment + dictionary_bytes[descriptor & 3] + content;
}

/* Gathers up to `want` bytes of a header; how many of `in` were used. */
static size_t gather(struct zstd *z, const uint8_t *in, size_t in_len, size_t want) {
    size_t take = want - z->head_have;
    if (take > in_len)
        take = in_len;
    memcpy(z->head + z->head_have, in, take);
    z->head_have += take;
    return take;
}

static int scan_header(struct zstd *z, const uint8_t *in, size_t in_len, size_t *ret_used, struct err *err) {
    size_t used = gather(z, in, in_len, z->head_have < MAGIC_BYTES + 1 ? MAGIC_BYTES + 1 : z->head_have);
    if (z->head_have >= MAGIC_BYTES + 1) {
        size_t want = frame_header_bytes(z);
        if (!want)
            return err_set(err, ERR_CORRUPT, "no zstd frame where one must begin");
        used += gather(z, in + used, in_len - used, want);
        if (z->head_have == want) {
            z->place = IN_BLOCK_HEADER;
            z->head_have = 0;
        }
    }
    *ret_used = used;
    return 0;
}

static int scan_block_header(struct zstd *z, const uint8_t *in, size_t in_len, size_t *ret_used, struct err *err) {
    *ret_used = gather(z, in, in_len, BLOCK_HEADER);
    if (z->head_have < BLOCK_HEADER)
        return 0;
    unsigned word = z->head[0] | (unsigned)z->head[1] << 8 | (unsigned)z->head[2] << 16;
    unsigned type = word >> 1 & 3;
    if (type == 3)
        return err_set(err, ERR_CORRUPT, "zstd block of a reserved type");
    z->last_block = word & 1;
    z->left = type == 1 ? 1 : word >> 3; /* a run of one byte is stored as that byte */
    z->head_have = 0;
    z->place = IN_BLOCK;
    return 0;
}

/* One step; *ret_used may be 0 when only the place changes. */
static int scan_step(struct zstd *z, const uint8_t *in, size_t in_len, size_t *ret_used, bool *ret_end, struct err *err) {
    switch (z->place) {
    case IN_HEADER:
        return scan_header(z, in, in_len, ret_used, err);
    case IN_BLOCK_HEADER:
        return scan_block_header(z, in, in_len, ret_used, err);
    default:
        *ret_used = z->left < in_len ? z->left : in_len;
        z->left -= *ret_used;
        if (z->left)
            return 0;
        if (z->place == IN_BLOCK && !z->last_block) {
            z->place = IN_BLOCK_HEADER;
        } else if (z->place == IN_BLOCK && z->has_checksum) {
            z->place = IN_CHECKSUM;
            z->left = CHECKSUM_BYTES;
        } else {
            z->place = IN_HEADER;
            *ret_end = true;
        }
        return 0;
    }
}

static int zstd_scan(struct filter *filter, const void *in, size_t in_len, size_t *ret_used, bool *ret_end, struct err *err) {
    struct zstd *z = self(filter);
    size_t at = 0;
    bool end = false;
    while (!end && (at < in_len || (z->place >= IN_BLOCK && !z->left))) {
        size_t used = 0;
        if (scan_step(z, (const uint8_t *)in + at, in_len - at, &used, &end, err) < 0)
            return -1;
        at += used;
    }
    z->gathered = end ? 0 : z->gathered + at;
    *ret_used = at;
    *ret_end = end;
    return 0;
}

static int zstd_finish(struct filter *filter, void *out, size_t out_cap, size_t *ret_len, struct err *err) {
    struct zstd *z = self(filter);
    *ret_len = 0;
    if (filter->params.inverse)
        return z->gathered ? err_set(err, ERR_CORRUPT, "the object ends inside a zstd frame") : 0;
    /* An object without any frame is nothing that `zstd -d` takes. */
    return z->records ? 0 : zstd_process(filter, "", 0, out, out_cap, ret_len, err);
}

static void zstd_result(const struct filter *filter, struct filter_result *ret_result) {
    *ret_result = (struct filter_result){.name = "zstd", .level = zstd_level(filter)};
}

const struct filter_ops filter_zstd = {
    .name = "zstd",
    .suffix = ".zst",
    .open = zstd_open,
    .stored_bound = zstd_stored_bound,
    .process = zstd_process,
    .scan = zstd_scan,
    .finish = zstd_finish,
    .result = zstd_result,
    .free = zstd_free,
};
