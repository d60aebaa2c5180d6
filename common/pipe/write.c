/* SPDX-License-Identifier: Apache-2.0 */
#include "common/pipe/pipe_int.h"

/* Hands over a record that the lane has finished. */
static int drain(struct pipe_run *run, const struct lane_slot *slot, struct err *err) {
    if (!run->identity && hash_update(run->stored, slot->out, slot->out_len, err) < 0)
        return -1;
    return pipe_run_emit(run, slot, slot->in_len, slot->out_len, err);
}

static int fill(struct pipe_run *run, struct lane_slot *slot, struct err *err) {
    if (pipe_run_cancelled(run, err) < 0 || pipe_run_read(run, slot->in, run->lane.in_cap, &slot->in_len, err) < 0)
        return -1;
    return run->identity ? 0 : hash_update(run->plain, slot->in, slot->in_len, err);
}

/* The worker gets record n as soon as it is done with n-1; only then is n-1 written, beside it. */
static int pump(struct pipe_run *run, struct err *err) {
    struct lane_slot *busy = NULL;
    for (unsigned turn = 0;; turn ^= 1) {
        struct lane_slot *slot = &run->lane.slots[turn];
        if (fill(run, slot, err) < 0)
            return -1;
        if (busy && lane_wait(&run->lane, err) < 0)
            return -1;
        bool last = slot->in_len < run->lane.in_cap;
        if (slot->in_len && lane_submit(&run->lane, slot, last && !busy, err) < 0)
            return -1;
        if (busy && drain(run, busy, err) < 0)
            return -1;
        busy = slot->in_len ? slot : NULL;
        if (last)
            break;
    }
    if (!busy)
        return 0;
    return lane_wait(&run->lane, err) < 0 ? -1 : drain(run, busy, err);
}

/* What the filter puts behind the last record. */
static int finish(struct pipe_run *run, struct err *err) {
    struct lane_slot *slot = &run->lane.slots[0];
    slot->in_len = 0;
    if (run->lane.filter->ops->finish(run->lane.filter, slot->out, run->lane.out_cap, &slot->out_len, err) < 0)
        return -1;
    return slot->out_len ? drain(run, slot, err) : 0;
}

int pipe_write_run(const struct pipe_spec *spec, const struct pipe_source *source, const struct pipe_sink *sink,
                   const struct pipe_control *control, struct pipe_result *ret_result, struct err *err) {
    struct pipe_run run;
    if (pipe_run_open(&run, spec, false, source, sink, control, err) < 0)
        return -1;
    int rc = pump(&run, err) < 0 || finish(&run, err) < 0 || pipe_run_result(&run, ret_result, err) < 0 ? -1 : 0;
    pipe_run_close(&run);
    return rc;
}
