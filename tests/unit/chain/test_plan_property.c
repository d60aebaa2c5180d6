/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans over random histories. Each plan is restored in the model and must give exactly the records up to its target;
 * what is refused must be out of reach; on small histories no sequence of restores may be cheaper. CHAIN_SEED=n runs one
 * history, CHAIN_RUNS=n that many.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "tests/unit/chain/model_plan.h"

#define SLACK SEC(120) /* how far around a change of the clock moments may be refused */

struct run {
    struct world w;
    uint32_t seed;
    int step;
    struct backup *sets;
    size_t count;
    struct chain_history history;
    struct chain_intervals intervals;
    struct chain_plan_request request;
    unsigned planned, refused, by_clock, compared, points, avoided, crossed, quiet, ifs, resumed, damaged, before_path;
};

#define check(r, condition, ...)                                                                                                 \
    do {                                                                                                                         \
        if (!(condition)) {                                                                                                      \
            fprintf(stderr, "seed %u step %d: ", (r)->seed, (r)->step);                                                          \
            fprintf(stderr, __VA_ARGS__);                                                                                        \
            fprintf(stderr, "\n");                                                                                               \
            run_dump(r);                                                                                                         \
            fail_msg("seed %u: %s", (r)->seed, #condition);                                                                      \
        }                                                                                                                        \
    } while (0)

static unsigned number(const struct guid *g) {
    return (unsigned)g->bytes[2] * 256 + g->bytes[3];
}

static long long seconds(int64_t at) {
    return (long long)(at / CLOCK_SECOND - 1000000);
}

static void run_dump(const struct run *r) {
    char text[CHAIN_TARGET_TEXT_MAX];
    const struct chain_target *t = &r->request.target;
    fprintf(stderr, "  target %s (second %.1f)\n", chain_target_format(text, t),
            t->at ? (double)t->at / (double)CLOCK_SECOND - 1000000 : 0);
    for (size_t i = 0; i < r->w.m.ours_count; i++) {
        const struct model_set *s = &r->w.m.ours[i];
        const struct backup *b = &s->set;
        fprintf(stderr,
                "  %-4s id %3u inc %u fork %u>%u point %u [%u,%u] records (%d,%d] at %lld..%lld flags %x base %u bytes %u "
                "offset %d\n",
                backup_kind_name(b->kind), number(&b->set_guid), b->incarnation, number(&b->first_fork), number(&b->last_fork),
                b->fork_point.block, b->first_lsn.block, b->last_lsn.block, s->begin, s->end, seconds(b->start_at),
                seconds(b->finish_at), b->flags, number(&b->diff_base_guid), (unsigned)b->stored_bytes, b->utc_offset_s);
    }
    for (size_t i = 0; i < r->w.path_count; i++)
        fprintf(stderr, "  path inc %u fork %u made at %lld head %d\n", r->w.paths[i].path.incarnation,
                number(&r->w.paths[i].path.fork), seconds(r->w.paths[i].made_at), r->w.paths[i].head);
    for (int i = 0; i < r->w.m.record_count; i++)
        fprintf(stderr, "  record %d before %d lsn %u fork %u at %lld\n", i, r->w.m.records[i].before, r->w.m.records[i].lsn,
                r->w.m.records[i].fork, seconds(r->w.m.records[i].at));
}

/* ---- the history ---- */

static void history_open(struct run *r) {
    struct model *m = &r->w.m;
    r->sets = mem_array(m->ours_count + m->foreign_count + 2, sizeof(*r->sets));
    r->count = 0;
    for (size_t i = 0; i < m->ours_count; i++)
        r->sets[r->count++] = m->ours[i].set;
    for (size_t i = 0; i < m->foreign_count; i++)
        r->sets[r->count++] = m->foreign[i].set;
    if (m->ours_count) /* a stripe, or a manifest that was read twice */
        r->sets[r->count++] = m->ours[model_random(m, (uint32_t)m->ours_count)].set;
    for (size_t i = r->count; i > 1; i--) {
        size_t j = model_random(m, (uint32_t)i);
        struct backup swap = r->sets[i - 1];
        r->sets[i - 1] = r->sets[j];
        r->sets[j] = swap;
    }
    chain_history_init(&r->history, r->sets, r->count);
    r->request = (struct chain_plan_request){.history = &r->history, .foreign = m->foreign, .foreign_count = m->foreign_count};
    /* Nothing was committed since the last log of the newest path: the sidecar would call it quiet. */
    const struct model_set *last = NULL;
    for (size_t i = 0; i < m->ours_count; i++) {
        if (m->ours[i].set.kind == BACKUP_LOG)
            last = &m->ours[i];
    }
    const struct chain_path path = {.family = G(m->server.family), .fork = G(m->server.fork), .incarnation = r->w.incarnation};
    if (last && last->end == m->server.head && m->server.log_from_record == last->end && !r->w.two_primaries &&
        chain_path_eq(&path, &r->history.paths[r->history.path_count - 1].path) && m->now > last->set.finish_at)
        r->request.quiet_until_at = m->now;
    struct chain_interval_input input = {.history = &r->history, .quiet_until_at = r->request.quiet_until_at};
    chain_intervals_build(&input, &r->intervals);
}

static void history_close(struct run *r) {
    chain_intervals_done(&r->intervals);
    chain_history_done(&r->history);
    mem_free(r->sets);
}

static bool unclear(const struct run *r, int64_t at, int64_t slack) {
    return world_time_unclear(r->w.steps, r->w.step_count, at, slack) ||
           world_time_unclear(r->w.zones, r->w.zone_count, at, slack);
}

/* Place in the history: that of two forks is older whose first backup was finished first. 0 for the first path, -1 for none. */
static int path_place(const struct run *r, const struct chain_path *path) {
    size_t p;
    return path && chain_history_path_find(&r->history, path, &p) ? (int)p : -1;
}

/* The newest path of which a backup of ours had begun; -1 none. */
static int path_known_at(const struct run *r, int64_t at) {
    int found = -1;
    for (size_t i = 0; i < r->w.m.ours_count; i++) {
        const struct backup *b = &r->w.m.ours[i].set;
        struct chain_path of = chain_path_of(b);
        int place = path_place(r, &of);
        if (b->start_at <= at && place > found)
            found = place;
    }
    return found;
}

/* Does an interval claim the moment, of a path that answers for it? */
static bool claimed(const struct run *r, int64_t at) {
    int used = path_known_at(r, at);
    for (size_t i = 0; i < r->intervals.count; i++) {
        const struct chain_interval *v = &r->intervals.intervals[i];
        if (v->from_at <= at && at <= v->until_at && path_place(r, &v->path) >= used)
            return true;
    }
    return false;
}

/* ---- what is checked of a plan ---- */

static void check_sums(struct run *r, const struct chain_plan *plan) {
    uint64_t bytes = 0, maybe = 0;
    bool late = false;
    for (size_t i = 0; i < plan->count; i++) {
        bytes += r->sets[plan->members[i].set].stored_bytes;
        maybe += plan->members[i].if_needed ? r->sets[plan->members[i].set].stored_bytes : 0;
        check(r, !late || plan->members[i].if_needed, "a certain member behind one that is perhaps needed");
        late = plan->members[i].if_needed;
        r->ifs += late;
        r->crossed += plan->members[i].kind == BACKUP_LOG && backup_crosses_fork(&r->sets[plan->members[i].set]);
    }
    check(r, bytes == plan->stored_bytes && maybe == plan->if_needed_bytes, "the plan's sizes are wrong");
}

/* Without those that are listed to be safe only: the last certain log says that it holds everything. */
static uint64_t needed_bytes(const struct run *r, const struct chain_plan *plan, unsigned *ret_sets) {
    uint64_t bytes = 0;
    bool complete = r->request.target.kind == CHAIN_TO_TIME && plan->complete_until_at >= r->request.target.at;
    *ret_sets = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (complete && plan->members[i].if_needed)
            continue;
        bytes += r->sets[plan->members[i].set].stored_bytes;
        ++*ret_sets;
    }
    return bytes;
}

static bool is_point(const struct chain_plan *plan, const struct chain_target *target) {
    return target->kind == CHAIN_TO_TIME && !plan->stop.kind && plan->complete_until_at < target->at;
}

static void check_cost(struct run *r, const struct chain_plan *plan) {
    struct brute brute;
    struct chain_plan_request request = r->request;
    unsigned sets;
    if (r->count > 26 || request.target.kind == CHAIN_TO_LATEST || is_point(plan, &request.target))
        return;
    if (request.target.kind == CHAIN_TO_TIME && !plan->stop.kind && request.target.at > request.quiet_until_at)
        return; /* the end of a backup that ended at this very moment */
    if (!chain_path_eq(&plan->path, &r->history.paths[r->history.path_count - 1].path))
        request.quiet_until_at = 0;
    struct backup sorted[32];
    for (size_t i = 0; i < r->history.count; i++)
        sorted[i] = chain_history_at(&r->history, i);
    brute_plan(sorted, r->history.count, &plan->path, &request, &brute);
    uint64_t bytes = needed_bytes(r, plan, &sets);
    check(r, brute.found, "a plan where no sequence of restores is possible");
    check(r, bytes == brute.bytes && sets == brute.sets, "the plan reads %u bytes in %u sets, %u in %u are enough",
          (unsigned)bytes, sets, (unsigned)brute.bytes, brute.sets);
    r->compared++;
}

/*
 * Never an older path than the one in use then: what that holds the database did not have at the moment. A younger one only when the
 * plan says so. Between the beginning of a path and its first backup nobody can know that it was in use.
 */
static void check_path(struct run *r, const struct chain_plan *plan) {
    int planned = path_place(r, &plan->path), used = path_known_at(r, r->request.target.at);
    if (used < 0)
        return;
    check(r, planned >= used, "planned on path %d, path %d was in use", planned, used);
    check(r, planned == used || plan->before_path, "planned on path %d of later, without a word", planned);
    r->before_path += plan->before_path;
}

static void check_time(struct run *r, const struct chain_plan *plan, bool strict) {
    int64_t at = r->request.target.at;
    const struct world_path *path = world_path_find(&r->w, &plan->path);
    struct replay replay;
    world_replay(&r->w, plan, r->sets, strict, NULL, &replay);
    if (unclear(r, at, 0))
        return; /* no clock names this moment; most are refused, steps between two logs cannot be seen */
    check(r, !replay.error, "the server refuses the plan: %s", replay.error);
    int truth = world_state_at(&r->w, path, at, strict);
    if (is_point(plan, &r->request.target)) {
        r->points++;
        for (int i = truth; i != replay.state; i = r->w.m.records[i].before) {
            check(r, i >= 0, "the point's state is not on the path, or behind the moment");
            /* where the clock went back, times of commits do not tell which came first */
            check(r, r->w.step_count || r->w.m.records[i].at >= plan->complete_until_at, "record %d is missing from the point",
                  i);
        }
        return;
    }
    check(r, replay.state == truth, "restored up to record %d, wanted %d%s", replay.state, truth, strict ? " (strict)" : "");
    r->quiet += at <= r->request.quiet_until_at && at > plan->stop.at - 1 && !plan->members[plan->count - 1].if_needed;
    check_path(r, plan);
}

static void check_lsn(struct run *r, const struct chain_plan *plan) {
    const struct chain_target *target = &r->request.target;
    const struct world_path *path = world_path_find(&r->w, &plan->path);
    struct replay replay;
    world_replay(&r->w, plan, r->sets, false, NULL, &replay);
    check(r, !replay.error, "the server refuses the plan: %s", replay.error);
    unsigned last = target->lsn.block - target->before;
    check(r, replay.state >= 0 && r->w.m.records[replay.state].lsn == last, "restored up to lsn %u, wanted %u",
          replay.state >= 0 ? r->w.m.records[replay.state].lsn : 0, last);
    check(r, world_record(&r->w, path, last) == replay.state, "the record is not on the plan's path");
}

static void check_latest(struct run *r, const struct chain_plan *plan) {
    struct replay replay;
    struct model *m = &r->w.m;
    world_replay(&r->w, plan, r->sets, false, NULL, &replay);
    check(r, !replay.error, "the server refuses the plan: %s", replay.error);
    model_reach(m, &plan->path);
    for (size_t i = 0; i < m->ours_count; i++) {
        struct chain_path of = chain_path_of(&m->ours[i].set);
        if (chain_path_eq(&of, &plan->path) && m->ours[i].end >= 0 && m->reach[m->ours[i].end])
            check(r, lsn_cmp(m->ours[i].set.last_lsn, plan->reaches_lsn) <= 0, "set %u can be reached and is newer",
                  number(&m->ours[i].set.set_guid));
    }
}

/* ---- refusals ---- */

static void check_nearest(struct run *r, const struct chain_nearest *n, bool by_clock) {
    struct chain_plan_request request = r->request;
    struct chain_plan plan;
    struct chain_refusal refusal;
    if (!n->any)
        return;
    request.path = &n->path;
    request.target = (struct chain_target){.kind = CHAIN_TO_LSN, .lsn = n->lsn, .before = true};
    if (!lsn_is_zero(n->lsn)) { /* else it is inside of a log, where a newer path was begun */
        bool possible = chain_plan_build(&request, &plan, &refusal);
        check(r, possible, "the nearest LSN %u of the refusal is refused itself: %s", n->lsn.block, refusal.text);
        chain_plan_done(&plan);
    }
    /* By LSN a newer path may stand between: the moment is then another one there. */
    if (by_clock || unclear(r, n->at, SLACK) || r->request.target.kind == CHAIN_TO_LSN)
        return;
    request.path = NULL;
    request.target = (struct chain_target){.kind = CHAIN_TO_TIME, .at = n->at};
    bool possible = chain_plan_build(&request, &plan, &refusal);
    check(r, possible, "the nearest moment %lld of the refusal is refused itself: %s", seconds(n->at), refusal.text);
    chain_plan_done(&plan);
}

/* With its pages damaged the database can be had. */
static void check_damaged(struct run *r) {
    struct chain_plan_request request = r->request;
    struct chain_plan plan;
    struct chain_refusal refusal;
    struct replay replay;
    request.allow_damaged = true;
    bool possible = chain_plan_build(&request, &plan, &refusal);
    check(r, possible && plan.damaged, "refused as damaged, but not to be had with damage: %s", refusal.text);
    world_replay(&r->w, &plan, r->sets, false, NULL, &replay);
    check(r, !replay.error || unclear(r, r->request.target.at, SLACK), "the server refuses the plan: %s", replay.error);
    chain_plan_done(&plan);
    r->damaged++;
}

static void check_refused(struct run *r, const struct chain_refusal *refusal) {
    const struct chain_target *target = &r->request.target;
    struct chain_plan_request request = r->request;
    bool by_clock = refusal->reason == CHAIN_REFUSED_AMBIGUOUS_HOUR || refusal->reason == CHAIN_REFUSED_CLOCK_SET_BACK;
    check(r, refusal->class != ERR_NONE && refusal->text[0], "a refusal without class or text");
    if (!r->request.avoid_count)
        check_nearest(r, &refusal->before, by_clock), check_nearest(r, &refusal->after, by_clock);
    if (by_clock) {
        r->by_clock++;
        check(r, unclear(r, target->at, SLACK), "refused because of a clock that nobody changed: %s", refusal->text);
        return;
    }
    r->refused++;
    if (refusal->reason == CHAIN_REFUSED_BASE_DAMAGED)
        check_damaged(r);
    if (target->kind == CHAIN_TO_TIME && !unclear(r, target->at, SLACK) && !r->w.step_count)
        check(r, r->request.avoid_count || !claimed(r, target->at), "refused inside an interval: %s", refusal->text);
    for (size_t p = 0; p < r->w.path_count && target->kind == CHAIN_TO_LSN && !request.avoid_count; p++) {
        int record = world_record(&r->w, &r->w.paths[p], target->lsn.block - target->before);
        model_reach(&r->w.m, &r->w.paths[p].path);
        check(r, record < 0 || !target->before || !r->w.m.reach[record], "lsn %u is refused and can be restored",
              target->lsn.block - 1);
    }
    if (r->count > 26 || target->kind == CHAIN_TO_LATEST || target->kind == CHAIN_TO_MARK)
        return;
    int used = path_known_at(r, target->at);
    struct backup sorted[32];
    for (size_t i = 0; i < r->history.count; i++)
        sorted[i] = chain_history_at(&r->history, i);
    for (size_t p = 0; p < r->history.path_count; p++) {
        struct brute brute;
        if (target->kind == CHAIN_TO_TIME && (int)p < used)
            continue; /* rows that the database did not have then */
        request.quiet_until_at = p + 1 == r->history.path_count ? r->request.quiet_until_at : 0;
        brute_plan(sorted, r->history.count, &r->history.paths[p].path, &request, &brute);
        check(r, !brute.found, "refused (%s), but %u bytes in %u sets lead there", refusal->text, (unsigned)brute.bytes,
              brute.sets);
    }
}

static void check_target(struct run *r, unsigned depth);

/* A member turns out to be damaged: another way, or none. */
static void check_avoid(struct run *r, const struct chain_plan *plan, unsigned depth) {
    struct guid avoid[4];
    if (depth == 3 || !plan->count)
        return;
    for (size_t i = 0; i < r->request.avoid_count; i++)
        avoid[i] = r->request.avoid[i];
    avoid[r->request.avoid_count] = r->sets[plan->members[model_random(&r->w.m, (uint32_t)plan->count)].set].set_guid;
    const struct chain_plan_request saved = r->request;
    r->request.avoid = avoid;
    r->request.avoid_count++;
    r->avoided++;
    check_target(r, depth + 1);
    r->request = saved;
}

/* The restore is interrupted before the target: from there on the same state must come out. */
static void check_resume(struct run *r, const struct chain_plan *plan) {
    size_t whole = 0;
    while (whole < plan->count && plan->members[whole].why < CHAIN_WHY_TARGET)
        whole++;
    if (!whole || plan->members[0].kind != BACKUP_FULL || r->request.avoid_count || is_point(plan, &r->request.target))
        return;
    const struct backup *full = &r->sets[plan->members[0].set];
    const struct backup *last = &r->sets[plan->members[model_random(&r->w.m, (uint32_t)whole)].set];
    const struct standing standing = {.full = full, .state = world_set_end(&r->w, last)};
    const struct chain_plan_request saved = r->request;
    struct chain_plan rest;
    struct chain_refusal refusal;
    struct replay replay, through;
    r->request.resume = (struct chain_resume){
        .on = true, .redo_lsn = last->last_lsn, .redo_fork = last->last_fork, .base = full->set_guid};
    r->request.path = &plan->path;
    bool possible = chain_plan_build(&r->request, &rest, &refusal);
    check(r, possible, "the rest of a plan from set %u on is refused: %s", number(&last->set_guid), refusal.text);
    world_replay(&r->w, &rest, r->sets, false, &standing, &replay);
    world_replay(&r->w, plan, r->sets, false, NULL, &through);
    check(r, !replay.error && replay.state == through.state, "from set %u on: %s, record %d instead of %d",
          number(&last->set_guid), replay.error ? replay.error : "no error", replay.state, through.state);
    chain_plan_done(&rest);
    r->request = saved;
    r->resumed++;
}

static void check_target(struct run *r, unsigned depth) {
    struct chain_plan plan;
    struct chain_refusal refusal;
    const struct chain_target *target = &r->request.target;
    if (!chain_plan_build(&r->request, &plan, &refusal)) {
        check_refused(r, &refusal);
        return;
    }
    r->planned++;
    check_sums(r, &plan);
    for (size_t i = 0; i < plan.count; i++) {
        for (size_t k = 0; k < r->request.avoid_count; k++)
            check(r, !guid_eq(&r->sets[plan.members[i].set].set_guid, &r->request.avoid[k]), "a set to avoid is planned");
    }
    if (target->kind == CHAIN_TO_TIME) {
        check_time(r, &plan, false);
        check_time(r, &plan, true);
    } else if (target->kind == CHAIN_TO_LSN) {
        check_lsn(r, &plan);
    } else if (target->kind == CHAIN_TO_LATEST && !r->request.avoid_count) {
        check_latest(r, &plan);
    }
    if (!(target->kind == CHAIN_TO_TIME && unclear(r, target->at, SLACK)))
        check_cost(r, &plan);
    if (target->kind != CHAIN_TO_TIME || !unclear(r, target->at, SLACK))
        check_resume(r, &plan);
    check_avoid(r, &plan, depth);
    chain_plan_done(&plan);
}

/* ---- targets ---- */

static void target_random(struct run *r) {
    struct model *m = &r->w.m;
    struct chain_target *target = &r->request.target;
    const struct model_record *record = &m->records[model_random(m, (uint32_t)m->record_count)];
    *target = (struct chain_target){.kind = CHAIN_TO_TIME};
    switch (model_random(m, 8)) {
    case 0:
        target->kind = CHAIN_TO_LATEST;
        break;
    case 1:
    case 2:
        target->kind = CHAIN_TO_LSN;
        target->before = model_random(m, 2);
        target->lsn = L(record->lsn + target->before);
        break;
    case 3: /* at an end of something */
        if (m->ours_count) {
            const struct backup *b = &m->ours[model_random(m, (uint32_t)m->ours_count)].set;
            target->at = (model_random(m, 2) ? b->finish_at : b->start_at) + (int64_t)model_random(m, 5) * 333333;
            break;
        }
        __attribute__((fallthrough));
    case 4:
        if (r->intervals.count) { /* what is claimed */
            const struct chain_interval *v = &r->intervals.intervals[model_random(m, (uint32_t)r->intervals.count)];
            target->at = model_random(m, 2) ? v->from_at : v->until_at;
            break;
        }
        __attribute__((fallthrough));
    default:
        target->at = record->at + (int64_t)model_random(m, 3) * 400000;
        break;
    }
}

static void run_one(struct run *r, uint32_t seed) {
    uint32_t steps = seed % 3 ? 14 : 70;
    r->seed = seed;
    world_init(&r->w, seed);
    for (r->step = 0; r->step < (int)steps; r->step++) {
        world_step(&r->w, seed % 4 != 0);
        if (!r->w.m.ours_count || model_random(&r->w.m, steps / 7))
            continue;
        history_open(r);
        for (unsigned i = 0; i < 12; i++) {
            target_random(r);
            check_target(r, 0);
        }
        history_close(r);
    }
}

static unsigned env_number(const char *name, unsigned fallback) {
    const char *s = getenv(name);
    return s ? (unsigned)strtoul(s, NULL, 10) : fallback;
}

static void test_random_plans(void **state) {
    (void)state;
    unsigned first = env_number("CHAIN_SEED", 1), runs = env_number("CHAIN_RUNS", getenv("CHAIN_SEED") ? 1 : 400);
    struct run *r = mem_alloc(sizeof(*r));
    printf("seeds %u to %u\n", first, first + runs - 1);
    for (unsigned i = 0; i < runs; i++)
        run_one(r, first + i);
    printf("%u plans, %u refusals, %u by clock, %u costs compared, %u points, %u sets avoided, %u over forks, %u quiet, %u logs "
           "perhaps needed, %u resumed, %u damaged\n",
           r->planned, r->refused, r->by_clock, r->compared, r->points, r->avoided, r->crossed, r->quiet, r->ifs, r->resumed,
           r->damaged);
    printf("%u from before a path\n", r->before_path);
    if (runs >= 400) { /* the histories must contain what they are to test */
        assert_true(r->planned > 10 * runs && r->refused > 2 * runs && r->compared > 5 * runs);
        assert_true(r->by_clock > runs / 10 && r->points > runs / 10 && r->avoided > 5 * runs && r->ifs > runs);
        assert_true(r->crossed > runs / 10 && r->quiet > runs / 20 && r->resumed > runs && r->damaged > runs / 20);
    }
    mem_free(r);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_plans)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
