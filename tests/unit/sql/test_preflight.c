/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of preflight on a scripted session; the whole is in tests/integration/test_sql_server.py. */
#include "common/sql/preflight_int.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

static const struct sql_params params = {.host = "sql", .user = "back]up"};
static const struct sql_preflight in = {.params = &params};

static void done(struct preflight *p, struct fake_sql *sql) {
    sql_checks_done(&p->list);
    p->cap = 0;
    fake_sql_done(sql);
}

static void expect(const struct preflight *p, size_t i, const char *name, enum sql_check_result result, const char *part) {
    assert_true(i < p->list.count);
    assert_string_equal(p->list.items[i].name, name);
    if (p->list.items[i].result != result || !strstr(p->list.items[i].message, part))
        fail_msg("%s: %s: %s", name, sql_check_result_name(p->list.items[i].result), p->list.items[i].message);
}

static void certificates(bool encrypted, const char *certificate, int error, enum sql_check_result result, const char *part) {
    struct fake_sql *sql = fake_sql_new();
    struct sql_database db = {.id = 7, .name = "sales", .encrypted = encrypted};
    struct preflight p = {.in = &in, .session = fake_sql_session(sql), .databases = {&db, 1}};
    if (encrypted) {
        fake_sql_expect(sql, "pvt_key_last_backup_date IS NULL");
        fake_sql_columns(sql, 1, "name");
        if (certificate)
            fake_sql_row(sql, certificate);
        if (error)
            fake_sql_message(sql, error, 14, "VIEW SERVER STATE permission was denied.");
    }
    preflight_certificates(&p);
    expect(&p, 0, "tde_certificates", result, part);
    done(&p, sql);
}

static void test_certificates(void **state) {
    (void)state;
    certificates(false, NULL, 0, SQL_CHECK_OK, "no database");
    certificates(true, NULL, 0, SQL_CHECK_OK, "have been backed up");
    certificates(true, "tde_cert", 0, SQL_CHECK_FAIL, "BACKUP CERTIFICATE tde_cert");
    certificates(true, NULL, 300, SQL_CHECK_WARN, "not known: VIEW SERVER STATE");
}

static void rights(const char *see, const char *make, enum sql_check_result result, const char *part) {
    struct fake_sql *sql = fake_sql_new();
    struct sql_database items[] = {{.id = 1, .name = "master"}, {.id = 7, .name = "a"}, {.id = 8, .name = "b"}};
    struct preflight p = {.in = &in, .session = fake_sql_session(sql), .databases = {items, 3}};
    fake_sql_expect(sql, "VIEW SERVER STATE");
    fake_sql_columns(sql, 2, "may_state", "may_create");
    fake_sql_row(sql, see, make);
    fake_sql_expect(sql, "BACKUP DATABASE");
    fake_sql_columns(sql, 3, "database_id", "may_data", "may_log");
    fake_sql_row(sql, "1", "1", "0"); /* master has no log backups */
    fake_sql_row(sql, "7", "1", "1");
    fake_sql_row(sql, "8", "1", "0");
    for (int i = 0; i < 4; i++) {
        fake_sql_expect(sql, "FROM msdb.dbo.");
        if (i == 2)
            fake_sql_message(sql, 229, 14, "The SELECT permission was denied on the object 'restorehistory'.");
    }
    preflight_rights(&p);
    expect(&p, 0, "rights", result, part);
    expect(&p, 1, "database_rights", SQL_CHECK_FAIL, "no right to back up: b. In each of them: USE [b]; CREATE USER [back]]up]");
    expect(&p, 2, "history_rights", SQL_CHECK_FAIL, "not readable in msdb: restorehistory (The SELECT permission was denied");
    assert_int_equal(sql_preflight_worst(&p.list), SQL_CHECK_FAIL);
    done(&p, sql);
}

static void test_rights(void **state) {
    (void)state;
    rights("1", "1", SQL_CHECK_OK, "are granted");
    rights("0", "1", SQL_CHECK_WARN, "lacks VIEW SERVER STATE: GRANT VIEW SERVER STATE TO [back]]up]");
    rights("1", NULL, SQL_CHECK_FAIL, "lacks CREATE ANY DATABASE: GRANT CREATE ANY DATABASE TO [back]]up]");
    rights(NULL, "0", SQL_CHECK_FAIL,
           "lacks VIEW SERVER STATE and CREATE ANY DATABASE: GRANT VIEW SERVER STATE, CREATE ANY DATABASE TO");
}

static void test_names(void **state) {
    (void)state;
    struct names n;
    names_init(&n);
    for (int i = 0; i < 1000; i++)
        names_add(&n, "x");
    assert_int_equal(n.count, 1000);
    assert_int_equal(n.text.len, 20 + 19 * 2 + 5);
    assert_non_null(strstr(n.text.data, "x, x, ..."));
    buf_done(&n.text);
}

/* SQL Server says it wrote the file, and it is not here: the volumes are not the same. */
static void test_staging_elsewhere(void **state) {
    (void)state;
    struct fake_sql *sql = fake_sql_new();
    struct err err;
    char *dir = unit_tmpdir();
    fake_sql_expect(sql, "BACKUP DATABASE [model] TO DISK = N'/");
    fake_sql_also(sql, "COPY_ONLY");
    fake_sql_message(sql, 3014, 0, "BACKUP DATABASE successfully processed 1 pages in 0.001 seconds (1.0 MB/sec).");
    assert_fails(sql_staging_probe(fake_sql_session(sql), dir, &err), err, ERR_CONFIG, "must mount the same volume");
    fake_sql_done(sql);
    unit_rm(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_certificates), cmocka_unit_test(test_rights),
                                       cmocka_unit_test(test_names), cmocka_unit_test(test_staging_elsewhere)};
    return cmocka_run_group_tests_name("sql preflight", tests, NULL, NULL);
}
