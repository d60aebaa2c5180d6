/* SPDX-License-Identifier: Apache-2.0 */
/* Backups that were taken well and that the store has lost since: the chain is broken at them, and one backup heals it. */
#include "common/chain/plan.h"
#include "tests/unit/chain/view.h"

#define LOST BACKUP_UNREADABLE

static struct view_case of(const struct backup *sets, size_t count) {
    struct view_case c = view_intact();
    chain_tip_init(&c.tip);
    for (size_t i = 0; i < count; i++)
        chain_tip_add(&c.tip, &sets[i]);
    /* the walk over a history comes to the same tip */
    struct chain_history h;
    struct chain_tip tip;
    chain_history_init(&h, sets, count);
    chain_tip_from_history(&tip, &h);
    assert_true(chain_tip_eq(&tip, &c.tip));
    chain_history_done(&h);
    return c;
}

static struct chain_decision decide(const struct view_case *c) {
    struct chain_decision d;
    struct chain_view view = view_of(c);
    chain_decide(&view, &c->due, &c->rules, NOW, &d);
    return d;
}

static void assert_healed_by(const struct view_case *c, enum backup_kind kind) {
    struct chain_decision d = decide(c);
    struct chain_status st;
    struct chain_view view = view_of(c);
    chain_state_of(&view, NOW, &st);
    assert_string_equal(chain_state_name(st.state), "Broken");
    assert_string_equal(chain_reason_word(st.reason), "store_damaged");
    assert_int_equal(d.action, CHAIN_ACTION_TAKE);
    assert_int_equal(d.kind, kind);
    assert_int_equal(d.reason, CHAIN_REASON_STORE_DAMAGED);
    assert_true(d.unplanned); /* it comes out of the budget */
    struct view_case none = *c;
    none.rules.fulls_left = none.rules.diffs_left = 0;
    d = decide(&none);
    assert_int_equal(d.action, CHAIN_ACTION_NONE);
    assert_true(d.wanted && d.wanted_kind == kind);
}

static void test_newest_log(void **state) {
    (void)state;
    const struct backup sets[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), with(make_log(3, 20, 30, 30), LOST)};
    struct view_case c = of(sets, ARRAY_LEN(sets));
    assert_healed_by(&c, BACKUP_DIFF);
    assert_true(chain_tip_end_is_unreadable(&c.tip));
    struct chain_window w;
    chain_tip_window(&c.tip, SEC(500), &w); /* quiet behind a log that is lost says nothing */
    assert_int_equal(w.until_at, SEC(20));
    /* one differential bridges it, and the hole has its cause */
    view_add(&c, make_diff(4, 1, 32, 34, 40));
    struct chain_decision d = decide(&c);
    assert_int_equal(d.broken, CHAIN_REASON_NONE);
    assert_true(d.has_hole);
    assert_string_equal(chain_hole_cause_word(d.hole.cause), "store_damaged");
    assert_lsn(d.hole.from_lsn, 20);
    assert_lsn(d.hole.until_lsn, 34);
    view_add(&c, make_log(5, 30, 40, 50));
    c.server.last_log_backup_lsn = L(40);
    c.server.log_end_lsn = L(45);
    assert_int_equal(decide(&c).broken, CHAIN_REASON_NONE);
    chain_tip_window(&c.tip, 0, &w);
    assert_int_equal(w.from.at, SEC(40));
    assert_int_equal(w.until_at, SEC(50));
}

static void test_log_in_the_middle(void **state) {
    (void)state;
    const struct backup sets[] = {make_full(1, 10, 12, 10), with(make_log(2, 10, 20, 20), LOST), make_log(3, 20, 30, 30)};
    struct view_case c = of(sets, ARRAY_LEN(sets));
    assert_healed_by(&c, BACKUP_DIFF);
    assert_false(chain_tip_end_is_unreadable(&c.tip));
    const struct backup bridged[] = {sets[0], sets[1], make_diff(4, 1, 22, 24, 25), sets[2]};
    c = of(bridged, ARRAY_LEN(bridged));
    assert_int_equal(decide(&c).action, CHAIN_ACTION_NONE); /* a data backup is behind it: nothing to heal */
    assert_int_equal(decide(&c).broken, CHAIN_REASON_NONE);
}

static void test_only_full(void **state) {
    (void)state;
    const struct backup sets[] = {with(make_full(1, 10, 12, 10), LOST), make_log(2, 10, 20, 20), make_log(3, 20, 30, 30)};
    struct view_case c = of(sets, ARRAY_LEN(sets));
    assert_healed_by(&c, BACKUP_FULL); /* a differential would build on what is lost */
    c.server.model = CHAIN_MODEL_SIMPLE;
    c = of(sets, 1);
    c.server.model = CHAIN_MODEL_SIMPLE;
    assert_healed_by(&c, BACKUP_FULL); /* also where there are no logs */
    view_add(&c, make_full(5, 31, 33, 40));
    c.server.differential_base_guid = G(5);
    assert_int_equal(decide(&c).broken, CHAIN_REASON_SIMPLE);
}

static void test_newest_full(void **state) {
    (void)state;
    const struct backup sets[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), with(make_full(4, 22, 24, 25), LOST),
                                  make_log(3, 20, 30, 30)};
    struct view_case c = of(sets, ARRAY_LEN(sets));
    c.server.differential_base_guid = G(4);
    c.server.differential_base_lsn = L(22);
    assert_int_equal(decide(&c).action, CHAIN_ACTION_NONE); /* the older one and all logs are there */
    assert_int_equal(decide(&c).broken, CHAIN_REASON_NONE);
    c.due.diff = true; /* but nothing may build on it */
    struct chain_decision d = decide(&c);
    assert_int_equal(d.kind, BACKUP_FULL);
    assert_int_equal(d.reason, CHAIN_REASON_STORE_DAMAGED);
}

static void test_differential(void **state) {
    (void)state;
    const struct backup sets[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), with(make_diff(4, 1, 22, 24, 25), LOST),
                                  make_log(3, 20, 30, 30)};
    struct view_case c = of(sets, ARRAY_LEN(sets));
    assert_int_equal(decide(&c).broken, CHAIN_REASON_NONE); /* logs lead past it */
    /* a differential whose full is lost is lost with it */
    const struct backup child[] = {with(make_full(1, 10, 12, 10), LOST), make_diff(4, 1, 22, 24, 25), make_log(3, 20, 30, 30)};
    c = of(child, ARRAY_LEN(child));
    assert_healed_by(&c, BACKUP_FULL);
}

/* "1 2 3" of the members, or the refusal's word. */
static const char *plan(const struct backup *sets, size_t count, struct chain_target target) {
    static char text[128];
    struct chain_history h;
    struct chain_plan p;
    struct chain_refusal refusal;
    chain_history_init(&h, sets, count);
    struct chain_plan_request q = {.history = &h, .target = target, .now = NOW};
    text[0] = 0;
    if (chain_plan_build(&q, &p, &refusal)) {
        for (size_t i = 0; i < p.count; i++)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%u", i ? " " : "",
                     sets[p.members[i].set].set_guid.bytes[3]);
        if (p.has_hole)
            snprintf(text + strlen(text), sizeof(text) - strlen(text), " hole %s", chain_hole_cause_word(p.hole.cause));
        chain_plan_done(&p);
    } else {
        snprintf(text, sizeof(text), "refused");
    }
    chain_history_done(&h);
    return text;
}

static void test_plans_go_around(void **state) {
    (void)state;
    struct chain_target latest = {.kind = CHAIN_TO_LATEST};
    struct backup sets[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), make_full(4, 22, 24, 25), make_log(3, 20, 30, 30)};
    assert_string_equal(plan(sets, ARRAY_LEN(sets), latest), "4 3");
    sets[2].flags |= LOST;
    assert_string_equal(plan(sets, ARRAY_LEN(sets), latest), "1 2 3");
    sets[1].flags |= LOST;
    assert_string_equal(plan(sets, ARRAY_LEN(sets), (struct chain_target){.kind = CHAIN_TO_TIME, .at = SEC(27)}), "refused");
    /* what is behind the newest reachable moment is said */
    struct backup end[] = {make_full(1, 10, 12, 10), make_log(2, 10, 20, 20), with(make_log(3, 20, 30, 30), LOST)};
    assert_true(strncmp(plan(end, ARRAY_LEN(end), latest), "1 2", 3) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newest_log),  cmocka_unit_test(test_log_in_the_middle), cmocka_unit_test(test_only_full),
        cmocka_unit_test(test_newest_full), cmocka_unit_test(test_differential),      cmocka_unit_test(test_plans_go_around),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
