/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/sql/server.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

static int64_t wall, mono;

static int64_t fake_wall(void) {
    return wall;
}
/* Each look at the clock takes 10 ms: a round trip does. */
static int64_t fake_mono(void) {
    mono += 10000;
    return mono;
}

static int setup(void **state) {
    (void)state;
    assert_true(clock_parse("2026-11-21T12:00:00Z", &wall));
    mono = 0;
    clock_set_hooks(fake_wall, fake_mono);
    return 0;
}
static int teardown(void **state) {
    (void)state;
    clock_set_hooks(NULL, NULL);
    return 0;
}

static void expect_properties(struct fake_sql *sql, const char *version, const char *edition, const char *engine,
                              const char *name) {
    fake_sql_expect(sql, "SERVERPROPERTY('ProductVersion')");
    fake_sql_columns(sql, 14, "version", "level", "update_level", "edition", "engine_edition", "server_name", "property_name",
                     "machine", "collation", "data_path", "log_path", "backup_path", "hadr", "single_user");
    fake_sql_row(sql, version, "RTM", "CU12", edition, engine, name, "prop", "mach", "SQL_Latin1_General_CP1_CI_AS",
                 "/var/opt/mssql/data/", "/var/opt/mssql/data/", NULL, "0", "0");
}

static void expect_clock(struct fake_sql *sql, const char *now) {
    fake_sql_expect(sql, "SYSDATETIMEOFFSET()");
    fake_sql_columns(sql, 1, "server_now");
    fake_sql_row(sql, now);
}

static void test_all(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_server s;
    struct err err;
    expect_properties(sql, "16.0.4236.2", "Developer Edition (64-bit)", "3", "sql-0");
    expect_clock(sql, "2026-11-21T14:00:03.005+02:00");
    fake_sql_expect(sql, "dm_os_sys_info");
    fake_sql_columns(sql, 1, "sqlserver_start_time");
    fake_sql_row(sql, "2026-11-21T09:30:00.5");
    fake_sql_expect(sql, "dm_os_host_info");
    fake_sql_columns(sql, 2, "host_platform", "host_distribution");
    fake_sql_row(sql, "Linux", "Ubuntu");
    fake_sql_expect(sql, "sys.configurations");
    fake_sql_columns(sql, 1, "value");
    fake_sql_row(sql, "1");
    fake_sql_expect(sql, "TRACESTATUS(3226)");
    fake_sql_columns(sql, 4, "TraceFlag", "Status", "Global", "Session");
    fake_sql_row(sql, "3226", "1", "1", "0");
    assert_succeeds(sql_server_read(fake_sql_session(sql), &s, &err), err);
    fake_sql_done(sql);
    char text[CLOCK_TEXT_MAX];
    assert_int_equal(s.major * 1000000 + s.build * 10 + s.revision, 16042362);
    assert_string_equal(s.level, "CU12");
    assert_true(s.compression && s.encryption);
    assert_string_equal(s.name, "sql-0");
    assert_string_equal(s.backup_path, "");
    assert_string_equal(s.platform, "Linux");
    assert_string_equal(clock_format(text, s.started_at), "2026-11-21T07:30:00.5Z");
    assert_int_equal(s.compression_default, 1);
    assert_int_equal(s.trace_3226, 1);
    assert_int_equal(s.clock.utc_offset_s, 7200);
    assert_int_equal(s.clock.round_trip_us, 10000);
    assert_int_equal(s.clock.offset_us, 3000000); /* 3.005 s less half of the round trip */
}

/* Without VIEW SERVER STATE, on an old version, with another trace flag and without a server name. */
static void test_degraded(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_server s;
    struct err err;
    expect_properties(sql, "14.0.3490", "Express Edition (64-bit)", "4", NULL);
    expect_clock(sql, "2026-11-21T12:00:00");
    fake_sql_expect(sql, "dm_os_sys_info");
    fake_sql_message(sql, 300, 14, "VIEW SERVER STATE permission was denied on object 'server', database 'master'.");
    fake_sql_message(sql, 297, 16, "The user does not have permission to perform this action.");
    fake_sql_expect(sql, "dm_os_host_info");
    fake_sql_message(sql, 208, 16, "Invalid object name 'sys.dm_os_host_info'.");
    fake_sql_expect(sql, "sys.configurations");
    fake_sql_expect(sql, "TRACESTATUS");
    fake_sql_message(sql, 2571, 14, "User does not have permission to run DBCC TRACESTATUS.");
    assert_succeeds(sql_server_read(fake_sql_session(sql), &s, &err), err);
    fake_sql_done(sql);
    assert_string_equal(s.name, "prop");
    assert_false(s.compression);
    assert_int_equal(s.started_at, 0);
    assert_string_equal(s.platform, "");
    assert_int_equal(s.compression_default, -1);
    assert_int_equal(s.trace_3226, -1);
    assert_int_equal(s.revision, 0);
}

static void test_failures(void **state) {
    (void)state;
    struct sql_server s = {.major = 42};
    struct err err;
    static const char *const versions[] = {"", "x", "16", "16.", "16.0.x", NULL};
    for (size_t i = 0; versions[i]; i++) {
        struct fake_sql *sql = fake_sql_new();
        expect_properties(sql, versions[i], "E", "3", "n");
        assert_fails(sql_server_read(fake_sql_session(sql), &s, &err), err, ERR_UNSUPPORTED, "version");
        fake_sql_done(sql);
    }
    struct fake_sql *sql = fake_sql_new();
    expect_properties(sql, "16.0.1.1", "E", "3", "n");
    expect_clock(sql, "yesterday");
    assert_fails(sql_server_read(fake_sql_session(sql), &s, &err), err, ERR_PROTOCOL, "yesterday");
    fake_sql_done(sql);
    sql = fake_sql_new();
    expect_properties(sql, "16.0.1.1", "E", "3", "n");
    expect_clock(sql, "2026-11-21T12:00:00+00:00");
    fake_sql_expect(sql, "dm_os_sys_info");
    fake_sql_fails(sql, ERR_CONNECT, "connection lost");
    fake_sql_dies(sql);
    assert_fails(sql_server_read(fake_sql_session(sql), &s, &err), err, ERR_CONNECT, "facts of the server: connection lost");
    fake_sql_done(sql);
    assert_int_equal(s.major, 42); /* untouched */
}

static void test_editions(void **state) {
    (void)state;
    assert_true(sql_edition_compresses("Standard Edition (64-bit)", 2));
    assert_true(sql_edition_compresses("Enterprise Evaluation Edition (64-bit)", 3));
    assert_false(sql_edition_compresses("Web Edition (64-bit)", 2));
    assert_false(sql_edition_compresses("Express Edition with Advanced Services (64-bit)", 4));
    assert_false(sql_edition_compresses("", 4));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all, setup, teardown),
        cmocka_unit_test_setup_teardown(test_degraded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test(test_editions),
    };
    return cmocka_run_group_tests_name("sql server", tests, NULL, NULL);
}
