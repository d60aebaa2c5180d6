/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/identity.h"

#include "common/base/str.h"
#include "tests/unit/chain/make.h"
#include "tests/unit/support/fake_sql.h"
#include "tests/unit/support/unit.h"

static struct err err;

static struct restore_identity open_one(void) {
    struct restore_identity i = {
        .there = true, .id = 6, .state = 0, .database_guid = G(0xDB), .family_guid = G(FAMILY), .fork = G(FORK_A)};
    str_copy(i.created, sizeof(i.created), "2026-11-21 02:47:00.123");
    return i;
}

static void test_which_changes_count(void **state) {
    (void)state;
    const struct restore_identity was = open_one(), none = {.there = false};
    static const struct {
        const char *what;
        bool is, same;
    } cases[] = {
        {"nothing", true, true}, {"id", false, false},     {"created", false, false},
        {"state", true, false},  {"standby", true, false}, {"database", true, false},
        {"family", true, false}, {"fork", true, false},    {"redo", true, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct restore_identity now = was;
        const char *what = cases[i].what;
        now.id += !strcmp(what, "id");
        now.created[0] = (char)(now.created[0] + !strcmp(what, "created"));
        now.state += !strcmp(what, "state");
        now.standby = !strcmp(what, "standby");
        now.database_guid = !strcmp(what, "database") ? G(1) : now.database_guid;
        now.family_guid = !strcmp(what, "family") ? G(2) : now.family_guid;
        now.fork = !strcmp(what, "fork") ? G(3) : now.fork;
        now.redo_lsn = !strcmp(what, "redo") ? L(7) : now.redo_lsn;
        if (restore_identity_is(&was, &now) != cases[i].is || restore_identity_same(&was, &now) != cases[i].same)
            fail_msg("%s", what);
    }
    assert_true(restore_identity_same(&none, &none));
    assert_false(restore_identity_is(&was, &none));
    assert_false(restore_identity_same(&none, &was));
    struct restore_identity closed = was; /* what was not to be seen is not asked for */
    closed.database_guid = closed.family_guid = closed.fork = (struct guid){{0}};
    assert_true(restore_identity_same(&closed, &was));
    assert_false(restore_identity_same(&was, &closed));
}

static void test_text(void **state) {
    (void)state;
    struct restore_identity want = open_one(), none = {.there = false};
    struct buf b;
    buf_init(&b, 65536);
    restore_identity_only_if("it's", &none, true, &b);
    assert_true(str_starts(b.data, "IF EXISTS (SELECT 1 FROM sys.databases AS d "));
    assert_non_null(strstr(b.data, "WHERE d.name = N'it''s') THROW 51737, N'"));
    buf_reset(&b);
    restore_identity_only_if("sales", &want, false, &b);
    assert_true(str_starts(b.data, "IF NOT EXISTS ("));
    assert_non_null(
        strstr(b.data, "d.database_id = 6 AND CONVERT(nvarchar(30), d.create_date, 121) = N'2026-11-21 02:47:00.123') THROW"));
    buf_reset(&b);
    want.redo_lsn = L(7);
    restore_identity_only_if("sales", &want, true, &b);
    assert_non_null(strstr(b.data, " AND d.state = 0 AND d.is_in_standby = 0"));
    assert_non_null(strstr(b.data, " AND r.recovery_fork_guid = CONVERT(uniqueidentifier, N'"));
    assert_non_null(strstr(b.data, " AND ISNULL(f.redo_start_lsn, 0) = "));
    assert_null(strstr(b.data, "redo_start_fork_guid ="));
    buf_done(&b);
    (void)err_sql(&err, ERR_SQL, RESTORE_CHANGED_NUMBER, 16, "x");
    assert_true(restore_identity_thrown(&err));
}

static void test_journal(void **state) {
    (void)state;
    struct restore_identity was = open_one(), back;
    was.redo_lsn = L(33);
    was.redo_fork = G(FORK_A);
    for (int i = 0; i < 2; i++) {
        json_t *json = restore_identity_to_json(&was);
        assert_true(restore_identity_from_json(json, &back));
        assert_true(restore_identity_same(&was, &back));
        assert_true(guid_eq(&was.redo_fork, &back.redo_fork));
        json_decref(json);
        was = (struct restore_identity){.there = false};
    }
    json_t *json = json_pack("{s:b,s:i}", "there", 1, "id", 5);
    assert_false(restore_identity_from_json(json, &back));
    json_decref(json);
    assert_false(restore_identity_from_json(NULL, &back));
}

static void test_read(void **state) {
    (void)state;
    struct restore_identity i;
    struct fake_sql *sql = fake_sql_new();
    fake_sql_expect(sql, "WHERE d.name = N'sales'");
    fake_sql_columns(sql, 9, "database_id", "created", "state", "is_in_standby", "database_guid", "family_guid",
                     "recovery_fork_guid", "redo_start_lsn", "redo_start_fork_guid");
    fake_sql_row(sql, "6", "2026-11-21 02:47:00.123", "1", "0", NULL, NULL, NULL, "39000000048800071",
                 "44444444-8A2C-4C6C-9BF5-2E02090C8EBC");
    assert_succeeds(restore_identity_read(fake_sql_session(sql), "sales", &i, &err), err);
    assert_true(i.there && i.id == 6 && i.state == 1 && !i.standby && guid_is_zero(&i.fork) && !guid_is_zero(&i.redo_fork));
    assert_int_equal(i.redo_lsn.block, 488);
    fake_sql_expect(sql, "WHERE d.name = N'gone'");
    assert_succeeds(restore_identity_read(fake_sql_session(sql), "gone", &i, &err), err);
    assert_false(i.there);
    fake_sql_expect(sql, "WHERE d.name = N'x'");
    fake_sql_fails(sql, ERR_CONNECT, "gone");
    err_clear(&err);
    assert_fails(restore_identity_read(fake_sql_session(sql), "x", &i, &err), err, ERR_CONNECT, "identity of database 'x'");
    fake_sql_done(sql);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_changes_count),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_journal),
        cmocka_unit_test(test_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
