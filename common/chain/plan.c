/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to a plan: how the way that was found is restored, or what the refusal is. */
#include "common/chain/plan.h"

#include "common/base/mem.h"
#include "common/chain/plan_int.h"

#define NEXT_LOGS_MAX 64 /* looked at to find the log that follows the last certain one */

/* ---- the plan ---- */

static struct chain_member *member_add(const struct plan_attempt *a, struct chain_plan *plan, uint32_t position,
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
 * The last log that is certainly needed: the first that may have ended behind the moment. What follows a log that is
 * restored whole is certain, too: without a stop the server does not say whether the moment was reached.
 */
static size_t last_certain(const struct plan_attempt *a) {
    size_t count = a->way.log_count;
    if (!a->goal.by_time)
        return count ? count - 1 : 0;
    for (size_t i = 0; i < count; i++) {
        const struct backup *log = chain_history_peek(a->rules->history, a->way.logs[i]);
        if (backup_ended_by(log) >= a->target.at && !plan_log_is_whole(log))
            return i;
    }
    return count ? count - 1 : 0;
}

/* The log that goes on where the way ends; PLAN_NONE when there is none, or none that can be stopped in. */
static uint32_t log_after(const struct plan_attempt *a) {
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

static void logs_add(const struct plan_attempt *a, struct chain_plan *plan) {
    size_t certain = last_certain(a);
    for (size_t i = 0; i < a->way.log_count; i++)
        member_add(a, plan, a->way.logs[i], i < certain ? CHAIN_WHY_ROLL : i == certain ? CHAIN_WHY_TARGET : CHAIN_WHY_MAYBE);
    if (a->goal.by_time && a->way.log_count && certain + 1 == a->way.log_count &&
        backup_ended_by(chain_history_peek(a->rules->history, a->way.logs[certain])) >= a->target.at) {
        uint32_t next = log_after(a);
        if (next != PLAN_NONE)
            member_add(a, plan, next, CHAIN_WHY_MAYBE);
    }
}

/* Until when and where the certain members reach. */
static void reach_fill(const struct plan_attempt *a, struct chain_plan *plan) {
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
        plan->reaches_at = set->kind == BACKUP_LOG ? backup_reach_at(set) : backup_ended_by(set);
    }
    if (a->target.kind == CHAIN_TO_LSN)
        plan->reaches_lsn = a->target.lsn;
}

static void hole_fill(const struct plan_attempt *a, struct chain_plan *plan) {
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

static void plan_fill(const struct plan_attempt *a, struct chain_plan *ret_plan) {
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
static const struct guid *set_in_the_way(const struct plan_attempt *a, const struct plan_rules *strict) {
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
    struct plan_attempt a;
    plan_rules_init(request, &strict);
    plan_rules_init(other, &loose);
    bool found = plan_find(other, &loose, &a);
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

static void refuse(const struct chain_plan_request *request, const struct plan_attempt *a, struct chain_refusal *ret_refusal) {
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
    struct plan_attempt a;
    enum chain_refusal_reason reason = refuse_at_once(request);
    if (reason) {
        plan_refuse(request, reason, NULL, NULL, ret_refusal);
        return false;
    }
    plan_rules_init(request, &rules);
    rules.allow_damaged = false; /* where there is a sound way, it is taken */
    bool found = plan_find(request, &rules, &a);
    if (!found && request->allow_damaged && a.refused == CHAIN_REFUSED_IN_HOLE) {
        rules.allow_damaged = true;
        found = plan_find(request, &rules, &a);
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
