/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/pipe/pipe_int.h"

#define PIPE_CACHE_BLOCK (4 << 20) /* no block of the page cache is larger */
#define PIPE_CACHE_AHEAD (1 << 20) /* read ahead of what is taken */

#define STREAMS_BUDGET (24u * 1024 * 1024) /* of 32 MiB: the rest is the compressor's and the page cache's */
#define BUFFERS_PER_STREAM 4
#define WAIT_SLICE_US 50000

size_t pipe_record_bytes(unsigned streams) {
    size_t share = STREAMS_BUDGET / BUFFERS_PER_STREAM / (streams ? streams : 1);
    size_t bytes = PIPE_RECORD_BYTES_MAX;
    while (bytes > share && bytes > PIPE_RECORD_BYTES_MIN)
        bytes /= 2;
    return bytes;
}

static int check_spec(const struct pipe_spec *spec, bool inverse, const struct filter_ops **ret_ops, size_t *ret_record,
                      struct err *err) {
    /* A reader that is not told takes records of any size that is allowed: mapped memory that is not touched costs nothing. */
    size_t record = spec->record_bytes ? spec->record_bytes : inverse ? PIPE_RECORD_BYTES_MAX : PIPE_RECORD_BYTES_DEFAULT;
    if (record < PIPE_RECORD_BYTES_MIN || record > PIPE_RECORD_BYTES_MAX)
        return err_set(err, ERR_CONFIG, "record size %zu must be from %u to %u bytes", record, PIPE_RECORD_BYTES_MIN,
                       PIPE_RECORD_BYTES_MAX);
    if (filter_find(spec->codec && *spec->codec ? spec->codec : "none", ret_ops, err) < 0)
        return -1;
    *ret_record = record;
    return 0;
}

static void open_cache_drop(struct pipe_run *run) {
    const struct pipe_source *source = run->source;
    run->start_at = source->read ? -1 : lseek(source->fd, 0, SEEK_CUR);
    if (run->start_at < 0)
        return;
    /* Where the cache is to stay small the kernel's own read-ahead (16 MiB a stream on some disks) is off; see
     * pipe_run_read(). */
    (void)posix_fadvise(source->fd, run->start_at, 0, source->drop_cache ? POSIX_FADV_RANDOM : POSIX_FADV_SEQUENTIAL);
    run->dropped_at = run->start_at;
    if (!source->drop_cache)
        run->start_at = -1;
    else
        (void)posix_fadvise(source->fd, run->start_at, PIPE_CACHE_AHEAD, POSIX_FADV_WILLNEED);
}

int pipe_run_open(struct pipe_run *run, const struct pipe_spec *spec, bool inverse, const struct pipe_source *source,
                  const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) {
    static const struct pipe_control no_control;
    const struct filter_ops *ops;
    size_t record = 0;
    if (check_spec(spec, inverse, &ops, &record, err) < 0)
        return -1;
    struct filter_params params = {.level = spec->level, .record_bytes = record, .inverse = inverse};
    struct filter *filter;
    if (ops->open(&params, &filter, err) < 0)
        return -1;
    *run = (struct pipe_run){.source = source, .sink = sink, .control = control ? control : &no_control};
    run->identity = ops == &filter_none;
    size_t stored = ops->stored_bound(filter, record);
    if (lane_open(&run->lane, filter, run->identity, inverse ? stored : record, inverse ? record : stored, err) < 0)
        return -1;
    if (hash_begin(&run->plain, err) < 0 || hash_begin(&run->stored, err) < 0) {
        pipe_run_close(run);
        return -1;
    }
    open_cache_drop(run);
    return 0;
}

void pipe_run_close(struct pipe_run *run) {
    lane_close(&run->lane);
    hash_free(run->plain);
    hash_free(run->stored);
}

static ssize_t read_some(struct pipe_run *run, uint8_t *dst, size_t len, struct err *err) {
    const struct pipe_source *source = run->source;
    if (source->read)
        return source->read(source->user, dst, len, err);
    for (;;) {
        ssize_t n = read(source->fd, dst, len);
        if (n >= 0)
            return n;
        if (errno != EINTR)
            return err_os(err, ERR_IO, errno, "read at byte %llu", (unsigned long long)run->taken);
    }
}

int pipe_run_read(struct pipe_run *run, uint8_t *dst, size_t len, size_t *ret_len, struct err *err) {
    size_t have = 0;
    while (have < len) {
        ssize_t n = read_some(run, dst + have, len - have, err);
        if (n < 0) {
            if (run->source->failed)
                *run->source->failed = true;
            return -1;
        }
        if (!n)
            break;
        if ((size_t)n > len - have)
            return err_set(err, ERR_INTERNAL, "a source gave %zd bytes of %zu asked", n, len - have);
        have += (size_t)n;
        run->taken += (size_t)n;
    }
    if (run->start_at >= 0 && have) {
        off_t end = run->start_at + (off_t)run->taken;
        /* The kernel caches a file in blocks of many pages, and drops a block only when the range holds all of it: so the
         * range begins again where the largest block that the last one cut began. Records of a stream among many are smaller
         * than such a block. */
        off_t from = run->dropped_at & ~(off_t)(PIPE_CACHE_BLOCK - 1);
        (void)posix_fadvise(run->source->fd, from, have < len ? 0 : end - from, POSIX_FADV_DONTNEED); /* 0: to the end */
        run->dropped_at = end;
        (void)posix_fadvise(run->source->fd, end, PIPE_CACHE_AHEAD, POSIX_FADV_WILLNEED);
    }
    *ret_len = have;
    return 0;
}

int pipe_run_cancelled(const struct pipe_run *run, struct err *err) {
    const atomic_bool *cancel = run->control->cancel;
    return cancel && atomic_load(cancel)
               ? err_set(err, ERR_CANCELLED, "cancelled after %llu bytes", (unsigned long long)run->done.plain_bytes)
               : 0;
}

static int wait_for_rate(struct pipe_run *run, size_t plain_len, struct err *err) {
    if (!run->control->rate)
        return 0;
    int64_t left = rate_take(run->control->rate, plain_len, clock_mono_us());
    while (left > 0) {
        int64_t slice = left < WAIT_SLICE_US ? left : WAIT_SLICE_US;
        struct timespec ts = {.tv_nsec = slice * 1000};
        nanosleep(&ts, NULL);
        left -= slice;
        if (pipe_run_cancelled(run, err) < 0)
            return -1;
    }
    return 0;
}

int pipe_run_emit(struct pipe_run *run, const struct lane_slot *slot, size_t plain_len, size_t stored_len, struct err *err) {
    if (run->sink->write(run->sink->user, slot->out, slot->out_len, plain_len, err) < 0)
        return -1;
    run->done.plain_bytes += plain_len;
    run->done.stored_bytes += stored_len;
    run->records++;
    if (run->control->progress)
        run->control->progress(run->control->user, &run->done);
    return wait_for_rate(run, plain_len, err);
}

int pipe_run_result(struct pipe_run *run, struct pipe_result *ret_result, struct err *err) {
    struct pipe_result result = {
        .plain_bytes = run->done.plain_bytes,
        .stored_bytes = run->done.stored_bytes,
        .records = run->records,
    };
    if (hash_take(run->identity ? run->lane.hash : run->plain, &result.plain_sha256, err) < 0)
        return -1;
    if (run->identity)
        result.stored_sha256 = result.plain_sha256;
    else if (hash_take(run->stored, &result.stored_sha256, err) < 0)
        return -1;
    struct filter_result filter;
    run->lane.filter->ops->result(run->lane.filter, &filter);
    result.codec = filter.name;
    result.level = filter.level;
    *ret_result = result;
    return 0;
}
