/* SPDX-License-Identifier: Apache-2.0 */
/* What became of a tail whose end nobody heard: only what is proven is said. */
#include "tests/unit/restore/tail_make.h"

/* Nobody may look: it may have been taken, so nothing is undone. */
static void test_unsure(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_fails(sql, ERR_CANCELLED, "statement cancelled");
    fake_sql_expect(sql, "RESTORE HEADERONLY");
    fake_sql_message(sql, 3201, 16, "Cannot open backup device. Operating system error 5(Access is denied.).");
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_CANCELLED,
                 "What became of the tail is not known");
    assert_true(unsure);
    fake_sql_done(sql);

    sql = fake_sql_new(); /* the file is gone, and the database is as a tail leaves it */
    unsure = false;
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_fails(sql, ERR_CANCELLED, "statement cancelled");
    expect_no_file(sql);
    expect_history(sql, false);
    expect_state(sql, "1");
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_CANCELLED, "cancelled");
    assert_true(unsure);
    fake_sql_done(sql);

    sql = fake_sql_new(); /* it did not even begin */
    unsure = true;
    fake_sql_expect(sql, "FROM sys.dm_exec_sessions");
    fake_sql_fails(sql, ERR_CONNECT, "connection lost");
    fake_sql_dies(sql);
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_CONNECT,
                 "connection lost");
    assert_false(unsure);
    fake_sql_done(sql);
}

enum file { OURS, OTHER, NO_FILE, HALF, DENIED };

static void expect_file(struct fake_sql *sql, enum file file) {
    if (file == OURS || file == OTHER) {
        expect_header(sql, file == OURS ? "r1-tail-1" : "another");
        return;
    }
    if (file == NO_FILE) {
        expect_no_file(sql);
        return;
    }
    fake_sql_expect(sql, "RESTORE HEADERONLY");
    if (file == HALF)
        fake_sql_message(sql, 3256, 16, "The backup set on device was terminated while it was being created and is incomplete.");
    else
        fake_sql_message(sql, 3201, 16, "Cannot open backup device. Operating system error 5(Access is denied.).");
}

static void expect_blind(struct fake_sql *sql) {
    fake_sql_expect(sql, "FROM sys.dm_exec_requests");
    fake_sql_message(sql, 300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.");
}

static const struct find_case {
    const char *title;
    enum file file;
    bool blind, damaged, noted;
    const char *db; /* its state; NULL: there is none */
    enum restore_tail_state found;
    enum err_class class;
    const char *text;
} find_cases[] = {
    {"taken", OURS, false, false, false, "1", RESTORE_TAIL_FOUND, ERR_NONE, NULL},
    {"taken, and opened since", OURS, false, false, false, "0", RESTORE_TAIL_FOUND, ERR_NONE, NULL},
    {"taken; a header that is there needs no other look", OURS, true, false, false, "1", RESTORE_TAIL_FOUND, ERR_NONE, NULL},
    {"not taken: it is open, and nothing runs", NO_FILE, false, false, false, "0", RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"half a file, and it is open", HALF, false, false, false, "0", RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"somebody else's file, and it is open", OTHER, false, false, false, "0", RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"taken, lost, and opened again: all is in it", NO_FILE, false, false, true, "0", RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"taken, and the file is gone", NO_FILE, false, false, true, "1", RESTORE_TAIL_FOUND_GONE, ERR_NONE, NULL},
    {"msdb was not told, and the file is gone", NO_FILE, false, false, false, "1", RESTORE_TAIL_FOUND_GONE, ERR_NONE, NULL},
    {"taken, and another file is there", OTHER, false, false, false, "1", RESTORE_TAIL_FOUND_GONE, ERR_NONE, NULL},
    {"taken, and the file is bad at the moment", HALF, false, false, false, "1", 0, ERR_CORRUPT, "as a tail leaves it"},
    {"it cannot be read: nobody may take it for absent", DENIED, false, false, false, "0", 0, ERR_PERMISSION,
     "looking for the tail"},
    {"it cannot be seen whether it runs", NO_FILE, true, false, false, "0", 0, ERR_PERMISSION, "VIEW SERVER STATE"},
    {"half a file that may be in the making", HALF, true, false, false, "0", 0, ERR_PERMISSION, "VIEW SERVER STATE"},
    {"damaged: its log was not truncated", HALF, false, true, false, "4", RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"damaged: it can be taken again", NO_FILE, false, true, true, "4", RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"dropped before", NO_FILE, false, false, false, NULL, RESTORE_TAIL_FOUND_NOT, ERR_NONE, NULL},
    {"dropped after, and the file is gone", NO_FILE, false, false, true, NULL, RESTORE_TAIL_FOUND_GONE, ERR_NONE, NULL},
};

static void test_find(void **state) {
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(find_cases); i++) {
        const struct find_case *c = &find_cases[i];
        struct fake_sql *sql = fake_sql_new();
        struct restore_tail_request q = request_make();
        struct sql_server server = {0};
        enum restore_tail_state found = RESTORE_TAIL_STATE_COUNT;
        struct err err;
        print_message("%s\n", c->title);
        q.damaged = c->damaged;
        if (c->blind)
            expect_blind(sql);
        else
            expect_no_backup_running(sql);
        expect_file(sql, c->file);
        if (c->file != OURS && c->file != DENIED) {
            expect_history(sql, c->noted);
            expect_state(sql, c->db);
        }
        if (c->class == ERR_NONE) {
            assert_succeeds(restore_tail_find(fake_sql_session(sql), &q, &server, &found, &err), err);
            assert_int_equal(found, c->found);
        } else {
            assert_fails(restore_tail_find(fake_sql_session(sql), &q, &server, &found, &err), err, c->class, c->text);
            assert_int_equal(found, RESTORE_TAIL_STATE_COUNT);
        }
        fake_sql_done(sql);
    }
}

/* The lost session's BACKUP comes to its end first; what began later is another's. */
static void test_find_waits(void **state) {
    enum restore_tail_state found;
    struct restore_tail_request q = request_make();
    struct sql_server server = {0};
    struct err err;
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    expect_running(sql, "55", "2026-11-21T14:00:00");
    expect_running(sql, "55", "2026-11-21T14:00:00");
    expect_running(sql, "55", "2026-11-21T14:00:07"); /* the same number, the next batch */
    expect_header(sql, "r1-tail-1");
    assert_succeeds(restore_tail_find(fake_sql_session(sql), &q, &server, &found, &err), err);
    assert_int_equal(found, RESTORE_TAIL_FOUND);
    fake_sql_done(sql);
}

static void test_find_trouble(void **state) {
    enum restore_tail_state found;
    struct restore_tail_request q = request_make();
    struct sql_server server = {0};
    struct err err;
    (void)state;
    struct fake_sql *sql = fake_sql_new(); /* msdb does not answer */
    expect_no_backup_running(sql);
    expect_no_file(sql);
    fake_sql_expect(sql, "WHERE s.name = N'r1-tail-1'");
    fake_sql_message(sql, 229, 14, "The SELECT permission was denied on the object 'backupset'.");
    assert_fails(restore_tail_find(fake_sql_session(sql), &q, &server, &found, &err), err, ERR_PERMISSION, "SELECT permission");
    fake_sql_done(sql);

    sql = fake_sql_new();
    expect_no_backup_running(sql);
    fake_sql_expect(sql, "RESTORE HEADERONLY");
    fake_sql_fails(sql, ERR_CONNECT, "connection lost");
    fake_sql_dies(sql);
    assert_fails(restore_tail_find(fake_sql_session(sql), &q, &server, &found, &err), err, ERR_CONNECT, "connection lost");
    fake_sql_done(sql);
}

/* It runs longer than anybody waits: nothing is looked at, for nothing could be known. */
static void test_find_still_runs(void **state) {
    enum restore_tail_state found;
    struct restore_tail_request q = request_make();
    struct sql_server server = {0};
    struct err err;
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    expect_running(sql, "55", "2026-11-21T14:00:00");
    assert_fails(restore_tail_find(fake_sql_session(sql), &q, &server, &found, &err), err, ERR_BUSY, "still runs");
    fake_sql_done(sql);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsure),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_find_waits),
        cmocka_unit_test(test_find_trouble),
        cmocka_unit_test_setup_teardown(test_find_still_runs, slow_clock, normal_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
