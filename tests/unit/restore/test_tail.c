/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/tail.h"

#include "common/store/backups.h"
#include "tests/unit/restore/tail_make.h"

static void test_taken(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    expect_sessions(sql, "61");
    expect_success(sql);
    assert_succeeds(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err);
    fake_sql_done(sql);
    assert_int_equal(result.attempts, 1);
    assert_int_equal(result.evicted, 1);
    assert_int_equal(seen, 1);
    assert_string_equal(last_seen, "session 61 of login 'app' on web-1, shop");
}

/* Somebody is quicker: thrown out again, and again. */
static void test_grabbed(void **state) {
    static const int numbers[] = {924, 3101, 5061, 5064};
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    expect_sessions(sql, NULL);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        expect_busy(sql, numbers[i]);
        expect_sessions(sql, "77");
        fake_sql_expect(sql, "KILL 77");
        if (i == 1)
            fake_sql_message(sql, 6106, 16, "Process ID 77 is not an active process ID."); /* went by itself */
    }
    /* What failed before the backup in the same batch does not matter when the backup is there. */
    expect_success(sql);
    fake_sql_message(sql, 5064, 16, "Changes to the state or options of database cannot be made at this time.");
    assert_succeeds(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err);
    fake_sql_done(sql);
    assert_int_equal(result.attempts, 5);
    assert_int_equal(result.evicted, 4);
}

/* The time is over after one attempt: the database is open to others again, and who was in the way is said. */
static void test_never(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    expect_sessions(sql, NULL);
    expect_busy(sql, 3101);
    expect_sessions(sql, "77");
    fake_sql_expect(sql, "KILL 77");
    fake_sql_message(sql, 6102, 14, "User does not have permission to use the KILL statement.");
    expect_no_file(sql);
    expect_history(sql, false);
    expect_state(sql, "0");
    expect_undo(sql, "0", "1");
    assert_fails(
        restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_BUSY,
        "still in use after 1 attempts, last by session 77 of login 'app' on web-1, shop. The login may not end sessions");
    fake_sql_done(sql);
}

static void test_fails(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_message(sql, 3201, 16, "Cannot open backup device '/s/x'. Operating system error 5(Access is denied.).");
    fake_sql_message(sql, 3013, 16, "BACKUP LOG is terminating abnormally.");
    expect_no_file(sql);
    expect_history(sql, false);
    expect_state(sql, "0");
    expect_undo(sql, "0", "1");
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_PERMISSION,
                 "Access is denied");
    assert_int_equal(err.sql_number, 3201);
    fake_sql_done(sql);

    sql = fake_sql_new(); /* it cannot be opened again either: both are said */
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_message(sql, 9001, 21, "The log for database 'sales]x' is not available.");
    expect_no_file(sql);
    expect_history(sql, false);
    expect_state(sql, "0");
    expect_undo(sql, "0", "1");
    fake_sql_message(sql, 5064, 16, "Changes to the state cannot be made at this time.");
    assert_int_equal(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), -1);
    assert_non_null(strstr(err.text, "is not available"));
    assert_non_null(strstr(err.text, "ALTER DATABASE ... SET MULTI_USER"));
    fake_sql_done(sql);
}

static void test_connection_lost(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_fails(sql, ERR_CONNECT, "connection lost");
    fake_sql_dies(sql);
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_CONNECT,
                 "connection lost");
    assert_false(sql_session_alive(fake_sql_session(sql)));
    assert_true(unsure);
    fake_sql_done(sql);
}

static void test_cancelled(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result = {0};
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    atomic_bool cancel = true;
    (void)state;
    q.cancel = &cancel;
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_CANCELLED,
                 "asked to stop");
    fake_sql_done(sql);

    sql = fake_sql_new(); /* too late: it is there */
    atomic_store(&cancel, false);
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_fails(sql, ERR_CANCELLED, "statement cancelled");
    expect_header(sql, "r1-tail-1");
    assert_succeeds(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err);
    fake_sql_done(sql);

    sql = fake_sql_new(); /* in time: it is open again */
    expect_sessions(sql, NULL);
    expect_backup(sql);
    fake_sql_fails(sql, ERR_CANCELLED, "statement cancelled");
    expect_no_file(sql);
    expect_history(sql, false);
    expect_state(sql, "0");
    expect_undo(sql, "0", "1");
    assert_fails(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err, ERR_CANCELLED,
                 "tail of the log");
    fake_sql_done(sql);
}

/* A database that cannot be opened: nobody is in it, and it need not be left RESTORING. */
static void test_damaged(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    bool unsure = false;
    struct sql_server server = {0};
    struct err err;
    (void)state;
    q.damaged = true;
    fake_sql_expect(sql, "BACKUP LOG [sales]]x]");
    fake_sql_also(sql, "NO_TRUNCATE");
    fake_sql_not(sql, "NORECOVERY");
    fake_sql_not(sql, "ALTER DATABASE");
    fake_sql_message(sql, 3014, 0, "BACKUP LOG successfully processed 3 pages in 0.030 seconds (83.8 MB/sec).");
    assert_succeeds(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), err);
    fake_sql_done(sql);
    sql = fake_sql_new(); /* nothing was changed, so nothing is put back */
    fake_sql_expect(sql, "BACKUP LOG [sales]]x]");
    fake_sql_message(sql, 9003, 20, "The log scan number passed to log scan in database 'sales]x' is not valid.");
    expect_no_file(sql);
    expect_history(sql, false);
    expect_state(sql, "4");
    assert_int_equal(restore_tail_take(fake_sql_session(sql), &q, &server, &result, &unsure, &err), -1);
    fake_sql_done(sql);
}

static void test_undo(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct err err;
    (void)state;
    expect_undo(sql, NULL, NULL); /* not there any more */
    expect_undo(sql, "1", "1"); /* RESTORING */
    expect_undo(sql, "0", "0"); /* nothing to do */
    expect_undo(sql, "0", "1");
    for (int i = 0; i < 4; i++)
        assert_succeeds(restore_tail_undo(fake_sql_session(sql), "sales]x", 0, &err), err);
    fake_sql_done(sql);
    sql = fake_sql_new(); /* it was in restricted mode */
    fake_sql_expect(sql, "SELECT state, user_access");
    fake_sql_columns(sql, 2, "state", "user_access");
    fake_sql_row(sql, "0", "1");
    fake_sql_expect(sql, "SET RESTRICTED_USER");
    assert_succeeds(restore_tail_undo(fake_sql_session(sql), "sales]x", 2, &err), err);
    fake_sql_done(sql);
}

static void test_evict(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_tail_request q = request_make();
    struct restore_tail_result result;
    struct err err;
    (void)state;
    expect_sessions(sql, "61");
    fake_sql_expect(sql, "ALTER DATABASE [sales]]x] SET SINGLE_USER WITH ROLLBACK IMMEDIATE;");
    fake_sql_message(sql, 5064, 16, "Changes cannot be made at this time.");
    expect_sessions(sql, "62");
    fake_sql_expect(sql, "KILL 62");
    fake_sql_expect(sql, "ALTER DATABASE [sales]]x] SET SINGLE_USER WITH ROLLBACK IMMEDIATE;");
    assert_succeeds(restore_evict(fake_sql_session(sql), &q, &result, &err), err);
    assert_int_equal(result.attempts, 2);
    assert_int_equal(result.evicted, 2);
    fake_sql_done(sql);
    sql = fake_sql_new();
    expect_sessions(sql, NULL);
    fake_sql_expect(sql, "ALTER DATABASE");
    fake_sql_message(sql, 5011, 14, "User does not have permission to alter database.");
    fake_sql_message(sql, 5069, 16, "ALTER DATABASE statement failed.");
    assert_fails(restore_evict(fake_sql_session(sql), &q, &result, &err), err, ERR_PERMISSION, "permission to alter database");
    fake_sql_done(sql);
}

/* --- the backup set in the store --------------------------------------------------------------------------------- */

static void expect_filelist(struct fake_sql *sql) {
    fake_sql_expect(sql, "RESTORE FILELISTONLY");
    fake_sql_columns(sql, 6, "FileId", "Type", "LogicalName", "PhysicalName", "Size", "TDEThumbprint");
    fake_sql_row(sql, "1", "D", "sales", "/data/sales.mdf", "8388608", "ABCD");
    fake_sql_row(sql, "2", "L", "sales_log", "/data/sales.ldf", "8388608", NULL);
}

static void expect_marks(struct fake_sql *sql) {
    fake_sql_expect(sql, "logmarkhistory");
    fake_sql_columns(sql, 5, "mark_name", "description", "user_name", "lsn", "mark_time");
    fake_sql_row(sql, "before", "", "app", "39000000048900001", "2026-11-21T14:00:01");
}

static void inspect(struct restore_target *target, struct restore_tail *ret_tail, const char *local) {
    struct sql_database info = {.options = {.owner = "sa", .trustworthy = true, .broker = true}};
    const struct restore_tail_facts facts = {.restore_id = "r1",
                                             .database = "sales]x",
                                             .folder = "sales%5Dx~33333333",
                                             .run_id = "r1-tail-1",
                                             .server_path = "/s/r1-tail-1.trn",
                                             .local_path = local,
                                             .target = target,
                                             .info = &info,
                                             .program_version = "1.2.3"};
    struct fake_sql *sql = fake_sql_new();
    struct err err;
    expect_header(sql, "r1-tail-1");
    expect_filelist(sql);
    expect_marks(sql);
    assert_succeeds(restore_tail_inspect(fake_sql_session(sql), &facts, ret_tail, &err), err);
    fake_sql_done(sql);
}

static void test_inspect(void **state) {
    struct restore_target target = target_make();
    struct restore_tail tail;
    char text[CLOCK_TEXT_MAX];
    (void)state;
    inspect(&target, &tail, "/nowhere");
    const struct manifest *m = &tail.manifest;
    assert_true(backup_has(&m->backup, BACKUP_TAIL));
    assert_int_equal(tail.set.kind, BACKUP_LOG);
    assert_string_equal(clock_format(text, m->backup.valid_until),
                        "2026-11-21T12:00:05Z"); /* everybody was out: to its very end */
    assert_string_equal(m->valid_until_source, "sampled");
    assert_string_equal(m->database, "sales]x");
    assert_string_equal(m->reason, "tail of the log before restore r1");
    assert_string_equal(m->tde_thumbprint, "ABCD");
    assert_string_equal(m->options.owner, "sa");
    assert_true(m->options.trustworthy && m->options.broker_enabled);
    assert_int_equal(m->file_count, 2);
    assert_int_equal(m->mark_count, 1);
    assert_string_equal(m->product_version, "16.0.4236.2");
    restore_tail_done(&tail);
    restore_tail_done(&tail);

    struct fake_sql *sql = fake_sql_new(); /* a path that somebody reused */
    const struct restore_tail_facts facts = {.restore_id = "r1",
                                             .database = "sales]x",
                                             .folder = "f",
                                             .run_id = "r1-tail-1",
                                             .server_path = "/s/r1-tail-1.trn",
                                             .local_path = "x",
                                             .target = &target};
    struct err err;
    expect_header(sql, "another");
    assert_fails(restore_tail_inspect(fake_sql_session(sql), &facts, &tail, &err), err, ERR_CORRUPT, "named 'another'");
    fake_sql_done(sql);
}

static void test_commit(void **state) {
    char *dir = unit_tmpdir();
    _cleanup_free_ char *staged = file_join(dir, "tail.trn"), *root = file_join(dir, "store");
    struct restore_target target = target_make();
    struct restore_tail tail;
    struct manifest newest, found;
    struct store *store;
    struct err err;
    (void)state;
    assert_succeeds(file_write_durable(staged, "the tail", 8, 0600, &err), err);
    assert_succeeds(file_mkdirs(root, 0700, &err), err);
    assert_succeeds(store_open(root, &(struct store_options){0}, &store, &err), err);
    inspect(&target, &tail, staged);
    manifest_init(&newest);
    newest.backup = tail.set;
    newest.backup.incarnation = 3;
    newest.backup.set_guid.bytes[0] = 0x77;
    newest.sequence = 41;
    for (int i = 0; i < 2; i++) /* again after a crash: the same */
        assert_succeeds(restore_tail_commit(store, "ns/sql", &newest, &tail, &err), err);
    assert_succeeds(store_find_backup(store, "ns/sql", tail.folder, &tail.set, &found, &err), err);
    assert_int_equal(found.backup.incarnation, 3);
    assert_int_equal(found.sequence, 42);
    assert_true(str_starts(found.previous, "log/"));
    assert_int_equal(found.object_count, 1);
    assert_int_equal(found.objects[0].plain_bytes, 8);
    assert_true(backup_has(&found.backup, BACKUP_TAIL));
    assert_int_equal(found.mark_count, 1);
    assert_int_equal(tail.manifest.object_count, 0); /* as it was */
    manifest_done(&found);
    restore_tail_done(&tail);

    inspect(&target, &tail, "/nowhere/tail.trn");
    tail.manifest.backup.set_guid.bytes[0] = 0x55;
    assert_fails(restore_tail_commit(store, "ns/sql", NULL, &tail, &err), err, ERR_NOT_FOUND, "/nowhere");
    restore_tail_done(&tail);
    manifest_done(&newest);
    store_free(store);
    unit_rm(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken),
        cmocka_unit_test(test_grabbed),
        cmocka_unit_test_setup_teardown(test_never, slow_clock, normal_clock),
        cmocka_unit_test(test_fails),
        cmocka_unit_test(test_connection_lost),
        cmocka_unit_test(test_cancelled),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_undo),
        cmocka_unit_test(test_evict),
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_commit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
