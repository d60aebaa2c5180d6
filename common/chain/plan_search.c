/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cheapest way to a goal.
 *
 * From the goal backwards: the cost of the logs from an LSN to the goal never grows with the LSN, because logs that lead
 * there from an older one lead there from a newer one, too. So one pass over the sets of a path, newest first, is enough.
 * `heap` holds the logs that a set further back may be followed by, the cheapest on top; a log that begins behind the
 * present LSN can never be used further back and is thrown away when it comes to the top. Where a log crosses a fork the
 * pass goes on over the path it comes from, up to the fork point.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/chain/plan_int.h"

struct node { /* a log and what follows it */
    struct plan_cost cost; /* of it and of all that follows */
    struct lsn first;
    uint32_t position;
    uint32_t next; /* node, PLAN_NONE: the goal is in this log */
};

struct seed { /* a log that crosses over from another fork */
    uint32_t node; /* PLAN_NONE: of no use itself, but what was before the fork is the database's past, too */
    struct lsn fork_point;
    size_t path; /* it comes from */
};

struct search {
    const struct plan_rules *rules;
    const struct plan_goal *goal;
    struct node *nodes;
    size_t node_count, node_cap;
    uint32_t *heap; /* nodes */
    size_t heap_count, heap_cap;
    uint32_t *waiting; /* nodes that hold the goal; of use as soon as something before the goal is found */
    size_t waiting_count, waiting_cap;
    struct seed *seeds; /* found on the path that is walked */
    size_t seed_count, seed_cap;
    struct lsn tip; /* end of the last log of the target's path */
    struct lsn gap; /* lowest LSN from which the goal can be reached */
    int64_t used_at; /* since then the target's path was in use for certain */
    bool target_path;
    bool reached; /* something was in the heap */
    bool closed; /* no older set, known or not, can be cheaper */
    bool found;
    struct plan_cost best;
    uint32_t best_full, best_diff, best_node;
};

static int cost_cmp(struct plan_cost a, struct plan_cost b) {
    if (a.bytes != b.bytes)
        return a.bytes < b.bytes ? -1 : 1;
    return (a.sets > b.sets) - (a.sets < b.sets);
}

static struct plan_cost cost_add(struct plan_cost a, uint64_t bytes) {
    a.bytes = a.bytes > UINT64_MAX - bytes ? UINT64_MAX : a.bytes + bytes;
    a.sets++;
    return a;
}

/* ---- which sets ---- */

uint64_t plan_set_bytes(const struct backup *set) {
    return set->stored_bytes ? set->stored_bytes : set->size_bytes;
}

static int position_cmp(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

void plan_rules_init(const struct chain_plan_request *request, struct plan_rules *ret_rules) {
    *ret_rules = (struct plan_rules){.history = request->history,
                                     .resume = request->resume.on ? &request->resume : NULL,
                                     .avoided = mem_array(request->avoid_count ? request->avoid_count : 1, sizeof(uint32_t)),
                                     .allow_damaged = request->allow_damaged};
    for (size_t i = 0; i < request->avoid_count; i++) {
        size_t at;
        if (chain_history_find(request->history, &request->avoid[i], &at))
            ret_rules->avoided[ret_rules->avoided_count++] = (uint32_t)at;
    }
    qsort(ret_rules->avoided, ret_rules->avoided_count, sizeof(uint32_t), position_cmp);
}

void plan_rules_done(struct plan_rules *rules) {
    mem_free(rules->avoided);
    rules->avoided = NULL;
}

bool plan_set_usable(const struct plan_rules *rules, uint32_t position) {
    if (rules->history->order[position].flags & (BACKUP_FOREIGN | BACKUP_UNREADABLE) ||
        !backup_has_lsns(chain_history_peek(rules->history, position)))
        return false;
    return !rules->avoided_count || !bsearch(&position, rules->avoided, rules->avoided_count, sizeof(uint32_t), position_cmp);
}

static bool full_usable(const struct plan_rules *rules, uint32_t position) {
    uint32_t flags = rules->history->order[position].flags;
    return chain_history_peek(rules->history, position)->kind == BACKUP_FULL && plan_set_usable(rules, position) &&
           !(flags & BACKUP_SNAPSHOT) && (rules->allow_damaged || !(flags & BACKUP_DAMAGED));
}

bool plan_base_usable(const struct plan_rules *rules, uint32_t position, uint32_t *ret_full) {
    const struct backup *set = chain_history_peek(rules->history, position);
    uint32_t flags = rules->history->order[position].flags;
    if (set->kind == BACKUP_FULL && !rules->resume && full_usable(rules, position)) {
        *ret_full = position;
        return true;
    }
    if (set->kind != BACKUP_DIFF || !plan_set_usable(rules, position) || (flags & BACKUP_SNAPSHOT) ||
        (!rules->allow_damaged && (flags & BACKUP_DAMAGED)) || guid_is_zero(&set->diff_base_guid))
        return false;
    if (rules->resume) { /* the full is in the database already */
        *ret_full = PLAN_NONE;
        return guid_eq(&rules->resume->base, &set->diff_base_guid) && lsn_cmp(set->last_lsn, rules->resume->redo_lsn) > 0;
    }
    size_t at;
    if (!chain_history_find(rules->history, &set->diff_base_guid, &at) || !full_usable(rules, (uint32_t)at))
        return false;
    const struct backup *full = chain_history_peek(rules->history, at);
    *ret_full = (uint32_t)at;
    return full->incarnation == set->incarnation && guid_eq(&full->family_guid, &set->family_guid);
}

/* ---- the heap ---- */

static bool node_before(const struct search *s, uint32_t a, uint32_t b) {
    int c = cost_cmp(s->nodes[a].cost, s->nodes[b].cost);
    return c ? c < 0 : s->nodes[a].position < s->nodes[b].position;
}

static void heap_push(struct search *s, uint32_t node) {
    s->heap = mem_grow(s->heap, &s->heap_cap, s->heap_count + 1, sizeof(*s->heap));
    size_t i = s->heap_count++;
    for (; i && node_before(s, node, s->heap[(i - 1) / 2]); i = (i - 1) / 2)
        s->heap[i] = s->heap[(i - 1) / 2];
    s->heap[i] = node;
    if (!s->reached || lsn_cmp(s->nodes[node].first, s->gap) < 0)
        s->gap = s->nodes[node].first;
    s->reached = true;
}

static void heap_pop(struct search *s) {
    uint32_t node = s->heap[--s->heap_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->heap_count)
            break;
        if (child + 1 < s->heap_count && node_before(s, s->heap[child + 1], s->heap[child]))
            child++;
        if (!node_before(s, s->heap[child], node))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->heap_count)
        s->heap[i] = node;
}

/* The cheapest log from here on, PLAN_NONE when none begins here or before. */
static uint32_t heap_top(struct search *s, struct lsn at) {
    for (size_t i = 0; i < s->waiting_count; i++) {
        if (lsn_cmp(s->nodes[s->waiting[i]].first, at) <= 0)
            heap_push(s, s->waiting[i]);
    }
    s->waiting_count = 0;
    while (s->heap_count && lsn_cmp(s->nodes[s->heap[0]].first, at) > 0)
        heap_pop(s);
    return s->heap_count ? s->heap[0] : PLAN_NONE;
}

static uint32_t node_add(struct search *s, uint32_t position, const struct backup *log, uint32_t next) {
    struct plan_cost rest = next == PLAN_NONE ? (struct plan_cost){0} : s->nodes[next].cost;
    s->nodes = mem_grow(s->nodes, &s->node_cap, s->node_count + 1, sizeof(*s->nodes));
    s->nodes[s->node_count] = (struct node){
        .cost = cost_add(rest, plan_set_bytes(log)), .first = log->first_lsn, .position = position, .next = next};
    return (uint32_t)s->node_count++;
}

/* ---- the goal ---- */

enum log_use { LOG_USELESS, LOG_HOLDS_GOAL, LOG_BEFORE_GOAL };

/* A log from before the fork. What it says of the time behind its end counts for the path that it was taken on only. */
static enum log_use log_use_time_parent(const struct search *s, const struct backup *log) {
    if (s->goal->at >= s->used_at)
        return LOG_BEFORE_GOAL;
    int64_t until = plan_log_is_whole(log) ? backup_ended_by(log) : backup_reach_at(log);
    return until < s->goal->at ? LOG_BEFORE_GOAL : LOG_USELESS;
}

static enum log_use log_use_time(const struct search *s, const struct backup *log) {
    const struct plan_goal *goal = s->goal;
    bool bulk = plan_log_is_whole(log);
    if (bulk && backup_ended_by(log) > goal->at)
        return LOG_USELESS; /* its end may be behind the goal, and its inside cannot be reached */
    if (!bulk && backup_reach_at(log) >= goal->at)
        return LOG_HOLDS_GOAL;
    return !lsn_cmp(log->last_lsn, s->tip) && goal->at <= goal->quiet_until_at ? LOG_HOLDS_GOAL : LOG_BEFORE_GOAL;
}

static enum log_use log_use_lsn(const struct search *s, const struct backup *log) {
    const struct plan_goal *goal = s->goal;
    int first = lsn_cmp(goal->lsn, log->first_lsn), last = lsn_cmp(goal->lsn, log->last_lsn);
    if (goal->before && !last)
        return lsn_cmp(log->first_lsn, log->last_lsn) ? LOG_HOLDS_GOAL : LOG_USELESS;
    if (last >= 0)
        return LOG_BEFORE_GOAL;
    return (goal->before ? first > 0 : first >= 0) && !plan_log_is_whole(log) ? LOG_HOLDS_GOAL : LOG_USELESS;
}

static bool base_before_goal(const struct search *s, const struct backup *set) {
    if (s->goal->by_time)
        return set->finish_at && backup_ended_by(set) <= s->goal->at;
    return lsn_cmp(set->last_lsn, s->goal->lsn) <= 0;
}

/* Is the state at the end of this data backup the goal? */
static bool base_is_goal(const struct search *s, struct lsn end) {
    if (!s->goal->by_time)
        return s->goal->before && !lsn_cmp(end, s->goal->lsn);
    return s->target_path && s->goal->at <= s->goal->quiet_until_at && lsn_cmp(end, s->tip) >= 0;
}

/* ---- the walk ---- */

static bool full_newer(uint32_t a, uint32_t b) {
    return a != PLAN_NONE && (b == PLAN_NONE || a > b);
}

static void way_offer(struct search *s, struct plan_cost cost, uint32_t full, uint32_t diff, uint32_t node) {
    int c = s->found ? cost_cmp(cost, s->best) : -1;
    if (c > 0 || (!c && !full_newer(full, s->best_full)))
        return;
    s->found = true;
    s->best = cost;
    s->best_full = full;
    s->best_diff = diff;
    s->best_node = node;
}

/* A state to go on from: the end of a data backup, or where the database stands (full and diff NONE). */
static void state_offer(struct search *s, struct lsn end, uint32_t full, uint32_t diff) {
    const struct chain_history *h = s->rules->history;
    uint32_t node = PLAN_NONE;
    struct plan_cost cost = {0};
    if (!base_is_goal(s, end)) {
        node = heap_top(s, end);
        if (node == PLAN_NONE)
            return;
        cost = s->nodes[node].cost;
    }
    if (full != PLAN_NONE)
        cost = cost_add(cost, plan_set_bytes(chain_history_peek(h, full)));
    if (diff != PLAN_NONE)
        cost = cost_add(cost, plan_set_bytes(chain_history_peek(h, diff)));
    way_offer(s, cost, full, diff, node);
}

static void seed_add(struct search *s, const struct backup *log, uint32_t node) {
    struct chain_path from = {.family = log->family_guid, .fork = log->first_fork, .incarnation = log->incarnation};
    size_t path;
    if (!backup_crosses_fork(log) || !chain_history_path_find(s->rules->history, &from, &path))
        return;
    bool inside = lsn_cmp(log->fork_point, log->last_lsn) < 0; /* a header may say anything */
    s->seeds = mem_grow(s->seeds, &s->seed_cap, s->seed_count + 1, sizeof(*s->seeds));
    s->seeds[s->seed_count++] = (struct seed){.node = node, .fork_point = inside ? log->fork_point : log->last_lsn, .path = path};
}

/* In this order at one LSN: a log that ends where a set ends may still say that nothing was committed since. */
enum pass { PASS_HOLDS_GOAL, PASS_LOGS, PASS_DATA, PASS_COUNT };

static void log_visit(struct search *s, uint32_t position, const struct backup *log, enum pass pass) {
    enum log_use use = !s->goal->by_time ? log_use_lsn(s, log)
                       : s->target_path  ? log_use_time(s, log)
                                         : log_use_time_parent(s, log);
    uint32_t node = PLAN_NONE, next;
    if ((use == LOG_HOLDS_GOAL) != (pass == PASS_HOLDS_GOAL))
        return;
    if (use == LOG_HOLDS_GOAL) {
        node = node_add(s, position, log, PLAN_NONE);
        s->waiting = mem_grow(s->waiting, &s->waiting_cap, s->waiting_count + 1, sizeof(*s->waiting));
        s->waiting[s->waiting_count++] = node;
    } else if (use == LOG_BEFORE_GOAL && lsn_cmp(log->first_lsn, log->last_lsn) < 0 &&
               (next = heap_top(s, log->last_lsn)) != PLAN_NONE) {
        node = node_add(s, position, log, next);
        heap_push(s, node);
    }
    seed_add(s, log, node);
}

static void set_visit(struct search *s, uint32_t position, enum pass pass) {
    const struct backup *set = chain_history_peek(s->rules->history, position);
    uint32_t full;
    if ((set->kind == BACKUP_LOG) != (pass != PASS_DATA) || !plan_set_usable(s->rules, position))
        return;
    if (set->kind == BACKUP_LOG)
        log_visit(s, position, set, pass);
    else if (!base_before_goal(s, set))
        return;
    else if (plan_base_usable(s->rules, position, &full))
        state_offer(s, set->last_lsn, full, full == position ? PLAN_NONE : position);
    else if (set->kind == BACKUP_DIFF)
        s->closed = false; /* its full may be among older sets */
}

/* Nothing further back can be cheaper: what is there already costs as much. */
static bool hopeless(struct search *s, struct lsn at) {
    if (!s->found)
        return false;
    uint32_t top = heap_top(s, at);
    return top != PLAN_NONE && cost_cmp(s->nodes[top].cost, s->best) >= 0;
}

static int seed_cmp(const void *a, const void *b) {
    const struct seed *x = a, *y = b;
    int c = lsn_cmp(y->fork_point, x->fork_point);
    return c ? c : (x->node > y->node) - (x->node < y->node);
}

/* Seeds of one path, newest fork point first; `opened` of them lead on from the present LSN. */
struct crossing {
    struct seed *seeds;
    size_t count, opened;
};

static void crossing_open(struct search *s, struct crossing *c, struct lsn at) {
    for (; c->opened < c->count && lsn_cmp(at, c->seeds[c->opened].fork_point) <= 0; c->opened++) {
        if (c->seeds[c->opened].node != PLAN_NONE)
            heap_push(s, c->seeds[c->opened].node);
    }
}

/* Where a database that is RESTORING stands. */
static void resume_offer(struct search *s, struct crossing *c) {
    struct lsn at = s->rules->resume->redo_lsn;
    crossing_open(s, c, at);
    if (s->target_path || c->opened)
        state_offer(s, at, PLAN_NONE, PLAN_NONE);
}

/* Newest first over one path; a path before the target's up to the fork points only. */
static void path_walk(struct search *s, const struct chain_history_path *path, struct crossing *c) {
    const struct plan_rules *rules = s->rules;
    const struct chain_resume *resume = rules->resume;
    bool stands = resume && guid_eq(&resume->redo_fork, &path->path.fork);
    s->heap_count = s->waiting_count = 0;
    for (size_t end = path->end, begin; end > path->begin; end = begin) {
        struct lsn last = chain_history_peek(rules->history, end - 1)->last_lsn;
        for (begin = end - 1; begin > path->begin; begin--) { /* sets that end at one LSN */
            if (lsn_cmp(chain_history_peek(rules->history, begin - 1)->last_lsn, last))
                break;
        }
        int left = stands ? lsn_cmp(last, resume->redo_lsn) : 1;
        if (left == 0) { /* what ends here was restored already: again only when nothing else holds the goal */
            resume_offer(s, c);
            if (s->found)
                return;
        }
        if (left < 0)
            break;
        crossing_open(s, c, last);
        if (!s->target_path && !c->opened)
            continue;
        if (c->opened == c->count && hopeless(s, last))
            return;
        for (enum pass pass = 0; pass < PASS_COUNT; pass++) {
            for (size_t i = begin; i < end; i++)
                set_visit(s, (uint32_t)i, pass);
        }
    }
    if (stands)
        resume_offer(s, c);
    else
        s->closed = false;
}

/* The newest path that a found log crosses over from and that was not walked yet; takes its seeds. */
static bool crossing_next(struct search *s, const bool *walked, size_t *ret_path, struct crossing *ret_crossing) {
    size_t newest = SIZE_MAX, left = 0;
    for (size_t i = 0; i < s->seed_count; i++) {
        if (!walked[s->seeds[i].path] && (newest == SIZE_MAX || s->seeds[i].path > newest))
            newest = s->seeds[i].path;
    }
    if (newest == SIZE_MAX)
        return false;
    *ret_path = newest;
    *ret_crossing = (struct crossing){.seeds = mem_array(s->seed_count, sizeof(struct seed))};
    for (size_t i = 0; i < s->seed_count; i++) {
        if (s->seeds[i].path == newest)
            ret_crossing->seeds[ret_crossing->count++] = s->seeds[i];
        else
            s->seeds[left++] = s->seeds[i];
    }
    s->seed_count = left;
    qsort(ret_crossing->seeds, ret_crossing->count, sizeof(struct seed), seed_cmp);
    return true;
}

int64_t plan_path_used_at(const struct chain_history *history, size_t path) {
    const struct chain_history_path *p = &history->paths[path];
    int64_t at = INT64_MAX;
    for (size_t i = p->begin; i < p->end; i++) {
        const struct backup *set = chain_history_peek(history, i);
        if (!(history->order[i].flags & BACKUP_FOREIGN) && set->start_at && set->start_at < at)
            at = set->start_at;
    }
    return at;
}

/* The target's path, then those that it came from, each once. */
static void lineage_walk(struct search *s, size_t path) {
    const struct chain_history *h = s->rules->history;
    bool *walked = mem_array(h->path_count, sizeof(*walked));
    struct crossing c = {0};
    s->target_path = true;
    walked[path] = true;
    path_walk(s, &h->paths[path], &c);
    s->target_path = false;
    if (s->goal->by_time && s->seed_count)
        s->used_at = plan_path_used_at(h, path);
    for (size_t from; crossing_next(s, walked, &from, &c);) {
        walked[from] = true;
        path_walk(s, &h->paths[from], &c);
        mem_free(c.seeds);
    }
    mem_free(walked);
}

/* The end of the last log of the path, ours or not avoided: behind it nothing more was committed while it is quiet. */
static struct lsn path_tip(const struct plan_rules *rules, const struct chain_history_path *path) {
    for (size_t i = path->end; i-- > path->begin;) {
        const struct backup *set = chain_history_peek(rules->history, i);
        if (set->kind == BACKUP_LOG && !(rules->history->order[i].flags & BACKUP_FOREIGN) && backup_has_lsns(set))
            return set->last_lsn;
    }
    return (struct lsn){0};
}

static void way_fill(const struct search *s, struct plan_way *ret_way) {
    *ret_way = (struct plan_way){.full = s->best_full, .diff = s->best_diff, .cost = s->best, .closed = s->closed};
    for (uint32_t n = s->best_node; n != PLAN_NONE; n = s->nodes[n].next)
        ret_way->log_count++;
    ret_way->logs = mem_array(ret_way->log_count ? ret_way->log_count : 1, sizeof(*ret_way->logs));
    size_t i = 0;
    for (uint32_t n = s->best_node; n != PLAN_NONE; n = s->nodes[n].next)
        ret_way->logs[i++] = s->nodes[n].position;
}

bool plan_search(const struct plan_rules *rules, size_t path, const struct plan_goal *goal, struct plan_way *ret_way,
                 struct lsn *ret_gap) {
    struct search s = {.rules = rules, .goal = goal, .closed = true};
    s.best_full = s.best_diff = s.best_node = PLAN_NONE;
    if (goal->by_time && goal->quiet_until_at)
        s.tip = path_tip(rules, &rules->history->paths[path]);
    lineage_walk(&s, path);
    if (s.found)
        way_fill(&s, ret_way);
    else if (ret_gap)
        *ret_gap = s.reached ? s.gap : (struct lsn){0};
    mem_free(s.nodes);
    mem_free(s.heap);
    mem_free(s.waiting);
    mem_free(s.seeds);
    return s.found;
}

void plan_way_done(struct plan_way *way) {
    mem_free(way->logs);
    *way = (struct plan_way){0};
}
