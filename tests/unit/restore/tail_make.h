/* SPDX-License-Identifier: Apache-2.0 */
/* What a scripted SQL Server is asked when a tail is taken, and what it answers. */
#ifndef MSSQL_TEST_TAIL_MAKE_H
#define MSSQL_TEST_TAIL_MAKE_H

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"
#include "common/restore/tail.h"
#include "tests/unit/restore/target_make.h"
#include "tests/unit/support/fake_sql.h"

#define SET "11111111-8A2C-4C6C-9BF5-2E02090C8EBC"
#define FAMILY "33333333-8A2C-4C6C-9BF5-2E02090C8EBC"
#define FORK "44444444-8A2C-4C6C-9BF5-2E02090C8EBC"

static unsigned seen;
static char last_seen[1024];

static inline void on_evicted(void *user, const char *who) {
    (void)user;
    seen++;
    str_copy(last_seen, sizeof(last_seen), who);
}

static inline struct restore_tail_request request_make(void) {
    seen = 0;
    return (struct restore_tail_request){.database = "sales]x",
                                         .run_id = "r1-tail-1",
                                         .server_path = "/s/r1-tail-1.trn",
                                         .compression = SQL_COMPRESSION_DEFAULT,
                                         .evict_ms = 5000,
                                         .evicted = on_evicted};
}

/* Who is in the database, and then who has locks in it when nobody is. */
static inline void expect_sessions(struct fake_sql *sql, const char *id) {
    fake_sql_expect(sql, "FROM sys.dm_exec_sessions WHERE session_id <> @@SPID");
    fake_sql_also(sql, "DB_ID(N'sales]x')");
    fake_sql_columns(sql, 4, "session_id", "login_name", "host_name", "program_name");
    if (id) {
        fake_sql_row(sql, id, "app", "web-1", "shop");
        return;
    }
    fake_sql_expect(sql, "FROM sys.dm_tran_locks");
    fake_sql_columns(sql, 4, "session_id", "login_name", "host_name", "program_name");
}

static inline void expect_backup(struct fake_sql *sql) {
    fake_sql_expect(sql, "ALTER DATABASE [sales]]x] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; BACKUP LOG [sales]]x] TO DISK = "
                         "N'/s/r1-tail-1.trn' WITH INIT, FORMAT, NAME = N'r1-tail-1', CHECKSUM");
    fake_sql_also(sql, ", NORECOVERY");
    fake_sql_not(sql, "NO_TRUNCATE");
}

static inline void expect_success(struct fake_sql *sql) {
    expect_backup(sql);
    fake_sql_message(sql, 3014, 0, "BACKUP LOG successfully processed 3 pages in 0.030 seconds (83.8 MB/sec).");
}

static inline void expect_busy(struct fake_sql *sql, int number) {
    expect_backup(sql);
    fake_sql_message(sql, number, 16, "Exclusive access could not be obtained because the database is in use.");
    fake_sql_message(sql, 3013, 16, "BACKUP LOG is terminating abnormally.");
}

/* A BACKUP that runs: of the lost session, or of anybody since. */
static inline void expect_running(struct fake_sql *sql, const char *id, const char *start) {
    fake_sql_expect(sql, "FROM sys.dm_exec_requests");
    fake_sql_columns(sql, 2, "session_id", "start_time");
    if (id)
        fake_sql_row(sql, id, start);
}

static inline void expect_no_backup_running(struct fake_sql *sql) {
    expect_running(sql, NULL, NULL);
}

static inline void expect_state(struct fake_sql *sql, const char *state) {
    fake_sql_expect(sql, "SELECT state FROM sys.databases WHERE name = N'sales]x'");
    fake_sql_columns(sql, 1, "state");
    if (state)
        fake_sql_row(sql, state);
}

static inline void expect_header(struct fake_sql *sql, const char *name) {
    fake_sql_expect(sql, "RESTORE HEADERONLY FROM DISK = N'/s/r1-tail-1.trn'");
    fake_sql_columns(sql, 20, "BackupName", "BackupType", "ServerName", "DatabaseName", "DatabaseVersion", "FirstLSN", "LastLSN",
                     "BackupStartDate", "BackupFinishDate", "Flags", "RecoveryForkID", "FirstRecoveryForkID", "FamilyGUID",
                     "BackupSetGUID", "BindingID", "HasBackupChecksums", "LastValidRestoreTime", "TimeZone", "RecoveryModel",
                     "CompatibilityLevel");
    fake_sql_row(sql, name, "2", "sql-0", "sales]x", "957", "39000000048800001", "39000000051800001", "2026-11-21T14:00:00",
                 "2026-11-21T14:00:05", "848", FORK, FORK, FAMILY, SET, FAMILY, "1", NULL, "8", "FULL", "160");
}

static inline void expect_no_file(struct fake_sql *sql) {
    fake_sql_expect(sql, "RESTORE HEADERONLY");
    fake_sql_message(
        sql, 3201, 16,
        "Cannot open backup device '/s/r1-tail-1.trn'. Operating system error 2(The system cannot find the file specified.).");
}

static inline void expect_history(struct fake_sql *sql, bool found) {
    fake_sql_expect(sql, "WHERE s.name = N'r1-tail-1'");
    fake_sql_columns(sql, 4, "backup_set_id", "type", "name", "backup_set_uuid");
    if (found)
        fake_sql_row(sql, "7", "L", "r1-tail-1", SET);
}

static inline void expect_undo(struct fake_sql *sql, const char *state, const char *access) {
    fake_sql_expect(sql, "SELECT state, user_access FROM sys.databases WHERE name = N'sales]x'");
    fake_sql_columns(sql, 2, "state", "user_access");
    if (state)
        fake_sql_row(sql, state, access);
    if (state && !strcmp(state, "0") && strcmp(access, "0") != 0)
        fake_sql_expect(sql, "ALTER DATABASE [sales]]x] SET MULTI_USER WITH ROLLBACK IMMEDIATE");
}

static int64_t tail_mono;
static inline int64_t tail_fake_mono(void) {
    return tail_mono += 10 * INT64_C(1000000);
}
/* Every look at the clock is ten seconds later. */
static inline int slow_clock(void **state) {
    (void)state;
    clock_set_hooks(NULL, tail_fake_mono);
    return 0;
}
static inline int normal_clock(void **state) {
    (void)state;
    clock_set_hooks(NULL, NULL);
    return 0;
}

#endif
