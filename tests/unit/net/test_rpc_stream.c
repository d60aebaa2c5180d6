/* SPDX-License-Identifier: Apache-2.0 */
/* Bidirectional streams of the client against our server, and calls from inside. */
#include "tests/unit/support/unit.h"

#include "common/base/str.h"
#include "common/net/rpc_client.h"
#include "common/net/rpc_server.h"
#include "mssql/v1/controller.pb-c.h"

#define PATH "/mssql.v1.Controller/Connect"

struct world {
    struct ev_loop *ev;
    struct rpc_loop *loop;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char *dir, *address;
    struct rpc_stream *stream;
    unsigned got, sent, ended, server_got, cancelled;
    uint64_t last_sequence;
    bool in_order, hold, server_half_closed;
    char authorization[64];
    struct rpc_call *call;
    struct err last;
};

/* ---- server: answers each message with one, or keeps silent ---- */

static void server_message(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    struct world *w = user;
    struct err err;
    if (!message) {
        w->server_half_closed = true;
        rpc_call_end(call);
        w->call = NULL;
        return;
    }
    const Mssql__V1__SidecarMessage *m = (const void *)message;
    w->server_got++;
    w->in_order &= m->status->sequence == w->last_sequence + 1;
    w->last_sequence = m->status->sequence;
    Mssql__V1__ControllerMessage answer = MSSQL__V1__CONTROLLER_MESSAGE__INIT;
    Mssql__V1__HeartbeatAck ack = MSSQL__V1__HEARTBEAT_ACK__INIT;
    answer.message_case = MSSQL__V1__CONTROLLER_MESSAGE__MESSAGE_HEARTBEAT_ACK;
    answer.heartbeat_ack = &ack;
    assert_succeeds(rpc_call_send(call, &answer.base, &err), err);
}

static void server_cancel(void *user, struct rpc_call *call) {
    struct world *w = user;
    w->cancelled++;
    w->call = NULL;
    rpc_call_end(call);
}

static void on_connect(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct world *w = user;
    assert_null(request);
    str_copy(w->authorization, sizeof(w->authorization), rpc_call_authorization(call));
    w->call = call;
    rpc_call_on_cancel(call, server_cancel, w);
    if (!w->hold)
        rpc_call_on_message(call, server_message, w);
}

static const struct rpc_method methods[] = {
    {PATH, RPC_BIDI, &mssql__v1__sidecar_message__descriptor, on_connect},
};

static void server_up(struct world *w) {
    const char *listen[] = {w->address, NULL};
    struct err err = {0};
    assert_succeeds(
        rpc_server_new(w->loop, &(struct rpc_server_options){.listen = listen, .methods = methods, .method_count = 1, .user = w},
                       &w->server, &err),
        err);
}

static int setup(void **state) {
    struct world *w = mem_alloc(sizeof(*w));
    struct err err = {0};
    w->ev = ev_loop_new(EVFLAG_AUTO);
    w->loop = rpc_loop_new(w->ev);
    w->dir = unit_tmpdir();
    w->address = mem_printf("unix:%s/s", w->dir);
    w->in_order = true;
    server_up(w);
    assert_succeeds(rpc_channel_new(w->loop,
                                    &(struct rpc_channel_options){.address = w->address, .authorization = "Bearer ey.x.y"},
                                    &w->channel, &err),
                    err);
    *state = w;
    return 0;
}

static int teardown(void **state) {
    struct world *w = *state;
    rpc_channel_free(w->channel);
    rpc_server_free(w->server);
    rpc_loop_free(w->loop);
    ev_loop_destroy(w->ev);
    unit_rm(w->dir);
    mem_free(w->address);
    mem_free(w);
    return 0;
}

static void on_message(void *user, const ProtobufCMessage *message) {
    (void)message;
    ((struct world *)user)->got++;
}

static void on_end(void *user, const struct err *err) {
    struct world *w = user;
    w->ended++;
    w->last = *err;
    w->stream = NULL;
}

static void on_sent(void *user) {
    ((struct world *)user)->sent++;
}

static const struct rpc_stream_events events = {on_message, on_end, on_sent};

static void on_guard(struct ev_loop *ev, ev_timer *t, int revents) {
    (void)ev, (void)t, (void)revents;
    fail_msg("nothing happens");
}

#define run_until(w, condition)                                                                                                  \
    do {                                                                                                                         \
        ev_timer guard;                                                                                                          \
        ev_timer_init(&guard, on_guard, 60, 0);                                                                                  \
        ev_timer_start((w)->ev, &guard);                                                                                         \
        while (!(condition))                                                                                                     \
            ev_run((w)->ev, EVRUN_ONCE);                                                                                         \
        ev_timer_stop((w)->ev, &guard);                                                                                          \
    } while (0)

static void dial(struct world *w, bool wait) {
    w->stream = rpc_stream_open_bidi(w->channel, PATH, &mssql__v1__controller_message__descriptor, wait, &events, w);
}

static int send_one(struct world *w, uint64_t sequence, size_t ballast, struct err *err) {
    Mssql__V1__SidecarMessage m = MSSQL__V1__SIDECAR_MESSAGE__INIT;
    Mssql__V1__StatusPart part = MSSQL__V1__STATUS_PART__INIT;
    _cleanup_free_ char *text = mem_alloc(ballast + 1);
    memset(text, 'x', ballast);
    char *gone[] = {text};
    part.sequence = sequence;
    part.gone = gone;
    part.n_gone = 1;
    m.message_case = MSSQL__V1__SIDECAR_MESSAGE__MESSAGE_STATUS;
    m.status = &part;
    return rpc_stream_send(w->stream, &m.base, err);
}

static void test_echo_in_order(void **state) {
    struct world *w = *state;
    struct err err = {0};
    dial(w, false);
    for (unsigned i = 1; i <= 1000; i++)
        assert_succeeds(send_one(w, i, 10, &err), err);
    run_until(w, w->got == 1000);
    assert_true(w->in_order);
    assert_true(w->sent >= 1);
    assert_int_equal(rpc_stream_queued_bytes(w->stream), 0);
    assert_string_equal(w->authorization, "Bearer ey.x.y");
    rpc_stream_half_close(w->stream);
    assert_fails(send_one(w, 1001, 1, &err), err, ERR_CANCELLED, "over");
    run_until(w, w->ended == 1);
    assert_int_equal(w->last.class, ERR_NONE);
    assert_true(w->server_half_closed);
}

static void test_a_reader_that_is_slow(void **state) {
    struct world *w = *state;
    struct err err = {0};
    w->hold = true; /* the server reads nothing */
    dial(w, false);
    run_until(w, w->call);
    uint64_t n = 0;
    int rc = 0;
    while (rc == 0 && n < 10000) {
        rc = send_one(w, n + 1, 100000, &err);
        n += rc == 0;
        ev_run(w->ev, EVRUN_NOWAIT);
    }
    assert_int_equal(err.class, ERR_BUSY);
    assert_true(rpc_stream_queued_bytes(w->stream) <= 1100000);
    rpc_call_on_message(w->call, server_message, w); /* now it does */
    run_until(w, w->server_got == n);
    assert_true(w->in_order); /* what was refused was not taken */
    assert_succeeds(send_one(w, n + 1, 10, &err), err);
    run_until(w, w->server_got == n + 1);
    rpc_stream_cancel(w->stream);
    run_until(w, w->ended == 1 && !w->call);
    assert_int_equal(w->last.class, ERR_CANCELLED);
}

static void test_the_server_ends_it(void **state) {
    struct world *w = *state;
    struct err err = {0};
    dial(w, false);
    assert_succeeds(send_one(w, 1, 10, &err), err);
    run_until(w, w->got == 1);
    err_set(&err, ERR_PERMISSION, "go away");
    rpc_call_fail(w->call, &err);
    run_until(w, w->ended == 1);
    assert_int_equal(w->last.class, ERR_PERMISSION);
    assert_string_equal(w->last.text, "go away");
}

static void test_the_server_dies_and_comes_back(void **state) {
    struct world *w = *state;
    struct err err = {0};
    dial(w, false);
    for (unsigned i = 1; i <= 50; i++)
        assert_succeeds(send_one(w, i, 1000, &err), err);
    run_until(w, w->got >= 1);
    rpc_server_free(w->server);
    run_until(w, w->ended == 1);
    assert_int_not_equal(w->last.class, ERR_NONE);
    server_up(w);
    w->last_sequence = 0;
    w->in_order = true;
    dial(w, true);
    assert_succeeds(send_one(w, 1, 10, &err), err); /* before there is a connection */
    unsigned before = w->got;
    run_until(w, w->got > before);
    assert_true(w->in_order);
    rpc_stream_cancel(w->stream);
    run_until(w, w->ended == 2);
}

static void test_a_token_needs_a_safe_way(void **state) {
    struct world *w = *state;
    struct rpc_channel *channel = NULL;
    struct err err = {0};
    struct rpc_channel_options o = {.address = "192.0.2.1:443", .authorization = "Bearer x"};
    assert_fails(rpc_channel_new(w->loop, &o, &channel, &err), err, ERR_CONFIG, "without TLS");
    assert_null(channel);
}

/* ---- calls from inside ---- */

struct inside {
    unsigned got, ended, cancelled;
    struct err last;
    struct rpc_call *held;
    char peer[32];
};

static void answer_now(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    const Mssql__V1__GetStatusRequest *q = (const void *)request;
    struct inside *in = user;
    Mssql__V1__Status status = MSSQL__V1__STATUS__INIT;
    str_copy(in->peer, sizeof(in->peer), rpc_call_peer_name(call));
    assert_string_equal(rpc_call_peer(call), "local:");
    assert_string_equal(q->databases[0], "a");
    rpc_call_reply(call, &status.base);
}

static void inside_cancel(void *user, struct rpc_call *call) {
    struct inside *in = user;
    in->cancelled++;
    in->held = NULL;
    rpc_call_end(call);
}

static void answer_later(void *user, struct rpc_call *call, const ProtobufCMessage *request) {
    struct inside *in = user;
    struct err err;
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    (void)request;
    rpc_call_on_cancel(call, inside_cancel, in);
    assert_succeeds(rpc_call_send(call, &event.base, &err), err);
    in->held = call;
}

static const struct rpc_method inside_methods[] = {
    {"/s/Now", RPC_UNARY, &mssql__v1__get_status_request__descriptor, answer_now},
    {"/s/Later", RPC_SERVER_STREAM, &mssql__v1__run_backup_request__descriptor, answer_later},
    {"/s/Bidi", RPC_BIDI, &mssql__v1__run_backup_request__descriptor, answer_later},
};

static void inside_message(void *user, const ProtobufCMessage *message) {
    assert_non_null(message);
    ((struct inside *)user)->got++;
}

static void inside_end(void *user, const struct err *err) {
    struct inside *in = user;
    in->ended++;
    in->last = *err;
}

static struct rpc_call *inside_call(struct inside *in, const char *path) {
    static const struct rpc_local_events e = {inside_message, inside_end};
    Mssql__V1__RunBackupRequest later = MSSQL__V1__RUN_BACKUP_REQUEST__INIT;
    Mssql__V1__GetStatusRequest now = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    char *names[] = {(char *)(uintptr_t) "a"};
    now.databases = names;
    now.n_databases = 1;
    return rpc_local_call(inside_methods, ARRAY_LEN(inside_methods), in, path, "controller",
                          !strcmp(path, "/s/Now") ? &now.base : &later.base, &e, in);
}

static void test_inside_at_once(void **state) {
    (void)state;
    struct inside in = {0};
    assert_null(inside_call(&in, "/s/Now"));
    assert_int_equal(in.got, 1);
    assert_int_equal(in.ended, 1);
    assert_int_equal(in.last.class, ERR_NONE);
    assert_string_equal(in.peer, "controller");
    assert_null(inside_call(&in, "/s/Bidi"));
    assert_null(inside_call(&in, "/s/None"));
    assert_int_equal(in.ended, 1);
}

static void test_inside_later(void **state) {
    (void)state;
    struct inside in = {0};
    struct err err;
    struct rpc_call *call = inside_call(&in, "/s/Later");
    assert_non_null(call);
    assert_int_equal(in.got, 1);
    assert_int_equal(in.ended, 0);
    err_set(&err, ERR_SPACE, "full");
    rpc_call_fail(in.held, &err);
    assert_int_equal(in.ended, 1);
    assert_int_equal(in.last.class, ERR_SPACE);
    assert_string_equal(in.last.text, "full");
    call = inside_call(&in, "/s/Later");
    rpc_local_cancel(call);
    assert_int_equal(in.cancelled, 1);
    assert_int_equal(in.ended, 2);
    assert_int_equal(in.last.class, ERR_CANCELLED);
    call = inside_call(&in, "/s/Later");
    rpc_local_abandon(call);
    assert_int_equal(in.cancelled, 2);
    assert_int_equal(in.ended, 2); /* silent */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_echo_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reader_that_is_slow, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_server_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_server_dies_and_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_token_needs_a_safe_way, setup, teardown),
        cmocka_unit_test(test_inside_at_once),
        cmocka_unit_test(test_inside_later),
    };
    rpc_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
