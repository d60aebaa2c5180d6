/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "sidecar/job/staging.h"

#define GIB (UINT64_C(1) << 30)
static struct err err;

static void quota_is_the_smaller_of_volume_and_free_space(void **state) {
    (void)state;
    struct staging_limits limits = {0};
    struct staging_state roomy = {.total_bytes = 100 * GIB, .free_bytes = 90 * GIB};
    assert_int_equal(staging_floor(&limits, &roomy), 10 * GIB);
    assert_int_equal(staging_quota(&limits, &roomy), 40 * GIB);
    struct staging_state tight = {.total_bytes = 100 * GIB, .free_bytes = 15 * GIB};
    assert_int_equal(staging_quota(&limits, &tight), 5 * GIB);
    limits.quota_bytes = 3 * GIB;
    assert_int_equal(staging_quota(&limits, &tight), 3 * GIB);
}

static void data_backups_stop_before_logs(void **state) {
    (void)state;
    struct staging_limits limits = {.reserve_bytes = GIB / 4, .log_share_percent = 25};
    struct staging_state full = {.total_bytes = 100 * GIB, .free_bytes = 9 * GIB};
    assert_int_equal(staging_judge(&limits, &full, BACKUP_FULL, GIB, &err), STAGING_TOO_SMALL);
    assert_int_equal(err.class, ERR_SPACE);
    assert_non_null(strstr(err.text, "1.0 GiB"));
    assert_int_equal(staging_judge(&limits, &full, BACKUP_LOG, GIB, &err), STAGING_FITS);
    full.free_bytes = GIB;
    assert_int_equal(staging_judge(&limits, &full, BACKUP_LOG, GIB / 8, &err), STAGING_TOO_SMALL);
    full.reserve_held = true;
    assert_int_equal(staging_judge(&limits, &full, BACKUP_LOG, GIB / 8, &err), STAGING_NEEDS_RESERVE);
    assert_int_equal(staging_judge(&limits, &full, BACKUP_LOG, GIB, &err), STAGING_TOO_SMALL);
}

static void the_share_of_logs_is_kept_free_of_data_backups(void **state) {
    (void)state;
    struct staging_limits limits = {.quota_bytes = 40 * GIB, .log_share_percent = 25};
    struct staging_state s = {.total_bytes = 1000 * GIB, .free_bytes = 900 * GIB, .used_bytes = 20 * GIB};
    assert_int_equal(staging_judge(&limits, &s, BACKUP_FULL, 9 * GIB, &err), STAGING_FITS);
    assert_int_equal(staging_judge(&limits, &s, BACKUP_FULL, 11 * GIB, &err), STAGING_TOO_SMALL);
    s.pending_bytes = 5 * GIB;
    assert_int_equal(staging_judge(&limits, &s, BACKUP_FULL, 6 * GIB, &err), STAGING_TOO_SMALL);
    assert_int_equal(staging_judge(&limits, &s, BACKUP_LOG, 14 * GIB, &err), STAGING_FITS);
}

static void names_round_trip_and_others_are_left_alone(void **state) {
    (void)state;
    char run_id[RUN_ID_MAX], parsed[RUN_ID_MAX];
    for (int kind = 0; kind < BACKUP_KIND_COUNT; kind++) {
        int64_t at;
        assert_true(clock_parse("2026-11-21T02:47:00Z", &at));
        staging_run_id(run_id, (enum backup_kind)kind, at);
        assert_int_equal(strncmp(run_id, "20261121T024700Z-", 17), 0);
        enum backup_kind k;
        uint32_t stripe;
        char *one = staging_file_name(run_id, (enum backup_kind)kind, 0, 1);
        assert_true(staging_parse_name(one, parsed, &k, &stripe));
        assert_string_equal(parsed, run_id);
        assert_int_equal(k, kind);
        assert_int_equal(stripe, 0);
        mem_free(one);
        char *third = staging_file_name(run_id, (enum backup_kind)kind, 2, 4);
        assert_true(staging_parse_name(third, parsed, &k, &stripe));
        assert_string_equal(parsed, run_id);
        assert_int_equal(stripe, 2);
        mem_free(third);
    }
    static const char *const foreign[] = {"db1.bak",
                                          "20261121.trn",
                                          "",
                                          ".reserve",
                                          "20261121T024700Z-log-1a2b3c4d.bak",
                                          "20261121T024700Z-log-1a2b3c4d",
                                          "20261121T024700Z-log-1a2b3c4d.0.trn",
                                          "20261121T024700Z-log-1a2b3c4d.x.trn",
                                          "20261121T024700Z-log-1a2b3c4d.trn.zst"};
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++) {
        enum backup_kind k;
        uint32_t stripe;
        assert_false(staging_parse_name(foreign[i], parsed, &k, &stripe));
    }
}

static void write_file(const char *dir, const char *name, size_t bytes) {
    char *path = file_join(dir, name);
    char *data = mem_alloc(bytes);
    assert_succeeds(file_write_durable(path, data, bytes, 0660, &err), err);
    mem_free(data);
    mem_free(path);
}

static void write_aged(const char *dir, const char *name, long ms) {
    _cleanup_free_ char *path = file_join(dir, name);
    write_file(dir, name, 100);
    struct timespec at = {.tv_sec = 1795229220 + ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    assert_int_equal(utimensat(AT_FDCWD, path, (struct timespec[]){at, at}, 0), 0);
}

/* Several in one second: adopted in another order than they were taken in, logs would seem to go back. */
static void runs_of_one_second_come_in_the_order_they_were_written(void **state) {
    static const char *const order[] = {"20261121T024659Z-log-ffffffff", "20261121T024700Z-log-cccccccc",
                                        "20261121T024700Z-full-aaaaaaaa", "20261121T024700Z-full-aaaaaaaa",
                                        "20261121T024700Z-log-00000000"};
    char *dir = *state;
    struct staging_limits limits = {0};
    struct staging *s = staging_new(dir, &limits);
    struct staged_file *files;
    unsigned count;
    assert_succeeds(staging_check(s, 0, &err), err);
    write_aged(dir, "20261121T024700Z-log-00000000.trn", 900);
    write_aged(dir, "20261121T024700Z-log-cccccccc.trn", 100);
    write_aged(dir, "20261121T024700Z-full-aaaaaaaa.1.bak", 950);
    write_aged(dir, "20261121T024700Z-full-aaaaaaaa.2.bak", 300); /* a run is as old as its oldest file, and stays together */
    write_aged(dir, "20261121T024659Z-log-ffffffff.trn", 2000); /* the second of the run id goes first */
    assert_succeeds(staging_scan(s, &files, &count, &err), err);
    assert_int_equal(count, ARRAY_LEN(order));
    for (unsigned i = 0; i < count; i++)
        assert_string_equal(files[i].run_id, order[i]);
    assert_int_equal(files[2].stripe, 0);
    assert_int_equal(files[3].stripe, 1);
    mem_free(files);
    staging_free(s);
}

static void scan_measures_ours_only(void **state) {
    char *dir = *state;
    struct staging_limits limits = {0};
    struct staging *s = staging_new(dir, &limits);
    assert_succeeds(staging_check(s, 0, &err), err);
    write_file(dir, "20261121T024700Z-log-1a2b3c4d.trn", 1000);
    write_file(dir, "20261121T024600Z-full-1a2b3c4d.2.bak", 500);
    write_file(dir, "20261121T024600Z-full-1a2b3c4d.1.bak", 300);
    write_file(dir, "somebody-elses.bak", 7000);
    struct staged_file *files;
    unsigned count;
    assert_succeeds(staging_scan(s, &files, &count, &err), err);
    assert_int_equal(count, 3);
    assert_string_equal(files[0].run_id, "20261121T024600Z-full-1a2b3c4d");
    assert_int_equal(files[0].stripe, 0);
    assert_int_equal(files[1].stripe, 1);
    mem_free(files);
    struct staging_state st;
    assert_succeeds(staging_measure(s, &st, &err), err);
    assert_int_equal(st.used_bytes, 1800);
    uint64_t bytes;
    assert_succeeds(staging_sync(s, "20261121T024600Z-full-1a2b3c4d", BACKUP_FULL, 2, &bytes, &err), err);
    assert_int_equal(bytes, 800);
    assert_succeeds(staging_remove(s, "20261121T024600Z-full-1a2b3c4d", BACKUP_FULL, 2, &err), err);
    assert_succeeds(staging_remove(s, "20261121T024600Z-full-1a2b3c4d", BACKUP_FULL, 2, &err), err); /* again is harmless */
    assert_fails(staging_sync(s, "20261121T024600Z-full-1a2b3c4d", BACKUP_FULL, 2, &bytes, &err), err, ERR_NOT_FOUND,
                 "staged file");
    staging_free(s);
}

static void a_missing_directory_is_made_group_writable(void **state) {
    char *dir = mem_printf("%s/a/b", (char *)*state);
    struct staging_limits limits = {0};
    struct staging *s = staging_new(dir, &limits);
    assert_succeeds(staging_check(s, 0, &err), err);
    struct stat st;
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 02770);
    staging_free(s);
    mem_free(dir);
    char *file = mem_printf("%s/file", (char *)*state);
    write_file(*state, "file", 1);
    s = staging_new(file, &limits);
    assert_fails(staging_check(s, 0, &err), err, ERR_CONFIG, "not a directory");
    staging_free(s);
    mem_free(file);
}

/* The empty folder that an unmounted volume leaves behind must not be taken for staging: what is staged would count as removed. */
static void an_empty_mount_point_is_not_staging(void **state) {
    char *dir = mem_printf("%s/staging", (char *)*state), *away = mem_printf("%s/away", (char *)*state);
    struct staging_limits limits = {0};
    struct staging *s = staging_new(dir, &limits);
    assert_succeeds(staging_check(s, 0, &err), err);
    assert_int_equal(rename(dir, away), 0);
    assert_fails(staging_check(s, 0, &err), err, ERR_NOT_FOUND, "Is its volume mounted"); /* it is not made a second time */
    staging_free(s);
    s = staging_new(dir, &limits); /* the next life */
    assert_fails(staging_check(s, 2, &err), err, ERR_NOT_FOUND, "staging directory");
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_fails(staging_check(s, 2, &err), err, ERR_NOT_FOUND, "2 staged backups");
    write_file(dir, "20261121T024700Z-log-1a2b3c4d.trn", 10); /* one of ours: then this is it */
    assert_succeeds(staging_check(s, 2, &err), err);
    char *file = mem_printf("%s/20261121T024700Z-log-1a2b3c4d.trn", dir);
    assert_int_equal(unlink(file), 0);
    assert_succeeds(staging_check(s, 2, &err), err); /* marked by now: the files were removed one by one */
    staging_free(s);
    mem_free(file);
    mem_free(dir);
    mem_free(away);
}

static int setup(void **state) {
    *state = unit_tmpdir();
    return 0;
}

static int teardown(void **state) {
    unit_rm(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quota_is_the_smaller_of_volume_and_free_space),
        cmocka_unit_test(data_backups_stop_before_logs),
        cmocka_unit_test(the_share_of_logs_is_kept_free_of_data_backups),
        cmocka_unit_test(names_round_trip_and_others_are_left_alone),
        cmocka_unit_test_setup_teardown(scan_measures_ours_only, setup, teardown),
        cmocka_unit_test_setup_teardown(runs_of_one_second_come_in_the_order_they_were_written, setup, teardown),
        cmocka_unit_test_setup_teardown(a_missing_directory_is_made_group_writable, setup, teardown),
        cmocka_unit_test_setup_teardown(an_empty_mount_point_is_not_staging, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
