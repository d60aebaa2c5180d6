/* SPDX-License-Identifier: Apache-2.0 */
/* On which path a target is, and what is searched for there. */
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/plan_int.h"

static bool path_wanted(const struct plan_attempt *a, size_t path) {
    return !a->request->path || chain_path_eq(a->request->path, &a->rules->history->paths[path].path);
}

static bool search(struct plan_attempt *a, size_t path, struct lsn *ret_gap) {
    if (!plan_search(a->rules, path, &a->goal, &a->way, ret_gap))
        return false;
    a->path = path;
    return true;
}

/* ---- by LSN ---- */

/* The path of the last set of the way; false when that is the one it was found from. */
static bool way_ends_elsewhere(const struct plan_attempt *a, size_t *ret_path) {
    const struct chain_history *h = a->rules->history;
    uint32_t last = a->way.log_count ? a->way.logs[a->way.log_count - 1] : a->way.diff != PLAN_NONE ? a->way.diff : a->way.full;
    if (last == PLAN_NONE)
        return false;
    struct chain_path of = chain_path_of(chain_history_peek(h, last));
    return chain_history_path_find(h, &of, ret_path) && *ret_path != a->path;
}

static bool find_lsn(struct plan_attempt *a, const struct chain_path *only) {
    const struct chain_history *h = a->rules->history;
    a->goal = (struct plan_goal){.lsn = a->target.lsn, .before = a->target.before};
    for (size_t p = h->path_count; p--;) {
        if (!path_wanted(a, p) || (only && !chain_path_eq(only, &h->paths[p].path)) || !search(a, p, NULL))
            continue;
        struct plan_way found = a->way;
        size_t own;
        /* From before the fork: on its own path more sets may lead there. */
        if (way_ends_elsewhere(a, &own) && search(a, own, NULL))
            plan_way_done(&found);
        return true;
    }
    a->refused = CHAIN_REFUSED_IN_HOLE;
    return false;
}

/* Does the way end with its last set, so that nothing has to be cut? */
static bool way_ends_at_goal(const struct plan_attempt *a) {
    if (a->goal.by_time || !a->goal.before)
        return false;
    if (!a->way.log_count)
        return true;
    return !lsn_cmp(chain_history_peek(a->rules->history, a->way.logs[a->way.log_count - 1])->last_lsn, a->goal.lsn);
}

/* ---- marks ---- */

struct mark_choice {
    const struct chain_log_mark *mark;
    struct chain_path path;
    bool has_path;
    unsigned count; /* different marks of this name */
};

static bool mark_path(const struct plan_attempt *a, const struct chain_log_mark *mark, struct chain_path *ret_path) {
    size_t at;
    if (!chain_history_find(a->rules->history, &mark->set, &at))
        return false;
    *ret_path = chain_path_of(chain_history_peek(a->rules->history, at));
    return true;
}

static bool mark_same(const struct chain_log_mark *a, const struct chain_log_mark *b) {
    return !lsn_cmp(a->lsn, b->lsn) && a->at == b->at;
}

static void mark_choose(const struct plan_attempt *a, struct mark_choice *choice) {
    const struct chain_plan_request *request = a->request;
    *choice = (struct mark_choice){0};
    for (size_t i = 0; i < request->mark_count; i++) {
        const struct chain_log_mark *mark = &request->marks[i];
        struct chain_path path;
        bool has_path = mark_path(a, mark, &path);
        if (!str_ieq(mark->name, request->target.mark) || mark->at < request->target.at ||
            (request->path && (!has_path || !chain_path_eq(request->path, &path))))
            continue;
        if (choice->mark && mark_same(choice->mark, mark))
            continue;
        choice->count++;
        if (choice->mark && choice->mark->at <= mark->at)
            continue;
        choice->mark = mark;
        choice->path = path;
        choice->has_path = has_path;
    }
}

static bool find_mark(struct plan_attempt *a) {
    struct mark_choice choice;
    mark_choose(a, &choice);
    if (!choice.mark || (choice.count > 1 && !a->target.at)) {
        a->refused = choice.mark ? CHAIN_REFUSED_MARK_AMBIGUOUS : CHAIN_REFUSED_MARK_UNKNOWN;
        return false;
    }
    a->target.lsn = choice.mark->lsn;
    a->mark_at = choice.mark->at;
    if (!find_lsn(a, choice.has_path ? &choice.path : NULL))
        return false;
    plan_clock_at(a->rules->history, a->path, choice.mark->at, &a->clock);
    bool clear = a->clock.kind == PLAN_CLOCK_GOOD;
    if (!clear && choice.count > 1) {
        a->refused = a->clock.kind == PLAN_CLOCK_SET_BACK ? CHAIN_REFUSED_CLOCK_SET_BACK : CHAIN_REFUSED_AMBIGUOUS_HOUR;
        plan_way_done(&a->way);
        return false;
    }
    /* Where the name alone is enough the moment is given too, when it can be: an older mark may not be known to us. */
    chain_stop_mark(choice.mark->name, a->target.before, clear ? choice.mark->at : 0, a->clock.utc_offset_s,
                    a->clock.offset_known, &a->stop);
    return true;
}

/* ---- by time ---- */

/* Does a log that ends at the same LSN say that nothing was committed from there to the moment? */
static bool quiet_behind(const struct plan_attempt *a, const struct chain_history_path *path, size_t position) {
    const struct chain_history *h = a->rules->history;
    struct lsn end = chain_history_peek(h, position)->last_lsn;
    size_t i = position;
    while (i > path->begin && !lsn_cmp(chain_history_peek(h, i - 1)->last_lsn, end))
        i--;
    for (; i < path->end && !lsn_cmp(chain_history_peek(h, i)->last_lsn, end); i++) {
        const struct backup *log = chain_history_peek(h, i);
        if (log->kind == BACKUP_LOG && plan_set_usable(a->rules, (uint32_t)i) && backup_reach_at(log) >= a->target.at)
            return true;
    }
    return false;
}

/*
 * The end of a backup that is the state of the moment although no log can be stopped there: it ended at this very moment,
 * or nothing was committed behind it.
 */
static bool find_point(struct plan_attempt *a, size_t path) {
    const struct chain_history_path *p = &a->rules->history->paths[path];
    struct plan_goal by_time = a->goal;
    for (size_t i = p->end; i-- > p->begin;) {
        const struct backup *set = chain_history_peek(a->rules->history, i);
        int64_t ended_by = backup_ended_by(set);
        if (ended_by > a->target.at || (set->kind == BACKUP_LOG && !plan_log_is_whole(set)) ||
            !plan_set_usable(a->rules, (uint32_t)i) || (ended_by < a->target.at && !quiet_behind(a, p, i)))
            continue;
        a->goal = (struct plan_goal){.lsn = set->last_lsn, .before = true};
        if (!search(a, path, NULL))
            continue;
        if (way_ends_at_goal(a))
            return true;
        plan_way_done(&a->way); /* a log would have to be cut there */
    }
    a->goal = by_time;
    return false;
}

static bool find_time_on(struct plan_attempt *a, size_t path) {
    a->goal = (struct plan_goal){.by_time = true, .at = a->target.at};
    if (path + 1 == a->rules->history->path_count)
        a->goal.quiet_until_at = a->request->quiet_until_at;
    return search(a, path, NULL) || find_point(a, path);
}

int64_t plan_path_known_at(const struct chain_plan_request *request, size_t path) {
    const struct chain_path *p = &request->history->paths[path].path;
    int64_t at = plan_path_used_at(request->history, path);
    for (size_t i = 0; i < request->known_count; i++) {
        const struct chain_hole *known = &request->known[i];
        if (known->cause == CHAIN_HOLE_FORK && known->incarnation == p->incarnation && guid_eq(&known->fork, &p->fork) &&
            guid_eq(&known->family, &p->family) && known->cause_at && known->cause_at < at)
            at = known->cause_at;
    }
    return at;
}

/*
 * The newest path that was in use at the moment, and no older one: what that holds of later moments are rows that the database did
 * not have any more, as of an old primary that went on after a forced failover. A younger one may answer: a fork also holds moments
 * from before it was made, through the log that crosses over to it.
 */
static bool find_time_path(struct plan_attempt *a) {
    const struct chain_history *h = a->rules->history;
    size_t in_use = h->path_count;
    bool known = false;
    while (in_use > 0 && !known) {
        in_use--;
        known = path_wanted(a, in_use) && (h->path_count == 1 || plan_path_known_at(a->request, in_use) <= a->target.at);
    }
    if (known && find_time_on(a, in_use))
        return true;
    for (size_t p = known ? in_use + 1 : 0; p < h->path_count; p++) {
        a->before_path = path_wanted(a, p) && find_time_on(a, p);
        if (a->before_path)
            return true;
    }
    return false;
}

/* Is a database that is RESTORING behind the moment already? So it is when a whole log that reaches it was restored. */
static bool stands_behind(const struct plan_attempt *a) {
    const struct chain_history *h = a->rules->history;
    const struct chain_resume *resume = a->rules->resume;
    struct chain_path path = h->paths[a->path].path;
    size_t p;
    path.fork = resume->redo_fork;
    if (!chain_history_path_find(h, &path, &p))
        return false;
    for (size_t i = h->paths[p].end; i-- > h->paths[p].begin;) {
        const struct backup *log = chain_history_peek(h, i);
        if (log->kind == BACKUP_LOG && plan_set_usable(a->rules, (uint32_t)i) && lsn_cmp(log->first_lsn, log->last_lsn) < 0 &&
            lsn_cmp(log->last_lsn, resume->redo_lsn) < 0)
            return backup_reach_at(log) >= a->target.at;
    }
    return false;
}

static bool find_time(struct plan_attempt *a) {
    if (a->request->now && a->target.at > a->request->now) {
        a->refused = CHAIN_REFUSED_IN_FUTURE;
        return false;
    }
    if (!find_time_path(a)) {
        a->refused = CHAIN_REFUSED_IN_HOLE;
        return false;
    }
    if (a->rules->resume && stands_behind(a)) {
        a->refused = CHAIN_REFUSED_PAST_TARGET;
        plan_way_done(&a->way);
        return false;
    }
    if (!a->way.log_count || !a->goal.by_time)
        return true; /* ends with a set: no clock is needed */
    plan_clock_at(a->rules->history, a->path, a->target.at, &a->clock);
    if (a->clock.kind != PLAN_CLOCK_GOOD) {
        a->refused = a->clock.kind == PLAN_CLOCK_SET_BACK ? CHAIN_REFUSED_CLOCK_SET_BACK : CHAIN_REFUSED_AMBIGUOUS_HOUR;
        plan_way_done(&a->way);
        return false;
    }
    chain_stop_at(a->target.at, a->clock.utc_offset_s, a->clock.offset_known, &a->stop);
    return true;
}

/* ---- latest ---- */

/* The newest end of a set that can be reached. What lies above a gap needs no second look: nothing joins it. */
static bool find_latest_on(struct plan_attempt *a, size_t path) {
    const struct chain_history *h = a->rules->history;
    const struct chain_history_path *p = &h->paths[path];
    const struct chain_resume *resume = a->rules->resume;
    struct lsn below = {.vlf = UINT32_MAX, .block = UINT32_MAX, .slot = UINT16_MAX};
    for (size_t i = p->end; i-- > p->begin;) {
        const struct backup *set = chain_history_peek(h, i);
        struct lsn gap;
        uint32_t full;
        if (lsn_cmp(set->last_lsn, below) >= 0 || !plan_set_usable(a->rules, (uint32_t)i) ||
            (resume && lsn_cmp(set->last_lsn, resume->redo_lsn) < 0) ||
            (set->kind != BACKUP_LOG && !plan_base_usable(a->rules, (uint32_t)i, &full)))
            continue;
        a->goal = (struct plan_goal){.lsn = set->last_lsn, .before = true};
        if (search(a, path, &gap))
            return true;
        below = lsn_is_zero(gap) || lsn_cmp(gap, set->last_lsn) > 0 ? set->last_lsn : gap;
    }
    if (!resume || !guid_eq(&resume->redo_fork, &p->path.fork))
        return false;
    a->goal = (struct plan_goal){.lsn = resume->redo_lsn, .before = true}; /* nothing is left to restore */
    return search(a, path, NULL);
}

static bool find_newest(struct plan_attempt *a) {
    for (size_t p = a->rules->history->path_count; p--;) {
        if (path_wanted(a, p) && find_latest_on(a, p))
            return true;
    }
    return false;
}

/* Latest is what all sets reach. Without those to avoid, or from where a database stands, less would be another target. */
static bool find_latest(struct plan_attempt *a) {
    struct plan_rules all = *a->rules;
    struct plan_attempt best = *a;
    bool found = find_newest(a);
    all.avoided_count = 0;
    all.resume = NULL;
    best.rules = &all;
    if ((!a->rules->avoided_count && !a->rules->resume) || !find_newest(&best)) {
        a->refused = CHAIN_REFUSED_IN_HOLE;
        return found;
    }
    bool less = found && (a->path < best.path || (a->path == best.path && lsn_cmp(a->goal.lsn, best.goal.lsn) < 0));
    plan_way_done(&best.way);
    if (less)
        plan_way_done(&a->way);
    a->refused = CHAIN_REFUSED_IN_HOLE;
    return found && !less;
}

bool plan_find(const struct chain_plan_request *request, const struct plan_rules *rules, struct plan_attempt *ret_attempt) {
    struct plan_attempt a = {.request = request, .rules = rules, .target = request->target};
    bool found = false;
    switch (request->target.kind) {
    case CHAIN_TO_LATEST:
        found = find_latest(&a);
        break;
    case CHAIN_TO_TIME:
        found = find_time(&a);
        break;
    case CHAIN_TO_LSN:
        found = find_lsn(&a, NULL);
        if (found && !way_ends_at_goal(&a))
            chain_stop_lsn(a.target.lsn, a.target.before, &a.stop);
        break;
    case CHAIN_TO_MARK:
        found = find_mark(&a);
        break;
    }
    *ret_attempt = a;
    return found;
}
