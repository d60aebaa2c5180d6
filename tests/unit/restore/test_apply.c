/* SPDX-License-Identifier: Apache-2.0 */
/* The statements as text, and what the server's answers mean. */
#include "tests/unit/support/unit.h"

#include "common/restore/apply.h"
#include "common/restore/statement.h"
#include "tests/unit/support/fake_sql.h"

static struct err err;

static void test_texts(void **state) {
    (void)state;
    static const char *const paths[] = {"/s/a'b.bak", "/s/2.bak"};
    static char logical[] = "lo]g'", physical[] = "/d/x.mdf";
    static const struct restore_move moves[] = {{logical, physical}};
    struct buf b;
    buf_init(&b, RESTORE_TEXT_MAX);
    struct restore_data_text data = {.database = "a]b", .devices = {paths, 2, 3, true}, .moves = moves, .move_count = 1};
    assert_succeeds(restore_text_data(&data, &b, &err), err);
    assert_string_equal(
        b.data, "RESTORE DATABASE [a]]b] FROM DISK = N'/s/a''b.bak', DISK = N'/s/2.bak' WITH FILE = 3, NORECOVERY, CHECKSUM, "
                "STATS = 2, MOVE N'lo]g''' TO N'/d/x.mdf'");
    assert_null(strstr(b.data, "REPLACE"));
    data.replace = true;
    buf_reset(&b);
    assert_succeeds(restore_text_data(&data, &b, &err), err);
    assert_non_null(strstr(b.data, ", REPLACE"));
    buf_reset(&b);
    struct restore_log_text log = {
        .database = "x", .devices = {paths, 1, 0, false}, .stop = "STOPAT = N'2026-01-01T00:00:00.000'"};
    assert_succeeds(restore_text_log(&log, &b, &err), err);
    assert_string_equal(b.data, "RESTORE LOG [x] FROM DISK = N'/s/a''b.bak' WITH FILE = 1, NORECOVERY, STATS = 2, "
                                "STOPAT = N'2026-01-01T00:00:00.000'");
    buf_reset(&b);
    struct restore_end_text end = {.database = "x", .keep_cdc = true, .keep_replication = true};
    assert_succeeds(restore_text_end(&end, &b, &err), err);
    assert_string_equal(b.data, "RESTORE DATABASE [x] WITH RECOVERY, KEEP_CDC, KEEP_REPLICATION");
    buf_reset(&b);
    end.standby = "/u/x.undo";
    assert_succeeds(restore_text_end(&end, &b, &err), err);
    assert_string_equal(b.data, "RESTORE DATABASE [x] WITH STANDBY = N'/u/x.undo'");
    buf_done(&b);
}

struct seen {
    double last;
    unsigned count;
};

static void on_percent(void *user, double percent) {
    struct seen *s = user;
    s->last = percent;
    s->count++;
}

static void test_answers(void **state) {
    (void)state;
    static const struct {
        int number, severity;
        enum apply_answer answer;
    } cases[] = {{3014, 0, APPLY_DONE}, {4322, 0, APPLY_NOT_REACHED}, {4329, 0, APPLY_NOT_REACHED}, {4326, 16, APPLY_SKIPPED}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_sql *sql = fake_sql_new();
        struct seen seen = {0};
        struct apply a = {.session = fake_sql_session(sql), .stuck_after_ms = 60000, .progress = on_percent, .user = &seen};
        enum apply_answer answer;
        enum apply_trouble trouble;
        fake_sql_expect(sql, "RESTORE LOG");
        fake_sql_message(sql, 3211, 0, "50 percent processed.");
        fake_sql_message(sql, cases[i].number, cases[i].severity, "text");
        assert_succeeds(apply_run(&a, "RESTORE LOG x", &answer, &trouble, &err), err);
        assert_int_equal(answer, cases[i].answer);
        assert_int_equal(seen.count, 1);
        assert_true(seen.last == 50);
        fake_sql_done(sql);
    }
}

static void test_troubles(void **state) {
    (void)state;
    static const struct {
        int number;
        enum apply_trouble trouble;
    } cases[] = {{4305, APPLY_STATE}, {4330, APPLY_STATE}, {3136, APPLY_STATE}, {4319, APPLY_STATE},
                 {4335, APPLY_STATE}, {3117, APPLY_STATE}, {3241, APPLY_MEDIA}, {3183, APPLY_MEDIA},
                 {3203, APPLY_MEDIA}, {3201, APPLY_FATAL}, {3257, APPLY_FATAL}, {3110, APPLY_FATAL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fake_sql *sql = fake_sql_new();
        struct apply a = {.session = fake_sql_session(sql)};
        enum apply_answer answer;
        enum apply_trouble trouble = APPLY_LOST;
        fake_sql_expect(sql, "RESTORE");
        fake_sql_message(sql, cases[i].number, 16, "text");
        fake_sql_message(sql, 3013, 16, "RESTORE LOG is terminating abnormally.");
        err_clear(&err);
        assert_int_equal(apply_run(&a, "RESTORE LOG x", &answer, &trouble, &err), -1);
        assert_int_equal(err.sql_number, cases[i].number);
        assert_int_equal(trouble, cases[i].trouble);
        fake_sql_done(sql);
    }
}

static void test_lost_and_cancelled(void **state) {
    (void)state;
    atomic_bool cancel = true;
    struct fake_sql *sql = fake_sql_new();
    struct apply a = {.session = fake_sql_session(sql)};
    enum apply_answer answer;
    enum apply_trouble trouble;
    fake_sql_expect(sql, "RESTORE");
    fake_sql_fails(sql, ERR_CONNECT, "gone");
    fake_sql_dies(sql);
    assert_fails(apply_run(&a, "RESTORE LOG x", &answer, &trouble, &err), err, ERR_CONNECT, "gone");
    assert_int_equal(trouble, APPLY_LOST);
    fake_sql_done(sql);
    sql = fake_sql_new();
    a = (struct apply){.session = fake_sql_session(sql), .cancel = &cancel};
    fake_sql_expect(sql, "RESTORE");
    fake_sql_fails(sql, ERR_CANCELLED, "cancelled");
    assert_fails(apply_run(&a, "RESTORE LOG x", &answer, &trouble, &err), err, ERR_CANCELLED, "cancelled");
    assert_int_equal(trouble, APPLY_CANCELLED);
    fake_sql_done(sql);
}

/* Nobody could look: that is no sign of standing still. */
static void test_stuck(void **state) {
    (void)state;
    static const struct {
        enum apply_sight sight;
        int64_t after_ms, still_ms;
        bool stuck;
    } cases[] = {{APPLY_SEES, 1000, 999, false}, {APPLY_SEES, 1000, 1001, true},      {APPLY_SEES, 0, 1000000, false},
                 {APPLY_AWAY, 1000, 1001, true}, {APPLY_BLIND, 1000, 1000000, false}, {APPLY_AWAY, 1000, 999, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct apply a = {.stuck_after_ms = cases[i].after_ms, .moved_us = 5, .sight = cases[i].sight};
        assert_int_equal(apply_is_stuck(&a, 5 + cases[i].still_ms * 1000), cases[i].stuck);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),    cmocka_unit_test(test_answers),
        cmocka_unit_test(test_troubles), cmocka_unit_test(test_lost_and_cancelled),
        cmocka_unit_test(test_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
