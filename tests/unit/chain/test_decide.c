/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/chain/view.h"

static struct chain_decision decide(const struct view_case *c) {
    struct chain_decision d;
    struct chain_view view = view_of(c);
    chain_decide(&view, &c->due, &c->rules, NOW, &d);
    assert_true(d.text[0] != 0);
    return d;
}

/* "take diff foreign_log", with what is added: ! unplanned, > instead of the due kind, ? wanted and not allowed. */
static const char *said(const struct view_case *c) {
    static char text[128];
    struct chain_decision d = decide(c);
    size_t n = (size_t)snprintf(text, sizeof(text), "%s", chain_action_name(d.action));
    if (d.action == CHAIN_ACTION_TAKE)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", backup_kind_name(d.kind));
    n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", chain_reason_word(d.reason));
    if (d.was_due)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " >%s", backup_kind_name(d.escalated_from));
    if (d.wanted)
        n += (size_t)snprintf(text + n, sizeof(text) - n, " ?%s", backup_kind_name(d.wanted_kind));
    snprintf(text + n, sizeof(text) - n, "%s", d.unplanned ? " !" : "");
    return text;
}
#define SAYS(c, text) assert_string_equal(said(&(c)), text)

static void test_planned(void **state) {
    (void)state;
    struct view_case c = view_intact();
    SAYS(c, "none nothing_due");
    c.due.log = true;
    SAYS(c, "take log scheduled");
    c.due.diff = true;
    SAYS(c, "take diff scheduled");
    c.due.full = true;
    SAYS(c, "take full scheduled");
    c.rules.heal = false; /* what is planned needs no healing */
    SAYS(c, "take full scheduled");
    c.rules.data_running = true;
    SAYS(c, "none already_running");
    c.due.full = false;
    SAYS(c, "none already_running");
    c.due.diff = false;
    SAYS(c, "take log scheduled");
    assert_string_equal(chain_action_name((enum chain_action)9), "unknown");
}

static void test_size(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.rules.log_limit_bytes = 100;
    c.server.log_since_backup_bytes = 99;
    SAYS(c, "none nothing_due");
    c.server.log_since_backup_bytes = 100;
    SAYS(c, "take log log_size");
    c.server.log_end_lsn = c.memory.quiet_end_lsn = L(35);
    SAYS(c, "take log log_size");
}

static void test_quiet(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.due.log = true;
    c.memory.quiet_end_lsn = L(35);
    SAYS(c, "quiet quiet");
    assert_int_equal(decide(&c).quiet_until_at, NOW);
    assert_int_equal(decide(&c).wait_until_at, SEC(29) + CLOCK_HOUR);
    c.due.force = true;
    SAYS(c, "take log scheduled");
    c.due.force = false;
    c.server.sampled_at = SEC(30) + CLOCK_HOUR; /* maxQuiet has passed */
    SAYS(c, "take log scheduled");
    c.server.is_read_only = true;
    SAYS(c, "quiet read_only");
    c.server.is_read_only = false;
    c.server.sampled_at = SEC(1) - CLOCK_HOUR; /* the clock was set back: how long it was quiet is not known */
    SAYS(c, "take log scheduled");
    c = view_intact();
    c.due.log = true;
    SAYS(c, "take log scheduled"); /* nothing noted */
    c.memory.quiet_end_lsn = L(34);
    SAYS(c, "take log scheduled"); /* it moved */
    c.server.is_read_only = true;
    SAYS(c, "take log scheduled"); /* the last log of before */
    c.memory.quiet_end_lsn = c.server.log_end_lsn = L(0);
    SAYS(c, "take log scheduled");
    c = view_intact();
    c.due.log = true;
    c.memory.quiet_end_lsn = L(35);
    c.server.sampled_at = 0;
    SAYS(c, "take log scheduled");
    c.server.sampled_at = NOW;
    c.rules.max_quiet_us = 0;
    SAYS(c, "take log scheduled");
}

static void test_first_full(void **state) {
    (void)state;
    struct view_case c = view_intact();
    chain_tip_init(&c.tip);
    c.rules.fulls_left = 0; /* an unprotected database does not wait for a budget or a window */
    c.rules.window_open = false;
    SAYS(c, "take full awaiting_first_full");
    c.due.log = true;
    SAYS(c, "take full awaiting_first_full >log");
    c.server.model = CHAIN_MODEL_SIMPLE;
    SAYS(c, "take full awaiting_first_full >log");
    c.due.diff = true;
    SAYS(c, "take full awaiting_first_full >diff");
    c.rules.heal = false;
    SAYS(c, "none healing_alert ?full");
    c.due.full = true;
    SAYS(c, "take full scheduled");
    c = view_intact();
    c.server.family_guid = G(0xFB);
    c.server.create_at = SEC(50);
    SAYS(c, "take full recreated");
    c.restore.at = SEC(60);
    SAYS(c, "take full replaced");
    c.rules.data_running = true;
    c.due.log = true; /* a log before the first full is worth nothing */
    SAYS(c, "none already_running ?full");
}

static void test_heal(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.last_log_backup_lsn = L(40);
    c.server.log_end_lsn = L(50);
    view_foreign(&c, make_log(91, 30, 40, 44), "NUL");
    SAYS(c, "take diff foreign_log_nul !");
    struct chain_decision d = decide(&c);
    assert_true(d.has_hole && d.escalated && !d.was_due);
    assert_int_equal(d.hole.cause, CHAIN_HOLE_FOREIGN_LOG_NUL);
    assert_string_equal(d.hole.who, "CORP\\bob");
    assert_non_null(strstr(d.text, "CORP\\bob"));
    assert_non_null(strstr(d.text, "1970-01-01T00:00:30Z"));
    assert_non_null(strstr(d.text, "a differential backup is taken now"));
    c.due.log = true;
    SAYS(c, "take diff foreign_log_nul >log !");
    c.server.modified_pages = 500; /* half */
    SAYS(c, "take full foreign_log_nul >log !");
    c.server.modified_pages = c.server.allocated_pages = 0; /* not known */
    SAYS(c, "take diff foreign_log_nul >log !");
    c.rules.diffs = false;
    SAYS(c, "take full foreign_log_nul >log !");
    c.rules.diffs = true;
    c.server.differential_base_guid = G(93);
    SAYS(c, "take full foreign_log_nul >log !");
    c.due.diff = true; /* due anyway: then it heals as planned, when it can */
    SAYS(c, "take full base_moved >diff !");
    c.server.differential_base_guid = G(1);
    SAYS(c, "take diff scheduled");
    assert_true(decide(&c).has_hole);
}

static void test_pseudo_simple(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.last_log_backup_lsn = L(0);
    SAYS(c, "take diff pseudo_simple !");
    c.server.differential_base_guid = G(93);
    SAYS(c, "take full pseudo_simple !");
    c.due.log = true;
    c.rules.heal = false; /* BACKUP LOG would fail with 4214 */
    SAYS(c, "none healing_alert ?full");
    c.server.differential_base_guid = G(1);
    SAYS(c, "none healing_alert ?diff");
    c.restore = (struct chain_restore){.at = SEC(50), .type = 'R'};
    c.rules.heal = true;
    SAYS(c, "take full log_rebuilt >log !");
    c.server.model = CHAIN_MODEL_SIMPLE;
    SAYS(c, "none simple_recovery");
    c.due.log = false;
    SAYS(c, "none nothing_due");
    c.due.diff = true;
    SAYS(c, "take diff scheduled");
}

static void test_limits(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.last_log_backup_lsn = L(40);
    c.server.log_end_lsn = L(50);
    c.due.log = true;
    c.rules.budget_at = SEC(5000);
    c.rules.window_at = SEC(4000);
    c.rules.heal = false; /* the planned log goes on: a later full joins it, and the log file must not grow */
    SAYS(c, "take log scheduled ?diff");
    struct chain_decision d = decide(&c);
    assert_int_equal(d.broken, CHAIN_REASON_LOG_MISSING);
    assert_true(d.has_hole && !d.unplanned);
    assert_non_null(strstr(d.text, "would heal it"));
    assert_non_null(strstr(d.text, "alert"));
    c.due.log = false;
    SAYS(c, "none healing_alert ?diff");
    c.rules.heal = true;
    c.rules.window_open = false;
    SAYS(c, "none outside_window ?diff");
    assert_int_equal(decide(&c).wait_until_at, SEC(4000));
    c.rules.window_open = true;
    c.rules.diffs_left = 0;
    SAYS(c, "none budget_exhausted ?diff");
    c.rules.diffs_left = 1;
    c.server.differential_base_guid = G(93);
    c.rules.fulls_left = 0;
    SAYS(c, "none budget_exhausted ?full");
    d = decide(&c);
    assert_int_equal(d.wait_until_at, SEC(5000));
    assert_non_null(strstr(d.text, "healing goes on at 1970-01-01T01:23:20Z"));
    c.due.log = true;
    SAYS(c, "take log scheduled ?full");
    c.rules.fulls_left = 1;
    c.rules.data_running = true;
    SAYS(c, "take log scheduled ?full");
    c.due.log = false;
    SAYS(c, "none already_running ?full");
}

/* Somebody's tool breaks the chain every quarter of an hour: healing ends with the budget. */
static void test_no_war(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.rules.diffs = false;
    c.rules.fulls_left = 3;
    unsigned fulls = 0, logs = 0, lsn = 30;
    for (unsigned i = 0; i < 96; i++) {
        view_foreign(&c, make_log(200 + i, lsn, lsn + 10, 40 + 10 * i), "NUL");
        lsn += 10;
        c.server.last_log_backup_lsn = L(lsn);
        c.server.log_end_lsn = L(lsn + 5);
        c.due.log = true;
        struct chain_decision d = decide(&c);
        if (d.action == CHAIN_ACTION_TAKE && d.kind == BACKUP_FULL) {
            fulls++;
            c.rules.fulls_left -= d.unplanned;
            view_add(&c, make_full(400 + i, lsn, lsn + 2, 42 + 10 * i));
            c.server.differential_base_guid = G(400 + i);
        } else if (d.action == CHAIN_ACTION_TAKE) {
            logs++;
            view_add(&c, make_log(600 + i, lsn, lsn + 3, 43 + 10 * i));
            lsn += 3;
        }
        c.foreign_count = 0;
        c.server.sampled_at = SEC(10000);
    }
    assert_int_equal(fulls, 3);
    assert_int_equal(logs, 93);
}

static void test_diff(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.due.diff = true;
    c.server.modified_pages = 500;
    SAYS(c, "take full much_changed >diff !");
    c.rules.fulls_left = 0;
    SAYS(c, "take diff scheduled"); /* it is as large as a full, and good */
    c.rules.diffs = false;
    SAYS(c, "none diffs_off");
    c.rules.diffs = true;
    c.server.differential_base_guid = G(93);
    view_foreign(&c, make_full(93, 32, 33, 45), "{vdi}");
    SAYS(c, "none budget_exhausted ?full");
    c.rules.fulls_left = 1;
    SAYS(c, "take full base_moved >diff !");
    assert_non_null(strstr(decide(&c).text, "CORP\\bob"));
    c.server.differential_base_guid = (struct guid){{0}};
    SAYS(c, "take full base_unknown >diff !");
    c.due.diff = false; /* a moved base alone breaks nothing */
    SAYS(c, "none nothing_due");
    c.due.log = true;
    SAYS(c, "take log scheduled");
    view_add(&c, with(make_full(4, 34, 35, 40), BACKUP_DAMAGED));
    c.server.differential_base_guid = G(4);
    c.due.diff = true;
    SAYS(c, "take full damaged_base >diff !");
}

static void test_paths(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.server.recovery_fork_guid = G(FORK_B);
    c.server.last_log_backup_lsn = L(25);
    SAYS(c, "take full forked !");
    assert_false(decide(&c).new_incarnation);
    c.due.diff = true; /* its base may be ours; the path is not */
    SAYS(c, "take full forked >diff !");
    c = view_intact();
    c.server.log_end_lsn = L(25);
    c.server.last_log_backup_lsn = L(20);
    SAYS(c, "take full volume_reverted !");
    assert_true(decide(&c).new_incarnation);
    assert_int_equal(decide(&c).hole.incarnation, 1);
    c.due.log = true;
    c.rules.heal = false;
    SAYS(c, "take log scheduled ?full");
    assert_true(decide(&c).new_incarnation);
    c.due.full = true;
    SAYS(c, "take full scheduled");
    assert_true(decide(&c).new_incarnation);
}

static void test_copy_only(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.due.copy_only = c.due.full = true;
    c.server.last_log_backup_lsn = L(40); /* broken, and that is not what was asked for */
    SAYS(c, "take full requested");
    assert_true(decide(&c).copy_only);
    c.due.full = false;
    c.due.log = true;
    SAYS(c, "take log requested");
    c.server.last_log_backup_lsn = L(0);
    SAYS(c, "none pseudo_simple");
    c.due.diff = true;
    SAYS(c, "none unexpected_set");
    assert_false(decide(&c).copy_only);
    c = view_intact();
    c.due.copy_only = true;
    SAYS(c, "none nothing_due");
}

static void test_states(void **state) {
    (void)state;
    struct view_case c = view_intact();
    c.due.full = c.due.log = true;
    c.memory.paused = true;
    SAYS(c, "none paused");
    c.memory.paused = false;
    c.server.online = false;
    SAYS(c, "none offline");
    c.server.online = true;
    c.server.recovery_fork_guid = (struct guid){{0}};
    SAYS(c, "take full scheduled");
    c.due.full = false;
    SAYS(c, "none state_unknown");
    assert_int_equal(decide(&c).wait_until_at, NOW + CLOCK_MINUTE);
    c.server.is_auto_close = true; /* the backup opens it, the check looks at what came out */
    SAYS(c, "take log scheduled");
    c.due.diff = true;
    SAYS(c, "take diff scheduled");
    c.rules.data_running = true;
    SAYS(c, "none already_running");
    c.due.diff = c.due.log = false;
    SAYS(c, "none state_unknown");
    c = view_intact();
    c.server.full_only = true;
    c.server.model = CHAIN_MODEL_SIMPLE;
    SAYS(c, "none nothing_due");
    c.due.log = true;
    SAYS(c, "none full_only");
    c.due.diff = true;
    SAYS(c, "none full_only");
    chain_tip_init(&c.tip);
    c.due.diff = false;
    SAYS(c, "take full awaiting_first_full >log");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_planned),    cmocka_unit_test(test_size),   cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_first_full), cmocka_unit_test(test_heal),   cmocka_unit_test(test_pseudo_simple),
        cmocka_unit_test(test_limits),     cmocka_unit_test(test_no_war), cmocka_unit_test(test_diff),
        cmocka_unit_test(test_paths),      cmocka_unit_test(test_states), cmocka_unit_test(test_copy_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
