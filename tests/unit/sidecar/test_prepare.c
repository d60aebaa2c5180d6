/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "sidecar/prepare.h"

#define SOMEBODY 10001

/* Run as an ordinary user: root could write everywhere, and is not given folders. */
struct env {
    char *dir;
    struct buf said;
};
static struct err err;

static int setup(void **state) {
    struct env *e = calloc(1, sizeof(*e));
    e->dir = unit_tmpdir();
    buf_init(&e->said, 1u << 16);
    umask(077); /* it must not count */
    if (geteuid() == 0) {
        gid_t group = SOMEBODY;
        if (chown(e->dir, SOMEBODY, SOMEBODY) < 0 || setgroups(1, &group) < 0 || setegid(SOMEBODY) < 0 || seteuid(SOMEBODY) < 0)
            return -1;
    }
    *state = e;
    return 0;
}

static int teardown(void **state) {
    struct env *e = *state;
    if (getuid() == 0 && (seteuid(0) < 0 || setegid(0) < 0))
        return -1;
    unit_rm(e->dir);
    buf_done(&e->said);
    free(e);
    return 0;
}

static int prepare(struct env *e, const char *name) {
    _cleanup_free_ char *spec = file_join(e->dir, name);
    buf_reset(&e->said);
    return prepare_directory(spec, &e->said, &err);
}

static unsigned mode_of(struct env *e, const char *name) {
    _cleanup_free_ char *path = file_join(e->dir, name);
    struct stat st;
    assert_int_equal(lstat(path, &st), 0);
    return st.st_mode & 07777;
}

static void touch(struct env *e, const char *name) {
    _cleanup_free_ char *path = file_join(e->dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void folder(struct env *e, const char *name, mode_t mode) {
    _cleanup_free_ char *path = file_join(e->dir, name);
    assert_int_equal(mkdir(path, mode), 0);
    assert_int_equal(chmod(path, mode), 0);
}

#define assert_said(e, part)                                                                                                     \
    do {                                                                                                                         \
        if (!(e)->said.data || !strstr((e)->said.data, part))                                                                    \
            fail_msg("'%s' is not in: %s", part, (e)->said.data ? (e)->said.data : "");                                          \
    } while (0)

static void a_folder_is_made_with_its_mode_whatever_the_umask_is(void **state) {
    struct env *e = *state;
    assert_succeeds(prepare(e, "staging"), err);
    assert_int_equal(mode_of(e, "staging"), 02770);
    assert_said(e, "made, mode 2770");
    assert_succeeds(prepare(e, "state=0750"), err);
    assert_int_equal(mode_of(e, "state"), 0750);
}

static void twice_changes_nothing(void **state) {
    struct env *e = *state;
    assert_succeeds(prepare(e, "staging"), err);
    touch(e, "staging/20261121T024700Z-log.trn");
    struct stat before, after;
    _cleanup_free_ char *path = file_join(e->dir, "staging");
    assert_int_equal(stat(path, &before), 0);
    assert_succeeds(prepare(e, "staging"), err);
    assert_int_equal(stat(path, &after), 0);
    assert_said(e, "as it should be");
    assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
}

static void a_mode_that_somebody_changed_is_set_again(void **state) {
    struct env *e = *state;
    assert_succeeds(prepare(e, "state=0750"), err);
    _cleanup_free_ char *path = file_join(e->dir, "state");
    assert_int_equal(chmod(path, 02775), 0); /* as fsGroup does */
    assert_succeeds(prepare(e, "state=0750"), err);
    assert_int_equal(mode_of(e, "state"), 0750);
    assert_said(e, "mode 0750, was 2775");
}

static void links_and_files_are_refused(void **state) {
    struct env *e = *state;
    folder(e, "elsewhere", 0755);
    _cleanup_free_ char *target = file_join(e->dir, "elsewhere"), *link = file_join(e->dir, "link");
    assert_int_equal(symlink(target, link), 0);
    assert_fails(prepare(e, "link"), err, ERR_CONFIG, "is a symbolic link");
    assert_fails(prepare(e, "link/staging"), err, ERR_CONFIG, "/link is a symbolic link");
    assert_int_equal(mode_of(e, "elsewhere"), 0755);
    _cleanup_free_ char *inside = file_join(target, "staging");
    assert_false(file_exists(inside));
    assert_int_equal(unlink(link), 0);
    assert_int_equal(symlink("nowhere", link), 0);
    assert_fails(prepare(e, "link"), err, ERR_CONFIG, "is a symbolic link");
    touch(e, "file");
    assert_fails(prepare(e, "file"), err, ERR_CONFIG, "is not a folder");
    assert_fails(prepare(e, "file/staging"), err, ERR_CONFIG, "/file is not a folder");
}

static void a_folder_of_somebody_else_is_left_as_it_is(void **state) {
    struct env *e = *state;
    folder(e, "data", 0755);
    touch(e, "data/master.mdf");
    assert_fails(prepare(e, "data"), err, ERR_CONFIG, "holds 'master.mdf'");
    assert_non_null(strstr(err.text, "make an empty file .prepared"));
    assert_int_equal(mode_of(e, "data"), 0755);
    touch(e, "data/.prepared"); /* the way out that the message names */
    assert_succeeds(prepare(e, "data"), err);
    assert_int_equal(mode_of(e, "data"), 02770);
}

static void what_the_sidecar_left_there_is_known(void **state) {
    struct env *e = *state;
    static const char *const marks[] = {"journal", "catalog", ".mssql-sidecar"};
    for (size_t i = 0; i < 3; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "f%zu", i);
        folder(e, name, 0755);
        (void)snprintf(name, sizeof(name), "f%zu/other", i);
        touch(e, name);
        (void)snprintf(name, sizeof(name), "f%zu/%s", i, marks[i]);
        touch(e, name);
        (void)snprintf(name, sizeof(name), "f%zu", i);
        assert_succeeds(prepare(e, name), err);
        assert_int_equal(mode_of(e, name), 02770);
    }
    folder(e, "empty", 0755); /* as made by hand */
    assert_succeeds(prepare(e, "empty"), err);
    assert_int_equal(mode_of(e, "empty"), 02770);
}

static void a_volume_that_is_not_there_is_not_made_up(void **state) {
    struct env *e = *state;
    assert_fails(prepare(e, "volume/staging"), err, ERR_NOT_FOUND, "The volume is not mounted there");
    _cleanup_free_ char *path = file_join(e->dir, "volume");
    assert_false(file_exists(path));
    folder(e, "locked", 0555);
    assert_fails(prepare(e, "locked/staging"), err, ERR_PERMISSION, "set fsGroup");
}

static void others_folders_are_used_when_they_can_be(void **state) {
    struct env *e = *state;
    if (getuid() != 0)
        skip(); /* only root can give files away */
    folder(e, "good", 02770);
    folder(e, "bad", 0755);
    _cleanup_free_ char *good = file_join(e->dir, "good"), *bad = file_join(e->dir, "bad");
    assert_int_equal(seteuid(0), 0);
    assert_int_equal(chown(good, 20002, SOMEBODY), 0);
    assert_int_equal(chmod(good, 02770), 0);
    assert_int_equal(chown(bad, 20002, 20002), 0);
    assert_int_equal(seteuid(SOMEBODY), 0);
    assert_succeeds(prepare(e, "good"), err);
    assert_said(e, "as it should be");
    assert_succeeds(prepare(e, "bad"), err); /* the sidecar says it, SQL Server starts */
    assert_said(e, "warning: ");
    assert_said(e, "belongs to uid 20002");
    assert_said(e, "is not writable by uid 10001");
    assert_int_equal(seteuid(0), 0);
    assert_fails(prepare(e, "roots"), err, ERR_CONFIG, "is root's");
    assert_int_equal(seteuid(SOMEBODY), 0);
}

static void words_that_are_no_folder(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",        "relative",  "/",           "/a//b",        "/a/./b",       "/a/../b",     "/a/..",
        "/tmp/x=", "/tmp/x=77", "/tmp/x=0778", "/tmp/x=02772", "/tmp/x=04770", "/tmp/x=0650", "/tmp/x=00750"};
    struct buf said;
    buf_init(&said, 1024);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_fails(prepare_directory(bad[i], &said, &err), err, ERR_USAGE, "--prepare ");
    assert_int_equal(said.len, 0);
    buf_done(&said);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    mem_setup();
    const struct CMUnitTest tests[] = {
        TEST(a_folder_is_made_with_its_mode_whatever_the_umask_is),
        TEST(twice_changes_nothing),
        TEST(a_mode_that_somebody_changed_is_set_again),
        TEST(links_and_files_are_refused),
        TEST(a_folder_of_somebody_else_is_left_as_it_is),
        TEST(what_the_sidecar_left_there_is_known),
        TEST(a_volume_that_is_not_there_is_not_made_up),
        TEST(others_folders_are_used_when_they_can_be),
        cmocka_unit_test(words_that_are_no_folder),
    };
    return cmocka_run_group_tests_name("prepare", tests, NULL, NULL);
}
