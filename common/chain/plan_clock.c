/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The source's clock at a moment. STOPAT is compared with local times that log records carry, so a moment can be named
 * only where its local time was shown once and the clock ran forwards.
 *
 * What is known of the clock is a sample per backup: the moment it began and the offset then. Between two samples with
 * different offsets the clock was changed at an unknown moment. Two logs whose beginnings stand in another order than
 * their LSNs say that the clock was set back between them.
 */
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/chain/plan_int.h"

struct sample {
    int64_t at;
    int32_t offset_s;
};

static bool same_database(const struct chain_path *a, const struct chain_path *b) {
    return a->incarnation == b->incarnation && guid_eq(&a->family, &b->family);
}

static bool is_ours(const struct chain_history *h, size_t position) {
    return !(h->order[position].flags & BACKUP_FOREIGN) && backup_has_lsns(chain_history_peek(h, position));
}

static int sample_cmp(const void *a, const void *b) {
    const struct sample *x = a, *y = b;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return (x->offset_s > y->offset_s) - (x->offset_s < y->offset_s);
}

struct samples {
    struct sample *list;
    size_t count, cap;
    bool differ;
    bool known;
    int32_t offset_s; /* of the first */
};

static void sample_add(struct samples *samples, int64_t at, int32_t offset_s) {
    samples->list = mem_grow(samples->list, &samples->cap, samples->count + 1, sizeof(*samples->list));
    samples->list[samples->count++] = (struct sample){.at = at, .offset_s = offset_s};
}

/*
 * Kept are the ends of each run of equal offsets in the order of the history, which is the order of time or nearly so:
 * between two samples of one offset that stand next to each other there is nothing to learn.
 */
static void samples_collect(const struct chain_history *h, const struct chain_path *path, struct samples *samples) {
    *samples = (struct samples){0};
    for (size_t p = 0; p < h->path_count; p++) {
        if (!same_database(&h->paths[p].path, path))
            continue;
        struct sample last = {0};
        bool any = false;
        for (size_t i = h->paths[p].begin; i < h->paths[p].end; i++) {
            const struct backup *set = chain_history_peek(h, i);
            if (!backup_has(set, BACKUP_UTC_OFFSET_KNOWN) || !is_ours(h, i))
                continue;
            struct sample now = {.at = set->start_at, .offset_s = set->utc_offset_s};
            if (!samples->known)
                samples->offset_s = now.offset_s;
            samples->known = true;
            samples->differ |= now.offset_s != samples->offset_s;
            if (!any || last.offset_s != now.offset_s || now.at < last.at) {
                if (any)
                    sample_add(samples, last.at, last.offset_s);
                sample_add(samples, now.at, now.offset_s);
            }
            last = now;
            any = true;
        }
        if (any)
            sample_add(samples, last.at, last.offset_s);
    }
    if (samples->count)
        qsort(samples->list, samples->count, sizeof(*samples->list), sample_cmp);
}

/* The offset at the moment, and whether a change of it stands in the way. */
static void offset_at(const struct samples *samples, int64_t at, struct plan_clock *clock) {
    const struct sample *list = samples->list;
    clock->utc_offset_s = list[0].offset_s;
    for (size_t i = 0; i + 1 < samples->count; i++) {
        const struct sample *a = &list[i], *b = &list[i + 1];
        if (at >= b->at)
            clock->utc_offset_s = b->offset_s;
        if (a->offset_s == b->offset_s)
            continue;
        int64_t back = (int64_t)(a->offset_s - b->offset_s) * CLOCK_SECOND;
        int64_t from = back > 0 ? a->at - back : a->at, until = back > 0 ? b->at + back : b->at;
        if (at <= from || at >= until)
            continue;
        clock->kind = back > 0 ? PLAN_CLOCK_FOLD : PLAN_CLOCK_UNKNOWN;
        clock->from_at = from;
        clock->until_at = until;
        return;
    }
}

/* Did the clock go back over the moment? Empty logs hold no commits and say nothing. */
static void steps_at(const struct chain_history *h, const struct chain_history_path *path, int64_t at, struct plan_clock *clock) {
    int64_t newest = 0, before = 0, last = 0; /* newest beginning so far, the one before it, the last one */
    int64_t low = 0, high = 0, wide = 0;
    bool after = false; /* the next log shows how far apart they are behind the step */
    for (size_t i = path->begin; i < path->end; i++) {
        const struct backup *log = chain_history_peek(h, i);
        if (log->kind != BACKUP_LOG || !is_ours(h, i) || !lsn_cmp(log->first_lsn, log->last_lsn) || !log->start_at)
            continue;
        if (after && log->start_at - last > wide)
            wide = log->start_at - last;
        if (after && at > low - wide && at < high + wide) {
            clock->kind = PLAN_CLOCK_SET_BACK;
            clock->from_at = low - wide;
            clock->until_at = high + wide;
            return;
        }
        after = false;
        if (log->start_at < newest) {
            low = log->start_at;
            high = newest;
            wide = newest - before;
            after = true;
        } else {
            before = newest ? newest : log->start_at;
            newest = log->start_at;
        }
        last = log->start_at;
    }
    if (after && at > low - wide && at < high + wide) {
        clock->kind = PLAN_CLOCK_SET_BACK;
        clock->from_at = low - wide;
        clock->until_at = high + wide;
    }
}

void plan_clock_at(const struct chain_history *history, size_t path, int64_t at, struct plan_clock *ret_clock) {
    struct samples samples;
    struct plan_clock clock = {0};
    samples_collect(history, &history->paths[path].path, &samples);
    clock.offset_known = samples.known;
    clock.utc_offset_s = samples.offset_s;
    if (samples.differ)
        offset_at(&samples, at, &clock);
    mem_free(samples.list);
    for (size_t p = 0; p < history->path_count && clock.kind == PLAN_CLOCK_GOOD; p++) {
        if (same_database(&history->paths[p].path, &history->paths[path].path))
            steps_at(history, &history->paths[p], at, &clock);
    }
    *ret_clock = clock;
}
