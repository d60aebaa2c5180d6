/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/restore/trial_int.h"
#include "common/sql/database.h"
#include "common/sql/text.h"
#include "tests/unit/support/unit.h"

/* ---- names ---- */

static void test_names(void **state) {
    static const struct {
        const char *name;
        bool scratch;
    } table[] = {
        {"orders__verify_0123abcd", true},
        {"o__verify_00000000", true},
        {"__verify_0123abcd", false},
        {"orders__verify_0123abc", false},
        {"orders__verify_0123ABCD", false},
        {"orders__verify_0123abcg", false},
        {"orders__verify_0123abcde", false},
        {"orders_verify_0123abcd", false},
        {"", false},
        {"orders", false},
        {"orders__verify_0123abcd ", false},
    };
    char dst[SQL_NAME_MAX];
    struct err err;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        assert_int_equal(restore_trial_is_scratch(table[i].name), table[i].scratch);
    assert_succeeds(restore_trial_scratch("sa]les", 0xabc, dst, &err), err);
    assert_string_equal(dst, "sa]les__verify_00000abc");
    assert_true(restore_trial_is_scratch(dst));
    assert_fails(restore_trial_scratch("", 1, dst, &err), err, ERR_USAGE, "cannot be the name");
    assert_fails(restore_trial_scratch("\xff", 1, dst, &err), err, ERR_USAGE, "cannot be the name");
}

/* A name of 128 characters leaves no room: it is cut between characters, whatever they are. */
static void test_long_names(void **state) {
    static const char *const units[] = {"x", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        char name[SQL_NAME_MAX] = "", dst[SQL_NAME_MAX];
        struct err err;
        while (sql_text_units(name) + sql_text_units(units[i]) <= SQL_NAME_CHARS)
            strcat(name, units[i]);
        assert_succeeds(restore_trial_scratch(name, 0xffffffff, dst, &err), err);
        assert_true(restore_trial_is_scratch(dst));
        assert_in_range(sql_text_units(dst), SQL_NAME_CHARS - 1, SQL_NAME_CHARS);
        assert_memory_equal(dst, name, strlen(dst) - strlen("__verify_ffffffff"));
    }
}

/* ---- whose is it ---- */

static struct guid guid_of(uint8_t n) {
    return (struct guid){.bytes = {n}};
}

static void test_owner(void **state) {
    enum { NONE = 0, G = 1, F = 2, OTHER = 9 };
    static const struct {
        int step; /* of the journal; -1: there is none */
        bool noted; /* GUIDs G and F */
        bool there;
        int db_state;
        uint8_t guid, fork, family; /* as the server has them; the family of the source is F */
        bool files;
        enum trial_owner owner;
    } table[] = {
        {RESTORE_FINISHED, true, false, 0, 0, 0, 0, false, TRIAL_ABSENT},
        {-1, false, false, 0, 0, 0, 0, false, TRIAL_ABSENT},
        /* no RESTORE was issued: whatever is there is not ours, also when it looks like it */
        {-1, false, true, SQL_DB_ONLINE, G, F, F, true, TRIAL_FOREIGN},
        {RESTORE_CHECKED, false, true, SQL_DB_RESTORING, 0, 0, 0, true, TRIAL_FOREIGN},
        /* noted: the GUIDs alone decide */
        {RESTORE_FINISHED, true, true, SQL_DB_ONLINE, G, F, F, true, TRIAL_OURS},
        {RESTORE_FINISHED, true, true, SQL_DB_ONLINE, G, F, F, false, TRIAL_OURS},
        {RESTORE_FINISHED, true, true, SQL_DB_ONLINE, G, OTHER, F, true, TRIAL_FOREIGN},
        {RESTORE_FINISHED, true, true, SQL_DB_ONLINE, OTHER, F, F, true, TRIAL_FOREIGN},
        {RESTORE_FINISHED, true, true, SQL_DB_RESTORING, 0, 0, 0, true, TRIAL_FOREIGN},
        {RESTORE_FINISHED, true, true, SQL_DB_SUSPECT, 0, 0, 0, true, TRIAL_UNKNOWN},
        {RESTORE_FINISHED, true, true, SQL_DB_OFFLINE, 0, 0, 0, true, TRIAL_UNKNOWN},
        /* not noted: its files, and when it is open its family */
        {RESTORE_RESTORING, false, true, SQL_DB_RESTORING, 0, 0, 0, true, TRIAL_OURS},
        {RESTORE_RESTORING, false, true, SQL_DB_RESTORING, 0, 0, 0, false, TRIAL_FOREIGN},
        {RESTORE_RECOVERED, false, true, SQL_DB_ONLINE, G, F, F, true, TRIAL_OURS},
        {RESTORE_RECOVERED, false, true, SQL_DB_ONLINE, G, F, OTHER, true, TRIAL_FOREIGN},
        {RESTORE_RECOVERED, false, true, SQL_DB_ONLINE, G, F, F, false, TRIAL_FOREIGN},
        {RESTORE_RECOVERED, false, true, SQL_DB_ONLINE, 0, 0, 0, true, TRIAL_UNKNOWN},
        {RESTORE_RECOVERED, false, true, SQL_DB_RECOVERING, 0, 0, 0, true, TRIAL_UNKNOWN},
    };
    char target[] = "Orders__verify_00000001";
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct trial_note note = {.scratch = "orders__verify_00000001", .family = guid_of(F)};
        struct restore_entry entry = {.target = target, .step = (enum restore_step)table[i].step};
        if (table[i].noted) {
            entry.database_guid = guid_of(G);
            entry.recovery_fork = guid_of(F);
        }
        const struct trial_seen seen = {.there = table[i].there,
                                        .state = table[i].db_state,
                                        .database_guid = guid_of(table[i].guid),
                                        .fork = guid_of(table[i].fork),
                                        .family = guid_of(table[i].family),
                                        .files_match = table[i].files};
        enum trial_owner owner = trial_owner_of(&seen, &note, table[i].step < 0 ? NULL : &entry);
        if (owner != table[i].owner)
            fail_msg("case %zu: %d instead of %d", i, (int)owner, (int)table[i].owner);
    }
    char other[] = "orders__verify_00000002";
    const struct restore_entry entry = {.target = other, .step = RESTORE_RESTORING};
    const struct trial_note note = {.scratch = "orders__verify_00000001", .family = guid_of(F)};
    const struct trial_seen seen = {.there = true, .state = SQL_DB_RESTORING, .files_match = true};
    assert_int_equal(trial_owner_of(&seen, &note, &entry), TRIAL_FOREIGN);
}

/* ---- notes ---- */

static int count_note(void *user, const char *id) {
    (void)id;
    ++*(unsigned *)user;
    return 0;
}

static void test_notes(void **state) {
    char dir[] = "/tmp/trial-XXXXXX";
    struct trial_note note = {.id = "20261121T000000Z-restore-1",
                              .scratch = "o__verify_00000001",
                              .server = "s",
                              .address = "h:1"},
                      other;
    struct err err;
    unsigned count = 0;
    (void)state;
    assert_non_null(mkdtemp(dir));
    note.family = guid_of(7);
    assert_succeeds(trial_note_write(dir, &note, &err), err);
    assert_fails(trial_note_take(dir, note.id, &other, &err), err, ERR_BUSY, "another process");
    trial_note_release(&note);
    assert_succeeds(trial_note_take(dir, note.id, &other, &err), err);
    assert_string_equal(other.id, note.id);
    assert_string_equal(other.scratch, note.scratch);
    assert_string_equal(other.server, "s");
    assert_string_equal(other.address, "h:1");
    assert_true(guid_eq(&other.family, &note.family));
    assert_int_equal(trial_note_each(dir, count_note, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_succeeds(trial_note_forget(dir, &other, &err), err);
    assert_fails(trial_note_take(dir, note.id, &other, &err), err, ERR_NOT_FOUND, "");
    assert_int_equal(trial_note_each(dir, count_note, &count, &err), 0);
    assert_int_equal(count, 1);
    assert_int_equal(rmdir(dir), 0);
}

/* Whatever is in a note: no database of a name that is no scratch name is ever in question. */
static void test_bad_notes(void **state) {
    static const char *const table[] = {
        "",
        "{",
        "[]",
        "{}",
        "{\"scratch\": \"o__verify_00000001\"}",
        "{\"scratch\":\"orders\",\"server\":\"s\",\"address\":\"a\",\"familyGuid\":\"07000000-0000-0000-0000-000000000000\"}",
        "{\"scratch\":\"o__verify_00000001\",\"server\":\"s\",\"address\":\"a\",\"familyGuid\":\"x\"}",
        "{\"scratch\":1,\"server\":\"s\",\"address\":\"a\",\"familyGuid\":\"07000000-0000-0000-0000-000000000000\"}",
    };
    char dir[] = "/tmp/trial-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(dir));
    _cleanup_free_ char *path = mem_printf("%s/bad.trial", dir);
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct trial_note note;
        struct err err;
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        fputs(table[i], f);
        assert_int_equal(fclose(f), 0);
        assert_fails(trial_note_take(dir, "bad", &note, &err), err, ERR_CORRUPT, "not the note of a trial");
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(dir), 0);
}

/* ---- moments ---- */

#define T0 (INT64_C(1763700000) * CLOCK_SECOND)

static struct lsn lsn_of(uint64_t vlf) {
    return vlf ? (struct lsn){.vlf = (uint32_t)vlf, .block = 1, .slot = 1} : (struct lsn){0};
}

static struct backup set_of(uint8_t n, enum backup_kind kind, uint64_t first, uint64_t last, int64_t finish) {
    return (struct backup){.kind = kind,
                           .set_guid = guid_of(n),
                           .family_guid = guid_of(1),
                           .first_fork = guid_of(2),
                           .last_fork = guid_of(2),
                           .first_lsn = lsn_of(first),
                           .last_lsn = lsn_of(last),
                           .checkpoint_lsn = lsn_of(first),
                           .database_backup_lsn = lsn_of(kind == BACKUP_FULL ? 0 : 10),
                           .start_at = finish - CLOCK_SECOND,
                           .finish_at = finish,
                           .valid_until = finish};
}

static void test_moments(void **state) {
    struct backup sets[] = {
        set_of(10, BACKUP_FULL, 10, 20, T0),
        set_of(11, BACKUP_LOG, 10, 30, T0 + CLOCK_MINUTE),
        set_of(12, BACKUP_LOG, 30, 40, T0 + 2 * CLOCK_MINUTE),
    };
    struct source_history history = {.sets = sets, .count = ARRAY_LEN(sets)};
    int64_t at = 0, first = 0, low = INT64_MAX, high = 0;
    (void)state;
    assert_true(trial_moment(&history, 42, &first));
    assert_true(trial_moment(&history, 42, &at));
    assert_int_equal(at, first);
    for (uint64_t seed = 0; seed < 1000; seed++) {
        assert_true(trial_moment(&history, seed, &at));
        low = at < low ? at : low;
        high = at > high ? at : high;
    }
    /* all of it is in reach, the second of the full's end and what is behind the last log are not */
    assert_true(low >= T0 + CLOCK_SECOND && low < T0 + 5 * CLOCK_SECOND);
    assert_true(high <= T0 + 2 * CLOCK_MINUTE && high > T0 + 2 * CLOCK_MINUTE - 5 * CLOCK_SECOND);
    history.count = 1;
    assert_false(trial_moment(&history, 1, &at)); /* a single point */
    history.count = 0;
    assert_false(trial_moment(&history, 1, &at));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names), cmocka_unit_test(test_long_names), cmocka_unit_test(test_owner),
        cmocka_unit_test(test_notes), cmocka_unit_test(test_bad_notes),  cmocka_unit_test(test_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
