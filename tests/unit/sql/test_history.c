/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/clock.h"
#include "common/sql/history.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

#define SET "11111111-8A2C-4C6C-9BF5-2E02090C8EBC"
#define FAMILY "33333333-8A2C-4C6C-9BF5-2E02090C8EBC"

static const struct sql_server server = {.name = "sql'0", .clock = {.utc_offset_s = 3600}};

static void columns(struct fake_sql *sql) {
    fake_sql_columns(sql, 14, "backup_set_id", "backup_set_uuid", "name", "user_name", "type", "database_name", "is_copy_only",
                     "first_lsn", "last_lsn", "backup_finish_date", "time_zone", "physical_device_name", "device_type",
                     "family_guid");
}
static void row(struct fake_sql *sql, const char *id, const char *type, const char *zone, const char *device) {
    fake_sql_row(sql, id, SET, NULL, "AGENT\\job", type, "sales", "1", "39000000048800071", "39000000051800001",
                 "2026-11-21T14:00:05", zone, device, "2", FAMILY);
}

static void test_foreign(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_history_list list;
    struct chain_foreign foreign;
    struct guid family;
    struct err err;
    char text[CLOCK_TEXT_MAX];
    assert_true(guid_parse(FAMILY, &family));
    fake_sql_expect(sql, "SELECT TOP (4) ");
    fake_sql_also(sql, "s.backup_set_id > 41 AND s.server_name = N'sql''0'");
    fake_sql_also(sql, "s.family_guid = '" FAMILY "'");
    fake_sql_also(sql, "(s.name IS NULL OR LEFT(s.name, 4) <> N'msc-')");
    fake_sql_also(sql, "ORDER BY s.backup_set_id");
    columns(sql);
    row(sql, "42", "L", "8", "nul");
    row(sql, "43", "F", "127", "/x/y.bak");
    row(sql, "44", "D", NULL, NULL);
    row(sql, "45", "D", NULL, NULL);
    assert_succeeds(sql_foreign_read(fake_sql_session(sql), &server, &family, 41, "msc-", 3, &list, &err), err);
    fake_sql_done(sql);
    assert_int_equal(list.count, 3);
    assert_true(list.more);
    assert_true(list.items[0].to_nul && list.items[0].kind_known && list.items[0].backup.kind == BACKUP_LOG);
    assert_int_equal(list.items[0].backup.flags, BACKUP_FOREIGN | BACKUP_COPY_ONLY | BACKUP_UTC_OFFSET_KNOWN);
    assert_string_equal(clock_format(text, list.items[0].backup.finish_at), "2026-11-21T12:00:05Z");
    assert_false(list.items[1].kind_known || list.items[1].to_nul);
    assert_string_equal(clock_format(text, list.items[1].backup.finish_at), "2026-11-21T13:00:05Z"); /* the server's offset */
    assert_string_equal(list.items[2].device, "");
    sql_history_to_foreign(&list.items[0], &foreign);
    assert_string_equal(foreign.who, "AGENT\\job");
    assert_string_equal(foreign.device, "nul");
    sql_history_done(&list);
}

static void test_find(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_history h = {.set_id = 77};
    struct err err;
    int64_t id;
    fake_sql_expect(sql, "s.name = N'run-1' AND f.physical_device_name = N'/s/x'");
    columns(sql);
    row(sql, "42", "I", "0", "/s/x");
    fake_sql_expect(sql, "s.name = N'run-1' ORDER BY");
    fake_sql_expect(sql, "MAX(backup_set_id)");
    fake_sql_columns(sql, 1, "last_id");
    fake_sql_row(sql, NULL);
    fake_sql_expect(sql, "MAX(backup_set_id)");
    fake_sql_message(sql, 229, 14, "The SELECT permission was denied on the object 'backupset', database 'msdb', schema 'dbo'.");
    struct sql_session *s = fake_sql_session(sql);
    assert_succeeds(sql_history_find(s, &server, "run-1", "/s/x", &h, &err), err);
    assert_int_equal(h.set_id, 42);
    assert_int_equal(h.backup.kind, BACKUP_DIFF);
    assert_false(backup_has(&h.backup, BACKUP_FOREIGN));
    assert_fails(sql_history_find(s, &server, "run-1", NULL, &h, &err), err, ERR_NOT_FOUND, "run-1");
    assert_int_equal(h.set_id, 42);
    assert_succeeds(sql_history_last_id(s, &id, &err), err);
    assert_int_equal(id, 0);
    assert_fails(sql_history_last_id(s, &id, &err), err, ERR_PERMISSION, "history");
    fake_sql_done(sql);
}

static void test_restore(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct chain_restore r;
    struct err err;
    char text[CLOCK_TEXT_MAX];
    fake_sql_expect(sql, "destination_database_name = N'sa''les' AND restore_type <> 'V'");
    fake_sql_columns(sql, 3, "restore_date", "restore_type", "user_name");
    fake_sql_row(sql, "2026-11-21T14:00:05.123", "R", "sa");
    fake_sql_expect(sql, "restorehistory");
    assert_succeeds(sql_restore_last(fake_sql_session(sql), "sa'les", &server.clock, &r, &err), err);
    assert_string_equal(clock_format(text, r.at), "2026-11-21T13:00:05.123Z");
    assert_true(r.type == 'R' && !strcmp(r.who, "sa"));
    assert_succeeds(sql_restore_last(fake_sql_session(sql), "x", &server.clock, &r, &err), err);
    assert_int_equal(r.at, 0);
    fake_sql_done(sql);
}

static void test_marks(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_mark_list list;
    struct err err;
    fake_sql_expect(sql, "lsn >= 39000000048800071");
    fake_sql_also(sql, "database_name = N'sales'");
    fake_sql_columns(sql, 5, "mark_name", "description", "user_name", "lsn", "mark_time");
    fake_sql_row(sql, "release 7", "before the release", "sa", "39000000048800072", "2026-11-21T14:00:05");
    fake_sql_expect(sql, "logmarkhistory");
    fake_sql_columns(sql, 2, "mark_name", "lsn");
    fake_sql_row(sql, "broken", NULL);
    assert_succeeds(sql_marks_read(fake_sql_session(sql), "sales", (struct lsn){39, 488, 71}, &server.clock, &list, &err), err);
    assert_int_equal(list.count, 1);
    assert_string_equal(list.items[0].name, "release 7");
    assert_int_equal(list.items[0].lsn.slot, 72);
    sql_marks_done(&list);
    assert_fails(sql_marks_read(fake_sql_session(sql), "sales", (struct lsn){0}, &server.clock, &list, &err), err, ERR_PROTOCOL,
                 "marks of 'sales'");
    fake_sql_done(sql);
}

static void oldest(struct fake_sql *sql, const char *date) {
    fake_sql_expect(sql, "MIN(backup_finish_date)");
    fake_sql_columns(sql, 1, "oldest");
    fake_sql_row(sql, date);
}

static void test_prune(void **state) {
    (void)state;
    struct sql_clock clock = {.utc_offset_s = 3600};
    struct fake_sql *sql = fake_sql_new();
    struct sql_session *s = fake_sql_session(sql);
    struct err err;
    bool more = true;
    assert_true(clock_parse("2026-11-21T12:00:00Z", &clock.server_at));
    oldest(sql, NULL);
    oldest(sql, "2026-11-14T13:00:00");
    oldest(sql, "2026-11-01T00:00:00");
    fake_sql_expect(sql, "sp_delete_backuphistory @oldest_date = N'2026-11-02T00:00:00.000'");
    oldest(sql, "2026-11-14T00:00:00");
    fake_sql_expect(sql, "sp_delete_backuphistory @oldest_date = N'2026-11-14T13:00:00.000'");
    oldest(sql, "2026-11-01T00:00:00");
    fake_sql_expect(sql, "sp_delete_backuphistory");
    fake_sql_message(sql, 229, 14, "The EXECUTE permission was denied on the object 'sp_delete_backuphistory'.");
    assert_succeeds(sql_history_prune(s, &clock, 7, &more, &err), err);
    assert_false(more);
    assert_succeeds(sql_history_prune(s, &clock, 7, &more, &err), err);
    assert_false(more);
    assert_succeeds(sql_history_prune(s, &clock, 7, &more, &err), err);
    assert_true(more); /* one day of many */
    assert_succeeds(sql_history_prune(s, &clock, 7, &more, &err), err);
    assert_false(more);
    assert_fails(sql_history_prune(s, &clock, 7, &more, &err), err, ERR_PERMISSION, "removing backup history");
    fake_sql_done(sql);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_foreign), cmocka_unit_test(test_find),  cmocka_unit_test(test_restore),
        cmocka_unit_test(test_marks),   cmocka_unit_test(test_prune),
    };
    return cmocka_run_group_tests_name("sql history", tests, NULL, NULL);
}
