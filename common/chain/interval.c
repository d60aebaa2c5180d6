/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/interval.h"

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/walk_int.h"

/* Logs that no base reaches, between two intervals or at an end of the history. */
struct dead_logs {
    bool any;
    struct chain_path path;
    enum chain_hole_cause cause;
    int64_t from_at;
    struct lsn from_lsn;
};

struct draft {
    struct chain_interval interval;
    enum chain_hole_cause cause; /* why it is not joined to the one before; NONE: it is, or is the first */
    bool early; /* a point that was given up while the interval before it was still open */
    struct dead_logs dead; /* before it */
};

struct builder {
    const struct chain_interval_input *input;
    struct draft *drafts;
    size_t count, cap;
    struct dead_logs dead;
    struct chain_intervals *out;
    size_t hole_cap;
};

static bool draft_inside(const struct draft *d, const struct chain_interval *interval) {
    return chain_path_eq(&d->interval.path, &interval->path) && lsn_cmp(interval->from_lsn, d->interval.from_lsn) <= 0 &&
           lsn_cmp(d->interval.until_lsn, interval->until_lsn) <= 0;
}

static bool draft_behind(const struct draft *d, const struct chain_interval *interval) {
    return chain_path_eq(&d->interval.path, &interval->path) && lsn_cmp(interval->from_lsn, d->interval.from_lsn) < 0;
}

/* In the order of LSNs. Where the interval ends is known later than the points that were given up behind it: why those are not joined to
 * it is why the next one is not. */
static void draft_insert(struct builder *b, const struct draft *d) {
    b->drafts = mem_grow(b->drafts, &b->cap, b->count + 1, sizeof(*b->drafts));
    size_t i = b->count++;
    for (; i && draft_behind(&b->drafts[i - 1], &d->interval); i--) {
        b->drafts[i] = b->drafts[i - 1];
        b->drafts[i].early = true;
    }
    b->drafts[i] = *d;
}

static void builder_span(void *user, const struct chain_span *span) {
    struct builder *b = user;
    if (span->unreachable) {
        if (!b->dead.any)
            b->dead = (struct dead_logs){
                .any = true, .path = span->path, .cause = span->cause, .from_at = span->from.at, .from_lsn = span->from.lsn};
        return;
    }
    struct draft d = {.interval = {.path = span->path,
                                   .from_at = span->from.at,
                                   .until_at = span->until_at,
                                   .from_lsn = span->from.lsn,
                                   .until_lsn = span->until_lsn,
                                   .begins = span->from.set,
                                   .current = span->tip},
                      .cause = span->cause,
                      .dead = b->dead};
    /* Points that were given up as starts and turned out to be inside after all. */
    while (b->count && draft_inside(&b->drafts[b->count - 1], &d.interval)) {
        b->count--;
        d.cause = b->drafts[b->count].cause;
        d.dead = b->drafts[b->count].dead;
    }
    b->dead.any = false;
    draft_insert(b, &d);
}

/* Can the end of this set be reached, given that its LSN lies in an interval of its path? */
static bool set_is_stop(const struct builder *b, const struct backup *set) {
    if (set->flags & (BACKUP_FOREIGN | BACKUP_UNREADABLE) || !backup_has_lsns(set))
        return false;
    if (set->kind == BACKUP_LOG)
        return true;
    if (set->kind == BACKUP_FULL)
        return backup_is_base(set);
    size_t at;
    if (!chain_history_find(b->input->history, &set->diff_base_guid, &at))
        return false;
    struct backup base = chain_history_at(b->input->history, at);
    return backup_is_base(&base) && !backup_has(set, BACKUP_DAMAGED);
}

static const struct chain_interval *draft_holding(const struct builder *b, const struct chain_path *path, struct lsn lsn) {
    for (size_t i = b->count; i--;) {
        const struct chain_interval *v = &b->drafts[i].interval;
        if (chain_path_eq(&v->path, path) && lsn_cmp(v->from_lsn, lsn) <= 0 && lsn_cmp(lsn, v->until_lsn) <= 0)
            return v;
    }
    return NULL;
}

/* The first position of the path whose set ends at the LSN or behind it. */
static size_t path_position(const struct chain_history *h, const struct chain_history_path *path, struct lsn lsn) {
    size_t low = path->begin, high = path->end;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (lsn_cmp(chain_history_peek(h, middle)->last_lsn, lsn) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Somebody restored to a moment before the newest log: look for the reachable sets that the crossing log applies to. */
static bool builder_join(void *user, const struct backup *log, struct chain_point *ret_point) {
    struct builder *b = user;
    const struct chain_history *h = b->input->history;
    struct chain_path from = {.family = log->family_guid, .fork = log->first_fork, .incarnation = log->incarnation};
    size_t p;
    if (!chain_history_path_find(h, &from, &p))
        return false;
    for (size_t i = path_position(h, &h->paths[p], log->first_lsn); i < h->paths[p].end; i++) {
        struct backup set = chain_history_at(h, i);
        if (lsn_cmp(set.last_lsn, log->fork_point) > 0)
            return false;
        const struct chain_interval *v = draft_holding(b, &from, set.last_lsn);
        if (!v || !set_is_stop(b, &set))
            continue;
        int64_t at = set.kind == BACKUP_LOG ? backup_reach_at(&set) : backup_ended_by(&set);
        *ret_point = (struct chain_point){.lsn = set.last_lsn, .at = at > v->from_at ? at : v->from_at, .set = set.set_guid};
        return true;
    }
    return false;
}

static bool cause_is_path(enum chain_hole_cause cause) {
    return cause == CHAIN_HOLE_FORK || cause == CHAIN_HOLE_VOLUME_REVERTED || cause == CHAIN_HOLE_REPLACED ||
           cause == CHAIN_HOLE_RECREATED;
}

static bool hole_is_known(const struct chain_hole *hole, const struct chain_hole *known) {
    if (cause_is_path(hole->cause) != cause_is_path(known->cause))
        return false;
    if (cause_is_path(hole->cause)) /* LSNs of two paths do not compare */
        return (!hole->until_at || known->from_at < hole->until_at) && (!known->until_at || known->until_at > hole->from_at);
    return known->incarnation == hole->incarnation && guid_eq(&known->fork, &hole->fork) &&
           (lsn_is_zero(hole->until_lsn) || lsn_cmp(known->from_lsn, hole->until_lsn) < 0) &&
           (lsn_is_zero(known->until_lsn) || lsn_cmp(known->until_lsn, hole->from_lsn) > 0);
}

/* Who did it, from what was recorded then or from msdb. */
static void hole_explain(const struct builder *b, const struct chain_path *path, struct chain_hole *hole) {
    if (hole->cause == CHAIN_HOLE_BULK_LOGGED || hole->cause == CHAIN_HOLE_LOG_PENDING)
        return;
    for (size_t i = 0; i < b->input->known_count; i++) {
        const struct chain_hole *known = &b->input->known[i];
        if (!hole_is_known(hole, known))
            continue;
        hole->cause = known->cause;
        hole->cause_at = known->cause_at;
        str_copy(hole->who, sizeof(hole->who), known->who);
        str_copy(hole->device, sizeof(hole->device), known->device);
        return;
    }
    const struct chain_foreign *f = chain_foreign_log(b->input->foreign, b->input->foreign_count, path, hole->from_lsn,
                                                      hole->until_lsn);
    if (!f || (hole->cause != CHAIN_HOLE_LOG_MISSING && hole->cause != CHAIN_HOLE_FOREIGN_LOG))
        return;
    hole->cause = chain_foreign_is_nul(f) ? CHAIN_HOLE_FOREIGN_LOG_NUL : CHAIN_HOLE_FOREIGN_LOG;
    hole->cause_at = f->set.finish_at;
    str_copy(hole->who, sizeof(hole->who), f->who);
    str_copy(hole->device, sizeof(hole->device), f->device);
}

static struct chain_hole *hole_add(struct builder *b, const struct chain_hole *hole) {
    struct chain_intervals *out = b->out;
    out->holes = mem_grow(out->holes, &b->hole_cap, out->hole_count + 1, sizeof(*out->holes));
    out->holes[out->hole_count] = *hole;
    return &out->holes[out->hole_count++];
}

/* The hole between two neighbours; before is NULL for logs without base at the beginning, after for those at the end. */
static void hole_between(struct builder *b, const struct draft *before, const struct draft *after, const struct dead_logs *dead) {
    const struct chain_path *path = after ? &after->interval.path : &dead->path;
    struct chain_hole hole = {.cause = dead->any && (!after || !after->cause) ? dead->cause : CHAIN_HOLE_NONE,
                              .incarnation = path->incarnation,
                              .family = path->family,
                              .fork = path->fork};
    if (!hole.cause && after)
        hole.cause = after->cause;
    bool same_path = before && chain_path_eq(&before->interval.path, path);
    if (before)
        hole.from_at = before->interval.until_at;
    else
        hole.from_at = dead->from_at;
    if (same_path)
        hole.from_lsn = before->interval.until_lsn;
    else if (dead->any)
        hole.from_lsn = dead->from_lsn;
    if (after) {
        hole.until_lsn = after->interval.from_lsn;
        hole.until_at = after->interval.from_at > hole.from_at ? after->interval.from_at : hole.from_at;
    }
    hole_explain(b, path, &hole);
    hole_add(b, &hole);
}

/* A hole that was recorded and goes on: it begins where the last interval ends. */
static void holes_add_open(struct builder *b) {
    const struct chain_interval *last = b->count ? &b->drafts[b->count - 1].interval : NULL;
    for (size_t i = 0; i < b->input->known_count; i++) {
        const struct chain_hole *known = &b->input->known[i];
        if (known->until_at)
            continue;
        bool behind = !last || known->from_at >= last->until_at;
        if (last && !behind && !cause_is_path(known->cause))
            behind = known->incarnation == last->path.incarnation && guid_eq(&known->fork, &last->path.fork) &&
                     lsn_cmp(known->from_lsn, last->until_lsn) >= 0;
        if (!behind)
            continue;
        hole_add(b, known);
        b->out->open_hole_count++;
        return;
    }
}

/* Nothing was committed up to quiet_until_at: that is so for the chain's tip, and for the data backups waiting there. */
static void quiet_apply(struct builder *b) {
    int64_t quiet = b->input->quiet_until_at;
    for (size_t i = b->count; i--;) {
        struct draft *d = &b->drafts[i];
        bool waits = i + 1 < b->count && b->drafts[i + 1].cause == CHAIN_HOLE_LOG_PENDING;
        if (!d->interval.current && !waits)
            return;
        if (quiet > d->interval.until_at)
            d->interval.until_at = quiet;
        if (waits && d->interval.until_at >= b->drafts[i + 1].interval.from_at)
            b->drafts[i + 1].cause = CHAIN_HOLE_NONE;
    }
}

static void builder_finish(struct builder *b) {
    struct chain_intervals *out = b->out;
    for (size_t i = b->count; i-- > 1;) {
        if (b->drafts[i - 1].early)
            b->drafts[i - 1].cause = b->drafts[i].cause;
    }
    if (!b->dead.any)
        quiet_apply(b);
    out->intervals = mem_array(b->count ? b->count : 1, sizeof(*out->intervals));
    for (size_t i = 0; i < b->count; i++) {
        struct draft *d = &b->drafts[i];
        if (d->dead.any || (i && d->cause))
            hole_between(b, i ? d - 1 : NULL, d, &d->dead);
        out->intervals[out->count++] = d->interval;
    }
    if (b->dead.any) {
        hole_between(b, b->count ? &b->drafts[b->count - 1] : NULL, NULL, &b->dead);
        out->open_hole_count++;
    } else {
        holes_add_open(b);
    }
}

void chain_intervals_build(const struct chain_interval_input *input, struct chain_intervals *ret_intervals) {
    struct chain_tip scratch, tip;
    struct builder b = {.input = input, .out = ret_intervals};
    struct chain_walk walk = {.tip = &scratch, .history = input->history, .emit = builder_span, .join = builder_join, .user = &b};
    *ret_intervals = (struct chain_intervals){0};
    chain_tip_init(&scratch);
    for (size_t i = 0; i < input->history->count; i++) {
        struct backup set = chain_history_at(input->history, i);
        chain_walk_add(&walk, &set);
    }
    tip = scratch;
    chain_walk_end(&walk, CHAIN_HOLE_LOG_PENDING, true);
    builder_finish(&b);
    struct chain_window window;
    chain_tip_window(&tip, input->quiet_until_at, &window);
    ret_intervals->off_volume_until_at = window.off_volume_until_at;
    mem_free(b.drafts);
}

void chain_intervals_done(struct chain_intervals *intervals) {
    mem_free(intervals->intervals);
    mem_free(intervals->holes);
    *intervals = (struct chain_intervals){0};
}

const struct chain_interval *chain_interval_at(const struct chain_intervals *intervals, int64_t at) {
    for (size_t i = intervals->count; i--;) {
        const struct chain_interval *v = &intervals->intervals[i];
        if (v->from_at <= at && at <= v->until_at)
            return v;
    }
    return NULL;
}

const struct chain_hole *chain_hole_at(const struct chain_intervals *intervals, int64_t at) {
    if (chain_interval_at(intervals, at))
        return NULL;
    for (size_t i = intervals->hole_count; i--;) {
        const struct chain_hole *hole = &intervals->holes[i];
        if (hole->from_at < at && (!hole->until_at || at < hole->until_at))
            return hole;
    }
    return NULL;
}
