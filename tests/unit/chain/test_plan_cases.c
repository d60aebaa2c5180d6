/* SPDX-License-Identifier: Apache-2.0 */
/* Histories as they come: overlaps, holes, forks, reverted volumes, changed clocks. */
#include "tests/unit/chain/plan_kit.h"

/* ---- one fork ---- */

static void test_logs_around_the_end_of_a_full(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 30, 200)); /* copied for long: log 2 was finished inside of it */
    add(&f, make_log(2, 5, 20, 100));
    add(&f, make_log(3, 20, 29, 150));
    add(&f, make_log(4, 29, 40, 300)); /* begins before the full's end */
    assert_plan(&f, "1 4");
    f.sets[3].first_lsn = L(31);
    assert_plan(&f, "1"); /* the next log begins behind the full: the point is all that there is */
    assert_true(f.plan.has_hole);
    to_time(&f, SEC(250));
    assert_refused(&f, "in_hole");
    close_all(&f);
}

static void test_log_around_the_end_of_a_differential(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 40, 200)); /* begins before and ends behind the differential */
    add(&f, make_diff(3, 1, 30, 32, 190));
    add(&f, make_log(4, 40, 50, 300));
    assert_plan(&f, "1 2 4");
    f.sets[2].stored_bytes = 1;
    assert_plan(&f, "1 2 4"); /* log 2 is needed all the same */
    f.request.avoid = &f.sets[0].set_guid;
    close_all(&f);
}

static void test_empty_logs(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    add(&f, make_log(3, 30, 30, 300));
    add(&f, make_log(4, 30, 30, 400));
    add(&f, make_log(5, 30, 40, 500));
    assert_plan(&f, "1 2 5"); /* they add nothing */
    to_time(&f, SEC(350)); /* they say that nothing happened */
    assert_plan(&f, "1 2 4 5?");
    f.count = 4;
    to_time(&f, SEC(390));
    assert_plan(&f, "1 2 4");
    f.request.target.kind = CHAIN_TO_LATEST;
    assert_plan(&f, "1 2");
    close_all(&f);
}

static void test_overlaps_of_one_fork(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, with(make_log(2, 15, 30, 200), BACKUP_COPY_ONLY));
    add(&f, with(make_log(3, 15, 40, 300), BACKUP_COPY_ONLY));
    add(&f, make_log(4, 15, 50, 400)); /* the regular one holds both */
    add(&f, make_log(5, 50, 60, 500));
    assert_plan(&f, "1 4 5");
    to_time(&f, SEC(150));
    assert_plan(&f, "1 2 3?"); /* each of them holds the moment and costs the same: the first that does */
    f.sets[1].stored_bytes = 1;
    assert_plan(&f, "1 2 3?");
    f.sets[3].stored_bytes = 25; /* a way over the copies is cheaper for once */
    f.sets[2].first_lsn = L(30), f.sets[2].stored_bytes = 3;
    to_lsn(&f, 35, false);
    assert_plan(&f, "1 2 3");
    close_all(&f);
}

static void test_read_only(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    for (unsigned i = 2; i < 8; i++) /* each log repeats the work of the ones before it */
        add(&f, with(make_log(i, 15, 30, i * 100), BACKUP_READ_ONLY));
    assert_true(build(&f));
    assert_int_equal(f.plan.count, 2);
    to_time(&f, SEC(650));
    assert_plan(&f, "1 7");
    close_all(&f);
}

static void test_copy_only_full(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, with(make_full(1, 10, 20, 100), BACKUP_COPY_ONLY));
    add(&f, make_log(2, 5, 30, 200));
    add(&f, make_diff(3, 9, 31, 32, 250)); /* its base is the regular full, which we do not have */
    assert_plan(&f, "1 2");
    assert_true(f.plan.has_hole);
    assert_int_equal(f.plan.hole.cause, CHAIN_HOLE_BASE_MISSING);
    close_all(&f);
}

static void test_stripes_positions_duplicates(void **state) {
    (void)state;
    struct fixture f = {0};
    struct backup log = make_log(2, 15, 30, 200);
    log.position = 7; /* several sets in one file */
    add(&f, log);
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_full(1, 10, 20, 100)); /* the header of the other stripe */
    log.position = 3;
    log.set_guid = G(3); /* the next set of the same file */
    log.first_lsn = L(30), log.last_lsn = L(40);
    add(&f, log);
    add(&f, with(make_log(2, 15, 30, 200), BACKUP_FOREIGN)); /* msdb knows it, too */
    assert_plan(&f, "1 2 3");
    assert_int_equal(f.sets[f.plan.members[1].set].position, 7);
    assert_false(backup_has(&f.sets[f.plan.members[1].set], BACKUP_FOREIGN));
    close_all(&f);
}

static void test_large_lsns(void **state) {
    (void)state;
    struct fixture f = {0};
    static const char *const lsns[] = {"17126658000000314300037", "17126658000000315600037", "4294967295429496729565535"};
    add(&f, make_full(1, 1, 1, 100));
    add(&f, make_log(2, 1, 1, 200));
    add(&f, make_log(3, 1, 1, 300));
    for (unsigned i = 0; i < 3; i++) {
        assert_true(lsn_parse(lsns[i], &f.sets[i].last_lsn));
        assert_true(lsn_parse(lsns[i ? i - 1 : 0], &f.sets[i].first_lsn));
    }
    struct err err;
    assert_succeeds(chain_target_parse("lsn:17126658000000315600036", &f.request.target, &err), err);
    assert_plan(&f, "1 2");
    assert_string_equal(f.plan.stop.value, "lsn:17126658000000315600036");
    assert_succeeds(chain_target_parse("lsn:17126658000000315600037", &f.request.target, &err), err);
    assert_plan(&f, "1 2 3");
    close_all(&f);
}

/* ---- holes ---- */

static void test_log_missing_in_the_middle(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    add(&f, make_log(4, 40, 50, 400)); /* 3 is missing */
    add(&f, make_diff(5, 1, 55, 57, 450));
    add(&f, make_log(6, 50, 60, 500));
    struct chain_foreign agent = {.set = with(make_log(3, 30, 40, 300), BACKUP_FOREIGN), .who = "CORP\\agent", .device = "NUL"};
    f.request.foreign = &agent;
    f.request.foreign_count = 1;
    assert_plan(&f, "1 5 6");
    to_time(&f, SEC(150));
    assert_plan(&f, "1 2");
    to_time(&f, SEC(480));
    assert_plan(&f, "1 5 6");
    to_time(&f, SEC(330));
    assert_refused(&f, "in_hole");
    assert_int_equal(f.refusal.class, ERR_CHAIN);
    assert_int_equal(f.refusal.hole.cause, CHAIN_HOLE_FOREIGN_LOG_NUL);
    assert_string_equal(f.refusal.hole.who, "CORP\\agent");
    assert_true(f.refusal.before.at == SEC(200) && f.refusal.after.at == SEC(450));
    assert_non_null(strstr(f.refusal.text, "CORP\\agent"));
    assert_non_null(strstr(f.refusal.text, "nearest moment after: 1970-01-01T00:07:30Z"));
    to_lsn(&f, 45, false);
    assert_refused(&f, "in_hole");
    assert_lsn(f.refusal.before.lsn, 30);
    assert_lsn(f.refusal.after.lsn, 57);
    close_all(&f);
}

static void test_latest_before_an_open_hole(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    add(&f, make_log(4, 40, 50, 400));
    add(&f, make_log(5, 50, 60, 500));
    assert_plan(&f, "1 2"); /* the newest that can be had, and it says so */
    assert_true(f.plan.has_hole && f.plan.reaches_at == SEC(200));
    assert_int_equal(f.plan.hole.cause, CHAIN_HOLE_LOG_MISSING);
    to_time(&f, SEC(450));
    assert_refused(&f, "in_hole");
    close_all(&f);
}

static void test_bulk_logged(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    add(&f, with(make_log(3, 30, 40, 300), BACKUP_BULK_LOGGED));
    add(&f, make_log(4, 40, 50, 400));
    to_time(&f, SEC(250));
    assert_refused(&f, "bulk_logged");
    assert_true(f.refusal.before.at == SEC(200) && f.refusal.after.at == SEC(300));
    to_lsn(&f, 35, false);
    assert_refused(&f, "bulk_logged");
    to_lsn(&f, 40, true); /* its end */
    assert_plan(&f, "1 2 3");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_NONE);
    to_time(&f, SEC(200)); /* the next one cannot be stopped in: it is not listed */
    assert_plan(&f, "1 2");
    to_time(&f, SEC(350));
    assert_plan(&f, "1 2 3 4");
    assert_true(f.plan.members[1].stop && !f.plan.members[2].stop && f.plan.members[3].stop);
    to_time(&f, SEC(300));
    assert_plan(&f, "1 2 3 4");
    f.request.target.kind = CHAIN_TO_LATEST;
    assert_plan(&f, "1 2 3 4");
    close_all(&f);
}

/* ---- forks and incarnations ---- */

/* Restored at 350 to LSN 35: fork B, whose first log crosses over. Fork A was backed up until 300. */
static struct fixture forked(void) {
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    add(&f, make_log(3, 30, 40, 300));
    add(&f, on_fork(make_log(4, 30, 50, 400), FORK_A, FORK_B, 35));
    add(&f, on_fork(make_log(5, 50, 60, 500), FORK_B, FORK_B, 0));
    return f;
}

static void test_forks(void **state) {
    (void)state;
    struct fixture f = forked();
    assert_plan(&f, "1 2 4 5"); /* log 3 is on a dead branch */
    to_time(&f, SEC(450));
    assert_plan(&f, "1 2 4 5");
    to_time(&f, SEC(250)); /* then fork A was in use */
    assert_plan(&f, "1 2 3");
    assert_true(guid_eq(&f.plan.path.fork, &(struct guid){.bytes = {0, 0, 0, FORK_A}}));
    to_lsn(&f, 38, false); /* on both: the newer one */
    assert_plan(&f, "1 2 4");
    struct chain_path a = {.family = G(FAMILY), .fork = G(FORK_A)};
    f.request.path = &a;
    assert_plan(&f, "1 2 3");
    f.request.target.kind = CHAIN_TO_LATEST;
    assert_plan(&f, "1 2 3");
    assert_false(f.plan.has_hole);
    f.request.path = NULL;
    f.sets[3].fork_point = L(29); /* left before log 2 ended: nothing of ours applies any more */
    assert_plan(&f, "1 2 3");
    assert_true(f.plan.has_hole);
    close_all(&f);
}

/* From before the fork: also by a log that goes on behind the fork point, which the new fork cannot use. */
static void test_lsn_before_the_fork(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 15, 100));
    add(&f, with(make_log(2, 10, 28, 200), BACKUP_COPY_ONLY));
    add(&f, make_log(3, 10, 31, 300));
    add(&f, on_fork(make_log(4, 28, 40, 400), FORK_A, FORK_B, 28));
    f.sets[1].stored_bytes = 11;
    to_lsn(&f, 17, false);
    assert_plan(&f, "1 3");
    assert_true(guid_eq(&f.plan.path.fork, &(struct guid){.bytes = {0, 0, 0, FORK_A}}));
    f.request.target.kind = CHAIN_TO_LATEST;
    assert_plan(&f, "1 2 4");
    close_all(&f);
}

static void test_full_on_the_new_fork(void **state) {
    (void)state;
    struct fixture f = forked();
    add(&f, on_fork(make_full(6, 52, 55, 420), FORK_B, FORK_B, 0));
    f.sets[5].stored_bytes = 5;
    assert_plan(&f, "6 5");
    add(&f, on_fork(make_diff(7, 1, 56, 57, 430), FORK_B, FORK_B, 0)); /* on the full from before the restore */
    f.sets[5].stored_bytes = 2000;
    f.sets[6].stored_bytes = 1;
    assert_plan(&f, "1 7 5");
    to_time(&f, SEC(380)); /* after the restore, before the first backup of fork B began */
    assert_plan(&f, "1 2 4 5?");
    assert_true(f.plan.before_path); /* nobody says when it was restored */
    struct chain_hole restored = {
        .cause = CHAIN_HOLE_FORK, .family = G(FAMILY), .fork = G(FORK_B), .cause_at = SEC(350), .from_at = SEC(300)};
    f.request.known = &restored;
    f.request.known_count = 1;
    assert_plan(&f, "1 2 4 5?");
    assert_false(f.plan.before_path); /* the restore was seen */
    restored.cause_at = SEC(385);
    assert_plan(&f, "1 2 4 5?");
    assert_true(f.plan.before_path);
    close_all(&f);
}

static void test_two_primaries(void **state) {
    (void)state;
    struct fixture f = forked();
    add(&f, make_log(6, 40, 70, 550)); /* the old primary went on after a forced failover */
    assert_plan(&f, "1 2 4 5");
    to_time(&f, SEC(450));
    assert_plan(&f, "1 2 4 5");
    close_all(&f);
}

/* What the old primary logged after the failover the database never had: a hole of the new fork is not filled from there. */
static void test_two_primaries_and_a_hole(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 12, 100));
    add(&f, make_log(2, 10, 20, 200));
    add(&f, on_fork(make_log(4, 20, 30, 300), FORK_A, FORK_B, 25));
    add(&f, make_log(3, 20, 40, 450)); /* of the old primary */
    add(&f, on_fork(make_log(6, 35, 45, 400), FORK_B, FORK_B, 0)); /* log 5 is missing */
    to_time(&f, SEC(350));
    assert_refused(&f, "in_hole");
    assert_int_equal(f.refusal.hole.cause, CHAIN_HOLE_LOG_MISSING);
    assert_true(f.refusal.before.any && f.refusal.before.at <= SEC(300) && f.refusal.after.at == 0);
    assert_non_null(strstr(f.refusal.text, "a recovery fork that the database had left"));
    to_time(&f, f.refusal.before.at);
    assert_plan(&f, "1 2 4");
    f.request.path = &(struct chain_path){.family = G(FAMILY), .fork = G(FORK_A)}; /* whoever wants those rows says so */
    to_time(&f, SEC(350));
    assert_plan(&f, "1 2 3");
    close_all(&f);
}

static void test_mixed_servers_of_a_group(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_log(4, 40, 50, 400)); /* the history of one replica, then of the other */
    add(&f, make_log(2, 15, 30, 200));
    add(&f, with(make_full(1, 10, 20, 100), BACKUP_COPY_ONLY));
    add(&f, make_log(3, 30, 40, 300));
    for (size_t i = 0; i < f.count; i++) {
        f.sets[i].flags |= BACKUP_UTC_OFFSET_KNOWN;
        f.sets[i].utc_offset_s = i < 2 ? 3600 : 0; /* and they are in two zones */
    }
    assert_plan(&f, "1 2 3 4");
    to_time(&f, SEC(350)); /* whose local time is in the log? */
    assert_refused(&f, "ambiguous_hour");
    to_lsn(&f, 45, false);
    assert_plan(&f, "1 2 3 4");
    close_all(&f);
}

static void test_reverted_volume(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    add(&f, make_log(3, 30, 40, 300));
    struct backup full = make_full(4, 32, 34, 400), log = make_log(5, 30, 44, 500), diff = make_diff(6, 1, 50, 51, 600);
    full.incarnation = log.incarnation = diff.incarnation = 1; /* the same GUIDs, the same LSNs, another content */
    add(&f, full);
    add(&f, log);
    add(&f, diff);
    f.sets[4].stored_bytes = 1000;
    assert_plan(&f, "4 5"); /* never log 5 on full 1, and never differential 6 on it */
    to_time(&f, SEC(250));
    assert_plan(&f, "1 2 3");
    to_time(&f, SEC(350));
    assert_refused(&f, "in_hole");
    assert_int_equal(f.refusal.hole.cause, CHAIN_HOLE_VOLUME_REVERTED);
    f.request.avoid = &f.sets[3].set_guid;
    f.request.avoid_count = 1;
    to_lsn(&f, 43, false);
    assert_refused(&f, "set_unusable");
    close_all(&f);
}

/* Two databases exchanged their names: one history by name holds both families. */
static void test_rename_swap(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    struct backup full = make_full(3, 10, 20, 250), log = make_log(4, 30, 40, 300);
    full.family_guid = log.family_guid = G(0xFB);
    full.first_fork = full.last_fork = log.first_fork = log.last_fork = G(FORK_B);
    add(&f, full);
    add(&f, log); /* fits behind log 2 by its numbers only */
    assert_plan(&f, "3");
    assert_true(f.plan.has_hole);
    to_time(&f, SEC(150));
    assert_plan(&f, "1 2");
    to_time(&f, SEC(280));
    assert_refused(&f, "in_hole");
    f.sets[0].database_guid = G(0xDC); /* a rename, or files that were copied: no part of the identity */
    to_time(&f, SEC(150));
    assert_plan(&f, "1 2");
    close_all(&f);
}

/* ---- clocks ---- */

/* A log every ten minutes from hour 1 to hour 7; the zone's offset changes at hour 4. */
static struct fixture summer(int32_t before, int32_t after) {
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 3600));
    for (unsigned i = 0; i < 30; i++)
        add(&f, make_log(2 + i, i ? 20 + i : 15, 21 + i, 3600 + 720 * (i + 1)));
    for (size_t i = 0; i < f.count; i++) {
        f.sets[i].flags |= BACKUP_UTC_OFFSET_KNOWN;
        f.sets[i].utc_offset_s = f.sets[i].start_at < SEC(4 * 3600) ? before : after;
    }
    return f;
}

static void test_hour_that_is_repeated(void **state) {
    (void)state;
    struct fixture f = summer(7200, 3600);
    to_time(&f, SEC(3 * 3600 - 900)); /* long before */
    assert_true(build(&f));
    assert_string_equal(f.plan.stop.value, "1970-01-01T04:45:00.000");
    to_time(&f, SEC(5 * 3600 + 900)); /* long after */
    assert_true(build(&f));
    assert_string_equal(f.plan.stop.value, "1970-01-01T06:15:00.000");
    const int64_t unclear[] = {3 * 3600 + 60, 3 * 3600 + 1800, 4 * 3600 - 1, 4 * 3600, 4 * 3600 + 1800, 5 * 3600 - 60};
    for (size_t i = 0; i < ARRAY_LEN(unclear); i++) {
        to_time(&f, SEC(unclear[i]));
        assert_refused(&f, "ambiguous_hour");
        assert_int_equal(f.refusal.class, ERR_USAGE);
        assert_true(f.refusal.before.any && f.refusal.before.at <= SEC(unclear[i]) && f.refusal.after.at > SEC(unclear[i]));
        struct lsn lsn = f.refusal.before.lsn;
        f.request.target = (struct chain_target){.kind = CHAIN_TO_LSN, .lsn = lsn, .before = true};
        assert_true(build(&f)); /* what is offered works */
        assert_int_equal(lsn_cmp(f.plan.reaches_lsn, lsn), 0);
    }
    f.request.target.kind = CHAIN_TO_LATEST; /* needs no clock */
    assert_true(build(&f));
    close_all(&f);
}

/* Two changes of half an hour: the local times of a whole hour were shown twice. */
static void test_changes_add_up(void **state) {
    (void)state;
    struct fixture f = summer(7200, 3600);
    for (size_t i = 0; i < f.count; i++) {
        if (f.sets[i].start_at >= SEC(4 * 3600) && f.sets[i].start_at < SEC(4 * 3600 + 800))
            f.sets[i].utc_offset_s = 5400;
    }
    const int64_t unclear[] = {3 * 3600 + 1000, 4 * 3600 + 3000};
    for (size_t i = 0; i < ARRAY_LEN(unclear); i++) {
        to_time(&f, SEC(unclear[i]));
        assert_refused(&f, "ambiguous_hour");
    }
    to_time(&f, SEC(5 * 3600 + 1600));
    assert_true(build(&f));
    to_time(&f, SEC(3 * 3600 - 900));
    assert_true(build(&f));
    close_all(&f);
}

static void test_hour_that_is_skipped(void **state) {
    (void)state;
    struct fixture f = summer(3600, 7200);
    to_time(&f, SEC(4 * 3600 - 1200));
    assert_true(build(&f));
    assert_string_equal(f.plan.stop.value, "1970-01-01T04:40:00.000");
    to_time(&f, SEC(4 * 3600 + 1200));
    assert_true(build(&f));
    assert_string_equal(f.plan.stop.value, "1970-01-01T06:20:00.000");
    to_time(&f, SEC(4 * 3600 - 100)); /* between the two samples nobody knows which offset it was */
    assert_refused(&f, "ambiguous_hour");
    close_all(&f);
}

static void test_clock_set_back(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 1000));
    const int64_t ends[] = {1100, 1200, 1300, 1400, 1080, 1180, 1280, 1380, 1480, 1580};
    for (unsigned i = 0; i < ARRAY_LEN(ends); i++)
        add(&f, make_log(2 + i, i ? 20 + i : 15, 21 + i, ends[i]));
    to_time(&f, SEC(1250)); /* was twice */
    assert_refused(&f, "clock_set_back");
    assert_true(f.refusal.before.any && !lsn_is_zero(f.refusal.before.lsn));
    to_time(&f, SEC(1550));
    assert_true(build(&f));
    assert_int_equal(f.plan.count, 11);
    f.request.target.kind = CHAIN_TO_LATEST;
    assert_true(build(&f));
    f.count = 5; /* before it happened */
    to_time(&f, SEC(1250));
    assert_plan(&f, "1 2 3 4 5?");
    close_all(&f);
}

/* Only the beginnings of two logs show it. */
static void test_clock_set_back_a_little(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_slow_log(2, 15, 30, 200, 201));
    add(&f, make_slow_log(3, 30, 40, 190, 210));
    add(&f, make_slow_log(4, 40, 50, 300, 301));
    to_time(&f, SEC(195));
    assert_refused(&f, "clock_set_back");
    f.sets[2].start_at = SEC(205);
    assert_plan(&f, "1 2 3?");
    close_all(&f);
}

/* A damaged full that ended at the moment: other sets lead to its LSN only by a cut, which would lose what came after. */
static void test_point_inside_a_log(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_slow_log(2, 15, 30, 150, 260));
    add(&f, with(make_full(3, 18, 25, 200), BACKUP_DAMAGED));
    to_time(&f, SEC(200));
    assert_refused(&f, "base_damaged");
    f.sets[2].flags &= ~(uint32_t)BACKUP_DAMAGED;
    assert_plan(&f, "3");
    close_all(&f);
}

/* A data backup runs beside the logs: that its times lie across theirs says nothing. */
static void test_long_full_is_no_clock_step(void **state) {
    (void)state;
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_log(2, 15, 30, 200));
    struct backup full = make_full(3, 21, 45, 450);
    full.start_at = SEC(150);
    add(&f, full);
    add(&f, make_log(4, 30, 40, 300));
    add(&f, make_log(5, 40, 50, 400));
    add(&f, make_log(6, 50, 60, 500));
    to_time(&f, SEC(250));
    assert_plan(&f, "1 2 4 5?");
    to_time(&f, SEC(460));
    assert_plan(&f, "3 5 6");
    close_all(&f);
}

static void test_mark_in_an_unclear_hour(void **state) {
    (void)state;
    struct fixture f = summer(7200, 3600);
    struct chain_log_mark marks[] = {{.name = "m", .lsn = L(33), .at = SEC(3 * 3600 + 1800), .set = G(15)},
                                     {.name = "m", .lsn = L(48), .at = SEC(6 * 3600), .set = G(29)}};
    f.request.marks = marks;
    f.request.mark_count = 1;
    f.request.target = (struct chain_target){.kind = CHAIN_TO_MARK, .mark = "m"};
    assert_true(build(&f));
    assert_string_equal(f.plan.stop.after, ""); /* its name alone names it */
    f.request.mark_count = 2;
    f.request.target.at = SEC(3600);
    assert_refused(&f, "ambiguous_hour");
    f.request.target.at = SEC(5 * 3600);
    assert_true(build(&f));
    assert_string_equal(f.plan.stop.after, "1970-01-01T07:00:00.000");
    close_all(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_logs_around_the_end_of_a_full),
        cmocka_unit_test(test_log_around_the_end_of_a_differential),
        cmocka_unit_test(test_empty_logs),
        cmocka_unit_test(test_overlaps_of_one_fork),
        cmocka_unit_test(test_read_only),
        cmocka_unit_test(test_copy_only_full),
        cmocka_unit_test(test_stripes_positions_duplicates),
        cmocka_unit_test(test_large_lsns),
        cmocka_unit_test(test_log_missing_in_the_middle),
        cmocka_unit_test(test_latest_before_an_open_hole),
        cmocka_unit_test(test_bulk_logged),
        cmocka_unit_test(test_forks),
        cmocka_unit_test(test_lsn_before_the_fork),
        cmocka_unit_test(test_full_on_the_new_fork),
        cmocka_unit_test(test_two_primaries),
        cmocka_unit_test(test_two_primaries_and_a_hole),
        cmocka_unit_test(test_mixed_servers_of_a_group),
        cmocka_unit_test(test_reverted_volume),
        cmocka_unit_test(test_rename_swap),
        cmocka_unit_test(test_hour_that_is_repeated),
        cmocka_unit_test(test_changes_add_up),
        cmocka_unit_test(test_hour_that_is_skipped),
        cmocka_unit_test(test_clock_set_back),
        cmocka_unit_test(test_clock_set_back_a_little),
        cmocka_unit_test(test_point_inside_a_log),
        cmocka_unit_test(test_long_full_is_no_clock_step),
        cmocka_unit_test(test_mark_in_an_unclear_hour),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
