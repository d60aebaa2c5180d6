/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/str.h"
#include "common/store/catalog_int.h"
#include "common/store/crc32c.h"
#include "common/store/holds.h"
#include "tests/unit/store/sets.h"

#define IDENTITY "/backup-store"
static char *dir, *path;
static struct err err;

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    path = mem_printf("%s/catalog", dir);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    mem_free(path);
    unit_rm(dir);
    return 0;
}

static struct catalog *open_catalog(void) {
    struct catalog *c;
    assert_succeeds(catalog_open(path, IDENTITY, SETS_SCOPE, CATALOG_SYNC_LATER, &c, NULL, &err), err);
    return c;
}

static uint32_t put_db(struct catalog *c, uint32_t family, const char *name) {
    char folder[NAME_FOLDER_MAX];
    struct guid f = sets_guid(family), d = sets_guid(family + 7);
    uint32_t id;
    name_folder(folder, name, &f, 1);
    assert_succeeds(catalog_database_put(c, folder, name, &f, &d, &id, &err), err);
    return id;
}

/* ---- a model of what the catalog must say ---- */

struct model_set {
    uint32_t n, index;
    bool held, gone;
};
struct model {
    struct model_set sets[8][3000];
    uint32_t count[8];
};

static void assert_like_model(const struct catalog *c, const struct model *m, unsigned dbs) {
    for (unsigned db = 0; db < dbs; db++) {
        struct catalog_entry e = {.index = CATALOG_NONE};
        uint64_t live = 0;
        for (uint32_t i = m->count[db]; i-- > 0;) {
            const struct model_set *want = &m->sets[db][i];
            if (want->gone)
                continue;
            live++;
            assert_int_equal(catalog_previous(c, db, &e, &err), 1);
            struct backup b = sets_backup(db + 1, want->n);
            if (want->held)
                b.flags |= BACKUP_HELD;
            assert_memory_equal(&e.backup, &b, sizeof(b));
            assert_int_equal(e.sequence, want->n + 1);
        }
        assert_int_equal(catalog_previous(c, db, &e, &err), 0);
        assert_int_equal(catalog_database_at(c, db)->sets, live);
    }
    assert_succeeds(catalog_check(c, &err), err);
}

static void refresh_indexes(const struct catalog *c, struct model *m, unsigned dbs) {
    for (unsigned db = 0; db < dbs; db++) {
        struct catalog_entry e = {.index = CATALOG_NONE};
        for (uint32_t i = m->count[db]; i-- > 0;)
            if (!m->sets[db][i].gone) {
                assert_int_equal(catalog_previous(c, db, &e, &err), 1);
                m->sets[db][i].index = e.index;
            }
    }
}

static void test_against_a_model(void **state) {
    (void)state;
    struct model *m = mem_alloc(sizeof(*m));
    struct catalog *c = open_catalog();
    for (unsigned db = 0; db < 5; db++) {
        char name[20];
        snprintf(name, sizeof(name), "db%u", db);
        assert_int_equal(put_db(c, db + 1, name), db);
    }
    srand(5);
    for (unsigned step = 0; step < 12000; step++) {
        unsigned db = (unsigned)rand() % 5, what = (unsigned)rand() % 1000;
        uint32_t *count = &m->count[db];
        if (what < 650 && *count < 3000) {
            struct backup b = sets_backup(db + 1, *count);
            struct model_set *s = &m->sets[db][*count];
            assert_succeeds(catalog_append(c, db, &b, 0, &err), err);
            struct catalog_entry e = {.index = CATALOG_NONE};
            assert_int_equal(catalog_previous(c, db, &e, &err), 1);
            *s = (struct model_set){.n = (*count)++, .index = e.index};
        } else if (what < 800 && *count) {
            struct model_set *s = &m->sets[db][(unsigned)rand() % *count];
            if (!s->gone) {
                assert_succeeds(catalog_remove(c, s->index, &err), err);
                assert_succeeds(catalog_remove(c, s->index, &err), err); /* again is success */
                s->gone = true;
            }
        } else if (what < 980 && *count) {
            struct model_set *s = &m->sets[db][(unsigned)rand() % *count];
            if (!s->gone) {
                s->held = !s->held;
                assert_succeeds(catalog_mark(c, s->index, s->held ? BACKUP_HELD : 0, s->held ? 0 : BACKUP_HELD, &err), err);
            }
        } else if (what < 985) {
            assert_succeeds(catalog_compact(c, &err), err);
            refresh_indexes(c, m, 5);
        } else if (what < 990) {
            catalog_free(c);
            c = open_catalog();
        } else if (what < 992) {
            struct catalog *r;
            assert_succeeds(catalog_open_reader(path, &r, &err), err);
            assert_like_model(r, m, 5);
            catalog_free(r);
        }
    }
    assert_like_model(c, m, 5);
    struct catalog_stats stats;
    catalog_stats_of(c, &stats);
    assert_true(stats.records > 5000); /* a checkpoint or more has been written */
    assert_int_equal(stats.records, stats.live + stats.useless);
    catalog_release_pages(c);
    assert_like_model(c, m, 5);
    catalog_free(c);
    mem_free(m);
}

static void test_queries(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    uint32_t a = put_db(c, 1, "A"), b = put_db(c, 2, "B");
    for (uint32_t n = 0; n < 20; n++) {
        struct backup s = sets_backup(1, n);
        assert_succeeds(catalog_append(c, a, &s, 0, &err), err);
        assert_succeeds(catalog_append(c, a, &s, 0, &err), err); /* the same set changes nothing */
    }
    assert_int_equal(catalog_database_at(c, a)->sets, 20);
    assert_int_equal(catalog_database_at(c, a)->sequence, 20);
    struct catalog_entry e;
    assert_succeeds(catalog_newest(c, a, BACKUP_DIFF, &e, &err), err);
    assert_int_equal(e.sequence, 15);
    assert_fails(catalog_newest(c, b, BACKUP_LOG, &e, &err), err, ERR_NOT_FOUND, "no log backup of database 'B'");
    struct backup third = sets_backup(1, 3);
    assert_succeeds(catalog_find(c, a, &third.set_guid, &e, &err), err);
    assert_memory_equal(&e.backup, &third, sizeof(third));
    assert_fails(catalog_find(c, b, &third.set_guid, &e, &err), err, ERR_NOT_FOUND, "has no set");
    struct backup *all;
    size_t count;
    assert_succeeds(catalog_load(c, a, &all, &count, &err), err);
    assert_int_equal(count, 20);
    for (uint32_t n = 0; n < 20; n++) {
        struct backup s = sets_backup(1, n);
        assert_memory_equal(&all[n], &s, sizeof(s));
    }
    mem_free(all);
    assert_fails(catalog_load(c, 99, &all, &count, &err), err, ERR_INTERNAL, "no database 99");
    assert_fails(catalog_mark(c, e.index, BACKUP_DAMAGED, 0, &err), err, ERR_INTERNAL, "only 'held'");
    assert_fails(catalog_remove(c, 0, &err), err, ERR_INTERNAL, "record 0 is no set");
    assert_fails(catalog_remove(c, 100000, &err), err, ERR_CORRUPT, "record 100000");
    struct catalog *r;
    assert_succeeds(catalog_open_reader(path, &r, &err), err);
    struct backup s = sets_backup(1, 21);
    assert_fails(catalog_append(r, a, &s, 0, &err), err, ERR_INTERNAL, "opened for reading");
    assert_succeeds(catalog_append(c, a, &s, 0, &err), err);
    assert_int_equal(catalog_database_at(r, a)->sets, 20);
    assert_succeeds(catalog_refresh(r, &err), err);
    assert_int_equal(catalog_database_at(r, a)->sets, 21);
    assert_succeeds(catalog_compact(c, &err), err);
    assert_succeeds(catalog_refresh(r, &err), err);
    struct catalog_stats x, y;
    catalog_stats_of(c, &x);
    catalog_stats_of(r, &y);
    assert_int_equal(x.generation, y.generation);
    catalog_free(r);
    catalog_free(c);
}

static void test_databases(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    char longest[CATALOG_NAME_MAX], folder[NAME_FOLDER_MAX];
    memset(longest, 'n', sizeof(longest));
    longest[CATALOG_NAME_MAX - 1] = 0;
    uint32_t a = put_db(c, 1, longest);
    struct guid f = sets_guid(1), d = sets_guid(8), d2 = sets_guid(9);
    catalog_choose_folder(c, longest, &f, folder);
    assert_true(str_ends(folder, "-2")); /* a second chain of the same name and family */
    catalog_choose_folder(c, "other", &f, folder);
    assert_true(!str_ends(folder, "-2"));
    assert_int_equal(catalog_database_by_guid(c, &f, &d)->id, a);
    assert_null(catalog_database_by_guid(c, &f, &d2));
    char *have = mem_strdup(catalog_database_at(c, a)->folder);
    uint32_t id;
    assert_succeeds(catalog_database_put(c, have, "renamed", &f, &d2, &id, &err), err);
    assert_int_equal(id, a);
    assert_fails(catalog_database_put(c, "", "x", &f, &d, &id, &err), err, ERR_USAGE, "no folder");
    catalog_free(c);
    c = open_catalog();
    assert_int_equal(catalog_database_count(c), 1);
    assert_string_equal(catalog_database_at(c, 0)->name, "renamed");
    assert_ptr_equal(catalog_database_by_guid(c, &f, &d2), catalog_database_by_folder(c, have));
    assert_null(catalog_database_at(c, 1));
    mem_free(have);
    catalog_free(c);
}

/* ---- damage ---- */

static char *read_file(size_t *ret_len) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *data = mem_alloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, data, (size_t)st.st_size), st.st_size);
    close(fd);
    *ret_len = (size_t)st.st_size;
    return data;
}

static void write_file(const char *data, size_t len) {
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, data, len), len);
    close(fd);
}

static void make_small(void) {
    struct catalog *c = open_catalog();
    uint32_t a = put_db(c, 1, "A");
    for (uint32_t n = 0; n < 4; n++) {
        struct backup s = sets_backup(1, n);
        assert_succeeds(catalog_append(c, a, &s, 0, &err), err);
    }
    put_db(c, 2, "a database with a name");
    catalog_free(c);
}

/* Cut at any byte: what is whole stays, what is torn goes, and appending goes on. */
static void test_torn_at_every_byte(void **state) {
    (void)state;
    make_small();
    size_t len;
    char *data = read_file(&len);
    for (size_t cut = CATALOG_RECORD; cut <= len; cut++) {
        write_file(data, cut);
        struct catalog *c;
        uint64_t lost;
        assert_succeeds(catalog_open(path, IDENTITY, SETS_SCOPE, CATALOG_SYNC_LATER, &c, &lost, &err), err);
        size_t records = cut / CATALOG_RECORD - 1;
        size_t sets = records < 2 ? 0 : records - 2 < 4 ? records - 2 : 4; /* behind a database record and its name */
        size_t whole_database = records >= 8 ? 8 : records == 7 ? 6 : records == 1 ? 0 : records;
        assert_int_equal(lost, cut - (whole_database + 1) * CATALOG_RECORD);
        uint32_t a = put_db(c, 1, "A");
        assert_int_equal(catalog_database_at(c, a)->sets, sets);
        struct backup s = sets_backup(1, 50);
        assert_succeeds(catalog_append(c, a, &s, 0, &err), err);
        catalog_free(c);
        c = open_catalog();
        assert_int_equal(catalog_database_at(c, a)->sets, sets + 1);
        assert_succeeds(catalog_check(c, &err), err);
        catalog_free(c);
    }
    for (size_t cut = 1; cut < CATALOG_RECORD; cut += 50) {
        write_file(data, cut);
        struct catalog *c;
        assert_fails(catalog_open(path, IDENTITY, SETS_SCOPE, CATALOG_SYNC_LATER, &c, NULL, &err), err, ERR_CORRUPT,
                     "header is damaged");
    }
    mem_free(data);
}

/* A flipped bit anywhere: an error, or the very same answers (the mark of a set is stored twice). */
static void test_every_flipped_byte(void **state) {
    (void)state;
    make_small();
    size_t len;
    char *data = read_file(&len);
    unsigned refused = 0;
    for (size_t at = 0; at < len; at++) {
        char *bad = mem_dup(data, len);
        bad[at] ^= 0x40;
        write_file(bad, len);
        mem_free(bad);
        struct catalog *c;
        err_clear(&err);
        if (catalog_open_reader(path, &c, &err) < 0) {
            assert_int_equal(err.class, ERR_CORRUPT);
            refused++;
            continue;
        }
        struct backup *sets = NULL;
        size_t count = 0;
        if (catalog_database_count(c) && catalog_load(c, 0, &sets, &count, &err) == 0) {
            for (uint32_t n = 0; n < count; n++) {
                struct backup want = sets_backup(1, n);
                assert_memory_equal(&sets[n], &want, sizeof(want));
            }
            mem_free(sets);
        }
        catalog_free(c);
    }
    assert_true(refused > len / 2);
    mem_free(data);
}

static void test_refused_files(void **state) {
    (void)state;
    make_small();
    struct catalog *c, *second;
    assert_fails(catalog_open(path, "/other-store", SETS_SCOPE, CATALOG_SYNC_EACH, &c, NULL, &err), err, ERR_CORRUPT,
                 "of another store or instance");
    assert_fails(catalog_open(path, IDENTITY, "default/other", CATALOG_SYNC_EACH, &c, NULL, &err), err, ERR_CORRUPT,
                 "of another store or instance");
    assert_fails(catalog_open_reader("/nowhere/catalog", &c, &err), err, ERR_NOT_FOUND, "open catalog");
    c = open_catalog();
    assert_fails(catalog_open(path, IDENTITY, SETS_SCOPE, CATALOG_SYNC_EACH, &second, NULL, &err), err, ERR_BUSY,
                 "in use by another process");
    catalog_free(c);
    write_file("not a catalog", 13);
    assert_fails(catalog_open(path, IDENTITY, SETS_SCOPE, CATALOG_SYNC_EACH, &c, NULL, &err), err, ERR_CORRUPT,
                 "made again from the store");
    catalog_free(NULL);
}

/* ---- from the store ---- */

static struct store *open_store(void) {
    struct store *s;
    char *root = mem_printf("%s/store", dir);
    (void)mkdir(root, 0750);
    assert_succeeds(store_open(root, NULL, &s, &err), err);
    mem_free(root);
    return s;
}

static void assert_same_content(const struct catalog *a, const struct catalog *b) {
    assert_int_equal(catalog_database_count(a), catalog_database_count(b));
    for (uint32_t id = 0; id < catalog_database_count(a); id++) {
        const struct catalog_database *x = catalog_database_at(a, id), *y = catalog_database_by_folder(b, x->folder);
        assert_non_null(y);
        assert_string_equal(x->name, y->name);
        assert_true(guid_eq(&x->family_guid, &y->family_guid) && guid_eq(&x->database_guid, &y->database_guid));
        assert_int_equal(x->sets, y->sets);
        assert_int_equal(x->sequence, y->sequence);
        struct catalog_entry e = {.index = CATALOG_NONE}, f = {.index = CATALOG_NONE};
        int rc;
        while ((rc = catalog_previous(a, x->id, &e, &err)) > 0) {
            assert_int_equal(catalog_previous(b, y->id, &f, &err), 1);
            assert_memory_equal(&e.backup, &f.backup, sizeof(e.backup));
            assert_int_equal(e.sequence, f.sequence);
        }
        assert_int_equal(rc, 0);
    }
}

static int add_to_both(struct store *s, struct catalog *c, uint32_t family, uint32_t n, const char *name) {
    char folder[NAME_FOLDER_MAX];
    struct guid f = sets_guid(family);
    name_folder(folder, name, &f, 1);
    assert_succeeds(sets_put(s, family, n, name, folder, &err), err);
    if (!c)
        return 0;
    struct manifest m;
    struct backup b = sets_backup(family, n);
    assert_succeeds(store_find_backup(s, SETS_SCOPE, folder, &b, &m, &err), err);
    int rc = catalog_append(c, put_db(c, family, name), &m.backup, m.sequence, &err);
    manifest_done(&m);
    return rc;
}

static void test_rebuild_equals_incremental(void **state) {
    (void)state;
    struct store *s = open_store();
    struct catalog *c = open_catalog();
    for (uint32_t n = 0; n < 60; n++)
        for (uint32_t db = 1; db <= 3; db++)
            if (n % db == 0)
                assert_succeeds(add_to_both(s, c, db, n, db == 1 ? "Sales" : db == 2 ? "Lager \xc3\xbc" : "x"), err);
    struct backup held = sets_backup(1, 5);
    struct hold hold = {.set_guid = held.set_guid, .reason = "audit"};
    assert_succeeds(hold_create(s, SETS_SCOPE, catalog_database_at(c, 0)->folder, &hold, &err), err);
    struct catalog_entry e;
    assert_succeeds(catalog_find(c, 0, &held.set_guid, &e, &err), err);
    assert_succeeds(catalog_mark(c, e.index, BACKUP_HELD, 0, &err), err);
    char *other = mem_printf("%s/other", dir);
    struct catalog_rebuild_result result;
    assert_succeeds(catalog_rebuild(other, IDENTITY, SETS_SCOPE, s, NULL, &result, &err), err);
    assert_int_equal(result.databases, 3);
    assert_int_equal(result.sets, 60 + 30 + 20);
    assert_int_equal(result.unreadable, 0);
    struct catalog *r;
    assert_succeeds(catalog_open(other, IDENTITY, SETS_SCOPE, CATALOG_SYNC_EACH, &r, NULL, &err), err);
    assert_same_content(c, r);
    assert_fails(catalog_rebuild(other, IDENTITY, SETS_SCOPE, s, NULL, &result, &err), err, ERR_BUSY, "in use");
    catalog_free(r);
    /* What was lost between commit and append comes back, once. */
    assert_succeeds(add_to_both(s, NULL, 1, 60, "Sales"), err);
    assert_succeeds(add_to_both(s, NULL, 9, 0, "new"), err);
    uint64_t added;
    assert_succeeds(catalog_catch_up(c, s, &added, &err), err);
    assert_int_equal(added, 2);
    assert_succeeds(catalog_catch_up(c, s, &added, &err), err);
    assert_int_equal(added, 0);
    assert_succeeds(catalog_rebuild(other, IDENTITY, SETS_SCOPE, s, NULL, &result, &err), err);
    assert_succeeds(catalog_open_reader(other, &r, &err), err);
    assert_same_content(c, r);
    struct catalog_stats stats;
    catalog_stats_of(r, &stats);
    assert_int_equal(stats.generation, 2);
    catalog_free(r);
    catalog_free(c);
    store_free(s);
    mem_free(other);
}

static void count_unreadable(void *user, const char *name, const struct err *why) {
    assert_true(name_is_manifest(name) && *why->text);
    ++*(unsigned *)user;
}

static void test_rebuild_over_a_corrupt_file_and_manifests(void **state) {
    (void)state;
    struct store *s = open_store();
    for (uint32_t n = 0; n < 5; n++)
        assert_succeeds(add_to_both(s, NULL, 1, n, "A"), err);
    struct backup b = sets_backup(1, 2);
    char folder[NAME_FOLDER_MAX], rest[STORE_NAME_MAX], name[STORE_NAME_MAX];
    struct guid f = sets_guid(1);
    name_folder(folder, "A", &f, 1);
    name_manifest(rest, &b);
    assert_succeeds(name_join(name, SETS_SCOPE, folder, rest, &err), err);
    assert_succeeds(store_put(s, name, "garbage", 7, STORE_PUT_REPLACE, "", &err), err);
    write_file("garbage", 7);
    unsigned unreadable = 0;
    atomic_bool cancel = true;
    struct catalog_rebuild_control control = {.unreadable = count_unreadable, .user = &unreadable, .cancel = &cancel};
    struct catalog_rebuild_result result;
    assert_fails(catalog_rebuild(path, IDENTITY, SETS_SCOPE, s, &control, &result, &err), err, ERR_CANCELLED, "cancelled");
    size_t len;
    char *data = read_file(&len);
    assert_string_equal(data, "garbage"); /* what was there stays until the new one is whole */
    mem_free(data);
    cancel = false;
    assert_succeeds(catalog_rebuild(path, IDENTITY, SETS_SCOPE, s, &control, &result, &err), err);
    assert_int_equal(unreadable, 1);
    assert_int_equal(result.unreadable, 1);
    assert_int_equal(result.sets, 4);
    assert_string_equal(result.first_unreadable, name);
    assert_int_equal(result.first_error.class, ERR_CORRUPT);
    struct catalog *c = open_catalog();
    assert_int_equal(catalog_database_at(c, 0)->sets, 4);
    catalog_free(c);
    store_free(s);
}

static void test_compaction_is_wanted_and_shrinks(void **state) {
    (void)state;
    struct catalog *c = open_catalog();
    uint32_t a = put_db(c, 1, "A");
    for (uint32_t n = 0; n < 6000; n++) {
        struct backup s = sets_backup(1, n);
        assert_succeeds(catalog_append(c, a, &s, 0, &err), err);
    }
    assert_false(catalog_wants_compaction(c));
    struct catalog_entry e = {.index = CATALOG_NONE};
    for (unsigned n = 0; n < 3000; n++) {
        assert_int_equal(catalog_previous(c, a, &e, &err), 1);
        assert_succeeds(catalog_remove(c, e.index, &err), err);
    }
    assert_true(catalog_wants_compaction(c));
    assert_succeeds(catalog_compact(c, &err), err);
    assert_false(catalog_wants_compaction(c));
    assert_int_equal(catalog_database_at(c, a)->sets, 3000);
    catalog_free(c);
    c = open_catalog();
    assert_int_equal(catalog_database_at(c, a)->sequence, 6000); /* numbers of commits are never given again */
    struct backup s = sets_backup(1, 7000);
    assert_succeeds(catalog_append(c, a, &s, 0, &err), err);
    catalog_free(c);
    c = open_catalog();
    assert_int_equal(catalog_database_at(c, a)->sets, 3001);
    assert_int_equal(catalog_database_at(c, a)->sequence, 6001);
    catalog_free(c);
}

static void test_crc(void **state) {
    (void)state;
    assert_int_equal(crc32c("123456789", 9), 0xe3069283);
    uint8_t bytes[400];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 37 + i / 3);
    for (size_t len = 0; len < sizeof(bytes); len++)
        assert_int_equal(crc32c(bytes, len), crc32c_plain(bytes, len));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_against_a_model, setup, teardown),
        cmocka_unit_test_setup_teardown(test_queries, setup, teardown),
        cmocka_unit_test_setup_teardown(test_databases, setup, teardown),
        cmocka_unit_test_setup_teardown(test_torn_at_every_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_flipped_byte, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rebuild_equals_incremental, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rebuild_over_a_corrupt_file_and_manifests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_compaction_is_wanted_and_shrinks, setup, teardown),
        cmocka_unit_test(test_crc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
