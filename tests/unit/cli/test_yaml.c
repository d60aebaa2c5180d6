/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "cli/out.h"

static void gives(const char *json, const char *want) {
    json_error_t error;
    struct buf out;
    json_t *value = json_loads(json, JSON_DECODE_ANY, &error);
    if (!value)
        fail_msg("%s: %s", json, error.text);
    buf_init(&out, 65536);
    yaml_from_json(&out, value);
    assert_string_equal(out.data, want);
    buf_done(&out);
    json_decref(value);
}

static void scalars(void **state) {
    (void)state;
    gives("null", "null\n");
    gives("true", "true\n");
    gives("42", "42\n");
    gives("-1.5", "-1.5\n");
    gives("3.0", "3.0\n");
    gives("1e300", "1e+300\n");
    gives("[]", "[]\n");
    gives("{}", "{}\n");
}

static void text_stays_text(void **state) {
    (void)state;
    static const char *const quoted[] = {"yes", "No",   "null", "TRUE", "y", "off", "12", "1e3", "0x1F", "2026-11-21",
                                         "",    "a: b", "a #b", "- a",  "~", "=",   "<<", "@x",  " a",   "a "};
    gives("\"plain-word_1.x/y\"", "plain-word_1.x/y\n");
    for (size_t i = 0; i < ARRAY_LEN(quoted); i++) {
        char json[64], want[64];
        snprintf(json, sizeof(json), "\"%s\"", quoted[i]);
        snprintf(want, sizeof(want), "\"%s\"\n", quoted[i]);
        gives(json, want);
    }
    gives("\"a\\\"b\\\\c\\nd\\te\"", "\"a\\\"b\\\\c\\nd\\x09e\"\n");
    gives("\"\\u0085\\u2028\\ufeff\\uffff\"", "\"\\x85\\u2028\\ufeff\\uffff\"\n");
    gives("\"größe 日本\"", "\"größe 日本\"\n");
}

static void nesting(void **state) {
    (void)state;
    gives("{\"a\":{\"b\":[1,{\"c\":2,\"d\":[]}],\"e\":[[1,2],[]]},\"yes\":null}", "a:\n"
                                                                                  "  b:\n"
                                                                                  "    - 1\n"
                                                                                  "    - c: 2\n"
                                                                                  "      d: []\n"
                                                                                  "  e:\n"
                                                                                  "    - - 1\n"
                                                                                  "      - 2\n"
                                                                                  "    - []\n"
                                                                                  "\"yes\": null\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(scalars), cmocka_unit_test(text_stays_text), cmocka_unit_test(nesting)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
