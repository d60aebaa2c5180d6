/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/target.h"

#include "common/base/str.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

static void expect_server(struct fake_sql *sql) {
    fake_sql_expect(sql, "SERVERPROPERTY('ProductVersion')");
    fake_sql_columns(sql, 14, "version", "level", "update_level", "edition", "engine_edition", "server_name", "property_name",
                     "machine", "collation", "data_path", "log_path", "backup_path", "hadr", "single_user");
    fake_sql_row(sql, "16.0.4236.2", "RTM", "CU12", "Developer Edition (64-bit)", "3", "sql-0", "sql-0", "sql-0",
                 "SQL_Latin1_General_CP1_CI_AS", "/var/opt/mssql/data/", "/var/opt/mssql/log/", NULL, "0", "0");
    fake_sql_expect(sql, "SYSDATETIMEOFFSET()");
    fake_sql_columns(sql, 1, "server_now");
    fake_sql_row(sql, "2026-11-21T14:00:03.005+02:00");
    fake_sql_expect(sql, "dm_os_sys_info");
    fake_sql_expect(sql, "dm_os_host_info");
    fake_sql_expect(sql, "sys.configurations");
    fake_sql_expect(sql, "TRACESTATUS");
}

static void expect_rights(struct fake_sql *sql, const char *sysadmin, const char *define) {
    fake_sql_expect(sql, "IS_SRVROLEMEMBER(N'sysadmin')");
    fake_sql_columns(sql, 9, "login_name", "is_sysadmin", "is_dbcreator", "may_create", "may_alter", "may_kill", "may_state",
                     "may_define", "database_version");
    fake_sql_row(sql, "restorer", sysadmin, "1", "1", "1", "0", "1", define, "957");
}

static void expect_databases(struct fake_sql *sql) {
    fake_sql_expect(sql, "FROM sys.databases AS d");
    fake_sql_columns(sql, 8, "database_id", "name", "state", "state_desc", "recovery_model", "user_access", "is_in_standby",
                     "is_read_only");
    fake_sql_row(sql, "1", "master", "0", "ONLINE", "3", "0", "0", "0");
    fake_sql_row(sql, "6", "sales", "1", "RESTORING", "1", "0", "0", "0");
    fake_sql_expect(sql, "is_mine");
    fake_sql_columns(sql, 3, "database_id", "is_mine", "snapshots");
    fake_sql_row(sql, "1", "0", "0");
    fake_sql_row(sql, "6", "1", "2");
    fake_sql_row(sql, "99", "1", "2"); /* made in between */
}

static void expect_files(struct fake_sql *sql) {
    fake_sql_expect(sql, "FROM sys.master_files ORDER BY");
    fake_sql_columns(sql, 9, "database_id", "file_id", "type", "name", "physical_name", "size", "redo_start_lsn",
                     "redo_start_fork_guid", "differential_base_guid");
    fake_sql_row(sql, "2", "1", "0", "tempdev", "/var/opt/mssql/data/tempdb.mdf", "1024", NULL, NULL, NULL);
    fake_sql_row(sql, "6", "1", "0", "sales", "/var/opt/mssql/data/sales.mdf", "1024", "39000000048800071",
                 "44444444-8A2C-4C6C-9BF5-2E02090C8EBC", "55555555-8A2C-4C6C-9BF5-2E02090C8EBC");
    fake_sql_row(sql, "6", "2", "1", "sales_log", "/mnt/log/sales.ldf", "128", "1", NULL, NULL);
    fake_sql_row(sql, "6", "3", "2", "mod", "/mnt/mod", NULL, NULL, NULL, NULL);
    fake_sql_row(sql, "6", "4", "4", "ft", "/mnt/ft.ndf", "1", NULL, NULL, NULL);
    fake_sql_expect(sql, "sys.dm_os_volume_stats");
}

static void expect_volumes(struct fake_sql *sql) {
    fake_sql_columns(sql, 4, "physical_name", "mount", "total_bytes", "available_bytes");
    fake_sql_row(sql, "/var/opt/mssql/data/tempdb.mdf", "/", "1000", "500");
    fake_sql_row(sql, "/var/opt/mssql/data/sales.mdf", "/", "1000", "500");
    fake_sql_row(sql, "C:\\mnt\\log\\sales.ldf", "/mnt/log", "2000", "700");
    fake_sql_row(sql, "/proc/x", "/proc", NULL, NULL); /* has no size */
}

static void test_read(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_target t;
    struct err err;
    (void)state;
    expect_server(sql);
    expect_rights(sql, "0", "1");
    expect_databases(sql);
    expect_files(sql);
    expect_volumes(sql);
    fake_sql_expect(sql, "master.sys.certificates");
    fake_sql_columns(sql, 2, "thumbprint", "key_type");
    fake_sql_row(sql, "abcd", "MK");
    fake_sql_row(sql, "ef01", "NA");
    fake_sql_expect(sql, "master.sys.asymmetric_keys");
    fake_sql_columns(sql, 2, "thumbprint", "key_type");
    fake_sql_row(sql, "2222", "CP");
    assert_succeeds(target_read(fake_sql_session(sql), &t, &err), err);
    fake_sql_done(sql);
    assert_string_equal(t.server.name, "sql-0");
    assert_string_equal(t.login, "restorer");
    assert_true(!t.sysadmin && t.dbcreator && t.create_any_database && t.alter_any_database && !t.alter_any_connection);
    assert_int_equal(t.database_version, 957);
    assert_int_equal(t.database_count, 2);
    struct target_db *db = target_find(&t, "SALES");
    assert_non_null(db);
    assert_true(db->mine && db->has_snapshots && !lsn_is_zero(db->redo_start_lsn) && !guid_is_zero(&db->redo_start_fork));
    assert_false(guid_is_zero(&db->differential_base));
    assert_int_equal(db->redo_start_lsn.vlf, 39); /* of file 1 */
    assert_null(target_find(&t, "other"));
    assert_int_equal(t.file_count, 5);
    assert_int_equal(t.files[1].file.size_bytes, 8388608);
    assert_true(t.files[2].file.type == 'L' && t.files[3].file.type == 'S' && t.files[4].file.type == 'F');
    assert_true(t.volumes_known);
    assert_int_equal(t.volume_count, 2);
    assert_string_equal(t.volumes[1].dir, "/mnt/log");
    assert_int_equal(target_certificate_find(&t, "0xABCD"), TARGET_CERTIFICATE_GOOD);
    assert_int_equal(target_certificate_find(&t, "EF01"), TARGET_CERTIFICATE_NO_KEY);
    assert_int_equal(target_certificate_find(&t, "2222"), TARGET_CERTIFICATE_GOOD);
    assert_int_equal(target_certificate_find(&t, "3333"), TARGET_CERTIFICATE_ABSENT);
    target_done(&t);
    target_done(&t);
}

/* What the login may not see is unknown, not absent. */
static void test_less(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_target t;
    struct err err;
    (void)state;
    expect_server(sql);
    expect_rights(sql, "0", "0");
    expect_databases(sql);
    expect_files(sql);
    fake_sql_message(sql, 300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.");
    fake_sql_expect(sql, "master.sys.certificates");
    fake_sql_expect(sql, "master.sys.asymmetric_keys");
    fake_sql_message(sql, 208, 16, "Invalid object name 'master.sys.asymmetric_keys'.");
    assert_succeeds(target_read(fake_sql_session(sql), &t, &err), err);
    fake_sql_done(sql);
    assert_false(t.volumes_known);
    assert_int_equal(target_certificate_find(&t, "ABCD"), TARGET_CERTIFICATE_UNKNOWN);
    target_done(&t);
}

static void test_lost(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_target t;
    struct err err;
    (void)state;
    expect_server(sql);
    expect_rights(sql, "1", "1");
    expect_databases(sql);
    expect_files(sql);
    fake_sql_fails(sql, ERR_CONNECT, "connection lost");
    fake_sql_dies(sql);
    assert_fails(target_read(fake_sql_session(sql), &t, &err), err, ERR_CONNECT, "looking at the target instance");
    fake_sql_done(sql);
}

static void test_paths(void **state) {
    static const char *const paths[] = {"/a/file", "/a/free", "/b/none", "/a", "/c/it's"};
    enum target_path found[5];
    struct fake_sql *sql = fake_sql_new();
    struct err err;
    (void)state;
    fake_sql_expect(sql, "sys.dm_os_file_exists(N'/a/file')");
    fake_sql_also(sql, "SELECT 4 AS n, file_exists, file_is_a_directory, parent_directory_exists FROM "
                       "sys.dm_os_file_exists(N'/c/it''s')");
    fake_sql_columns(sql, 4, "n", "file_exists", "file_is_a_directory", "parent_directory_exists");
    fake_sql_row(sql, "0", "1", "0", "1");
    fake_sql_row(sql, "1", "0", "0", "1");
    fake_sql_row(sql, "2", "0", "0", "0");
    fake_sql_row(sql, "3", "0", "1", "1");
    fake_sql_row(sql, "17", "1", "1", "1"); /* nobody asked */
    assert_succeeds(target_paths_read(fake_sql_session(sql), paths, 5, found, &err), err);
    fake_sql_done(sql);
    assert_int_equal(found[0], TARGET_PATH_FILE);
    assert_int_equal(found[1], TARGET_PATH_FREE);
    assert_int_equal(found[2], TARGET_PATH_NO_FOLDER);
    assert_int_equal(found[3], TARGET_PATH_FOLDER);
    assert_int_equal(found[4], TARGET_PATH_UNKNOWN);

    sql = fake_sql_new(); /* an older version, or no right */
    fake_sql_expect(sql, "sys.dm_os_file_exists");
    fake_sql_message(sql, 208, 16, "Invalid object name 'sys.dm_os_file_exists'.");
    assert_succeeds(target_paths_read(fake_sql_session(sql), paths, 5, found, &err), err);
    fake_sql_done(sql);
    for (int i = 0; i < 5; i++)
        assert_int_equal(found[i], TARGET_PATH_UNKNOWN);

    const char *many[120];
    enum target_path all[120];
    for (int i = 0; i < 120; i++)
        many[i] = "/a/x";
    sql = fake_sql_new();
    fake_sql_expect(sql, "SELECT 49 AS n");
    fake_sql_not(sql, "SELECT 50 AS n");
    fake_sql_expect(sql, "SELECT 99 AS n");
    fake_sql_expect(sql, "SELECT 119 AS n");
    assert_succeeds(target_paths_read(fake_sql_session(sql), many, 120, all, &err), err);
    fake_sql_done(sql);
}

/* The server knows which names are one; what it said is not guessed again. */
static void test_names(void **state) {
    (void)state;
    static const char *const plain[] = {"a", "b", "A"}, *const wide[] = {"x",
                                                                         "\xc3\x9c"
                                                                         "bung",
                                                                         "\xc3\xbc"
                                                                         "bung",
                                                                         "y"};
    static const char *const blank[] = {"x", "x "};
    struct err err;
    struct restore_target t = {0};
    bool differ = true;
    size_t a = 9, b = 9;
    t.databases = mem_array(1, sizeof(*t.databases));
    t.database_count = 1;
    t.databases[0].info.id = 6;
    str_copy(t.databases[0].info.name, sizeof(t.databases[0].info.name), "sales");
    struct fake_sql *sql = fake_sql_new();
    struct sql_session *session = fake_sql_session(sql);
    fake_sql_expect(sql, "WHERE name = N'sales '");
    fake_sql_columns(sql, 1, "database_id");
    fake_sql_row(sql, "6");
    assert_null(target_find(&t, "sales "));
    assert_succeeds(target_resolve(session, &t, "sales ", &err), err);
    assert_succeeds(target_resolve(session, &t, "sales ", &err), err); /* asked once */
    assert_ptr_equal(target_find(&t, "sales "), &t.databases[0]);
    fake_sql_expect(sql, "WHERE name = N'Sales'"); /* a server that tells case from case */
    assert_succeeds(target_resolve(session, &t, "Sales", &err), err);
    assert_null(target_find(&t, "Sales"));
    assert_succeeds(target_names_differ(session, plain, 2, &differ, &a, &b, &err), err);
    assert_true(differ);
    assert_succeeds(target_names_differ(session, plain, 3, &differ, &a, &b, &err), err);
    assert_true(!differ && a == 0 && b == 2);
    fake_sql_expect(sql, "x.n = y.n AND x.i < y.i");
    fake_sql_columns(sql, 2, "a", "b");
    fake_sql_row(sql, "1", "2");
    assert_succeeds(target_names_differ(session, wide, 4, &differ, &a, &b, &err), err);
    assert_true(!differ && a == 1 && b == 2);
    fake_sql_expect(sql, "UNION ALL SELECT 1 AS i, N'x ' AS n");
    assert_succeeds(target_names_differ(session, blank, 2, &differ, &a, &b, &err), err);
    assert_true(differ);
    fake_sql_done(sql);
    target_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_read),  cmocka_unit_test(test_less),
        cmocka_unit_test(test_lost),  cmocka_unit_test(test_paths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
