/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/secret.h"

static struct err err;

static void durable_write_replaces_whole_files(void **state) {
    char *path = file_join(*state, "f");
    assert_succeeds(file_write_durable(path, "one", 3, 0640, &err), err);
    assert_succeeds(file_write_durable(path, "second", 6, 0600, &err), err);
    char *data;
    size_t len;
    assert_succeeds(file_read_all(path, 100, &data, &len, &err), err);
    assert_string_equal(data, "second");
    assert_int_equal(len, 6);
    mem_free(data);
    struct stat st;
    stat(path, &st);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_fails(file_read_all(path, 5, &data, &len, &err), err, ERR_LIMIT, "larger than the allowed 5 bytes");
    assert_succeeds(file_unlink_durable(path, &err), err);
    assert_succeeds(file_unlink_durable(path, &err), err);
    assert_fails(file_read_all(path, 5, &data, &len, &err), err, ERR_NOT_FOUND, path);
    mem_free(path);
}

static int count_entries(void *user, const char *name) {
    (void)name;
    ++*(int *)user;
    return 0;
}

static void a_failed_write_leaves_nothing_behind(void **state) {
    char *dir = file_join(*state, "sub");
    assert_succeeds(file_mkdirs(dir, 0750, &err), err);
    char *target = file_join(dir, "target");
    assert_succeeds(file_mkdirs(target, 0700, &err), err); /* rename over a directory fails */
    assert_fails(file_write_durable(target, "x", 1, 0600, &err), err, ERR_IO, "rename");
    int n = 0;
    assert_succeeds(file_each(dir, count_entries, &n, &err), err);
    assert_int_equal(n, 1);
    char *missing = file_join(dir, "no/such/file");
    assert_fails(file_write_durable(missing, "x", 1, 0600, &err), err, ERR_NOT_FOUND, "create");
    mem_free(missing);
    mem_free(target);
    mem_free(dir);
}

static void space_tells_volumes_apart(void **state) {
    struct file_space a, b;
    assert_succeeds(file_space_of(*state, &a, &err), err);
    assert_succeeds(file_space_of("/proc", &b, &err), err);
    assert_true(a.device != b.device);
    assert_true(a.total_bytes >= a.free_bytes && a.free_bytes > 0);
}

static void secrets_come_from_files_and_leave_the_environment(void **state) {
    char *path = file_join(*state, "pw");
    assert_succeeds(file_write_durable(path, "p@ss w\n", 7, 0600, &err), err);
    struct secret *s = NULL;
    assert_succeeds(secret_read_file(path, &s, &err), err);
    assert_string_equal(secret_text(s), "p@ss w");
    struct secret *copy = secret_dup(s);
    assert_true(secret_eq(s, copy));
    secret_free(copy);
    setenv("MSSQL_UNIT_SECRET", "p@ss x", 1);
    struct secret *e = secret_take_env("MSSQL_UNIT_SECRET");
    assert_string_equal(secret_text(e), "p@ss x");
    assert_null(getenv("MSSQL_UNIT_SECRET"));
    assert_false(secret_eq(s, e));
    secret_free(s);
    secret_free(e);
    assert_succeeds(file_write_durable(path, "\n", 1, 0600, &err), err);
    assert_fails(secret_read_file(path, &s, &err), err, ERR_CONFIG, "is empty");
    assert_null(secret_take_env("MSSQL_UNIT_SECRET"));
    mem_free(path);
}

static char lines[4][2048];
static unsigned line_count;

static void sink(void *user, const char *line) {
    (void)user;
    snprintf(lines[line_count++ % 4], sizeof(lines[0]), "%s", line);
}

static void log_lines_are_one_line_with_bound_fields(void **state) {
    (void)state;
    line_count = 0;
    log_set_sink(sink, NULL);
    log_setup(LOG_INFO, LOG_LOGFMT, "unit");
    log_bind("database", "my db");
    log_event(LOG_INFO, "hello", "k", "v\n\"q\"", "none", NULL, NULL);
    log_unbind(1);
    assert_non_null(strstr(lines[0], " database=\"my db\" k=\"v\\n\\\"q\\\"\""));
    assert_null(strchr(lines[0], '\n'));
    log_event(LOG_DEBUG, "not shown", NULL);
    assert_int_equal(line_count, 1);
    log_setup(LOG_DEBUG, LOG_JSON, "unit");
    err_sql(&err, ERR_SPACE, 3202, 16, "disk full");
    log_error(LOG_ERROR, &err, "backup failed", NULL);
    assert_non_null(
        strstr(lines[1], "\"msg\":\"backup failed\",\"class\":\"space\",\"sql_number\":\"3202\",\"error\":\"disk full\"}"));
    assert_null(strstr(lines[1], "my db"));
    log_set_sink(NULL, NULL);
    log_setup(LOG_INFO, LOG_LOGFMT, "unit");
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
        cmocka_unit_test_setup_teardown(durable_write_replaces_whole_files, setup, teardown),
        cmocka_unit_test_setup_teardown(a_failed_write_leaves_nothing_behind, setup, teardown),
        cmocka_unit_test_setup_teardown(space_tells_volumes_apart, setup, teardown),
        cmocka_unit_test_setup_teardown(secrets_come_from_files_and_leave_the_environment, setup, teardown),
        cmocka_unit_test(log_lines_are_one_line_with_bound_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
