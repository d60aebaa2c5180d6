/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/after.h"

#include "tests/unit/restore/target_make.h"
#include "tests/unit/support/fake_sql.h"

#define FAMILY "33333333-8A2C-4C6C-9BF5-2E02090C8EBC"
#define FORK "44444444-8A2C-4C6C-9BF5-2E02090C8EBC"

struct look {
    const char *state, *text, *standby, *access, *owner, *trustworthy, *broker, *chaining, *priority, *cdc, *published;
};
/* As RESTORE leaves it. */
static const struct look plain = {"0", "ONLINE", "0", "0", "admin", "0", "0", "0", "0", "0", "0"};

static void expect_look(struct fake_sql *sql, const struct look *l) {
    fake_sql_expect(sql, "WHERE d.name = N'sa]les'");
    fake_sql_columns(sql, 16, "state", "state_desc", "is_in_standby", "user_access", "owner_name", "is_trustworthy_on",
                     "is_broker_enabled", "is_db_chaining_on", "is_honor_broker_priority_on", "is_cdc_enabled", "is_published",
                     "is_merge_published", "is_subscribed", "database_guid", "family_guid", "recovery_fork_guid");
    if (l)
        fake_sql_row(sql, l->state, l->text, l->standby, l->access, l->owner, l->trustworthy, l->broker, l->chaining, l->priority,
                     l->cdc, l->published, "0", "0", FAMILY, FAMILY, FORK);
}

static void expect_orphans(struct fake_sql *sql) {
    fake_sql_expect(sql, "FROM [sa]]les].sys.database_principals");
    fake_sql_columns(sql, 3, "name", "sid", "has_login");
}

static void manifest_make(struct manifest *m) {
    manifest_init(m);
    manifest_set(&m->options.owner, "admin");
}

static bool has_line(const struct restore_lines *lines, const char *part) {
    for (size_t i = 0; i < lines->count; i++)
        if (strstr(lines->items[i], part))
            return true;
    return false;
}

#define assert_line(lines, part)                                                                                                 \
    do {                                                                                                                         \
        if (!has_line(&(lines), (part)))                                                                                         \
            fail_msg("no line with '%s'", (part));                                                                               \
    } while (0)

static void test_fine(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct manifest m;
    struct err err;
    (void)state;
    manifest_make(&m);
    const struct restore_after_request q = {.database = "sa]les", .manifest = &m, .recovered = true};
    expect_look(sql, &plain);
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_string_equal(after.state, "ONLINE");
    assert_string_equal(after.owner, "admin");
    assert_false(guid_is_zero(&after.recovery_fork));
    assert_int_equal(after.warnings.count + after.next.count + after.reset + after.orphans, 0);
    restore_after_done(&after);
    manifest_done(&m);
}

static void test_states(void **state) {
    static const struct {
        const char *state, *text, *standby;
        bool recovered, wants_standby;
        const char *error; /* NULL: it is as it should be */
    } table[] = {
        {"1", "RESTORING", "0", false, false, NULL},
        {"0", "ONLINE", "1", true, true, NULL},
        {"1", "RESTORING", "0", true, false, "is RESTORING, it should be ONLINE"},
        {"0", "ONLINE", "0", false, false, "is ONLINE, it should be RESTORING"},
        {"4", "SUSPECT", "0", true, false, "is SUSPECT, it should be ONLINE"},
        {"0", "ONLINE", "1", true, false, "is STANDBY, it should be ONLINE"},
        {NULL, NULL, NULL, true, false, "is absent, it should be ONLINE"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_sql *sql = fake_sql_new();
        struct restore_after after;
        struct err err;
        struct look l = plain;
        l.state = table[i].state, l.text = table[i].text, l.standby = table[i].standby;
        const struct restore_after_request q = {
            .database = "sa]les", .recovered = table[i].recovered, .standby = table[i].wants_standby};
        expect_look(sql, l.state ? &l : NULL);
        if (table[i].error)
            assert_fails(restore_after_run(fake_sql_session(sql), &q, &after, &err), err, ERR_STATE, table[i].error);
        else
            assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
        fake_sql_done(sql);
        if (table[i].error && l.state && !strcmp(l.state, "1"))
            assert_line(after.next, "RESTORE DATABASE [sa]]les] WITH RECOVERY;");
        restore_after_done(&after);
    }
}

/* It needs a moment. */
static void test_recovering(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct err err;
    struct look l = plain;
    (void)state;
    const struct restore_after_request q = {.database = "sa]les", .recovered = true};
    l.state = "2", l.text = "RECOVERING";
    expect_look(sql, &l);
    expect_look(sql, &plain);
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    restore_after_done(&after);
}

static void options_make(struct manifest *m) {
    manifest_make(m);
    manifest_set(&m->options.owner, "bo]ss");
    m->options.trustworthy = m->options.broker_enabled = m->options.db_chaining = m->options.honor_broker_priority = true;
}

static void expect_owner(struct fake_sql *sql, const char *found) {
    fake_sql_expect(sql, "FROM sys.server_principals WHERE name = N'bo]ss'");
    fake_sql_columns(sql, 1, "found");
    fake_sql_row(sql, found);
}

static void test_listed(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct manifest m;
    struct err err;
    (void)state;
    options_make(&m);
    m.options.cdc_enabled = m.options.is_published = true;
    const struct restore_after_request q = {.database = "sa]les", .manifest = &m, .recovered = true};
    expect_look(sql, &plain);
    expect_owner(sql, "1");
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_int_equal(after.reset, 7);
    assert_int_equal(after.reapplied, 0);
    assert_line(after.next, "ALTER AUTHORIZATION ON DATABASE::[sa]]les] TO [bo]]ss];");
    assert_line(after.next, "ALTER DATABASE [sa]]les] SET TRUSTWORTHY ON;");
    assert_line(after.next, "ALTER DATABASE [sa]]les] SET DB_CHAINING ON;");
    assert_line(after.next, "ALTER DATABASE [sa]]les] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE;");
    assert_line(after.next, "ALTER DATABASE [sa]]les] SET HONOR_BROKER_PRIORITY ON;");
    assert_line(after.warnings, "its owner is 'admin', it was 'bo]ss'");
    assert_line(after.warnings, "KEEP_CDC");
    assert_line(after.warnings, "KEEP_REPLICATION");
    restore_after_done(&after);
    manifest_done(&m);
}

static void test_reapplied(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct manifest m;
    struct err err;
    (void)state;
    options_make(&m);
    const struct restore_after_request q = {.database = "sa]les", .manifest = &m, .recovered = true, .reapply = true};
    expect_look(sql, &plain);
    expect_owner(sql, "1");
    fake_sql_expect(sql, "ALTER AUTHORIZATION ON DATABASE::[sa]]les] TO [bo]]ss]");
    fake_sql_expect(sql, "SET TRUSTWORTHY ON");
    fake_sql_message(sql, 15247, 16, "User does not have permission to perform this action.");
    fake_sql_expect(sql, "SET DB_CHAINING ON");
    fake_sql_expect(sql, "SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE");
    fake_sql_message(sql, 9772, 16, "The Service Broker in database cannot be enabled because one with the same ID exists.");
    fake_sql_expect(sql, "SET HONOR_BROKER_PRIORITY ON");
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_int_equal(after.reapplied, 3);
    assert_int_equal(after.reset, 2);
    assert_string_equal(after.owner, "bo]ss");
    assert_line(after.warnings, "TRUSTWORTHY was on, and that could not be changed");
    assert_line(after.warnings, "NEW_BROKER");
    assert_line(after.next, "SET TRUSTWORTHY ON;");
    assert_false(has_line(&after.next, "HONOR_BROKER_PRIORITY"));
    restore_after_done(&after);
    manifest_done(&m);
}

static void test_owner_gone(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct manifest m;
    struct err err;
    (void)state;
    manifest_make(&m);
    manifest_set(&m.options.owner, "bo]ss");
    m.options.cdc_enabled = true;
    struct look l = plain;
    l.cdc = "1";
    const struct restore_after_request q = {
        .database = "sa]les", .manifest = &m, .recovered = true, .reapply = true, .keep_cdc = true};
    expect_look(sql, &l);
    expect_owner(sql, "0");
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_line(after.warnings, "'bo]ss', which is no login of this instance");
    assert_line(after.next, "USE [sa]]les]; EXEC sys.sp_cdc_add_job N'capture'");
    restore_after_done(&after);
    manifest_done(&m);
}

static void test_access(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct err err;
    struct look l = plain;
    (void)state;
    struct restore_after_request q = {.database = "sa]les", .recovered = true, .evicted = true};
    l.access = "1";
    expect_look(sql, &l);
    fake_sql_expect(sql, "ALTER DATABASE [sa]]les] SET MULTI_USER WITH ROLLBACK IMMEDIATE");
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_int_equal(after.warnings.count, 0);
    restore_after_done(&after);
    q.evicted = false; /* not our doing */
    sql = fake_sql_new();
    expect_look(sql, &l);
    expect_orphans(sql);
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_line(after.warnings, "single-user mode, as it was when it was backed up");
    restore_after_done(&after);
}

static void test_orphans(void **state) {
    struct fake_sql *sql = fake_sql_new();
    struct restore_after after;
    struct err err;
    (void)state;
    const struct restore_after_request q = {.database = "sa]les", .recovered = true};
    expect_look(sql, &plain);
    expect_orphans(sql);
    fake_sql_row(sql, "app]1", "A1B2", "1");
    fake_sql_row(sql, "rep", "C3D4", "0");
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_int_equal(after.orphans, 2);
    assert_line(after.warnings, "2 users of 'sa]les' have no login here");
    assert_string_equal(after.next.items[0], "USE [sa]]les]; ALTER USER [app]]1] WITH LOGIN = [app]]1];");
    assert_string_equal(after.next.items[1], "CREATE LOGIN [rep] WITH PASSWORD = N'<choose one>', SID = 0xC3D4;");
    restore_after_done(&after);

    sql = fake_sql_new();
    expect_look(sql, &plain);
    expect_orphans(sql);
    fake_sql_message(sql, 916, 14, "The server principal is not able to access the database.");
    assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
    fake_sql_done(sql);
    assert_line(after.warnings, "whether they have logins is not known");
    restore_after_done(&after);
}

static void test_dbcc(void **state) {
    static const struct {
        int number, severity;
        enum err_class class; /* NONE: success */
        bool checked, corrupt;
        const char *warning;
    } table[] = {
        {0, 0, ERR_NONE, true, false, NULL},
        {8939, 16, ERR_CORRUPT, true, true, NULL},
        {2570, 16, ERR_CORRUPT, true, true, NULL},
        {824, 24, ERR_CORRUPT, true, true, NULL},
        {2508, 16, ERR_CORRUPT, true, true, NULL},
        {7995, 16, ERR_CORRUPT, true, true, NULL},
        {2571, 14, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
        {2557, 14, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
        {2559, 14, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
        {7983, 14, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
        {7919, 16, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
        {2583, 16, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
        {5030, 16, ERR_NONE, false, false, "DBCC CHECKDB could not run"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fake_sql *sql = fake_sql_new();
        struct restore_after after;
        struct err err;
        const struct restore_after_request q = {.database = "sa]les", .recovered = true, .check = true};
        expect_look(sql, &plain);
        expect_orphans(sql);
        fake_sql_expect(sql, "DBCC CHECKDB(N'sa]les') WITH NO_INFOMSGS, ALL_ERRORMSGS");
        if (table[i].number) {
            fake_sql_message(sql, table[i].number, table[i].severity, "Table error: page (1:57).");
            fake_sql_message(sql, table[i].number, table[i].severity, "Table error: page (1:58).");
        }
        if (table[i].class == ERR_NONE)
            assert_succeeds(restore_after_run(fake_sql_session(sql), &q, &after, &err), err);
        else
            assert_fails(restore_after_run(fake_sql_session(sql), &q, &after, &err), err, table[i].class,
                         "found 2 errors, the first: Table error: page (1:57)");
        fake_sql_done(sql);
        assert_int_equal(after.checked, table[i].checked);
        assert_int_equal(after.corrupt, table[i].corrupt);
        assert_int_equal(after.check_errors, table[i].corrupt ? 2 : 0);
        assert_int_equal(after.unchecked.class == ERR_NONE, table[i].checked);
        if (table[i].warning)
            assert_line(after.warnings, table[i].warning);
        restore_after_done(&after);
    }
    struct fake_sql *sql = fake_sql_new(); /* asked to stop */
    struct restore_after after;
    struct err err;
    const struct restore_after_request q = {.database = "sa]les", .recovered = true, .check = true};
    expect_look(sql, &plain);
    expect_orphans(sql);
    fake_sql_expect(sql, "DBCC CHECKDB");
    fake_sql_fails(sql, ERR_CANCELLED, "statement cancelled");
    assert_fails(restore_after_run(fake_sql_session(sql), &q, &after, &err), err, ERR_CANCELLED, "after the restore of 'sa]les'");
    fake_sql_done(sql);
    restore_after_done(&after);
}

static void test_lost(void **state) {
    struct restore_after after;
    struct manifest m;
    struct err err;
    (void)state;
    options_make(&m);
    for (int i = 0; i < 4; i++) {
        struct fake_sql *sql = fake_sql_new();
        const struct restore_after_request q = {.database = "sa]les", .manifest = &m, .recovered = true, .reapply = true};
        expect_look(sql, &plain);
        if (i > 0)
            expect_owner(sql, "1");
        if (i > 1)
            fake_sql_expect(sql, "ALTER AUTHORIZATION");
        if (i > 2)
            fake_sql_expect(sql, "SET TRUSTWORTHY ON");
        fake_sql_fails(sql, ERR_CONNECT, "connection lost");
        fake_sql_dies(sql);
        assert_fails(restore_after_run(fake_sql_session(sql), &q, &after, &err), err, ERR_CONNECT, "connection lost");
        fake_sql_done(sql);
        restore_after_done(&after);
    }
    manifest_done(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fine),   cmocka_unit_test(test_states),    cmocka_unit_test(test_recovering),
        cmocka_unit_test(test_listed), cmocka_unit_test(test_reapplied), cmocka_unit_test(test_owner_gone),
        cmocka_unit_test(test_access), cmocka_unit_test(test_orphans),   cmocka_unit_test(test_dbcc),
        cmocka_unit_test(test_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
