/* SPDX-License-Identifier: Apache-2.0 */
/* The codec by itself, and server and channel on one loop in one process. */
#include "tests/unit/support/unit.h"

#include "common/net/rpc_client.h"
#include "common/net/rpc_int.h"
#include "common/net/rpc_server.h"
#include "mssql/v1/sidecar.pb-c.h"

/* --- codec --- */

static int unpack(const void *data, size_t len, ProtobufCMessage **message, struct err *err) {
    grpc_slice slice = grpc_slice_from_copied_buffer(data, len);
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&slice, 1);
    int rc = rpc_unpack(&mssql__v1__run_backup_event__descriptor, bb, 1024, RPC_PEER_IS_CLIENT, message, err);
    grpc_byte_buffer_destroy(bb);
    grpc_slice_unref(slice);
    return rc;
}

static void test_codec_round_trip(void **state) {
    (void)state;
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    Mssql__V1__BackupResult result = MSSQL__V1__BACKUP_RESULT__INIT;
    Mssql__V1__Backup backup = MSSQL__V1__BACKUP__INIT;
    backup.first_lsn = (char *)(uintptr_t) "9999999999999999999999999";
    backup.set_guid = (char *)(uintptr_t) "größe";
    result.backup = &backup;
    result.sql_error = -3013;
    event.event_case = MSSQL__V1__RUN_BACKUP_EVENT__EVENT_RESULT;
    event.result = &result;
    size_t len;
    grpc_byte_buffer *bb = rpc_pack(&event.base, &len);
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    assert_succeeds(rpc_unpack(event.base.descriptor, bb, 1024, RPC_PEER_IS_CLIENT, &message, &err), err);
    const Mssql__V1__RunBackupEvent *back = (const void *)message;
    assert_string_equal(back->result->backup->first_lsn, backup.first_lsn);
    assert_int_equal(back->result->sql_error, -3013);
    assert_int_equal(len, grpc_byte_buffer_length(bb));
    rpc_message_free(message);
    grpc_byte_buffer_destroy(bb);
}

static void test_codec_finds_bad_text_at_any_depth(void **state) {
    (void)state;
    /* event.result(3).backup(9).database(1) */
    static const uint8_t bad[] = {0x1a, 7, 0x4a, 5, 0x0a, 3, 'a', 0, 'b'};
    ProtobufCMessage *message = NULL;
    struct err err = {0};
    assert_fails(unpack(bad, sizeof(bad), &message, &err), err, ERR_USAGE, "'database'");
    assert_null(message);
    uint8_t good[sizeof(bad)];
    memcpy(good, bad, sizeof(bad));
    good[7] = 'x';
    assert_succeeds(unpack(good, sizeof(good), &message, &err), err);
    rpc_message_free(message);
}

static void test_codec_every_cut_and_flip(void **state) {
    (void)state;
    static const uint8_t whole[] = {0x1a, 13, 0x0a, 2, 'd', 'b', 0x20, 1, 0x4a, 5, 0x0a, 3, 'a', 'b', 'c'};
    for (size_t len = 0; len <= sizeof(whole); len++)
        for (unsigned flip = 0; flip < 8 * sizeof(whole); flip++) {
            uint8_t data[sizeof(whole)];
            memcpy(data, whole, sizeof(whole));
            data[flip / 8] ^= (uint8_t)(1u << (flip % 8));
            ProtobufCMessage *message = NULL;
            struct err err = {0};
            if (unpack(data, len, &message, &err) == 0)
                rpc_message_free(message);
            else
                assert_true(err.class == ERR_USAGE && err.text[0] && !message);
        }
}

static void test_codec_bounds_memory(void **state) {
    (void)state;
    uint8_t data[65536];
    struct err err = {0};
    ProtobufCMessage *message = NULL;
    for (size_t i = 0; i < sizeof(data); i += 2) {
        data[i] = 0x0a; /* GetStatusRequest.databases = "" */
        data[i + 1] = 0;
    }
    grpc_slice slice = grpc_slice_from_copied_buffer((char *)data, sizeof(data));
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&slice, 1);
    assert_fails(rpc_unpack(&mssql__v1__get_status_request__descriptor, bb, sizeof(data), RPC_PEER_IS_CLIENT, &message, &err),
                 err, ERR_LIMIT, "too much memory");
    assert_fails(rpc_unpack(&mssql__v1__get_status_request__descriptor, NULL, 10, RPC_PEER_IS_CLIENT, &message, &err), err,
                 ERR_USAGE, "no request");
    grpc_byte_buffer_destroy(bb);
    grpc_slice_unref(slice);
}

static void test_codec_without_memory(void **state) {
    (void)state;
    static const uint8_t whole[] = {0x1a, 13, 0x0a, 2, 'd', 'b', 0x20, 1, 0x4a, 5, 0x0a, 3, 'a', 'b', 'c'};
    unsigned n = 1;
    for (;; n++) { /* each allocation fails once */
        ProtobufCMessage *message = NULL;
        struct err err = {0};
        mem_fail_nth(n);
        int rc = unpack(whole, sizeof(whole), &message, &err);
        mem_fail_nth(0);
        if (rc == 0) {
            rpc_message_free(message);
            break;
        }
        assert_int_equal(err.class, ERR_LIMIT);
        assert_null(message);
    }
    assert_true(n > 5);
}

/* --- server and channel on one loop --- */

struct world {
    struct ev_loop *ev;
    struct rpc_loop *loop;
    struct rpc_server *server;
    struct rpc_channel *channel;
    char *dir;
    unsigned got, ended, cancelled, failed;
    struct err last;
    struct rpc_stream *stream;
    bool stopped;
};

static void echo(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    (void)user, (void)message;
    Mssql__V1__Status status = MSSQL__V1__STATUS__INIT;
    status.databases_total = 42;
    rpc_call_reply(call, &status.base);
}

static void count_cancel(void *user, struct rpc_call *call) {
    ((struct world *)user)->cancelled++;
    rpc_call_end(call);
}

static void hold(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    (void)message;
    Mssql__V1__RunBackupEvent event = MSSQL__V1__RUN_BACKUP_EVENT__INIT;
    rpc_call_on_cancel(call, count_cancel, user);
    struct err err = {0};
    assert_succeeds(rpc_call_send(call, &event.base, &err), err);
}

static const struct rpc_method methods[] = {
    {"/mssql.v1.Sidecar/GetStatus", RPC_UNARY, &mssql__v1__get_status_request__descriptor, echo},
    {"/mssql.v1.Sidecar/RunBackup", RPC_SERVER_STREAM, &mssql__v1__run_backup_request__descriptor, hold},
};

static int setup(void **state) {
    struct world *w = mem_alloc(sizeof(*w));
    struct err err = {0};
    w->ev = ev_loop_new(EVFLAG_AUTO);
    w->loop = rpc_loop_new(w->ev);
    w->dir = unit_tmpdir();
    char *address = mem_printf("unix:%s/s", w->dir);
    const char *listen[] = {address, NULL};
    assert_succeeds(
        rpc_server_new(
            w->loop,
            &(struct rpc_server_options){
                .listen = listen, .methods = methods, .method_count = 2, .user = w, .max_streams = 1000, .max_calls = 1000},
            &w->server, &err),
        err);
    assert_succeeds(rpc_channel_new(w->loop, &(struct rpc_channel_options){.address = address}, &w->channel, &err), err);
    mem_free(address);
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
    w->failed += err->class != ERR_NONE;
    w->last = *err;
    w->stream = NULL;
}

static const struct rpc_stream_events events = {on_message, on_end};

static void open_status(struct world *w) {
    Mssql__V1__GetStatusRequest request = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    rpc_stream_open(w->channel, methods[0].path, &request.base, &mssql__v1__status__descriptor, 20000, false, &events, w);
}

static void open_hold(struct world *w) {
    Mssql__V1__RunBackupRequest request = MSSQL__V1__RUN_BACKUP_REQUEST__INIT;
    w->stream = rpc_stream_open(w->channel, methods[1].path, &request.base, &mssql__v1__run_backup_event__descriptor, 0, false,
                                &events, w);
}

static void on_guard(struct ev_loop *ev, ev_timer *t, int revents) {
    (void)ev, (void)t, (void)revents;
    fail_msg("nothing happens");
}

#define run_until(w, condition)                                                                                                  \
    do {                                                                                                                         \
        ev_timer guard;                                                                                                          \
        ev_timer_init(&guard, on_guard, 30, 0);                                                                                  \
        ev_timer_start((w)->ev, &guard);                                                                                         \
        while (!(condition))                                                                                                     \
            ev_run((w)->ev, EVRUN_ONCE);                                                                                         \
        ev_timer_stop((w)->ev, &guard);                                                                                          \
    } while (0)

static void test_many_calls(void **state) {
    struct world *w = *state;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 200; i++)
            open_status(w);
        run_until(w, w->ended == 200u * (round + 1));
    }
    assert_int_equal(w->got, 1000);
    assert_int_equal(w->failed, 0);
}

static void test_cancel_by_the_client(void **state) {
    struct world *w = *state;
    open_hold(w);
    run_until(w, w->got == 1);
    rpc_stream_cancel(w->stream);
    rpc_stream_cancel(w->stream); /* once is enough, twice does not hurt */
    run_until(w, w->ended == 1 && w->cancelled == 1);
    assert_int_equal(w->last.class, ERR_CANCELLED);
}

static void test_unknown_method(void **state) {
    struct world *w = *state;
    Mssql__V1__GetStatusRequest request = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    rpc_stream_open(w->channel, "/no/such", &request.base, &mssql__v1__status__descriptor, 20000, false, &events, w);
    run_until(w, w->ended == 1);
    assert_int_equal(w->last.class, ERR_UNSUPPORTED);
    assert_string_equal(w->last.text, "no such method");
}

static void on_stopped(void *user) {
    struct world *w = user;
    w->stopped = true;
    rpc_server_free(w->server); /* allowed here */
    w->server = NULL;
}

static void test_stop_with_an_open_stream(void **state) {
    struct world *w = *state;
    open_hold(w);
    run_until(w, w->got == 1);
    rpc_server_stop(w->server, 50, on_stopped, w);
    run_until(w, w->stopped && w->ended == 1);
    assert_int_equal(w->cancelled, 1);
    assert_true(w->failed == 1);
    open_status(w);
    run_until(w, w->ended == 2);
    assert_int_equal(w->last.class, ERR_CONNECT);
}

static void test_free_with_open_streams(void **state) {
    struct world *w = *state;
    open_hold(w);
    run_until(w, w->got == 1);
    rpc_server_free(w->server); /* without a stop, without the loop */
    w->server = NULL;
    assert_int_equal(w->cancelled, 1);
    run_until(w, w->ended == 1);
    assert_int_not_equal(w->last.class, ERR_NONE);
}

static void test_wait_for_ready(void **state) {
    struct world *w = *state;
    char *address = mem_printf("unix:%s/late", w->dir);
    const char *listen[] = {address, NULL};
    struct rpc_channel *channel;
    struct rpc_server *late;
    struct err err = {0};
    Mssql__V1__GetStatusRequest request = MSSQL__V1__GET_STATUS_REQUEST__INIT;
    assert_succeeds(rpc_channel_new(w->loop, &(struct rpc_channel_options){.address = address}, &channel, &err), err);
    rpc_stream_open(channel, methods[0].path, &request.base, &mssql__v1__status__descriptor, 20000, false, &events, w);
    run_until(w, w->ended == 1);
    assert_int_equal(w->last.class, ERR_CONNECT);
    rpc_stream_open(channel, methods[0].path, &request.base, &mssql__v1__status__descriptor, 20000, true, &events, w);
    assert_succeeds(
        rpc_server_new(w->loop, &(struct rpc_server_options){.listen = listen, .methods = methods, .method_count = 2, .user = w},
                       &late, &err),
        err);
    run_until(w, w->ended == 2);
    assert_int_equal(w->last.class, ERR_NONE);
    rpc_channel_free(channel);
    rpc_server_free(late);
    mem_free(address);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_codec_round_trip),
        cmocka_unit_test(test_codec_finds_bad_text_at_any_depth),
        cmocka_unit_test(test_codec_every_cut_and_flip),
        cmocka_unit_test(test_codec_bounds_memory),
        cmocka_unit_test(test_codec_without_memory),
        cmocka_unit_test_setup_teardown(test_many_calls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cancel_by_the_client, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_method, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_with_an_open_stream, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_with_open_streams, setup, teardown),
        cmocka_unit_test_setup_teardown(test_wait_for_ready, setup, teardown),
    };
    rpc_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
