/* SPDX-License-Identifier: Apache-2.0 */
/* The pipeline: order, bounds, what is removed, and whose fault a failure is. */
#include "tests/unit/support/unit.h"

#include <dirent.h>
#include <pthread.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/restore/fetch.h"

#define SETS 150
#define BYTES 1000

/* A source whose n-th backup has n in every byte. */
struct fake {
    struct source base;
    uint32_t bad; /* this one fails like so */
    enum err_class class;
    unsigned times; /* so often */
    atomic_uint fetched;
};

static char *dir;
static struct err err;
static struct backup sets[SETS];

static uint32_t number_of(const struct backup *b) {
    return b->last_lsn.block;
}

static int fake_manifest(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m,
                         struct err *e) {
    (void)source, (void)e;
    assert_string_equal(folder, "db~1");
    manifest_init(ret_m);
    ret_m->backup = *set;
    for (uint32_t i = 0; i < set->stripes; i++) {
        struct manifest_object *o = manifest_add_object(ret_m);
        o->stripe = i + 1;
        o->plain_bytes = BYTES;
        o->record_bytes = number_of(set); /* how the fake knows which one it is */
    }
    return 0;
}

static int fake_fetch(struct source *source, const char *folder, const struct manifest_object *o, const struct pipe_sink *sink,
                      const struct pipe_control *control, struct err *e) {
    struct fake *f = (struct fake *)source;
    char data[BYTES];
    (void)folder;
    atomic_fetch_add(&f->fetched, 1);
    memset(data, (int)o->record_bytes, sizeof(data));
    if (sink->write(sink->user, data, BYTES / 2, BYTES / 2, e) < 0)
        return -1;
    if (o->record_bytes == f->bad && f->times && f->times--)
        return err_set(e, f->class, "bad one");
    if (control->cancel && atomic_load(control->cancel))
        return err_set(e, ERR_CANCELLED, "cancelled");
    return sink->write(sink->user, data, BYTES / 2, BYTES / 2, e);
}

static const struct source_ops ops = {.manifest = fake_manifest, .fetch = fake_fetch};

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    for (uint32_t i = 0; i < SETS; i++) {
        sets[i] = (struct backup){.kind = i ? BACKUP_LOG : BACKUP_FULL, .stripes = i == 2 ? 3 : 1, .last_lsn = {1, i + 1, 1}};
        sets[i].set_guid.bytes[0] = (uint8_t)(i + 1);
    }
    return 0;
}

static unsigned files(void) {
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static int teardown(void **state) {
    (void)state;
    unit_rm(dir);
    return 0;
}

static struct restore_fetch *start(struct fake *fake, struct restore_budget *budget, const atomic_bool *cancel) {
    struct restore_fetch *fetch;
    struct restore_fetch_spec spec = {.source = &fake->base,
                                      .folder = "db~1",
                                      .sets = sets,
                                      .count = SETS,
                                      .local_dir = dir,
                                      .server_dir = "/server",
                                      .stem = "1-1",
                                      .mode = 0640,
                                      .budget = budget,
                                      .cancel = cancel};
    assert_succeeds(restore_fetch_start(&spec, &fetch, &err), err);
    return fetch;
}

static void test_in_order_and_bounded(void **state) {
    (void)state;
    struct fake fake = {.base = {&ops}};
    struct restore_budget budget;
    struct restore_staged staged;
    struct stat st;
    bool bad;
    restore_budget_init(&budget, 5 * BYTES);
    struct restore_fetch *fetch = start(&fake, &budget, NULL);
    for (size_t i = 0; i < SETS; i++) {
        assert_succeeds(restore_fetch_wait(fetch, i, &staged, &bad, &err), err);
        assert_int_equal(staged.path_count, sets[i].stripes);
        for (size_t k = 0; k < staged.path_count; k++) {
            assert_true(str_starts(staged.paths[k], "/server/1-1-"));
            char *path = mem_printf("%s%s", dir, staged.paths[k] + strlen("/server")), *data;
            size_t len;
            assert_int_equal(stat(path, &st), 0);
            assert_int_equal(st.st_mode & 07777, 0640);
            assert_succeeds(file_read_all(path, 1 << 20, &data, &len, &err), err);
            assert_int_equal(len, BYTES);
            assert_int_equal((unsigned char)data[BYTES - 1], (unsigned char)(i + 1));
            mem_free(data);
            mem_free(path);
        }
        assert_true(files() <= 6); /* the budget, and one that is being made */
        restore_fetch_drop(fetch, i);
    }
    assert_int_equal(files(), 0);
    assert_int_equal(budget.used_bytes, 0);
    restore_fetch_free(fetch);
    restore_budget_done(&budget);
}

static void test_files_ahead_are_bounded(void **state) {
    (void)state;
    struct fake fake = {.base = {&ops}};
    struct restore_budget budget;
    struct restore_staged staged;
    bool bad;
    restore_budget_init(&budget, UINT64_C(1) << 40);
    struct restore_fetch *fetch = start(&fake, &budget, NULL);
    assert_succeeds(restore_fetch_wait(fetch, FETCH_AHEAD - 1, &staged, &bad, &err), err);
    assert_int_equal(files(), FETCH_AHEAD + 2); /* one of them has three files */
    restore_fetch_free(fetch);
    assert_int_equal(files(), 0);
    assert_int_equal(budget.used_bytes, 0);
    restore_budget_done(&budget);
}

static void fails_like(enum err_class class, bool want_bad) {
    struct fake fake = {.base = {&ops}, .bad = 4, .class = class, .times = UINT32_MAX};
    struct restore_budget budget;
    struct restore_staged staged;
    bool bad = !want_bad;
    restore_budget_init(&budget, UINT64_C(1) << 40);
    struct restore_fetch *fetch = start(&fake, &budget, NULL);
    for (size_t i = 0; i < 3; i++)
        assert_succeeds(restore_fetch_wait(fetch, i, &staged, &bad, &err), err);
    assert_fails(restore_fetch_wait(fetch, 3, &staged, &bad, &err), err, class, "bad one");
    assert_int_equal(bad, want_bad);
    assert_int_equal(files(), 5); /* nothing half */
    restore_fetch_free(fetch);
    assert_int_equal(budget.used_bytes, 0);
    restore_budget_done(&budget);
}

static void test_whose_fault(void **state) {
    (void)state;
    fails_like(ERR_CORRUPT, true);
    fails_like(ERR_NOT_FOUND, true);
    fails_like(ERR_UNSUPPORTED, true);
    fails_like(ERR_STORE, false);
}

static void test_a_store_that_comes_back(void **state) {
    (void)state;
    struct fake fake = {.base = {&ops}, .bad = 2, .class = ERR_CONNECT, .times = 2};
    struct restore_budget budget;
    struct restore_staged staged;
    bool bad;
    restore_budget_init(&budget, UINT64_C(1) << 40);
    struct restore_fetch *fetch = start(&fake, &budget, NULL);
    assert_succeeds(restore_fetch_wait(fetch, 1, &staged, &bad, &err), err);
    restore_fetch_free(fetch);
    restore_budget_done(&budget);
}

static void test_too_large_for_staging(void **state) {
    (void)state;
    struct fake fake = {.base = {&ops}};
    struct restore_budget budget;
    struct restore_staged staged;
    bool bad;
    restore_budget_init(&budget, BYTES - 1);
    struct restore_fetch *fetch = start(&fake, &budget, NULL);
    assert_fails(restore_fetch_wait(fetch, 0, &staged, &bad, &err), err, ERR_SPACE, "one backup needs");
    assert_false(bad);
    restore_fetch_free(fetch);
    restore_budget_done(&budget);
}

static void test_cancelled(void **state) {
    (void)state;
    struct fake fake = {.base = {&ops}};
    struct restore_budget budget;
    struct restore_staged staged;
    atomic_bool cancel = false;
    bool bad;
    restore_budget_init(&budget, BYTES); /* the second one waits for room */
    struct restore_fetch *fetch = start(&fake, &budget, &cancel);
    assert_succeeds(restore_fetch_wait(fetch, 0, &staged, &bad, &err), err);
    atomic_store(&cancel, true);
    assert_fails(restore_fetch_wait(fetch, 1, &staged, &bad, &err), err, ERR_CANCELLED, "cancelled");
    assert_false(bad);
    restore_fetch_free(fetch);
    assert_int_equal(budget.used_bytes, 0);
    restore_budget_done(&budget);
}

static void *consume(void *user) {
    struct restore_budget *budget = user;
    struct fake fake = {.base = {&ops}};
    struct restore_fetch *fetch = start(&fake, budget, NULL);
    for (size_t i = 0; i < SETS; i++) {
        struct restore_staged staged;
        struct err e;
        bool bad;
        err_clear(&e);
        if (restore_fetch_wait(fetch, i, &staged, &bad, &e) < 0)
            abort();
        restore_fetch_drop(fetch, i);
    }
    restore_fetch_free(fetch);
    return NULL;
}

/* Several databases and room for hardly more than one backup: all come to their end. */
static void test_many_share_little_room(void **state) {
    (void)state;
    struct restore_budget budget;
    pthread_t threads[4];
    restore_budget_init(&budget, 3 * BYTES);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, consume, &budget), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(budget.used_bytes, 0);
    restore_budget_done(&budget);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_in_order_and_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_files_ahead_are_bounded, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whose_fault, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_too_large_for_staging, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
        cmocka_unit_test_setup_teardown(test_many_share_little_room, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
