/* SPDX-License-Identifier: Apache-2.0 */
/* A plan as T-SQL: what is said, in which order, and that no name gets out of its quotes. */
#include "tests/unit/support/unit.h"

#include "cli/script.h"
#include "common/base/clock.h"
#include "common/base/str.h"

#define MAX 4

struct scene {
    struct script script;
    struct chain_plan plan;
    struct chain_member members[MAX];
    struct backup sets[MAX];
    struct script_member rows[MAX];
    const char *paths[MAX][2];
    struct script_move moves[3];
};

static void add(struct scene *s, enum backup_kind kind, const char *path, bool stop, bool if_needed) {
    size_t n = s->script.count++;
    s->sets[n] = (struct backup){.kind = kind,
                                 .position = (uint16_t)(n + 1),
                                 .flags = BACKUP_CHECKSUMS,
                                 .first_lsn = {1, 2, (uint16_t)n},
                                 .last_lsn = {1, 3, (uint16_t)n},
                                 .finish_at = (int64_t)(1700000000 + n) * CLOCK_SECOND};
    s->members[n] = (struct chain_member){.set = (uint32_t)n, .kind = kind, .stop = stop, .if_needed = if_needed};
    s->paths[n][0] = path;
    s->rows[n] = (struct script_member){.member = &s->members[n], .set = &s->sets[n], .paths = s->paths[n], .path_count = 1};
}

static void begin(struct scene *s, const char *database, const char *folder) {
    *s = (struct scene){
        .script = {.program = "test", .from = "here", .database = database, .target = "latest", .folder = folder}};
    s->script.plan = &s->plan;
    s->script.members = s->rows;
    s->plan.members = s->members;
}

static char *text_of(struct scene *s) {
    struct buf out;
    struct err err = {0};
    s->plan.count = s->script.count;
    buf_init(&out, SCRIPT_BYTES_MAX);
    assert_succeeds(script_write(&s->script, &out, &err), err);
    return buf_take(&out);
}

static size_t count_of(const char *text, const char *part) {
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)); p += strlen(part))
        n++;
    return n;
}

/* The parts are there, one behind the other. */
static void in_order(const char *text, const char *const *parts) {
    const char *at = text;
    for (; *parts; parts++) {
        const char *found = strstr(at, *parts);
        if (!found)
            fail_msg("'%s' is not in, or not behind what should be before it:\n%s", *parts, text);
        at = found + 1;
    }
}
#define IN_ORDER(text, ...) in_order(text, (const char *const[]){__VA_ARGS__, NULL})

static void whole_paths(void **state) {
    (void)state;
    struct scene s;
    begin(&s, "sales", NULL);
    add(&s, BACKUP_FULL, "/b/a.bak", false, false);
    add(&s, BACKUP_DIFF, "https://host/c/d.bak", false, false);
    add(&s, BACKUP_LOG, "C:\\b\\l.trn", false, false);
    char *text = text_of(&s);
    IN_ORDER(text, "USE master;", "@database sysname = N'sales'", "IF DB_ID(@database) IS NOT NULL", "RETURN;",
             "RESTORE DATABASE @database FROM DISK = N'/b/a.bak'\n    WITH FILE = 1, NORECOVERY, CHECKSUM;", "IF @@ERROR <> 0",
             "RESTORE DATABASE @database FROM URL = N'https://host/c/d.bak'\n    WITH FILE = 2, NORECOVERY, CHECKSUM;",
             "IF @@ERROR <> 0", "RESTORE LOG @database FROM DISK = N'C:\\b\\l.trn'\n    WITH FILE = 3, NORECOVERY, CHECKSUM;",
             "IF @@ERROR <> 0", "RESTORE DATABASE @database WITH RECOVERY;");
    assert_int_equal(count_of(text, "NORECOVERY"), 4); /* three, and the advice */
    assert_null(strstr(text, "REPLACE"));
    assert_null(strstr(text, "@file"));
    assert_null(strstr(text, "MOVE"));
    mem_free(text);
}

static void the_log_that_may_hold_the_moment(void **state) {
    (void)state;
    struct scene s;
    begin(&s, "sales", NULL);
    add(&s, BACKUP_FULL, "/f", false, false);
    add(&s, BACKUP_LOG, "/1", true, false);
    add(&s, BACKUP_LOG, "/2", true, true);
    chain_stop_at(INT64_C(1700000000123456), -12600, false, &s.plan.stop);
    char *text = text_of(&s);
    IN_ORDER(text, "UTC-03:30, which is assumed",
             "FROM DISK = N'/1'\n    WITH FILE = 2, RECOVERY, CHECKSUM, STOPAT = N'2023-11-14T18:43:20.123';",
             "state = 1)\nBEGIN\n",
             "    RESTORE LOG @database FROM DISK = N'/2'\n        WITH FILE = 3, NORECOVERY, CHECKSUM, STOPAT = N'", "END\n",
             "state = 1)\n    RESTORE DATABASE @database WITH RECOVERY;");
    mem_free(text);
    s.members[1].stop = false; /* a bulk-logged one that ends before: it never stops */
    text = text_of(&s);
    IN_ORDER(text, "FROM DISK = N'/1'\n    WITH FILE = 2, NORECOVERY, CHECKSUM;");
    mem_free(text);
}

static void files_in_a_folder(void **state) {
    (void)state;
    struct scene s;
    begin(&s, "sales", "/var/restore");
    add(&s, BACKUP_FULL, "a.bak", false, false);
    add(&s, BACKUP_LOG, "l-s01.trn", false, false);
    s.paths[1][1] = "l-s02.trn";
    s.rows[1].path_count = 2;
    s.moves[0] = (struct script_move){.logical = "data", .type = 'D', .id = 1};
    s.moves[1] = (struct script_move){.logical = "log", .type = 'L', .id = 2};
    s.moves[2] = (struct script_move){.logical = "late", .type = 'D', .id = 3, .physical = "/else/late.ndf"};
    s.rows[0].moves = s.moves;
    s.rows[0].move_count = 2;
    s.rows[1].moves = s.moves + 2;
    s.rows[1].move_count = 1;
    char *text = text_of(&s);
    IN_ORDER(text, "@files nvarchar(260) = N'/var/restore/';", "InstanceDefaultDataPath", "@data + @stem +", "N'_1.mdf'",
             "@move2 nvarchar(260) = @log + @stem + N'_2.ldf'", "@file2 nvarchar(260);", "SET @file1 = @files + N'a.bak';",
             "FROM DISK = @file1\n", "MOVE N'data' TO @move1,\n    MOVE N'log' TO @move2;", "SET @file2 = @files + N'l-s02.trn';",
             "FROM DISK = @file1, DISK = @file2\n", "MOVE N'late' TO N'/else/late.ndf';");
    assert_null(strstr(text, "@move3"));
    mem_free(text);
    s.script.folder = "D:\\restore";
    text = text_of(&s);
    IN_ORDER(text, "N'D:\\restore\\';");
    mem_free(text);
}

static void names_stay_in_their_quotes(void **state) {
    (void)state;
    struct scene s;
    static const char evil[] = "x'; DROP DATABASE y; --'";
    begin(&s, evil, "/a'b");
    s.script.from = s.script.target = "here\nGO\nDROP DATABASE y";
    add(&s, BACKUP_FULL, "f'.bak", false, false);
    s.moves[0] = (struct script_move){.logical = evil, .type = 'D', .id = 1, .physical = evil};
    s.rows[0].moves = s.moves;
    s.rows[0].move_count = 1;
    char *text = text_of(&s);
    IN_ORDER(text, "-- Restores ", "sysname = N'x''; DROP DATABASE y; --''';", "N'/a''b/'", "N'f''.bak'",
             "MOVE N'x''; DROP DATABASE y; --''' TO N'x''; DROP DATABASE y; --'''");
    assert_null(strstr(text, "\nGO"));
    assert_null(strstr(text, "\nDROP"));
    mem_free(text);
}

static void what_cannot_be_said_is_refused(void **state) {
    (void)state;
    struct scene s;
    struct buf out;
    struct err err;
    char name[200];
    buf_init(&out, SCRIPT_BYTES_MAX);
    begin(&s, "a\nGO\nb", "/a");
    add(&s, BACKUP_FULL, "f.bak", false, false);
    assert_fails(script_write(&s.script, &out, &err), err, ERR_USAGE, "control characters");
    s.script.database = "a";
    s.paths[0][0] = "f\n.bak";
    assert_fails(script_write(&s.script, &out, &err), err, ERR_USAGE, "control characters");
    s.paths[0][0] = "f.bak";
    memset(name, 'n', 129);
    name[129] = 0;
    s.script.database = name;
    assert_fails(script_write(&s.script, &out, &err), err, ERR_USAGE, "the script");
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_paths),
        cmocka_unit_test(the_log_that_may_hold_the_moment),
        cmocka_unit_test(files_in_a_folder),
        cmocka_unit_test(names_stay_in_their_quotes),
        cmocka_unit_test(what_cannot_be_said_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
