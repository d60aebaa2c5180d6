/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/chain/state.h"
#include "common/sql/database.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

#define GUID_A "C6C44151-8A2C-4C6C-9BF5-2E02090C8EBC"
#define GUID_B "D6C44151-8A2C-4C6C-9BF5-2E02090C8EBC"

static void expect_list(struct fake_sql *sql) {
    fake_sql_expect(sql, "FROM sys.databases");
    fake_sql_also(sql, "<> N'tempdb'");
    fake_sql_columns(sql, 14, "database_id", "name", "state", "state_desc", "recovery_model", "is_auto_close_on",
                     "source_database_id", "replica_id", "page_verify_option", "create_date", "owner_name", "is_trustworthy_on",
                     "is_cdc_enabled", "is_encrypted");
}

static void test_list(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_database_list list;
    struct err err;
    const struct sql_clock clock = {.utc_offset_s = 3600};
    char text[CLOCK_TEXT_MAX];
    expect_list(sql);
    fake_sql_row(sql, "1", "master", "0", "ONLINE", "3", "0", NULL, NULL, "2", "2003-04-08T09:13:36.390", "sa", "0", "0", "0");
    fake_sql_row(sql, "7", "S\xc3\xa4les", "0", "ONLINE", "1", "1", NULL, GUID_A, "1", "2026-11-21T10:00:00", NULL, "1", "1",
                 "1");
    fake_sql_row(sql, "9", "snap", "99", "NEW_STATE", "3", "0", "7", NULL, "2", NULL, "me", "0", "0", "0");
    assert_succeeds(sql_databases_read(fake_sql_session(sql), &clock, &list, &err), err);
    assert_int_equal(list.count, 3);
    assert_true(list.items[0].system && !list.items[1].system);
    const struct sql_database *db = sql_databases_find(&list, "s\xc3\xa4LES");
    assert_ptr_equal(db, &list.items[1]);
    assert_true(db->auto_close && db->in_group && db->encrypted && db->options.trustworthy && db->options.cdc);
    assert_string_equal(db->options.owner, "");
    assert_string_equal(clock_format(text, db->created_at), "2026-11-21T09:00:00Z");
    assert_true(list.items[2].snapshot);
    assert_null(sql_databases_find(&list, "nope"));
    sql_databases_done(&list);
    fake_sql_done(sql);
}

static void test_list_incomplete(void **state) {
    (void)state;
    struct sql_database_list list = {.count = 77};
    struct err err;
    struct fake_sql *sql = fake_sql_new();
    expect_list(sql);
    fake_sql_row(sql, "1", "master", "0", "ONLINE", "3", "0", NULL, NULL, "2", NULL, "sa", "0", "0", "0");
    fake_sql_row(sql, "2", "x", NULL, "ONLINE", "3", "0", NULL, NULL, "2", NULL, "sa", "0", "0", "0");
    assert_fails(sql_databases_read(fake_sql_session(sql), NULL, &list, &err), err, ERR_PROTOCOL, "row of 'x'");
    fake_sql_done(sql);
    assert_int_equal(list.count, 77);
}

static void test_skip(void **state) {
    (void)state;
    static const struct {
        struct sql_database db;
        const char *full, *log;
    } cases[] = {
        {{.name = "a", .recovery = 1}, NULL, NULL},
        {{.name = "a", .recovery = 2, .user_access = 1, .read_only = true}, NULL, NULL},
        {{.name = "a", .recovery = 3}, NULL, "simple_recovery"},
        {{.name = "master", .recovery = 3}, NULL, "master_full_only"},
        {{.name = "tempdb", .recovery = 3}, "tempdb", "tempdb"},
        {{.name = "a", .recovery = 1, .state = 1}, "restoring", "restoring"},
        {{.name = "a", .recovery = 1, .state = 2}, "recovering", "recovering"},
        {{.name = "a", .recovery = 1, .state = 3}, "recovery_pending", "recovery_pending"},
        {{.name = "a", .recovery = 1, .state = 4}, "suspect", "suspect"},
        {{.name = "a", .recovery = 1, .state = 5}, "emergency", "emergency"},
        {{.name = "a", .recovery = 1, .state = 6}, "offline", "offline"},
        {{.name = "a", .recovery = 1, .state = 7}, "copying", "copying"},
        {{.name = "a", .recovery = 1, .state = 10}, "offline", "offline"},
        {{.name = "a", .recovery = 1, .standby = true}, "standby", "standby"},
        {{.name = "a", .recovery = 1, .snapshot = true}, "snapshot", "snapshot"},
        {{.name = "a", .recovery = 1, .in_group = true}, "availability_group", "availability_group"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *full = sql_database_skip(&cases[i].db, BACKUP_FULL), *log = sql_database_skip(&cases[i].db, BACKUP_LOG);
        if ((full != cases[i].full && (!full || !cases[i].full || strcmp(full, cases[i].full))) ||
            (log != cases[i].log && (!log || !cases[i].log || strcmp(log, cases[i].log))))
            fail_msg("case %zu: %s, %s", i, full ? full : "-", log ? log : "-");
    }
    assert_string_equal(sql_database_skip(&cases[3].db, BACKUP_DIFF), "master_full_only");
    assert_null(sql_database_skip(&cases[2].db, BACKUP_DIFF));
}

static void expect_state(struct fake_sql *sql, const char *state, const char *standby, const char *fork, const char *last_lsn) {
    fake_sql_expect(sql, "LEFT JOIN sys.master_files");
    fake_sql_columns(sql, 13, "state", "recovery_model", "is_in_standby", "is_read_only", "is_auto_close_on",
                     "page_verify_option", "create_date", "differential_base_guid", "server_now", "database_guid", "family_guid",
                     "recovery_fork_guid", "last_log_backup_lsn");
    fake_sql_row(sql, state, "1", standby, "0", "0", "2", "2026-11-21T12:00:00", GUID_A, "2026-11-21T13:00:00.25+01:00", GUID_A,
                 GUID_B, fork, last_lsn);
}

static void test_state(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    const struct sql_database db = {.id = 7, .name = "o'b]x", .recovery = 1};
    struct chain_server_state s;
    struct err err;
    char text[CLOCK_TEXT_MAX], lsn[LSN_TEXT_MAX];
    expect_state(sql, "0", "0", GUID_B, "34000000006900179");
    fake_sql_also(sql, "database_recovery_status");
    fake_sql_also(sql, "d.database_id = 7 AND d.name = N'o''b]x'");
    fake_sql_expect(sql, "sys.dm_db_log_stats(7)");
    fake_sql_columns(sql, 4, "log_end_lsn", "log_since_last_log_backup_mb", "total_log_size_mb", "active_log_size_mb");
    fake_sql_row(sql, "00000022:00000045:00b3", "1.5", "8", "2");
    fake_sql_expect(sql, "[o'b]]x].sys.dm_db_file_space_usage");
    fake_sql_columns(sql, 2, "modified_pages", "allocated_pages");
    fake_sql_row(sql, "16", "320");
    assert_succeeds(sql_database_state(fake_sql_session(sql), &db, false, &s, &err), err);
    fake_sql_done(sql);
    assert_true(s.online && s.page_verify_checksum && !s.full_only);
    assert_string_equal(lsn_format(lsn, s.last_log_backup_lsn), "34000000006900179");
    assert_int_equal(lsn_cmp(s.last_log_backup_lsn, s.log_end_lsn), 0);
    assert_string_equal(clock_format(text, s.create_at), "2026-11-21T11:00:00Z");
    assert_string_equal(clock_format(text, s.sampled_at), "2026-11-21T12:00:00.25Z");
    assert_int_equal(s.log_since_backup_bytes, 1536 * 1024);
    assert_int_equal(s.allocated_pages, 320);
    assert_false(guid_is_zero(&s.family_guid) || guid_is_zero(&s.differential_base_guid));
}

/* NULLs of a starting database, and missing rights: what is not known stays zero. */
static void test_state_unknown(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    const struct sql_database db = {.id = 7, .name = "a"};
    struct chain_server_state s;
    struct err err;
    expect_state(sql, "0", "0", NULL, NULL);
    fake_sql_expect(sql, "dm_db_log_stats");
    fake_sql_message(sql, 300, 14, "VIEW SERVER STATE permission was denied.");
    fake_sql_expect(sql, "dm_db_file_space_usage");
    fake_sql_message(sql, 916, 14, "The server principal \"b\" is not able to access the database \"a\".");
    assert_succeeds(sql_database_state(fake_sql_session(sql), &db, false, &s, &err), err);
    fake_sql_done(sql);
    assert_true(s.online && guid_is_zero(&s.recovery_fork_guid) && lsn_is_zero(s.last_log_backup_lsn));
    assert_int_equal(s.allocated_pages, 0);
}

static void test_state_closed(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    const struct sql_database db = {.id = 7, .name = "a", .auto_close = true};
    struct chain_server_state s;
    struct err err;
    expect_state(sql, "0", "0", NULL, NULL);
    fake_sql_not(sql, "database_recovery_status"); /* would start it */
    assert_succeeds(sql_database_state(fake_sql_session(sql), &db, false, &s, &err), err);
    assert_false(s.online);
    fake_sql_done(sql);
    sql = fake_sql_new();
    expect_state(sql, "0", "1", NULL, NULL); /* due, but in standby */
    fake_sql_also(sql, "database_recovery_status");
    assert_succeeds(sql_database_state(fake_sql_session(sql), &db, true, &s, &err), err);
    assert_false(s.online);
    fake_sql_done(sql);
}

static void test_state_gone(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    const struct sql_database db = {.id = 7, .name = "a"};
    struct chain_server_state s;
    struct err err;
    fake_sql_expect(sql, "sys.databases");
    fake_sql_columns(sql, 1, "state");
    assert_fails(sql_database_state(fake_sql_session(sql), &db, false, &s, &err), err, ERR_NOT_FOUND, "database 'a'");
    fake_sql_done(sql);
}

static void test_access(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_database items[] = {
        {.id = 1, .name = "master"}, {.id = 5, .name = "a"}, {.id = 6, .name = "b", .auto_close = true}, {.id = 7, .state = 6}};
    const struct sql_database_list list = {items, 4};
    struct sql_access_list access;
    struct err err;
    fake_sql_expect(sql, "HAS_PERMS_BY_NAME");
    fake_sql_also(sql, "IN (0,1,5)");
    fake_sql_columns(sql, 3, "database_id", "may_data", "may_log");
    fake_sql_row(sql, "1", "1", "1");
    fake_sql_row(sql, "5", "1", NULL);
    assert_succeeds(sql_access_read(fake_sql_session(sql), &list, &access, &err), err);
    assert_true(access.items[0].data && access.items[0].log);
    assert_true(access.items[1].asked && access.items[1].data && !access.items[1].log);
    assert_false(access.items[2].asked || access.items[3].asked);
    sql_access_done(&access);
    fake_sql_done(sql);
}

static void test_files(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_file_list files;
    struct sql_volume_list volumes;
    struct err err;
    fake_sql_expect(sql, "FROM sys.master_files WHERE database_id = 7");
    fake_sql_columns(sql, 5, "file_id", "type", "name", "physical_name", "size");
    fake_sql_row(sql, "1", "0", "d", "/data/d.mdf", "1024");
    fake_sql_row(sql, "2", "1", "l", "/data/d.ldf", "16");
    fake_sql_row(sql, "3", "2", "fs", "/data/fs", "0");
    fake_sql_expect(sql, "dm_os_volume_stats");
    fake_sql_columns(sql, 3, "mount", "total_bytes", "available_bytes");
    fake_sql_row(sql, "/", "1000", "400");
    fake_sql_row(sql, "/other", NULL, NULL);
    assert_succeeds(sql_files_read(fake_sql_session(sql), 7, &files, &err), err);
    assert_int_equal(files.count, 3);
    assert_true(files.items[0].type == 'D' && files.items[1].type == 'L' && files.items[2].type == 'S');
    assert_int_equal(files.items[0].size_bytes, 8 << 20);
    assert_succeeds(sql_volumes_read(fake_sql_session(sql), 7, &volumes, &err), err);
    assert_int_equal(volumes.count, 1);
    assert_int_equal(volumes.items[0].free_bytes, 400);
    sql_files_done(&files);
    sql_volumes_done(&volumes);
    fake_sql_done(sql);
}

static void expect_log(struct fake_sql *sql, const char *since_mb) {
    fake_sql_expect(sql, "sys.dm_db_log_stats(7)");
    fake_sql_columns(sql, 3, "log_since_last_log_backup_mb", "total_log_size_mb", "active_log_size_mb");
    fake_sql_row(sql, since_mb, "8", "0.5");
}

static void test_sizes(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    const struct sql_database closed = {.id = 7, .name = "a", .auto_close = true}, open = {.id = 7, .name = "a"};
    struct sql_look look;
    struct err err;
    expect_state(sql, "0", "0", NULL, NULL);
    assert_succeeds(sql_database_look(fake_sql_session(sql), &closed, SQL_LOOK_ALL, false, &look, &err), err); /* no sizes */
    assert_int_equal(look.sizes.full_bytes, 0);
    expect_state(sql, "0", "0", GUID_B, NULL);
    expect_log(sql, "-1");
    fake_sql_expect(sql, "dm_db_file_space_usage");
    fake_sql_columns(sql, 2, "modified_pages", "allocated_pages");
    fake_sql_row(sql, "16", "320");
    assert_succeeds(sql_database_look(fake_sql_session(sql), &open, SQL_LOOK_ALL, false, &look, &err), err);
    assert_true(look.sizes.extents_asked);
    assert_int_equal(look.sizes.full_bytes, 320 * 8192);
    assert_int_equal(look.sizes.diff_bytes, 16 * 8192);
    assert_int_equal(look.sizes.log_bytes, 0);
    assert_int_equal(look.sizes.log_file_bytes, 8 << 20);
    assert_int_equal(look.sizes.log_active_bytes, 512 << 10);
    fake_sql_done(sql);
}

/* A log backup waits for this look: two questions, and the clock comes with the first. */
static void test_look_of_a_log(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    const struct sql_database db = {.id = 7, .name = "a"};
    struct sql_look look;
    struct err err;
    char text[CLOCK_TEXT_MAX];
    expect_state(sql, "0", "0", GUID_B, "34000000006900179");
    expect_log(sql, "2");
    assert_succeeds(sql_database_look(fake_sql_session(sql), &db, SQL_LOOK_LOG, true, &look, &err), err);
    fake_sql_done(sql);
    assert_false(look.sizes.extents_asked);
    const struct chain_server_state before = {.modified_pages = 3, .allocated_pages = 40};
    const struct sql_sizes sizes = {.extents_asked = true, .full_bytes = 5, .diff_bytes = 6, .log_bytes = 7};
    sql_extents_keep(&look.state, &look.sizes, &before, &sizes);
    assert_int_equal(look.state.modified_pages, 3);
    assert_int_equal(look.state.allocated_pages, 40);
    assert_int_equal(look.sizes.full_bytes, 5);
    assert_int_equal(look.sizes.diff_bytes, 6);
    assert_int_equal(look.sizes.log_bytes, 2 << 20);
    assert_int_equal(look.state.log_since_backup_bytes, 2 << 20);
    assert_string_equal(clock_format(text, look.clock.server_at), "2026-11-21T12:00:00.25Z");
    assert_int_equal(look.clock.utc_offset_s, 3600);
    assert_int_equal(look.clock.offset_us, look.clock.server_at - look.clock.sampled_at);
    assert_true(look.clock.sampled_at <= clock_wall());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),       cmocka_unit_test(test_list_incomplete), cmocka_unit_test(test_skip),
        cmocka_unit_test(test_state),      cmocka_unit_test(test_state_unknown),   cmocka_unit_test(test_state_closed),
        cmocka_unit_test(test_state_gone), cmocka_unit_test(test_access),          cmocka_unit_test(test_files),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_look_of_a_log),
    };
    return cmocka_run_group_tests_name("sql database", tests, NULL, NULL);
}
