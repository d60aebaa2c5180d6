/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "controller/kube/election.h"
#include "controller/kube/kind.h"

#define S CLOCK_SECOND
#define WALL (INT64_C(1700000000) * S)

/* A server with one Lease: a write succeeds only with the version that is current. */
struct server {
    json_t *lease;
    int version;
};

static bool server_write(struct server *server, json_t *body) {
    const char *want = kube_resource_version(body), *have = kube_resource_version(server->lease);
    char text[16];
    bool ok = !strcmp(want, have);
    if (ok) {
        snprintf(text, sizeof(text), "%d", ++server->version);
        json_object_set_new(json_object_get(body, "metadata"), "resourceVersion", json_string(text));
        json_decref(server->lease);
        server->lease = json_incref(body);
    }
    json_decref(body);
    return ok;
}

static void read_from(struct election *e, const struct server *server, int64_t now) {
    json_t *copy = json_deep_copy(server->lease);
    election_saw(e, copy, now);
    json_decref(copy);
}

static bool write_to(struct election *e, struct server *server, int64_t now, bool release) {
    if (!server_write(server, election_record(e, "ns", "lead", WALL + now, release)))
        return false;
    if (!release)
        election_wrote(e, server->lease, now, now);
    return true;
}

static void one_after_the_other(void **state) {
    (void)state;
    struct server server = {0};
    struct election a, b;
    election_init(&a, "a");
    election_init(&b, "b");
    read_from(&a, &server, 0);
    read_from(&b, &server, 0);
    assert_int_equal(election_next(&a, 0), ELECTION_TAKE);
    assert_int_equal(election_next(&b, 0), ELECTION_TAKE);
    assert_true(write_to(&a, &server, 0, false));
    assert_false(write_to(&b, &server, 0, false)); /* too late: another version */
    read_from(&b, &server, 1 * S);
    assert_string_equal(election_holder(&b), "a");
    assert_int_equal(election_next(&b, 1 * S), ELECTION_WATCH);
    assert_int_equal(election_next(&a, 2 * S), ELECTION_RENEW);
    assert_true(write_to(&a, &server, 9 * S, false));
    read_from(&b, &server, 10 * S);
    assert_int_equal(election_next(&b, 24 * S), ELECTION_WATCH);
    read_from(&b, &server, 24 * S); /* unchanged: still counted from 10 s */
    assert_int_equal(election_next(&a, 19 * S), ELECTION_LOST);
    assert_false(a.leading);
    assert_int_equal(election_next(&b, 25 * S), ELECTION_TAKE);
    assert_true(write_to(&b, &server, 25 * S, false));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(server.lease, "spec"), "leaseTransitions")), 1);
    read_from(&a, &server, 26 * S);
    assert_int_equal(election_next(&a, 26 * S), ELECTION_WATCH);
    assert_true(write_to(&b, &server, 27 * S, true)); /* release: at once */
    read_from(&a, &server, 27 * S);
    assert_int_equal(election_next(&a, 27 * S), ELECTION_TAKE);
    election_done(&a);
    election_done(&b);
    json_decref(server.lease);
}

static void a_leader_whose_lease_was_taken(void **state) {
    (void)state;
    struct server server = {0};
    struct election a;
    election_init(&a, "a");
    assert_true(write_to(&a, &server, 0, false));
    json_object_set_new(json_object_get(server.lease, "spec"), "holderIdentity", json_string("thief"));
    read_from(&a, &server, 1 * S);
    assert_int_equal(election_next(&a, 1 * S), ELECTION_LOST);
    assert_int_equal(election_next(&a, 1 * S), ELECTION_WATCH);
    election_done(&a);
    json_decref(server.lease);
}

static void records_that_are_odd(void **state) {
    (void)state;
    static const char *const leases[] = {"{}", "{\"spec\":null}", "{\"spec\":{\"holderIdentity\":7}}",
                                         "{\"spec\":{\"holderIdentity\":\"\"}}"};
    struct election a;
    for (size_t i = 0; i < ARRAY_LEN(leases); i++) {
        election_init(&a, "a");
        json_t *lease = json_loads(leases[i], 0, NULL);
        election_saw(&a, lease, 0);
        assert_int_equal(election_next(&a, 0), ELECTION_TAKE);
        json_decref(lease);
        election_done(&a);
    }
    /* our own name from an earlier life: ours at once; another with a promise of zero or minus: never sooner than 15 s */
    json_t *lease = json_pack("{s:{s:s, s:i}}", "spec", "holderIdentity", "b", "leaseDurationSeconds", -5);
    election_init(&a, "b");
    election_saw(&a, lease, 0);
    assert_int_equal(election_next(&a, 0), ELECTION_TAKE);
    election_done(&a);
    election_init(&a, "a");
    election_saw(&a, lease, 0);
    assert_int_equal(election_next(&a, 15 * S - 1), ELECTION_WATCH);
    assert_int_equal(election_next(&a, 15 * S), ELECTION_TAKE);
    election_done(&a);
    json_decref(lease);
}

/* Any order of delays, failures and lost answers of five candidates with clocks that do not agree: never two leaders. */
static void never_two(void **state) {
    (void)state;
    enum { N = 5 };
    static const char *const names[N] = {"a", "b", "c", "d", "e"};
    struct server server = {0};
    struct election e[N];
    int64_t skew[N], asleep_until[N] = {0};
    unsigned terms = 0;
    srand(11);
    for (int i = 0; i < N; i++) {
        election_init(&e[i], names[i]);
        skew[i] = (int64_t)(rand() % 100000) * S;
    }
    for (int64_t now = 0; now < 6000 * S; now += S / 2) {
        int i = rand() % N;
        int64_t mine = now + skew[i];
        if (rand() % 300 == 0)
            asleep_until[i] = now + (int64_t)(rand() % 60) * S;
        if (now < asleep_until[i])
            continue;
        if (!e[i].leading)
            read_from(&e[i], &server, mine);
        enum election_step step = election_next(&e[i], mine);
        if ((step == ELECTION_TAKE || step == ELECTION_RENEW) && rand() % 10) {
            bool answered = rand() % 20;
            if (server_write(&server, election_record(&e[i], "ns", "lead", WALL + mine * 3, false)) && answered)
                terms += election_wrote(&e[i], server.lease, mine, mine);
        }
        unsigned leaders = 0;
        for (int k = 0; k < N; k++) /* one that slept gives up when it wakes, before it does anything */
            leaders += e[k].leading && now + skew[k] - e[k].renewed_us < e[k].renew_ms * 1000;
        assert_true(leaders <= 1);
    }
    assert_true(terms > 5);
    for (int i = 0; i < N; i++)
        election_done(&e[i]);
    json_decref(server.lease);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(a_leader_whose_lease_was_taken),
        cmocka_unit_test(records_that_are_odd),
        cmocka_unit_test(never_two),
    };
    return cmocka_run_group_tests_name("kube_election", tests, NULL, NULL);
}
