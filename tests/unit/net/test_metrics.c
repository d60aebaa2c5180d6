/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <math.h>
#include <pthread.h>

#include "common/base/buf.h"
#include "common/net/metrics.h"

static char *render(struct metrics *reg) {
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_true(metrics_render(reg, &out));
    return buf_take(&out);
}

/* The lines of one metric, HELP and TYPE included. */
static void assert_text(struct metrics *reg, const char *name, const char *want) {
    char *all = render(reg), *head = mem_printf("# HELP %s ", name);
    char *from = strstr(all, head);
    assert_non_null(from);
    char *to = strstr(from + 1, "# HELP ");
    if (to)
        *to = 0;
    assert_string_equal(from, want);
    mem_free(head);
    mem_free(all);
}

static void test_counter(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *plain = metrics_counter(reg, "x_plain_total", "Things that happened.");
    struct metric *m = metrics_counter(reg, "x_runs_total", "Runs by kind and result.", "kind", "result");
    assert_text(reg, "x_plain_total",
                "# HELP x_plain_total Things that happened.\n# TYPE x_plain_total counter\nx_plain_total 0\n");
    metric_inc(plain);
    metric_inc(m, "log", "failed");
    metric_add(m, 2.5, "full", "completed");
    metric_add(m, -1, "full", "completed"); /* ignored */
    metric_add(m, 1, "full", "a");
    assert_text(reg, "x_runs_total",
                "# HELP x_runs_total Runs by kind and result.\n# TYPE x_runs_total counter\n"
                "x_runs_total{kind=\"full\",result=\"a\"} 1\n"
                "x_runs_total{kind=\"full\",result=\"completed\"} 2.5\n"
                "x_runs_total{kind=\"log\",result=\"failed\"} 1\n");
    double value;
    assert_true(metric_get(plain, &value));
    assert_true(value == 1);
    assert_false(metric_get(m, &value, "none", "none"));
    metric_set(plain, 10);
    metric_set(plain, 5); /* a total does not fall */
    assert_true(metric_get(plain, &value) && value == 10);
    metrics_free(reg);
}

static void test_gauge_and_numbers(void **state) {
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-3, "-3"},
                 {0.1, "0.1"},
                 {1.0 / 3, "0.3333333333333333"},
                 {1e15, "1000000000000000"},
                 {1e300, "1e+300"},
                 {INFINITY, "+Inf"},
                 {-INFINITY, "-Inf"},
                 {NAN, "NaN"},
                 {1763690000.25, "1763690000.25"}};
    struct metrics *reg = metrics_new("x");
    struct metric *m = metrics_gauge(reg, "x_level", "Level of something.");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        metric_set(m, cases[i].value);
        char *want = mem_printf("# HELP x_level Level of something.\n# TYPE x_level gauge\nx_level %s\n", cases[i].text);
        assert_text(reg, "x_level", want);
        mem_free(want);
    }
    metric_set(m, 5);
    metric_add(m, -7);
    double value;
    assert_true(metric_get(m, &value) && value == -2);
    metrics_free(reg);
}

static void test_histogram(void **state) {
    (void)state;
    static const double bounds[] = {0.5, 1, 10, 0};
    struct metrics *reg = metrics_new("x");
    struct metric *m = metrics_histogram(reg, "x_took_seconds", "How long it took.", bounds, "kind");
    const double seen[] = {0.1, 0.5, 0.6, 10, 11, 1e9};
    for (size_t i = 0; i < ARRAY_LEN(seen); i++)
        metric_observe(m, seen[i], "log");
    metric_observe(m, NAN, "log"); /* says nothing */
    assert_text(reg, "x_took_seconds",
                "# HELP x_took_seconds How long it took.\n# TYPE x_took_seconds histogram\n"
                "x_took_seconds_bucket{kind=\"log\",le=\"0.5\"} 2\n"
                "x_took_seconds_bucket{kind=\"log\",le=\"1\"} 3\n"
                "x_took_seconds_bucket{kind=\"log\",le=\"10\"} 4\n"
                "x_took_seconds_bucket{kind=\"log\",le=\"+Inf\"} 6\n"
                "x_took_seconds_sum{kind=\"log\"} 1000000022.2\n"
                "x_took_seconds_count{kind=\"log\"} 6\n");
    metrics_free(reg);
}

static void test_escaping(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *m = metrics_gauge(reg, "x_db", "A database with a strange \\ name.", "database");
    metric_set(m, 1, "a\"b\\c");
    metric_set(m, 2, "größe");
    metric_set(m, 3, "bad\xff\nutf"); /* not text: cleaned, and found again under the cleaned name */
    metric_add(m, 1, "bad\xff\nutf");
    assert_text(reg, "x_db",
                "# HELP x_db A database with a strange \\\\ name.\n# TYPE x_db gauge\n"
                "x_db{database=\"a\\\"b\\\\c\"} 1\nx_db{database=\"bad??utf\"} 4\nx_db{database=\"größe\"} 2\n");
    metrics_free(reg);
}

static void test_long_value_is_cut_at_a_character(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *m = metrics_gauge(reg, "x_db", "Gauge by database.", "database");
    char name[400];
    memset(name, 'a', sizeof(name));
    memcpy(name + METRIC_LABEL_VALUE_MAX - 1, "\xc3\xa4", 2); /* across the limit */
    name[sizeof(name) - 1] = 0;
    metric_set(m, 1, name);
    char *all = render(reg), *from = strstr(all, "x_db{database=\"");
    assert_non_null(from);
    assert_int_equal(strspn(from + strlen("x_db{database=\""), "a"), METRIC_LABEL_VALUE_MAX - 1);
    assert_int_equal(from[strlen("x_db{database=\"") + METRIC_LABEL_VALUE_MAX - 1], '"');
    mem_free(all);
    metrics_free(reg);
}

static void test_too_many_series(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *m = metrics_add(
        reg,
        &(struct metric_spec){METRIC_COUNTER, "x_by_db_total", "Things by database.", {"database", "kind"}, .max_series = 10});
    for (int i = 0; i < 1000; i++) {
        char name[20];
        snprintf(name, sizeof(name), "db%03d", i);
        metric_inc(m, name, "log");
        metric_inc(m, "db000", "log");
    }
    char *all = render(reg);
    assert_non_null(strstr(all, "x_by_db_total{database=\"db000\",kind=\"log\"} 1001\n"));
    assert_non_null(strstr(all, "x_by_db_total{database=\"other\",kind=\"other\"} 990\n"));
    assert_non_null(strstr(all, "x_metrics_overflow_total{metric=\"x_by_db_total\"} 990\n"));
    assert_null(strstr(all, "db010"));
    mem_free(all);
    metrics_forget(reg, "database", "db003"); /* room for one */
    metric_inc(m, "db777", "log");
    double value;
    assert_true(metric_get(m, &value, "db777", "log") && value == 1);
    assert_false(metric_get(m, &value, "db003", "log"));
    metrics_free(reg);
}

static void test_forgetting(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *a = metrics_gauge(reg, "x_a", "Gauge by two labels.", "database", "kind");
    struct metric *b = metrics_gauge(reg, "x_b", "Gauge by two labels, turned round.", "kind", "database");
    struct metric *c = metrics_gauge(reg, "x_c", "Gauge of another kind.", "kind");
    metric_set(a, 1, "sales", "log");
    metric_set(a, 2, "sales", "full");
    metric_set(a, 3, "hr", "log");
    metric_set(b, 4, "log", "sales");
    metric_set(c, 5, "sales");
    metrics_forget(reg, "database", "sales");
    double value;
    assert_false(metric_get(a, &value, "sales", "log"));
    assert_false(metric_get(a, &value, "sales", "full"));
    assert_true(metric_get(a, &value, "hr", "log"));
    assert_false(metric_get(b, &value, "log", "sales"));
    assert_true(metric_get(c, &value, "sales"));
    metric_remove(a, "hr", "log");
    metric_remove(a, "hr", "log");
    metric_clear(c);
    assert_false(metric_get(a, &value, "hr", "log"));
    assert_false(metric_get(c, &value, "sales"));
    metrics_free(reg);
}

static void test_rules_of_names(void **state) {
    (void)state;
    static const double falling[] = {2, 1, 0}, none[] = {0};
    static const struct {
        struct metric_spec spec;
        const char *why; /* NULL: good */
    } cases[] = {
        {{METRIC_GAUGE, "x_used_bytes", "Bytes in use.", {"a", "b"}}, NULL},
        {{METRIC_COUNTER, "x_cpu_seconds_total", "Seconds of CPU.", {NULL}}, NULL},
        {{METRIC_HISTOGRAM, "x_took_seconds", "Seconds it took.", {NULL}, metric_buckets_seconds}, NULL},
        {{METRIC_HISTOGRAM, "x_size_bytes", "Size of things.", {NULL}, metric_buckets_bytes}, NULL},
        {{METRIC_GAUGE, "x_Used", "Bytes in use.", {NULL}}, "lower-case"},
        {{METRIC_GAUGE, "x__used", "Bytes in use.", {NULL}}, "lower-case"},
        {{METRIC_GAUGE, "x_used_", "Bytes in use.", {NULL}}, "lower-case"},
        {{METRIC_GAUGE, "1x", "Bytes in use.", {NULL}}, "lower-case"},
        {{METRIC_GAUGE, "", "Bytes in use.", {NULL}}, "lower-case"},
        {{METRIC_GAUGE, "x_took_ms", "Time it took.", {NULL}}, "base unit"},
        {{METRIC_GAUGE, "x_kb_used", "Kilobytes in use.", {NULL}}, "base unit"},
        {{METRIC_GAUGE, "x_used_percent", "Part in use.", {NULL}}, "base unit"},
        {{METRIC_COUNTER, "x_things", "Things that were.", {NULL}}, "_total"},
        {{METRIC_GAUGE, "x_things_total", "Things that are.", {NULL}}, "_total"},
        {{METRIC_GAUGE, "x_things_count", "Things that are.", {NULL}}, "histograms"},
        {{METRIC_GAUGE, "x_used", "no full stop", {NULL}}, "sentence"},
        {{METRIC_GAUGE, "x_used", "Two\nlines.....", {NULL}}, "sentence"},
        {{METRIC_GAUGE, "x_used", NULL, {NULL}}, "sentence"},
        {{METRIC_GAUGE, "x_used", "Bytes in use.", {"Bad"}}, "label 'Bad'"},
        {{METRIC_GAUGE, "x_used", "Bytes in use.", {"le"}}, "label 'le'"},
        {{METRIC_GAUGE, "x_used", "Bytes in use.", {"a", "a"}}, "twice"},
        {{METRIC_GAUGE, "x_used", "Bytes in use.", {"a", "b", "c", "d", "e", "f", "g"}}, "more than"},
        {{METRIC_HISTOGRAM, "x_took_seconds", "Seconds it took.", {NULL}}, "buckets"},
        {{METRIC_GAUGE, "x_took_seconds", "Seconds it took.", {NULL}, metric_buckets_seconds}, "buckets"},
        {{METRIC_HISTOGRAM, "x_took_seconds", "Seconds it took.", {NULL}, falling}, "rising"},
        {{METRIC_HISTOGRAM, "x_took_seconds", "Seconds it took.", {NULL}, none}, "no buckets"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        if (cases[i].why)
            assert_fails(metric_spec_check(&cases[i].spec, &err), err, ERR_USAGE, cases[i].why);
        else
            assert_succeeds(metric_spec_check(&cases[i].spec, &err), err);
    }
}

static void collect(void *user) {
    metric_inc((struct metric *)user);
}

static void add_value(void *user, const struct metric_spec *spec, const char *const *values, double value) {
    struct buf *out = user;
    buf_printf(out, "%s(%s)=%g ", spec->name, spec->labels[0] ? values[0] : "", value);
}

static void test_collect_and_each(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *n = metrics_counter(reg, "x_scrapes_total", "Collections until now.");
    struct metric *g = metrics_gauge(reg, "x_a", "Gauge by kind.", "kind");
    metrics_on_collect(reg, collect, n);
    metric_set(g, 7, "log");
    mem_free(render(reg));
    struct buf out;
    buf_init(&out, 1000);
    metrics_each(reg, add_value, &out);
    assert_string_equal(out.data, "x_a(log)=7 x_metrics_overflow_total(x_a)=0 x_scrapes_total()=2 ");
    buf_done(&out);
    buf_init(&out, 20); /* too small: said, not cut silently */
    assert_false(metrics_render(reg, &out));
    buf_done(&out);
    metrics_free(reg);
}

static void test_process(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    metrics_add_process(reg);
    char *all = render(reg);
    static const char *const names[] = {"process_resident_memory_bytes ",
                                        "process_virtual_memory_bytes ",
                                        "process_cpu_seconds_total ",
                                        "process_open_fds ",
                                        "process_max_fds ",
                                        "process_threads ",
                                        "process_start_time_seconds "};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char *line = mem_printf("\n%s", names[i]), *found = strstr(all, line);
        assert_non_null(found);
        if (i != 2) /* CPU time may be less than a tick */
            assert_true(strtod(found + strlen(line), NULL) > 0);
        mem_free(line);
    }
    int before = dup(0);
    char *more = render(reg);
    assert_true(strtod(strstr(more, "\nprocess_open_fds ") + 18, NULL) ==
                strtod(strstr(all, "\nprocess_open_fds ") + 18, NULL) + 1);
    close(before);
    mem_free(more);
    mem_free(all);
    metrics_free(reg);
}

static void *hammer(void *arg) {
    struct metric *m = arg;
    char name[8];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "%d", i % 50);
        metric_inc(m, name);
        if (i % 997 == 0)
            metric_remove(m, "nothing");
    }
    return NULL;
}

static void test_threads(void **state) {
    (void)state;
    struct metrics *reg = metrics_new("x");
    struct metric *m = metrics_counter(reg, "x_hits_total", "Hits by name.", "name");
    pthread_t thread[4];
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, hammer, m), 0);
    for (int i = 0; i < 20; i++)
        mem_free(render(reg));
    for (size_t i = 0; i < ARRAY_LEN(thread); i++)
        pthread_join(thread[i], NULL);
    double sum = 0, value;
    for (int i = 0; i < 50; i++) {
        char name[8];
        snprintf(name, sizeof(name), "%d", i);
        assert_true(metric_get(m, &value, name));
        sum += value;
    }
    assert_true(sum == 4 * 20000);
    metrics_free(reg);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counter),
        cmocka_unit_test(test_gauge_and_numbers),
        cmocka_unit_test(test_histogram),
        cmocka_unit_test(test_escaping),
        cmocka_unit_test(test_long_value_is_cut_at_a_character),
        cmocka_unit_test(test_too_many_series),
        cmocka_unit_test(test_forgetting),
        cmocka_unit_test(test_rules_of_names),
        cmocka_unit_test(test_collect_and_each),
        cmocka_unit_test(test_process),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
