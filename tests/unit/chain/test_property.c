/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random histories of a model server. What common/chain claims is compared with what the model's sets really restore:
 * each claimed state is reachable, each reachable state is claimed, holes hold nothing reachable; decisions heal; the tip
 * that grew set by set equals the one built from the history. CHAIN_SEED=n runs one history, CHAIN_RUNS=n that many.
 */
#include "common/chain/check.h"
#include "common/chain/decide.h"
#include "common/chain/interval.h"
#include "tests/unit/chain/model.h"

struct run {
    struct model m;
    struct chain_tip tip;
    struct chain_memory memory;
    uint32_t seed;
    int step;
    struct chain_tip late_tip; /* the same sets, data backups come later */
    struct backup late[64];
    size_t late_count;
    int64_t quiet_until_at;
    /* The volume went back behind a set of ours, and nothing that a server says has to show it. */
    bool may_be_blind, blind;
    unsigned taken[BACKUP_KIND_COUNT], healed, quiet, holes;
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

static void run_dump(const struct run *r) {
    for (size_t i = 0; i < r->m.ours_count; i++) {
        const struct backup *b = &r->m.ours[i].set;
        fprintf(stderr, "  %-4s id %3u inc %u fork %u>%u point %u [%u,%u] at %lld flags %x base %u\n", backup_kind_name(b->kind),
                (unsigned)b->set_guid.bytes[2] * 256 + b->set_guid.bytes[3], b->incarnation,
                (unsigned)b->first_fork.bytes[2] * 256 + b->first_fork.bytes[3],
                (unsigned)b->last_fork.bytes[2] * 256 + b->last_fork.bytes[3], b->fork_point.block, b->first_lsn.block,
                b->last_lsn.block, (long long)(b->finish_at / CLOCK_SECOND - 1000000), b->flags,
                (unsigned)b->diff_base_guid.bytes[2] * 256 + b->diff_base_guid.bytes[3]);
    }
}

static struct chain_view run_view(struct run *r, struct chain_server_state *state) {
    model_look(&r->m, state);
    return (struct chain_view){.tip = &r->tip,
                               .server = state,
                               .memory = &r->memory,
                               .foreign = r->m.foreign,
                               .foreign_count = r->m.foreign_count,
                               .restore = r->m.server.restore};
}

static void late_flush(struct run *r) {
    for (size_t i = 0; i < r->late_count; i++)
        chain_tip_add(&r->late_tip, &r->late[i]);
    r->late_count = 0;
}

/* A full is shipped for long: logs of the same path overtake it. */
static void late_add(struct run *r, const struct backup *set) {
    struct chain_path path = chain_path_of(set);
    if (set->kind == BACKUP_FULL && r->late_tip.known && chain_path_eq(&path, &r->late_tip.path) && !r->late_count &&
        model_random(&r->m, 2)) {
        r->late[r->late_count++] = *set;
        return;
    }
    bool gap = set->kind == BACKUP_LOG && r->late_tip.has_log && lsn_cmp(set->first_lsn, r->late_tip.seg_last) > 0;
    if (gap || set->kind != BACKUP_LOG || !r->late_tip.known || !chain_path_eq(&path, &r->late_tip.path) ||
        !model_random(&r->m, 4))
        late_flush(r);
    chain_tip_add(&r->late_tip, set);
}

static const struct model_set *set_with_end(const struct run *r, const struct chain_path *path, struct lsn lsn) {
    for (size_t i = 0; i < r->m.ours_count; i++) {
        struct chain_path of = chain_path_of(&r->m.ours[i].set);
        if (chain_path_eq(&of, path) && !lsn_cmp(r->m.ours[i].set.last_lsn, lsn))
            return &r->m.ours[i];
    }
    return NULL;
}

static void check_interval(struct run *r, const struct chain_interval *v, bool *claimed) {
    const struct model_set *last = set_with_end(r, &v->path, v->until_lsn);
    check(r, last, "no set ends where the interval ends (%u)", v->until_lsn.block);
    model_reach(&r->m, &v->path);
    bool lone = !lsn_cmp(v->from_lsn, v->until_lsn);
    for (int i = last->end; i >= 0; i = r->m.records[i].before) {
        const struct model_record *rec = &r->m.records[i];
        bool by_lsn = rec->lsn + 1 >= v->from_lsn.block;
        bool by_time = !lone && rec->at >= v->from_at && rec->at <= v->until_at;
        if (by_lsn || by_time)
            check(r, r->m.reach[i], "interval [%u,%u] claims lsn %u", v->from_lsn.block, v->until_lsn.block, rec->lsn);
        if (by_lsn)
            claimed[i] = true;
    }
}

/* A log that crosses to another fork holds the end of the old one: what the hole hides there, the other path shows. */
static bool shown_elsewhere(const struct run *r, const struct chain_intervals *all, const struct chain_path *not_on, int record) {
    for (size_t i = 0; i < all->count; i++) {
        const struct chain_interval *v = &all->intervals[i];
        if (v->path.incarnation != not_on->incarnation || chain_path_eq(&v->path, not_on))
            continue;
        int at = set_with_end(r, &v->path, v->until_lsn)->end;
        while (at > record)
            at = r->m.records[at].before;
        if (at == record && r->m.records[record].lsn + 1 >= v->from_lsn.block)
            return true;
    }
    return false;
}

/* Nothing that a hole covers may be reachable: states of its own path between its LSNs. */
static void check_hole(struct run *r, const struct chain_intervals *all, const struct chain_hole *hole) {
    struct chain_path path = {.family = hole->family, .fork = hole->fork, .incarnation = hole->incarnation};
    model_reach(&r->m, &path);
    const struct model_set *newest = NULL;
    for (size_t i = 0; i < r->m.ours_count; i++) {
        struct chain_path of = chain_path_of(&r->m.ours[i].set);
        if (chain_path_eq(&of, &path) && (!newest || lsn_cmp(r->m.ours[i].set.last_lsn, newest->set.last_lsn) > 0))
            newest = &r->m.ours[i];
    }
    check(r, newest, "hole on a path without sets");
    check(r, hole->cause && (!hole->until_at || hole->from_at <= hole->until_at), "hole without cause or end before its begin");
    for (int i = newest->end; i >= 0; i = r->m.records[i].before) {
        const struct model_record *rec = &r->m.records[i];
        struct guid fork = G(rec->fork);
        bool inside = rec->lsn + 1 > hole->from_lsn.block &&
                      (lsn_is_zero(hole->until_lsn) || rec->lsn + 1 < hole->until_lsn.block);
        if (inside && guid_eq(&fork, &path.fork))
            check(r, !r->m.reach[i] || shown_elsewhere(r, all, &path, i), "hole (%u,%u) %s holds reachable lsn %u",
                  hole->from_lsn.block, hole->until_lsn.block, chain_hole_cause_word(hole->cause), rec->lsn);
    }
}

static void check_history(struct run *r) {
    struct model *m = &r->m;
    struct backup *sets = mem_array(m->ours_count + 1, sizeof(*sets));
    for (size_t i = 0; i < m->ours_count; i++)
        sets[i] = m->ours[i].set;
    for (size_t i = m->ours_count; i > 1; i--) { /* any order in */
        size_t j = model_random(m, (uint32_t)i);
        struct backup swap = sets[i - 1];
        sets[i - 1] = sets[j];
        sets[j] = swap;
    }
    struct chain_history h;
    struct chain_intervals v;
    struct chain_tip built;
    chain_history_init(&h, sets, m->ours_count);
    chain_tip_from_history(&built, &h);
    check(r, chain_tip_eq(&built, &r->tip), "the tip from the history differs");
    if (!r->late_count)
        check(r, chain_tip_eq(&built, &r->late_tip), "the tip that got fulls late differs");
    struct chain_interval_input input = {
        .history = &h, .foreign = m->foreign, .foreign_count = m->foreign_count, .quiet_until_at = r->quiet_until_at};
    chain_intervals_build(&input, &v);
    r->holes += (unsigned)v.hole_count;
    for (size_t p = 0; p < h.path_count; p++) {
        bool *claimed = mem_array(MODEL_RECORDS, sizeof(*claimed));
        for (size_t i = 0; i < v.count; i++) {
            const struct chain_path *of = &v.intervals[i].path;
            if (of->incarnation == h.paths[p].path.incarnation && guid_eq(&of->family, &h.paths[p].path.family))
                check_interval(r, &v.intervals[i], claimed);
        }
        model_reach(m, &h.paths[p].path);
        for (int i = 0; i < m->record_count; i++)
            check(r, claimed[i] || !m->reach[i], "lsn %u is reachable and not claimed", m->records[i].lsn);
        mem_free(claimed);
    }
    for (size_t i = 0; i < v.hole_count; i++)
        check_hole(r, &v, &v.holes[i]);
    struct chain_window w;
    chain_tip_window(&r->tip, r->quiet_until_at, &w);
    /* What the tip shows is what the list says. A base that is alone in the tip is a point at the end of its second; the list may
     * know of more before it, and ends where the log behind it was sampled, in that second. */
    if (w.any)
        check(r,
              chain_interval_at(&v, w.until_at) || (w.until_at == w.from.at && chain_interval_at(&v, w.until_at - CLOCK_SECOND)),
              "the tip's window is in no interval");
    chain_intervals_done(&v);
    chain_history_done(&h);
    mem_free(sets);
}

/*
 * On the same volume, with the same base of differentials and the same end of the last log as in the snapshot, only the end of the
 * log tells: until it has grown past the sets that were taken since.
 */
static void revert(struct run *r, bool other_volume) {
    const struct model_server *now = &r->m.server, *then = &r->m.snapshot;
    bool same = r->m.has_snapshot && !other_volume && now->volume == then->volume && now->family == then->family &&
                now->fork == then->fork && now->base == then->base && now->log_from == then->log_from;
    r->may_be_blind |= same && r->tip.known && r->tip.max_lsn.block > then->next_lsn;
    model_revert(&r->m, other_volume);
}

static void disturb(struct run *r) {
    struct model *m = &r->m;
    uint32_t inc = r->tip.path.incarnation;
    switch (model_random(m, 14)) {
    case 0:
        model_foreign(m, BACKUP_LOG, 0, "/var/opt/mssql/agent.trn", inc);
        break;
    case 1:
        model_foreign(m, BACKUP_LOG, 0, "NUL", inc);
        break;
    case 2:
        model_foreign(m, BACKUP_FULL, 0, "{9F3A}", inc);
        break;
    case 3:
        model_foreign(m, BACKUP_FULL, BACKUP_COPY_ONLY, "/backup/copy.bak", inc);
        break;
    case 4:
        model_foreign(m, BACKUP_LOG, BACKUP_COPY_ONLY, "/backup/copy.trn", inc);
        break;
    case 5:
        model_set_recovery(m, CHAIN_MODEL_SIMPLE);
        break;
    case 6:
        model_restore(m);
        break;
    case 7:
        model_snapshot(m);
        break;
    case 8:
        revert(r, model_random(m, 2));
        break;
    case 9:
        if (!model_random(m, 4))
            model_recreate(m);
        break;
    case 10:
        m->server.bulk = m->server.model != CHAIN_MODEL_SIMPLE;
        break;
    default:
        break;
    }
    if (m->server.model == CHAIN_MODEL_SIMPLE && model_random(m, 3))
        model_set_recovery(m, CHAIN_MODEL_FULL);
}

static bool same_path(const struct run *r, const struct backup *set) {
    struct chain_path path = chain_path_of(set);
    return chain_path_eq(&path, &r->tip.path);
}

static void take(struct run *r, const struct chain_decision *d, uint32_t flags, bool disturbed) {
    struct model *m = &r->m;
    struct chain_server_state before;
    struct chain_view view = run_view(r, &before);
    struct chain_expectation expected = {.kind = d->kind,
                                         .copy_only = d->copy_only,
                                         .new_incarnation = d->new_incarnation,
                                         .not_before = r->tip.known && !d->new_incarnation ? r->tip.max_lsn : L(0)};
    if (guid_eq(&r->tip.path.family, &before.family_guid) == false || !guid_eq(&r->tip.path.fork, &before.recovery_fork_guid))
        expected.not_before = L(0);
    if (disturbed)
        model_foreign(m, BACKUP_LOG, 0, "NUL", r->tip.path.incarnation);
    struct model_set s = model_backup(m, d->kind, flags | (d->copy_only ? BACKUP_COPY_ONLY : 0u));
    view.foreign_count = m->foreign_count;
    struct chain_verdict v;
    chain_check(&view, &expected, &s.set, &v);
    check(r, v.recordable, "a set of this database is refused: %s", v.text);
    s.set.incarnation = r->tip.path.incarnation + v.new_incarnation;
    r->blind |= r->may_be_blind && !v.new_incarnation && same_path(r, &s.set);
    r->may_be_blind &= r->blind;
    if (r->blind)
        return;
    model_keep(m, &s, s.set.incarnation);
    chain_tip_add(&r->tip, &s.set);
    late_add(r, &s.set);
    struct chain_path path = chain_path_of(&s.set);
    model_reach(m, &path);
    if (v.usable)
        check(r, m->reach[s.end], "usable, but not reachable");
    if (v.ok)
        check(r, v.usable, "ok, but not usable");
    if (!d->broken && !disturbed && !(flags & BACKUP_DAMAGED))
        check(r, v.ok, "an undisturbed %s on an intact chain is refused: %s", backup_kind_name(d->kind), v.text);
    if (d->escalated && !disturbed && !(flags & BACKUP_DAMAGED)) {
        check(r, v.ok, "a healing %s is refused: %s", backup_kind_name(d->kind), v.text);
        r->healed++;
    }
    r->taken[d->kind]++;
    r->memory.volume = before.volume;
    r->memory.quiet_end_lsn = d->kind == BACKUP_LOG ? L(m->server.next_lsn) : r->memory.quiet_end_lsn;
    r->quiet_until_at = 0;
}

static void decide_and_take(struct run *r) {
    struct model *m = &r->m;
    uint32_t kind = model_random(m, 12);
    struct chain_due due = {.full = kind == 0, .diff = kind == 1, .log = kind > 3, .copy_only = !model_random(m, 10)};
    struct chain_rules rules = {.heal = model_random(m, 8) != 0,
                                .diffs = model_random(m, 5) != 0,
                                .window_open = true,
                                .fulls_left = model_random(m, 8),
                                .diffs_left = 10,
                                .max_quiet_us = CLOCK_HOUR};
    struct chain_server_state state;
    struct chain_view view = run_view(r, &state);
    struct chain_decision d;
    chain_decide(&view, &due, &rules, m->now, &d);
    check(r, d.text[0] && d.reason, "a decision without text or reason");
    if (d.action == CHAIN_ACTION_QUIET) {
        r->quiet_until_at = d.quiet_until_at;
        r->quiet++;
    }
    if (d.action != CHAIN_ACTION_TAKE)
        return;
    bool disturbed = !model_random(m, 12);
    uint32_t flags = d.kind == BACKUP_FULL && !model_random(m, 12) ? BACKUP_DAMAGED : 0;
    take(r, &d, flags, disturbed);
    view = run_view(r, &state);
    if (!d.escalated || disturbed || flags)
        return;
    struct chain_diagnosis after;
    chain_diagnose(&view, &after);
    check(r, after.log_extends || after.reason == CHAIN_REASON_SIMPLE, "one decision did not heal: %s",
          chain_reason_word(after.reason));
}

static void run_one(struct run *r, uint32_t seed) {
    memset(r, 0, sizeof(*r));
    r->seed = seed;
    model_init(&r->m, seed);
    for (r->step = 0; r->step < 60 && r->m.record_count < MODEL_RECORDS - 50; r->step++) {
        if (model_random(&r->m, 4))
            model_commit(&r->m, 1 + model_random(&r->m, 4));
        else
            r->m.now += SEC(3);
        if (!model_random(&r->m, 4))
            disturb(r);
        decide_and_take(r);
        if (r->blind)
            return; /* from here on our sets tell of a database that never was */
        if (!model_random(&r->m, 6))
            check_history(r);
    }
    late_flush(r);
    check_history(r);
}

static unsigned env_number(const char *name, unsigned fallback) {
    const char *s = getenv(name);
    return s ? (unsigned)strtoul(s, NULL, 10) : fallback;
}

static void test_random_histories(void **state) {
    (void)state;
    unsigned first = env_number("CHAIN_SEED", 1), runs = env_number("CHAIN_RUNS", getenv("CHAIN_SEED") ? 1 : 300);
    struct run *r = mem_alloc(sizeof(*r));
    unsigned sets = 0, healed = 0, quiet = 0, holes = 0, blind = 0;
    printf("seeds %u to %u\n", first, first + runs - 1);
    for (unsigned i = 0; i < runs; i++) {
        run_one(r, first + i);
        sets += r->taken[0] + r->taken[1] + r->taken[2];
        healed += r->healed;
        quiet += r->quiet;
        holes += r->holes;
        blind += r->blind;
    }
    printf("%u sets, %u healed, %u quiet, %u holes seen, %u volumes went back unseen\n", sets, healed, quiet, holes, blind);
    mem_free(r);
    if (runs >= 100) { /* the histories must contain what they are to test */
        assert_true(healed > runs / 2);
        assert_true(quiet > runs / 10);
        assert_true(holes > runs);
        assert_true(blind <= runs / 50);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random_histories)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
