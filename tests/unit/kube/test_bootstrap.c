/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include <ctype.h>

#include "common/base/mem.h"
#include "controller/bootstrap.h"

static int parse(const char *line, struct bootstrap *plan, struct err *err) {
    char *words[64] = {0}, *rest = NULL;
    int count = 0;
    char *copy = mem_strdup(line);
    for (char *w = strtok_r(copy, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        words[count++] = w;
    int rc = bootstrap_parse(count, words, plan, err);
    mem_free(copy);
    return rc;
}

static void what_is_wanted(void **state) {
    (void)state;
    struct bootstrap plan;
    struct err err = {0};
    assert_int_equal(parse("--namespace lab --secret a-sa/SA_PASSWORD --secret a-login/PASSWORD --service mssql-controller:8443 "
                           "--certificate tls --bundle ca "
                           "--label app=x --select app.kubernetes.io/component=operator --kubeconfig /k",
                           &plan, &err),
                     0);
    assert_int_equal(plan.count, 5);
    assert_int_equal(plan.items[3].kind, BOOTSTRAP_CERTIFICATE);
    assert_int_equal(plan.items[4].kind, BOOTSTRAP_BUNDLE);
    assert_string_equal(plan.items[0].name, "a-sa");
    assert_string_equal(plan.items[0].key, "SA_PASSWORD");
    assert_string_equal(plan.items[1].name, "a-login");
    assert_null(plan.items[2].key);
    assert_int_equal(plan.items[2].port, 8443);
    assert_string_equal(plan.namespace, "lab");
    assert_string_equal(plan.kubeconfig, "/k");
    assert_string_equal(json_string_value(json_object_get(plan.labels, "app")), "x");
    assert_string_equal(json_string_value(json_object_get(plan.selector, "app.kubernetes.io/component")), "operator");
    bootstrap_done(&plan);
    assert_int_equal(parse("", &plan, &err), 0);
    assert_int_equal(plan.count, 0);
    bootstrap_done(&plan);
}

static void what_is_wrong(void **state) {
    (void)state;
    static const struct {
        const char *line, *says;
    } cases[] = {
        {"--secret", "--secret needs a value"},
        {"--secret a", "'a' is not NAME/KEY"},
        {"--secret /k", "'/k' is not NAME/KEY"},
        {"--secret a/", "'a/' is not NAME/KEY"},
        {"--secret a/b/c", "'b/c' is no key of a Secret"},
        {"--secret ../K", "'..' is no name of an object"},
        {"--secret a/..", "'..' is no key of a Secret"},
        {"--secret A/K", "'A' is no name of an object"},
        {"--secret .a/K", "'.a' is no name of an object"},
        {"--secret a/K --secret a/L", "a is named twice"},
        {"--service a:1", "--service needs --select"},
        {"--service a:0 --select a=b", "'0' is no port"},
        {"--service a:65536 --select a=b", "'65536' is no port"},
        {"--service a:x --select a=b", "'x' is no port"},
        {"--service a --select a=b", "'a' is not NAME:PORT"},
        {"--bundle b", "needs --certificate or --authority right before it"},
        {"--certificate c --secret a/K --bundle b", "needs --certificate or --authority"},
        {"--certificate C", "'C' is no name"},
        {"--label ab", "'ab' is not KEY=VALUE"},
        {"--what x", "unknown flag --what"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct bootstrap plan;
        struct err err = {0};
        assert_int_equal(parse(cases[i].line, &plan, &err), -1);
        assert_int_equal(err.class, ERR_USAGE);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: '%s' does not say '%s'", cases[i].line, err.text, cases[i].says);
    }
}

static void too_many(void **state) {
    (void)state;
    char *words[2 * (BOOTSTRAP_ITEMS_MAX + 1)];
    struct bootstrap plan;
    struct err err = {0};
    for (int i = 0; i <= BOOTSTRAP_ITEMS_MAX; i++) {
        words[2 * i] = mem_strdup("--secret");
        words[2 * i + 1] = mem_printf("s%d/K", i);
    }
    assert_int_equal(bootstrap_parse(2 * (BOOTSTRAP_ITEMS_MAX + 1), words, &plan, &err), -1);
    assert_non_null(strstr(err.text, "more than 16 things"));
    assert_int_equal(bootstrap_parse(2 * BOOTSTRAP_ITEMS_MAX, words, &plan, &err), 0);
    bootstrap_done(&plan);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        mem_free(words[i]);
}

static void passwords(void **state) {
    (void)state;
    char last[BOOTSTRAP_PASSWORD_LEN + 1] = "";
    for (int i = 0; i < 500; i++) {
        struct secret *secret = bootstrap_password();
        const char *text = secret_text(secret);
        bool lower = false, upper = false, digit = false, sign = false;
        assert_int_equal(strlen(text), BOOTSTRAP_PASSWORD_LEN);
        assert_true(isalpha((unsigned char)text[0]));
        for (const char *c = text; *c; c++) {
            assert_true(isalnum((unsigned char)*c) || *c == '-' || *c == '_');
            lower |= islower((unsigned char)*c) != 0;
            upper |= isupper((unsigned char)*c) != 0;
            digit |= isdigit((unsigned char)*c) != 0;
            sign |= !isalnum((unsigned char)*c);
        }
        assert_true(lower && upper && digit && sign);
        assert_string_not_equal(text, last);
        memcpy(last, text, sizeof(last));
        secret_free(secret);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wanted),
        cmocka_unit_test(what_is_wrong),
        cmocka_unit_test(too_many),
        cmocka_unit_test(passwords),
    };
    return cmocka_run_group_tests_name("bootstrap", tests, NULL, NULL);
}
