/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "controller/kube/event_line.h"
#include "controller/kube/kind.h"

#define ADDED(name, rv) "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" rv "\"}}}\n"
#define END                                                                                                                      \
    "{\"type\":\"BOOKMARK\",\"object\":{\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":"                                \
    "{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define GONE "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"message\":\"too old\"}}\n"

struct seen {
    char text[400];
    unsigned count, stop_at;
};

static int note(void *user, const struct kube_event *event) {
    struct seen *seen = user;
    char one[100];
    snprintf(one, sizeof(one), "%d:%s:%s:%d:%d;", (int)event->type, kube_name(event->object), event->resource_version,
             event->initial_end, event->code);
    strncat(seen->text, one, sizeof(seen->text) - strlen(seen->text) - 1);
    return ++seen->count == seen->stop_at ? 1 : 0;
}

/* The same events wherever the network cuts: in two at every byte, and byte by byte. */
static void cut_anywhere(void **state) {
    (void)state;
    static const char stream[] = ADDED("a", "1") "\n\r\n" ADDED("\xc3\xbc", "2") END GONE;
    static const char want[] = "0:a:1:0:0;0:\xc3\xbc:2:0:0;3::9:1:0;4:::0:410;";
    size_t len = strlen(stream);
    for (size_t cut = 0; cut <= len + 1; cut++) {
        struct kube_lines lines;
        struct seen seen = {.count = 0};
        struct err err = {0};
        kube_lines_init(&lines, 1000);
        if (cut <= len) {
            assert_int_equal(kube_lines_feed(&lines, stream, cut, note, &seen, &err), 0);
            assert_int_equal(kube_lines_feed(&lines, stream + cut, len - cut, note, &seen, &err), 0);
        } else
            for (size_t i = 0; i < len; i++)
                assert_int_equal(kube_lines_feed(&lines, stream + i, 1, note, &seen, &err), 0);
        assert_string_equal(seen.text, want);
        assert_int_equal(kube_lines_partial(&lines), 0);
        kube_lines_done(&lines);
    }
}

static void stopped_and_partial(void **state) {
    (void)state;
    struct kube_lines lines;
    struct seen seen = {.stop_at = 1};
    struct err err = {0};
    static const char two[] = ADDED("a", "1") ADDED("b", "2");
    kube_lines_init(&lines, 1000);
    assert_int_equal(kube_lines_feed(&lines, two, strlen(two), note, &seen, &err), 1);
    assert_int_equal(seen.count, 1);
    assert_int_equal(kube_lines_feed(&lines, two, strlen(two) - 1, note, &seen, &err), 0);
    assert_int_equal(kube_lines_partial(&lines), strlen(ADDED("b", "2")) - 1);
    kube_lines_done(&lines);
}

static void bad_lines(void **state) {
    (void)state;
    static const struct {
        const char *line, *part;
        enum err_class class;
    } cases[] = {
        {"garbage", "not JSON", ERR_PROTOCOL},
        {"{\"type\":\"ADDED\"}", "no object", ERR_PROTOCOL},
        {"{\"type\":\"ADDED\",\"object\":[]}", "no object", ERR_PROTOCOL},
        {"{\"type\":\"ADDED\",\"object\":{}}", "no resourceVersion", ERR_PROTOCOL},
        {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"1\"}}}", "without name", ERR_PROTOCOL},
        {"{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"a\",\"resourceVersion\":7}}}", "no resourceVersion",
         ERR_PROTOCOL},
        {"{\"type\":\"RENAMED\",\"object\":{}}", "type 'RENAMED'", ERR_PROTOCOL},
        {"{\"type\":1,\"type\":2}", "not JSON", ERR_PROTOCOL},
        {"[]", "type ''", ERR_PROTOCOL},
        {"{\"type\":\"ADDED\",\"object\":{\"a\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}}",
         "longer than 100 bytes", ERR_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct kube_lines lines;
        struct seen seen = {.count = 0};
        struct err err;
        kube_lines_init(&lines, 100);
        _cleanup_free_ char *text = mem_printf("%s\n", cases[i].line);
        assert_fails(kube_lines_feed(&lines, text, strlen(text), note, &seen, &err), err, cases[i].class, cases[i].part);
        assert_int_equal(seen.count, 0);
        kube_lines_done(&lines);
    }
}

static void paths(void **state) {
    (void)state;
    static const struct {
        const struct kube_kind *kind;
        const char *namespace, *name, *sub, *want; /* NULL: refused */
    } cases[] = {
        {&kube_pods, NULL, NULL, NULL, "/api/v1/pods"},
        {&kube_pods, "lab", NULL, NULL, "/api/v1/namespaces/lab/pods"},
        {&kube_pods, "lab", "a", "status", "/api/v1/namespaces/lab/pods/a/status"},
        {&kube_leases, "lab", "x:y z", NULL, "/apis/coordination.k8s.io/v1/namespaces/lab/leases/x%3Ay%20z"},
        {&kube_pods, "lab", "../secrets", NULL, NULL},
        {&kube_pods, "..", "a", NULL, NULL},
        {&kube_pods, "lab", "", NULL, NULL},
        {&kube_pods, "lab", "a%2f", NULL, NULL},
        {&kube_pods, NULL, "a", NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf path;
        struct err err = {0};
        buf_init(&path, 1000);
        int rc = kube_path_append(&path, cases[i].kind, cases[i].namespace, cases[i].name, cases[i].sub, &err);
        if (cases[i].want) {
            assert_int_equal(rc, 0);
            assert_string_equal(path.data, cases[i].want);
            kube_query_append(&path, "labelSelector", "a=b");
            kube_query_append(&path, "limit", "5");
            assert_non_null(strstr(path.data, "?labelSelector=a%3Db&limit=5"));
        } else
            assert_true(rc == -1 && err.class == ERR_USAGE);
        buf_done(&path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_anywhere),
        cmocka_unit_test(stopped_and_partial),
        cmocka_unit_test(bad_lines),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests_name("kube_event_line", tests, NULL, NULL);
}
