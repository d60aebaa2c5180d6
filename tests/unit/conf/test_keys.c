/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/str.h"
#include "common/conf/emit.h"

struct sample {
    bool flag;
    int64_t number, wait_ms, size, at;
    int word;
    char *text, *other;
    struct conf_list list;
};

static const char *const words[] = {"red", "green", "blue", NULL};

static int check_even(const char *text, struct err *err) {
    return (text[strlen(text) - 1] - '0') % 2 ? err_set(err, ERR_CONFIG, "'%s' is odd, allowed: even numbers", text) : 0;
}

static int check_item(const char *text, struct err *err) {
    return str_starts(text, "x") ? err_set(err, ERR_CONFIG, "'%s' begins with x", text) : 0;
}

#define AT(f) offsetof(struct sample, f)
static const struct conf_key keys[] = {
    {"flag", CONF_BOOL, CONF_RELOAD, AT(flag), "true", .doc = "a | flag"},
    {"a.number", CONF_INT, 0, AT(number), "4", 1, 100, .check = check_even, .doc = "number"},
    {"a.wait", CONF_DURATION, 0, AT(wait_ms), "5m", 10000, 3600000, .doc = "wait"},
    {"a.waitMinutes", CONF_MINUTES, CONF_ALIAS, AT(wait_ms), NULL, 1, 60, .doc = "wait in minutes"},
    {"a.b.size", CONF_BYTES, 0, AT(size), "1Gi", 0, INT64_C(1) << 40, .doc = "size"},
    {"a.b.sizeMiB", CONF_MEBIBYTES, CONF_ALIAS, AT(size), NULL, 0, 1 << 20, .doc = "size in MiB"},
    {"word", CONF_ENUM, 0, AT(word), "green", .words = words, .doc = "word"},
    {"text", CONF_TEXT, CONF_REQUIRED, AT(text), .doc = "text"},
    {"other", CONF_TEXT, 0, AT(other), "x y: z", .doc = "other"},
    {"at", CONF_TIME, 0, AT(at), .doc = "at"},
    {"list", CONF_TEXTS, CONF_RELOAD, AT(list), "one, two", .check = check_item, .doc = "list"},
    {"own", CONF_OWN, 0, 0, .doc = "own"},
    {"secret", CONF_REFUSED, 0, 0, .doc = "not here"},
};
static const struct conf_gap gaps[] = {{"word", "blue", "blue things"}, {"later", NULL, "what comes later"}};
static const struct conf_schema schema = {keys, ARRAY_LEN(keys), gaps, ARRAY_LEN(gaps)};

static int apply(struct sample *s, const char *yaml, struct err *err) {
    struct conf_doc doc;
    if (conf_parse_yaml("f.yaml", yaml, strlen(yaml), &doc, err) < 0)
        return -1;
    int rc = conf_keys_apply(&schema, s, "f.yaml", "p.", doc.root, err);
    conf_doc_done(&doc);
    return rc;
}

static void values_and_defaults(void **state) {
    (void)state;
    struct sample s = {0};
    struct err err;
    conf_keys_defaults(&schema, &s);
    assert_true(s.flag);
    assert_int_equal(s.number, 4);
    assert_int_equal(s.wait_ms, 300000);
    assert_int_equal(s.size, 1 << 30);
    assert_int_equal(s.word, 1);
    assert_null(s.text);
    assert_int_equal(s.list.count, 2);
    assert_string_equal(s.list.items[1], "two");
    assert_succeeds(apply(&s,
                          "flag: no\na:\n  number: 8\n  waitMinutes: 7\n  b: {size: 20Mi}\nword: red\ntext: \"5\"\nother: ''\n"
                          "at: 2026-11-21T03:47:00+01:00\nlist: []\nown: {what: ever}\nlater:\n",
                          &err),
                    err);
    assert_false(s.flag);
    assert_int_equal(s.number, 8);
    assert_int_equal(s.wait_ms, 420000);
    assert_int_equal(s.size, 20 << 20);
    assert_int_equal(s.word, 0);
    assert_string_equal(s.text, "5");
    assert_null(s.other);
    assert_int_equal(s.list.count, 0);
    assert_succeeds(conf_keys_required(&schema, &s, "f.yaml", &err), err);
    assert_succeeds(conf_keys_set(&schema, &s, "flag --list", NULL, "list", " a,b , c,,", &err), err);
    assert_int_equal(s.list.count, 3);
    assert_string_equal(s.list.items[1], "b");
    conf_keys_done(&schema, &s);
    assert_succeeds(conf_keys_apply(&schema, &s, "f", "", NULL, &err), err);
    assert_fails(conf_keys_required(&schema, &s, "f.yaml", &err), err, ERR_CONFIG,
                 "f.yaml: text: is missing and has no default: text");
}

static void wrong_values(void **state) {
    (void)state;
    static const struct {
        const char *yaml;
        enum err_class class;
        const char *message;
    } cases[] = {
        {"a:\n  number: 101\n", ERR_CONFIG, "f.yaml:2: p.a.number: '101' is odd"},
        {"a:\n  number: 102\n", ERR_CONFIG, "f.yaml:2: p.a.number: '102' is not an allowed number, allowed: 1 to 100"},
        {"a: {number: 4.0}", ERR_CONFIG, "f.yaml:1: p.a.number: '4.0' is not an allowed number"},
        {"a: {number: 0x10}", ERR_CONFIG, "is not an allowed number"},
        {"a: {number: [4]}", ERR_CONFIG, "p.a.number: is a list, allowed: 1 to 100"},
        {"a: {number: {b: 4}}", ERR_CONFIG, "p.a.number: is a map, allowed: 1 to 100"},
        {"flag: maybe\n", ERR_CONFIG, "p.flag: 'maybe' is not true or false, allowed: true, false"},
        {"a: {wait: 9s}", ERR_CONFIG,
         "'9s' is not an allowed duration, allowed: a duration such as 30s, 5m or 1h, from 10s to 1h"},
        {"a: {wait: 5 minutes}", ERR_CONFIG, "'5 minutes' is not an allowed duration"},
        {"a: {wait: -5m}", ERR_CONFIG, "'-5m' is not an allowed duration"},
        {"a: {waitMinutes: 0}", ERR_CONFIG, "'0' is not an allowed number, allowed: a number of minutes, 1 to 60"},
        {"a: {b: {size: 2Ti}}", ERR_CONFIG, "'2Ti' is not an allowed size, allowed: a size such as 512Mi or 10Gi, from 0 to 1Ti"},
        {"a: {b: {size: 10GB}}", ERR_CONFIG, "'10GB' is not an allowed size"},
        {"word: RED\n", ERR_CONFIG, "'RED' is not an allowed word, allowed: red, green"},
        {"word: blue\n", ERR_UNSUPPORTED,
         "f.yaml:1: p.word: 'blue': this version does not have blue things, allowed: red, green"},
        {"later: {x: 1}\n", ERR_UNSUPPORTED, "f.yaml:1: p.later: this version does not have what comes later"},
        {"at: yesterday\n", ERR_CONFIG, "'yesterday' is not a time, allowed: a time such as 2026-11-21T02:47:00Z"},
        {"list: a\n", ERR_CONFIG, "p.list: is a value, allowed: a list of texts"},
        {"list: [a, {b: c}]\n", ERR_CONFIG, "p.list: an entry is a map"},
        {"list: [a, '']\n", ERR_CONFIG, "p.list: an entry is empty"},
        {"list:\n  - a\n  - xb\n", ERR_CONFIG, "f.yaml:3: p.list: 'xb' begins with x"},
        {"a: 5\n", ERR_CONFIG, "f.yaml:1: p.a: is a value, allowed: a map of keys"},
        {"secret: hunter2\n", ERR_CONFIG, "f.yaml:1: p.secret: is not accepted: not here"},
        {"wrd: red\n", ERR_CONFIG, "f.yaml:1: p.wrd: unknown key, did you mean 'word'?"},
        {"a: {numbr: 1}\n", ERR_CONFIG, "p.a.numbr: unknown key, did you mean 'number'?"},
        {"a: {b: {quite different: 1}}\n", ERR_CONFIG, "p.a.b.quite different: unknown key, allowed: size, sizeMiB"},
        {"nothing like it: 1\n", ERR_CONFIG, "unknown key, allowed: flag, a, word, text, other, at, list, own"},
        {"a.number: 4\n", ERR_CONFIG, "p.a.number: unknown key"},
        {"unknown:\n", ERR_CONFIG, "p.unknown: unknown key"},
        {"a: {wait: 5m, waitMinutes: 5}\n", ERR_CONFIG, "p.a.waitMinutes: sets the same as p.a.wait in line 1, give one of them"},
        {"[1, 2]\n", ERR_CONFIG, "f.yaml:1: p is a list, allowed: a map of keys"},
        {"just text\n", ERR_CONFIG, "f.yaml:1: p is a value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sample s = {0};
        struct err err;
        conf_keys_defaults(&schema, &s);
        assert_fails(apply(&s, cases[i].yaml, &err), err, cases[i].class, cases[i].message);
        assert_null(strstr(err.text, "hunter2"));
        conf_keys_done(&schema, &s);
    }
    struct sample s = {0};
    struct err err;
    assert_fails(conf_keys_set(&schema, &s, "flag --x", "p.", "x", "1", &err), err, ERR_USAGE, "flag --x: no such key 'x'");
    assert_fails(conf_keys_set(&schema, &s, "flag --own", "p.", "own", "1", &err), err, ERR_USAGE, "no such key");
    assert_fails(conf_keys_set(&schema, &s, "env X", "p.", "a.number", "two0", &err), err, ERR_CONFIG,
                 "env X: p.a.number: 'two0' is not");
    assert_fails(conf_keys_set(&schema, &s, "env X", "p.", "list", "a,xb", &err), err, ERR_CONFIG, "'xb' begins with x");
    assert_fails(conf_keys_set(&schema, &s, "env X", "p.", "secret", "hunter2", &err), err, ERR_CONFIG,
                 "is not accepted: not here");
    assert_fails(conf_keys_set(&schema, &s, "env X", "p.", "word", "blue", &err), err, ERR_UNSUPPORTED,
                 "this version does not have");
    conf_keys_done(&schema, &s);
}

static void set_some(struct sample *s) {
    struct err err;
    conf_keys_defaults(&schema, s);
    assert_succeeds(
        apply(s,
              "flag: false\na: {number: 12, wait: 1m30s, b: {size: 1025}}\nword: red\ntext: \"quote \\\" and: colon\\nline\"\n"
              "other: 'null'\nat: 2026-11-21T02:47:00Z\nlist: ['a b', 'c\"d', '*']\n",
              &err),
        err);
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    struct sample s = {0}, yaml = {0}, json = {0}, copy = {0};
    struct conf_list differences = {0};
    struct conf_doc doc;
    struct err err;
    struct buf out;
    buf_init(&out, 65536);
    set_some(&s);
    conf_emit_yaml(&schema, &s, &out, 4, NULL);
    assert_succeeds(apply(&yaml, out.data, &err), err);
    conf_keys_diff(&schema, &s, &yaml, "", &differences, &differences);
    assert_int_equal(differences.count, 0);
    buf_reset(&out);
    conf_emit_json(&schema, &s, &out, NULL);
    assert_succeeds(conf_parse_json("f.json", out.data, out.len, &doc, &err), err);
    assert_succeeds(conf_keys_apply(&schema, &json, "f.json", "", doc.root, &err), err);
    conf_doc_done(&doc);
    conf_keys_diff(&schema, &s, &json, "", &differences, &differences);
    assert_int_equal(differences.count, 0);
    conf_keys_copy(&schema, &copy, &s);
    conf_keys_diff(&schema, &s, &copy, "", &differences, &differences);
    assert_int_equal(differences.count, 0);
    buf_done(&out);
    conf_keys_done(&schema, &s);
    conf_keys_done(&schema, &yaml);
    conf_keys_done(&schema, &json);
    conf_keys_done(&schema, &copy);
}

/* Characters that YAML or JSON treat in a way of their own come back as they were. */
static void odd_texts_are_read_back(void **state) {
    (void)state;
    static const char *const texts[] = {
        ("a\xc2\x85"
         "b"),
        "\xe2\x80\xa8",
        "\xef\xbb\xbfx",
        "\xef\xbf\xbe",
        "\xf0\x9f\x98\x80",
        " ",
        "- x",
        "#",
        "a: b",
        "a #b",
        "*x",
        "&x",
        "!x",
        "~",
        "Null",
        "'",
        "\"",
        "\\",
        "\t\n\r",
        "%",
        "@",
        "`",
        "? ",
        "{}",
        "[",
        "=",
        "\xc3\xa4",
        "1e3",
        "a:",
        ":a",
        "y\xc2\x9f",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct sample s = {0}, yaml = {0}, json = {0};
        struct conf_doc doc;
        struct err err;
        struct buf out;
        buf_init(&out, 65536);
        conf_keys_defaults(&schema, &s);
        conf_list_done(&s.list);
        s.text = mem_strdup(texts[i]);
        conf_list_add(&s.list, texts[i]);
        conf_emit_yaml(&schema, &s, &out, 2, NULL);
        assert_succeeds(apply(&yaml, out.data, &err), err);
        assert_string_equal(yaml.text, texts[i]);
        assert_string_equal(yaml.list.items[0], texts[i]);
        buf_reset(&out);
        conf_emit_json(&schema, &s, &out, NULL);
        assert_succeeds(conf_parse_json("f.json", out.data, out.len, &doc, &err), err);
        assert_succeeds(conf_keys_apply(&schema, &json, "f.json", "", doc.root, &err), err);
        conf_doc_done(&doc);
        assert_string_equal(json.text, texts[i]);
        buf_done(&out);
        conf_keys_done(&schema, &s);
        conf_keys_done(&schema, &yaml);
        conf_keys_done(&schema, &json);
    }
}

static void differences_and_exchange(void **state) {
    (void)state;
    struct sample a = {0}, b = {0};
    struct conf_list reload = {0}, restart = {0};
    conf_keys_defaults(&schema, &a);
    set_some(&b);
    conf_keys_diff(&schema, &a, &b, "p.", &reload, &restart);
    assert_int_equal(reload.count, 2);
    assert_true(conf_list_has(&reload, "p.flag") && conf_list_has(&reload, "p.list"));
    assert_int_equal(restart.count, 7);
    assert_false(conf_list_has(&restart, "p.a.waitMinutes"));
    conf_keys_swap(&schema, &a, &b, CONF_RELOAD);
    assert_false(a.flag);
    assert_true(b.flag);
    assert_int_equal(a.list.count, 3);
    assert_int_equal(a.number, 4);
    conf_list_done(&reload);
    conf_list_done(&restart);
    conf_keys_done(&schema, &a);
    conf_keys_done(&schema, &b);
}

static void names(void **state) {
    (void)state;
    struct buf out;
    buf_init(&out, 65536);
    conf_key_env("MSSQL_SIDECAR_", "sql.passwordFile", &out);
    assert_string_equal(out.data, "MSSQL_SIDECAR_SQL_PASSWORD_FILE");
    buf_reset(&out);
    conf_key_flag("logBackup.sizeMiB", &out);
    assert_string_equal(out.data, "--log-backup-size-mib");
    buf_reset(&out);
    conf_emit_reference(&schema, "p.", "X_", &out);
    assert_non_null(strstr(out.data, "| `p.flag` | true, false | `true` | reload | `X_P_FLAG` | a \\| flag |\n"));
    assert_non_null(strstr(out.data, "| `p.text` | a text | *required* | restart |"));
    assert_null(strstr(out.data, "secret"));
    assert_null(strstr(out.data, "blue"));
    buf_done(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_defaults),          cmocka_unit_test(wrong_values),
        cmocka_unit_test(what_is_written_is_read_back), cmocka_unit_test(odd_texts_are_read_back),
        cmocka_unit_test(differences_and_exchange),     cmocka_unit_test(names),
    };
    return cmocka_run_group_tests_name("conf/keys", tests, NULL, NULL);
}
