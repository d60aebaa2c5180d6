/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/chain/plan_kit.h"

/* full 1 at 100, logs 2, 3, 4 taken from 199 to 201 and so on. */
static struct fixture ordinary(void) {
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_slow_log(2, 5, 30, 199, 201));
    add(&f, make_slow_log(3, 30, 40, 299, 301));
    add(&f, make_slow_log(4, 40, 50, 399, 401));
    return f;
}

static void test_latest(void **state) {
    (void)state;
    struct fixture f = ordinary();
    assert_plan(&f, "1 2 3 4");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_NONE);
    assert_int_equal(f.plan.stored_bytes, 1030);
    assert_int_equal(f.plan.size_bytes, 2060);
    assert_lsn(f.plan.reaches_lsn, 50);
    assert_false(f.plan.has_hole);
    close_all(&f);
}

static void test_time_between_logs(void **state) {
    (void)state;
    struct fixture f = ordinary();
    to_time(&f, SEC(250));
    assert_plan(&f, "1 2 3 4?");
    assert_string_equal(f.plan.stop.value, "1970-01-01T00:04:10.000");
    assert_false(f.plan.members[0].stop);
    assert_true(f.plan.members[1].stop && f.plan.members[2].stop && f.plan.members[3].stop);
    assert_true(f.plan.complete_until_at == SEC(299));
    assert_int_equal(f.plan.if_needed_bytes, 10);
    to_time(&f, SEC(300)); /* while log 3 was taken */
    assert_plan(&f, "1 2 3 4?");
    assert_true(f.plan.complete_until_at < f.plan.stop.at);
    to_time(&f, SEC(301)); /* its end exactly */
    assert_plan(&f, "1 2 3 4?");
    to_time(&f, SEC(301) + 1);
    assert_plan(&f, "1 2 3 4");
    to_time(&f, SEC(399)); /* the last moment that is certain */
    assert_plan(&f, "1 2 3 4");
    close_all(&f);
}

static void test_time_outside(void **state) {
    (void)state;
    struct fixture f = ordinary();
    to_time(&f, SEC(400)); /* a commit of then may be in the next log only */
    assert_refused(&f, "after_window");
    assert_true(f.refusal.before.any && f.refusal.before.at == SEC(399));
    assert_false(f.refusal.after.any);
    to_time(&f, SEC(99));
    assert_refused(&f, "before_window");
    assert_true(f.refusal.after.any && f.refusal.after.at == SEC(100));
    f.request.now = SEC(500);
    to_time(&f, SEC(501));
    assert_refused(&f, "in_future");
    close_all(&f);
}

static void test_lsn(void **state) {
    (void)state;
    struct fixture f = ordinary();
    to_lsn(&f, 35, false);
    assert_plan(&f, "1 2 3");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_AT_MARK);
    to_lsn(&f, 40, true); /* the end of log 3: nothing is cut */
    assert_plan(&f, "1 2 3");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_NONE);
    to_lsn(&f, 40, false);
    assert_plan(&f, "1 2 3 4");
    to_lsn(&f, 20, true); /* the end of the full */
    assert_plan(&f, "1");
    to_lsn(&f, 50, false);
    assert_refused(&f, "after_window");
    to_lsn(&f, 19, false);
    assert_refused(&f, "before_window");
    close_all(&f);
}

/* ---- the cheapest ---- */

static void test_newer_full_is_cheaper(void **state) {
    (void)state;
    struct fixture f = ordinary();
    add(&f, make_full(5, 42, 45, 395));
    assert_plan(&f, "5 4"); /* 1010 bytes instead of 1030 */
    close_all(&f);
}

static void test_cheapest(void **state) {
    (void)state;
    struct fixture f = ordinary();
    struct backup full = make_full(5, 41, 45, 350);
    full.stored_bytes = 1020;
    add(&f, full);
    assert_plan(&f, "5 4"); /* 1030 bytes both: fewer sets */
    f.sets[4].stored_bytes = 1021;
    assert_plan(&f, "1 2 3 4");
    f.sets[4].stored_bytes = 1019;
    assert_plan(&f, "5 4");
    struct backup twin = f.sets[4]; /* the same in bytes and sets: the newer full */
    twin.set_guid = G(6);
    twin.last_lsn = L(46);
    add(&f, twin);
    assert_plan(&f, "6 4");
    close_all(&f);
}

static void test_unknown_sizes(void **state) {
    (void)state;
    struct fixture f = ordinary();
    for (size_t i = 0; i < f.count; i++)
        f.sets[i].stored_bytes = f.sets[i].size_bytes = 0;
    add(&f, make_full(5, 41, 45, 350));
    f.sets[4].stored_bytes = f.sets[4].size_bytes = 0;
    assert_plan(&f, "5 4"); /* nothing is known of sizes: fewest sets */
    for (size_t i = 0; i < f.count; i++)
        f.sets[i].size_bytes = UINT64_MAX; /* sums that do not fit are no small ones */
    assert_plan(&f, "5 4");
    close_all(&f);
}

static void test_differential(void **state) {
    (void)state;
    struct fixture f = ordinary();
    add(&f, make_diff(5, 1, 41, 45, 350));
    f.sets[4].stored_bytes = 19;
    assert_plan(&f, "1 5 4");
    f.sets[4].stored_bytes = 21;
    assert_plan(&f, "1 2 3 4");
    f.sets[4].stored_bytes = 1;
    f.sets[4].diff_base_guid = G(77); /* of somebody else's full */
    assert_plan(&f, "1 2 3 4");
    f.sets[4].diff_base_guid = (struct guid){{0}}; /* multi-based */
    assert_plan(&f, "1 2 3 4");
    f.sets[4].diff_base_guid = G(1);
    f.sets[4].family_guid = G(78); /* of another database */
    f.request.path = &(struct chain_path){.family = G(FAMILY), .fork = G(FORK_A)};
    assert_plan(&f, "1 2 3 4");
    close_all(&f);
}

static void test_newest_differential_only(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_diff(2, 1, 30, 31, 200));
    add(&f, make_diff(3, 1, 40, 41, 300));
    assert_plan(&f, "1 3");
    to_time(&f, SEC(200)); /* no log joins them: each is a point */
    assert_plan(&f, "1 2");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_NONE);
    assert_true(f.plan.complete_until_at <= SEC(200));
    to_time(&f, SEC(250));
    assert_refused(&f, "in_hole");
    assert_int_equal(f.refusal.hole.cause, CHAIN_HOLE_NO_LOGS);
    assert_true(f.refusal.before.at == SEC(200) && f.refusal.after.at == SEC(300));
    close_all(&f);
}

/* ---- stop ---- */

static void test_stop_is_the_source_s_local_time(void **state) {
    (void)state;
    struct fixture f = ordinary();
    for (size_t i = 0; i < f.count; i++) {
        f.sets[i].utc_offset_s = 19800;
        f.sets[i].flags |= BACKUP_UTC_OFFSET_KNOWN;
    }
    to_time(&f, SEC(250) + 129999);
    assert_plan(&f, "1 2 3 4?");
    assert_string_equal(f.plan.stop.value, "1970-01-01T05:34:10.127");
    assert_true(f.plan.stop.offset_known && f.plan.stop.utc_offset_s == 19800);
    assert_true(f.plan.reaches_at <= SEC(250) + 129999 && f.plan.reaches_at > SEC(250) + 126000);
    close_all(&f);
}

static void test_inside_the_full(void **state) {
    (void)state;
    struct fixture f = ordinary();
    struct backup full = make_full(5, 32, 45, 380); /* copied from 310 to 380; logs go on */
    full.start_at = SEC(310);
    full.stored_bytes = 1;
    add(&f, full);
    to_time(&f, SEC(350));
    assert_plan(&f, "1 2 3 4"); /* the older full; 4 is the log that holds the moment */
    to_time(&f, SEC(379));
    assert_plan(&f, "1 2 3 4");
    to_time(&f, SEC(379) + 500000); /* its header says 379, which was half a second ago: it may hold commits from behind this */
    assert_plan(&f, "1 2 3 4");
    to_time(&f, SEC(380));
    assert_plan(&f, "5 4");
    f.sets[0].flags |= BACKUP_SNAPSHOT; /* and without the older one there is none */
    to_time(&f, SEC(379));
    assert_refused(&f, "before_window");
    assert_true(f.refusal.after.at == SEC(380));
    close_all(&f);
}

static void test_quiet(void **state) {
    (void)state;
    struct fixture f = ordinary();
    f.request.quiet_until_at = SEC(900);
    to_time(&f, SEC(890));
    assert_plan(&f, "1 2 3 4");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_AT);
    assert_true(f.plan.complete_until_at == SEC(900));
    to_time(&f, SEC(901));
    assert_refused(&f, "after_window");
    struct backup full = make_full(5, 51, 55, 600); /* waits for its log */
    full.stored_bytes = 2;
    add(&f, full);
    to_time(&f, SEC(890));
    assert_plan(&f, "5");
    close_all(&f);
}

/* ---- another way ---- */

static void test_avoid(void **state) {
    (void)state;
    struct fixture f = ordinary();
    struct guid avoid[2] = {G(5), G(3)};
    add(&f, make_diff(5, 1, 41, 45, 350));
    f.sets[4].stored_bytes = 1;
    f.request.avoid = avoid;
    f.request.avoid_count = 1;
    assert_plan(&f, "1 2 3 4");
    f.request.avoid_count = 2;
    assert_refused(&f, "set_unusable"); /* and not an older state instead */
    assert_int_equal(f.refusal.class, ERR_CORRUPT);
    assert_true(f.refusal.before.any && f.refusal.before.at == SEC(199));
    assert_lsn(f.refusal.before.lsn, 30);
    to_time(&f, SEC(350));
    assert_refused(&f, "set_unusable");
    to_time(&f, SEC(150));
    assert_plan(&f, "1 2");
    f.request.target.kind = CHAIN_TO_LATEST;
    avoid[0] = G(99); /* one that nobody knows changes nothing */
    f.request.avoid_count = 1;
    assert_plan(&f, "1 5 4");
    close_all(&f);
}

static void test_damaged(void **state) {
    (void)state;
    struct fixture f = ordinary();
    f.sets[0].flags |= BACKUP_DAMAGED;
    assert_refused(&f, "base_damaged");
    assert_int_equal(f.refusal.class, ERR_DATA_LOSS);
    assert_true(guid_eq(&f.refusal.set, &f.sets[0].set_guid));
    f.request.allow_damaged = true;
    assert_plan(&f, "1 2 3 4");
    assert_true(f.plan.damaged && f.plan.members[0].damaged);
    add(&f, make_full(5, 41, 45, 350)); /* a sound one is taken whatever it costs */
    f.sets[4].stored_bytes = 1 << 30;
    assert_plan(&f, "5 4");
    assert_false(f.plan.damaged);
    to_time(&f, SEC(250));
    assert_plan(&f, "1 2 3 4?");
    f.sets[1].flags |= BACKUP_DAMAGED; /* a log with damaged pages is restored as it is */
    assert_plan(&f, "1 2 3 4?");
    assert_true(f.plan.members[1].damaged);
    close_all(&f);
}

static void test_nothing(void **state) {
    (void)state;
    struct fixture f = {0};
    assert_refused(&f, "no_backups");
    assert_int_equal(f.refusal.class, ERR_NOT_FOUND);
    add(&f, with(make_full(1, 10, 20, 100), BACKUP_FOREIGN));
    assert_refused(&f, "no_backups");
    add(&f, make_log(2, 10, 30, 200));
    assert_refused(&f, "no_base");
    assert_int_equal(f.refusal.class, ERR_CHAIN);
    struct backup incomplete = make_full(3, 0, 0, 300);
    add(&f, incomplete);
    assert_refused(&f, "no_base");
    f.request.path = &(struct chain_path){.family = G(9)};
    assert_refused(&f, "path_unknown");
    close_all(&f);
}

/* ---- a database that is RESTORING ---- */

static void test_resume(void **state) {
    (void)state;
    struct fixture f = ordinary();
    f.request.resume = (struct chain_resume){.on = true, .redo_lsn = L(30), .redo_fork = G(FORK_A)};
    assert_plan(&f, "3 4");
    to_time(&f, SEC(250));
    assert_plan(&f, "3 4?");
    f.request.resume.redo_lsn = L(34); /* in the middle of a log */
    assert_plan(&f, "3 4?");
    f.request.resume.redo_lsn = L(40); /* the end of the log that holds the target: stopped, the next one adds nothing */
    assert_plan(&f, "4");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_AT);
    f.request.resume.redo_lsn = L(50);
    assert_refused(&f, "past_target");
    assert_int_equal(f.refusal.class, ERR_STATE);
    to_lsn(&f, 35, false);
    assert_refused(&f, "past_target");
    to_lsn(&f, 50, true);
    assert_plan(&f, ""); /* nothing is left but recovery */
    f.request.target = (struct chain_target){.kind = CHAIN_TO_LATEST};
    assert_plan(&f, "");
    f.request.resume.redo_fork = G(FORK_B);
    assert_refused(&f, "path_unknown");
    close_all(&f);
}

static void test_resume_with_differential(void **state) {
    (void)state;
    struct fixture f = ordinary();
    add(&f, make_diff(5, 1, 41, 45, 350));
    f.sets[4].stored_bytes = 1;
    f.request.resume = (struct chain_resume){.on = true, .redo_lsn = L(20), .redo_fork = G(FORK_A)};
    assert_plan(&f, "2 3 4"); /* whose full it is was not said */
    f.request.resume.base = G(1);
    assert_plan(&f, "5 4");
    f.request.resume.base = G(9);
    assert_plan(&f, "2 3 4");
    struct guid avoid = G(2);
    f.request.avoid = &avoid;
    f.request.avoid_count = 1;
    assert_refused(&f, "resume_gap"); /* from the full on there is a way */
    f.sets[4].diff_base_guid = G(8);
    assert_refused(&f, "set_unusable");
    f.request.avoid_count = 0;
    f.sets[1] = make_full(6, 31, 35, 280); /* log 2 is gone, a newer full leads on */
    assert_refused(&f, "resume_gap");
    assert_int_equal(f.refusal.class, ERR_CHAIN);
    to_lsn(&f, 45, false);
    assert_refused(&f, "resume_gap");
    close_all(&f);
}

/* ---- marks ---- */

static void to_mark(struct fixture *f, const char *name, int64_t after, bool before) {
    f->request.target = (struct chain_target){.kind = CHAIN_TO_MARK, .at = after, .before = before};
    snprintf(f->request.target.mark, sizeof(f->request.target.mark), "%s", name);
}

static void test_marks(void **state) {
    (void)state;
    struct fixture f = ordinary();
    const struct chain_log_mark marks[] = {
        {.name = "release", .lsn = L(25), .at = SEC(150), .set = G(2)},
        {.name = "it's done", .lsn = L(45), .at = SEC(350) + 6667, .set = G(4)},
        {.name = "release", .lsn = L(35), .at = SEC(250), .set = G(3)},
        {.name = "release", .lsn = L(35), .at = SEC(250), .set = G(4)}, /* read twice */
    };
    f.request.marks = marks;
    f.request.mark_count = ARRAY_LEN(marks);
    to_mark(&f, "IT'S DONE", 0, false);
    assert_plan(&f, "1 2 3 4");
    char sql[CHAIN_STOP_TEXT_MAX];
    assert_string_equal(chain_stop_sql(sql, &f.plan.stop), "STOPATMARK = N'it''s done' AFTER N'1970-01-01T00:05:50.007'");
    assert_true(f.plan.reaches_at == SEC(350) + 6667);
    to_mark(&f, "release", 0, false);
    assert_refused(&f, "mark_ambiguous");
    assert_int_equal(f.refusal.class, ERR_USAGE);
    to_mark(&f, "release", SEC(151), true);
    assert_plan(&f, "1 2 3");
    assert_string_equal(chain_stop_sql(sql, &f.plan.stop), "STOPBEFOREMARK = N'release' AFTER N'1970-01-01T00:04:10.000'");
    to_mark(&f, "release", SEC(150), false);
    assert_plan(&f, "1 2");
    to_mark(&f, "release", SEC(251), false);
    assert_refused(&f, "mark_unknown");
    to_mark(&f, "other", 0, false);
    assert_refused(&f, "mark_unknown");
    assert_int_equal(f.refusal.class, ERR_NOT_FOUND);
    close_all(&f);
}

/* ---- words ---- */

static void test_words(void **state) {
    (void)state;
    for (unsigned i = 0; i < CHAIN_REFUSED_COUNT; i++) {
        enum chain_refusal_reason reason;
        assert_true(chain_refusal_parse(chain_refusal_word((enum chain_refusal_reason)i), &reason));
        assert_int_equal(reason, i);
    }
    enum chain_refusal_reason reason = CHAIN_REFUSED_IN_HOLE;
    assert_false(chain_refusal_parse("unknown", &reason));
    assert_int_equal(reason, CHAIN_REFUSED_IN_HOLE);
    assert_string_equal(chain_refusal_word(CHAIN_REFUSED_COUNT), "unknown");
    assert_string_equal(chain_member_why_word(CHAIN_WHY_MAYBE), "may_hold_target");
    assert_string_equal(chain_member_why_word(CHAIN_WHY_COUNT), "unknown");
    struct fixture f = ordinary();
    struct err err = {0};
    to_time(&f, SEC(5000));
    assert_refused(&f, "after_window");
    assert_int_equal(chain_refusal_err(&f.refusal, &err), -1);
    assert_int_equal(err.class, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "1970-01-01T01:23:20Z"));
    assert_non_null(strstr(err.text, "nearest moment before: 1970-01-01T00:06:39Z"));
    close_all(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_time_between_logs),
        cmocka_unit_test(test_time_outside),
        cmocka_unit_test(test_lsn),
        cmocka_unit_test(test_newer_full_is_cheaper),
        cmocka_unit_test(test_cheapest),
        cmocka_unit_test(test_unknown_sizes),
        cmocka_unit_test(test_differential),
        cmocka_unit_test(test_newest_differential_only),
        cmocka_unit_test(test_stop_is_the_source_s_local_time),
        cmocka_unit_test(test_inside_the_full),
        cmocka_unit_test(test_quiet),
        cmocka_unit_test(test_avoid),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_resume_with_differential),
        cmocka_unit_test(test_marks),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
