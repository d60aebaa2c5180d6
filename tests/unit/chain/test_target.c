/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/target.h"

#include "common/base/clock.h"
#include "tests/unit/chain/make.h"

static struct err err;

static void test_forms(void **state) {
    (void)state;
    static const struct {
        const char *text, *again; /* NULL: the same */
    } rows[] = {
        {"latest", NULL},
        {"LATEST", "latest"},
        {"2026-11-21T02:47:00Z", NULL},
        {"2026-11-21T02:47:00.123456Z", NULL},
        {"2026-11-21T03:47:00.5+01:00", "2026-11-21T02:47:00.5Z"},
        {"lsn:34000000006900179", NULL},
        {"lsn:0000000034000000006900179", "lsn:34000000006900179"},
        {"lsn:00000022:00000045:00b3", "lsn:34000000006900179"},
        {"lsn:34:69:179", "lsn:34000000006900179"},
        {"lsn:4294967295429496729565535", NULL},
        {"before-lsn:34000000006900179", NULL},
        {"lsn:<34000000006900179", "before-lsn:34000000006900179"},
        {"mark:release 7", NULL},
        {"mark:a@b", NULL},
        {"mark:a@b@2026-11-21T02:47:00Z", NULL},
        {"mark:x@2026-11-21T02:47:00", NULL}, /* no zone: a name */
        {"before-mark:release", NULL},
        {"before-mark:release@2026-11-21T04:47:00+02:00", "before-mark:release@2026-11-21T02:47:00Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chain_target target, again;
        char text[CHAIN_TARGET_TEXT_MAX];
        assert_succeeds(chain_target_parse(rows[i].text, &target, &err), err);
        assert_string_equal(chain_target_format(text, &target), rows[i].again ? rows[i].again : rows[i].text);
        assert_succeeds(chain_target_parse(text, &again, &err), err);
        assert_true(target.kind == again.kind && target.at == again.at && target.before == again.before &&
                    !lsn_cmp(target.lsn, again.lsn) && !strcmp(target.mark, again.mark));
    }
}

static void test_bad_forms(void **state) {
    (void)state;
    char name[CHAIN_MARK_MAX + 16] = "mark:";
    memset(name + 5, 'n', CHAIN_MARK_MAX);
    const char *const rows[] = {"",
                                "yesterday",
                                "2026-11-21",
                                "2026-11-21T02:47:00",
                                "2026-13-21T02:47:00Z",
                                "lsn:",
                                "lsn:0",
                                "lsn:12x",
                                "lsn:-1",
                                "lsn:34:69",
                                "lsn:1:2:3:4",
                                "lsn:34:69:65536",
                                "lsn:99999999999999999999999999",
                                "before-lsn:latest",
                                "mark:",
                                "mark:@2026-11-21T02:47:00Z",
                                "before-mark:",
                                name};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chain_target target = {.kind = CHAIN_TO_MARK, .at = 77};
        if (chain_target_parse(rows[i], &target, &err) == 0)
            fail_msg("'%s' is taken", rows[i]);
        assert_int_equal(err.class, ERR_USAGE);
        assert_true(target.kind == CHAIN_TO_MARK && target.at == 77);
    }
}

/* What people read (.123) and what the server holds (.12333) name the same tick. */
static void test_rounding(void **state) {
    (void)state;
    static const struct {
        int micro;
        const char *shown;
    } rows[] = {{0, ".000"},      {2999, ".000"},   {3000, ".003"},   {3333, ".003"},   {6665, ".003"},   {6666, ".007"},
                {7000, ".007"},   {9999, ".007"},   {10000, ".010"},  {123000, ".123"}, {123333, ".123"}, {122999, ".120"},
                {126666, ".127"}, {127000, ".127"}, {999999, ".997"}, {996665, ".993"}, {500001, ".500"}};
    const int64_t base = INT64_C(1795229220) * CLOCK_SECOND;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct chain_stop stop, again;
        chain_stop_at(base + rows[i].micro, 0, true, &stop);
        assert_string_equal(strchr(stop.value, '.'), rows[i].shown);
        assert_true(stop.at <= base + rows[i].micro && stop.at > base + rows[i].micro - 3667);
        assert_true(chain_stop_round(stop.at) == stop.at);
        chain_stop_at(stop.at, 0, true, &again);
        assert_string_equal(again.value, stop.value);
    }
    assert_true(chain_stop_round(-1) == -3334); /* downwards before 1970, too */
}

static void test_local_time(void **state) {
    (void)state;
    struct chain_stop stop;
    char sql[CHAIN_STOP_TEXT_MAX];
    int64_t at;
    assert_true(clock_parse("2026-11-21T23:47:00.123Z", &at));
    chain_stop_at(at, 3600, true, &stop);
    assert_string_equal(stop.value, "2026-11-22T00:47:00.123"); /* another day there */
    chain_stop_at(at, -12600, true, &stop);
    assert_string_equal(chain_stop_sql(sql, &stop), "STOPAT = N'2026-11-21T20:17:00.123'");
}

static void test_sql(void **state) {
    (void)state;
    struct chain_stop stop = {0};
    char sql[CHAIN_STOP_TEXT_MAX], name[CHAIN_MARK_MAX];
    assert_string_equal(chain_stop_sql(sql, &stop), "");
    chain_stop_lsn((struct lsn){34, 69, 179}, false, &stop);
    assert_string_equal(chain_stop_sql(sql, &stop), "STOPATMARK = N'lsn:34000000006900179'");
    chain_stop_lsn((struct lsn){34, 69, 179}, true, &stop);
    assert_string_equal(chain_stop_sql(sql, &stop), "STOPBEFOREMARK = N'lsn:34000000006900179'");
    chain_stop_mark("x' AFTER N'1", false, 0, 0, false, &stop);
    assert_string_equal(chain_stop_sql(sql, &stop), "STOPATMARK = N'x'' AFTER N''1'");
    memset(name, '\'', sizeof(name) - 1); /* the longest that can be */
    name[sizeof(name) - 1] = 0;
    chain_stop_mark(name, true, CLOCK_SECOND, 3600, true, &stop);
    assert_int_equal(strlen(chain_stop_sql(sql, &stop)),
                     strlen("STOPBEFOREMARK = N''") + 2 * (sizeof(name) - 1) + strlen(" AFTER N'1970-01-01T01:00:01.000'"));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms), cmocka_unit_test(test_bad_forms),
                                       cmocka_unit_test(test_rounding), cmocka_unit_test(test_local_time),
                                       cmocka_unit_test(test_sql)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
