/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/chain/view.h"

static struct chain_status status_of(const struct view_case *c) {
    struct chain_status st;
    struct chain_view view = view_of(c);
    chain_state_of(&view, NOW, &st);
    assert_true(st.text[0] != 0);
    return st;
}

static struct chain_diagnosis diagnosis_of(const struct view_case *c) {
    struct chain_diagnosis d;
    struct chain_view view = view_of(c);
    chain_diagnose(&view, &d);
    return d;
}

#define assert_state(c, state_, reason_)                                                                                         \
    do {                                                                                                                         \
        struct chain_status st_ = status_of(&(c));                                                                               \
        assert_string_equal(chain_state_name(st_.state), chain_state_name(state_));                                              \
        assert_string_equal(chain_reason_word(st_.reason), chain_reason_word(reason_));                                          \
    } while (0)

static void test_names(void **state) {
    (void)state;
    for (int i = 0; i < CHAIN_STATE_COUNT; i++) {
        enum chain_state parsed;
        assert_true(chain_state_parse(chain_state_name((enum chain_state)i), &parsed));
        assert_int_equal(parsed, i);
    }
    enum chain_state parsed;
    assert_false(chain_state_parse("intact", &parsed));
    assert_string_equal(chain_state_name(CHAIN_STATE_COUNT), "Unknown");
}

static void test_intact(void **state) {
    (void)state;
    struct view_case c = view_intact();
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    struct chain_diagnosis d = diagnosis_of(&c);
    assert_true(d.readable && d.log_possible && d.log_extends && d.diff_heals);
    assert_false(d.has_hole);
    c.server.model = CHAIN_MODEL_BULK_LOGGED;
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    c.server.database_guid = G(0x9999); /* says nothing: attach and restore change or copy it */
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    c.server.last_log_backup_lsn = L(10); /* read-only: every log repeats the one before */
    c.server.is_read_only = true;
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
}

static void test_first(void **state) {
    (void)state;
    struct view_case c = view_intact();
    chain_tip_init(&c.tip);
    c.server.last_log_backup_lsn = L(0);
    assert_state(c, CHAIN_AWAITING_FIRST_FULL, CHAIN_REASON_FIRST_FULL);
    c.server.model = CHAIN_MODEL_SIMPLE;
    assert_state(c, CHAIN_AWAITING_FIRST_FULL, CHAIN_REASON_FIRST_FULL);
    view_add(&c, make_log(2, 10, 20, 20));
    assert_state(c, CHAIN_AWAITING_FIRST_FULL, CHAIN_REASON_FIRST_FULL);
    chain_tip_init(&c.tip);
    view_add(&c, with(make_full(1, 10, 12, 10), BACKUP_DAMAGED));
    c.server.model = CHAIN_MODEL_FULL;
    c.server.last_log_backup_lsn = L(10);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_DAMAGED_BASE);
}

static void test_unreadable(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.recovery_fork_guid = (struct guid){{0}}; /* closed: all of these are NULL */
    c.server.family_guid = (struct guid){{0}};
    c.server.last_log_backup_lsn = L(0);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_STATE_UNKNOWN);
    assert_false(diagnosis_of(&c).has_hole);
    c.memory.state = CHAIN_BROKEN;
    c.memory.reason = CHAIN_REASON_FOREIGN_LOG;
    c.memory.since = SEC(7);
    assert_int_equal(status_of(&c).since, SEC(7));
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_STATE_UNKNOWN);
    c = view_intact();
    c.server.online = false;
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_OFFLINE);
    chain_tip_init(&c.tip);
    assert_state(c, CHAIN_AWAITING_FIRST_FULL, CHAIN_REASON_OFFLINE);
    c = view_intact(); /* a look from before our newest set */
    c.server.sampled_at = SEC(28);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_STATE_UNKNOWN);
    view_add(&c, make_log(4, 30, 33, 900)); /* the clock was set back: that is no old look */
    c.server.last_log_backup_lsn = L(33);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
}

static void test_paused(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.memory.paused = true;
    c.memory.paused_at = SEC(5);
    strcpy(c.memory.paused_by, "ann");
    strcpy(c.memory.paused_reason, "migration");
    c.server.last_log_backup_lsn = L(99);
    struct chain_status st = status_of(&c);
    assert_int_equal(st.state, CHAIN_PAUSED);
    assert_int_equal(st.since, SEC(5));
    assert_string_equal(st.who, "ann");
    assert_non_null(strstr(st.text, "migration"));
}

static void test_foreign_log(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.last_log_backup_lsn = L(40);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_LOG_MISSING);
    view_foreign(&c, make_log(91, 30, 40, 44), "/var/opt/agent.trn");
    struct chain_status st = status_of(&c);
    assert_int_equal(st.reason, CHAIN_REASON_FOREIGN_LOG);
    assert_int_equal(st.since, SEC(43));
    assert_string_equal(st.who, "CORP\\bob");
    assert_string_equal(st.device, "/var/opt/agent.trn");
    assert_int_equal(st.hole.from_at, SEC(30));
    assert_lsn(st.hole.from_lsn, 30);
    assert_lsn(st.hole.until_lsn, 40);
    assert_non_null(strstr(st.text, "CORP\\bob"));
    strcpy(c.foreign[0].device, "NUL");
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_FOREIGN_LOG_NUL);
    c.memory.state = CHAIN_BROKEN, c.memory.reason = CHAIN_REASON_FOREIGN_LOG_NUL, c.memory.since = SEC(1);
    assert_int_equal(status_of(&c).since, SEC(43)); /* when it happened is better than when it was seen */
    /* Rows that are not it: copy-only, a full, an older log. */
    c.foreign_count = 0;
    view_foreign(&c, with(make_log(92, 30, 40, 44), BACKUP_COPY_ONLY), "x");
    view_foreign(&c, make_full(93, 35, 36, 45), "x");
    view_foreign(&c, make_log(94, 10, 30, 44), "x");
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_LOG_MISSING);
}

/* Our full stands behind the lost log: moments are gone, the chain is not. */
static void test_bridged(void **state) {
    (void)state;
    struct view_case c = view_intact();
    view_add(&c, make_full(4, 34, 36, 40));
    view_add(&c, make_full(5, 44, 46, 50));
    c.server.differential_base_guid = G(5);
    c.server.log_end_lsn = L(60);
    c.server.last_log_backup_lsn = L(45);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    struct chain_diagnosis d = diagnosis_of(&c);
    assert_true(d.log_extends && d.has_hole);
    assert_int_equal(d.hole.from_at, SEC(30));
    assert_int_equal(d.hole.until_at, SEC(50));
    assert_lsn(d.hole.until_lsn, 46);
    c.server.last_log_backup_lsn = L(36);
    assert_lsn(diagnosis_of(&c).hole.until_lsn, 36);
    c.server.last_log_backup_lsn = L(50);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_LOG_MISSING);
}

static void test_recovery_model(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.model = CHAIN_MODEL_SIMPLE;
    c.server.last_log_backup_lsn = L(0);
    assert_state(c, CHAIN_NOT_FULL_RECOVERY, CHAIN_REASON_SIMPLE);
    struct chain_diagnosis d = diagnosis_of(&c);
    assert_false(d.log_possible);
    assert_int_equal(d.hole.cause, CHAIN_HOLE_NOT_FULL);
    c.server.model = CHAIN_MODEL_FULL;
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_PSEUDO_SIMPLE);
    assert_true(diagnosis_of(&c).diff_heals);
    c.restore = (struct chain_restore){.at = SEC(50), .type = 'R', .who = "sa"};
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_LOG_REBUILT);
    assert_false(diagnosis_of(&c).diff_heals);
    assert_string_equal(status_of(&c).who, "sa");
    struct view_case always_simple = view_intact();
    chain_tip_init(&always_simple.tip);
    view_add(&always_simple, make_full(1, 10, 12, 10));
    always_simple.server.model = CHAIN_MODEL_SIMPLE;
    assert_state(always_simple, CHAIN_NOT_FULL_RECOVERY, CHAIN_REASON_SIMPLE);
    assert_false(diagnosis_of(&always_simple).has_hole);
    always_simple.server.full_only = true; /* master */
    assert_state(always_simple, CHAIN_INTACT, CHAIN_REASON_NONE);
    assert_int_equal(diagnosis_of(&always_simple).diff_reason, CHAIN_REASON_FULL_ONLY);
}

static void test_paths(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.family_guid = G(0xFB);
    c.server.create_at = SEC(40);
    assert_state(c, CHAIN_AWAITING_FIRST_FULL, CHAIN_REASON_RECREATED);
    c.restore = (struct chain_restore){.at = SEC(50), .type = 'D', .who = "sa"};
    assert_state(c, CHAIN_AWAITING_FIRST_FULL, CHAIN_REASON_REPLACED);
    c = view_intact();
    c.server.recovery_fork_guid = G(FORK_B);
    c.server.last_log_backup_lsn = L(25); /* behind, but that is what a restore does */
    c.restore = (struct chain_restore){.at = SEC(50), .type = 'L', .who = "sa"};
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_FORKED);
    assert_int_equal(status_of(&c).since, SEC(50));
    assert_false(diagnosis_of(&c).new_incarnation);
    c.server.volume = G(0x71);
    assert_true(diagnosis_of(&c).new_incarnation);
    view_add(&c, on_fork(make_full(9, 25, 26, 60), FORK_B, FORK_B, 0));
    c.server.recovery_fork_guid = G(FORK_A); /* back to the fork before: only a volume does that */
    c.server.volume = G(0x70);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
}

static void test_reverted(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.volume = G(0x71);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
    c.memory.volume = (struct guid){{0}}; /* not known: no proof */
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    c.server.log_end_lsn = L(29);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
    c.server.log_end_lsn = L(0);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    c.server.last_log_backup_lsn = L(20);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
    assert_true(diagnosis_of(&c).new_incarnation);
    c = view_intact();
    view_add(&c, make_full(4, 34, 36, 40));
    c.server.log_end_lsn = L(60); /* grown past everything since, but the older full is the base again */
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
}

static void test_base(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.differential_base_guid = G(77); /* not known, but older than ours: a later full cannot be */
    c.server.differential_base_lsn = L(9);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
    c.server.differential_base_lsn = L(33);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_BASE_MOVED);
    c = view_intact();
    c.server.differential_base_guid = G(93);
    view_foreign(&c, make_full(93, 33, 34, 45), "{virtual}");
    struct chain_status st = status_of(&c);
    assert_int_equal(st.state, CHAIN_INTACT);
    assert_int_equal(st.reason, CHAIN_REASON_BASE_MOVED);
    assert_string_equal(st.who, "CORP\\bob");
    assert_int_equal(st.since, SEC(44));
    c.server.differential_base_guid = (struct guid){{0}};
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE);
    assert_int_equal(diagnosis_of(&c).diff_reason, CHAIN_REASON_BASE_UNKNOWN);
    view_add(&c, with(make_full(4, 34, 36, 40), BACKUP_DAMAGED));
    c.server.log_end_lsn = L(60);
    c.server.differential_base_guid = G(4);
    assert_int_equal(diagnosis_of(&c).diff_reason, CHAIN_REASON_DAMAGED_BASE);
    assert_state(c, CHAIN_INTACT, CHAIN_REASON_NONE); /* the good full before it still carries the logs */
}

static void test_broken_before(void **state) {
    (void)state;
    struct view_case c = view_intact();
    view_add(&c, make_log(5, 40, 50, 50)); /* taken although the chain was broken */
    c.server.last_log_backup_lsn = L(50);
    c.server.log_end_lsn = L(60);
    assert_state(c, CHAIN_BROKEN, CHAIN_REASON_LOG_MISSING);
    assert_int_equal(status_of(&c).hole.from_at, SEC(30));
    assert_int_equal(status_of(&c).since, NOW);
    c.memory.state = CHAIN_BROKEN, c.memory.reason = CHAIN_REASON_LOG_MISSING, c.memory.since = SEC(55);
    assert_int_equal(status_of(&c).since, SEC(55));
    struct view_case bad = view_intact();
    chain_tip_init(&bad.tip);
    view_add(&bad, with(make_full(1, 10, 12, 10), BACKUP_DAMAGED));
    view_add(&bad, make_diff(2, 7, 13, 14, 14));
    view_add(&bad, make_log(3, 10, 30, 30));
    assert_state(bad, CHAIN_BROKEN, CHAIN_REASON_BASE_MISSING);
    struct view_case rev = view_intact();
    struct backup log = make_log(4, 20, 25, 60);
    log.incarnation = 1;
    view_add(&rev, log);
    rev.server.last_log_backup_lsn = L(25);
    assert_state(rev, CHAIN_BROKEN, CHAIN_REASON_VOLUME_REVERTED);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_intact),         cmocka_unit_test(test_first),
        cmocka_unit_test(test_unreadable), cmocka_unit_test(test_paused),         cmocka_unit_test(test_foreign_log),
        cmocka_unit_test(test_bridged),    cmocka_unit_test(test_recovery_model), cmocka_unit_test(test_paths),
        cmocka_unit_test(test_reverted),   cmocka_unit_test(test_base),           cmocka_unit_test(test_broken_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
