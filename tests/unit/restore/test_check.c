/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/check.h"
#include "tests/unit/restore/target_make.h"

#define GIB (UINT64_C(1) << 30)

static char sales[] = "sales", sales_path[] = "/data/sales.mdf";
static char sales_log[] = "sales_log", sales_log_path[] = "/log/sales.ldf";

struct fixture {
    struct restore_target target;
    struct manifest m;
    struct restore_file files[2];
    enum target_path found[2];
    struct restore_check check;
    struct restore_findings findings;
};

static void begin(struct fixture *f) {
    *f = (struct fixture){.target = target_make()};
    manifest_init(&f->m);
    manifest_set(&f->m.database, "sales");
    manifest_set(&f->m.collation, "SQL_Latin1_General_CP1_CI_AS");
    manifest_set(&f->m.product_version, "16.0.4236.2");
    f->m.database_version = 957;
    f->files[0] = (struct restore_file){.logical = sales, .physical = sales_path, .type = 'D', .size_bytes = GIB};
    f->files[1] = (struct restore_file){.logical = sales_log, .physical = sales_log_path, .type = 'L', .size_bytes = GIB};
    f->found[0] = f->found[1] = TARGET_PATH_FREE;
    f->check = (struct restore_check){
        .target = &f->target, .database = "sales", .manifest = &f->m, .files = f->files, .file_count = 2, .found = f->found};
}

static void end(struct fixture *f) {
    restore_findings_done(&f->findings);
    manifest_done(&f->m);
    target_done(&f->target);
}

static void run(struct fixture *f) {
    restore_findings_done(&f->findings);
    restore_check_database(&f->check, &f->findings);
}

/* The only finding of this name, NULL when there is none. */
static const struct restore_finding *find(const struct fixture *f, const char *name) {
    const struct restore_finding *found = NULL;
    for (size_t i = 0; i < f->findings.count; i++) {
        if (strcmp(f->findings.items[i].name, name) != 0)
            continue;
        assert_null(found);
        found = &f->findings.items[i];
    }
    return found;
}

#define assert_finding(f, name_, verdict_, part)                                                                                 \
    do {                                                                                                                         \
        const struct restore_finding *x_ = find((f), (name_));                                                                   \
        assert_non_null(x_);                                                                                                     \
        if (x_->verdict != (verdict_) || !strstr(x_->message, (part)))                                                           \
            fail_msg("%s: %s", restore_verdict_name(x_->verdict), x_->message);                                                  \
        assert_int_equal(x_->class != ERR_NONE, x_->verdict == RESTORE_CHECK_ERROR);                                             \
        assert_true(x_->hint[0] || x_->verdict != RESTORE_CHECK_ERROR);                                                          \
    } while (0)

static void test_fine(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    run(&f);
    for (size_t i = 0; i < f.findings.count; i++)
        if (f.findings.items[i].verdict != RESTORE_CHECK_OK)
            fail_msg("%s: %s", f.findings.items[i].name, f.findings.items[i].message);
    assert_succeeds(restore_check_verdict(&f.findings, &err), err);
    assert_string_equal(restore_verdict_name(RESTORE_CHECK_OK), "ok");
    assert_string_equal(restore_verdict_name(RESTORE_CHECK_UNKNOWN), "unknown");
    assert_string_equal(restore_verdict_name(RESTORE_CHECK_WARNING), "warning");
    assert_string_equal(restore_verdict_name(RESTORE_CHECK_ERROR), "error");
    end(&f);
}

static void test_version(void **state) {
    static const struct {
        uint32_t theirs;
        int mine;
        bool standby;
        enum restore_verdict verdict;
        const char *text;
    } table[] = {
        {957, 957, false, RESTORE_CHECK_OK, "same version"},
        {957, 957, true, RESTORE_CHECK_OK, "same version"},
        {958, 957, false, RESTORE_CHECK_ERROR, "newer SQL Server (16.0.4236.2, database version 958)"},
        {904, 957, false, RESTORE_CHECK_WARNING, "upgraded from version 904 to 957"},
        {904, 957, true, RESTORE_CHECK_ERROR, "upgraded from version 904 to 957"},
        {539, 957, false, RESTORE_CHECK_ERROR, "too old"},
        {0, 957, false, RESTORE_CHECK_UNKNOWN, "not known"},
        {957, 0, false, RESTORE_CHECK_UNKNOWN, "not known"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct fixture f;
        begin(&f);
        f.m.database_version = table[i].theirs;
        f.target.database_version = table[i].mine;
        f.check.standby = table[i].standby;
        run(&f);
        assert_finding(&f, "version", table[i].verdict, table[i].text);
        end(&f);
    }
}

static void test_express(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    f.files[0].size_bytes = 11 * GIB;
    run(&f);
    assert_null(find(&f, "edition"));
    f.target.server.engine_edition = 4;
    str_copy(f.target.server.edition, sizeof(f.target.server.edition), "Express Edition (64-bit)");
    run(&f);
    assert_finding(&f, "edition", RESTORE_CHECK_ERROR, "11.0 GiB, and Express Edition (64-bit) holds databases up to 10.0 GiB");
    f.files[0].size_bytes = 10 * GIB;
    f.files[1].size_bytes = 100 * GIB; /* the log does not count */
    run(&f);
    assert_finding(&f, "edition", RESTORE_CHECK_OK, "10.0 GiB");
    f.files[0].size_bytes = 50 * GIB;
    f.target.server.major = 17;
    run(&f);
    assert_finding(&f, "edition", RESTORE_CHECK_OK, "50.0 GiB");
    end(&f);
}

static void test_tde(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    manifest_set(&f.m.tde_thumbprint, "0xabcd");
    run(&f);
    assert_finding(&f, "tde", RESTORE_CHECK_ERROR, "does not have the certificate with thumbprint 0xabcd");
    manifest_set(&f.m.tde_thumbprint, "ABCD");
    run(&f);
    assert_finding(&f, "tde", RESTORE_CHECK_ERROR, "thumbprint 0xABCD");
    f.target.certificates_known = false;
    run(&f);
    assert_finding(&f, "tde", RESTORE_CHECK_UNKNOWN, "may not see");
    target_add_certificate(&f.target, "ABCD", false);
    run(&f);
    assert_finding(&f, "tde", RESTORE_CHECK_ERROR, "without its private key");
    f.target.certificates[0].private_key = true;
    manifest_set(&f.m.tde_thumbprint, "abcd");
    run(&f);
    assert_finding(&f, "tde", RESTORE_CHECK_OK, "is there");
    assert_int_equal(target_certificate_find(&f.target, "0xABcd"), TARGET_CERTIFICATE_GOOD);
    end(&f);
}

static void test_collation(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    manifest_set(&f.m.collation, "Latin1_General_100_BIN2");
    run(&f);
    assert_finding(&f, "collation", RESTORE_CHECK_WARNING, "Latin1_General_100_BIN2");
    manifest_set(&f.m.collation, ""); /* an old manifest */
    run(&f);
    assert_null(find(&f, "collation"));
    end(&f);
}

static void test_name(void **state) {
    struct fixture f;
    char name[200];
    (void)state;
    begin(&f);
    f.check.database = "MSDB";
    run(&f);
    assert_finding(&f, "name", RESTORE_CHECK_ERROR, "system database");
    f.check.database = "msdb_copy"; /* to look into it */
    manifest_set(&f.m.database, "msdb");
    run(&f);
    assert_null(find(&f, "name"));
    f.check.database = "";
    run(&f);
    assert_finding(&f, "name", RESTORE_CHECK_ERROR, "1 to 128 characters");
    memset(name, 'x', 129);
    name[129] = 0;
    f.check.database = name;
    run(&f);
    assert_finding(&f, "name", RESTORE_CHECK_ERROR, "1 to 128 characters");
    name[128] = 0;
    run(&f);
    assert_null(find(&f, "name"));
    f.check.database = "a\xff";
    run(&f);
    assert_finding(&f, "name", RESTORE_CHECK_ERROR, "valid text");
    end(&f);
}

static void test_rights(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    f.target.sysadmin = f.target.create_any_database = false;
    run(&f);
    assert_finding(&f, "permission", RESTORE_CHECK_ERROR, "'admin' may not create databases");
    assert_string_equal(find(&f, "permission")->hint, "ALTER SERVER ROLE [dbcreator] ADD MEMBER [admin]");
    assert_int_equal(find(&f, "permission")->class, ERR_PERMISSION);
    struct err err;
    assert_fails(restore_check_login(&f.target, &err), err, ERR_PERMISSION, "ALTER SERVER ROLE [dbcreator] ADD MEMBER [admin]");
    f.target.create_any_database = true; /* enough where nothing is */
    assert_succeeds(restore_check_login(&f.target, &err), err);
    run(&f);
    assert_null(find(&f, "permission"));
    f.check.there = target_add_db(&f.target, 6, "sales");
    run(&f);
    assert_finding(&f, "permission", RESTORE_CHECK_ERROR, "may not restore over databases that it does not own");
    f.target.databases[0].mine = true;
    f.check.there = &f.target.databases[0];
    f.check.tail = true;
    run(&f);
    assert_null(find(&f, "permission"));
    f.target.databases[0].mine = false;
    f.target.dbcreator = true;
    run(&f);
    assert_finding(&f, "permission", RESTORE_CHECK_WARNING, "db_backupoperator");
    f.check.tail = false;
    f.check.reapply_options = true;
    run(&f);
    assert_null(find(&f, "permission"));
    manifest_set(&f.m.options.owner, "sa");
    run(&f);
    assert_finding(&f, "permission", RESTORE_CHECK_WARNING, "sysadmin");
    f.check.reapply_options = false;
    f.target.server_state = false;
    run(&f);
    assert_finding(&f, "permission", RESTORE_CHECK_UNKNOWN, "VIEW SERVER STATE");
    end(&f);
}

static void test_there(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    struct target_db *db = target_add_db(&f.target, 6, "sales");
    f.check.there = db;
    db->info.in_group = true;
    db->has_snapshots = true;
    run(&f);
    assert_finding(&f, "group", RESTORE_CHECK_ERROR, "availability group");
    assert_finding(&f, "snapshots", RESTORE_CHECK_ERROR, "snapshots of it exist");
    end(&f);
}

static void test_files(void **state) {
    struct fixture f;
    struct err err;
    (void)state;
    begin(&f);
    f.found[0] = TARGET_PATH_NO_FOLDER;
    run(&f);
    assert_finding(&f, "files", RESTORE_CHECK_ERROR, "the directory for '/data/sales.mdf' is not there");
    f.found[0] = TARGET_PATH_FILE;
    run(&f);
    assert_finding(&f, "files", RESTORE_CHECK_ERROR, "'/data/sales.mdf' that belongs to no database");
    f.files[0].how = RESTORE_PLACED_KEPT; /* its own */
    run(&f);
    assert_null(find(&f, "files"));
    f.files[0].how = RESTORE_PLACED_MOVE;
    f.files[0].replaced_bytes = 1;
    run(&f);
    assert_null(find(&f, "files"));
    f.files[0].replaced_bytes = 0;
    f.check.ours = true;
    run(&f);
    assert_null(find(&f, "files"));
    f.check.ours = false;
    f.found[0] = TARGET_PATH_FOLDER;
    run(&f);
    assert_finding(&f, "files", RESTORE_CHECK_ERROR, "is a directory");
    assert_fails(restore_check_verdict(&f.findings, &err), err, ERR_EXISTS,
                 "sales: '/data/sales.mdf' is a directory. name another");
    f.found[1] = TARGET_PATH_NO_FOLDER;
    f.m.database_version = 998;
    restore_findings_done(&f.findings);
    restore_check_database(&f.check, &f.findings);
    assert_fails(restore_check_verdict(&f.findings, &err), err, ERR_UNSUPPORTED, "2 more things are in the way");
    f.found[0] = f.found[1] = TARGET_PATH_UNKNOWN;
    run(&f);
    assert_finding(&f, "files", RESTORE_CHECK_UNKNOWN, "could not be asked");
    f.check.found = NULL;
    run(&f);
    assert_null(find(&f, "files"));
    end(&f);
}

/* --- room ------------------------------------------------------------------------------------------------------ */

static void room(struct fixture *f, const char *staging, uint64_t bytes, uint64_t least, uint64_t free) {
    const struct restore_file *files[] = {f->files, f->files};
    const size_t counts[] = {2, 0};
    const struct restore_check_space check = {.target = &f->target,
                                              .files = files,
                                              .file_counts = counts,
                                              .database_count = 2,
                                              .staging_server = staging,
                                              .staging_bytes = bytes,
                                              .staging_least = least,
                                              .staging_free = free};
    restore_findings_done(&f->findings);
    restore_check_room(&check, &f->findings);
}

static void test_room(void **state) {
    struct fixture f;
    (void)state;
    begin(&f); /* both directories on one volume */
    target_add_volume(&f.target, "/data", "/", 100 * GIB, 2 * GIB);
    target_add_volume(&f.target, "/log", "/", 100 * GIB, 2 * GIB);
    room(&f, NULL, 0, 0, 0);
    assert_finding(&f, "space", RESTORE_CHECK_OK, "2.0 GiB for files and 0 B for staging of 2.0 GiB free");
    f.target.volumes[0].free_bytes--;
    room(&f, NULL, 0, 0, 0);
    assert_finding(&f, "space", RESTORE_CHECK_ERROR,
                   "(2147483647 bytes), the databases' files need 2.0 GiB (2147483648 bytes): 1 B are missing");
    assert_int_equal(find(&f, "space")->class, ERR_SPACE);
    assert_string_equal(find(&f, "space")->subject, "/data");
    f.files[0].replaced_bytes = GIB / 2; /* is overwritten */
    room(&f, NULL, 0, 0, 0);
    assert_finding(&f, "space", RESTORE_CHECK_OK, "1.5 GiB for files");
    room(&f, "/data/staging", 10 * GIB, GIB / 2, GIB); /* staging is on it too */
    assert_finding(&f, "space", RESTORE_CHECK_ERROR, "1.5 GiB and staging 512 MiB");
    assert_finding(&f, "staging", RESTORE_CHECK_OK, "at least 512 MiB of 1.0 GiB free");
    room(&f, "/elsewhere", 10 * GIB, GIB / 2, GIB);
    assert_finding(&f, "space", RESTORE_CHECK_OK, "1.5 GiB for files");
    end(&f);

    begin(&f); /* two volumes, one too small */
    target_add_volume(&f.target, "/data", "/data", 100 * GIB, 2 * GIB);
    target_add_volume(&f.target, "/log", "/log", 50 * GIB, GIB / 4);
    room(&f, NULL, 0, 0, 0);
    assert_int_equal(f.findings.count, 2);
    assert_int_equal(f.findings.items[0].verdict, RESTORE_CHECK_OK);
    assert_int_equal(f.findings.items[1].verdict, RESTORE_CHECK_ERROR);
    assert_non_null(strstr(f.findings.items[1].message, "768 MiB are missing"));
    end(&f);

    begin(&f); /* a directory nobody knows anything of */
    target_add_volume(&f.target, "/log", "/log", 50 * GIB, 40 * GIB);
    room(&f, NULL, 0, 0, 0);
    assert_int_equal(f.findings.count, 2);
    assert_int_equal(f.findings.items[1].verdict, RESTORE_CHECK_UNKNOWN);
    assert_non_null(strstr(f.findings.items[1].message, "1.0 GiB are needed where free space is not known"));
    f.target.volumes_known = false;
    f.target.volume_count = 0;
    room(&f, NULL, 0, 0, 0);
    assert_finding(&f, "space", RESTORE_CHECK_UNKNOWN, "2.0 GiB are needed");
    assert_non_null(strstr(find(&f, "space")->hint, "VIEW SERVER STATE"));
    end(&f);
}

static void test_staging(void **state) {
    struct fixture f;
    (void)state;
    begin(&f);
    room(&f, "/staging", GIB, 2 * GIB, 100 * GIB);
    assert_finding(&f, "staging", RESTORE_CHECK_ERROR, "the largest backup file takes 2.0 GiB, staging may hold 1.0 GiB");
    room(&f, "/staging", 5 * GIB, 2 * GIB, GIB);
    assert_finding(&f, "staging", RESTORE_CHECK_ERROR, "has 1.0 GiB free");
    room(&f, "/staging", 5 * GIB, 2 * GIB, UINT64_MAX);
    assert_finding(&f, "staging", RESTORE_CHECK_UNKNOWN, "could not be measured; 2.0 GiB are needed");
    end(&f);
}

static void test_volume_of(void **state) {
    struct restore_target t = target_make();
    (void)state;
    target_add_volume(&t, "/var/opt/mssql/data", "/", 10, 1);
    target_add_volume(&t, "/mnt/fast/db1", "/mnt/fast", 20, 2);
    target_add_volume(&t, "/", "/", 30, 3);
    assert_ptr_equal(target_volume_of(&t, "/var/opt/mssql/data/x.mdf"), &t.volumes[0]);
    assert_ptr_equal(target_volume_of(&t, "C:\\var\\opt\\mssql\\data\\x.mdf"), &t.volumes[0]);
    assert_ptr_equal(target_volume_of(&t, "/var/opt/mssql/data/sub/x.mdf"), &t.volumes[0]);
    assert_ptr_equal(target_volume_of(&t, "/mnt/fast/db2/x.mdf"), &t.volumes[1]); /* by the mount point */
    assert_ptr_equal(target_volume_of(&t, "/x.mdf"), &t.volumes[2]);
    assert_null(target_volume_of(&t, "/var/opt/mssql/database/x.mdf")); /* not below data */
    assert_null(target_volume_of(&t, "/mnt/faster/x.mdf"));
    assert_null(target_volume_of(&t, "relative"));
    assert_null(target_volume_of(&t, "/a/../b/x"));
    target_done(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fine),   cmocka_unit_test(test_version),   cmocka_unit_test(test_express),
        cmocka_unit_test(test_tde),    cmocka_unit_test(test_collation), cmocka_unit_test(test_name),
        cmocka_unit_test(test_rights), cmocka_unit_test(test_there),     cmocka_unit_test(test_files),
        cmocka_unit_test(test_room),   cmocka_unit_test(test_staging),   cmocka_unit_test(test_volume_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
