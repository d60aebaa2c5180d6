/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/file.h"
#include "common/base/str.h"
#include "common/restore/journal.h"

#define ID "20261121T024700Z-restore-00000001"

static char *dir;
static struct err err;

static int setup(void **state) {
    (void)state;
    dir = unit_tmpdir();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unit_rm(dir);
    return 0;
}

static void fill(struct restore_journal *j) {
    struct restore_request r;
    restore_request_init(&r);
    str_copy(r.id, sizeof(r.id), ID);
    (void)restore_request_add_wish(&r, "orders", NULL);
    restore_journal_new(dir, &r, j);
    restore_request_done(&r);
    str_copy(j->server.address, sizeof(j->server.address), "sql:1433");
    for (int i = 0; i < 2; i++) {
        struct restore_entry *e = restore_journal_add(j);
        restore_entry_set(&e->database, "orders");
        restore_entry_set(&e->folder, "orders~00000001");
        restore_entry_set(&e->target, i ? "copy" : "orders");
        e->files = mem_array(1, sizeof(*e->files));
        e->files[e->file_count++] = (struct restore_move){mem_strdup("a"), mem_strdup("/data/a")};
        guid_random(&e->base);
        e->judged = i == 0;
        e->before = (struct restore_identity){.there = true, .id = 7, .created = "2026-11-21 02:47:00.123", .state = 1};
        guid_random(&e->family);
        e->short_at = 4711;
        restore_entry_avoid(e, &e->base);
        restore_entry_avoid(e, &e->base);
        assert_int_equal(e->avoid_count, 1);
    }
}

static void test_steps_survive(void **state) {
    (void)state;
    struct restore_journal j, back;
    struct err why;
    fill(&j);
    assert_succeeds(restore_journal_begin(&j, &err), err);
    assert_succeeds(restore_journal_step(&j, &j.entries[0], RESTORE_RESTORING, &err), err);
    j.entries[0].base_done = true;
    assert_succeeds(restore_journal_note(&j, &err), err);
    err_clear(&why);
    (void)err_set(&why, ERR_CHAIN, "a text that ends in half a character: \xc3");
    assert_succeeds(restore_journal_end(&j, &j.entries[1], RESTORE_FAILED, &why, &err), err);
    assert_succeeds(restore_journal_load(dir, ID, &back, &err), err);
    assert_int_equal(back.count, 2);
    assert_int_equal(back.entries[0].step, RESTORE_RESTORING);
    assert_true(back.entries[0].base_done);
    assert_true(back.entries[0].judged && !back.entries[1].judged);
    assert_true(restore_identity_same(&back.entries[0].before, &j.entries[0].before));
    assert_false(back.entries[0].mine.there);
    assert_true(guid_eq(&back.entries[0].family, &j.entries[0].family));
    assert_int_equal(back.entries[0].short_at, 4711);
    assert_false(back.entries[1].before.there);
    assert_string_equal(back.server.address, "sql:1433");
    assert_int_equal(back.entries[0].outcome, RESTORE_PLANNED);
    assert_int_equal(back.entries[1].outcome, RESTORE_FAILED);
    assert_int_equal(back.entries[1].err.class, ERR_CHAIN);
    assert_string_equal(back.entries[1].target, "copy");
    assert_string_equal(back.entries[1].files[0].physical, "/data/a");
    assert_true(guid_eq(&back.entries[0].base, &j.entries[0].base));
    assert_true(restore_entry_avoids(&back.entries[0], &j.entries[0].base));
    assert_false(restore_journal_complete(&back));
    for (size_t i = 0; i < back.count; i++)
        assert_succeeds(restore_journal_end(&back, &back.entries[i], RESTORE_FINISHED, NULL, &err), err);
    assert_true(restore_journal_complete(&back));
    restore_journal_done(&j);
    restore_journal_done(&back);
}

static int count_one(void *user, const char *id) {
    assert_string_equal(id, ID);
    ++*(int *)user;
    return 0;
}

static void test_found_and_forgotten(void **state) {
    (void)state;
    struct restore_journal j;
    int found = 0;
    fill(&j);
    assert_succeeds(restore_journal_begin(&j, &err), err);
    char *other = mem_printf("%s/not a journal", dir);
    assert_succeeds(file_write_durable(other, "x", 1, 0600, &err), err);
    assert_succeeds(restore_journal_each(dir, count_one, &found, &err), err);
    assert_int_equal(found, 1);
    assert_succeeds(restore_journal_forget(dir, ID, &err), err);
    assert_succeeds(restore_journal_forget(dir, ID, &err), err);
    struct restore_journal none;
    assert_fails(restore_journal_load(dir, ID, &none, &err), err, ERR_NOT_FOUND, "no journal");
    assert_fails(restore_journal_load(dir, "../x", &none, &err), err, ERR_USAGE, "cannot be the id");
    mem_free(other);
    restore_journal_done(&j);
}

/* Whatever is in the file: a journal or one error, and nothing leaks. */
static void test_damaged_files(void **state) {
    (void)state;
    struct restore_journal j, back;
    char *path = mem_printf("%s/%s.json", dir, ID), *text;
    size_t len;
    fill(&j);
    assert_succeeds(restore_journal_begin(&j, &err), err);
    assert_succeeds(file_read_all(path, 1 << 20, &text, &len, &err), err);
    for (size_t i = 0; i < len; i += 3) {
        char *bad = mem_strndup(text, len);
        bad[i] = bad[i] == '"' ? '{' : '"';
        assert_succeeds(file_write_durable(path, bad, i % 2 ? len : i, 0600, &err), err);
        err_clear(&err);
        if (restore_journal_load(dir, ID, &back, &err) == 0)
            restore_journal_done(&back);
        else
            assert_true(err.text[0] != 0);
        mem_free(bad);
    }
    assert_succeeds(
        file_write_durable(path, "{\"format\": 99, \"createdAt\": 0, \"request\": {}, \"databases\": []}", 63, 0600, &err), err);
    assert_int_equal(restore_journal_load(dir, ID, &back, &err), -1);
    mem_free(text);
    mem_free(path);
    restore_journal_done(&j);
}

static void test_words(void **state) {
    (void)state;
    size_t count;
    const char *const *points = restore_fault_points(&count);
    for (unsigned i = 0; i < RESTORE_STEP_COUNT; i++) {
        enum restore_step back = RESTORE_STEP_COUNT;
        char want[64];
        bool named = false;
        assert_true(restore_step_parse(restore_step_name((enum restore_step)i), &back));
        assert_int_equal(back, i);
        str_format(want, sizeof(want), "restore.%s", restore_step_name((enum restore_step)i));
        for (size_t k = 0; k < count; k++)
            named |= !strcmp(points[k], want);
        assert_true(named); /* every step is a fault point */
    }
    enum restore_step step;
    assert_false(restore_step_parse("nonsense", &step));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps_survive, setup, teardown),
        cmocka_unit_test_setup_teardown(test_found_and_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damaged_files, setup, teardown),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
