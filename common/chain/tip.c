/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/tip.h"

#include <string.h>

#include "common/chain/walk_int.h"

void chain_tip_init(struct chain_tip *tip) {
    memset(tip, 0, sizeof(*tip));
}

void chain_tip_add(struct chain_tip *tip, const struct backup *set) {
    struct chain_walk walk = {.tip = tip};
    chain_walk_add(&walk, set);
}

void chain_tip_from_history(struct chain_tip *tip, const struct chain_history *history) {
    chain_tip_init(tip);
    for (size_t i = 0; i < history->count; i++) {
        struct backup set = chain_history_at(history, i);
        chain_tip_add(tip, &set);
    }
}

/* Joins the logs of the other volume to the point that is reached there. */
static void off_join(struct chain_tip *t) {
    if (!t->off_has_log || lsn_is_zero(t->off_lsn) || lsn_cmp(t->off_lsn, t->off_seg_first) < 0 ||
        lsn_cmp(t->off_lsn, t->off_seg_last) > 0)
        return;
    t->off_lsn = t->off_seg_last;
    if (t->off_seg_until_at > t->off_until_at)
        t->off_until_at = t->off_seg_until_at;
}

static void off_log(struct chain_tip *t, const struct backup *n) {
    if (!t->off_has_log || lsn_cmp(n->first_lsn, t->off_seg_last) > 0) {
        t->off_has_log = true;
        t->off_seg_first = n->first_lsn;
        t->off_seg_last = n->last_lsn;
        t->off_seg_until_at = backup_reach_at(n);
    } else if (lsn_cmp(n->last_lsn, t->off_seg_last) >= 0) {
        t->off_seg_last = n->last_lsn;
        if (backup_reach_at(n) > t->off_seg_until_at)
            t->off_seg_until_at = backup_reach_at(n);
    }
}

static bool off_base(const struct chain_tip *t, const struct backup *set) {
    if (set->kind == BACKUP_FULL)
        return backup_is_base(set);
    for (unsigned i = 0; i < t->base_count; i++) {
        if (guid_eq(&t->bases[i].set, &set->diff_base_guid))
            return t->bases[i].usable && t->bases[i].off_volume && !(set->flags & BACKUP_DAMAGED);
    }
    return false;
}

void chain_off_add(struct chain_tip *tip, const struct backup *set) {
    if (!backup_has(set, BACKUP_OFF_VOLUME) || backup_has(set, BACKUP_UNREADABLE))
        return;
    if (set->kind == BACKUP_LOG) {
        off_log(tip, set);
    } else if (off_base(tip, set) && lsn_cmp(set->last_lsn, tip->off_lsn) > 0) {
        tip->off_lsn = set->last_lsn;
        if (backup_ended_by(set) > tip->off_until_at)
            tip->off_until_at = backup_ended_by(set);
    }
    off_join(tip);
}

void chain_off_fork(struct chain_tip *tip, const struct backup *log) {
    if (log && lsn_cmp(log->first_lsn, tip->off_lsn) <= 0 && lsn_cmp(tip->off_lsn, log->fork_point) <= 0)
        return;
    tip->off_lsn = (struct lsn){0};
    tip->off_until_at = 0;
}

void chain_tip_off_volume(struct chain_tip *tip, const struct backup *set) {
    struct backup copy = *set;
    struct chain_path path = chain_path_of(set);
    copy.flags |= BACKUP_OFF_VOLUME;
    for (unsigned i = 0; i < tip->base_count; i++) {
        if (guid_eq(&tip->bases[i].set, &set->set_guid))
            tip->bases[i].off_volume = true;
    }
    if (tip->known && backup_has_lsns(set) && !backup_has(set, BACKUP_FOREIGN) && chain_path_eq(&path, &tip->path))
        chain_off_add(tip, &copy);
}

bool chain_tip_reach(const struct chain_tip *tip, struct lsn *ret_lsn) {
    if (tip->pending_count)
        *ret_lsn = tip->pending[tip->pending_count - 1].lsn;
    else if (tip->open)
        *ret_lsn = tip->seg_last;
    else
        return false;
    return true;
}

bool chain_tip_end_is_unreadable(const struct chain_tip *tip) {
    struct lsn reach;
    return !lsn_is_zero(tip->unreadable_lsn) && chain_tip_reach(tip, &reach) && lsn_cmp(tip->unreadable_lsn, reach) > 0;
}

bool chain_tip_fork_is_past(const struct chain_tip *tip, const struct guid *fork) {
    for (unsigned i = 0; i < tip->past_fork_count; i++) {
        if (guid_eq(&tip->past_forks[i], fork))
            return true;
    }
    return false;
}

static bool mark_explains(const struct chain_mark *mark, struct lsn log_lsn, struct lsn log_begin) {
    return lsn_cmp(mark->last_lsn, log_lsn) > 0 && lsn_cmp(mark->first_lsn, log_begin) <= 0;
}

bool chain_tip_is_behind(const struct chain_tip *tip, struct lsn log_begin) {
    return lsn_cmp(log_begin, tip->log_lsn) < 0 && !mark_explains(&tip->last_full, tip->log_lsn, log_begin) &&
           !mark_explains(&tip->last_diff, tip->log_lsn, log_begin);
}

const struct chain_base *chain_tip_base(const struct chain_tip *tip) {
    return tip->base_count ? &tip->bases[tip->base_count - 1] : NULL;
}

bool chain_tip_base_usable(const struct chain_tip *tip, const struct guid *base) {
    if (guid_is_zero(base))
        return false;
    for (unsigned i = 0; i < tip->base_count; i++) {
        if (guid_eq(&tip->bases[i].set, base))
            return tip->bases[i].usable;
    }
    return false;
}

void chain_tip_window(const struct chain_tip *tip, int64_t quiet_until_at, struct chain_window *ret_window) {
    struct chain_window w = {0};
    if (chain_tip_end_is_unreadable(tip))
        quiet_until_at = 0; /* it is said of the log that was lost */
    const struct chain_point *last = tip->pending_count ? &tip->pending[tip->pending_count - 1] : NULL;
    w.any = tip->open || last;
    w.broken = tip->has_log && !w.any;
    if (tip->open) {
        w.from = tip->from;
        w.until_lsn = tip->seg_last;
        w.until_at = tip->seg_until_at > tip->from.at ? tip->seg_until_at : tip->from.at;
    } else if (last) {
        w.from = *last;
        w.until_lsn = last->lsn;
        w.until_at = last->at;
    }
    if (w.any && quiet_until_at > w.until_at)
        w.until_at = quiet_until_at;
    w.latest_lsn = last ? last->lsn : w.until_lsn;
    w.latest_at = last && last->at > w.until_at ? last->at : w.until_at;
    w.off_volume_until_at = tip->off_until_at;
    if (w.any && w.off_volume_until_at && lsn_cmp(tip->off_lsn, w.until_lsn) >= 0 && quiet_until_at > w.off_volume_until_at)
        w.off_volume_until_at = quiet_until_at;
    *ret_window = w;
}

/* Fields are compared one by one: padding is not content. */
static bool point_eq(const struct chain_point *a, const struct chain_point *b) {
    return !lsn_cmp(a->lsn, b->lsn) && a->at == b->at && guid_eq(&a->set, &b->set);
}

static bool mark_eq(const struct chain_mark *a, const struct chain_mark *b) {
    return guid_eq(&a->set, &b->set) && !lsn_cmp(a->first_lsn, b->first_lsn) && !lsn_cmp(a->last_lsn, b->last_lsn) &&
           a->finish_at == b->finish_at && a->flags == b->flags;
}

static bool segment_eq(const struct chain_tip *a, const struct chain_tip *b) {
    return a->has_log == b->has_log && !lsn_cmp(a->seg_first, b->seg_first) && !lsn_cmp(a->seg_last, b->seg_last) &&
           a->seg_from_at == b->seg_from_at && a->seg_until_at == b->seg_until_at && !lsn_cmp(a->clean_lsn, b->clean_lsn) &&
           a->clean_at == b->clean_at && !lsn_cmp(a->bulk_lsn, b->bulk_lsn) && a->bulk_at == b->bulk_at &&
           guid_eq(&a->clean_set, &b->clean_set) && a->begins == b->begins && a->gap == b->gap && a->older == b->older;
}

static bool interval_eq(const struct chain_tip *a, const struct chain_tip *b) {
    if (a->open != b->open || !point_eq(&a->from, &b->from) || a->cause != b->cause || a->bad != b->bad ||
        lsn_cmp(a->bad_lsn, b->bad_lsn) || lsn_cmp(a->base_lsn, b->base_lsn) || lsn_cmp(a->lost_lsn, b->lost_lsn) ||
        a->lost_at != b->lost_at || a->pending_count != b->pending_count || a->base_count != b->base_count)
        return false;
    for (unsigned i = 0; i < a->pending_count; i++) {
        if (!point_eq(&a->pending[i], &b->pending[i]))
            return false;
    }
    for (unsigned i = 0; i < a->base_count; i++) {
        if (!guid_eq(&a->bases[i].set, &b->bases[i].set) || a->bases[i].usable != b->bases[i].usable ||
            a->bases[i].unreadable != b->bases[i].unreadable || lsn_cmp(a->bases[i].last_lsn, b->bases[i].last_lsn) ||
            a->bases[i].off_volume != b->bases[i].off_volume)
            return false;
    }
    return true;
}

static bool forks_eq(const struct chain_tip *a, const struct chain_tip *b) {
    if (a->past_fork_count != b->past_fork_count || a->parent_count != b->parent_count)
        return false;
    for (unsigned i = 0; i < a->parent_count; i++) {
        if (!point_eq(&a->parent[i], &b->parent[i]))
            return false;
    }
    return !memcmp(a->past_forks, b->past_forks, sizeof(a->past_forks));
}

static bool off_eq(const struct chain_tip *a, const struct chain_tip *b) {
    return !lsn_cmp(a->off_lsn, b->off_lsn) && a->off_until_at == b->off_until_at && a->off_has_log == b->off_has_log &&
           !lsn_cmp(a->off_seg_first, b->off_seg_first) && !lsn_cmp(a->off_seg_last, b->off_seg_last) &&
           a->off_seg_until_at == b->off_seg_until_at;
}

bool chain_tip_eq(const struct chain_tip *a, const struct chain_tip *b) {
    return a->known == b->known && chain_path_eq(&a->path, &b->path) && guid_eq(&a->database_guid, &b->database_guid) &&
           a->path_at == b->path_at && segment_eq(a, b) && interval_eq(a, b) && forks_eq(a, b) &&
           !lsn_cmp(a->log_lsn, b->log_lsn) && !lsn_cmp(a->max_lsn, b->max_lsn) && mark_eq(&a->last_full, &b->last_full) &&
           mark_eq(&a->last_diff, &b->last_diff) && mark_eq(&a->last_log, &b->last_log) &&
           !lsn_cmp(a->foreign_lsn, b->foreign_lsn) && a->foreign_at == b->foreign_at &&
           !lsn_cmp(a->unreadable_lsn, b->unreadable_lsn) && off_eq(a, b) && a->holes == b->holes && a->sets == b->sets;
}
