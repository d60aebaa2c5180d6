/* SPDX-License-Identifier: Apache-2.0 */
/* One sidecar as the controller knows it: sessions, parts of a status, policy, commands. */
#include "tests/unit/support/unit.h"

#include "common/base/str.h"
#include "controller/fleet/peer.h"

#define TEXT(s) ((char *)(uintptr_t)(s))
#define SENT_MAX 64

struct wire {
    char sent[SENT_MAX][80];
    unsigned count, room; /* room: messages that the stream still takes */
    unsigned statuses, news, policies, commands;
    char last_command[80];
};

static struct wire wire;
static struct peer *peer;

static int take(void *user, const Mssql__V1__ControllerMessage *m, struct err *err) {
    struct wire *w = user;
    if (!w->room)
        return err_set(err, ERR_BUSY, "full");
    w->room--;
    assert_true(w->count < SENT_MAX);
    char *line = w->sent[w->count++];
    if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_COMMAND)
        str_format(line, 80, "command %s", m->command->id);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_CANCEL)
        str_format(line, 80, "cancel %s", m->cancel->id);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_RESULT_ACK)
        str_format(line, 80, "ack %s", m->result_ack->id);
    else if (m->message_case == MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_POLICY)
        str_format(line, 80, "policy %s/%d", m->policy->uid, (int)m->policy->generation);
    else
        fail_msg("another message");
    return 0;
}

static void on_status(void *user, bool news) {
    struct wire *w = user;
    w->statuses++;
    w->news += news;
}

static void on_policy(void *user) {
    ((struct wire *)user)->policies++;
}

static void on_command(void *user, const char *id) {
    struct wire *w = user;
    w->commands++;
    str_copy(w->last_command, sizeof(w->last_command), id);
}

static int setup(void **state) {
    (void)state;
    struct fleet_bearer b = {.pod_uid = "u", .namespace_name = "n", .pod = "p", .service_account = "s"};
    wire = (struct wire){.room = 1000};
    peer = peer_new(&b);
    peer->events = (struct peer_events){on_status, on_policy, on_command, &wire};
    return 0;
}

static int teardown(void **state) {
    (void)state;
    peer_free(peer);
    return 0;
}

/* A session in which the sidecar knows these commands (NULL-terminated). */
static void hello(const char *const *known, const Mssql__V1__PolicyApplied *applied) {
    Mssql__V1__Hello h = MSSQL__V1__HELLO__INIT;
    Mssql__V1__CommandKnown items[8], *list[8];
    for (size_t i = 0; known && known[i]; i++) {
        mssql__v1__command_known__init(&items[i]);
        items[i].id = TEXT(known[i]);
        items[i].state = MSSQL__V1__COMMAND_STATE__COMMAND_STATE_RUNNING;
        list[i] = &items[i];
        h.n_commands = i + 1;
    }
    h.commands = list;
    h.policy = (Mssql__V1__PolicyApplied *)(uintptr_t)applied;
    wire.count = 0;
    peer_connect(peer, &h, &(struct peer_out){take, &wire}, 5);
    peer_flush(peer);
}

static void give(const char *id) {
    Mssql__V1__Command c = MSSQL__V1__COMMAND__INIT;
    Mssql__V1__ResumeRequest r = MSSQL__V1__RESUME_REQUEST__INIT;
    struct err err;
    c.id = TEXT(id);
    c.request_case = MSSQL__V1__COMMAND__REQUEST_RESUME;
    c.resume = &r;
    assert_succeeds(peer_give(peer, &c, 7, &err), err);
}

static void say(Mssql__V1__SidecarMessage__MessageCase which, void *body) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    struct err err;
    m.message_case = which;
    m.hello = body; /* any member of the union */
    assert_succeeds(peer_message(peer, &m, 9, &err), err);
}

static void say_ack(const char *id) {
    Mssql__V1__CommandAck a = MSSQL__V1__COMMAND_ACK__INIT;
    a.id = TEXT(id);
    say(MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_ACK, &a);
}

static void say_result(const char *id) {
    Mssql__V1__CommandResult r = MSSQL__V1__COMMAND_RESULT__INIT;
    r.id = TEXT(id);
    say(MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_RESULT, &r);
}

static Mssql__V1__CommandState state_of(const char *id) {
    const struct peer_command *c = peer_find(peer, id);
    return c ? c->state : MSSQL__V1__COMMAND_STATE__COMMAND_STATE_UNSPECIFIED;
}

#define PENDING MSSQL__V1__COMMAND_STATE__COMMAND_STATE_PENDING
#define RUNNING MSSQL__V1__COMMAND_STATE__COMMAND_STATE_RUNNING
#define DONE MSSQL__V1__COMMAND_STATE__COMMAND_STATE_DONE

static void test_a_command_from_begin_to_end(void **state) {
    (void)state;
    give("a");
    assert_int_equal(state_of("a"), PENDING);
    hello(NULL, NULL);
    assert_int_equal(wire.count, 1);
    assert_string_equal(wire.sent[0], "command a");
    peer_flush(peer);
    give("a");
    assert_int_equal(wire.count, 1); /* once in a session */
    say_ack("a");
    assert_int_equal(state_of("a"), RUNNING);
    say_result("a");
    assert_int_equal(state_of("a"), DONE);
    say_result("a");
    assert_int_equal(wire.commands, 2); /* the second result is none */
    peer_ack(peer, "a");
    assert_string_equal(wire.sent[1], "ack a");
    assert_int_equal(peer->command_count, 0);
    struct err err;
    Mssql__V1__Command again = MSSQL__V1__COMMAND__INIT;
    Mssql__V1__ResumeRequest r = MSSQL__V1__RESUME_REQUEST__INIT;
    again.id = TEXT("a");
    again.request_case = MSSQL__V1__COMMAND__REQUEST_RESUME;
    again.resume = &r;
    assert_fails(peer_give(peer, &again, 8, &err), err, ERR_CONFLICT, "before");
}

static void test_reconnects(void **state) {
    (void)state;
    static const char *const knows_a[] = {"a", NULL};
    hello(NULL, NULL);
    give("a");
    give("b");
    say_ack("a");
    peer_disconnect(peer, 6);
    give("c");
    hello(knows_a, NULL); /* it has a; b was lost on the way, c was never sent */
    assert_int_equal(wire.count, 2);
    assert_string_equal(wire.sent[0], "command b");
    assert_string_equal(wire.sent[1], "command c");
    assert_int_equal(state_of("a"), RUNNING);
    peer_disconnect(peer, 6);
    hello(NULL, NULL); /* its disk is gone: all again */
    assert_int_equal(wire.count, 3);
    say_result("a");
    peer_ack(peer, "a");
    peer_disconnect(peer, 6);
    hello(NULL, NULL);
    assert_string_equal(wire.sent[0], "ack a"); /* nobody confirmed it */
    say_result("a"); /* and it had not arrived */
    assert_null(peer_find(peer, "a"));
}

static void test_another_life_of_the_controller(void **state) {
    (void)state;
    static const char *const knows[] = {"x", "y", NULL};
    hello(knows, NULL);
    assert_int_equal(state_of("x"), RUNNING);
    assert_int_equal(wire.count, 0);
    say_result("x");
    assert_int_equal(state_of("x"), DONE);
    give("x"); /* the reconciler that wants it joins */
    assert_int_equal(state_of("x"), DONE);
    give("y");
    assert_int_equal(wire.count, 0);
    peer_ack(peer, "x");
    assert_string_equal(wire.sent[0], "ack x");
}

static void test_a_full_stream(void **state) {
    (void)state;
    hello(NULL, NULL);
    wire.room = 1;
    give("a");
    give("b");
    give("c");
    assert_int_equal(wire.count, 1);
    wire.room = 10;
    peer_flush(peer);
    assert_int_equal(wire.count, 3);
    assert_string_equal(wire.sent[2], "command c");
}

static void test_cancel(void **state) {
    (void)state;
    give("a");
    peer_cancel(peer, "a", 4); /* no sidecar has it, none will */
    assert_int_equal(state_of("a"), DONE);
    assert_string_equal(peer_find(peer, "a")->result->error_class, "cancelled");
    hello(NULL, NULL);
    assert_int_equal(wire.count, 0);
    give("b");
    peer_cancel(peer, "b", 4);
    peer_cancel(peer, "b", 4);
    assert_int_equal(wire.count, 2);
    assert_string_equal(wire.sent[1], "cancel b");
    assert_int_equal(state_of("b"), PENDING); /* the sidecar says how it ends */
}

static void test_bounds(void **state) {
    (void)state;
    Mssql__V1__Command c = MSSQL__V1__COMMAND__INIT;
    struct err err;
    c.id = TEXT("../a");
    assert_fails(peer_give(peer, &c, 1, &err), err, ERR_USAGE, "id");
    c.id = TEXT("ok");
    assert_fails(peer_give(peer, &c, 1, &err), err, ERR_USAGE, "nothing");
    hello(NULL, NULL);
    for (unsigned i = 0; i < 2 * FLEET_COMMANDS_MAX; i++) { /* of a sidecar with more than we want */
        char id[16];
        str_format(id, sizeof(id), "r%u", i);
        say_result(id);
    }
    assert_int_equal(peer->command_count, FLEET_COMMANDS_MAX);
    Mssql__V1__ResumeRequest r = MSSQL__V1__RESUME_REQUEST__INIT;
    c.request_case = MSSQL__V1__COMMAND__REQUEST_RESUME;
    c.resume = &r;
    assert_fails(peer_give(peer, &c, 1, &err), err, ERR_LIMIT, "commands already");
}

static void test_policy(void **state) {
    (void)state;
    Mssql__V1__PolicyApplied a = MSSQL__V1__POLICY_APPLIED__INIT;
    struct err err;
    assert_succeeds(peer_push(peer, "p", 3, "{}", &err), err);
    a.source = TEXT("file");
    hello(NULL, &a);
    assert_string_equal(wire.sent[0], "policy p/3");
    peer_flush(peer);
    assert_int_equal(wire.count, 1);
    a.uid = TEXT("p");
    a.generation = 3;
    a.error_class = TEXT("config");
    a.message = TEXT("no");
    say(MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_POLICY_APPLIED, &a);
    assert_int_equal(wire.policies, 1);
    assert_string_equal(peer->refused->message, "no");
    assert_succeeds(peer_push(peer, "p", 3, "{}", &err), err); /* refused: not again and again */
    assert_int_equal(wire.count, 1);
    assert_succeeds(peer_push(peer, "p", 4, "{}", &err), err);
    assert_string_equal(wire.sent[1], "policy p/4");
    a.generation = 4;
    a.error_class = a.message = TEXT("");
    a.source = TEXT("controller");
    say(MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_POLICY_APPLIED, &a);
    assert_null(peer->refused);
    peer_disconnect(peer, 6);
    hello(NULL, &a); /* it has it */
    assert_int_equal(wire.count, 0);
    assert_fails(peer_push(peer, "", 1, "{}", &err), err, ERR_USAGE, "uid");
    assert_fails(peer_push(peer, "p", 0, "{}", &err), err, ERR_USAGE, "generation");
}

/* ---- status ---- */

static int part(uint64_t sequence, bool first, const char *const *names, const char *gone, bool complete, struct err *err) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__StatusPart p = MSSQL__V1__STATUS_PART__INIT;
    Mssql__V1__Status head = MSSQL__V1__STATUS__INIT;
    Mssql__V1__Database items[8], *list[8];
    char *gone_list[1] = {TEXT(gone)};
    p.sequence = sequence;
    p.first = first;
    p.head = first ? &head : NULL;
    p.complete = complete;
    for (size_t i = 0; names && names[i]; i++) {
        mssql__v1__database__init(&items[i]);
        items[i].name = TEXT(names[i]);
        items[i].data_bytes = sequence; /* a figure */
        list[i] = &items[i];
        p.n_databases = i + 1;
    }
    p.databases = list;
    p.gone = gone_list;
    p.n_gone = gone != NULL;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_STATUS;
    m.status = &p;
    return peer_message(peer, &m, 9, err);
}

static void names_are(const char *want) {
    Mssql__V1__Status *s = report_status(&peer->report, true);
    char got[200] = "";
    for (size_t i = 0; s && i < s->n_databases; i++)
        str_format(got + strlen(got), sizeof(got) - strlen(got), "%s%s", i ? "," : "", s->databases[i]->name);
    assert_string_equal(got, want);
    if (s)
        mssql__v1__status__free_unpacked(s, NULL);
}

static void test_status_in_parts(void **state) {
    (void)state;
    static const char *const one[] = {"c", "a", NULL}, *const two[] = {"b", NULL}, *const three[] = {"a", NULL};
    struct err err;
    hello(NULL, NULL);
    assert_succeeds(part(1, true, one, NULL, false, &err), err);
    names_are("");
    assert_int_equal(wire.statuses, 0);
    assert_succeeds(part(2, false, two, NULL, true, &err), err);
    names_are("a,b,c");
    assert_true(peer->report.complete && wire.statuses == 1 && wire.news == 1);
    assert_succeeds(part(3, false, three, NULL, true, &err), err); /* figures only */
    assert_true(wire.statuses == 2 && wire.news == 1);
    assert_succeeds(part(4, false, NULL, "b", true, &err), err);
    names_are("a,c");
    assert_int_equal(wire.news, 2);
    peer_disconnect(peer, 6);
    names_are("a,c"); /* what was known last */
    assert_false(peer->report.complete);
    hello(NULL, NULL);
    assert_succeeds(part(1, true, two, NULL, false, &err), err);
    names_are("a,c"); /* until the new one is whole */
    assert_succeeds(part(2, false, NULL, NULL, true, &err), err);
    names_are("b");
}

static void test_status_out_of_order(void **state) {
    (void)state;
    struct err err;
    hello(NULL, NULL);
    assert_fails(part(1, false, NULL, NULL, true, &err), err, ERR_PROTOCOL, "begin");
    assert_fails(part(2, true, NULL, NULL, true, &err), err, ERR_PROTOCOL, "follows");
    assert_succeeds(part(1, true, NULL, NULL, true, &err), err);
    assert_fails(part(1, true, NULL, NULL, true, &err), err, ERR_PROTOCOL, "follows");
    assert_fails(part(3, false, NULL, NULL, true, &err), err, ERR_PROTOCOL, "follows");
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__Hello again = MSSQL__V1__HELLO__INIT;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_HELLO;
    m.hello = &again;
    assert_fails(peer_message(peer, &m, 9, &err), err, ERR_PROTOCOL, "second");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_command_from_begin_to_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_reconnects, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_life_of_the_controller, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_full_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policy, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_in_parts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_status_out_of_order, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
