/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/sql/backup.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

#define SET "11111111-8A2C-4C6C-9BF5-2E02090C8EBC"
#define OTHER "22222222-8A2C-4C6C-9BF5-2E02090C8EBC"
#define FAMILY "33333333-8A2C-4C6C-9BF5-2E02090C8EBC"
#define FORK "44444444-8A2C-4C6C-9BF5-2E02090C8EBC"

static const char *const one[] = {"/s/x.bak"};
static const char *const two[] = {"/s/x.bak", "/s/y.bak"};

struct column {
    const char *name;
    const char *value;
};

/* A full of 2022; a test changes single columns. */
static void expect_header(struct fake_sql *sql, const char *path, const struct column *changes, unsigned count, unsigned rows) {
    struct column c[] = {
        {"BackupName", "run-1"},
        {"BackupType", "1"},
        {"Compressed", "0"},
        {"Position", "1"},
        {"ServerName", "sql-0"},
        {"DatabaseName", "sales"},
        {"DatabaseVersion", "957"},
        {"BackupSize", "3505152"},
        {"FirstLSN", "39000000048800071"},
        {"LastLSN", "39000000051800001"},
        {"CheckpointLSN", "39000000048800071"},
        {"DatabaseBackupLSN", "39000000035400071"},
        {"BackupStartDate", "2026-11-21T14:00:00"},
        {"BackupFinishDate", "2026-11-21T14:00:05"},
        {"SoftwareVersionMajor", "16"},
        {"Flags", "528"},
        {"RecoveryForkID", FORK},
        {"FirstRecoveryForkID", FORK},
        {"FamilyGUID", FAMILY},
        {"BackupSetGUID", SET},
        {"BindingID", FAMILY},
        {"HasBackupChecksums", "1"},
        {"DifferentialBaseGUID", NULL},
        {"DifferentialBaseLSN", NULL},
        {"LastValidRestoreTime", "2026-11-21T14:00:04.5"},
        {"TimeZone", "8"},
        {"EncryptorThumbprint", NULL},
        {"IsCopyOnly", "0"},
        {"HasBulkLoggedData", "0"},
    };
    for (unsigned i = 0; i < count; i++)
        for (unsigned k = 0; k < ARRAY_LEN(c); k++)
            if (!strcmp(c[k].name, changes[i].name))
                c[k].value = changes[i].value;
    fake_sql_expect(sql, "RESTORE HEADERONLY FROM DISK = N'");
    fake_sql_also(sql, path);
#define N(i) c[i].name
#define V(i) c[i].value
    fake_sql_columns(sql, 29, N(0), N(1), N(2), N(3), N(4), N(5), N(6), N(7), N(8), N(9), N(10), N(11), N(12), N(13), N(14),
                     N(15), N(16), N(17), N(18), N(19), N(20), N(21), N(22), N(23), N(24), N(25), N(26), N(27), N(28));
    for (unsigned i = 0; i < rows; i++)
        fake_sql_row(sql, V(0), V(1), V(2), V(3), V(4), V(5), V(6), V(7), V(8), V(9), V(10), V(11), V(12), V(13), V(14), V(15),
                     V(16), V(17), V(18), V(19), V(20), V(21), V(22), V(23), V(24), V(25), V(26), V(27), V(28));
}

static void test_full(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_header h;
    struct err err;
    char text[CLOCK_TEXT_MAX];
    expect_header(sql, "/s/x.bak", NULL, 0, 1);
    assert_succeeds(sql_header_read(fake_sql_session(sql), one, 1, NULL, &h, &err), err);
    fake_sql_done(sql);
    assert_int_equal(h.backup.kind, BACKUP_FULL);
    assert_int_equal(h.backup.flags, BACKUP_CHECKSUMS | BACKUP_UTC_OFFSET_KNOWN);
    assert_int_equal(h.backup.utc_offset_s, 7200);
    assert_string_equal(clock_format(text, h.backup.finish_at), "2026-11-21T12:00:05Z");
    assert_string_equal(clock_format(text, h.backup.valid_until), "2026-11-21T12:00:04.5Z");
    assert_string_equal(h.name, "run-1");
    assert_int_equal(h.database_version, 957);
    assert_int_equal(h.backup.stripes, 1);
    assert_int_equal(h.backup.size_bytes, 3505152);
    assert_int_equal(h.backup.last_lsn.block, 518);
}

static void test_kinds(void **state) {
    (void)state;
    static const struct column log[] = {
        {"BackupType", "2"}, {"TimeZone", "127"}, {"LastValidRestoreTime", NULL}, {"Flags", "64"}, {"HasBulkLoggedData", "1"}};
    static const struct column diff[] = {
        {"BackupType", "5"}, {"DifferentialBaseGUID", OTHER}, {"DifferentialBaseLSN", "39000000048800071"}, {"IsCopyOnly", "0"},
        {"Compressed", "1"}, {"EncryptorThumbprint", "ABCD"}};
    const struct sql_clock clock = {.utc_offset_s = -3600};
    struct fake_sql *sql = fake_sql_new();
    struct sql_header h;
    struct err err;
    char text[CLOCK_TEXT_MAX];
    expect_header(sql, "/s/x.bak", log, ARRAY_LEN(log), 1);
    expect_header(sql, "/s/x.bak", log, ARRAY_LEN(log), 1);
    expect_header(sql, "/s/x.bak", diff, ARRAY_LEN(diff), 1);
    assert_succeeds(sql_header_read(fake_sql_session(sql), one, 1, &clock, &h, &err), err);
    assert_int_equal(h.backup.kind, BACKUP_LOG);
    assert_int_equal(h.backup.flags, BACKUP_CHECKSUMS | BACKUP_UTC_OFFSET_KNOWN | BACKUP_TAIL | BACKUP_BULK_LOGGED);
    assert_string_equal(clock_format(text, h.backup.finish_at), "2026-11-21T15:00:05Z");
    assert_int_equal(h.backup.valid_until, 0);
    assert_succeeds(sql_header_read(fake_sql_session(sql), one, 1, NULL, &h, &err), err);
    assert_false(backup_has(&h.backup, BACKUP_UTC_OFFSET_KNOWN));
    assert_succeeds(sql_header_read(fake_sql_session(sql), one, 1, NULL, &h, &err), err);
    assert_int_equal(h.backup.kind, BACKUP_DIFF);
    assert_true(backup_has(&h.backup, BACKUP_COMPRESSED) && backup_has(&h.backup, BACKUP_ENCRYPTED_BY_SERVER));
    fake_sql_done(sql);
}

static void refuse(struct column change, enum err_class class, const char *part) {
    struct fake_sql *sql = fake_sql_new();
    struct sql_header h = {.compat_level = 77};
    struct err err;
    expect_header(sql, "/s/x.bak", &change, 1, 1);
    assert_fails(sql_header_read(fake_sql_session(sql), one, 1, NULL, &h, &err), err, class, part);
    assert_non_null(strstr(err.text, "header of '/s/x.bak'"));
    assert_int_equal(h.compat_level, 77);
    fake_sql_done(sql);
}

static void test_refused(void **state) {
    (void)state;
    static const char *const required[] = {"FirstLSN",         "LastLSN",       "BackupStartDate",
                                           "BackupFinishDate", "BackupSetGUID", "FamilyGUID"};
    for (size_t i = 0; i < ARRAY_LEN(required); i++)
        refuse((struct column){required[i], NULL}, ERR_CORRUPT, "incomplete");
    refuse((struct column){"BackupType", "4"}, ERR_UNSUPPORTED, "type '4'");
    refuse((struct column){"BackupType", NULL}, ERR_UNSUPPORTED, "type 'NULL'");
    refuse((struct column){"BackupType", "5"}, ERR_UNSUPPORTED, "more than one base");
    refuse((struct column){"LastLSN", "1"}, ERR_CORRUPT, "before it begins");
}

static void test_sets_and_stripes(void **state) {
    (void)state;
    static const struct column other[] = {{"BackupSetGUID", OTHER}};
    struct fake_sql *sql = fake_sql_new();
    struct sql_session *s = fake_sql_session(sql);
    struct sql_header h;
    struct err err;
    expect_header(sql, "/s/x.bak", NULL, 0, 2);
    expect_header(sql, "/s/x.bak", NULL, 0, 0);
    expect_header(sql, "/s/x.bak", NULL, 0, 1);
    expect_header(sql, "/s/y.bak", NULL, 0, 1);
    expect_header(sql, "/s/x.bak", NULL, 0, 1);
    expect_header(sql, "/s/y.bak", other, 1, 1);
    fake_sql_expect(sql, "HEADERONLY");
    fake_sql_message(sql, 3241, 16, "The media family on device '/s/x.bak' is incorrectly formed.");
    fake_sql_message(sql, 3013, 16, "RESTORE HEADERONLY is terminating abnormally.");
    assert_fails(sql_header_read(s, one, 1, NULL, &h, &err), err, ERR_CORRUPT, "2 backup sets");
    assert_fails(sql_header_read(s, one, 1, NULL, &h, &err), err, ERR_CORRUPT, "0 backup sets");
    assert_succeeds(sql_header_read(s, two, 2, NULL, &h, &err), err);
    assert_int_equal(h.backup.stripes, 2);
    assert_fails(sql_header_read(s, two, 2, NULL, &h, &err), err, ERR_CORRUPT, "not stripes of one");
    assert_fails(sql_header_read(s, one, 1, NULL, &h, &err), err, ERR_CORRUPT, "incorrectly formed");
    assert_fails(sql_header_read(s, one, 0, NULL, &h, &err), err, ERR_INTERNAL, "1 to 64");
    fake_sql_done(sql);
}

static void test_filelist(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_file_list list;
    struct err err;
    fake_sql_expect(sql, "RESTORE FILELISTONLY FROM DISK = N'/s/x.bak'");
    fake_sql_not(sql, "y.bak");
    fake_sql_message(sql, 3132, 16, "The media set has 2 media families but only 1 are provided.");
    fake_sql_expect(sql, "RESTORE FILELISTONLY FROM DISK = N'/s/x.bak', DISK = N'/s/y.bak'");
    fake_sql_columns(sql, 5, "LogicalName", "PhysicalName", "Type", "FileId", "Size");
    fake_sql_row(sql, "sales", "/var/opt/mssql/data/sales.mdf", "D", "1", "8388608");
    fake_sql_row(sql, "sales_log", "/var/opt/mssql/data/sales.ldf", "L", "2", "1048576");
    fake_sql_expect(sql, "RESTORE FILELISTONLY");
    fake_sql_columns(sql, 5, "LogicalName", "PhysicalName", "Type", "FileId", "Size");
    fake_sql_row(sql, "sales", "/x", "D", "1", NULL);
    fake_sql_expect(sql, "RESTORE FILELISTONLY");
    assert_succeeds(sql_filelist_read(fake_sql_session(sql), two, 2, &list, &err), err);
    assert_int_equal(list.count, 2);
    assert_true(list.items[1].type == 'L' && list.items[1].size_bytes == 1048576);
    sql_files_done(&list);
    assert_fails(sql_filelist_read(fake_sql_session(sql), one, 1, &list, &err), err, ERR_CORRUPT, "not complete");
    assert_fails(sql_filelist_read(fake_sql_session(sql), one, 1, &list, &err), err, ERR_CORRUPT, "no files");
    fake_sql_done(sql);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_full),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_filelist),
        cmocka_unit_test(test_sets_and_stripes),
    };
    return cmocka_run_group_tests_name("sql header", tests, NULL, NULL);
}
