/* SPDX-License-Identifier: Apache-2.0 */
/* Backoff and the reaction to failures of a login. The phases themselves: tests/integration/test_sql_adapter.py. */
#include "common/sql/connect.h"
#include "common/sql/endpoint.h"
#include "common/base/file.h"
#include "tests/unit/support/unit.h"

static void test_backoff_grows(void **state) {
    (void)state;
    const struct err refused = {.class = ERR_CONNECT};
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct sql_backoff b = {.seed = seed};
        int64_t base = 500;
        for (int i = 0; i < 20; i++) {
            int64_t ms = sql_backoff_next_ms(&b, &refused);
            assert_true(ms >= base * 3 / 4 && ms <= base * 5 / 4);
            base = base * 2 > 30000 ? 30000 : base * 2;
        }
        sql_backoff_reset(&b);
        assert_true(sql_backoff_next_ms(&b, &refused) <= 625);
    }
}

static void test_backoff_spares_accounts(void **state) {
    (void)state;
    const struct err denied = {.class = ERR_AUTH};
    struct sql_backoff b = {.seed = 7};
    assert_true(sql_backoff_next_ms(&b, &denied) >= 3750);
    for (int i = 0; i < 100; i++)
        sql_backoff_next_ms(&b, &denied);
    int64_t ms = sql_backoff_next_ms(&b, &denied);
    assert_true(ms >= 45000 && ms <= 75000);
}

static void test_backoff_jitters(void **state) {
    (void)state;
    const struct err refused = {.class = ERR_CONNECT};
    struct sql_backoff a = {.seed = 1}, b = {.seed = 2};
    unsigned same = 0;
    for (int i = 0; i < 10; i++)
        same += sql_backoff_next_ms(&a, &refused) == sql_backoff_next_ms(&b, &refused);
    assert_true(same < 5);
}

static void test_may_pass(void **state) {
    (void)state;
    static const struct {
        struct err err;
        bool starting, serving;
    } cases[] = {
        {{.class = ERR_CONNECT}, true, true},
        {{.class = ERR_TIMEOUT}, true, true},
        {{.class = ERR_STATE, .sql_number = 18401}, true, true},
        {{.class = ERR_STATE, .sql_number = 18451}, true, true},
        {{.class = ERR_STATE, .sql_number = 4060}, true, true},
        {{.class = ERR_STATE, .sql_number = 922}, true, true},
        {{.class = ERR_STATE, .sql_number = 942}, true, true},
        {{.class = ERR_AUTH, .sql_number = 18456}, true, false},
        {{.class = ERR_AUTH, .sql_number = 18486}, false, false},
        {{.class = ERR_CONFIG}, false, false},
        {{.class = ERR_CANCELLED}, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_int_equal(sql_connect_may_pass(&cases[i].err, true), cases[i].starting);
        assert_int_equal(sql_connect_may_pass(&cases[i].err, false), cases[i].serving);
    }
}

static void test_endpoint_file(void **state) {
    (void)state;
    struct err err;
    char name[SQL_SECTION_MAX], other[SQL_SECTION_MAX], again[SQL_SECTION_MAX], *text;
    size_t len;
    char *dir = unit_tmpdir();
    _cleanup_free_ char *ca = file_join(dir, "ca.pem"), *conf = file_join(dir, "freetds.conf");
    struct sql_params params = {.host = "127.0.0.1", .port = 14330, .user = "u"};
    setenv("TDSDUMP", "/nowhere", 1);
    assert_succeeds(sql_endpoint_init(dir, &err), err);
    assert_null(getenv("TDSDUMP"));
    assert_string_equal(getenv("FREETDSCONF"), conf);
    assert_succeeds(file_write_durable(ca, "x", 1, 0600, &err), err);
    assert_succeeds(sql_endpoint_section(&params, name, &err), err);
    params.encryption = SQL_ENCRYPTION_REQUIRE;
    params.ca_file = ca;
    params.check_hostname = true;
    assert_succeeds(sql_endpoint_section(&params, other, &err), err);
    assert_succeeds(sql_endpoint_section(&params, again, &err), err);
    assert_string_not_equal(name, other);
    assert_string_equal(other, again);
    assert_succeeds(file_read_all(conf, 100000, &text, &len, &err), err);
    assert_non_null(strstr(text, "[s0]\n\thost = 127.0.0.1\n\tport = 14330\n"));
    assert_non_null(strstr(text, "\tencryption = request\n"));
    assert_non_null(strstr(text, "\tencryption = require\n\tca file = /"));
    assert_non_null(strstr(text, "\tcheck certificate hostname = yes\n"));
    assert_null(strstr(text, "pass"));
    mem_free(text);
    /* The ring: an address used again after many others still has a section that says so. */
    for (unsigned port = 20000; port < 20300; port++) {
        struct sql_params p = {.host = "127.0.0.1", .port = (uint16_t)port, .user = "u"};
        assert_succeeds(sql_endpoint_section(&p, name, &err), err);
    }
    assert_succeeds(file_read_all(conf, 100000, &text, &len, &err), err);
    assert_non_null(strstr(text, "port = 20299\n"));
    assert_null(strstr(text, "port = 20000\n"));
    mem_free(text);
    sql_endpoint_done();
    assert_null(getenv("FREETDSCONF"));
    assert_false(file_exists(conf));
    unit_rm(dir);
}

static void test_endpoint_refused(void **state) {
    (void)state;
    struct err err;
    char name[SQL_SECTION_MAX];
    char *dir = unit_tmpdir();
    static const char *const bad[] = {"", "a\nencryption = off", "a;b", "a#b", " a", "a ", "a\tb", NULL};
    assert_succeeds(sql_endpoint_init(dir, &err), err);
    for (size_t i = 0; bad[i]; i++) {
        struct sql_params p = {.host = bad[i], .user = "u"};
        assert_fails(sql_endpoint_section(&p, name, &err), err, ERR_CONFIG, "host of the SQL Server connection");
        p.host = "ok";
        p.ca_file = bad[i];
        assert_fails(sql_endpoint_section(&p, name, &err), err, ERR_CONFIG, "CA file");
    }
    struct sql_params p = {.host = "ok", .user = "u", .ca_file = "/nowhere/ca.pem"};
    assert_fails(sql_endpoint_section(&p, name, &err), err, ERR_CONFIG, "does not exist");
    p.encryption = SQL_ENCRYPTION_OFF;
    assert_fails(sql_endpoint_section(&p, name, &err), err, ERR_CONFIG, "encryption is off");
    p = (struct sql_params){.host = "ok", .user = "u", .check_hostname = true};
    assert_fails(sql_endpoint_section(&p, name, &err), err, ERR_CONFIG, "needs a CA file");
    sql_endpoint_done();
    p.check_hostname = false;
    assert_fails(sql_endpoint_section(&p, name, &err), err, ERR_INTERNAL, "not initialised");
    unit_rm(dir);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_grows),   cmocka_unit_test(test_backoff_spares_accounts),
        cmocka_unit_test(test_backoff_jitters), cmocka_unit_test(test_may_pass),
        cmocka_unit_test(test_endpoint_file),   cmocka_unit_test(test_endpoint_refused),
    };
    return cmocka_run_group_tests_name("sql connect, endpoint", tests, NULL, NULL);
}
