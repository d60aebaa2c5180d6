/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/check.h"

#include "common/base/str.h"

static bool guid_differs(const struct guid *a, const struct guid *b) {
    return !guid_is_zero(a) && !guid_is_zero(b) && !guid_eq(a, b);
}

static void verdict_set(struct chain_verdict *v, enum chain_reason reason, const char *next) {
    v->reason = reason;
    v->ok = false;
    chain_reason_text(v->text, reason, v->has_hole ? &v->hole : NULL, next);
}

/* The server's LSNs were behind what we have of the same fork. */
static bool set_is_behind(const struct chain_view *view, const struct chain_expectation *expected, const struct backup *set) {
    const struct chain_tip *t = view->tip;
    struct chain_path path = chain_path_of(set);
    if (!t->known || expected->new_incarnation)
        return false;
    if (chain_tip_fork_is_past(t, &path.fork))
        return true;
    if (!chain_path_eq(&path, &t->path))
        return false;
    if (lsn_cmp(set->last_lsn, expected->not_before) < 0)
        return true;
    return set->kind == BACKUP_LOG && !backup_has(set, BACKUP_COPY_ONLY) && !backup_has(set, BACKUP_READ_ONLY) &&
           !view->server->is_read_only && chain_tip_is_behind(t, set->first_lsn);
}

static void hole_begin(struct chain_verdict *v, const struct chain_tip *before, const struct backup *set,
                       enum chain_hole_cause cause) {
    struct chain_window window;
    chain_tip_window(before, 0, &window);
    v->has_hole = true;
    v->hole = (struct chain_hole){.cause = cause,
                                  .incarnation = set->incarnation,
                                  .family = set->family_guid,
                                  .fork = set->last_fork,
                                  .from_at = window.any ? window.until_at : before->lost_at,
                                  .from_lsn = window.any ? window.until_lsn : before->lost_lsn};
}

static void hole_blame(const struct chain_view *view, const struct backup *set, struct chain_hole *hole) {
    struct chain_path path = chain_path_of(set);
    const struct chain_foreign *f = chain_foreign_log(view->foreign, view->foreign_count, &path, hole->from_lsn, set->first_lsn);
    if (!f || (hole->cause != CHAIN_HOLE_LOG_MISSING && hole->cause != CHAIN_HOLE_FOREIGN_LOG))
        return;
    hole->cause = chain_foreign_is_nul(f) ? CHAIN_HOLE_FOREIGN_LOG_NUL : CHAIN_HOLE_FOREIGN_LOG;
    hole->cause_at = f->set.finish_at;
    str_copy(hole->who, sizeof(hole->who), f->who);
    str_copy(hole->device, sizeof(hole->device), f->device);
}

/* The log left a gap behind it. When a data backup of ours stands in the gap, the chain goes on from there. */
static void check_gap(const struct chain_view *view, const struct backup *set, const struct chain_tip *after,
                      struct chain_verdict *v) {
    hole_begin(v, view->tip, set, after->cause);
    v->hole.until_lsn = set->first_lsn;
    hole_blame(view, set, &v->hole);
    v->usable = after->open;
    if (after->open) {
        v->hole.until_lsn = after->from.lsn;
        v->hole.until_at = after->from.at;
        chain_hole_text(v->text, &v->hole);
        return;
    }
    v->heal = true;
    verdict_set(v, chain_reason_of_cause(v->hole.cause), "a data backup is needed to go on");
}

static void check_log(const struct chain_view *view, const struct backup *set, const struct chain_tip *after,
                      struct chain_verdict *v) {
    const struct chain_tip *before = view->tip;
    bool same_path = before->known && chain_path_eq(&before->path, &after->path);
    v->usable = after->open;
    if (before->known && !same_path && !after->open) {
        hole_begin(v, before, set, after->cause);
        v->hole.from_lsn = (struct lsn){0};
        v->heal = true;
        verdict_set(v, chain_reason_of_cause(after->cause), "a full backup is needed to go on");
    } else if (same_path && after->holes > before->holes) {
        check_gap(view, set, after, v);
    } else if (!after->open && !after->pending_count) {
        v->heal = true;
        enum chain_reason why = chain_reason_of_cause(after->cause);
        if (!why)
            why = after->bad ? chain_reason_of_cause(after->bad) : CHAIN_REASON_BASE_MISSING;
        verdict_set(v, why, "a full backup is needed before this log can be used");
    } else if (backup_has(set, BACKUP_BULK_LOGGED) && lsn_cmp(set->first_lsn, set->last_lsn) < 0) {
        hole_begin(v, before, set, CHAIN_HOLE_BULK_LOGGED);
        v->hole.until_lsn = set->last_lsn;
        v->hole.until_at = backup_ended_by(set);
        chain_hole_text(v->text, &v->hole);
    }
}

static void check_diff(const struct backup *set, const struct chain_tip *after, struct chain_verdict *v) {
    if (!after->bad || lsn_cmp(after->bad_lsn, set->last_lsn)) {
        v->usable = true;
        return;
    }
    v->heal = true;
    if (backup_has(set, BACKUP_DAMAGED))
        verdict_set(v, CHAIN_REASON_DAMAGED, "a full backup is needed");
    else if (after->bad == CHAIN_HOLE_DAMAGED_BASE)
        verdict_set(v, CHAIN_REASON_DAMAGED_BASE, "the differential is of no use, a full backup is needed");
    else if (after->bad == CHAIN_HOLE_STORE_DAMAGED)
        verdict_set(v, CHAIN_REASON_STORE_DAMAGED, "the differential is of no use, a full backup is needed");
    else
        verdict_set(v, CHAIN_REASON_BASE_MOVED, "the differential is of no use, a full backup is needed");
}

static void check_full(const struct backup *set, struct chain_verdict *v) {
    v->usable = backup_is_base(set);
    if (!v->usable)
        verdict_set(v, CHAIN_REASON_DAMAGED, "the last good full backup stays the base");
}

/* What has nothing to do with the rest of the chain. True when the verdict is spoken. */
static bool check_identity(const struct chain_view *view, const struct chain_expectation *expected, const struct backup *set,
                           struct chain_verdict *v) {
    if (guid_differs(&view->server->family_guid, &set->family_guid)) {
        v->recordable = false;
        v->heal = true;
        verdict_set(v, CHAIN_REASON_REPLACED, "the set is of another database than the one looked at");
    } else if (set->kind != expected->kind || backup_has(set, BACKUP_COPY_ONLY) != expected->copy_only) {
        v->heal = true;
        verdict_set(v, CHAIN_REASON_KIND_UNEXPECTED, NULL);
    } else if (!backup_has_lsns(set)) {
        hole_begin(v, view->tip, set, CHAIN_HOLE_INCOMPLETE);
        v->heal = true;
        verdict_set(v, CHAIN_REASON_INCOMPLETE, "another backup is needed");
    } else {
        return false;
    }
    return true;
}

void chain_check(const struct chain_view *view, const struct chain_expectation *expected, const struct backup *set,
                 struct chain_verdict *ret_verdict) {
    struct chain_verdict v = {.ok = true, .recordable = true};
    struct chain_tip after = *view->tip;
    struct backup copy = *set;
    copy.incarnation = view->tip->path.incarnation + expected->new_incarnation;
    v.new_incarnation = expected->new_incarnation;
    if (!check_identity(view, expected, &copy, &v)) {
        bool behind = set_is_behind(view, expected, &copy);
        if (behind) {
            copy.incarnation++;
            v.new_incarnation = true;
        }
        chain_tip_add(&after, &copy);
        if (copy.kind == BACKUP_LOG)
            check_log(view, &copy, &after, &v);
        else if (copy.kind == BACKUP_DIFF)
            check_diff(&copy, &after, &v);
        else
            check_full(&copy, &v);
        if (behind && v.ok) {
            v.heal = copy.kind != BACKUP_FULL;
            hole_begin(&v, view->tip, &copy, CHAIN_HOLE_VOLUME_REVERTED);
            verdict_set(&v, CHAIN_REASON_VOLUME_REVERTED, NULL);
        }
    }
    *ret_verdict = v;
}
