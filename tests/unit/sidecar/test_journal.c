/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "common/base/str.h"
#include "sidecar/job/journal.h"

#define SLOTS 200

static struct err err;

static struct journal_entry entry_of(const char *run_id, int64_t planned_at) {
    struct journal_entry e = {.step = JOURNAL_PLANNED, .kind = BACKUP_LOG, .stripes = 1, .planned_at = planned_at};
    str_copy(e.run_id, sizeof(e.run_id), run_id);
    str_copy(e.database, sizeof(e.database), "Bücher");
    str_copy(e.trigger, sizeof(e.trigger), "schedule");
    return e;
}

static struct journal *open_ok(const char *dir, unsigned want_damaged) {
    struct journal *j;
    unsigned damaged;
    assert_succeeds(journal_open(dir, SLOTS, &j, &damaged, &err), err);
    assert_int_equal(damaged, want_damaged);
    return j;
}

static void entries_survive_reopening(void **state) {
    char *dir = *state;
    struct journal *j = open_ok(dir, 0);
    struct journal_entry a = entry_of("20260101T000000Z-log-00000001", 2), b = entry_of("20260101T000000Z-log-00000002", 1);
    unsigned sa, sb, count;
    assert_succeeds(journal_add(j, &a, &sa, &err), err);
    assert_succeeds(journal_add(j, &b, &sb, &err), err);
    assert_succeeds(journal_advance(j, sa, JOURNAL_TAKEN, &err), err);
    assert_succeeds(journal_set_incarnation(j, sa, 7, &err), err);
    journal_close(j);

    j = open_ok(dir, 0);
    struct journal_found *found = journal_list(j, &count);
    assert_int_equal(count, 2);
    assert_string_equal(found[0].entry.run_id, b.run_id); /* oldest first */
    assert_int_equal(found[0].entry.step, JOURNAL_PLANNED);
    assert_int_equal(found[1].entry.step, JOURNAL_TAKEN);
    assert_int_equal(found[1].entry.incarnation, 7);
    assert_string_equal(found[1].entry.database, "Bücher");
    assert_succeeds(journal_remove(j, found[1].slot, &err), err);
    mem_free(found);
    journal_close(j);

    j = open_ok(dir, 0);
    assert_int_equal(journal_used(j), 1);
    journal_close(j);
}

/* Overwrites bytes of the newest copy of slot 0, as a torn write would. */
static void tear(const char *dir, off_t at) {
    char *path = mem_printf("%s/journal", dir);
    int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\xde\xad\xbe\xef", 4, at), 4);
    close(fd);
    mem_free(path);
}

static void a_torn_write_leaves_the_older_copy(void **state) {
    char *dir = *state;
    struct journal *j = open_ok(dir, 0);
    struct journal_entry a = entry_of("20260101T000000Z-log-00000001", 1);
    unsigned slot, count;
    assert_succeeds(journal_add(j, &a, &slot, &err), err); /* sequence 1: copy 1 */
    assert_succeeds(journal_advance(j, slot, JOURNAL_TAKEN, &err), err); /* sequence 2: copy 0 */
    journal_close(j);
    tear(dir, 4096 + 20);
    j = open_ok(dir, 0);
    struct journal_found *found = journal_list(j, &count);
    assert_int_equal(count, 1);
    assert_int_equal(found[0].entry.step, JOURNAL_PLANNED);
    mem_free(found);
    /* the next change goes over the torn copy, not over the good one */
    assert_succeeds(journal_advance(j, slot, JOURNAL_TAKEN, &err), err);
    journal_close(j);
    j = open_ok(dir, 0);
    found = journal_list(j, &count);
    assert_int_equal(found[0].entry.step, JOURNAL_TAKEN);
    mem_free(found);
    journal_close(j);
}

static void a_slot_with_two_bad_copies_is_counted(void **state) {
    char *dir = *state;
    struct journal *j = open_ok(dir, 0);
    struct journal_entry a = entry_of("20260101T000000Z-log-00000001", 1);
    unsigned slot;
    assert_succeeds(journal_add(j, &a, &slot, &err), err);
    assert_succeeds(journal_advance(j, slot, JOURNAL_TAKEN, &err), err);
    journal_close(j);
    tear(dir, 4096 + 20);
    tear(dir, 4096 + 2048 + 20);
    j = open_ok(dir, 1);
    assert_int_equal(journal_used(j), 0);
    journal_close(j);
}

static void a_second_process_is_refused(void **state) {
    struct journal *j = open_ok(*state, 0), *other;
    unsigned damaged;
    assert_fails(journal_open(*state, SLOTS, &other, &damaged, &err), err, ERR_CONFLICT, "in use by another process");
    journal_close(j);
}

static void another_file_is_not_overwritten(void **state) {
    char *path = mem_printf("%s/journal", (char *)*state);
    FILE *f = fopen(path, "w");
    fputs("something else entirely, and longer than the magic", f);
    fclose(f);
    struct journal *j;
    unsigned damaged;
    assert_fails(journal_open(*state, SLOTS, &j, &damaged, &err), err, ERR_CORRUPT, "not a journal");
    f = fopen(path, "r");
    assert_int_equal(fgetc(f), 's');
    fclose(f);
    mem_free(path);
}

static void blocks_are_allocated_before_use(void **state) {
    struct journal *j = open_ok(*state, 0);
    char *path = mem_printf("%s/journal", (char *)*state);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_blocks * 512 >= st.st_size);
    mem_free(path);
    journal_close(j);
}

static void a_full_journal_refuses_and_frees(void **state) {
    struct journal *j = open_ok(*state, 0);
    unsigned slot = 0, last = 0;
    for (unsigned i = 0; i < SLOTS; i++) {
        struct journal_entry e = entry_of("20260101T000000Z-log-00000001", i + 1);
        assert_succeeds(journal_add(j, &e, &last, &err), err);
    }
    struct journal_entry e = entry_of("20260101T000000Z-log-00000002", 1);
    assert_fails(journal_add(j, &e, &slot, &err), err, ERR_LIMIT, "wait to be shipped");
    assert_succeeds(journal_remove(j, last, &err), err);
    assert_succeeds(journal_add(j, &e, &slot, &err), err);
    assert_int_equal(slot, last);
    journal_close(j);
}

static void an_old_file_keeps_its_size(void **state) {
    struct journal *j = open_ok(*state, 0);
    assert_int_equal(journal_slots(j), SLOTS);
    journal_close(j);
    unsigned damaged;
    assert_succeeds(journal_open(*state, 10 * SLOTS, &j, &damaged, &err), err);
    assert_int_equal(journal_slots(j), SLOTS);
    journal_close(j);
}

static int setup(void **state) {
    *state = unit_tmpdir();
    return 0;
}

static int teardown(void **state) {
    unit_rm(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_survive_reopening, setup, teardown),
        cmocka_unit_test_setup_teardown(a_torn_write_leaves_the_older_copy, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slot_with_two_bad_copies_is_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_process_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(another_file_is_not_overwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(blocks_are_allocated_before_use, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_journal_refuses_and_frees, setup, teardown),
        cmocka_unit_test_setup_teardown(an_old_file_keeps_its_size, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
