/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "common/pipe/pipe_int.h"

#define CARRY_BYTES (256u * 1024)

/* Stored bytes come in as they please; they are hashed, checked part by part, and cut into records. */
struct intake {
    struct pipe_run *run;
    const struct pipe_expect *expect;
    uint8_t *carry;
    size_t at, have; /* in carry */
    bool end;
    struct hash_run *part;
    size_t part_index;
    uint64_t part_at; /* bytes of the part that have passed */
    uint64_t stored; /* bytes that have passed */
};

static int end_part(struct intake *in, struct err *err) {
    const struct pipe_part_expect *part = &in->expect->parts[in->part_index];
    struct hash hash;
    if (hash_take(in->part, &hash, err) < 0)
        return -1;
    if (!hash_eq(&hash, &part->stored_sha256))
        return err_set(err, ERR_CORRUPT,
                       "part %zu (stored bytes %llu to %llu) is damaged: its SHA-256 is not the one in the manifest",
                       in->part_index + 1, (unsigned long long)(in->stored - part->stored_bytes), (unsigned long long)in->stored);
    in->part_index++;
    in->part_at = 0;
    return 0;
}

static int check_parts(struct intake *in, const uint8_t *data, size_t len, struct err *err) {
    const struct pipe_expect *expect = in->expect;
    while (len) {
        if (in->part_index == expect->part_count)
            return err_set(err, ERR_CORRUPT, "the object goes on after its last part, at stored byte %llu",
                           (unsigned long long)in->stored);
        uint64_t left = expect->parts[in->part_index].stored_bytes - in->part_at;
        size_t now = left < len ? (size_t)left : len;
        if (hash_update(in->part, data, now, err) < 0)
            return -1;
        data += now;
        len -= now;
        in->part_at += now;
        in->stored += now;
        if (now == left && end_part(in, err) < 0)
            return -1;
    }
    return 0;
}

/* Makes sure that there is something in the carry, unless the object is at its end. */
static int refill(struct intake *in, struct err *err) {
    if (in->at < in->have || in->end)
        return 0;
    if (pipe_run_cancelled(in->run, err) < 0 || pipe_run_read(in->run, in->carry, CARRY_BYTES, &in->have, err) < 0)
        return -1;
    in->at = 0;
    in->end = in->have < CARRY_BYTES;
    if (!in->run->identity && hash_update(in->run->stored, in->carry, in->have, err) < 0)
        return -1;
    return in->part ? check_parts(in, in->carry, in->have, err) : 0;
}

/* One record into the slot; in_len 0 at the end. */
static int gather(struct intake *in, struct lane_slot *slot, struct err *err) {
    struct lane *lane = &in->run->lane;
    const struct filter_ops *ops = lane->filter->ops;
    slot->in_len = 0;
    for (bool complete = false; !complete;) {
        if (refill(in, err) < 0)
            return -1;
        if (in->at == in->have)
            return ops->finish(lane->filter, NULL, 0, &(size_t){0}, err);
        size_t used;
        if (ops->scan(lane->filter, in->carry + in->at, in->have - in->at, &used, &complete, err) < 0)
            return err_context(err, "stored byte %llu", (unsigned long long)(in->run->taken - in->have + in->at));
        if (used > lane->in_cap - slot->in_len)
            return err_set(err, ERR_CORRUPT, "record %llu is larger than a record may be", (unsigned long long)in->run->records);
        memcpy(slot->in + slot->in_len, in->carry + in->at, used);
        slot->in_len += used;
        in->at += used;
    }
    return 0;
}

static int drain(struct pipe_run *run, const struct lane_slot *slot, struct err *err) {
    if (!run->identity && hash_update(run->plain, slot->out, slot->out_len, err) < 0)
        return -1;
    return pipe_run_emit(run, slot, slot->out_len, slot->in_len, err);
}

static int pump(struct intake *in, struct err *err) {
    struct lane *lane = &in->run->lane;
    struct lane_slot *busy = NULL;
    for (unsigned turn = 0;; turn ^= 1) {
        struct lane_slot *slot = &lane->slots[turn];
        if (gather(in, slot, err) < 0)
            return -1;
        if (busy && lane_wait(lane, err) < 0)
            return -1;
        bool last = in->end && in->at == in->have;
        if (slot->in_len && lane_submit(lane, slot, last && !busy, err) < 0)
            return -1;
        if (busy && drain(in->run, busy, err) < 0)
            return -1;
        busy = slot->in_len ? slot : NULL;
        if (!busy)
            return 0;
    }
}

static int check_whole(const struct pipe_expect *expect, const struct intake *in, const struct pipe_result *result,
                       struct err *err) {
    if (in->part && in->part_index < expect->part_count)
        return err_set(err, ERR_CORRUPT, "the object ends in part %zu of %zu, at stored byte %llu", in->part_index + 1,
                       expect->part_count, (unsigned long long)in->stored);
    if (!expect->known)
        return 0;
    if (result->stored_bytes != expect->stored_bytes || !hash_eq(&result->stored_sha256, &expect->stored_sha256))
        return err_set(err, ERR_CORRUPT, "the %llu stored bytes are not the %llu that the manifest describes",
                       (unsigned long long)result->stored_bytes, (unsigned long long)expect->stored_bytes);
    if (result->plain_bytes != expect->plain_bytes || !hash_eq(&result->plain_sha256, &expect->plain_sha256))
        return err_set(err, ERR_CORRUPT, "the %llu plain bytes are not the %llu that the manifest describes",
                       (unsigned long long)result->plain_bytes, (unsigned long long)expect->plain_bytes);
    return 0;
}

int pipe_read_run(const struct pipe_spec *spec, const struct pipe_source *source, const struct pipe_sink *sink,
                  const struct pipe_control *control, const struct pipe_expect *expect, struct pipe_result *ret_result,
                  struct err *err) {
    static const struct pipe_expect nothing;
    struct pipe_run run;
    if (pipe_run_open(&run, spec, true, source, sink, control, err) < 0)
        return -1;
    struct intake in = {.run = &run, .expect = expect ? expect : &nothing};
    int rc = in.expect->part_count ? hash_begin(&in.part, err) : 0;
    if (rc == 0) {
        in.carry = mem_alloc(CARRY_BYTES);
        struct pipe_result result;
        rc = pump(&in, err) < 0 || pipe_run_result(&run, &result, err) < 0 || check_whole(in.expect, &in, &result, err) < 0 ? -1
                                                                                                                            : 0;
        if (rc == 0)
            *ret_result = result;
    }
    pipe_run_close(&run);
    hash_free(in.part);
    mem_free(in.carry);
    return rc;
}
