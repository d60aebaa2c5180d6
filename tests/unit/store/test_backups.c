/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>

#include "common/base/buf.h"
#include "common/base/str.h"
#include "tests/unit/store/sets.h"

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

static int to_buf(void *user, const void *bytes, size_t len, size_t plain_len, struct err *e) {
    (void)plain_len, (void)e;
    assert_true(buf_append(user, bytes, len));
    return 0;
}

static void test_ship_commit_read_fetch_remove(void **state) {
    (void)state;
    static const char *const codecs[] = {"none", "zstd"};
    size_t len = 300000;
    char *data = mem_alloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * i >> 7);
    for (unsigned c = 0; c < 2; c++) {
        struct backup b = sets_backup(1, c * 3 + 1);
        struct manifest m, again;
        char name[STORE_NAME_MAX];
        sets_manifest(&m, &b, "Sales", "Sales~00000001", 1);
        assert_fails(store_find_backup(store, SETS_SCOPE, m.folder, &b, &again, &err), err, ERR_NOT_FOUND, "");
        assert_succeeds(sets_ship(store, &m, codecs[c], data, len, &err), err);
        assert_fails(store_find_backup(store, SETS_SCOPE, m.folder, &b, &again, &err), err, ERR_NOT_FOUND,
                     ""); /* no manifest, no backup */
        assert_succeeds(store_commit_backup(store, SETS_SCOPE, &m, name, &err), err);
        assert_succeeds(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err); /* twice is harmless */
        assert_succeeds(store_read_manifest(store, name, &again, &err), err);
        assert_true(manifest_equal(&m, &again));
        struct buf out;
        buf_init(&out, 1 << 20);
        struct pipe_sink sink = {.write = to_buf, .user = &out};
        assert_succeeds(store_fetch_object(store, SETS_SCOPE, again.folder, &again.objects[0], &sink, NULL, &err), err);
        assert_int_equal(out.len, len);
        assert_memory_equal(out.data, data, len);
        manifest_done(&again);
        /* The same set with another content is refused, and so is shipping over it. */
        manifest_set(&m.reason, "something else");
        assert_fails(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err, ERR_EXISTS, "with another content");
        struct manifest other;
        sets_manifest(&other, &b, "Sales", "Sales~00000001", 1);
        assert_fails(sets_ship(store, &other, codecs[c], data, 10, &err), err, ERR_EXISTS, "committed already");
        manifest_done(&other);
        /* A damaged object is found when it is read. */
        char *object = mem_printf("%s/%s/%s/%s", dir, SETS_SCOPE, m.folder, m.objects[0].name);
        int fd = open(object, O_RDWR | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(pwrite(fd, "\x55\x55", 2, 1000), 2);
        close(fd);
        assert_fails(store_fetch_object(store, SETS_SCOPE, m.folder, &m.objects[0], &sink, NULL, &err), err, ERR_CORRUPT,
                     m.objects[0].name);
        mem_free(object);
        assert_succeeds(store_remove_backup(store, SETS_SCOPE, &m, &err), err);
        assert_succeeds(store_remove_backup(store, SETS_SCOPE, &m, &err), err);
        bool there;
        assert_succeeds(store_exists(store, name, &there, &err), err);
        assert_false(there);
        buf_done(&out);
        manifest_done(&m);
    }
    mem_free(data);
}

/* Parts of a large object: the sizes add up and every part has the hash of its bytes. */
static void test_large_object_has_parts(void **state) {
    (void)state;
    size_t len = 130u << 20; /* above two parts of 64 MiB */
    char *data = mem_alloc(len);
    for (size_t i = 0; i < len; i += 512)
        data[i] = (char)(i >> 9);
    struct backup b = sets_backup(2, 0);
    struct manifest m;
    sets_manifest(&m, &b, "Big", "Big~00000002", 1);
    assert_succeeds(sets_ship(store, &m, "none", data, len, &err), err);
    const struct manifest_object *o = &m.objects[0];
    assert_int_equal(o->part_count, 3);
    size_t at = 0;
    for (size_t i = 0; i < o->part_count; i++) {
        struct hash h;
        assert_succeeds(hash_of(data + at, o->parts[i].stored_bytes, &h, &err), err);
        assert_true(hash_eq(&h, &o->parts[i].stored_sha256));
        at += o->parts[i].stored_bytes;
    }
    assert_int_equal(at, len);
    assert_succeeds(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err);
    manifest_done(&m);
    mem_free(data);
}

static void test_commit_checks_its_objects(void **state) {
    (void)state;
    struct backup b = sets_backup(1, 1);
    struct manifest m;
    sets_manifest(&m, &b, "Sales", "Sales~00000001", 1);
    assert_fails(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err, ERR_INTERNAL, "there are 0 objects");
    assert_succeeds(sets_ship(store, &m, "none", "abc", 3, &err), err);
    m.objects[0].stored_bytes = 4;
    m.objects[0].parts[0].stored_bytes = 4;
    assert_fails(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err, ERR_CORRUPT, "has 3 bytes, its manifest says 4");
    manifest_set(&m.objects[0].name, "log/none.trn");
    assert_fails(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err, ERR_NOT_FOUND, "log/none.trn");
    manifest_done(&m);
}

static void test_a_moved_manifest_is_noticed(void **state) {
    (void)state;
    assert_succeeds(sets_put(store, 1, 1, "A", "A~00000001", &err), err);
    struct backup b = sets_backup(1, 1), other = sets_backup(1, 2);
    char from[STORE_NAME_MAX], to[STORE_NAME_MAX], whole[STORE_NAME_MAX];
    name_manifest(from, &b);
    name_manifest(to, &other);
    char *command = mem_printf("cd %s/%s/A~00000001 && mv %s %s", dir, SETS_SCOPE, from, to);
    assert_int_equal(system(command), 0);
    mem_free(command);
    assert_succeeds(name_join(whole, SETS_SCOPE, "A~00000001", to, &err), err);
    struct manifest m;
    assert_fails(store_read_manifest(store, whole, &m, &err), err, ERR_CORRUPT, "describes another backup");
}

static void test_corrupt_manifest_is_one_error(void **state) {
    (void)state;
    assert_succeeds(sets_put(store, 1, 1, "A", "A~00000001", &err), err);
    struct backup b = sets_backup(1, 1);
    struct manifest m;
    char rest[STORE_NAME_MAX], name[STORE_NAME_MAX];
    name_manifest(rest, &b);
    assert_succeeds(name_join(name, SETS_SCOPE, "A~00000001", rest, &err), err);
    assert_succeeds(store_put(store, name, "{", 1, STORE_PUT_REPLACE, "", &err), err);
    assert_fails(store_read_manifest(store, name, &m, &err), err, ERR_CORRUPT, "is not JSON");
    sets_manifest(&m, &b, "A", "A~00000001", 2);
    struct manifest_object *o = manifest_add_object(&m);
    o->stripe = 1;
    o->plain_bytes = o->stored_bytes = 256;
    char object[STORE_NAME_MAX];
    name_object(object, &b, 1, "");
    manifest_set(&o->name, object);
    assert_fails(store_commit_backup(store, SETS_SCOPE, &m, NULL, &err), err, ERR_CORRUPT,
                 "of this name is there already"); /* never overwritten */
    manifest_done(&m);
}

/* ---- listing ---- */

struct seen {
    struct buf text;
    unsigned count;
};

static int see_name(void *user, const char *name, struct err *e) {
    (void)e;
    struct seen *s = user;
    buf_printf(&s->text, "%s ", name);
    s->count++;
    return 0;
}

static int see_manifest(void *user, const struct store_entry *entry, struct err *e) {
    struct seen *s = user;
    assert_true(name_is_manifest(entry->name));
    struct manifest m;
    assert_int_equal(store_read_manifest(store, entry->name, &m, e), 0);
    buf_printf(&s->text, "%u ", (unsigned)m.sequence - 1);
    manifest_done(&m);
    s->count++;
    return 0;
}

static void test_listing(void **state) {
    (void)state;
    for (uint32_t n = 0; n < 30; n++)
        assert_succeeds(sets_put(store, 1, n, "A", "A~00000001", &err), err);
    assert_succeeds(sets_put(store, 2, 0, "B", "B~00000002", &err), err);
    assert_succeeds(store_put(store, "default/sql-a/lineage.json", "{}", 2, STORE_PUT_REPLACE, "", &err), err);
    assert_succeeds(store_put(store, "other/sql-b/lineage.json", "{}", 2, STORE_PUT_REPLACE, "", &err), err);
    assert_succeeds(store_put(store, "lost+found/x", "", 0, STORE_PUT_REPLACE, "", &err), err);
    assert_succeeds(store_put(store, "default/sql-a/A~00000001/log/readme.txt", "", 0, STORE_PUT_REPLACE, "", &err), err);
    struct seen s = {0};
    buf_init(&s.text, 10000);
    assert_succeeds(store_list_instances(store, see_name, &s, &err), err);
    assert_string_equal(s.text.data, "default/sql-a other/sql-b ");
    buf_reset(&s.text);
    assert_succeeds(store_list_databases(store, SETS_SCOPE, see_name, &s, &err), err);
    assert_string_equal(s.text.data, "A~00000001 B~00000002 ");
    for (unsigned limit = 1; limit < 40; limit += 4) {
        struct store_cursor cursor = {0};
        unsigned pages = 0;
        buf_reset(&s.text);
        s.count = 0;
        while (cursor.kind < BACKUP_KIND_COUNT) {
            unsigned before = s.count;
            assert_succeeds(store_list_manifests(store, SETS_SCOPE, "A~00000001", &cursor, limit, see_manifest, &s, &err), err);
            assert_true(s.count - before <= limit);
            assert_true(++pages < 100);
        }
        assert_string_equal(s.text.data, "0 7 14 21 28 1 2 3 4 5 6 8 9 10 11 12 13 15 16 17 18 19 20 22 23 24 25 26 27 29 ");
    }
    buf_done(&s.text);
}

/* ---- names ---- */

static void test_names(void **state) {
    (void)state;
    struct backup b = sets_backup(1, 1);
    char name[STORE_NAME_MAX], folder[NAME_FOLDER_MAX], encoded[NAME_ENCODED_MAX + 1];
    struct guid family;
    assert_true(guid_parse("6A1B2C3D-0000-0000-0000-000000000000", &family));
    b.set_guid = family;
    name_manifest(name, &b);
    assert_string_equal(name, "log/0000000034000000011000001-0000000034000000012000001-20261021T000102Z-6a1b2c3d.json");
    assert_true(name_is_manifest(name));
    name_object(name, &b, 1, ".zst");
    assert_true(str_ends(name, "-6a1b2c3d.trn.zst"));
    assert_false(name_is_manifest(name));
    b.stripes = 3;
    b.kind = BACKUP_FULL;
    name_object(name, &b, 2, "");
    assert_true(str_ends(name, "-6a1b2c3d.s2.bak"));
    name_folder(folder, "Sales", &family, 1);
    assert_string_equal(folder, "Sales~6a1b2c3d");
    name_folder(folder, "Sales", &family, 2);
    assert_string_equal(folder, "Sales~6a1b2c3d-2");
    name_encode_database(encoded, "a b/..\\~%");
    assert_string_equal(encoded, "a%20b%2F..%5C%7E%25");
    name_encode_database(encoded, "..");
    assert_string_equal(encoded, "%2E.");
    char scope[NAME_SCOPE_MAX];
    assert_succeeds(name_scope(scope, "prod", "sql-0.x", &err), err);
    assert_string_equal(scope, "prod/sql-0.x");
    assert_fails(name_scope(scope, "Prod", "x", &err), err, ERR_CONFIG, "namespace 'Prod'");
    assert_fails(name_scope(scope, "prod", "-x", &err), err, ERR_CONFIG, "instance '-x'");
    assert_fails(name_scope(scope, "..", "x", &err), err, ERR_CONFIG, "namespace");
}

/* Whatever the name, the folder is a legal name, and no escape and no character is cut. */
static void test_encoded_names_are_never_cut_apart(void **state) {
    (void)state;
    static const char *const letters[] = {"a", ".", " ", "\xc3\xa4", "\xe4\xb8\xad", "\xf0\x9f\x92\xbe", "%", "\x01", "\xff"};
    srand(3);
    for (unsigned round = 0; round < 3000; round++) {
        char name[1000] = "", encoded[NAME_ENCODED_MAX + 1], folder[NAME_FOLDER_MAX], whole[STORE_NAME_MAX];
        for (unsigned i = 0, n = (unsigned)rand() % 120; i < n; i++)
            strcat(name, letters[(unsigned)rand() % ARRAY_LEN(letters)]);
        name_encode_database(encoded, name);
        assert_true(strlen(encoded) <= NAME_ENCODED_MAX);
        /* decoded, it is a prefix of the name that ends at a character */
        size_t at = 0;
        for (const char *p = encoded; *p; p++, at++) {
            uint8_t byte = (uint8_t)*p;
            if (*p == '%') {
                char digits[3] = {p[1], p[2], 0};
                assert_true(str_unhex(digits, &byte, 1));
                p += 2;
            }
            assert_int_equal((uint8_t)name[at], byte);
        }
        assert_true(((uint8_t)name[at] & 0xc0) != 0x80);
        struct guid g = sets_guid(round);
        name_folder(folder, name, &g, round % 3);
        assert_succeeds(name_join(whole, "ns/inst", folder, "log/x", &err), err);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_ship_commit_read_fetch_remove, setup, teardown),
        cmocka_unit_test_setup_teardown(test_large_object_has_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_commit_checks_its_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_moved_manifest_is_noticed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_corrupt_manifest_is_one_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_listing, setup, teardown),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_encoded_names_are_never_cut_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
