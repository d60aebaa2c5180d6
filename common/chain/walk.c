/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/walk_int.h"

#include <string.h>

#include "common/base/mem.h"

static bool lsn_in(struct lsn a, struct lsn first, struct lsn last) {
    return lsn_cmp(first, a) <= 0 && lsn_cmp(a, last) <= 0;
}

static struct chain_point point_of(const struct backup *b) {
    return (struct chain_point){.lsn = b->last_lsn, .at = backup_ended_by(b), .set = b->set_guid};
}

static int point_cmp(const struct chain_point *a, const struct chain_point *b) {
    int c = lsn_cmp(a->lsn, b->lsn);
    return c ? c : (a->at > b->at) - (a->at < b->at);
}

static void span_emit(struct chain_walk *w, const struct chain_span *span) {
    if (w->emit)
        w->emit(w->user, span);
}

/* What was reachable before the newest hole. */
static void lost_note(struct chain_tip *t, struct lsn lsn, int64_t at) {
    if (lsn_cmp(lsn, t->lost_lsn) < 0)
        return;
    t->lost_lsn = lsn;
    if (at > t->lost_at)
        t->lost_at = at;
}

/* A point alone. What comes next is not joined to it because of `next`. */
static void point_emit(struct chain_walk *w, const struct chain_point *point, enum chain_hole_cause next, bool tip) {
    struct chain_span span = {
        .path = w->tip->path, .from = *point, .until_lsn = point->lsn, .until_at = point->at, .cause = w->tip->cause, .tip = tip};
    span_emit(w, &span);
    lost_note(w->tip, point->lsn, point->at);
    w->tip->cause = next;
}

/* The interval of the segment, or its logs when nothing reaches them. */
static void segment_emit(struct chain_walk *w, enum chain_hole_cause next, bool tip) {
    struct chain_tip *t = w->tip;
    struct chain_span span = {
        .path = t->path, .until_lsn = t->seg_last, .until_at = t->seg_until_at, .cause = t->cause, .tip = tip};
    if (t->open) {
        span.from = t->from;
        if (span.until_at < span.from.at)
            span.until_at = span.from.at;
        t->cause = next;
        /* The end of a log that is restored whole counts as a moment, too, whatever the interval begins with. */
        lost_note(t, t->seg_last, t->clean_at > span.until_at ? t->clean_at : span.until_at);
    } else {
        /* What made these logs unreachable also explains the hole behind them. */
        if (!t->cause)
            t->cause = t->bad ? t->bad : CHAIN_HOLE_BASE_MISSING;
        span.cause = t->cause;
        span.unreachable = true;
        span.from = (struct chain_point){.lsn = t->seg_first, .at = t->seg_from_at};
    }
    span_emit(w, &span);
}

static void pending_drop(struct chain_tip *t, unsigned count) {
    t->pending_count -= count;
    memmove(t->pending, t->pending + count, t->pending_count * sizeof(t->pending[0]));
    memset(t->pending + t->pending_count, 0, count * sizeof(t->pending[0]));
}

static unsigned pending_until(const struct chain_tip *t, struct lsn last) {
    unsigned n = 0;
    while (n < t->pending_count && lsn_cmp(t->pending[n].lsn, last) <= 0)
        n++;
    return n;
}

static void pending_add(struct chain_walk *w, const struct chain_point *point) {
    struct chain_tip *t = w->tip;
    if (t->pending_count == CHAIN_PENDING_MAX) {
        /* So many data backups without a log: the oldest is given up as a start, not as a point. */
        point_emit(w, &t->pending[0], t->open ? t->cause : CHAIN_HOLE_NO_LOGS, false);
        pending_drop(t, 1);
        t->older = true;
    }
    unsigned i = t->pending_count++;
    for (; i && point_cmp(point, &t->pending[i - 1]) < 0; i--)
        t->pending[i] = t->pending[i - 1];
    t->pending[i] = *point;
}

static enum chain_hole_cause gap_cause(const struct chain_tip *t, struct lsn before) {
    if (lsn_cmp(t->foreign_lsn, before) > 0)
        return CHAIN_HOLE_FOREIGN_LOG;
    if (lsn_cmp(t->unreadable_lsn, before) > 0)
        return CHAIN_HOLE_STORE_DAMAGED;
    return t->begins ? CHAIN_HOLE_NOT_FULL : CHAIN_HOLE_LOG_MISSING;
}

static void gap_count(struct chain_tip *t) {
    if (!t->gap)
        t->holes++;
    t->gap = true;
}

/* A base inside the segment: from there on everything is reachable, but for the inside of bulk-logged logs. */
static void segment_open(struct chain_walk *w, const struct chain_point *base) {
    struct chain_tip *t = w->tip;
    struct chain_point start = *base;
    if (lsn_cmp(base->lsn, t->clean_lsn) < 0) {
        /* It came late: logs behind it, up to the bulk-logged one, were reachable too. */
        point_emit(w, base, CHAIN_HOLE_BULK_LOGGED, false);
        lost_note(t, t->bulk_lsn, t->bulk_at);
        start = (struct chain_point){.lsn = t->clean_lsn, .at = t->clean_at, .set = t->clean_set};
        if (start.at < base->at) /* the log was finished while the full still ran */
            start.at = base->at;
    }
    if (!t->open || point_cmp(&start, &t->from) < 0)
        t->from = start;
    t->open = true;
}

static void base_add(struct chain_walk *w, const struct backup *b) {
    struct chain_tip *t = w->tip;
    struct chain_point point = point_of(b);
    if (lsn_cmp(b->last_lsn, t->base_lsn) > 0)
        t->base_lsn = b->last_lsn;
    if (lsn_cmp(t->bad_lsn, t->base_lsn) <= 0) {
        t->bad = CHAIN_HOLE_NONE;
        t->bad_lsn = (struct lsn){0};
    }
    if (!t->has_log || lsn_cmp(point.lsn, t->seg_last) > 0) {
        pending_add(w, &point);
    } else if (lsn_cmp(point.lsn, t->seg_first) >= 0) {
        segment_open(w, &point);
    } else { /* it came late, and the logs between it and the segment are missing */
        lost_note(t, point.lsn, point.at);
        if (!t->gap)
            t->cause = gap_cause(t, point.lsn);
        gap_count(t);
    }
}

static void base_refuse(struct chain_tip *t, const struct backup *b, enum chain_hole_cause cause) {
    if (lsn_cmp(b->last_lsn, t->base_lsn) <= 0 || lsn_cmp(b->last_lsn, t->bad_lsn) < 0)
        return;
    t->bad = cause;
    t->bad_lsn = b->last_lsn;
}

static void bases_add(struct chain_tip *t, const struct backup *b) {
    struct chain_base base = {.set = b->set_guid,
                              .last_lsn = b->last_lsn,
                              .checkpoint_lsn = b->checkpoint_lsn,
                              .usable = backup_is_base(b),
                              .unreadable = backup_has(b, BACKUP_UNREADABLE),
                              .off_volume = backup_has(b, BACKUP_OFF_VOLUME)};
    unsigned i = t->base_count;
    if (i == CHAIN_BASES_MAX) {
        if (lsn_cmp(base.last_lsn, t->bases[0].last_lsn) < 0)
            return;
        memmove(t->bases, t->bases + 1, (CHAIN_BASES_MAX - 1) * sizeof(t->bases[0]));
        i--;
    } else {
        t->base_count++;
    }
    for (; i && lsn_cmp(base.last_lsn, t->bases[i - 1].last_lsn) < 0; i--)
        t->bases[i] = t->bases[i - 1];
    t->bases[i] = base;
}

/* Why this differential cannot be restored; NONE when it can. */
static enum chain_hole_cause diff_refusal(const struct chain_walk *w, const struct backup *b) {
    if (backup_has(b, BACKUP_UNREADABLE))
        return CHAIN_HOLE_STORE_DAMAGED;
    if (b->flags & (BACKUP_DAMAGED | BACKUP_SNAPSHOT))
        return CHAIN_HOLE_DAMAGED_BASE;
    if (w->history) {
        size_t at;
        if (!chain_history_find(w->history, &b->diff_base_guid, &at))
            return CHAIN_HOLE_BASE_MISSING;
        struct backup base = chain_history_at(w->history, at);
        if (backup_is_base(&base) && base.incarnation == b->incarnation && guid_eq(&base.family_guid, &b->family_guid))
            return CHAIN_HOLE_NONE;
        if (backup_has(&base, BACKUP_UNREADABLE))
            return CHAIN_HOLE_STORE_DAMAGED;
        return backup_has(&base, BACKUP_DAMAGED) ? CHAIN_HOLE_DAMAGED_BASE : CHAIN_HOLE_BASE_MISSING;
    }
    for (unsigned i = 0; i < w->tip->base_count; i++) {
        const struct chain_base *base = &w->tip->bases[i];
        if (guid_eq(&base->set, &b->diff_base_guid))
            return base->usable ? CHAIN_HOLE_NONE : base->unreadable ? CHAIN_HOLE_STORE_DAMAGED : CHAIN_HOLE_DAMAGED_BASE;
    }
    return CHAIN_HOLE_BASE_MISSING;
}

/* A log with minimally logged changes: moments inside it cannot be reached, its end can. */
static void segment_extend_bulk(struct chain_walk *w, const struct backup *n, bool joined) {
    struct chain_tip *t = w->tip;
    bool reached = t->open;
    /* Where a log crosses a fork, its beginning is already the end of an interval of the fork it comes from. */
    if (joined)
        t->cause = CHAIN_HOLE_BULK_LOGGED;
    else if (t->open)
        segment_emit(w, CHAIN_HOLE_BULK_LOGGED, false);
    unsigned inside = 0;
    int64_t from_at = INT64_MAX; /* not before the log and, where nothing else leads here, a base inside of it were finished */
    for (; inside < t->pending_count && lsn_cmp(t->pending[inside].lsn, n->last_lsn) < 0; inside++) {
        point_emit(w, &t->pending[inside], CHAIN_HOLE_BULK_LOGGED, false);
        if (t->pending[inside].at < from_at)
            from_at = t->pending[inside].at;
    }
    pending_drop(t, inside);
    t->bulk_lsn = t->seg_last;
    t->bulk_at = t->seg_until_at > t->clean_at ? t->seg_until_at : t->clean_at;
    t->clean_lsn = n->last_lsn;
    t->clean_at = backup_ended_by(n);
    t->clean_set = n->set_guid;
    if (reached || inside) {
        t->open = true;
        t->from = point_of(n);
        if (!reached && t->from.at < from_at)
            t->from.at = from_at;
    }
}

/* joined: the segment begins with this log, at a point of the fork that it comes from. */
static void segment_extend(struct chain_walk *w, const struct backup *n, bool joined) {
    struct chain_tip *t = w->tip;
    if (lsn_cmp(n->last_lsn, t->seg_first) < 0)
        return; /* a log from before the segment, come too late to matter for the tip */
    bool grows = lsn_cmp(n->last_lsn, t->seg_last) > 0;
    if (grows && backup_has(n, BACKUP_BULK_LOGGED))
        segment_extend_bulk(w, n, joined);
    int64_t reach_at = backup_reach_at(n);
    if (lsn_cmp(n->last_lsn, t->seg_last) >= 0 && reach_at > t->seg_until_at)
        t->seg_until_at = reach_at;
    t->seg_last = lsn_max(t->seg_last, n->last_lsn);
    if (lsn_cmp(n->first_lsn, t->seg_first) < 0)
        t->seg_first = n->first_lsn;
    unsigned inside = pending_until(t, t->seg_last);
    if (inside)
        segment_open(w, &t->pending[0]);
    pending_drop(t, inside);
}

/* The oldest reachable point of the fork that the crossing log comes from where it applies. */
static bool segment_join(const struct chain_walk *w, const struct backup *log, struct chain_point *ret_point) {
    const struct chain_tip *t = w->tip;
    if (w->join)
        return w->join(w->user, log, ret_point);
    bool child = t->past_fork_count && guid_eq(&log->first_fork, &t->past_forks[t->past_fork_count - 1]);
    for (unsigned i = 0; child && i < t->parent_count; i++) {
        if (lsn_in(t->parent[i].lsn, log->first_lsn, log->fork_point)) {
            *ret_point = t->parent[i];
            return true;
        }
    }
    return false;
}

static void segment_begin(struct chain_walk *w, const struct backup *n, bool gap, struct lsn before) {
    struct chain_tip *t = w->tip;
    t->begins = backup_has(n, BACKUP_BEGINS_LOG_CHAIN);
    t->gap = false;
    unsigned lone = 0;
    while (lone < t->pending_count && lsn_cmp(t->pending[lone].lsn, n->first_lsn) < 0)
        before = t->pending[lone++].lsn;
    enum chain_hole_cause cause = gap_cause(t, before);
    for (unsigned i = 0; i < lone; i++)
        point_emit(w, &t->pending[i], cause, false);
    pending_drop(t, lone);
    if (gap || lone || t->older)
        gap_count(t);
    t->has_log = true;
    t->seg_first = t->seg_last = n->first_lsn;
    t->seg_from_at = n->start_at;
    t->seg_until_at = 0;
    t->clean_lsn = t->bulk_lsn = (struct lsn){0};
    t->clean_at = t->bulk_at = 0;
    t->clean_set = (struct guid){0};
    t->open = false;
    t->from = (struct chain_point){0};
    struct chain_point point;
    bool joined = backup_crosses_fork(n) && segment_join(w, n, &point);
    if (joined) {
        t->cause = CHAIN_HOLE_NONE;
        t->open = true;
        t->from = point;
        t->seg_last = point.lsn;
        t->seg_until_at = point.at;
    }
    segment_extend(w, n, joined);
}

static void log_add(struct chain_walk *w, const struct backup *n) {
    struct chain_tip *t = w->tip;
    if (!backup_has(n, BACKUP_COPY_ONLY))
        t->log_lsn = lsn_max(t->log_lsn, n->last_lsn);
    if (backup_has(n, BACKUP_UNREADABLE)) { /* it was taken, so the server goes on behind it; nothing can be restored from it */
        t->unreadable_lsn = lsn_max(t->unreadable_lsn, n->last_lsn);
    } else if (!t->has_log) {
        segment_begin(w, n, false, (struct lsn){0});
    } else if (lsn_cmp(n->first_lsn, t->seg_last) <= 0) {
        segment_extend(w, n, false);
    } else {
        struct lsn before = t->seg_last;
        t->begins = backup_has(n, BACKUP_BEGINS_LOG_CHAIN);
        segment_emit(w, gap_cause(t, before), false);
        t->older = true;
        segment_begin(w, n, true, before);
    }
}

static void mark_set(struct chain_mark *mark, const struct backup *b) {
    int c = lsn_cmp(b->last_lsn, mark->last_lsn);
    if (!c)
        c = (b->finish_at > mark->finish_at) - (b->finish_at < mark->finish_at);
    if (!c)
        c = memcmp(b->set_guid.bytes, mark->set.bytes, sizeof(mark->set.bytes));
    if (c < 0)
        return;
    *mark = (struct chain_mark){
        .set = b->set_guid, .first_lsn = b->first_lsn, .last_lsn = b->last_lsn, .finish_at = b->finish_at, .flags = b->flags};
}

/* What a log that crosses over to the next fork may begin at. */
static void parent_keep(struct chain_tip *t, const struct chain_tip *old) {
    if (old->open) {
        int64_t at = old->seg_until_at > old->from.at ? old->seg_until_at : old->from.at;
        t->parent[t->parent_count++] = (struct chain_point){.lsn = old->seg_last, .at = at, .set = old->last_log.set};
    }
    if (old->pending_count)
        t->parent[t->parent_count++] = old->pending[old->pending_count - 1];
}

static void past_fork_keep(struct chain_tip *t, const struct chain_tip *old) {
    memcpy(t->past_forks, old->past_forks, sizeof(t->past_forks));
    t->past_fork_count = old->past_fork_count;
    if (t->past_fork_count == CHAIN_FORKS_MAX) {
        memmove(t->past_forks, t->past_forks + 1, sizeof(t->past_forks) - sizeof(t->past_forks[0]));
        t->past_fork_count--;
    }
    t->past_forks[t->past_fork_count++] = old->path.fork;
}

static void path_enter(struct chain_walk *w, const struct chain_tip *left, const struct backup *set,
                       enum chain_hole_cause cause) {
    struct chain_tip *t = w->tip;
    struct chain_tip old = *left;
    old.lost_at = t->lost_at; /* of the spans that were just emitted */
    memset(t, 0, sizeof(*t));
    t->known = true;
    t->path = chain_path_of(set);
    t->path_at = set->finish_at;
    t->cause = cause;
    t->lost_at = old.lost_at;
    if (cause != CHAIN_HOLE_FORK)
        return;
    past_fork_keep(t, &old);
    parent_keep(t, &old);
    /* The same database on another fork: a differential may still build on its fulls. */
    memcpy(t->bases, old.bases, sizeof(t->bases));
    t->base_count = old.base_count;
    for (unsigned i = 0; i < t->base_count; i++)
        t->bases[i].last_lsn = (struct lsn){0}; /* LSNs of another fork do not compare */
    t->last_full = old.last_full;
    t->off_lsn = old.off_lsn;
    t->off_until_at = old.off_until_at;
    chain_off_fork(t, set->kind == BACKUP_LOG && backup_crosses_fork(set) ? set : NULL);
}

/* False when the set is of a path that was left before. */
static bool path_change(struct chain_walk *w, const struct backup *set) {
    struct chain_tip *t = w->tip;
    struct chain_path path = chain_path_of(set);
    if (path.incarnation < t->path.incarnation || (path.incarnation == t->path.incarnation && set->finish_at < t->path_at))
        return false;
    enum chain_hole_cause cause = CHAIN_HOLE_FORK;
    if (path.incarnation != t->path.incarnation)
        cause = CHAIN_HOLE_VOLUME_REVERTED;
    else if (!guid_eq(&path.family, &t->path.family))
        cause = CHAIN_HOLE_REPLACED;
    /* The tip as it was must outlive the spans that are emitted from it. */
    struct chain_tip old = *t;
    chain_walk_end(w, cause, false);
    path_enter(w, &old, set, cause);
    return true;
}

static void foreign_note(struct chain_tip *t, const struct backup *set) {
    struct chain_path path = chain_path_of(set);
    if (set->kind != BACKUP_LOG || backup_has(set, BACKUP_COPY_ONLY) || !t->known || !chain_path_eq(&path, &t->path) ||
        lsn_cmp(set->last_lsn, t->foreign_lsn) <= 0)
        return;
    t->foreign_lsn = set->last_lsn;
    t->foreign_at = set->finish_at;
}

static void data_add(struct chain_walk *w, const struct backup *set) {
    enum chain_hole_cause refusal = CHAIN_HOLE_NONE;
    if (set->kind == BACKUP_FULL) {
        if (!backup_has(set, BACKUP_COPY_ONLY)) {
            bases_add(w->tip, set);
            mark_set(&w->tip->last_full, set);
        }
        if (!backup_is_base(set))
            refusal = backup_has(set, BACKUP_UNREADABLE) ? CHAIN_HOLE_STORE_DAMAGED : CHAIN_HOLE_DAMAGED_BASE;
    } else {
        mark_set(&w->tip->last_diff, set);
        refusal = diff_refusal(w, set);
    }
    if (refusal)
        base_refuse(w->tip, set, refusal);
    else
        base_add(w, set);
}

void chain_walk_add(struct chain_walk *walk, const struct backup *set) {
    struct chain_tip *t = walk->tip;
    if (!backup_has_lsns(set))
        return; /* nothing can be said of it, and nothing restored from it */
    if (backup_has(set, BACKUP_FOREIGN)) {
        foreign_note(t, set);
        return;
    }
    struct chain_path path = chain_path_of(set);
    if (!t->known)
        path_enter(walk, &(struct chain_tip){0}, set, CHAIN_HOLE_NONE);
    else if (!chain_path_eq(&path, &t->path) && !path_change(walk, set))
        return;
    t->sets++;
    if (set->finish_at < t->path_at)
        t->path_at = set->finish_at;
    if (lsn_cmp(set->last_lsn, t->max_lsn) >= 0) {
        t->max_lsn = set->last_lsn;
        t->database_guid = set->database_guid;
    }
    if (set->kind == BACKUP_LOG) {
        log_add(walk, set);
        mark_set(&t->last_log, set);
    } else {
        data_add(walk, set);
    }
    chain_off_add(t, set);
}

void chain_walk_end(struct chain_walk *walk, enum chain_hole_cause pending, bool tip) {
    struct chain_tip *t = walk->tip;
    enum chain_hole_cause next = t->has_log ? pending : CHAIN_HOLE_NO_LOGS;
    if (t->has_log)
        segment_emit(walk, next, tip && !t->pending_count);
    for (unsigned i = 0; i < t->pending_count; i++)
        point_emit(walk, &t->pending[i], next, tip && i + 1 == t->pending_count);
}
