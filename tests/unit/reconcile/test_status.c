/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "controller/reconcile/status.h"

#define BASE                                                                                                                     \
    "{\"phase\": \"Ready\", \"conditions\": [{\"type\": \"RPOMet\", \"status\": \"True\", \"reason\": \"WithinTarget\", "        \
    "\"message\": \"until 1\"}, "                                                                                                \
    "{\"type\": \"Accepted\", \"status\": \"True\", \"reason\": \"Accepted\", \"message\": \"good\"}], "                         \
    "\"databaseWindows\": [{\"name\": \"a\", \"chain\": \"Intact\", \"latestRestorableTime\": \"2026-11-21T12:00:00Z\"}], "      \
    "\"store\": {\"backups\": 1, \"url\": \"file:///s\"}}"

static json_t *with(const char *from, const char *to) {
    char *text = mem_strdup(BASE), *at = strstr(text, from);
    if (!at)
        abort(); /* the case itself is wrong */
    char *changed = mem_printf("%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    json_t *json = json_loads(changed, 0, NULL);
    if (!json)
        fail_msg("%s", changed);
    mem_free(text);
    mem_free(changed);
    return json;
}

static void what_must_be_said_at_once(void **state) {
    (void)state;
    static const struct {
        const char *from, *to;
        bool urgent;
    } cases[] = {
        {"Ready", "Ready", false},
        {"Ready", "Degraded", true},
        {"until 1", "until 2", false},
        {"WithinTarget", "TargetMissed", true},
        {"\"good\"", "\"bad\"", true},
        {"12:00:00Z", "12:01:00Z", false},
        {"Intact", "Broken", true},
        {"\"name\": \"a\"", "\"name\": \"b\"", true},
        {"\"backups\": 1", "\"backups\": 2", false},
        {"file:///s", "file:///t", true},
        {"\"status\": \"True\", \"reason\": \"WithinTarget\"", "\"status\": \"False\", \"reason\": \"WithinTarget\"", true},
    };
    json_t *old = json_loads(BASE, 0, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        json_t *fresh = with(cases[i].from, cases[i].to);
        if (status_urgent(old, fresh) != cases[i].urgent)
            fail_msg("'%s' -> '%s'", cases[i].from, cases[i].to);
        json_decref(fresh);
    }
    assert_true(status_urgent(NULL, old));
    json_decref(old);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_must_be_said_at_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
