/* SPDX-License-Identifier: Apache-2.0 */
/* Backup histories as JSON: every form in which clients of SQL Server write them, and what rows leave unsaid. */
#include "tests/unit/support/unit.h"

#include "cli/history.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/str.h"

struct text {
    const char *data;
    size_t len, at, step; /* step: bytes per read */
};

static ssize_t read_text(void *user, void *dst, size_t len, struct err *err) {
    (void)err;
    struct text *t = user;
    size_t n = t->len - t->at;
    n = n < len ? n : len;
    n = n < t->step ? n : t->step;
    memcpy(dst, t->data + t->at, n);
    t->at += n;
    return (ssize_t)n;
}

static int read_bytes(const char *data, size_t len, size_t step, struct history *ret_history, struct err *err) {
    struct text t = {data, len, 0, step};
    struct history_source source = {.name = "h.json", .read = read_text, .user = &t};
    return history_read(&source, ret_history, err);
}

static struct history must_read(const char *text) {
    struct history h;
    struct err err = {0};
    if (read_bytes(text, strlen(text), 7, &h, &err) < 0)
        fail_msg("%s", err.text);
    return h;
}

static void refused(const char *text, const char *part) {
    struct history h;
    struct err err = {0};
    for (size_t step = 1; step < 70000; step = step * 90 + 1)
        assert_fails(read_bytes(text, strlen(text), step, &h, &err), err, ERR_CORRUPT, part);
}

static int64_t moment(const char *text) {
    int64_t at = 0;
    assert_true(clock_parse(text, &at));
    return at;
}

static struct lsn lsn_of(const char *text) {
    struct lsn lsn = {0};
    assert_true(lsn_parse(text, &lsn));
    return lsn;
}

#define GUID_A "0A1B2C3D-0000-4000-8000-00000000000A"
#define GUID_B "0A1B2C3D-0000-4000-8000-00000000000B"
#define GUID_F "0A1B2C3D-0000-4000-8000-0000000000F0"
#define BIG "4294967295429496729565535" /* the greatest LSN: no double, no 64 bits hold it */

/* ---- forms ---- */

static void header_columns(void **state) {
    (void)state;
    struct history h = must_read(
        "[{\"BackupName\":null,\"BackupType\":1,\"Position\":3,\"DatabaseName\":\"sales\",\"ServerName\":\"srv\","
        "\"FirstLSN\":34000000006900179,\"LastLSN\":" BIG ",\"CheckpointLSN\":\"34000000006900179\",\"DatabaseBackupLSN\":0,"
        "\"BackupStartDate\":\"2026-11-21T03:47:00\",\"BackupFinishDate\":\"2026-11-21T03:48:00.500\",\"TimeZone\":4,"
        "\"BindingID\":\"{" GUID_B "}\",\"FamilyGUID\":\"" GUID_F "\",\"BackupSetGUID\":\"" GUID_A "\",\"BackupSize\":1000,"
        "\"CompressedBackupSize\":400,\"IsCopyOnly\":true,\"HasBackupChecksums\":1,\"IsDamaged\":\"False\",\"Flags\":528,"
        "\"Collation\":\"x\",\"KeyAlgorithm\":null,\"LastValidRestoreTime\":\"2026-11-21 03:47:59.997\"}]");
    const struct backup *b = h.sets;
    struct guid guid;
    assert_int_equal(h.count, 1);
    assert_int_equal(b->kind, BACKUP_FULL);
    assert_int_equal(lsn_cmp(b->last_lsn, lsn_of(BIG)), 0);
    assert_int_equal(lsn_cmp(b->first_lsn, lsn_of("34000000006900179")), 0);
    assert_int_equal(b->start_at, moment("2026-11-21T02:47:00Z"));
    assert_int_equal(b->finish_at, moment("2026-11-21T02:48:00.5Z"));
    assert_int_equal(b->valid_until, moment("2026-11-21T02:47:59.997Z"));
    assert_int_equal(b->utc_offset_s, 3600);
    assert_true(guid_parse(GUID_B, &guid) && guid_eq(&guid, &b->database_guid));
    assert_int_equal(b->flags, BACKUP_COPY_ONLY | BACKUP_CHECKSUMS | BACKUP_UTC_OFFSET_KNOWN);
    assert_int_equal(b->position, 3);
    assert_int_equal(b->size_bytes, 1000);
    assert_int_equal(b->stored_bytes, 400);
    assert_int_equal(h.zone_assumed, 0);
    assert_string_equal(h.databases[0].name, "sales");
    assert_string_equal(h.details[0].server, "srv");
    history_done(&h);
}

static void msdb_columns_joined_with_their_files(void **state) {
    (void)state;
    struct history h = must_read(
        "{\"value\":[{\"backup_set_id\":7,\"backup_set_uuid\":\"" GUID_A "\",\"type\":\"L\",\"database_name\":\"sales\","
        "\"first_lsn\":\"1000000000100001\",\"last_lsn\":\"1000000000200001\",\"backup_start_date\":\"2026-11-21T02:00:00\","
        "\"backup_finish_date\":{\"value\":\"/Date(1795226400000)/\",\"DateTime\":\"Saturday\"},\"time_zone\":127,"
        "\"physical_device_name\":\"/b/"
        "2.trn\",\"family_sequence_number\":2,\"media_family_count\":2,\"mirror\":0,\"device_type\":2},"
        "{\"backup_set_id\":7,\"backup_set_uuid\":\"" GUID_A "\",\"type\":\"L\",\"database_name\":\"sales\","
        "\"first_lsn\":\"1000000000100001\",\"last_lsn\":\"1000000000200001\",\"backup_finish_date\":\"2026-11-21T02:00:00\","
        "\"physical_device_name\":\"/b/1.trn\",\"family_sequence_number\":1,\"media_family_count\":2,\"mirror\":0},"
        "{\"backup_set_id\":7,\"backup_set_uuid\":\"" GUID_A "\",\"type\":\"L\",\"database_name\":\"sales\","
        "\"first_lsn\":\"1000000000100001\",\"last_lsn\":\"1000000000200001\",\"backup_finish_date\":\"2026-11-21T02:00:00\","
        "\"physical_device_name\":\"/m/1.trn\",\"family_sequence_number\":1,\"media_family_count\":2,\"mirror\":1}],"
        "\"Count\":3}");
    assert_int_equal(h.rows, 3);
    assert_int_equal(h.count, 1);
    assert_int_equal(h.sets[0].finish_at, INT64_C(1795226400000000));
    assert_false(backup_has(&h.sets[0], BACKUP_UTC_OFFSET_KNOWN));
    assert_int_equal(h.zone_assumed, 3);
    assert_int_equal(h.sets[0].stripes, 2);
    assert_int_equal(h.details[0].file_count, 2);
    assert_string_equal(h.files[0].path, "/b/1.trn");
    assert_string_equal(h.files[1].path, "/b/2.trn");
    assert_string_equal(h.details[0].id, "7");
    assert_true(h.details[0].id_is_number);
    history_done(&h);
}

static void other_shapes(void **state) {
    (void)state;
    static const char row[] = "{\"TYPE\":\"D\",\"Database Name\":\"a\",\"first_LSN\":1,\"LASTLSN\":2,\"end\":\"2026-11-21\"}";
    struct history h;
    struct err err = {0};
    char *text = mem_printf("\xef\xbb\xbf{\"name\":\"x\",\"records\":[%s],\"more\":[{\"a\":1}]}", row);
    h = must_read(text);
    assert_int_equal(h.count, 1);
    history_done(&h);
    mem_free(text);
    h = must_read(row); /* ConvertTo-Json of one row */
    assert_int_equal(h.count, 1);
    assert_true(h.details[0].made_guid);
    assert_false(guid_is_zero(&h.sets[0].set_guid));
    history_done(&h);
    h = must_read("[]");
    assert_int_equal(h.count, 0);
    history_done(&h);
    /* PowerShell's > in UTF-16, both ways round */
    for (int big = 0; big < 2; big++) {
        char wide[2 * sizeof(row) + 2];
        size_t n = 0;
        for (size_t i = 0; i <= strlen(row); i++) {
            unsigned c = i ? (unsigned char)row[i - 1] : 0xfeff;
            wide[n++] = (char)(big ? c >> 8 : c & 0xff);
            wide[n++] = (char)(big ? c & 0xff : c >> 8);
        }
        for (size_t step = 1; step < 4; step++) {
            assert_int_equal(read_bytes(wide, n, step, &h, &err), 0);
            assert_string_equal(h.databases[0].name, "a");
            history_done(&h);
        }
        assert_fails(read_bytes(wide, n - 1, 5, &h, &err), err, ERR_CORRUPT, "half a character");
    }
}

static void rows_that_are_no_sets(void **state) {
    (void)state;
    struct history h = must_read(
        "[{\"BackupType\":4,\"DatabaseName\":\"a\"},"
        "{\"BackupType\":1,\"BackupName\":\"*** INCOMPLETE ***\",\"DatabaseName\":\"a\",\"FirstLSN\":null},"
        "{\"BackupType\":\"1\",\"DatabaseName\":\"a\",\"FirstLSN\":1,\"LastLSN\":2,\"end\":\"2026-01-01\"}]");
    assert_int_equal(h.count, 1);
    assert_int_equal(h.other_kinds, 1);
    assert_int_equal(h.incomplete, 1);
    history_done(&h);
    refused("[{\"BackupType\":4,\"DatabaseName\":\"a\"}]", "none of its 1 rows is a finished backup");
}

/* ---- what is wrong is named ---- */

static void errors_name_row_field_and_byte(void **state) {
    (void)state;
#define ROW "\"type\":\"D\",\"DatabaseName\":\"a\",\"LastLSN\":2,\"end\":\"2026-11-21\""
    refused("", "h.json: byte 0: it ends where a value should be");
    refused("12", "neither a list of rows nor an object");
    refused("[{" ROW ",\"FirstLSN\":1},{" ROW ",\"FirstLSN\":\"12x\"}]",
            "h.json: row 2: field 'FirstLSN', byte 150: '12x' is not an LSN");
    refused("[{" ROW ",\"FirstLSN\":1.5}]", "row 1: field 'FirstLSN', byte 74: '1.5' is not an LSN");
    refused("[{" ROW ",\"FirstLSN\":1e3}]", "'1e3' is not an LSN");
    refused("[{" ROW ",\"FirstLSN\":99999999999999999999999999}]", "is not an LSN");
    refused("[{" ROW ",\"FirstLSN\":3}]", "behind LastLSN");
    refused("[{" ROW ",\"FirstLSN\":{\"Sign\":1}}]", "an object without a 'value'");
    refused("[{" ROW ",\"FirstLSN\":1,\"BackupSetGUID\":\"12\"}]", "'12' is not a GUID");
    refused("[{" ROW ",\"FirstLSN\":1,\"IsCopyOnly\":\"maybe\"}]", "'maybe' is not 0, 1, true or false");
    refused("[{" ROW ",\"FirstLSN\":1,\"BackupFinishDate\":\"21.11.2026\"}]", "'21.11.2026' is not a date");
    refused("[{" ROW ",\"FirstLSN\":1,\"BackupFinishDate\":\"2026-02-29T00:00:00\"}]", "is not a date");
    refused("[{" ROW ",\"FirstLSN\":1,\"TimeZone\":60}]", "quarters of an hour");
    refused("[{\"DatabaseName\":\"a\",\"FirstLSN\":1,\"LastLSN\":2,\"end\":\"2026-11-21\"}]", "row 1: no type of backup");
    refused("[{\"type\":\"D\",\"FirstLSN\":1,\"LastLSN\":2,\"end\":\"2026-11-21\"}]", "row 1: no name of a database");
    refused("[{\"a\":1}]", "row 1: none of its fields is a column");
    refused("[{\"type\":\"Z\"}]", "'Z' is no type of backup");
    refused("[1]", "row 1: byte 1: not an object");
    refused("[{" ROW ",\"FirstLSN\":1,\"set\":1},]", "not JSON");
    refused("[{" ROW ",\"FirstLSN\":01}]", "leading zero");
    refused("[{" ROW ",\"FirstLSN\":1}] x", "something follows the end");
    refused("[{" ROW ",\"FirstLSN\":1}", "it ends before its brackets are closed");
    refused("[{\"a\":\"\x01\"}]", "a control character");
    refused("[{\"a\":\"\\u0000\"}]", "a NUL");
    refused("[{\"a\":\"\\ud800\"}]", "half of a surrogate pair");
    refused("[{\"a\":\"\xff\"}]", "not valid UTF-8");
    refused("[{\"a\":\"\xc0\x80\"}]", "not valid UTF-8");
    refused("[{" ROW ",\"FirstLSN\":1,\"BackupSetGUID\":\"" GUID_A "\"},{" ROW ",\"FirstLSN\":0,\"BackupSetGUID\":\"" GUID_A
            "\"}]",
            "row 2: the set " GUID_A " was there already with another kind or other LSNs");
    char deep[400] = {0};
    memset(deep, '[', 200);
    refused(deep, "not an object");
    _cleanup_free_ char *nested = mem_printf("[{\"a\":%s", deep);
    refused(nested, "nested too deep");
}

/* ---- databases ---- */

/* A row: type, name, database's last digit, family's last digit, LSNs, hour of finish. */
static void add(struct buf *b, char type, const char *name, int database, int family, int first, int last, int hour) {
    buf_printf(b,
               "%s{\"type\":\"%c\",\"database_name\":\"%s\",\"database_guid\":\"00000000-0000-4000-8000-%012d\",\"family_guid\":"
               "\"00000000-0000-4000-9000-%012d\",\"first_lsn\":%d,\"last_lsn\":%d,\"checkpoint_lsn\":%d,\"end\":\"2026-01-01T%"
               "02d:00:00Z\"}",
               b->len ? "," : "[", type, name, database, family, first, last, first, hour);
}

static struct history finish(struct buf *b) {
    buf_puts(b, "]");
    struct history h = must_read(b->data);
    buf_done(b);
    return h;
}

static void databases_are_told_apart(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    add(&b, 'D', "swap_a", 1, 1, 10, 20, 1); /* 1 and 2 swap their names */
    add(&b, 'D', "swap_b", 2, 2, 10, 20, 1);
    add(&b, 'L', "swap_b", 1, 1, 20, 30, 3);
    add(&b, 'L', "swap_a", 2, 2, 20, 30, 3);
    add(&b, 'D', "again", 3, 3, 10, 20, 1); /* dropped and made again */
    add(&b, 'D', "again", 4, 4, 10, 20, 5);
    add(&b, 'D', "restored", 5, 5, 10, 20, 1); /* restored in place: another GUID, the same family, one after the other */
    add(&b, 'L', "restored", 6, 5, 20, 30, 4);
    add(&b, 'D', "copied", 7, 7, 10, 20, 1); /* a copy on another server that lives beside it */
    add(&b, 'D', "copied", 8, 7, 10, 25, 2);
    add(&b, 'L', "copied", 7, 7, 20, 30, 3);
    struct history h = finish(&b);
    static const struct {
        const char *name;
        size_t sets;
    } want[] = {{"again", 1}, {"again", 1}, {"copied", 1}, {"copied", 2}, {"restored", 2}, {"swap_a", 2}, {"swap_b", 2}};
    assert_int_equal(h.database_count, ARRAY_LEN(want));
    size_t at = 0;
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        const struct history_database *d = &h.databases[i];
        assert_string_equal(d->name, want[i].name);
        assert_int_equal(d->begin, at);
        assert_int_equal(d->end - d->begin, want[i].sets);
        at = d->end;
        for (size_t k = d->begin; k < d->end; k++)
            assert_true(guid_eq(&h.sets[k].family_guid, &d->family));
    }
    history_done(&h);
}

#define BASE_ROWS                                                                                                                \
    "{\"type\":\"D\",\"database\":\"a\",\"first_lsn\":10,\"last_lsn\":20,\"checkpoint_lsn\":12,\"end\":\"2026-01-01\"},"         \
    "{\"type\":\"D\",\"database\":\"a\",\"first_lsn\":30,\"last_lsn\":40,\"checkpoint_lsn\":32,\"end\":\"2026-01-02\"},"
#define DIFF_ROW                                                                                                                 \
    "{\"type\":\"I\",\"database\":\"a\",\"first_lsn\":51,\"last_lsn\":61,\"database_backup_lsn\":32,\"end\":\"2026-01-03\""

static void a_base_is_found_by_its_lsn(void **state) {
    (void)state;
    struct history h = must_read("[" BASE_ROWS DIFF_ROW "}]"); /* nothing is said about bases: the newest full is it */
    assert_true(guid_eq(&h.sets[2].diff_base_guid, &h.sets[1].set_guid));
    history_done(&h);
    h = must_read("[" BASE_ROWS DIFF_ROW ",\"differential_base_lsn\":12}," DIFF_ROW
                  ",\"position\":2,\"differential_base_lsn\":null,\"differential_base_guid\":null}," DIFF_ROW
                  ",\"position\":3}]");
    assert_int_equal(h.count, 5);
    assert_true(guid_eq(&h.sets[2].diff_base_guid, &h.sets[0].set_guid));
    assert_true(guid_is_zero(&h.sets[3].diff_base_guid)); /* of several bases: none */
    assert_true(guid_is_zero(&h.sets[4].diff_base_guid)); /* the same, by a writer that leaves NULLs out */
    history_done(&h);
}

static void a_volume_that_went_back_is_another_incarnation(void **state) {
    (void)state;
    struct buf b;
    buf_init(&b, 1 << 20);
    add(&b, 'D', "a", 1, 1, 10, 20, 1);
    add(&b, 'L', "a", 1, 1, 10, 30, 2);
    add(&b, 'L', "a", 1, 1, 30, 50, 3);
    add(&b, 'L', "a", 1, 1, 50, 70, 4);
    add(&b, 'D', "a", 1, 1, 40, 45, 6); /* back at 40: a full, then logs that repeat */
    add(&b, 'L', "a", 1, 1, 30, 60, 7);
    add(&b, 'L', "a", 1, 1, 60, 90, 8);
    struct history h = finish(&b);
    static const unsigned want[] = {0, 0, 0, 0, 1, 1, 1};
    for (size_t i = 0; i < ARRAY_LEN(want); i++)
        if (h.sets[i].incarnation != want[i])
            fail_msg("set %zu is of incarnation %u, want %u", i, h.sets[i].incarnation, want[i]);
    history_done(&h);

    buf_init(&b, 1 << 20); /* an hour that was there twice: the order of time is wrong, nothing repeats */
    add(&b, 'D', "a", 1, 1, 10, 20, 1);
    add(&b, 'L', "a", 1, 1, 30, 50, 2);
    add(&b, 'L', "a", 1, 1, 10, 30, 3);
    add(&b, 'L', "a", 1, 1, 10, 30, 4); /* and a copy */
    add(&b, 'L', "a", 1, 1, 50, 50, 4); /* and an empty one */
    h = finish(&b);
    for (size_t i = 0; i < h.count; i++)
        assert_int_equal(h.sets[i].incarnation, 0);
    history_done(&h);
}

static void nobody_has_what_went_to_nul(void **state) {
    (void)state;
    struct history h = must_read(
        "[{\"type\":\"L\",\"database\":\"a\",\"first_lsn\":10,\"last_lsn\":20,\"end\":\"2026-01-01\",\"path\":\"nul\"}]");
    assert_int_equal(h.databases[0].foreign, 0);
    assert_int_equal(h.databases[0].end, 1);
    assert_true(backup_has(&h.sets[0], BACKUP_FOREIGN));
    history_done(&h);
}

static void the_histories_of_dbatools(void **state) {
    (void)state;
    static const char *const names[] = {"DiffRestore.json", "RestoreTimeClean.json", "broken_chain.json"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct err err;
        struct history h;
        char *text;
        size_t len;
        _cleanup_free_ char *path = mem_printf("%s/dbatools/%s", getenv("TEST_DATA"), names[i]);
        assert_succeeds(file_read_all(path, 1 << 20, &text, &len, &err), err);
        assert_succeeds(read_bytes(text, len, 4096, &h, &err), err);
        assert_true(h.count >= 3);
        assert_int_equal(h.database_count, 1);
        assert_int_equal(h.count, h.rows);
        for (size_t k = 0; k < h.count; k++)
            assert_false(h.details[k].made_guid);
        history_done(&h);
        mem_free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_columns),
        cmocka_unit_test(msdb_columns_joined_with_their_files),
        cmocka_unit_test(other_shapes),
        cmocka_unit_test(rows_that_are_no_sets),
        cmocka_unit_test(errors_name_row_field_and_byte),
        cmocka_unit_test(databases_are_told_apart),
        cmocka_unit_test(a_base_is_found_by_its_lsn),
        cmocka_unit_test(a_volume_that_went_back_is_another_incarnation),
        cmocka_unit_test(nobody_has_what_went_to_nul),
        cmocka_unit_test(the_histories_of_dbatools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
