/* SPDX-License-Identifier: Apache-2.0 */
#include "common/chain/reason.h"
#include "tests/unit/chain/make.h"

static void test_words(void **state) {
    (void)state;
    for (int i = 0; i < CHAIN_REASON_COUNT; i++) {
        enum chain_reason reason;
        const char *word = chain_reason_word((enum chain_reason)i);
        assert_non_null(word);
        for (const char *c = word; *c; c++) /* metric labels and JSON */
            assert_true((*c >= 'a' && *c <= 'z') || *c == '_');
        assert_true(chain_reason_parse(word, &reason)); /* so no word stands twice */
        assert_int_equal(reason, i);
        char text[CHAIN_TEXT_MAX];
        assert_true(strlen(chain_reason_text(text, (enum chain_reason)i, NULL, NULL)) > 10);
    }
    for (int i = 0; i < CHAIN_HOLE_COUNT; i++) {
        enum chain_hole_cause cause;
        assert_true(chain_hole_cause_parse(chain_hole_cause_word((enum chain_hole_cause)i), &cause));
        assert_int_equal(cause, i);
    }
    enum chain_reason reason;
    enum chain_hole_cause cause;
    assert_false(chain_reason_parse("nonsense", &reason));
    assert_false(chain_hole_cause_parse("nonsense", &cause));
    assert_string_equal(chain_reason_word(CHAIN_REASON_COUNT), "unknown");
    assert_string_equal(chain_hole_cause_word(CHAIN_HOLE_COUNT), "unknown");
    assert_int_equal(chain_reason_of_cause(CHAIN_HOLE_COUNT), CHAIN_REASON_NONE);
    assert_int_equal(chain_cause_of_reason(CHAIN_REASON_COUNT), CHAIN_HOLE_NONE);
    assert_int_equal(chain_reason_of_cause(CHAIN_HOLE_FORK), CHAIN_REASON_FORKED);
    assert_int_equal(chain_cause_of_reason(CHAIN_REASON_FOREIGN_LOG_NUL), CHAIN_HOLE_FOREIGN_LOG_NUL);
}

static void test_texts(void **state) {
    (void)state;
    char text[CHAIN_TEXT_MAX];
    struct chain_hole hole = {.cause = CHAIN_HOLE_FOREIGN_LOG_NUL, .from_at = SEC(60), .cause_at = SEC(90)};
    strcpy(hole.who, "CORP\\bob");
    strcpy(hole.device, "NUL");
    assert_string_equal(
        chain_reason_text(text, CHAIN_REASON_FOREIGN_LOG_NUL, &hole, "a differential backup is taken now"),
        "the log was thrown away by a log backup to NUL, by CORP\\bob, to NUL, at 1970-01-01T00:01:30Z; no moment after "
        "1970-01-01T00:01:00Z up to the next data backup can be restored; a differential backup is taken now");
    hole.until_at = SEC(120);
    assert_string_equal(
        chain_hole_text(text, &hole),
        "no moment after 1970-01-01T00:01:00Z and before 1970-01-01T00:02:00Z can be restored: the log was thrown "
        "away by a log backup to NUL, by CORP\\bob, to NUL, at 1970-01-01T00:01:30Z");
    hole.from_at = 0;
    assert_non_null(strstr(chain_hole_text(text, &hole), "no moment before 1970"));
    struct chain_hole bare = {.cause = CHAIN_HOLE_COUNT};
    assert_string_equal(chain_reason_text(text, CHAIN_REASON_QUIET, &bare, ""),
                        "nothing was committed since the last log backup");
    assert_string_equal(chain_reason_text(text, CHAIN_REASON_COUNT, NULL, NULL), "unknown reason");
    assert_non_null(strstr(chain_hole_text(text, &bare), "unknown cause"));
    char long_next[2 * CHAIN_TEXT_MAX]; /* cut, not overrun */
    memset(long_next, 'x', sizeof(long_next) - 1);
    long_next[sizeof(long_next) - 1] = 0;
    assert_int_equal(strlen(chain_reason_text(text, CHAIN_REASON_QUIET, NULL, long_next)), CHAIN_TEXT_MAX - 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
