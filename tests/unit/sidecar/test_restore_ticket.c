/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <jansson.h>

#include "common/base/file.h"
#include "common/base/str.h"
#include "sidecar/restore/record.h"
#include "sidecar/restore/ticket.h"

static struct err err;

static void fill(struct ticket *t, const char *id, const char *request) {
    ticket_init(t);
    str_copy(t->id, sizeof(t->id), id);
    str_copy(t->request_id, sizeof(t->request_id), request);
    str_copy(t->reason, sizeof(t->reason), "Störung \"4711\"");
    str_copy(t->by, sizeof(t->by), "unix:");
    t->requested_at = 1;
    t->started_at = 2;
    t->expires_in_us = 86400;
    str_copy(t->request.id, sizeof(t->request.id), id);
    restore_request_set(&t->request.scope, "ns/sql");
    t->request.target.kind = CHAIN_TO_LATEST;
    restore_wish_add_move(restore_request_add_wish(&t->request, "Bücher", "copy"), "data", "/d/copy.mdf");
    ticket_names_add(&t->targets, "copy");
    ticket_names_add(&t->targets, "COPY"); /* the same */
    ticket_names_add(&t->protect, "Bücher");
    struct ticket_copy *c = ticket_add_copy(t, "copy");
    guid_random(&c->database_guid);
    guid_random(&c->recovery_fork);
    c->expires_at = 77;
}

static void same(const struct ticket *a, const struct ticket *b) {
    assert_string_equal(a->id, b->id);
    assert_string_equal(a->request_id, b->request_id);
    assert_string_equal(a->reason, b->reason);
    assert_string_equal(a->by, b->by);
    assert_int_equal(a->started_at, b->started_at);
    assert_int_equal(a->expires_in_us, b->expires_in_us);
    assert_int_equal(a->cancelled, b->cancelled);
    assert_int_equal(a->ended, b->ended);
    assert_int_equal(a->err.class, b->err.class);
    assert_string_equal(a->err.text, b->err.text);
    assert_int_equal(a->targets.count, b->targets.count);
    assert_int_equal(a->protect.count, b->protect.count);
    assert_string_equal(a->protect.items[0], b->protect.items[0]);
    assert_int_equal(a->copy_count, b->copy_count);
    assert_true(guid_eq(&a->copies[0].database_guid, &b->copies[0].database_guid));
    assert_true(guid_eq(&a->copies[0].recovery_fork, &b->copies[0].recovery_fork));
    assert_int_equal(a->copies[0].expires_at, b->copies[0].expires_at);
    assert_int_equal(a->request.wish_count, b->request.wish_count);
    assert_string_equal(a->request.wishes[0].database, b->request.wishes[0].database);
    assert_string_equal(a->request.wishes[0].moves[0].physical, b->request.wishes[0].moves[0].physical);
}

static void a_ticket_comes_back_as_it_was(void **state) {
    char *dir = *state;
    struct ticket t, copy, back;
    fill(&t, "20260101T000000Z-restore-00000001", "uid-1");
    assert_int_equal(t.targets.count, 1);
    t.ended = t.cancelled = true;
    err_set(&t.err, ERR_CANCELLED, "cancelled by somebody");
    ticket_copy(&copy, &t);
    same(&t, &copy);
    assert_succeeds(ticket_save(&t, dir, &err), err);
    assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
    same(&t, &back);
    assert_true(ticket_has_copies(&back));
    back.copies[0].dropped_at = 1;
    assert_false(ticket_has_copies(&back));
    ticket_names_remove(&back.protect, "other");
    assert_int_equal(back.protect.count, 1);
    ticket_names_remove(&back.protect, "bücher"); /* as SQL Server usually compares */
    assert_int_equal(back.protect.count, 0);
    ticket_done(&t);
    ticket_done(&copy);
    ticket_done(&back);
}

static int count_one(void *user, const char *id, struct err *e) {
    (void)e;
    assert_true(restore_id_valid(id));
    (*(unsigned *)user)++;
    return 0;
}

static void removed_ones_are_gone_with_everything(void **state) {
    char *dir = *state;
    struct ticket t;
    unsigned count = 0;
    assert_succeeds(ticket_each(dir, count_one, &count, &err), err); /* no folder at all */
    assert_int_equal(count, 0);
    fill(&t, "20260101T000000Z-restore-00000001", "uid-1");
    assert_succeeds(ticket_save(&t, dir, &err), err);
    assert_succeeds(ticket_each(dir, count_one, &count, &err), err);
    assert_int_equal(count, 1);
    _cleanup_free_ char *folder = ticket_folder(dir, t.id), *other = file_join(folder, "answer.pb");
    assert_succeeds(file_write_durable(other, "x", 1, 0600, &err), err);
    assert_succeeds(ticket_remove(dir, t.id, &err), err);
    assert_false(file_exists(folder));
    assert_succeeds(ticket_remove(dir, t.id, &err), err);
    count = 0;
    assert_succeeds(ticket_each(dir, count_one, &count, &err), err);
    assert_int_equal(count, 0);
    ticket_done(&t);
}

/* Whatever a file holds, it is a ticket or an error. */
static void damaged_ones_are_refused(void **state) {
    char *dir = *state, *data;
    size_t len;
    struct ticket t, back;
    fill(&t, "20260101T000000Z-restore-00000001", "uid-1");
    assert_succeeds(ticket_save(&t, dir, &err), err);
    _cleanup_free_ char *folder = ticket_folder(dir, t.id), *path = file_join(folder, "ticket.json");
    assert_succeeds(file_read_all(path, 1 << 20, &data, &len, &err), err);
    for (size_t cut = 0; cut < len - 2; cut++) { /* the last two are the bracket and the line's end */
        assert_succeeds(file_write_durable(path, data, cut, 0600, &err), err);
        assert_fails(ticket_load(dir, t.id, &back, &err), err, ERR_CORRUPT, "");
    }
    static const char *const wrong[] = {"[]", "{}", "null", "{\"format\": 2}"};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        assert_succeeds(file_write_durable(path, wrong[i], strlen(wrong[i]), 0600, &err), err);
        assert_fails(ticket_load(dir, t.id, &back, &err), err, ERR_CORRUPT, "ticket");
    }
    str_copy(t.id, sizeof(t.id), "20260101T000000Z-restore-00000002"); /* another's content under this name */
    assert_succeeds(file_write_durable(path, data, len, 0600, &err), err);
    _cleanup_free_ char *second = ticket_folder(dir, t.id), *second_path = file_join(second, "ticket.json");
    assert_succeeds(file_mkdirs(second, 0700, &err), err);
    assert_succeeds(file_write_durable(second_path, data, len, 0600, &err), err);
    assert_fails(ticket_load(dir, t.id, &back, &err), err, ERR_CORRUPT, "ticket");
    assert_fails(ticket_load(dir, "20260101T000000Z-restore-00000003", &back, &err), err, ERR_NOT_FOUND, "");
    mem_free(data);
    ticket_done(&t);
}

/* Texts are cut to their room, in the middle of a character if need be: the end of a restore must be written all the same. */
static void a_cut_text_is_written(void **state) {
    char *dir = *state;
    struct ticket t, back;
    struct store *store;
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    for (size_t cut = 0; cut < 3; cut++) {
        fill(&t, "20260101T000000Z-restore-00000001", "uid-1");
        t.ended = true;
        t.err.class = ERR_SQL;
        memset(t.err.text, 'x', sizeof(t.err.text));
        memcpy(t.err.text + sizeof(t.err.text) - 1 - cut, "\xe2\x82\xac", cut); /* the begin of a euro sign */
        t.err.text[sizeof(t.err.text) - 1] = 0;
        str_copy(t.reason, sizeof(t.reason), "\xc3\x28 bad");
        str_copy(t.by, sizeof(t.by), "\xff");
        str_copy(t.copies[0].message, sizeof(t.copies[0].message), "caf\xc3");
        assert_succeeds(ticket_save(&t, dir, &err), err);
        assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
        assert_int_equal(back.err.class, ERR_SQL);
        assert_memory_equal(back.err.text, t.err.text, sizeof(t.err.text) - 4);
        assert_string_equal(back.reason, "?( bad");
        assert_string_equal(back.by, "?");
        assert_string_equal(back.copies[0].message, "caf?");
        assert_succeeds(record_finish(store, "ns/sql", &t, NULL, &err), err);
        str_copy(back.id, sizeof(back.id), "20260101T000000Z-restore-00000002");
        assert_fails(record_begin(store, "ns/sql", &back, &err), err, ERR_EXISTS, "failed: xxx");
        ticket_done(&t);
        ticket_done(&back);
    }
    store_free(store);
}

/* Copies are written by several threads: the order in which they were made counts, not the one in which they come. */
static void an_older_version_never_goes_over_a_newer_one(void **state) {
    char *dir = *state;
    struct ticket t, old, back;
    struct ticket_file file;
    ticket_file_init(&file);
    fill(&t, "20260101T000000Z-restore-00000001", "uid-1");
    t.version = 1;
    ticket_copy(&old, &t);
    t.cancelled = true;
    t.version = 2;
    assert_succeeds(ticket_file_save(&file, &t, dir, &err), err);
    assert_succeeds(ticket_file_save(&file, &old, dir, &err), err);
    assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
    assert_true(back.cancelled);
    ticket_done(&back);
    t.ended = true;
    t.version = 3;
    assert_succeeds(ticket_file_save(&file, &t, dir, &err), err);
    assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
    assert_true(back.ended);
    ticket_done(&back);
    /* one that could not be written leaves the way open for another try */
    t.version = 4;
    assert_int_equal(ticket_file_save(&file, &t, "/proc/nowhere", &err), -1);
    t.ended = false;
    assert_succeeds(ticket_file_save(&file, &t, dir, &err), err);
    assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
    assert_false(back.ended);
    ticket_done(&back);
    ticket_done(&old);
    ticket_done(&t);
    ticket_file_done(&file);
}

/* What a run left is durable, and a ticket of before knew nothing of it. */
static void what_is_left_comes_back(void **state) {
    char *dir = *state, *data;
    size_t len;
    struct ticket t, back;
    fill(&t, "20260101T000000Z-restore-00000001", "uid-1");
    ticket_names_add(&t.left, "Bücher");
    ticket_names_add(&t.tails, "x-tail-1-abcd.trn");
    assert_succeeds(ticket_save(&t, dir, &err), err);
    assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
    assert_int_equal(back.left.count, 1);
    assert_string_equal(back.left.items[0], "Bücher");
    assert_int_equal(back.tails.count, 1);
    assert_string_equal(back.tails.items[0], "x-tail-1-abcd.trn");
    ticket_done(&back);
    _cleanup_free_ char *folder = ticket_folder(dir, t.id), *path = file_join(folder, "ticket.json");
    assert_succeeds(file_read_all(path, 1 << 20, &data, &len, &err), err);
    json_t *root = json_loadb(data, len, 0, NULL);
    json_object_del(root, "left");
    json_object_del(root, "tails");
    char *text = json_dumps(root, 0);
    assert_succeeds(file_write_durable(path, text, strlen(text), 0600, &err), err);
    assert_succeeds(ticket_load(dir, t.id, &back, &err), err);
    assert_int_equal(back.left.count, 0);
    free(text);
    json_decref(root);
    mem_free(data);
    ticket_done(&back);
    ticket_done(&t);
}

static void a_request_is_executed_once(void **state) {
    char *dir = *state;
    struct ticket first, second;
    struct store *store;
    assert_succeeds(store_open(dir, NULL, &store, &err), err);
    fill(&first, "20260101T000000Z-restore-00000001", "uid-1");
    fill(&second, "20260101T000000Z-restore-00000002", "uid-1");
    assert_succeeds(record_begin(store, "ns/sql", &first, &err), err);
    assert_succeeds(record_begin(store, "ns/sql", &first, &err), err); /* after a crash */
    assert_fails(record_begin(store, "ns/sql", &second, &err), err, ERR_EXISTS, "its end was not recorded");
    err_set(&first.err, ERR_SPACE, "no room");
    assert_succeeds(record_finish(store, "ns/sql", &first, NULL, &err), err);
    assert_fails(record_begin(store, "ns/sql", &second, &err), err, ERR_EXISTS, "failed: no room");
    assert_succeeds(record_begin(store, "ns/other", &second, &err), err);
    assert_succeeds(store_put(store, "ns/sql/restores/uid-2.json", "garbage", 7, STORE_PUT_REPLACE, "test", &err), err);
    str_copy(second.request_id, sizeof(second.request_id), "uid-2");
    assert_fails(record_begin(store, "ns/sql", &second, &err), err, ERR_CORRUPT, "uid-2");
    ticket_done(&first);
    ticket_done(&second);
    store_free(store);
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
        cmocka_unit_test_setup_teardown(a_ticket_comes_back_as_it_was, setup, teardown),
        cmocka_unit_test_setup_teardown(removed_ones_are_gone_with_everything, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_ones_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cut_text_is_written, setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_version_never_goes_over_a_newer_one, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_left_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_request_is_executed_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
