/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/str.h"
#include "common/store/scrub.h"
#include "tests/unit/store/sets.h"

#define SETS 12
#define FOLDER "Sales~00000001"
#define DATA 200000

static char *dir;
static struct store *store;
static struct err err;
static char *manifests[SETS]; /* paths in the file system */
static char *objects[SETS];
static char *names[SETS]; /* of the manifests, whole */

struct heard {
    unsigned count;
    struct scrub_finding first;
    unsigned progress;
};

static void on_finding(void *user, const struct scrub_finding *finding) {
    struct heard *heard = user;
    if (!heard->count++)
        heard->first = *finding;
}

static void on_progress(void *user, const char *name, uint64_t bytes) {
    (void)name, (void)bytes;
    ((struct heard *)user)->progress++;
}

/* Sets of one database, each naming the one before it; what varies in the object is its bytes. */
static void put(unsigned n) {
    struct backup b = sets_backup(1, n);
    struct manifest m;
    char *data = mem_alloc(DATA), name[STORE_NAME_MAX];
    for (unsigned i = 0; i < DATA; i++)
        data[i] = (char)(i * (n + 1) >> 5);
    sets_manifest(&m, &b, "Sales", FOLDER, n + 1);
    if (n)
        manifest_set(&m.previous, names[n - 1] + strlen(SETS_SCOPE "/" FOLDER "/"));
    assert_succeeds(sets_ship(store, &m, n % 2 ? "zstd" : "none", data, DATA, &err), err);
    assert_succeeds(store_commit_backup(store, SETS_SCOPE, &m, name, &err), err);
    names[n] = mem_strdup(name);
    manifests[n] = mem_printf("%s/%s", dir, name);
    objects[n] = mem_printf("%s/%s/%s/%s", dir, SETS_SCOPE, FOLDER, m.objects[0].name);
    manifest_done(&m);
    mem_free(data);
}

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    for (unsigned n = 0; n < SETS; n++)
        put(n);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (unsigned n = 0; n < SETS; n++) {
        mem_free(names[n]);
        mem_free(manifests[n]);
        mem_free(objects[n]);
    }
    store_free(store);
    unit_rm(dir);
    return 0;
}

static struct heard scrub(bool sizes_only, const char *newest, struct scrub_totals *totals) {
    struct heard heard = {0};
    struct scrub_options options = {.sizes_only = sizes_only, .finding = on_finding, .progress = on_progress, .user = &heard};
    struct store_cursor cursor = {0};
    *totals = (struct scrub_totals){0};
    while (cursor.kind < BACKUP_KIND_COUNT)
        assert_succeeds(store_scrub_sets(store, SETS_SCOPE, FOLDER, &cursor, 5, &options, totals, &err), err);
    struct scrub_known known = {newest};
    assert_succeeds(store_scrub_names(store, SETS_SCOPE, FOLDER, &known, clock_wall() + 2 * CLOCK_HOUR, &options, totals, &err),
                    err);
    return heard;
}

static void flip(const char *path, off_t at) {
    char c;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &c, 1, at), 1);
    c ^= 0x10;
    assert_int_equal(pwrite(fd, &c, 1, at), 1);
    close(fd);
}

static void swap(const char *a, const char *b) {
    _cleanup_free_ char *other = mem_printf("%s/swap", dir);
    assert_int_equal(rename(a, other), 0);
    assert_int_equal(rename(b, a), 0);
    assert_int_equal(rename(other, b), 0);
}

static void expect(const struct heard *heard, const struct scrub_totals *totals, enum scrub_kind kind, unsigned count, int set) {
    assert_int_equal(totals->findings[kind], count);
    assert_int_equal(heard->first.kind, kind);
    assert_string_equal(heard->first.folder, FOLDER);
    if (set >= 0) {
        struct guid want = sets_backup(1, (uint32_t)set).set_guid;
        assert_true(guid_eq(&heard->first.set, &want));
        assert_int_equal(heard->first.backup_kind, sets_backup(1, (uint32_t)set).kind);
    }
    assert_true(heard->first.err.text[0]);
}

static void test_all_is_well(void **state) {
    (void)state;
    struct scrub_totals totals;
    struct heard heard = scrub(false, names[SETS - 1] + strlen(SETS_SCOPE "/" FOLDER "/"), &totals);
    assert_int_equal(heard.count, 0);
    assert_int_equal(totals.sets, SETS);
    assert_int_equal(totals.objects, SETS);
    assert_true(totals.stored_bytes > DATA);
    assert_true(heard.progress > SETS); /* records of large objects, too */
}

static void test_flipped_bits(void **state) {
    (void)state;
    static const off_t places[] = {0, 1, 65536, 131071, DATA - 1};
    struct scrub_totals totals;
    for (unsigned i = 0; i < ARRAY_LEN(places); i++) {
        flip(objects[2], places[i]);
        struct heard heard = scrub(false, "", &totals);
        expect(&heard, &totals, SCRUB_OBJECT_CORRUPT, 1, 2);
        assert_int_equal(heard.count, 1);
        heard = scrub(true, "", &totals);
        assert_int_equal(heard.count, 0); /* sizes tell nothing of bits */
        flip(objects[2], places[i]);
    }
    flip(objects[3], 40); /* a compressed one */
    struct heard heard = scrub(false, "", &totals);
    expect(&heard, &totals, SCRUB_OBJECT_CORRUPT, 1, 3);
}

static void test_truncated_and_grown(void **state) {
    (void)state;
    struct scrub_totals totals;
    struct stat st;
    assert_int_equal(stat(objects[4], &st), 0);
    assert_int_equal(truncate(objects[4], st.st_size - 1), 0);
    struct heard heard = scrub(true, "", &totals);
    expect(&heard, &totals, SCRUB_OBJECT_SIZE, 1, 4);
    assert_int_equal(truncate(objects[4], st.st_size + 1), 0);
    heard = scrub(false, "", &totals);
    expect(&heard, &totals, SCRUB_OBJECT_SIZE, 1, 4);
}

static void test_missing(void **state) {
    (void)state;
    struct scrub_totals totals;
    assert_int_equal(unlink(objects[6]), 0);
    struct heard heard = scrub(true, "", &totals);
    expect(&heard, &totals, SCRUB_OBJECT_MISSING, 1, 6);
    assert_int_equal(unlink(manifests[6]), 0);
    heard = scrub(false, "", &totals);
    expect(&heard, &totals, SCRUB_MANIFEST_MISSING, 1, -1);
    assert_int_equal(totals.sets, SETS - 1);
    assert_int_equal(heard.count, 1);
}

static void test_newest_manifest_removed(void **state) {
    (void)state;
    struct scrub_totals totals;
    const char *newest = names[SETS - 1] + strlen(SETS_SCOPE "/" FOLDER "/");
    assert_int_equal(unlink(manifests[SETS - 1]), 0);
    struct heard heard = scrub(true, newest, &totals);
    expect(&heard, &totals, SCRUB_NEWEST_MISSING, 1, -1);
    assert_int_equal(totals.findings[SCRUB_ORPHAN], 1); /* its object shows it to those who remember nothing */
    heard = scrub(true, "", &totals);
    expect(&heard, &totals, SCRUB_ORPHAN, 1, -1);
    assert_false(scrub_kind_is_loss(SCRUB_ORPHAN));
    assert_non_null(strstr(heard.first.name, strrchr(objects[SETS - 1], '/')));
}

static void test_exchanged(void **state) {
    (void)state;
    struct scrub_totals totals;
    swap(objects[8], objects[10]); /* both whole, both of the same length */
    struct heard heard = scrub(false, "", &totals);
    expect(&heard, &totals, SCRUB_OBJECT_CORRUPT, 2, 8);
    swap(objects[8], objects[10]);
    swap(manifests[9], manifests[11]);
    heard = scrub(true, "", &totals);
    expect(&heard, &totals, SCRUB_MANIFEST, 2, -1);
}

static void test_garbled_manifest(void **state) {
    (void)state;
    struct scrub_totals totals;
    assert_int_equal(truncate(manifests[5], 100), 0);
    struct heard heard = scrub(false, "", &totals);
    expect(&heard, &totals, SCRUB_MANIFEST, 1, -1);
    assert_int_equal(heard.count, 1); /* nothing is called an orphan while it is not known what the manifest names */
}

static void test_a_store_that_does_not_answer_is_no_finding(void **state) {
    (void)state;
    struct scrub_totals totals = {0};
    struct heard heard = {0};
    atomic_bool cancel = true;
    struct scrub_options options = {.finding = on_finding, .user = &heard, .cancel = &cancel};
    struct store_cursor cursor = {0};
    assert_fails(store_scrub_sets(store, SETS_SCOPE, FOLDER, &cursor, 5, &options, &totals, &err), err, ERR_CANCELLED, "");
    assert_fails(store_scrub_names(store, SETS_SCOPE, FOLDER, NULL, clock_wall(), &options, &totals, &err), err, ERR_CANCELLED,
                 "");
    assert_int_equal(heard.count, 0);
    assert_fails(store_scrub_set(store, "nonsense", &options, &totals, &err), err, ERR_USAGE, "not the name");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_all_is_well, setup, teardown),
        cmocka_unit_test_setup_teardown(test_flipped_bits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_truncated_and_grown, setup, teardown),
        cmocka_unit_test_setup_teardown(test_missing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_newest_manifest_removed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchanged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_garbled_manifest, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_does_not_answer_is_no_finding, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
