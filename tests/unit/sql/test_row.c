/* SPDX-License-Identifier: Apache-2.0 */
/* Rows, dates, quoting, and the collection of messages. */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/sql/message.h"
#include "common/sql/row.h"
#include "common/sql/text.h"
#include "tests/unit/support/unit.h"

static const char *const names[] = {"Name", "id", "big", "flag", "lsn", "guid", "at", "nothing", "ratio"};
static const char *const values[] = {"sales",
                                     "-7",
                                     "18446744073709551615",
                                     "1",
                                     "4294967295429496729565535",
                                     "C6C44151-8A2C-4C6C-9BF5-2E02090C8EBC",
                                     "2026-11-21T13:05:33.123",
                                     NULL,
                                     "1.5"};
static const struct sql_row row = {.count = 9, .names = names, .values = values};

static void test_values(void **state) {
    (void)state;
    int64_t i64 = 99;
    uint64_t u64 = 99;
    int i = 99;
    double d = 0;
    struct lsn lsn = {0};
    struct guid guid = {0};
    assert_string_equal(sql_row_text(&row, "NAME"), "sales");
    assert_null(sql_row_text(&row, "nothing"));
    assert_null(sql_row_text(&row, "absent"));
    assert_true(sql_row_has(&row, "nothing"));
    assert_false(sql_row_has(&row, "absent"));
    assert_true(sql_row_i64(&row, "id", &i64) && i64 == -7);
    assert_true(sql_row_int(&row, "id", &i) && i == -7);
    assert_true(sql_row_u64(&row, "big", &u64) && u64 == UINT64_MAX);
    assert_true(sql_row_double(&row, "ratio", &d) && d == 1.5);
    assert_true(sql_row_lsn(&row, "lsn", &lsn) && lsn.vlf == UINT32_MAX && lsn.block == UINT32_MAX && lsn.slot == UINT16_MAX);
    assert_true(sql_row_guid(&row, "guid", &guid) && guid.bytes[0] == 0xc6);
    assert_true(sql_row_bool(&row, "flag"));
    assert_false(sql_row_bool(&row, "nothing"));
    assert_false(sql_row_bool(&row, "absent"));
}

static void test_values_refused(void **state) {
    (void)state;
    int64_t i64 = 99;
    int i = 99;
    uint64_t u64 = 99;
    struct lsn lsn = {1, 2, 3};
    char text[4];
    assert_false(sql_row_i64(&row, "big", &i64));
    assert_false(sql_row_int(&row, "big", &i));
    assert_false(sql_row_u64(&row, "id", &u64));
    assert_false(sql_row_i64(&row, "nothing", &i64));
    assert_false(sql_row_lsn(&row, "Name", &lsn));
    assert_int_equal(i64, 99);
    assert_int_equal(i, 99);
    assert_int_equal(u64, 99);
    assert_int_equal(lsn.slot, 3);
    assert_false(sql_row_copy(&row, "Name", text, sizeof(text)));
    assert_true(sql_row_copy(&row, "nothing", text, sizeof(text)));
    assert_string_equal(text, "");
}

static void test_dates(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int32_t offset;
        const char *utc; /* NULL: refused */
    } cases[] = {
        {"2026-11-21T13:05:33.123", 0, "2026-11-21T13:05:33.123Z"},
        {"2026-11-21 13:05:33", 3600, "2026-11-21T12:05:33Z"},
        {"2026-01-01T00:30:00", 5 * 3600 + 1800, "2025-12-31T19:00:00Z"},
        {"2026-01-01T00:30:00", -3600, "2026-01-01T01:30:00Z"},
        {"2026-11-21T13:05:33.5+02:00", -7200, "2026-11-21T11:05:33.500Z"},
        {"2026-11-21T13:05:33Z", 7200, "2026-11-21T13:05:33Z"},
        {"2026-11-21", 0, "2026-11-21T00:00:00Z"},
        {"Nov 21 2026 01:05:33:000PM", 0, NULL},
        {"2026-13-21T13:05:33", 0, NULL},
        {"", 0, NULL},
        {"2026-11-21T13:05:33.123456789012345678901234567890", 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[CLOCK_TEXT_MAX];
        int64_t at = 42, want = 42;
        bool ok = sql_date_parse(cases[i].text, cases[i].offset, &at);
        if (cases[i].utc)
            assert_true(clock_parse(cases[i].utc, &want));
        if (ok != (cases[i].utc != NULL) || at != want)
            fail_msg("'%s': %s", cases[i].text, ok ? clock_format(text, at) : "refused");
    }
    char text[SQL_DATE_TEXT_MAX];
    int64_t at;
    assert_true(clock_parse("2026-03-01T00:00:00.007Z", &at));
    assert_string_equal(sql_date_format(text, at, -3600), "2026-02-28T23:00:00.007");
    assert_int_equal(sql_date_offset("2026-11-21T13:05:33.5+05:30"), 19800);
    assert_int_equal(sql_date_offset("2026-11-21T13:05:33.5-03:00"), -10800);
    assert_int_equal(sql_date_offset("2026-11-21T13:05:33"), 0);
    assert_int_equal(sql_date_offset("x"), 0);
}

static void test_quoting(void **state) {
    (void)state;
    struct buf b;
    struct err err;
    buf_init(&b, 1000);
    sql_quote_name(&b, "we]ird [na'me");
    sql_quote_text(&b, "it's\nN'x' -- \xc3\xa4\xf0\x9f\x98\x80");
    assert_string_equal(b.data, "[we]]ird [na'me]N'it''s\nN''x'' -- \xc3\xa4\xf0\x9f\x98\x80'");
    assert_succeeds(sql_text_check(&b, "x", &err), err);
    buf_done(&b);
}

static void test_quoting_refused(void **state) {
    (void)state;
    char just[SQL_NAME_CHARS * 3 + 1] = "", over[SQL_NAME_CHARS * 3 + 4] = "";
    for (int i = 0; i < SQL_NAME_CHARS; i++)
        strcat(just, "\xe2\x82\xac"); /* three bytes, one character */
    strcat(strcpy(over, just), "x");
    static const char *const bad[] = {"", "\xff", "\xc0\x80", "\xed\xa0\x80", "\xe2\x82", "\xf4\x90\x80\x80", NULL};
    struct err err;
    struct buf b;
    buf_init(&b, 10000);
    sql_quote_name(&b, just);
    assert_succeeds(sql_text_check(&b, "x", &err), err);
    buf_reset(&b);
    sql_quote_name(&b, over);
    assert_fails(sql_text_check(&b, "the thing", &err), err, ERR_USAGE, "the thing: a name or value");
    for (size_t i = 0; bad[i]; i++) {
        buf_reset(&b);
        sql_quote_name(&b, bad[i]);
        assert_true(b.overflow);
        assert_int_equal(b.len, 0);
    }
    buf_reset(&b);
    sql_quote_text_max(&b, "\xf0\x9f\x98\x80", 1); /* a pair of surrogates */
    assert_true(b.overflow);
    buf_done(&b);
}

static void add(struct sql_messages *m, int number, int severity) {
    char text[32];
    snprintf(text, sizeof(text), "text %d", number);
    sql_messages_add(m, &(struct sql_message){.number = number, .severity = severity, .text = text});
}

static void test_messages(void **state) {
    (void)state;
    struct sql_messages m = {0};
    assert_null(sql_messages_cause(&m));
    add(&m, 5701, 0);
    add(&m, 3211, 0);
    assert_int_equal(m.count, 0);
    add(&m, 4035, 0);
    assert_null(sql_messages_cause(&m));
    add(&m, 3013, 16);
    assert_int_equal(sql_messages_cause(&m)->number, 3013);
    add(&m, 3201, 16);
    assert_int_equal(sql_messages_cause(&m)->number, 3201);
    assert_string_equal(sql_messages_find(&m, 4035)->text, "text 4035");
    assert_null(sql_messages_find(&m, 1));
    sql_messages_done(&m);
}

static void test_messages_bounded(void **state) {
    (void)state;
    struct sql_messages m = {0};
    for (int i = 0; i < 10000; i++)
        add(&m, 4035, 0);
    assert_int_equal(m.count, SQL_MESSAGES_MAX);
    add(&m, 3043, 16);
    add(&m, 3014, 0);
    assert_int_equal(m.count, SQL_MESSAGES_MAX);
    assert_int_equal(m.items[SQL_MESSAGES_MAX - 1].number, 3014); /* order is kept */
    assert_int_equal(sql_messages_cause(&m)->number, 3043);
    for (int i = 0; i < 1000; i++)
        add(&m, 3041, 16);
    assert_int_equal(sql_messages_cause(&m)->number, 3043);
    sql_messages_done(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),           cmocka_unit_test(test_values_refused),  cmocka_unit_test(test_dates),
        cmocka_unit_test(test_quoting),          cmocka_unit_test(test_quoting_refused), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_messages_bounded),
    };
    return cmocka_run_group_tests_name("sql row, text, message", tests, NULL, NULL);
}
