/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/media/media_int.h"

#define BYTES(...)                                                                                                               \
    (struct media_bytes) {                                                                                                       \
        (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__})                                                   \
    }

static void numbers_outside_are_zero(void **state) {
    (void)state;
    struct media_bytes b = BYTES(1, 2, 3, 4, 5, 6, 7, 8, 9, 10);
    assert_int_equal(media_u16(b, 0), 0x0201);
    assert_int_equal(media_u32(b, 1), 0x05040302);
    assert_int_equal(media_u64(b, 2), 0x0a09080706050403);
    assert_int_equal(media_u64(b, 3), 0);
    assert_int_equal(media_u16(b, 9), 0);
    assert_int_equal(media_u16(b, SIZE_MAX), 0);
    assert_int_equal(media_u16((struct media_bytes){NULL, 0}, 0), 0);
    struct lsn lsn = media_lsn(b, 0);
    assert_true(lsn.vlf == 0x04030201 && lsn.block == 0x08070605 && lsn.slot == 0x0a09);
    struct guid none = media_guid(b, 0);
    assert_true(guid_is_zero(&none));
}

static void a_guid_has_three_swapped_groups(void **state) {
    (void)state;
    struct guid guid = media_guid(BYTES(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15), 0);
    char text[GUID_TEXT_MAX];
    assert_string_equal(guid_format(text, &guid), "03020100-0504-0706-0809-0A0B0C0D0E0F");
}

static void dates(void **state) {
    (void)state;
    char text[CLOCK_TEXT_MAX];
    /* from a real file */
    assert_string_equal(clock_format(text, media_date(BYTES(0x1f, 0x8d, 0x45, 0x50, 0x37), 0)), "2019-05-02T21:00:55Z");
    assert_int_equal(media_date(BYTES(0, 0, 0, 0, 0), 0), 0);
    assert_int_equal(media_date(BYTES(0xff, 0xff, 0xff, 0xff, 0xff), 0), 0);
    assert_int_equal(media_date(BYTES(0x1f, 0x8d, 0x45, 0x50, 0x3d), 0), 0); /* second 61 */
    assert_int_equal(media_date(BYTES(0x1f, 0x8d, 0x45, 0x50), 0), 0);
}

static void texts(void **state) {
    (void)state;
    char dst[8];
    media_text(BYTES(8, 0, 4, 0, 'a', 0, 0xe4, 0, 0x3d, 0xd8, 0x00, 0xde), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "a\xc3\xa4\xf0\x9f\x98\x80");
    /* halves of a pair, a control character */
    media_text(BYTES(4, 0, 4, 0, 0x3d, 0xd8, 7, 0), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "\xef\xbf\xbd ");
    media_text(BYTES(2, 0, 4, 0, 0x00, 0xde), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "\xef\xbf\xbd");
    /* cut at a character, ended by zero, an odd byte */
    media_text(BYTES(6, 0, 4, 0, 0xe4, 0, 0xe4, 0, 0xe4, 0), 0, true, dst, 6);
    assert_string_equal(dst, "\xc3\xa4\xc3\xa4");
    media_text(BYTES(5, 0, 4, 0, 'a', 0, 'b', 0, 'c'), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "ab");
    media_text(BYTES(4, 0, 4, 0, 'a', 0, 0, 0), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "a");
    media_text(BYTES(2, 0, 4, 0, 'a', 0xe4), 0, false, dst, sizeof(dst));
    assert_string_equal(dst, "a\xc3\xa4");
    /* outside */
    media_text(BYTES(3, 0, 4, 0, 'a', 0), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "");
    media_text(BYTES(2, 0, 0xff, 0xff, 'a', 0), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "");
    media_text(BYTES(2), 0, true, dst, sizeof(dst));
    assert_string_equal(dst, "");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_outside_are_zero),
        cmocka_unit_test(a_guid_has_three_swapped_groups),
        cmocka_unit_test(dates),
        cmocka_unit_test(texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
