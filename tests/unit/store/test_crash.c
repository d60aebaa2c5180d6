/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every durable step of the store fails once and dies once, before and after it, each time that it is reached. Then: no half
 * manifest is listed, the old or the new state is there, and doing the same again ends as if nothing had happened.
 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "common/base/fault.h"
#include "common/base/str.h"
#include "common/store/catalog.h"
#include "common/store/holds.h"
#include "common/store/lineage.h"
#include "tests/unit/store/sets.h"

#define FOLDER "Sales~00000001"
#define RETRIED 40
#define BYTES 200000
static char *dir, *root, *catalog_path, content[BYTES];
static struct err err;

static int open_both(struct store **s, struct catalog **c, struct err *e) {
    if (store_open(root, NULL, s, e) < 0)
        return -1;
    if (catalog_open(catalog_path, root, SETS_SCOPE, CATALOG_SYNC_EACH, c, NULL, e) < 0) {
        store_free(*s);
        return -1;
    }
    return 0;
}

/* Ships set n unless it is committed, commits it, and enters it into the catalog: what the job does. */
static int backup_set(struct store *s, struct catalog *c, uint32_t n, struct err *e) {
    struct backup b = sets_backup(1, n);
    struct manifest m;
    struct err why = {0};
    int rc = store_find_backup(s, SETS_SCOPE, FOLDER, &b, &m, &why);
    if (rc < 0 && why.class != ERR_NOT_FOUND) {
        err_copy(e, &why);
        return -1;
    }
    if (rc < 0) {
        sets_manifest(&m, &b, "Sales", FOLDER, n + 1);
        rc = sets_ship(s, &m, n % 2 ? "none" : "zstd", content, BYTES, e);
    }
    uint32_t id;
    if (rc == 0)
        rc = store_commit_backup(s, SETS_SCOPE, &m, NULL, e);
    if (rc == 0)
        rc = catalog_database_put(c, FOLDER, "Sales", &b.family_guid, &b.database_guid, &id, e);
    if (rc == 0)
        rc = catalog_append(c, id, &m.backup, m.sequence, e);
    manifest_done(&m);
    return rc;
}

/* Catalog first, then manifest, then object. */
static int prune_set(struct store *s, struct catalog *c, uint32_t n, struct err *e) {
    struct backup b = sets_backup(1, n);
    struct catalog_entry entry;
    struct manifest m;
    struct err why = {0};
    if (catalog_find(c, 0, &b.set_guid, &entry, &why) == 0 && catalog_remove(c, entry.index, e) < 0)
        return -1;
    sets_manifest(&m, &b, "Sales", FOLDER, n + 1);
    struct manifest_object *o = manifest_add_object(&m);
    char name[STORE_NAME_MAX];
    name_object(name, &b, 1, n % 2 ? "" : ".zst");
    manifest_set(&o->name, name);
    int rc = store_remove_backup(s, SETS_SCOPE, &m, e);
    manifest_done(&m);
    return rc;
}

static int documents(struct store *s, struct err *e) {
    struct lineage want = {.kube_namespace = "default", .instance = "sql-a", .owner = sets_guid(4), .cluster_id = sets_guid(5)},
                   now;
    enum lineage_outcome outcome;
    struct hold hold = {.id = "h1", .set_guid = sets_guid(1), .reason = "x", .created_at = SETS_START};
    json_t *doc = json_pack("{s:s}", "version", "16");
    int rc = lineage_claim(s, &want, false, SETS_START, &now, NULL, &outcome, e);
    if (rc == 0)
        rc = instance_write(s, SETS_SCOPE, doc, e);
    json_decref(doc);
    if (rc == 0)
        rc = hold_create(s, SETS_SCOPE, FOLDER, &hold, e);
    return rc < 0 ? -1 : store_put(s, SETS_SCOPE "/note", "n", 1, STORE_PUT_REPLACE, "", e);
}

/* Sets 0..2 are committed, 1 is held, 0 is pruned, the catalog is compacted. May be done any number of times. */
static int scenario(struct err *e) {
    struct store *s;
    struct catalog *c;
    if (open_both(&s, &c, e) < 0)
        return -1;
    int rc = documents(s, e);
    uint64_t sequence = catalog_database_count(c) ? catalog_database_at(c, 0)->sequence : 0;
    for (uint32_t n = sequence >= 3 ? 1 : 0; rc == 0 && n < 3; n++)
        rc = backup_set(s, c, n, e);
    struct catalog_entry entry;
    struct guid second = sets_backup(1, 1).set_guid;
    if (rc == 0)
        rc = catalog_find(c, 0, &second, &entry, e);
    if (rc == 0)
        rc = catalog_mark(c, entry.index, BACKUP_HELD, 0, e);
    if (rc == 0)
        rc = prune_set(s, c, 0, e);
    if (rc == 0)
        rc = catalog_compact(c, e);
    catalog_free(c);
    store_free(s);
    return rc;
}

/* ---- what must be true ---- */

struct check {
    struct store *store;
    unsigned listed;
};

static int discard(void *user, const void *bytes, size_t len, size_t plain_len, struct err *e) {
    (void)plain_len, (void)e;
    size_t *at = user;
    assert_true(*at + len <= BYTES);
    assert_memory_equal(bytes, content + *at, len);
    *at += len;
    return 0;
}

static int check_manifest(void *user, const struct store_entry *entry, struct err *e) {
    struct check *check = user;
    struct manifest m;
    if (store_read_manifest(check->store, entry->name, &m, e) < 0)
        fail_msg("%s", e->text);
    size_t at = 0;
    struct pipe_sink sink = {.write = discard, .user = &at};
    if (store_fetch_object(check->store, SETS_SCOPE, FOLDER, &m.objects[0], &sink, NULL, e) < 0)
        fail_msg("%s", e->text);
    assert_int_equal(at, BYTES);
    manifest_done(&m);
    check->listed++;
    return 0;
}

static unsigned check_store(struct store *s) {
    struct check check = {.store = s};
    struct store_cursor cursor = {0};
    while (cursor.kind < BACKUP_KIND_COUNT)
        assert_succeeds(store_list_manifests(s, SETS_SCOPE, FOLDER, &cursor, 0, check_manifest, &check, &err), err);
    return check.listed;
}

/* After a crash: what the catalog has, the store has, the set that is being pruned excepted. */
static void check_after_crash(void) {
    struct store *s;
    struct catalog *c;
    assert_succeeds(open_both(&s, &c, &err), err);
    unsigned listed = check_store(s);
    assert_true(listed <= 3);
    struct catalog_entry e = {.index = CATALOG_NONE};
    while (catalog_database_count(c) && catalog_previous(c, 0, &e, &err) > 0) {
        struct manifest m;
        assert_succeeds(store_find_backup(s, SETS_SCOPE, FOLDER, &e.backup, &m, &err), err);
        manifest_done(&m);
    }
    assert_succeeds(catalog_check(c, &err), err);
    catalog_free(c);
    store_free(s);
}

static void check_end(void) {
    struct store *s;
    struct catalog *c;
    assert_succeeds(open_both(&s, &c, &err), err);
    assert_int_equal(check_store(s), 2);
    assert_int_equal(catalog_database_count(c), 1);
    struct catalog_entry e = {.index = CATALOG_NONE};
    for (uint32_t n = 2; n > 0; n--) {
        struct backup want = sets_backup(1, n);
        assert_int_equal(catalog_previous(c, 0, &e, &err), 1);
        assert_true(guid_eq(&e.backup.set_guid, &want.set_guid));
        assert_int_equal(backup_has(&e.backup, BACKUP_HELD), n == 1);
    }
    assert_int_equal(catalog_previous(c, 0, &e, &err), 0);
    assert_int_equal(catalog_database_at(c, 0)->sets, 2);
    struct lineage l;
    assert_succeeds(lineage_read(s, SETS_SCOPE, &l, &err), err);
    assert_int_equal(l.epoch, 1);
    catalog_free(c);
    store_free(s);
}

/* ---- the loop ---- */

static void fresh(void) {
    char *command = mem_printf("rm -rf '%s' '%s'*; mkdir '%s'", root, catalog_path, root);
    assert_int_equal(system(command), 0);
    mem_free(command);
}

/* 0: ended without the fault, RETRIED: failed with ERR_SPACE and was done again, 128 + signal: died. */
static int run_child(const char *fault) {
    pid_t pid = fork();
    if (!pid) {
        struct err e = {0};
        int devnull = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(devnull, STDERR_FILENO);
        setenv("MSSQL_FAULT", fault, 1);
        if (fault_init(&e) < 0)
            _exit(1);
        if (scenario(&e) == 0)
            _exit(0);
        if (e.class != ERR_SPACE)
            _exit(2);
        _exit(scenario(&e) == 0 ? RETRIED : 3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Each time that the step is reached; how many times that was. */
static unsigned run_step(const char *step, const char *when, const char *action) {
    unsigned hit = 1;
    for (;; hit++) {
        char fault[128];
        snprintf(fault, sizeof(fault), "%s:%s:%s:%u", step, when, action, hit);
        fresh();
        int result = run_child(fault);
        if (result != 0 && result != RETRIED && result != 128 + SIGKILL)
            fail_msg("%s ended with %d", fault, result);
        check_after_crash();
        if (scenario(&err) < 0)
            fail_msg("after %s: %s", fault, err.text);
        check_end();
        if (!result)
            return hit - 1;
        assert_true(hit < 100);
    }
}

static int setup(void **state) {
    (void)state;
    /* A killed process loses no page cache, so the disk adds nothing but the time of some thousand fsyncs. */
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    dir = unit_tmpdir();
    root = mem_printf("%s/store", dir);
    catalog_path = mem_printf("%s/catalog", dir);
    for (size_t i = 0; i < BYTES; i++)
        content[i] = (char)(i * i >> 9);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    mem_free(root);
    mem_free(catalog_path);
    unit_rm(dir);
    return 0;
}

static void test_without_faults(void **state) {
    (void)state;
    fresh();
    for (int i = 0; i < 3; i++) {
        assert_succeeds(scenario(&err), err);
        check_end();
    }
}

static void every_step(const char *action) {
    size_t count;
    const char *const *steps = store_fault_points(&count);
    assert_true(count >= 10);
    for (size_t i = 0; i < count; i++) {
        unsigned before = run_step(steps[i], "before", action), after = run_step(steps[i], "after", action);
        if (!before || before != after)
            fail_msg("step %s was reached %u times before and %u times after", steps[i], before, after);
    }
}

static void test_killed_at_every_step(void **state) {
    (void)state;
    every_step("kill");
}

static void test_full_at_every_step(void **state) {
    (void)state;
    every_step("enospc");
}

/* The record is in the file and not in what is resident: the handle refuses to go on, and opening it again settles that. */
static int append_twice(struct err *e) {
    struct store *s;
    struct catalog *c;
    struct backup b = sets_backup(1, 0), next = sets_backup(1, 1);
    uint32_t id;
    if (open_both(&s, &c, e) < 0 || catalog_database_put(c, FOLDER, "Sales", &b.family_guid, &b.database_guid, &id, e) < 0)
        return 10;
    if (catalog_append(c, id, &b, 1, e) == 0 || e->class != ERR_SPACE)
        return 11;
    if (catalog_append(c, id, &next, 2, e) == 0 || e->class != ERR_IO)
        return 12;
    catalog_free(c);
    store_free(s);
    if (open_both(&s, &c, e) < 0 || catalog_append(c, id, &b, 1, e) < 0 || catalog_append(c, id, &next, 2, e) < 0)
        return 13;
    bool right = catalog_database_at(c, id)->sets == 2 && catalog_check(c, e) == 0;
    catalog_free(c);
    store_free(s);
    return right ? 0 : 14;
}

static void test_a_failed_append_is_settled_by_opening(void **state) {
    (void)state;
    fresh();
    pid_t pid = fork();
    if (!pid) {
        struct err e = {0};
        int devnull = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(devnull, STDERR_FILENO);
        setenv("MSSQL_FAULT", "catalog.append:after:enospc:2", 1); /* the first is the database */
        _exit(fault_init(&e) < 0 ? 1 : append_twice(&e));
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_without_faults, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_failed_append_is_settled_by_opening, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed_at_every_step, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_at_every_step, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
