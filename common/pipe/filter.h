/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Filters turn one record of plain bytes into one stored record, and back. A record is whole in itself (a compression
 * frame of its own), so records can be worked on at once and a range can be read alone.
 *
 * A filter instance belongs to one thread at a time. `none` and `zstd` exist; lz4, gzip and aes-256-gcm have their names
 * reserved and are refused by name.
 */
#ifndef MSSQL_PIPE_FILTER_H
#define MSSQL_PIPE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* No record ever holds more plain bytes than this; a reader refuses more. */
#define FILTER_RECORD_MAX (4u * 1024 * 1024)

struct filter;

struct filter_params {
    int level; /* 0: the filter's default */
    size_t record_bytes; /* the most plain bytes a record of this run has; <= FILTER_RECORD_MAX */
    bool inverse; /* from stored to plain */
};

/* What a filter tells about itself for the manifest. */
struct filter_result {
    const char *name;
    int level; /* the one that was used, 0 when the filter has none */
};

struct filter_ops {
    const char *name;
    const char *suffix; /* of object names, with its dot; "" for none */
    int (*open)(const struct filter_params *params, struct filter **ret_filter, struct err *err);
    /* The most stored bytes that a record of so many plain bytes can have; the same in both directions. */
    size_t (*stored_bound)(const struct filter *filter, size_t plain_bytes);
    /* One whole record in, one whole record out. ERR_CORRUPT for bytes that are none. */
    int (*process)(struct filter *filter, const void *in, size_t in_len, void *out, size_t out_cap, size_t *ret_len,
                   struct err *err);
    /* Inverse only: how many of these stored bytes belong to the record that is being gathered. *ret_end says that it is
     * complete with them. The filter keeps its place between calls. */
    int (*scan)(struct filter *filter, const void *in, size_t in_len, size_t *ret_used, bool *ret_end, struct err *err);
    /* After the last record: trailing stored bytes (writing), or the check that nothing is missing (reading). */
    int (*finish)(struct filter *filter, void *out, size_t out_cap, size_t *ret_len, struct err *err);
    void (*result)(const struct filter *filter, struct filter_result *ret_result);
    void (*free)(struct filter *filter);
};

/* Base of every filter instance. */
struct filter {
    const struct filter_ops *ops;
    struct filter_params params;
};

/* By name; ERR_UNSUPPORTED for names that are reserved, ERR_CONFIG with a suggestion for others. */
int filter_find(const char *name, const struct filter_ops **ret_ops, struct err *err) ERR_CHECK;
/* "zstd", "zstd:3", "none" as the configuration writes it. ERR_CONFIG when the level is out of range. */
int filter_parse(const char *spec, const struct filter_ops **ret_ops, int *ret_level, struct err *err) ERR_CHECK;

extern const struct filter_ops filter_none;
extern const struct filter_ops filter_zstd;

#define FILTER_ZSTD_LEVEL_DEFAULT 1
#define FILTER_ZSTD_LEVEL_MAX 19

#endif
