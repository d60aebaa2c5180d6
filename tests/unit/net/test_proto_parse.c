/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/net/proto_json.h"
#include "common/net/proto_parse.h"
#include "mssql/v1/controller.pb-c.h"

static json_t *json_of(const char *text) {
    json_error_t error;
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        fail_msg("%s: %s", text, error.text);
    return json;
}

static Mssql__V1__Command *parsed(const char *text) {
    struct err err = {0};
    ProtobufCMessage *m = NULL;
    json_t *json = json_of(text);
    assert_succeeds(proto_parse_json(&mssql__v1__command__descriptor, json, &m, &err), err);
    json_decref(json);
    return (Mssql__V1__Command *)m;
}

static void everything_that_a_command_has(void **state) {
    (void)state;
    Mssql__V1__Command *c = parsed(
        "{\"id\": \"r-1\", \"deadlineAt\": \"2026-11-21T02:47:00.5Z\", \"runRestore\": {\"requestId\": \"q\", "
        "\"expiresInSeconds\": 60, "
        "\"expiresAt\": null, \"spec\": {\"to\": \"latest\", \"finish\": \"Standby\", \"keepCdc\": true, \"parallel\": 3, "
        "\"databases\": [{\"database\": \"a\", \"as\": \"b\", \"moves\": [{\"logical\": \"l\", \"physical\": \"/p\"}]}, "
        "{\"database\": \"c\"}]}}}");
    assert_string_equal(c->id, "r-1");
    assert_true(c->deadline_at == INT64_C(1795229220500000));
    assert_int_equal(c->request_case, MSSQL__V1__COMMAND__REQUEST_RUN_RESTORE);
    const Mssql__V1__RestoreSpec *s = c->run_restore->spec;
    assert_int_equal(s->finish, MSSQL__V1__RESTORE_FINISH__RESTORE_FINISH_STANDBY);
    assert_true(s->keep_cdc && !s->check && s->parallel == 3 && s->n_databases == 2 && s->databases[0]->n_moves == 1);
    assert_string_equal(s->databases[0]->moves[0]->physical, "/p");
    assert_string_equal(s->databases[1]->as, "");
    assert_true(c->run_restore->expires_in_seconds == 60 && c->run_restore->expires_at == 0);
    mssql__v1__command__free_unpacked(c, NULL);
}

static void back_and_forth(void **state) {
    (void)state;
    Mssql__V1__Command *c = parsed(
        "{\"id\": \"b\", \"runBackup\": {\"databases\": [\"x\", \"y*\"], \"kind\": \"Log\", \"copyOnly\": true}}");
    json_t *once = proto_json_from(&c->base, false);
    char *text = json_dumps(once, JSON_COMPACT);
    Mssql__V1__Command *again = parsed(text);
    json_t *twice = proto_json_from(&again->base, false);
    assert_true(json_equal(once, twice));
    free(text);
    json_decref(once);
    json_decref(twice);
    mssql__v1__command__free_unpacked(c, NULL);
    mssql__v1__command__free_unpacked(again, NULL);
}

/* Each is refused, says where, and leaves nothing behind (the leak checker looks). */
static void what_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *json, *part;
    } cases[] = {
        {"[]", "is not an object"},
        {"{\"nope\": 1}", "nope: unknown"},
        {"{\"id\": 5}", "id: is not a text"},
        {"{\"deadlineAt\": \"soon\"}", "deadline_at: is not a time"},
        {"{\"deadline_at\": 5}", "deadline_at: unknown"},
        {"{\"runBackup\": {\"kind\": \"Huge\"}}", "run_backup: kind: is not one of its words"},
        {"{\"runBackup\": {\"kind\": \"BACKUP_KIND_LOG\"}}", "kind"},
        {"{\"runBackup\": {\"kind\": 3}}", "kind"},
        {"{\"runBackup\": {\"databases\": \"x\"}}", "databases: is not a list"},
        {"{\"runBackup\": {\"databases\": [\"x\", 1, \"y\"]}}", "databases: is not a text"},
        {"{\"runBackup\": {\"copyOnly\": 1}}", "copy_only: is not true or false"},
        {"{\"runBackup\": {}, \"pause\": {}}", "another one of its kind"},
        {"{\"runRestore\": {\"spec\": {\"parallel\": -1}}}", "spec: parallel: is not a number that fits"},
        {"{\"runRestore\": {\"spec\": {\"parallel\": 4294967296}}}", "parallel"},
        {"{\"runRestore\": {\"spec\": {\"databases\": [{\"database\": \"a\", \"moves\": [{\"logical\": \"l\"}, {\"x\": 1}]}]}}}",
         "x: unknown"},
        {"{\"runRestore\": {\"spec\": \"all\"}}", "is not an object"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        ProtobufCMessage *m = NULL;
        json_t *json = json_of(cases[i].json);
        assert_fails(proto_parse_json(&mssql__v1__command__descriptor, json, &m, &err), err, ERR_USAGE, cases[i].part);
        assert_null(m);
        json_decref(json);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_that_a_command_has),
        cmocka_unit_test(back_and_forth),
        cmocka_unit_test(what_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
