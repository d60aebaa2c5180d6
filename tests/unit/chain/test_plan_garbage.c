/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histories that no server wrote: random kinds, LSNs, forks, times and flags. Whatever comes in, a plan is contiguous by the
 * rules of RESTORE, every call ends, and a refusal says something. CHAIN_SEED=n and CHAIN_RUNS=n as elsewhere.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/chain/plan.h"
#include "tests/unit/chain/make.h"

#define SETS 48

static uint32_t seed;

static uint32_t below(uint32_t n) {
    seed ^= seed << 13;
    seed ^= seed >> 17;
    seed ^= seed << 5;
    return (seed >> 8) % n;
}

static struct lsn any_lsn(void) {
    switch (below(30)) {
    case 0:
        return L(0);
    case 1:
        return (struct lsn){UINT32_MAX, UINT32_MAX, UINT16_MAX};
    default:
        return L(1 + below(40));
    }
}

static int64_t any_time(void) {
    return below(20) ? SEC(1000) + (int64_t)below(400) * (CLOCK_SECOND / 4) : (int64_t)below(2) * SEC(4000000000);
}

static struct backup any_set(void) {
    struct backup b = {.kind = (enum backup_kind)below(BACKUP_KIND_COUNT),
                       .set_guid = G(below(60)),
                       .family_guid = G(1 + (below(8) == 0)),
                       .first_fork = G(10 + below(3)),
                       .last_fork = G(10 + below(3)),
                       .fork_point = any_lsn(),
                       .diff_base_guid = G(below(60)),
                       .first_lsn = any_lsn(),
                       .last_lsn = any_lsn(),
                       .start_at = any_time(),
                       .finish_at = any_time(),
                       .valid_until = below(2) ? any_time() : 0,
                       .utc_offset_s = (int32_t)below(3) * 3600,
                       .incarnation = below(6) == 0,
                       .stored_bytes = below(4) ? below(100) : UINT64_MAX - below(3)};
    b.flags = below(4) ? 0 : 1u << below(14);
    if (lsn_cmp(b.last_lsn, b.first_lsn) < 0 && below(10)) {
        struct lsn swap = b.first_lsn;
        b.first_lsn = b.last_lsn;
        b.last_lsn = swap;
    }
    return b;
}

static bool joins(const struct backup *log, struct lsn redo, const struct guid *fork) {
    if (lsn_cmp(log->first_lsn, redo) > 0 || lsn_cmp(redo, log->last_lsn) > 0)
        return false;
    bool before = guid_eq(fork, &log->first_fork) && (!backup_crosses_fork(log) || lsn_cmp(redo, log->fork_point) <= 0);
    return before || guid_eq(fork, &log->last_fork);
}

/* As the server takes them, one after the other. */
static void check_contiguous(const struct chain_plan_request *request, const struct chain_plan *plan, uint32_t first_seed) {
    const struct backup *sets = request->history->sets, *full = NULL;
    struct lsn redo = request->resume.redo_lsn;
    struct guid fork = request->resume.redo_fork;
    for (size_t i = 0; i < plan->count; i++) {
        const struct backup *b = &sets[plan->members[i].set];
        bool good = !backup_has(b, BACKUP_FOREIGN) && backup_has_lsns(b) && b->incarnation == plan->path.incarnation &&
                    guid_eq(&b->family_guid, &plan->path.family);
        if (b->kind == BACKUP_FULL) {
            good = good && !i && !request->resume.on && backup_is_base(b);
            full = b;
        } else if (b->kind == BACKUP_DIFF) {
            const struct guid *base = full ? &full->set_guid : &request->resume.base;
            good = good && i == (full != NULL) && guid_eq(&b->diff_base_guid, base) && !guid_is_zero(base);
        } else {
            good = good && (full || request->resume.on) && (joins(b, redo, &fork) || plan->members[i].if_needed);
        }
        for (size_t k = 0; k < request->avoid_count; k++)
            good = good && !guid_eq(&request->avoid[k], &b->set_guid);
        if (!good)
            fail_msg("seed %u: member %zu does not fit: %s, flags %x, resumed %d", first_seed, i, backup_kind_name(b->kind),
                     b->flags, request->resume.on);
        redo = lsn_max(b->last_lsn, b->kind == BACKUP_LOG ? redo : L(0));
        fork = b->last_fork;
    }
}

static void ask(const struct chain_history *history, uint32_t first_seed, unsigned *planned) {
    struct guid avoid[2] = {G(1 + below(59)), G(1 + below(59))}; /* zero names no set */
    struct chain_log_mark mark = {.name = "m", .lsn = any_lsn(), .at = any_time(), .set = G(below(60))};
    struct chain_hole hole = {.cause = CHAIN_HOLE_FORK, .fork = G(10 + below(3)), .family = G(1), .cause_at = any_time()};
    struct chain_plan_request request = {
        .history = history,
        .target = {.kind = (enum chain_target_kind)below(4), .at = any_time(), .lsn = any_lsn(), .before = below(2), .mark = "m"},
        .avoid = avoid,
        .avoid_count = below(3),
        .marks = &mark,
        .mark_count = 1,
        .known = &hole,
        .known_count = 1,
        .quiet_until_at = below(3) ? 0 : any_time(),
        .now = below(2) ? 0 : any_time()};
    if (!below(5))
        request.resume = (struct chain_resume){
            .on = true, .redo_lsn = any_lsn(), .redo_fork = G(10 + below(3)), .base = G(below(60))};
    struct chain_plan plan;
    struct chain_refusal refusal;
    if (!chain_plan_build(&request, &plan, &refusal)) {
        assert_true(refusal.reason && refusal.class && refusal.text[0]);
        return;
    }
    check_contiguous(&request, &plan, first_seed);
    chain_plan_done(&plan);
    ++*planned;
}

static void test_garbage(void **state) {
    (void)state;
    const char *from = getenv("CHAIN_SEED"), *runs = getenv("CHAIN_RUNS");
    uint32_t first = from ? (uint32_t)strtoul(from, NULL, 10) : 1;
    uint32_t count = runs ? (uint32_t)strtoul(runs, NULL, 10) : from ? 1 : 2000;
    unsigned planned = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct backup sets[SETS];
        struct chain_history history;
        seed = (first + i) * 2654435761u + 1;
        size_t n = 1 + below(SETS);
        for (size_t k = 0; k < n; k++)
            sets[k] = any_set();
        chain_history_init(&history, sets, n);
        for (unsigned k = 0; k < 20; k++)
            ask(&history, first + i, &planned);
        chain_history_done(&history);
    }
    printf("seeds %u to %u, %u plans\n", first, first + count - 1, planned);
    assert_true(planned > 2 * count);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_garbage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
