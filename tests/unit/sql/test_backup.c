/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/backup.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

static const char *const one[] = {"/s/run-1.trn"};
static const char *const two[] = {"/s/a.bak", "/s/it's.bak"};

static struct sql_backup_request request(enum backup_kind kind) {
    return (struct sql_backup_request){.database = "sa]les", .kind = kind, .paths = one, .path_count = 1, .name = "run-1"};
}

static void check_text(const struct sql_backup_request *r, enum sql_compression compression, const char *want) {
    struct buf b;
    struct err err;
    buf_init(&b, SQL_TEXT_MAX);
    assert_succeeds(sql_backup_text(r, compression, &b, &err), err);
    assert_string_equal(b.data, want);
    buf_done(&b);
}

static void test_text(void **state) {
    (void)state;
    struct sql_backup_request r = request(BACKUP_LOG);
    check_text(&r, SQL_COMPRESSION_DEFAULT,
               "BACKUP LOG [sa]]les] TO DISK = N'/s/run-1.trn' WITH INIT, FORMAT, NAME = N'run-1', CHECKSUM, STATS = 5");
    r = request(BACKUP_DIFF);
    r.stats_percent = 1;
    check_text(&r, SQL_COMPRESSION_OFF,
               "BACKUP DATABASE [sa]]les] TO DISK = N'/s/run-1.trn' WITH DIFFERENTIAL, INIT, FORMAT, NAME = N'run-1', CHECKSUM, "
               "NO_COMPRESSION, STATS = 1");
    r = request(BACKUP_FULL);
    r.paths = two;
    r.path_count = 2;
    r.copy_only = r.continue_after_error = r.no_checksum = true;
    r.description = "by 'hand'";
    r.buffer_count = 10;
    r.max_transfer_bytes = 131072;
    check_text(&r, SQL_COMPRESSION_ON,
               "BACKUP DATABASE [sa]]les] TO DISK = N'/s/a.bak', DISK = N'/s/it''s.bak' WITH INIT, FORMAT, NAME = N'run-1', "
               "DESCRIPTION = N'by ''hand''', NO_CHECKSUM, COMPRESSION, COPY_ONLY, CONTINUE_AFTER_ERROR, BUFFERCOUNT = 10, "
               "MAXTRANSFERSIZE = 131072, STATS = 5");
    r = request(BACKUP_LOG);
    r.tail_norecovery = r.no_truncate = true;
    check_text(
        &r, SQL_COMPRESSION_DEFAULT,
        "BACKUP LOG [sa]]les] TO DISK = N'/s/run-1.trn' WITH INIT, FORMAT, NAME = N'run-1', CHECKSUM, NO_TRUNCATE, NORECOVERY, "
        "STATS = 5");
}

static void refuse(struct sql_backup_request r, enum err_class class, const char *part) {
    struct buf b;
    struct err err;
    buf_init(&b, SQL_TEXT_MAX);
    assert_fails(sql_backup_text(&r, SQL_COMPRESSION_ON, &b, &err), err, class, part);
    buf_done(&b);
}

static void test_text_refused(void **state) {
    (void)state;
    struct sql_backup_request r = request(BACKUP_DIFF);
    char name[200];
    const char *relative[] = {"x.bak"}, *many[65];
    r.copy_only = true;
    refuse(r, ERR_USAGE, "copy-only");
    r = request(BACKUP_FULL);
    r.tail_norecovery = true;
    refuse(r, ERR_USAGE, "tail");
    r = request(BACKUP_FULL);
    r.max_transfer_bytes = 100000;
    refuse(r, ERR_CONFIG, "64 KiB");
    r.max_transfer_bytes = 8u << 20;
    refuse(r, ERR_CONFIG, "64 KiB");
    r = request(BACKUP_FULL);
    r.paths = relative;
    refuse(r, ERR_USAGE, "absolute");
    for (int i = 0; i < 65; i++)
        many[i] = "/s/x";
    r.paths = many;
    r.path_count = 65;
    refuse(r, ERR_LIMIT, "64");
    r = request(BACKUP_FULL);
    memset(name, 'x', sizeof(name));
    name[129] = 0;
    r.name = name;
    refuse(r, ERR_USAGE, "too long");
    r = request(BACKUP_FULL);
    r.database = "bad\xff";
    refuse(r, ERR_USAGE, "UTF-8");
}

static double seen[8];
static unsigned seen_count, ticks;

static void on_progress(void *user, double percent) {
    assert_ptr_equal(user, seen);
    seen[seen_count++] = percent;
}
static void on_tick(void *user) {
    assert_ptr_equal(user, seen);
    ticks++;
}

static void test_run(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_backup_request r = request(BACKUP_FULL);
    struct sql_backup_result result;
    struct sql_server server = {.compression = true};
    struct err err;
    seen_count = ticks = 0;
    r.compression = SQL_COMPRESSION_ON;
    r.progress = on_progress;
    r.tick = on_tick;
    r.user = seen;
    fake_sql_expect(sql, ", COMPRESSION,");
    fake_sql_message(sql, 3211, 0, "50 percent processed.");
    fake_sql_message(sql, 4035, 0, "Processed 320 pages for database 'd', file 'd' on file 1.");
    fake_sql_message(sql, 3211, 0, "100 percent processed.");
    fake_sql_message(sql, 3014, 0, "BACKUP DATABASE successfully processed 322 pages in 12.034 seconds (83.8 MB/sec).");
    assert_succeeds(sql_backup_run(fake_sql_session(sql), &r, &server, &result, &err), err);
    assert_int_equal(result.pages, 322);
    assert_int_equal(result.duration_ms, 12034);
    assert_true(result.compressed && !result.fell_back && !result.damaged);
    assert_int_equal(result.messages.count, 2);
    assert_int_equal(seen_count, 2);
    assert_true(seen[0] == 50 && seen[1] == 100 && ticks == 1);
    sql_messages_done(&result.messages);
    fake_sql_done(sql);
}

static void test_fallback(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_backup_request r = request(BACKUP_FULL);
    struct sql_backup_result result;
    struct sql_server server = {.compression = true};
    struct err err;
    r.compression = SQL_COMPRESSION_ON;
    fake_sql_expect(sql, ", COMPRESSION,");
    fake_sql_message(sql, 1844, 16, "BACKUP DATABASE WITH COMPRESSION is not supported on Express Edition (64-bit).");
    fake_sql_message(sql, 3013, 16, "BACKUP DATABASE is terminating abnormally.");
    for (int i = 0; i < 2; i++) { /* the second time without trying */
        fake_sql_expect(sql, ", NO_COMPRESSION,");
        fake_sql_message(sql, 3014, 0, "BACKUP DATABASE successfully processed 1 pages in 0.001 seconds (1.0 MB/sec).");
    }
    for (int i = 0; i < 2; i++) {
        assert_succeeds(sql_backup_run(fake_sql_session(sql), &r, &server, &result, &err), err);
        assert_true(!result.compressed && result.fell_back && !server.compression);
        assert_int_equal(result.duration_ms, 1);
        sql_messages_done(&result.messages);
    }
    fake_sql_done(sql);
}

static void fails(const char *what, enum err_class class, int number, const char *part) {
    struct fake_sql *sql = fake_sql_new();
    struct sql_backup_request r = request(BACKUP_LOG);
    struct sql_backup_result result = {.pages = 77};
    struct err err;
    fake_sql_expect(sql, "BACKUP LOG");
    if (number)
        fake_sql_message(sql, number, 16, what);
    if (number == 3043) /* goes on over bad pages only when asked to */
        fake_sql_message(sql, 3014, 0, "BACKUP LOG successfully processed 1 pages in 0.001 seconds (1.0 MB/sec).");
    fake_sql_message(sql, 3013, 16, "BACKUP LOG is terminating abnormally.");
    assert_fails(sql_backup_run(fake_sql_session(sql), &r, NULL, &result, &err), err, class, part);
    assert_int_equal(err.sql_number, number ? number : 3013);
    assert_int_equal(result.pages, 77);
    fake_sql_done(sql);
}

static void test_failures(void **state) {
    (void)state;
    fails("There is no current database backup.", ERR_CHAIN, 4214, "log backup of 'sa]les': There is no");
    fails("Cannot open backup device '/s/x'. Operating system error 5(Access is denied.).", ERR_PERMISSION, 3201, "10001");
    fails("Write on \"/s/x\" failed: 112(There is not enough space on the disk.)", ERR_SPACE, 3202, "full");
    fails("BACKUP LOG permission denied in database 'x'.", ERR_PERMISSION, 262, "db_backupoperator");
    fails("BACKUP 'x' detected an error on page (1:5) in file '/d'.", ERR_CORRUPT, 3043, "CHECKDB");
    fails(NULL, ERR_SQL, 0, "terminating abnormally");
}

/* No error, but no 3014 either. */
static void test_no_final_word(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_backup_request r = request(BACKUP_LOG);
    struct sql_backup_result result;
    struct err err;
    fake_sql_expect(sql, "BACKUP LOG");
    fake_sql_message(sql, 4035, 0, "Processed 1 pages.");
    assert_fails(sql_backup_run(fake_sql_session(sql), &r, NULL, &result, &err), err, ERR_PROTOCOL, "without saying");
    fake_sql_done(sql);
}

/* The log is truncated once 3014 was said: what crosses it must not make a success a failure. */
static void test_late_cancel(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_backup_request r = request(BACKUP_LOG);
    struct sql_backup_result result;
    struct err err;
    fake_sql_expect(sql, "BACKUP LOG");
    fake_sql_message(sql, 3014, 0, "BACKUP LOG successfully processed 5 pages in 0.100 seconds (1.0 MB/sec).");
    fake_sql_fails(sql, ERR_CANCELLED, "statement cancelled");
    fake_sql_dies(sql);
    assert_succeeds(sql_backup_run(fake_sql_session(sql), &r, NULL, &result, &err), err);
    assert_int_equal(result.pages, 5);
    sql_messages_done(&result.messages);
    assert_fails(sql_backup_run(fake_sql_session(sql), &r, NULL, &result, &err), err, ERR_CONNECT, "closed");
    fake_sql_done(sql);
}

static void test_damaged(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_backup_request r = request(BACKUP_FULL);
    struct sql_backup_result result;
    struct err err;
    r.continue_after_error = true;
    fake_sql_expect(sql, "CONTINUE_AFTER_ERROR");
    fake_sql_message(sql, 3043, 16, "BACKUP 'x' detected an error on page (1:5) in file '/d'.");
    fake_sql_message(sql, 3014, 0, "BACKUP DATABASE successfully processed 5 pages in 0.100 seconds (1.0 MB/sec).");
    fake_sql_expect(sql, "CONTINUE_AFTER_ERROR"); /* but nothing else is forgiven */
    fake_sql_message(sql, 3043, 16, "BACKUP 'x' detected an error on page (1:5) in file '/d'.");
    fake_sql_message(sql, 3202, 16, "Write on \"/s/x\" failed: 112(There is not enough space on the disk.)");
    fake_sql_message(sql, 3014, 0, "BACKUP DATABASE successfully processed 5 pages in 0.100 seconds (1.0 MB/sec).");
    assert_succeeds(sql_backup_run(fake_sql_session(sql), &r, NULL, &result, &err), err);
    assert_true(result.damaged);
    sql_messages_done(&result.messages);
    assert_int_equal(sql_backup_run(fake_sql_session(sql), &r, NULL, &result, &err), -1);
    fake_sql_done(sql);
}

static void test_verify_and_progress(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_progress p;
    struct err err;
    fake_sql_expect(sql, "RESTORE VERIFYONLY FROM DISK = N'/s/a.bak', DISK = N'/s/it''s.bak' WITH CHECKSUM");
    fake_sql_message(sql, 3262, 0, "The backup set on file 1 is valid.");
    fake_sql_expect(sql, "RESTORE VERIFYONLY");
    fake_sql_message(sql, 3189, 16, "Damage to the backup set was detected.");
    fake_sql_message(sql, 3013, 16, "VERIFY DATABASE is terminating abnormally.");
    fake_sql_expect(sql, "RESTORE VERIFYONLY");
    fake_sql_expect(sql, "session_id = 57");
    fake_sql_columns(sql, 4, "percent_complete", "estimated_completion_time", "wait_type", "blocking_session_id");
    fake_sql_row(sql, "42.5", "1500", "BACKUPIO", "0");
    fake_sql_expect(sql, "session_id = 57");
    fake_sql_columns(sql, 4, "percent_complete", "estimated_completion_time", "wait_type", "blocking_session_id");
    fake_sql_row(sql, "0", "0", NULL, "51");
    fake_sql_expect(sql, "session_id = 57");
    struct sql_session *s = fake_sql_session(sql);
    assert_succeeds(sql_verify(s, two, 2, NULL, &err), err);
    assert_fails(sql_verify(s, one, 1, NULL, &err), err, ERR_CORRUPT, "verifying '/s/run-1.trn': Damage");
    assert_fails(sql_verify(s, one, 1, NULL, &err), err, ERR_PROTOCOL, "valid");
    assert_succeeds(sql_progress_read(s, 57, &p, &err), err);
    assert_true(p.percent == 42.5 && p.left_ms == 1500 && !strcmp(p.wait, "BACKUPIO"));
    assert_succeeds(sql_progress_read(s, 57, &p, &err), err);
    assert_true(p.left_ms == -1 && p.blocked_by == 51 && !p.wait[0]);
    assert_fails(sql_progress_read(s, 57, &p, &err), err, ERR_NOT_FOUND, "57");
    fake_sql_done(sql);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),     cmocka_unit_test(test_text_refused), cmocka_unit_test(test_run),
        cmocka_unit_test(test_fallback), cmocka_unit_test(test_failures),     cmocka_unit_test(test_no_final_word),
        cmocka_unit_test(test_damaged),  cmocka_unit_test(test_late_cancel),  cmocka_unit_test(test_verify_and_progress),
    };
    return cmocka_run_group_tests_name("sql backup", tests, NULL, NULL);
}
