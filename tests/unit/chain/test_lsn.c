/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/lsn.h"
#include "tests/unit/support/unit.h"

static void test_round_trip(void **state) {
    (void)state;
    static const struct {
        const char *decimal, *padded, *hex;
        struct lsn lsn;
    } rows[] = {
        {"0", "0000000000000000000000000", "00000000:00000000:0000", {0, 0, 0}},
        {"34000000006900179", "0000000034000000006900179", "00000022:00000045:00b3", {34, 69, 179}},
        {"17126658000000314200037", "0017126658000000314200037", "01055502:00000c46:0025", {17126658, 3142, 37}},
        {"429496729500000000000000000", NULL, NULL, {0, 0, 0}},
        {"4294967295429496729565535", "4294967295429496729565535", "ffffffff:ffffffff:ffff", {4294967295u, 4294967295u, 65535}},
        {"1", "0000000000000000000000001", "00000000:00000000:0001", {0, 0, 1}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct lsn lsn;
        char text[LSN_TEXT_MAX];
        if (!rows[i].padded) {
            assert_false(lsn_parse(rows[i].decimal, &lsn));
            continue;
        }
        assert_true(lsn_parse(rows[i].decimal, &lsn));
        assert_int_equal(lsn_cmp(lsn, rows[i].lsn), 0);
        assert_string_equal(lsn_format(text, lsn), rows[i].decimal);
        assert_string_equal(lsn_format_padded(text, lsn), rows[i].padded);
        assert_string_equal(lsn_format_hex(text, lsn), rows[i].hex);
        assert_true(lsn_parse_padded(rows[i].padded, &lsn));
        assert_int_equal(lsn_cmp(lsn, rows[i].lsn), 0);
        assert_true(lsn_parse_hex(rows[i].hex, &lsn));
        assert_int_equal(lsn_cmp(lsn, rows[i].lsn), 0);
    }
}

static void test_malformed(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "-1",
        "+1",
        " 1",
        "1 ",
        "01",
        "00",
        "1.0",
        "1e5",
        "0x1",
        "99999", /* slot over 65535 */
        "429496729600000", /* block over 32 bits */
        "4294967296000000000000000", /* VLF over 32 bits */
        "9999999999999999999999999",
        "42949672954294967295655350",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct lsn lsn = {7, 7, 7};
        assert_false(lsn_parse(bad[i], &lsn));
        assert_int_equal(lsn.vlf, 7); /* untouched */
    }
    static const char *const bad_hex[] = {"",
                                          "00000022:00000045:00b",
                                          "00000022:00000045:00b3 ",
                                          "0000022:00000045:00b3",
                                          "00000022-00000045:00b3",
                                          "00000022:0000004g:00b3",
                                          "00000022:00000045:00b34"};
    struct lsn lsn;
    for (size_t i = 0; i < ARRAY_LEN(bad_hex); i++)
        assert_false(lsn_parse_hex(bad_hex[i], &lsn));
    assert_true(lsn_parse_hex("000000AB:0000004C:00B3", &lsn));
    assert_int_equal(lsn.vlf, 0xab);
    assert_false(lsn_parse_padded("34000000006900179", &lsn));
    assert_false(lsn_parse_padded("000000003400000000690017x", &lsn));
}

static void test_order(void **state) {
    (void)state;
    /* As text without padding, or as a double, these would come out wrong. */
    static const char *const sorted[] = {"0",
                                         "65535",
                                         "100000",
                                         "9000000000000000",
                                         "34000000006900179",
                                         "34000000006900180",
                                         "17126658000000314200037",
                                         "17126658000000314200038",
                                         "4294967295429496729565535"};
    for (size_t i = 0; i < ARRAY_LEN(sorted); i++) {
        for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
            struct lsn a, b;
            assert_true(lsn_parse(sorted[i], &a));
            assert_true(lsn_parse(sorted[j], &b));
            assert_int_equal(lsn_cmp(a, b), (i > j) - (i < j));
            assert_int_equal(lsn_cmp(lsn_max(a, b), i > j ? a : b), 0);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
