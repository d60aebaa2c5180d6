/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/state.h"

#include "common/base/clock.h"
#include "common/base/str.h"

static bool guid_differs(const struct guid *a, const struct guid *b) {
    return !guid_is_zero(a) && !guid_is_zero(b) && !guid_eq(a, b);
}

static int64_t newest_at(const struct chain_tip *t) {
    int64_t at = t->last_log.finish_at;
    if (t->last_full.finish_at > at)
        at = t->last_full.finish_at;
    if (t->last_diff.finish_at > at)
        at = t->last_diff.finish_at;
    return at;
}

static bool restored_since(const struct chain_view *v) {
    return v->restore.at && v->restore.at >= newest_at(v->tip);
}

/*
 * Is the database still on the path of the tip? The family and the fork are asked first: a restore also moves LSNs back,
 * and only when both are the same does a log that is behind mean a reverted volume.
 */
static enum chain_reason path_reason(const struct chain_view *v) {
    const struct chain_tip *t = v->tip;
    const struct chain_server_state *s = v->server;
    if (guid_differs(&t->path.family, &s->family_guid))
        return restored_since(v) || s->create_at < newest_at(t) ? CHAIN_REASON_REPLACED : CHAIN_REASON_RECREATED;
    if (guid_differs(&t->path.fork, &s->recovery_fork_guid))
        return chain_tip_fork_is_past(t, &s->recovery_fork_guid) ? CHAIN_REASON_VOLUME_REVERTED : CHAIN_REASON_FORKED;
    if (guid_differs(&v->memory->volume, &s->volume))
        return CHAIN_REASON_VOLUME_REVERTED;
    if (!lsn_is_zero(s->log_end_lsn) && lsn_cmp(s->log_end_lsn, t->max_lsn) < 0)
        return CHAIN_REASON_VOLUME_REVERTED;
    /* A read-only database keeps its last_log_backup_lsn: each log backup repeats the one before. */
    if (!lsn_is_zero(s->last_log_backup_lsn) && !s->is_read_only && chain_tip_is_behind(t, s->last_log_backup_lsn))
        return CHAIN_REASON_VOLUME_REVERTED;
    /* The same fork, but an older full is the differential base again: only the volume can have gone back. */
    const struct chain_base *newest = chain_tip_base(t);
    if (newest && !lsn_is_zero(newest->last_lsn) && !guid_eq(&newest->set, &s->differential_base_guid)) {
        if (!lsn_is_zero(s->differential_base_lsn) && lsn_cmp(s->differential_base_lsn, newest->checkpoint_lsn) < 0)
            return CHAIN_REASON_VOLUME_REVERTED;
        for (unsigned i = 0; i + 1 < t->base_count; i++) {
            if (guid_eq(&t->bases[i].set, &s->differential_base_guid))
                return CHAIN_REASON_VOLUME_REVERTED;
        }
    }
    return CHAIN_REASON_NONE;
}

/*
 * A look that began before our newest set was finished does not know of it, and would take it for somebody else's. One
 * that seems much older is no such look: the server's clock was set back.
 */
static bool look_is_stale(const struct chain_view *v) {
    int64_t newest = newest_at(v->tip);
    return v->server->sampled_at && v->server->sampled_at < newest && newest - v->server->sampled_at < CLOCK_MINUTE;
}

/* A hole that begins at the end of what is restorable now. */
static void hole_open(const struct chain_view *v, struct chain_diagnosis *d) {
    const struct chain_tip *t = v->tip;
    struct chain_window window;
    chain_tip_window(t, 0, &window);
    d->has_hole = true;
    d->hole = (struct chain_hole){.cause = chain_cause_of_reason(d->reason),
                                  .incarnation = t->path.incarnation + d->new_incarnation,
                                  .family = v->server->family_guid,
                                  .fork = v->server->recovery_fork_guid,
                                  .from_at = window.any ? window.latest_at : t->lost_at,
                                  .from_lsn = window.any ? window.latest_lsn : t->lost_lsn};
    if (restored_since(v)) {
        d->hole.cause_at = v->restore.at;
        str_copy(d->hole.who, sizeof(d->hole.who), v->restore.who);
    }
}

static void hole_blame(struct chain_hole *hole, const struct chain_foreign *foreign) {
    hole->cause_at = foreign->set.finish_at;
    str_copy(hole->who, sizeof(hole->who), foreign->who);
    str_copy(hole->device, sizeof(hole->device), foreign->device);
}

/* The server's next log begins behind the segment: a log backup is not ours. */
static void diagnose_foreign_log(const struct chain_view *v, struct lsn from, struct chain_diagnosis *d) {
    const struct chain_foreign *f = chain_foreign_log(v->foreign, v->foreign_count, &v->tip->path, from,
                                                      v->server->last_log_backup_lsn);
    enum chain_reason reason = CHAIN_REASON_LOG_MISSING;
    if (lsn_cmp(v->tip->unreadable_lsn, from) > 0)
        reason = CHAIN_REASON_STORE_DAMAGED;
    if (f)
        reason = chain_foreign_is_nul(f) ? CHAIN_REASON_FOREIGN_LOG_NUL : CHAIN_REASON_FOREIGN_LOG;
    d->reason = reason;
    hole_open(v, d);
    d->hole.until_lsn = v->server->last_log_backup_lsn;
    if (f)
        hole_blame(&d->hole, f);
}

/* A log was lost, but a data backup of ours is behind it already: only moments are gone, not the chain. */
static void diagnose_bridged(const struct chain_view *v, struct chain_diagnosis *d) {
    const struct chain_tip *t = v->tip;
    diagnose_foreign_log(v, t->seg_last, d);
    unsigned i = 0;
    while (i + 1 < t->pending_count && lsn_cmp(t->pending[i].lsn, v->server->last_log_backup_lsn) < 0)
        i++;
    d->reason = CHAIN_REASON_NONE;
    d->log_extends = true;
    d->hole.from_lsn = t->seg_last;
    d->hole.from_at = t->seg_until_at > t->from.at ? t->seg_until_at : t->from.at;
    d->hole.until_lsn = t->pending[i].lsn;
    d->hole.until_at = t->pending[i].at;
}

static void diagnose_log(const struct chain_view *v, struct chain_diagnosis *d) {
    const struct chain_tip *t = v->tip;
    const struct chain_server_state *s = v->server;
    struct lsn reach;
    bool reached = chain_tip_reach(t, &reach);
    if (s->full_only && reached)
        return;
    if (!reached && t->bad == CHAIN_HOLE_STORE_DAMAGED) { /* also where there are no logs */
        d->reason = CHAIN_REASON_STORE_DAMAGED;
        hole_open(v, d);
        return;
    }
    if (s->model == CHAIN_MODEL_SIMPLE && !s->full_only) {
        d->reason = CHAIN_REASON_SIMPLE;
        if (t->has_log)
            hole_open(v, d);
    } else if (lsn_is_zero(s->last_log_backup_lsn) && !s->full_only) {
        d->reason = restored_since(v) && v->restore.type == 'R' ? CHAIN_REASON_LOG_REBUILT : CHAIN_REASON_PSEUDO_SIMPLE;
        hole_open(v, d);
    } else if (!reached) {
        d->reason = chain_reason_of_cause(t->cause);
        if (!d->reason)
            d->reason = chain_reason_of_cause(t->bad);
        if (!d->reason)
            d->reason = CHAIN_REASON_BASE_MISSING;
        hole_open(v, d);
    } else if (lsn_cmp(s->last_log_backup_lsn, reach) > 0) {
        diagnose_foreign_log(v, reach, d);
    } else if (t->open && lsn_cmp(s->last_log_backup_lsn, t->seg_last) > 0) {
        diagnose_bridged(v, d);
    } else {
        d->log_extends = true;
    }
}

static void diagnose_diff(const struct chain_view *v, struct chain_diagnosis *d) {
    const struct guid *base = &v->server->differential_base_guid;
    if (v->server->full_only) {
        d->diff_reason = CHAIN_REASON_FULL_ONLY;
        return;
    }
    if (guid_is_zero(base)) {
        d->diff_reason = CHAIN_REASON_BASE_UNKNOWN;
        return;
    }
    for (unsigned i = 0; i < v->tip->base_count; i++) {
        if (guid_eq(&v->tip->bases[i].set, base)) {
            d->diff_heals = v->tip->bases[i].usable;
            d->diff_reason = d->diff_heals                 ? CHAIN_REASON_NONE
                             : v->tip->bases[i].unreadable ? CHAIN_REASON_STORE_DAMAGED
                                                           : CHAIN_REASON_DAMAGED_BASE;
            return;
        }
    }
    d->base_moved = true;
    d->diff_reason = CHAIN_REASON_BASE_MOVED;
    for (size_t i = 0; i < v->foreign_count; i++) {
        if (guid_eq(&v->foreign[i].set.set_guid, base))
            hole_blame(&d->moved, &v->foreign[i]);
    }
}

/* Nothing of ours to build on, and nothing that explains why. */
static bool first_full(const struct chain_tip *t) {
    return !t->base_count && lsn_is_zero(t->base_lsn) && t->cause != CHAIN_HOLE_FORK && t->cause != CHAIN_HOLE_VOLUME_REVERTED;
}

void chain_diagnose(const struct chain_view *view, struct chain_diagnosis *ret_diagnosis) {
    const struct chain_tip *t = view->tip;
    const struct chain_server_state *s = view->server;
    struct chain_diagnosis d = {0};
    if (!s->online || guid_is_zero(&s->recovery_fork_guid) || look_is_stale(view)) {
        d.reason = s->online ? CHAIN_REASON_STATE_UNKNOWN : CHAIN_REASON_OFFLINE;
        d.diff_reason = d.reason;
        *ret_diagnosis = d;
        return;
    }
    d.readable = true;
    d.log_possible = s->model != CHAIN_MODEL_SIMPLE && !s->full_only && !lsn_is_zero(s->last_log_backup_lsn);
    if (t->known)
        d.reason = path_reason(view);
    if (d.reason) {
        d.new_incarnation = d.reason == CHAIN_REASON_VOLUME_REVERTED || guid_differs(&view->memory->volume, &s->volume);
        d.first_full = d.reason == CHAIN_REASON_REPLACED || d.reason == CHAIN_REASON_RECREATED;
        d.diff_reason = d.reason;
        hole_open(view, &d);
        d.hole.from_lsn = (struct lsn){0}; /* LSNs of two paths do not compare */
    } else if (first_full(t)) {
        d.first_full = true;
        d.reason = d.diff_reason = CHAIN_REASON_FIRST_FULL;
    } else {
        diagnose_log(view, &d);
        diagnose_diff(view, &d);
        if (d.reason == CHAIN_REASON_LOG_REBUILT) {
            d.diff_heals = false;
            d.diff_reason = d.reason;
        }
    }
    *ret_diagnosis = d;
}
