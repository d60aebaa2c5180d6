/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/grant.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

static void expect_login(struct fake_sql *sql, const char *found) {
    fake_sql_expect(sql, "FROM sys.server_principals WHERE name = N'back''up'");
    fake_sql_columns(sql, 1, "found");
    fake_sql_row(sql, found);
}
static void expect_rights(struct fake_sql *sql) {
    fake_sql_expect(sql, "GRANT VIEW SERVER STATE TO [back'up]");
    fake_sql_expect(sql, "GRANT VIEW ANY DEFINITION TO");
    fake_sql_expect(sql, "GRANT CREATE ANY DATABASE TO");
    fake_sql_expect(sql, "GRANT CONNECT ANY DATABASE TO");
}

static void test_login(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct secret *password = secret_new("p'w]", 4);
    struct err err;
    expect_login(sql, "0");
    fake_sql_expect(sql, "CREATE LOGIN [back'up] WITH PASSWORD = N'p''w]', CHECK_POLICY = ON, DEFAULT_DATABASE = [master]");
    expect_rights(sql);
    expect_login(sql, "1");
    fake_sql_expect(sql, "ALTER LOGIN [back'up] WITH PASSWORD = N'p''w]', DEFAULT_DATABASE = [master]");
    expect_rights(sql);
    expect_login(sql, "0");
    fake_sql_expect(sql, "CREATE LOGIN");
    fake_sql_message(sql, 15118, 16, "Password validation failed.");
    struct sql_session *s = fake_sql_session(sql);
    assert_succeeds(sql_grant_login(s, "back'up", password, &err), err);
    assert_succeeds(sql_grant_login(s, "back'up", password, &err), err);
    assert_fails(sql_grant_login(s, "back'up", password, &err), err, ERR_CONFIG, "policy");
    assert_null(strstr(err.text, "p'w"));
    assert_fails(sql_grant_login(s, "SA", password, &err), err, ERR_CONFIG, "'sa'");
    secret_free(password);
    fake_sql_done(sql);
}

static void expect_users(struct fake_sql *sql, const char *name, const char *mapped) {
    fake_sql_expect(sql, ".sys.database_principals");
    fake_sql_columns(sql, 2, "name", "mapped");
    if (name)
        fake_sql_row(sql, name, mapped);
}

static void test_database(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_session *s = fake_sql_session(sql);
    struct err err;
    expect_users(sql, NULL, NULL); /* no user yet */
    fake_sql_also(sql, "FROM [d]]b].");
    fake_sql_expect(sql, "USE [d]]b]; CREATE USER [b] FOR LOGIN [b]; ALTER ROLE [db_backupoperator] ADD MEMBER [b];");
    fake_sql_not(sql, "GRANT");
    fake_sql_expect(sql, "USE [master]");
    assert_succeeds(sql_grant_database(s, "b", "d]b", &err), err);
    expect_users(sql, "b", "0"); /* orphan of a restored database */
    fake_sql_expect(sql, "ALTER USER [b] WITH LOGIN = [b]; ALTER ROLE [db_backupoperator] ADD MEMBER [b];");
    fake_sql_expect(sql, "USE [master]");
    assert_succeeds(sql_grant_database(s, "b", "x", &err), err);
    expect_users(sql, "other", "1"); /* known by another name */
    fake_sql_expect(sql, "USE [x]; ALTER ROLE [db_backupoperator] ADD MEMBER [other];");
    fake_sql_not(sql, "CREATE USER");
    fake_sql_expect(sql, "USE [master]");
    assert_succeeds(sql_grant_database(s, "b", "x", &err), err);
    expect_users(sql, "dbo", "1"); /* owns it */
    assert_succeeds(sql_grant_database(s, "b", "x", &err), err);
    expect_users(sql, NULL, NULL);
    fake_sql_expect(sql, "GRANT SELECT ON dbo.logmarkhistory TO [b]; GRANT EXECUTE ON dbo.sp_delete_backuphistory TO [b];");
    fake_sql_expect(sql, "USE [master]");
    assert_succeeds(sql_grant_database(s, "b", "msdb", &err), err);
    expect_users(sql, NULL, NULL);
    fake_sql_expect(sql, "CREATE USER");
    fake_sql_message(sql, 3906, 16, "Failed to update database \"x\" because the database is read-only.");
    fake_sql_expect(sql, "USE [master]"); /* also then */
    assert_fails(sql_grant_database(s, "b", "x", &err), err, ERR_SQL, "into database 'x'");
    fake_sql_done(sql);
}

static void test_all(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct sql_session *s = fake_sql_session(sql);
    struct sql_database items[] = {{.name = "off", .state = 6},
                                   {.name = "ro", .read_only = true},
                                   {.name = "snap", .snapshot = true},
                                   {.name = "bad"},
                                   {.name = "good"},
                                   {.name = "lost"}};
    struct sql_database_list list = {items, 5};
    struct sql_grant_result result;
    struct err err;
    expect_users(sql, NULL, NULL);
    fake_sql_message(sql, 945, 14, "Database 'bad' cannot be opened due to inaccessible files.");
    expect_users(sql, "dbo", "1");
    assert_succeeds(sql_grant_all(s, "b", &list, &result, &err), err);
    assert_true(result.granted == 1 && result.failed == 1 && result.first.sql_number == 945);
    list = (struct sql_database_list){items + 5, 1};
    expect_users(sql, NULL, NULL);
    fake_sql_fails(sql, ERR_CONNECT, "connection lost");
    fake_sql_dies(sql);
    assert_fails(sql_grant_all(s, "b", &list, &result, &err), err, ERR_CONNECT, "lost");
    fake_sql_done(sql);
}

static void test_text(void **state) {
    (void)state;
    struct buf b;
    struct err err;
    buf_init(&b, 10000);
    assert_succeeds(sql_grant_text("b", "x", &b, &err), err);
    assert_string_equal(b.data, "USE [x]; CREATE USER [b] FOR LOGIN [b]; ALTER ROLE [db_backupoperator] ADD MEMBER [b];");
    buf_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_login), cmocka_unit_test(test_database), cmocka_unit_test(test_all),
                                       cmocka_unit_test(test_text)};
    return cmocka_run_group_tests_name("sql grant", tests, NULL, NULL);
}
