/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/str.h"
#include "common/conf/tree.h"

static void a_yaml_tree_knows_its_places(void **state) {
    (void)state;
    static const char text[] = "# comment\n"
                               "sql:\n"
                               "  host: 127.0.0.1\n"
                               "  port: \"1433\"\n"
                               "  user:\n"
                               "list: [a, 'b c', ~, \"null\"]\n"
                               "nested:\n"
                               "  - x: 1\n"
                               "  - |\n"
                               "    two\n"
                               "    lines\n";
    struct conf_doc doc;
    struct err err;
    assert_succeeds(conf_parse_yaml("f.yaml", text, strlen(text), &doc, &err), err);
    assert_int_equal(doc.root->type, CONF_MAP);
    assert_int_equal(doc.root->count, 3);
    const struct conf_node *n = conf_find(doc.root, "sql.port");
    assert_string_equal(n->text, "1433");
    assert_true(n->quoted);
    assert_int_equal(n->line, 4);
    assert_int_equal(n->column, 3);
    assert_null(conf_find(doc.root, "sql.user")); /* null is not there */
    assert_null(conf_find(doc.root, "sql.nobody"));
    assert_null(conf_find(doc.root, "sql.host.x"));
    n = conf_child(doc.root, "list");
    assert_int_equal(n->count, 4);
    assert_string_equal(n->first->next->text, "b c");
    assert_int_equal(n->first->next->next->type, CONF_NULL);
    assert_string_equal(n->first->next->next->next->text, "null");
    n = conf_child(doc.root, "nested");
    assert_int_equal(n->first->type, CONF_MAP);
    assert_string_equal(n->first->next->text, "two\nlines\n");
    conf_doc_done(&doc);
    assert_succeeds(conf_parse_yaml("f.yaml", "", 0, &doc, &err), err);
    assert_int_equal(doc.root->type, CONF_NULL);
    conf_doc_done(&doc);
    assert_succeeds(conf_parse_yaml("f.yaml", "# nothing\n", 10, &doc, &err), err);
    conf_doc_done(&doc);
}

static void bad_yaml(void **state) {
    (void)state;
    static const struct {
        const char *text, *part;
    } cases[] = {
        {"a: 1\nb: 2\na: 3\n", "f.yaml:3:1: a is given twice, first in line 1"},
        {"a: &x 1\nb: *x\n", "f.yaml:1:4: anchors (&x) are not accepted"},
        {"a: *x\n", "f.yaml:1:4: aliases (*x) are not accepted"},
        {"a: &x {b: 1}\n", "anchors"},
        {"a: &x [1]\n", "anchors"},
        {"a: !!str 1\n", "tags"},
        {"<<: {a: 1}\n", "merge keys"},
        {"a: 1\n---\nb: 2\n", "f.yaml:2:1: a second document begins"},
        {"a: [1, 2\n", "f.yaml:2:1"},
        {"a: 'x\n", "f.yaml:"},
        {"\ta: 1\n", "f.yaml:1:1"},
        {"a: 1\n b: 2\n", "f.yaml:2"},
        {"? [a, b]\n: 1\n", "a key must be a word"},
        {"a: \"\\0\"\n", "control characters"},
        {"a: \"\\e[31m\"\n", "control characters"},
        {"\"a\\nb\": 1\n", "control characters"},
        {"a: \xff\xfe\n", "f.yaml: "},
        {"@a: 1\n", "f.yaml:1:1"},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "nested more than 16 deep"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct conf_doc doc;
        struct err err;
        assert_fails(conf_parse_yaml("f.yaml", cases[i].text, strlen(cases[i].text), &doc, &err), err, ERR_CONFIG, cases[i].part);
    }
}

static void yaml_is_bounded(void **state) {
    (void)state;
    struct conf_doc doc;
    struct err err;
    size_t len = CONF_BYTES_MAX + 1;
    char *big = mem_alloc(len + 1);
    memset(big, '#', len);
    assert_fails(conf_parse_yaml("f.yaml", big, len, &doc, &err), err, ERR_CONFIG, "larger than");
    assert_fails(conf_parse_json("f.json", big, len, &doc, &err), err, ERR_CONFIG, "larger than");
    for (size_t i = 0; i < 50000; i++)
        memcpy(big + 2 * i, "- ", 2);
    size_t used = 0;
    for (int i = 0; i < 30000; i++, used += 4)
        memcpy(big + used, "- 1\n", 4);
    assert_fails(conf_parse_yaml("f.yaml", big, used, &doc, &err), err, ERR_CONFIG, "more than 20000 values");
    used = 0;
    for (int i = 0; i < 2000; i++) {
        (void)str_format(big + used, 16, "k%d: 1\n", i);
        used += strlen(big + used);
    }
    assert_fails(conf_parse_yaml("f.yaml", big, used, &doc, &err), err, ERR_CONFIG, "f.yaml:1001:1: more than 1000 keys");
    memset(big, '[', len);
    assert_fails(conf_parse_yaml("f.yaml", big, CONF_BYTES_MAX, &doc, &err), err, ERR_CONFIG, "deep");
    assert_int_equal(conf_parse_json("f.json", big, CONF_BYTES_MAX, &doc, NULL), -1);
    mem_free(big);
}

static void json_gives_the_same_tree(void **state) {
    (void)state;
    static const char text[] =
        "{\"a\": {\"b\": 5, \"c\": true, \"d\": null, \"e\": \"\\u00e4\\/\"}, \"l\": [1.5, false, \"x\"], \"n\": -7}";
    struct conf_doc doc;
    struct err err;
    assert_succeeds(conf_parse_json("f.json", text, strlen(text), &doc, &err), err);
    assert_string_equal(conf_find(doc.root, "a.b")->text, "5");
    assert_string_equal(conf_find(doc.root, "a.c")->text, "true");
    assert_null(conf_find(doc.root, "a.d"));
    assert_string_equal(conf_find(doc.root, "a.e")->text, "\xc3\xa4/");
    assert_string_equal(conf_find(doc.root, "n")->text, "-7");
    assert_string_equal(conf_find(doc.root, "l")->first->text, "1.5");
    conf_doc_done(&doc);
    static const struct {
        const char *text, *part;
    } bad[] = {
        {"{\"a\": 1, \"a\": 2}", "duplicate"},
        {"{\"a\": ", "f.json:1"},
        {"", "f.json"},
        {"{\"a\": 1} x", "end of file"},
        {"{\"a\": \"\\u0000\"}", "f.json"},
        {"{\"a\": \"\\u001b\"}", "control"},
        {"{\"a\\u0001\": 1}", "control"},
        {"[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]", "deep"},
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_fails(conf_parse_json("f.json", bad[i].text, strlen(bad[i].text), &doc, &err), err, ERR_CONFIG, bad[i].part);
}

/* Random damage to a good document: an answer, never a crash or a leak (the sanitizers look on). */
static void damaged_documents(void **state) {
    (void)state;
    static const char text[] = "a:\n  b: [1, 'x', \"y\"]\n  c: {d: e, f: |\n g}\nh: &i !!j *k\n- l\n? m\n: n\n";
    srand(5);
    for (int n = 0; n < 20000; n++) {
        char copy[sizeof(text)];
        struct conf_doc doc;
        memcpy(copy, text, sizeof(text));
        for (int k = rand() % 5; k >= 0; k--)
            copy[(size_t)rand() % (sizeof(text) - 1)] = (char)(rand() % 3 ? ":-[]{}&*!|>'\"\n \t,?#%@"[rand() % 21] : rand());
        size_t len = (size_t)rand() % sizeof(text);
        if (conf_parse_yaml("f", copy, len, &doc, NULL) == 0)
            conf_doc_done(&doc);
        if (conf_parse_json("f", copy, len, &doc, NULL) == 0)
            conf_doc_done(&doc);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_yaml_tree_knows_its_places), cmocka_unit_test(bad_yaml),          cmocka_unit_test(yaml_is_bounded),
        cmocka_unit_test(json_gives_the_same_tree),     cmocka_unit_test(damaged_documents),
    };
    return cmocka_run_group_tests_name("conf/tree", tests, NULL, NULL);
}
