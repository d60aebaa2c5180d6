/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a plan: on which path the target is, what is searched for there, and how the way found is restored. */
#include "common/chain/plan.h"

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/plan_int.h"

#define NEXT_LOGS_MAX 64 /* looked at to find the log that follows the last certain one */

/* What was found, or why not. */
struct attempt {
    const struct chain_plan_request *request;
    const struct plan_rules *rules;
    struct chain_target target; /* a mark's LSN is filled in */
    struct plan_goal goal;
    struct plan_way way;
    size_t path;
    struct chain_stop stop;
    int64_t mark_at;
    bool before_path; /* see struct chain_plan */
    enum chain_refusal_reason refused; /* IN_HOLE stands for all that the intervals tell apart */
    struct plan_clock clock;
};

static bool path_wanted(const struct attempt *a, size_t path) {
    return !a->request->path || chain_path_eq(a->request->path, &a->rules->history->paths[path].path);
}

static bool search(struct attempt *a, size_t path, struct lsn *ret_gap) {
    if (!plan_search(a->rules, path, &a->goal, &a->way, ret_gap))
        return false;
    a->path = path;
    return true;
}

/* ---- by LSN ---- */

static bool find_lsn(struct attempt *a, const struct chain_path *only) {
    const struct chain_history *h = a->rules->history;
    a->goal = (struct plan_goal){.lsn = a->target.lsn, .before = a->target.before};
    for (size_t p = h->path_count; p--;) {
        if (path_wanted(a, p) && (!only || chain_path_eq(only, &h->paths[p].path)) && search(a, p, NULL))
            return true;
    }
    a->refused = CHAIN_REFUSED_IN_HOLE;
    return false;
}

/* Does the way end with its last set, so that nothing has to be cut? */
static bool way_ends_at_goal(const struct attempt *a) {
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

static bool mark_path(const struct attempt *a, const struct chain_log_mark *mark, struct chain_path *ret_path) {
    size_t at;
    if (!chain_history_find(a->rules->history, &mark->set, &at))
        return false;
    *ret_path = chain_path_of(chain_history_peek(a->rules->history, at));
    return true;
}

static bool mark_same(const struct chain_log_mark *a, const struct chain_log_mark *b) {
    return !lsn_cmp(a->lsn, b->lsn) && a->at == b->at;
}

static void mark_choose(const struct attempt *a, struct mark_choice *choice) {
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

static bool find_mark(struct attempt *a) {
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

/* Does a log say that nothing was committed between the end of this data backup and the moment? */
static bool quiet_behind(const struct attempt *a, const struct chain_history_path *path, size_t position) {
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
static bool find_point(struct attempt *a, size_t path) {
    const struct chain_history_path *p = &a->rules->history->paths[path];
    struct plan_goal by_time = a->goal;
    for (size_t i = p->end; i-- > p->begin;) {
        const struct backup *set = chain_history_peek(a->rules->history, i);
        bool log = set->kind == BACKUP_LOG;
        if (set->finish_at > a->target.at || (log && !plan_log_is_whole(set)) || !plan_set_usable(a->rules, (uint32_t)i) ||
            (set->finish_at < a->target.at && (log || !quiet_behind(a, p, i))))
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

static bool find_time_on(struct attempt *a, size_t path) {
    a->goal = (struct plan_goal){.by_time = true, .at = a->target.at};
    if (path + 1 == a->rules->history->path_count)
        a->goal.quiet_until_at = a->request->quiet_until_at;
    return search(a, path, NULL) || find_point(a, path);
}

/* Since when the path was in use: its first backup began, or somebody saw the restore that made it. */
static int64_t path_used_at(const struct attempt *a, size_t path) {
    const struct chain_path *p = &a->rules->history->paths[path].path;
    int64_t at = plan_path_used_at(a->rules->history, path);
    for (size_t i = 0; i < a->request->known_count; i++) {
        const struct chain_hole *known = &a->request->known[i];
        if (known->cause == CHAIN_HOLE_FORK && known->incarnation == p->incarnation && guid_eq(&known->fork, &p->fork) &&
            guid_eq(&known->family, &p->family) && known->cause_at && known->cause_at < at)
            at = known->cause_at;
    }
    return at;
}

/*
 * The newest path that was in use at the moment. A fork also holds moments from before it was made, through the log that
 * crosses over to it, but what the database was then is on the path that was in use then; only when that cannot be
 * reached the next younger one answers for it.
 */
static bool find_time_path(struct attempt *a) {
    const struct chain_history *h = a->rules->history;
    bool *later = mem_array(h->path_count, sizeof(*later));
    bool found = false;
    for (size_t p = h->path_count; p-- > 0 && !found;) {
        if (!path_wanted(a, p))
            continue;
        later[p] = h->path_count > 1 && path_used_at(a, p) > a->target.at;
        found = !later[p] && find_time_on(a, p);
    }
    for (size_t p = 0; p < h->path_count && !found; p++)
        found = a->before_path = later[p] && find_time_on(a, p);
    mem_free(later);
    return found;
}

/* Is a database that is RESTORING behind the moment already? So it is when a whole log that reaches it was restored. */
static bool stands_behind(const struct attempt *a) {
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

static bool find_time(struct attempt *a) {
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
static bool find_latest_on(struct attempt *a, size_t path) {
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

static bool find_newest(struct attempt *a) {
    for (size_t p = a->rules->history->path_count; p--;) {
        if (path_wanted(a, p) && find_latest_on(a, p))
            return true;
    }
    return false;
}

/* Latest is what all sets reach. Without those to avoid, or from where a database stands, less would be another target. */
static bool find_latest(struct attempt *a) {
    struct plan_rules all = *a->rules;
    struct attempt best = *a;
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

static bool find(const struct chain_plan_request *request, const struct plan_rules *rules, struct attempt *ret_attempt) {
    struct attempt a = {.request = request, .rules = rules, .target = request->target};
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

/* ---- the plan ---- */

static struct chain_member *member_add(const struct attempt *a, struct chain_plan *plan, uint32_t position,
                                       enum chain_member_why why) {
    const struct chain_history_entry *entry = &a->rules->history->order[position];
    const struct backup *set = chain_history_peek(a->rules->history, position);
    struct chain_member *m = &plan->members[plan->count++];
    *m = (struct chain_member){.set = entry->at, .kind = set->kind, .why = why, .damaged = (entry->flags & BACKUP_DAMAGED) != 0};
    m->stop = set->kind == BACKUP_LOG && plan->stop.kind != CHAIN_STOP_NONE && !plan_log_is_whole(set);
    m->if_needed = why == CHAIN_WHY_MAYBE;
    plan->stored_bytes += plan_set_bytes(set);
    plan->size_bytes += set->size_bytes;
    if (m->if_needed)
        plan->if_needed_bytes += plan_set_bytes(set);
    plan->damaged |= m->damaged && set->kind != BACKUP_LOG;
    return m;
}

/*
 * The last log that is certainly needed: the first whose finish is not before the moment. What follows a log that is
 * restored whole is certain, too: without a stop the server does not say whether the moment was reached.
 */
static size_t last_certain(const struct attempt *a) {
    size_t count = a->way.log_count;
    if (!a->goal.by_time)
        return count ? count - 1 : 0;
    for (size_t i = 0; i < count; i++) {
        const struct backup *log = chain_history_peek(a->rules->history, a->way.logs[i]);
        if (log->finish_at >= a->target.at && !plan_log_is_whole(log))
            return i;
    }
    return count ? count - 1 : 0;
}

/* The log that goes on where the way ends; PLAN_NONE when there is none, or none that can be stopped in. */
static uint32_t log_after(const struct attempt *a) {
    const struct chain_history *h = a->rules->history;
    const struct chain_history_path *p = &h->paths[a->path];
    const struct backup *last = chain_history_peek(h, a->way.logs[a->way.log_count - 1]);
    struct chain_path of = chain_path_of(last);
    unsigned looked = 0;
    size_t i = a->way.logs[a->way.log_count - 1] + 1;
    if (!chain_path_eq(&of, &p->path))
        return PLAN_NONE;
    for (; i < p->end && looked < NEXT_LOGS_MAX; i++) {
        const struct backup *set = chain_history_peek(h, i);
        if (set->kind != BACKUP_LOG || !plan_set_usable(a->rules, (uint32_t)i) || lsn_cmp(set->last_lsn, last->last_lsn) <= 0)
            continue;
        looked++;
        if (lsn_cmp(set->first_lsn, last->last_lsn) <= 0)
            return plan_log_is_whole(set) ? PLAN_NONE : (uint32_t)i;
    }
    return PLAN_NONE;
}

static void logs_add(const struct attempt *a, struct chain_plan *plan) {
    size_t certain = last_certain(a);
    for (size_t i = 0; i < a->way.log_count; i++)
        member_add(a, plan, a->way.logs[i], i < certain ? CHAIN_WHY_ROLL : i == certain ? CHAIN_WHY_TARGET : CHAIN_WHY_MAYBE);
    if (a->goal.by_time && a->way.log_count && certain + 1 == a->way.log_count &&
        chain_history_peek(a->rules->history, a->way.logs[certain])->finish_at >= a->target.at) {
        uint32_t next = log_after(a);
        if (next != PLAN_NONE)
            member_add(a, plan, next, CHAIN_WHY_MAYBE);
    }
}

/* Until when and where the certain members reach. */
static void reach_fill(const struct attempt *a, struct chain_plan *plan) {
    const struct chain_member *last = NULL;
    for (size_t i = 0; i < plan->count; i++) {
        if (!plan->members[i].if_needed)
            last = &plan->members[i];
    }
    const struct backup *set = last ? &a->rules->history->sets[last->set] : NULL;
    if (set && a->target.kind != CHAIN_TO_TIME)
        plan->path = chain_path_of(set); /* an LSN may lie before the fork that it was found from */
    plan->reaches_lsn = set ? set->last_lsn : a->rules->resume->redo_lsn;
    int64_t quiet = a->goal.by_time ? a->goal.quiet_until_at : 0;
    if (a->target.kind == CHAIN_TO_TIME) {
        plan->reaches_at = plan->stop.kind ? plan->stop.at : a->target.at;
        plan->complete_until_at = set ? set->kind == BACKUP_LOG ? backup_reach_at(set) : set->start_at : 0;
        if (a->target.at <= quiet && plan->complete_until_at < quiet &&
            (!plan->count || !plan->members[plan->count - 1].if_needed))
            plan->complete_until_at = quiet;
    } else if (a->target.kind == CHAIN_TO_MARK) {
        plan->reaches_at = a->mark_at;
        plan->reaches_lsn = a->target.lsn;
    } else if (!plan->stop.kind && set) {
        plan->reaches_at = set->kind == BACKUP_LOG ? backup_reach_at(set) : set->finish_at;
    }
    if (a->target.kind == CHAIN_TO_LSN)
        plan->reaches_lsn = a->target.lsn;
}

static void hole_fill(const struct attempt *a, struct chain_plan *plan) {
    const struct chain_history *h = a->rules->history;
    const struct chain_history_path *p = &h->paths[a->path];
    const struct chain_plan_request *request = a->request;
    bool behind = a->path + 1 < h->path_count && !request->path;
    for (size_t i = p->end; i-- > p->begin && !behind;) {
        const struct backup *set = chain_history_peek(h, i);
        if (lsn_cmp(set->last_lsn, plan->reaches_lsn) <= 0)
            break;
        behind = !(h->order[i].flags & BACKUP_FOREIGN) && backup_has_lsns(set);
    }
    if (!behind)
        return;
    struct chain_interval_input input = {.history = h,
                                         .quiet_until_at = request->quiet_until_at,
                                         .foreign = request->foreign,
                                         .foreign_count = request->foreign_count,
                                         .known = request->known,
                                         .known_count = request->known_count};
    struct chain_intervals list;
    chain_intervals_build(&input, &list);
    plan->has_hole = true;
    plan->hole = (struct chain_hole){.cause = CHAIN_HOLE_BASE_MISSING, /* a data backup that cannot be restored */
                                     .incarnation = plan->path.incarnation,
                                     .family = plan->path.family,
                                     .fork = plan->path.fork,
                                     .from_at = plan->reaches_at,
                                     .from_lsn = plan->reaches_lsn};
    for (size_t i = list.hole_count; i--;) {
        struct chain_path path = {
            .family = list.holes[i].family, .fork = list.holes[i].fork, .incarnation = list.holes[i].incarnation};
        if (!chain_path_eq(&path, &plan->path) || lsn_cmp(list.holes[i].from_lsn, plan->reaches_lsn) >= 0) {
            plan->hole = list.holes[i];
            break;
        }
    }
    chain_intervals_done(&list);
}

static void plan_fill(const struct attempt *a, struct chain_plan *ret_plan) {
    struct chain_plan plan = {
        .stop = a->stop, .path = a->rules->history->paths[a->path].path, .before_path = a->before_path, .closed = a->way.closed};
    plan.members = mem_array(a->way.log_count + 3, sizeof(*plan.members));
    if (a->way.full != PLAN_NONE)
        member_add(a, &plan, a->way.full, CHAIN_WHY_BASE);
    if (a->way.diff != PLAN_NONE)
        member_add(a, &plan, a->way.diff, CHAIN_WHY_DIFF);
    logs_add(a, &plan);
    reach_fill(a, &plan);
    if (a->target.kind == CHAIN_TO_LATEST)
        hole_fill(a, &plan);
    *ret_plan = plan;
}

/* ---- refusals ---- */

/* The first of the plan that the stricter request does not allow. */
static const struct guid *set_in_the_way(const struct attempt *a, const struct plan_rules *strict) {
    const struct chain_history *h = strict->history;
    uint32_t positions[2] = {a->way.full, a->way.diff}, full;
    for (size_t i = 0; i < 2; i++) {
        if (positions[i] != PLAN_NONE && !plan_base_usable(strict, positions[i], &full))
            return &chain_history_peek(h, positions[i])->set_guid;
    }
    for (size_t i = 0; i < a->way.log_count; i++) {
        if (!plan_set_usable(strict, a->way.logs[i]))
            return &chain_history_peek(h, a->way.logs[i])->set_guid;
    }
    return NULL;
}

/* Would it be possible if the request were another one? */
static bool refuse_if_possible(const struct chain_plan_request *request, const struct chain_plan_request *other,
                               enum chain_refusal_reason reason, struct chain_refusal *ret_refusal) {
    struct plan_rules strict, loose;
    struct attempt a;
    plan_rules_init(request, &strict);
    plan_rules_init(other, &loose);
    bool found = find(other, &loose, &a);
    if (found) {
        if (reason == CHAIN_REFUSED_RESUME_GAP && a.way.log_count) {
            const struct backup *last = chain_history_peek(request->history, a.way.logs[a.way.log_count - 1]);
            if (lsn_cmp(request->resume.redo_lsn, last->last_lsn) > 0)
                reason = CHAIN_REFUSED_PAST_TARGET;
        }
        const struct guid *set = reason == CHAIN_REFUSED_RESUME_GAP || reason == CHAIN_REFUSED_PAST_TARGET
                                     ? NULL
                                     : set_in_the_way(&a, &strict);
        plan_refuse(request, reason, NULL, set, ret_refusal);
        plan_way_done(&a.way);
    }
    plan_rules_done(&strict);
    plan_rules_done(&loose);
    return found;
}

static void refuse(const struct chain_plan_request *request, const struct attempt *a, struct chain_refusal *ret_refusal) {
    struct chain_plan_request other = *request;
    bool by_clock = a->refused == CHAIN_REFUSED_AMBIGUOUS_HOUR || a->refused == CHAIN_REFUSED_CLOCK_SET_BACK;
    if (a->refused == CHAIN_REFUSED_IN_HOLE) {
        other.resume.on = false;
        if (request->resume.on && refuse_if_possible(request, &other, CHAIN_REFUSED_RESUME_GAP, ret_refusal))
            return;
        other = *request;
        other.allow_damaged = true;
        if (!request->allow_damaged && refuse_if_possible(request, &other, CHAIN_REFUSED_BASE_DAMAGED, ret_refusal))
            return;
        other = *request;
        other.avoid_count = 0;
        if (request->avoid_count && refuse_if_possible(request, &other, CHAIN_REFUSED_SET_UNUSABLE, ret_refusal))
            return;
    }
    other = *request;
    other.target = a->target;
    plan_refuse(&other, a->refused, by_clock ? &a->clock : NULL, NULL, ret_refusal);
}

/* What makes every search pointless. */
static enum chain_refusal_reason refuse_at_once(const struct chain_plan_request *request) {
    const struct chain_history *h = request->history;
    size_t at, ours = 0;
    for (size_t i = 0; i < h->count && !ours; i++)
        ours += !(h->order[i].flags & BACKUP_FOREIGN);
    if (!ours)
        return CHAIN_REFUSED_NO_BACKUPS;
    if (request->path && !chain_history_path_find(h, request->path, &at))
        return CHAIN_REFUSED_PATH_UNKNOWN;
    bool known = !request->resume.on;
    for (size_t p = 0; p < h->path_count && !known; p++)
        known = guid_eq(&h->paths[p].path.fork, &request->resume.redo_fork);
    return known ? CHAIN_REFUSED_NONE : CHAIN_REFUSED_PATH_UNKNOWN;
}

bool chain_plan_build(const struct chain_plan_request *request, struct chain_plan *ret_plan, struct chain_refusal *ret_refusal) {
    struct plan_rules rules;
    struct attempt a;
    enum chain_refusal_reason reason = refuse_at_once(request);
    if (reason) {
        plan_refuse(request, reason, NULL, NULL, ret_refusal);
        return false;
    }
    plan_rules_init(request, &rules);
    rules.allow_damaged = false; /* where there is a sound way, it is taken */
    bool found = find(request, &rules, &a);
    if (!found && request->allow_damaged && a.refused == CHAIN_REFUSED_IN_HOLE) {
        rules.allow_damaged = true;
        found = find(request, &rules, &a);
    }
    if (found) {
        plan_fill(&a, ret_plan);
        plan_way_done(&a.way);
    } else {
        refuse(request, &a, ret_refusal);
    }
    plan_rules_done(&rules);
    return found;
}

void chain_plan_done(struct chain_plan *plan) {
    mem_free(plan->members);
    *plan = (struct chain_plan){0};
}
