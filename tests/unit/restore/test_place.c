/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/place.h"
#include "tests/unit/restore/target_make.h"
#include "tests/unit/support/unit.h"

static void add_file(struct manifest *m, char type, const char *logical, const char *physical, uint64_t bytes) {
    struct manifest_file *f = manifest_add_file(m);
    manifest_set(&f->logical_name, logical);
    manifest_set(&f->physical_name, physical);
    f->type = type;
    f->size_bytes = bytes;
}

static void sales_manifest(struct manifest *m) {
    manifest_init(m);
    add_file(m, 'D', "sales", "/var/opt/mssql/data/sales.mdf", 100);
    add_file(m, 'L', "sales_log", "/var/opt/mssql/data/sales_log.ldf", 50);
}

struct fixture {
    struct restore_target target;
    struct restore_taken *taken;
    struct restore_place place;
    struct restore_file *files;
    size_t count;
    struct manifest m;
};

static void begin(struct fixture *f, const char *source, const char *database) {
    *f = (struct fixture){.target = target_make(), .taken = restore_taken_new()};
    f->place = (struct restore_place){.source = source, .database = database, .target = &f->target, .taken = f->taken};
    sales_manifest(&f->m);
}

static void end(struct fixture *f) {
    restore_files_done(f->files, f->count);
    restore_taken_free(f->taken);
    target_done(&f->target);
    manifest_done(&f->m);
}

static void place(struct fixture *f) {
    struct err err;
    assert_succeeds(restore_place_files(&f->place, &f->m, &f->files, &f->count, &err), err);
}

static const char *path_of(const struct fixture *f, const char *logical) {
    const struct restore_file *file = restore_file_find(f->files, f->count, logical);
    assert_non_null(file);
    return file->physical;
}

static void test_normal(void **state) {
    static const char *const table[][2] = {
        {"/var/opt/x", "/var/opt/x"},
        {"C:\\var\\opt\\x", "/var/opt/x"},
        {"c:/var//opt/./x/", "/var/opt/x"},
        {"/", "/"},
        {"//", "/"},
        {"C:\\", "/"},
        {"/a/...", "/a/..."},
        {"/a/..b", "/a/..b"},
        {"var/opt", NULL},
        {"", NULL},
        {"D:\\data\\x", NULL},
        {"/a/../b", NULL},
        {"/a/..", NULL},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        char *normal = restore_path_normal(table[i][0]);
        if (!table[i][1])
            assert_null(normal);
        else
            assert_string_equal(normal, table[i][1]);
        mem_free(normal);
    }
}

static void test_same_name(void **state) {
    struct fixture f;
    (void)state;
    begin(&f, "sales", "sales");
    place(&f);
    assert_string_equal(path_of(&f, "SALES"), "/var/opt/mssql/data/sales.mdf");
    assert_string_equal(path_of(&f, "sales_log"), "/var/opt/mssql/log/sales_log.ldf");
    assert_int_equal(f.files[0].how, RESTORE_PLACED_RULE);
    assert_string_equal(f.files[0].source_path, "/var/opt/mssql/data/sales.mdf");
    end(&f);
}

/* name of the database in the backup, new name, path in the backup, type, what comes of it */
static void test_names(void **state) {
    static const struct {
        const char *source, *database, *physical, *want;
        char type;
    } table[] = {
        {"sales", "copy", "/d/sales.mdf", "copy.mdf", 'D'},
        {"sales", "copy", "/d/SALES_2.ndf", "copy_2.ndf", 'D'},
        {"sales", "copy", "/d/sales2.ndf", "copy_sales2.ndf", 'D'},
        {"sales", "copy", "/d/data1.ndf", "copy_data1.ndf", 'D'},
        {"sales", "copy", "C:\\Program Files\\MSSQL\\DATA\\sales.mdf", "copy.mdf", 'D'},
        {"sales", "sales", "C:\\x\\odd name.mdf", "odd name.mdf", 'D'},
        {"sales", "a/b:c*", "/d/sales.mdf", "a_b_c_.mdf", 'D'},
        {"sales", ".hidden", "/d/sales.mdf", "_hidden.mdf", 'D'},
        {"sales", "copy", "/d/sales", "copy", 'D'},
        {"sales", "copy", "/d/.mdf", "copy_.mdf", 'D'},
        {"sales", "copy", "/d/sales_mod", "copy_mod", 'S'},
        {"sales", "copy", "/d/sales.x/", "copy.x", 'S'},
        {"sales", "größe", "/d/sales.mdf", "größe.mdf", 'D'},
        {"sales", "copy", "/d/archive.2026.mdf", "copy_archive.2026.mdf", 'D'},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fixture f;
        begin(&f, table[i].source, table[i].database);
        manifest_done(&f.m);
        manifest_init(&f.m);
        add_file(&f.m, table[i].type, "one", table[i].physical, 1);
        place(&f);
        _cleanup_free_ char *want = mem_printf("/var/opt/mssql/data/%s", table[i].want);
        assert_string_equal(path_of(&f, "one"), want);
        end(&f);
    }
}

static void test_collisions(void **state) {
    struct fixture f;
    (void)state;
    begin(&f, "sales", "sales");
    target_add_db(&f.target, 5, "other");
    target_add_file(&f.target, 5, 'D', "sales", "/var/opt/mssql/data/Sales.mdf", 1); /* differs in case only: looks the same */
    target_add_file(&f.target, 2, 'D', "tempdev", "C:\\var\\opt\\mssql\\data\\sales_2.mdf", 1);
    restore_taken_add_target(f.taken, &f.target, NULL);
    restore_taken_add(f.taken, "/var/opt/mssql/log/sales_log.ldf", "a file");
    place(&f);
    assert_string_equal(path_of(&f, "sales"), "/var/opt/mssql/data/sales_3.mdf");
    assert_string_equal(path_of(&f, "sales_log"), "/var/opt/mssql/log/sales_log_2.ldf");
    assert_string_equal(restore_taken_find(f.taken, "/var/opt/mssql/data/sales_2.mdf"), "database 'tempdb'");
    assert_string_equal(restore_taken_find(f.taken, "/var/opt/mssql/data/Sales.mdf"), "database 'other'");
    assert_null(restore_taken_find(f.taken, "/var/opt/mssql/data/free.mdf"));
    end(&f);
}

/* Two files of one name in one set, and two databases at once. */
static void test_within(void **state) {
    struct fixture f;
    (void)state;
    begin(&f, "sales", "copy");
    add_file(&f.m, 'D', "second", "/mnt/other/sales.mdf", 1);
    place(&f);
    assert_string_equal(path_of(&f, "sales"), "/var/opt/mssql/data/copy.mdf");
    assert_string_equal(path_of(&f, "second"), "/var/opt/mssql/data/copy_2.mdf");
    struct restore_place other = f.place;
    struct restore_file *files = NULL;
    size_t count = 0;
    struct err err;
    other.source = "copy";
    other.database = "copy2";
    struct manifest m;
    manifest_init(&m);
    add_file(&m, 'D', "x", "/d/copy2.mdf", 1);
    add_file(&m, 'D', "y", "/d/copy.mdf", 1);
    other.database = "copy";
    assert_succeeds(restore_place_files(&other, &m, &files, &count, &err), err);
    assert_string_equal(files[0].physical, "/var/opt/mssql/data/copy2.mdf");
    assert_string_equal(files[1].physical, "/var/opt/mssql/data/copy_3.mdf");
    restore_files_done(files, count);
    manifest_done(&m);
    end(&f);
}

static void test_many(void **state) {
    struct fixture f;
    (void)state;
    begin(&f, "sales", "copy");
    for (int i = 0; i < 3000; i++) { /* the table grows, every name is another one */
        char logical[32];
        snprintf(logical, sizeof(logical), "part%d", i);
        add_file(&f.m, 'D', logical, "/d/sales_part.ndf", 1);
    }
    place(&f);
    assert_int_equal(f.count, 3002);
    assert_string_equal(path_of(&f, "part0"), "/var/opt/mssql/data/copy_part.ndf");
    assert_string_equal(path_of(&f, "part2999"), "/var/opt/mssql/data/copy_part_3000.ndf");
    end(&f);
}

static void test_long(void **state) {
    struct fixture f;
    char name[600], dir[600], path[700];
    (void)state;
    memset(name, 0, sizeof(name));
    for (int i = 0; i < 128; i++)
        strcat(name, "ü"); /* 256 bytes: more than a file name may have */
    begin(&f, "sales", name);
    place(&f);
    const char *data = path_of(&f, "sales");
    const char *last = strrchr(data, '/') + 1;
    assert_true(strlen(last) <= 255);
    assert_true(sql_text_units(data) > 0 && sql_text_units(data) <= SQL_PATH_CHARS);
    assert_true(str_ends(data, ".mdf"));
    assert_string_not_equal(data, path_of(&f, "sales_log"));
    end(&f);

    memset(dir, 'd', 240); /* hardly room for a name */
    dir[0] = '/';
    dir[240] = 0;
    begin(&f, "sales", "copy");
    f.place.data_dir = dir;
    place(&f);
    snprintf(path, sizeof(path), "%s/copy.mdf", dir);
    assert_string_equal(path_of(&f, "sales"), path);
    end(&f);

    memset(dir, 'd', 258);
    dir[0] = '/';
    dir[258] = 0;
    begin(&f, "sales", "copy");
    f.place.data_dir = dir;
    struct err err;
    assert_fails(restore_place_files(&f.place, &f.m, &f.files, &f.count, &err), err, ERR_USAGE, "too long");
    assert_int_equal(f.count, 0);
    end(&f);
}

static void test_moves(void **state) {
    struct restore_move moves[] = {{(char[]){"SALES"}, (char[]){"C:\\fast\\main.mdf"}}};
    struct fixture f;
    (void)state;
    begin(&f, "sales", "copy");
    f.place.moves = moves;
    f.place.move_count = 1;
    f.place.log_dir = "/logs/";
    place(&f);
    assert_string_equal(path_of(&f, "sales"), "/fast/main.mdf");
    assert_int_equal(restore_file_find(f.files, f.count, "sales")->how, RESTORE_PLACED_MOVE);
    assert_string_equal(path_of(&f, "sales_log"), "/logs/copy_log.ldf");
    struct err err;
    assert_succeeds(restore_place_check(&f.place, f.files, f.count, &err), err);
    moves[0].logical = (char[]){"nobody"};
    assert_fails(restore_place_check(&f.place, f.files, f.count, &err), err, ERR_USAGE,
                 "no file 'nobody' to move; its files are 'sales', 'sales_log'");
    end(&f);
}

static void test_bad_moves(void **state) {
    static const struct {
        const char *path;
        enum err_class class;
        const char *text;
    } table[] = {
        {"relative.mdf", ERR_USAGE, "absolute path"},
        {"/", ERR_USAGE, "absolute path"},
        {"/data/", ERR_USAGE, "absolute path"},
        {"/data/../etc/x", ERR_USAGE, "absolute path"},
        {"D:\\data\\x", ERR_USAGE, "absolute path"},
        {"/data/other.mdf", ERR_EXISTS, "in use by database 'other'"},
        {"/data/mod/x.mdf", ERR_EXISTS, "in use by database 'other'"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct restore_move move = {(char[]){"sales_log"}, (char *)(uintptr_t)table[i].path};
        struct fixture f;
        struct err err;
        begin(&f, "sales", "copy");
        target_add_db(&f.target, 5, "other");
        target_add_file(&f.target, 5, 'D', "other", "/data/other.mdf", 1);
        target_add_file(&f.target, 5, 'S', "mod", "/data/mod", 1);
        restore_taken_add_target(f.taken, &f.target, NULL);
        f.place.moves = &move;
        f.place.move_count = 1;
        assert_fails(restore_place_files(&f.place, &f.m, &f.files, &f.count, &err), err, table[i].class, table[i].text);
        assert_int_equal(f.count, 0);
        assert_null(f.files);
        end(&f);
    }
}

/* Two moves to one path. */
static void test_same_move(void **state) {
    struct restore_move moves[] = {{(char[]){"sales"}, (char[]){"/d/one"}}, {(char[]){"sales_log"}, (char[]){"/d//one"}}};
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f, "sales", "copy");
    f.place.moves = moves;
    f.place.move_count = 2;
    assert_fails(restore_place_files(&f.place, &f.m, &f.files, &f.count, &err), err, ERR_EXISTS,
                 "file 'sales' of database 'copy'");
    end(&f);
}

static void in_place(struct fixture *f) {
    begin(f, "sales", "sales");
    f->target.databases = NULL;
    target_add_db(&f->target, 6, "sales");
    target_add_db(&f->target, 7, "other");
    target_add_file(&f->target, 6, 'D', "Sales", "/disk1/s.mdf", 70);
    target_add_file(&f->target, 6, 'L', "sales_log", "/disk2/s.ldf", 40);
    target_add_file(&f->target, 6, 'D', "gone", "/disk1/gone.ndf", 5);
    target_add_file(&f->target, 7, 'D', "other", "/disk1/sales_new.ndf", 5);
    f->place.replaced = &f->target.databases[0];
    restore_taken_add_target(f->taken, &f->target, "sales");
}

static void test_in_place(void **state) {
    struct fixture f;
    (void)state;
    in_place(&f);
    add_file(&f.m, 'D', "new", "/var/opt/mssql/data/sales_new.ndf", 10);
    add_file(&f.m, 'D', "sneaky", "/x/s.mdf", 10); /* comes before in no order: the kept name has precedence */
    place(&f);
    assert_string_equal(path_of(&f, "sales"), "/disk1/s.mdf");
    assert_int_equal(restore_file_find(f.files, f.count, "sales")->how, RESTORE_PLACED_KEPT);
    assert_int_equal(restore_file_find(f.files, f.count, "sales")->replaced_bytes, 70);
    assert_string_equal(path_of(&f, "sales_log"), "/disk2/s.ldf");
    assert_string_equal(path_of(&f, "new"), "/disk1/sales_new_2.ndf"); /* beside its other files, not over somebody's */
    assert_string_equal(path_of(&f, "sneaky"), "/disk1/s_2.mdf");
    end(&f);

    in_place(&f); /* a directory that was asked for wins */
    f.place.data_dir = "/new";
    place(&f);
    assert_string_equal(path_of(&f, "sales"), "/new/sales.mdf");
    assert_string_equal(path_of(&f, "sales_log"), "/disk2/s.ldf");
    end(&f);

    in_place(&f); /* the same logical name, but a log there: not the same file */
    manifest_done(&f.m);
    manifest_init(&f.m);
    add_file(&f.m, 'D', "sales_log", "/x/sales_log", 1);
    place(&f);
    assert_string_equal(path_of(&f, "sales_log"), "/disk1/sales_log");
    end(&f);
}

/* Files that later sets bring. */
static void test_later(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f, "sales", "copy");
    place(&f);
    manifest_done(&f.m);
    sales_manifest(&f.m);
    f.m.files[0].size_bytes = 999; /* it grew */
    f.m.files[1].size_bytes = 1; /* it was shrunk: RESTORE of the full needs the larger size */
    add_file(&f.m, 'D', "added", "/var/opt/mssql/data/added.ndf", 7);
    place(&f);
    assert_int_equal(f.count, 3);
    assert_int_equal(f.files[0].size_bytes, 999);
    assert_int_equal(f.files[1].size_bytes, 50);
    assert_string_equal(f.files[2].physical, "/var/opt/mssql/data/copy_added.ndf");
    /* A failure leaves what was there. */
    struct restore_move move = {(char[]){"bad"}, (char[]){"nowhere"}};
    f.place.moves = &move;
    f.place.move_count = 1;
    add_file(&f.m, 'D', "fine", "/d/fine.ndf", 7);
    add_file(&f.m, 'D', "bad", "/d/bad.ndf", 7);
    assert_fails(restore_place_files(&f.place, &f.m, &f.files, &f.count, &err), err, ERR_USAGE, "file 'bad' of database 'copy'");
    assert_int_equal(f.count, 3);
    end(&f);
}

static void test_no_default(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f, "sales", "copy");
    f.target.server.log_path[0] = 0; /* then it goes beside the data */
    place(&f);
    assert_string_equal(path_of(&f, "sales_log"), "/var/opt/mssql/data/copy_log.ldf");
    end(&f);
    begin(&f, "sales", "copy");
    f.target.server.data_path[0] = 0;
    assert_fails(restore_place_files(&f.place, &f.m, &f.files, &f.count, &err), err, ERR_CONFIG, "name a directory");
    end(&f);
    begin(&f, "sales", "copy");
    f.place.data_dir = "data";
    assert_fails(restore_place_files(&f.place, &f.m, &f.files, &f.count, &err), err, ERR_USAGE, "not an absolute path");
    end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal),     cmocka_unit_test(test_same_name), cmocka_unit_test(test_names),
        cmocka_unit_test(test_collisions), cmocka_unit_test(test_within),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_long),       cmocka_unit_test(test_moves),     cmocka_unit_test(test_bad_moves),
        cmocka_unit_test(test_same_move),  cmocka_unit_test(test_in_place),  cmocka_unit_test(test_later),
        cmocka_unit_test(test_no_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
