/* SPDX-License-Identifier: Apache-2.0 */
/* What both directions of the pipe share. */
#ifndef MSSQL_PIPE_PIPE_INT_H
#define MSSQL_PIPE_PIPE_INT_H

#include "common/pipe/lane.h"
#include "common/pipe/pipe.h"

struct pipe_run {
    const struct pipe_source *source;
    const struct pipe_sink *sink;
    const struct pipe_control *control; /* never NULL */
    struct lane lane;
    bool identity; /* stored bytes are the plain ones */
    struct hash_run *plain, *stored;
    struct pipe_progress done;
    uint64_t records;
    off_t start_at, dropped_at; /* of the source's descriptor; -1: no page cache to give back */
    uint64_t taken; /* bytes read from the source */
};

/* Fills the run; in_cap 0 in params leaves the record's size to the default. On failure everything is released. */
int pipe_run_open(struct pipe_run *run, const struct pipe_spec *spec, bool inverse, const struct pipe_source *source,
                  const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) ERR_CHECK;
void pipe_run_close(struct pipe_run *run);
/* Reads until len bytes are there or the source ends. */
int pipe_run_read(struct pipe_run *run, uint8_t *dst, size_t len, size_t *ret_len, struct err *err) ERR_CHECK;
/* Gives the record to the sink, then counts it, tells progress, and waits for the rate. */
int pipe_run_emit(struct pipe_run *run, const struct lane_slot *slot, size_t plain_len, size_t stored_len,
                  struct err *err) ERR_CHECK;
int pipe_run_cancelled(const struct pipe_run *run, struct err *err) ERR_CHECK;
int pipe_run_result(struct pipe_run *run, struct pipe_result *ret_result, struct err *err) ERR_CHECK;

#endif
