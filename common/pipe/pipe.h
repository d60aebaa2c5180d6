/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record pipe: a backup file is read once and becomes a sequence of stored records, or the other way round. SHA-256
 * of both sides is made on the way. Memory is bounded: two records on each side, whatever the size of the backup. The
 * filter (compression) runs on a second thread beside reading, hashing and writing; a source of one record starts none.
 *
 * All callbacks run on the thread that called. Both directions block: call them from a worker.
 *
 *     struct pipe_spec spec = {.codec = "zstd", .record_bytes = pipe_record_bytes(8)};
 *     struct pipe_source source = {.fd = fd, .drop_cache = true};
 *     if (pipe_write_run(&spec, &source, &sink, &control, &result, err) < 0) ...
 */
#ifndef MSSQL_PIPE_PIPE_H
#define MSSQL_PIPE_PIPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"
#include "common/pipe/filter.h"
#include "common/pipe/hash.h"
#include "common/pipe/rate.h"

#define PIPE_RECORD_BYTES_MAX FILTER_RECORD_MAX
#define PIPE_RECORD_BYTES_MIN (64u * 1024)
#define PIPE_RECORD_BYTES_DEFAULT (1024u * 1024)

struct pipe_spec {
    const char *codec; /* name of a filter; NULL is "none" */
    int level; /* 0: the filter's default */
    size_t record_bytes; /* plain bytes of a record; 0: 1 MiB when writing, any up to 4 MiB when reading */
};

/* The largest record size with which `streams` pipes at once stay inside 32 MiB. */
size_t pipe_record_bytes(unsigned streams);

/* Where bytes come from: a descriptor that is read from its current position, or a callback. */
struct pipe_source {
    int fd; /* used when read is NULL */
    /* Up to len bytes; 0 at the end, -1 on failure. May give less than asked. */
    ssize_t (*read)(void *user, void *dst, size_t len, struct err *err);
    void *user;
    bool drop_cache; /* fd only: give the page cache back behind the reader */
    bool *failed; /* NULL, or set to true when it was the source that failed */
};

/* Where records (writing) or plain bytes (reading) go. */
struct pipe_sink {
    /* One whole record. plain_len is what it holds; len == plain_len when reading. */
    int (*write)(void *user, const void *bytes, size_t len, size_t plain_len, struct err *err);
    void *user;
};

struct pipe_progress {
    uint64_t plain_bytes;
    uint64_t stored_bytes;
};

/* How a run is watched and steered. Every member may be zero, and the pointer NULL. */
struct pipe_control {
    void (*progress)(void *user, const struct pipe_progress *progress); /* after each record */
    void *user;
    const atomic_bool *cancel; /* ERR_CANCELLED at the next record, and within 50 ms while it waits for the rate */
    struct rate *rate; /* counts plain bytes */
};

struct pipe_result {
    uint64_t plain_bytes;
    uint64_t stored_bytes;
    struct hash plain_sha256;
    struct hash stored_sha256;
    uint64_t records;
    const char *codec; /* static */
    int level;
};

/* Reads everything that the source has. ret_result is filled on success only. The sink has had whole records only, also
 * when the run fails. An empty source makes no record with codec none and one empty frame with zstd, so that the standard
 * tool accepts the object. */
int pipe_write_run(const struct pipe_spec *spec, const struct pipe_source *source, const struct pipe_sink *sink,
                   const struct pipe_control *control, struct pipe_result *ret_result, struct err *err) ERR_CHECK;

/* What the manifest says of an object. Zero counts and NULL pointers are not checked. */
struct pipe_part_expect {
    uint64_t stored_bytes;
    struct hash stored_sha256;
};
struct pipe_expect {
    bool known; /* the four below are checked */
    uint64_t plain_bytes;
    uint64_t stored_bytes;
    struct hash plain_sha256;
    struct hash stored_sha256;
    const struct pipe_part_expect *parts; /* checked as they pass, so that damage is found where it is */
    size_t part_count;
};

/* The inverse. The sink gets plain bytes before the last hash is known: what it made is valid only when this returned 0.
 * ERR_CORRUPT says which part or record, at which stored offset. */
int pipe_read_run(const struct pipe_spec *spec, const struct pipe_source *source, const struct pipe_sink *sink,
                  const struct pipe_control *control, const struct pipe_expect *expect, struct pipe_result *ret_result,
                  struct err *err) ERR_CHECK;

#endif
