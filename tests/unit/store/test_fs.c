/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/store/fs_int.h"
#include "common/store/store.h"

static char *dir;
static struct store *store;
static struct err err;

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    store_free(store);
    unit_rm(dir);
    return 0;
}

static void test_open(void **state) {
    (void)state;
    struct store *s;
    assert_fails(store_open("s3://bucket/x", NULL, &s, &err), err, ERR_UNSUPPORTED,
                 "store 's3://...': this version has file:///path");
    assert_fails(store_open("relative", NULL, &s, &err), err, ERR_CONFIG, "neither an absolute path");
    assert_fails(store_open("file://host/x", NULL, &s, &err), err, ERR_CONFIG, "three slashes");
    assert_fails(store_open("/nowhere/at/all", NULL, &s, &err), err, ERR_NOT_FOUND, "is the backup volume mounted?");
    assert_fails(store_open("/", NULL, &s, &err), err, ERR_CONFIG, "no place for backups");
    assert_fails(store_open("/etc/passwd", NULL, &s, &err), err, ERR_CONFIG, "is not a folder");
    struct store_options o = {.writer = "a/b"};
    assert_fails(store_open(dir, &o, &s, &err), err, ERR_USAGE, "letters, digits");
    char *url = mem_printf("file://%s/", dir);
    assert_succeeds(store_open(url, NULL, &s, &err), err);
    assert_string_equal(store_url(s), url);
    assert_string_equal(store_local_path(s), dir);
    store_free(s);
    mem_free(url);
    char *hidden = mem_printf("%s/.tmp", dir);
    assert_int_equal(access(hidden, F_OK), -1); /* opening writes nothing */
    mem_free(hidden);
}

static void test_names(void **state) {
    (void)state;
    static const char *const bad[] = {"",  "/a",        "a/",     "a//b", "a/../b", "..",
                                      ".", "a/.hidden", ".tmp/x", "a\nb", "a\\b",   "a\xff"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        bool there;
        assert_fails(store_name_check(bad[i], &err), err, ERR_USAGE, "name");
        assert_fails(store_put(store, bad[i], "x", 1, STORE_PUT_REPLACE, "", &err), err, ERR_USAGE, "");
        assert_fails(store_remove(store, bad[i], &err), err, ERR_USAGE, "");
        assert_fails(store_exists(store, bad[i], &there, &err), err, ERR_USAGE, "");
    }
    char longest[STORE_SEGMENT_MAX + 2];
    memset(longest, 'n', sizeof(longest));
    longest[STORE_SEGMENT_MAX + 1] = 0;
    assert_fails(store_name_check(longest, &err), err, ERR_USAGE, "too long");
    longest[STORE_SEGMENT_MAX] = 0;
    assert_succeeds(store_name_check(longest, &err), err);
}

static void write_object(const char *name, const char *text) {
    struct store_object *o;
    assert_succeeds(store_object_begin(store, name, NULL, &o, NULL, &err), err);
    assert_succeeds(store_object_write(o, text, strlen(text), &err), err);
    assert_succeeds(store_object_commit(o, &err), err);
}

static void assert_content(const char *name, const char *want) {
    char *data;
    size_t len;
    assert_succeeds(store_get(store, name, 1000, &data, &len, &err), err);
    assert_string_equal(data, want);
    assert_int_equal(len, strlen(want));
    mem_free(data);
}

static void test_object_is_seen_whole_or_not(void **state) {
    (void)state;
    struct store_object *o;
    bool there;
    assert_succeeds(store_object_begin(store, "a/b/c", NULL, &o, NULL, &err), err);
    assert_succeeds(store_object_write(o, "hello ", 6, &err), err);
    assert_succeeds(store_exists(store, "a/b/c", &there, &err), err);
    assert_false(there);
    assert_succeeds(store_object_write(o, "world", 5, &err), err);
    assert_succeeds(store_object_commit(o, &err), err);
    assert_content("a/b/c", "hello world");
    assert_succeeds(store_object_begin(store, "a/b/c", NULL, &o, NULL, &err), err);
    assert_succeeds(store_object_write(o, "other", 5, &err), err);
    store_object_abort(o);
    assert_content("a/b/c", "hello world");
    write_object("a/b/c", "replaced");
    assert_content("a/b/c", "replaced");
    store_object_abort(NULL);
    store_object_leave(NULL);
}

static int count_entries(void *user, const struct store_entry *entry, struct err *e) {
    (void)entry, (void)e;
    ++*(unsigned *)user;
    return 0;
}

static unsigned temp_files(void) {
    char *command = mem_printf("find %s/.tmp -name '*.p*' 2>/dev/null | wc -l", dir);
    FILE *p = popen(command, "r");
    unsigned n = 99;
    assert_int_equal(fscanf(p, "%u", &n), 1);
    pclose(p);
    mem_free(command);
    return n;
}

static void test_nothing_is_left(void **state) {
    (void)state;
    struct store_object *o;
    write_object("x/1", "1");
    assert_succeeds(store_put(store, "x/2", "2", 1, STORE_PUT_REPLACE, "", &err), err);
    assert_succeeds(store_object_begin(store, "x/3", NULL, &o, NULL, &err), err);
    assert_int_equal(temp_files(), 1);
    store_object_abort(o);
    assert_int_equal(temp_files(), 0);
    unsigned n = 0;
    assert_succeeds(store_list(store, "x/", NULL, 0, count_entries, &n, NULL, &err), err);
    assert_int_equal(n, 2);
}

static void test_put_and_get(void **state) {
    (void)state;
    char *data;
    size_t len, got;
    char part[8];
    assert_succeeds(store_put(store, "d/one.json", "first", 5, STORE_PUT_IF_ABSENT, "manifest", &err), err);
    assert_fails(store_put(store, "d/one.json", "second", 6, STORE_PUT_IF_ABSENT, "manifest", &err), err, ERR_EXISTS,
                 "d/one.json");
    assert_content("d/one.json", "first");
    assert_succeeds(store_put(store, "d/one.json", "third", 5, STORE_PUT_REPLACE, NULL, &err), err);
    assert_content("d/one.json", "third");
    assert_fails(store_get(store, "d/one.json", 4, &data, &len, &err), err, ERR_LIMIT, "at most 4");
    assert_fails(store_get(store, "d/none", 4, &data, &len, &err), err, ERR_NOT_FOUND, "d/none");
    assert_fails(store_get(store, "d/one.json/x", 4, &data, &len, &err), err, ERR_NOT_FOUND, "");
    assert_succeeds(store_get_range(store, "d/one.json", 1, part, 3, &got, &err), err);
    assert_int_equal(got, 3);
    assert_memory_equal(part, "hir", 3);
    assert_succeeds(store_get_range(store, "d/one.json", 3, part, 8, &got, &err), err);
    assert_int_equal(got, 2);
    assert_succeeds(store_get_range(store, "d/one.json", 300, part, 8, &got, &err), err);
    assert_int_equal(got, 0);
    assert_fails(store_get_range(store, "d/one.json", UINT64_MAX, part, 8, &got, &err), err, ERR_USAGE, "out of range");
    assert_succeeds(store_make_durable(store, "d/one.json", &err), err);
    assert_fails(store_make_durable(store, "d/none", &err), err, ERR_NOT_FOUND, "");
    assert_succeeds(store_remove(store, "d/one.json", &err), err);
    assert_succeeds(store_remove(store, "d/one.json", &err), err);
    assert_succeeds(store_remove(store, "no/such/folder", &err), err);
    /* A link is nothing that a store has: it leads out of it. */
    char *link = mem_printf("%s/d/link", dir);
    assert_int_equal(symlink("/etc/passwd", link), 0);
    assert_fails(store_get(store, "d/link", 100000, &data, &len, &err), err, ERR_CORRUPT, "no plain file");
    mem_free(link);
}

/* ---- listing ---- */

struct names {
    char *list[500];
    unsigned count, stop_at;
};

static int collect(void *user, const struct store_entry *entry, struct err *e) {
    struct names *n = user;
    if (n->stop_at && n->count == n->stop_at) {
        err_set(e, ERR_BUSY, "enough");
        return -7;
    }
    n->list[n->count++] = mem_strdup(entry->name);
    return 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void free_names(struct names *n) {
    for (unsigned i = 0; i < n->count; i++)
        mem_free(n->list[i]);
    n->count = 0;
}

static void test_list_pages(void **state) {
    (void)state;
    struct names want = {0}, got = {0};
    srand(7);
    for (unsigned i = 0; i < 130; i++) {
        char *name = mem_printf("l/%c%u", "ab%_~"[rand() % 5], (unsigned)rand() % 1000);
        bool there;
        assert_succeeds(store_exists(store, name, &there, &err), err);
        if (there) {
            mem_free(name);
            continue;
        }
        assert_succeeds(store_put(store, name, "", 0, STORE_PUT_REPLACE, "", &err), err);
        want.list[want.count++] = name;
    }
    write_object("l/folder/inside", "x");
    want.list[want.count++] = mem_strdup("l/folder/");
    qsort(want.list, want.count, sizeof(char *), by_name);
    for (unsigned limit = 1; limit < 150; limit += limit < 5 ? 1 : 37) {
        bool more = true;
        while (more) {
            unsigned before = got.count;
            const char *after = got.count ? got.list[got.count - 1] : NULL;
            assert_succeeds(store_list(store, "l/", after, limit, collect, &got, &more, &err), err);
            assert_true(got.count - before <= limit);
            assert_int_equal(more, got.count < want.count);
        }
        assert_int_equal(got.count, want.count);
        for (unsigned i = 0; i < got.count; i++)
            assert_string_equal(got.list[i], want.list[i]);
        free_names(&got);
    }
    got.stop_at = 3;
    err_clear(&err);
    assert_int_equal(store_list(store, "l/", NULL, 0, collect, &got, NULL, &err), -7);
    assert_int_equal(got.count, 3);
    free_names(&got);
    free_names(&want);
    assert_succeeds(store_list(store, "missing/", NULL, 0, collect, &got, NULL, &err), err);
    assert_int_equal(got.count, 0);
    assert_fails(store_list(store, "l", NULL, 0, collect, &got, NULL, &err), err, ERR_USAGE, "must end in '/'");
    assert_fails(store_list(store, "../", NULL, 0, collect, &got, NULL, &err), err, ERR_USAGE, "");
    assert_fails(store_list(store, "l/", "m/x", 0, collect, &got, NULL, &err), err, ERR_USAGE, "not in folder");
}

/* ---- resume ---- */

static void test_resume(void **state) {
    (void)state;
    struct store_object *o;
    char *saved;
    uint64_t done;
    assert_succeeds(store_object_begin(store, "r/o", NULL, &o, &done, &err), err);
    assert_int_equal(done, 0);
    assert_succeeds(store_object_write(o, "12345", 5, &err), err);
    assert_succeeds(store_object_state(o, &saved, &err), err);
    assert_succeeds(store_object_write(o, "lost", 4, &err), err); /* behind the state: cut at the resume */
    store_object_leave(o);
    store_free(store);
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    assert_fails(store_object_begin(store, "r/other", saved, &o, &done, &err), err, ERR_NOT_FOUND, "no unfinished object");
    assert_succeeds(store_object_begin(store, "r/o", saved, &o, &done, &err), err);
    assert_int_equal(done, 5);
    assert_succeeds(store_object_write(o, "678", 3, &err), err);
    assert_succeeds(store_object_commit(o, &err), err);
    assert_content("r/o", "12345678");
    assert_fails(store_object_begin(store, "r/o", saved, &o, &done, &err), err, ERR_NOT_FOUND, "");
    static const char *const bad[] = {
        "", "fs1", "fs1:x:y:r/o", "fs1:1:../../../etc/passwd:r/o", "fs1:5:/etc/passwd:r/o", "fs2:1:a:r/o"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(store_object_begin(store, "r/o", bad[i], &o, &done, &err), err, ERR_NOT_FOUND, "");
    assert_int_equal(temp_files(), 0);
    mem_free(saved);
}

/* ---- cleaning up ---- */

static void make_old(const char *path) {
    char *command = mem_printf("find '%s/.tmp' -exec touch -d @1000 {} +", path);
    assert_int_equal(system(command), 0);
    mem_free(command);
}

static void test_dead_writers_are_cleaned(void **state) {
    (void)state;
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (!pid) { /* a writer that is killed in the middle */
        struct store *s;
        struct store_object *o;
        struct err e;
        char c = 'r';
        if (store_open(dir, NULL, &s, &e) < 0 || store_object_begin(s, "k/o", NULL, &o, NULL, &e) < 0 ||
            store_object_write(o, "half", 4, &e) < 0)
            _exit(1);
        if (write(ready[1], &c, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    char c;
    assert_int_equal(read(ready[0], &c, 1), 1);
    assert_int_equal(temp_files(), 1);
    unsigned removed;
    make_old(dir);
    assert_succeeds(store_clean(store, 0, &removed, &err), err);
    assert_int_equal(removed, 0); /* alive, however old */
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    char *touch = mem_printf("find %s/.tmp -exec touch {} +", dir);
    assert_int_equal(system(touch), 0);
    mem_free(touch);
    assert_succeeds(store_clean(store, STORE_STALE_MS, &removed, &err), err);
    assert_int_equal(removed, 0); /* dead, but young: it may be a writer whose lock is not seen here */
    assert_int_equal(temp_files(), 1);
    make_old(dir);
    struct store_options ro = {.read_only = true};
    struct store *second;
    assert_succeeds(store_open(dir, &ro, &second, &err), err);
    store_free(second);
    assert_int_equal(temp_files(), 1); /* a reader cleans nothing */
    assert_succeeds(store_open(dir, NULL, &second, &err), err);
    store_free(second);
    assert_int_equal(temp_files(), 0);
    close(ready[0]);
    close(ready[1]);
}

/* What looked dead was cleaned while its owner was idle: the owner just goes on. */
static void test_a_cleaned_writer_goes_on(void **state) {
    (void)state;
    write_object("c/1", "1");
    char *command = mem_printf("rm -rf '%s/.tmp'", dir);
    assert_int_equal(system(command), 0);
    mem_free(command);
    write_object("c/2", "2");
    assert_content("c/2", "2");
}

static void test_read_only(void **state) {
    (void)state;
    write_object("ro/x", "x");
    struct store_options ro = {.read_only = true};
    struct store *r;
    struct store_object *o;
    assert_succeeds(store_open(dir, &ro, &r, &err), err);
    assert_fails(store_put(r, "ro/y", "", 0, STORE_PUT_REPLACE, "", &err), err, ERR_PERMISSION, "reading only");
    assert_fails(store_object_begin(r, "ro/y", NULL, &o, NULL, &err), err, ERR_PERMISSION, "reading only");
    assert_fails(store_remove(r, "ro/x", &err), err, ERR_PERMISSION, "reading only");
    assert_fails(store_clean(r, 0, NULL, &err), err, ERR_PERMISSION, "reading only");
    bool there;
    assert_succeeds(store_exists(r, "ro/x", &there, &err), err);
    assert_true(there);
    store_free(r);
}

static void test_error_classes(void **state) {
    (void)state;
    static const struct {
        int number;
        enum err_class class;
        const char *text;
    } rows[] = {
        {ENOSPC, ERR_SPACE, "No space"},    {EDQUOT, ERR_SPACE, "quota"},           {EROFS, ERR_PERMISSION, "mounted read-only"},
        {EACCES, ERR_PERMISSION, "denied"}, {ESTALE, ERR_STORE, "went away"},       {EIO, ERR_STORE, "Input/output"},
        {ENOENT, ERR_NOT_FOUND, ""},        {ENOTCONN, ERR_STORE, "not connected"}, {EMFILE, ERR_IO, "open files"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_fails(fs_error(&err, rows[i].number, "write"), err, rows[i].class, rows[i].text);
        assert_int_equal(err.os, rows[i].number);
    }
}

static void test_space(void **state) {
    (void)state;
    struct store_space space;
    struct stat st;
    assert_succeeds(store_space_of(store, &space, &err), err);
    assert_int_equal(stat(dir, &st), 0);
    assert_true(space.known);
    assert_true(space.total_bytes >= space.free_bytes);
    assert_int_equal(space.device, st.st_dev);
}

/* ---- parts: a driver that wants them large ---- */

struct part_store {
    struct store base;
    struct buf log;
};
static int part_begin(struct store *s, const char *name, const char *resume, struct store_object **ret, uint64_t *done,
                      struct err *e) {
    (void)s, (void)name, (void)resume, (void)e;
    *ret = mem_alloc(sizeof(**ret));
    *done = 0;
    return 0;
}
static int part_put(struct store_object *o, unsigned number, const void *bytes, size_t len, struct err *e) {
    struct part_store *s = (struct part_store *)o->store;
    if (number == 4)
        return err_set(e, ERR_CONNECT, "reset by peer");
    buf_printf(&s->log, "%u:%.*s ", number, (int)len, (const char *)bytes);
    return 0;
}
static int part_commit(struct store_object *o, struct err *e) {
    (void)e;
    buf_puts(&((struct part_store *)o->store)->log, "commit");
    mem_free(o);
    return 0;
}
static void part_close(struct store_object *o, bool keep) {
    buf_puts(&((struct part_store *)o->store)->log, keep ? "leave" : "abort");
    mem_free(o);
}
static const struct store_ops part_ops = {.part_min_bytes = 6,
                                          .object_begin = part_begin,
                                          .part_put = part_put,
                                          .object_commit = part_commit,
                                          .object_close = part_close};

static void test_parts_are_gathered(void **state) {
    (void)state;
    char url[] = "part://";
    struct part_store s = {.base = {.ops = &part_ops, .url = url}};
    buf_init(&s.log, 1000);
    struct store_object *o;
    char *resume;
    assert_succeeds(store_object_begin(&s.base, "x", NULL, &o, NULL, &err), err);
    assert_succeeds(store_object_write(o, "abcdefgh", 8, &err), err);
    assert_succeeds(store_object_write(o, "ij", 2, &err), err);
    assert_succeeds(store_object_write(o, "klmn", 4, &err), err);
    assert_succeeds(store_object_write(o, "op", 2, &err), err);
    assert_fails(store_object_state(o, &resume, &err), err, ERR_UNSUPPORTED, "cannot be resumed");
    assert_succeeds(store_object_commit(o, &err), err);
    assert_string_equal(s.log.data, "1:abcdefgh 2:ijklmn 3:op commit");
    buf_reset(&s.log);
    assert_succeeds(store_object_begin(&s.base, "x", NULL, &o, NULL, &err), err);
    for (int i = 0; i < 3; i++)
        assert_succeeds(store_object_write(o, "123456", 6, &err), err);
    assert_succeeds(store_object_write(o, "7", 1, &err), err);
    assert_fails(store_object_commit(o, &err), err, ERR_CONNECT, "object x: reset by peer"); /* the last part is refused */
    assert_string_equal(s.log.data, "1:123456 2:123456 3:123456 abort");
    buf_done(&s.log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_open, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_object_is_seen_whole_or_not, setup, teardown),
        cmocka_unit_test_setup_teardown(test_nothing_is_left, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_and_get, setup, teardown),
        cmocka_unit_test_setup_teardown(test_list_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
        cmocka_unit_test_setup_teardown(test_dead_writers_are_cleaned, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_cleaned_writer_goes_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
        cmocka_unit_test(test_error_classes),
        cmocka_unit_test_setup_teardown(test_space, setup, teardown),
        cmocka_unit_test(test_parts_are_gathered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
