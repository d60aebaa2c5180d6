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

/*
 * The offset at the moment, and whether its local time was shown at another moment, too. A change lies somewhere between
 * two samples, so what was before it may have gone on until the second, and what is behind it may have begun at the first.
 */
static void offset_at(const struct samples *samples, int64_t at, struct plan_clock *clock) {
    const struct sample *list = samples->list;
    size_t here = 0; /* the last sample that is not behind the moment, or the first */
    while (here + 1 < samples->count && list[here + 1].at <= at)
        here++;
    bool between = here + 1 < samples->count && list[here].at < at;
    if (between && list[here].offset_s != list[here + 1].offset_s) {
        clock->kind = PLAN_CLOCK_UNKNOWN;
        return;
    }
    clock->utc_offset_s = list[here].offset_s;
    int64_t local = at + clock->utc_offset_s * CLOCK_SECOND;
    for (size_t i = 0; i + 1 < samples->count; i++) {
        const struct sample *a = &list[i], *b = &list[i + 1];
        if (a->offset_s == b->offset_s)
            continue;
        bool shown_before = b->at <= at && b->at + a->offset_s * CLOCK_SECOND > local;
        bool shown_again = a->at >= at && a->at + b->offset_s * CLOCK_SECOND < local;
        if (shown_before || shown_again)
            clock->kind = PLAN_CLOCK_FOLD;
    }
}

struct step {
    int64_t at; /* in question */
    int64_t log_at, data_at; /* newest beginnings so far */
    int64_t before_at; /* the one before the newest */
    int64_t last_at;
    struct lsn last_lsn;
    int64_t low, high, wide;
    bool open; /* a step was seen: the next set shows how far apart backups are behind it */
};

static bool step_holds(const struct step *s, struct plan_clock *clock) {
    if (!s->open || s->at <= s->low - s->wide || s->at >= s->high + s->wide)
        return false;
    clock->kind = PLAN_CLOCK_SET_BACK;
    return true;
}

/*
 * Logs are taken one after the other, so the one with the higher LSN began later. Of any two sets the one with the higher
 * LSN was finished after the other began. Equal LSNs say nothing, and empty logs hold no commits.
 */
static bool step_add(struct step *s, const struct backup *set, struct plan_clock *clock) {
    int64_t newest = s->log_at > s->data_at ? s->log_at : s->data_at;
    if (s->open && set->start_at - s->last_at > s->wide)
        s->wide = set->start_at - s->last_at;
    if (step_holds(s, clock))
        return true;
    s->open = lsn_cmp(set->last_lsn, s->last_lsn) > 0 &&
              ((set->kind == BACKUP_LOG && set->start_at < s->log_at) || set->finish_at < newest);
    if (s->open) {
        s->low = set->start_at;
        s->high = set->finish_at < newest ? newest : s->log_at;
        s->wide = newest - s->before_at;
    } else if (set->start_at > newest) {
        s->before_at = newest ? newest : set->start_at;
    }
    if (set->kind == BACKUP_LOG && set->start_at > s->log_at)
        s->log_at = set->start_at;
    if (set->kind != BACKUP_LOG && set->start_at > s->data_at)
        s->data_at = set->start_at;
    s->last_at = set->start_at;
    s->last_lsn = set->last_lsn;
    return false;
}

/* Did the clock go back over the moment? */
static void steps_at(const struct chain_history *h, const struct chain_history_path *path, int64_t at, struct plan_clock *clock) {
    struct step s = {.at = at};
    for (size_t i = path->begin; i < path->end; i++) {
        const struct backup *set = chain_history_peek(h, i);
        bool empty = set->kind == BACKUP_LOG && !lsn_cmp(set->first_lsn, set->last_lsn);
        if (set->start_at && set->finish_at && !empty && is_ours(h, i) && step_add(&s, set, clock))
            return;
    }
    (void)step_holds(&s, clock);
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
