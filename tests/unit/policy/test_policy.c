/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/support/unit.h"

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/policy/policy.h"

static int parse(const char *text, struct policy *ret_policy, struct err *err) {
    return policy_parse_yaml("p.yaml", text, strlen(text), ret_policy, err);
}

static int64_t at_of(const char *text) {
    int64_t at;
    assert_true(clock_parse(text, &at));
    return at;
}

static void defaults_are_those_of_the_custom_resource(void **state) {
    (void)state;
    struct policy p;
    struct err err;
    assert_succeeds(parse("", &p, &err), err);
    assert_true(p.all_databases && p.system_databases && !p.dry_run);
    assert_string_equal(p.rules.full_schedule, "0 0 * * *");
    assert_true(p.rules.full_enabled && p.rules.log_enabled && !p.rules.diff_enabled && p.rules.checksum);
    assert_int_equal(p.rules.log_interval_ms, 300000);
    assert_int_equal(p.rules.max_quiet_ms, 3600000);
    assert_int_equal(p.rules.retention_days, 30);
    assert_int_equal(p.mode, POLICY_LOCAL_PVC);
    assert_int_equal(p.rpo_target_ms, 300000);
    assert_int_equal(p.rto_target_ms, 0);
    assert_string_equal(tz_name(p.rules.tz), "UTC");
    assert_int_equal(policy_codec_of(&p.rules), POLICY_CODEC_ZSTD);
    assert_int_equal(p.warnings.count, 0);
    policy_done(&p);
}

static void every_default_is_good(void **state) {
    (void)state;
    const struct conf_schema *const schemas[] = {&policy_schema, &policy_override_schema};
    for (size_t s = 0; s < 2; s++) {
        for (size_t i = 0; i < schemas[s]->count; i++) {
            const struct conf_key *key = &schemas[s]->keys[i];
            struct policy p = {0};
            struct err err;
            if (!key->fallback || schemas[s] != &policy_schema)
                continue;
            assert_succeeds(conf_keys_set(schemas[s], &p, "default", "", key->path, key->fallback, &err), err);
            conf_keys_done(schemas[s], &p);
        }
    }
}

static void shorthands_of_the_custom_resource(void **state) {
    (void)state;
    struct policy p;
    struct err err;
    assert_succeeds(parse("fullBackupSchedule: 30 1 * * 0\nlogBackupIntervalMinutes: 2\nlogBackupSizeMiB: 64\nretentionDays: 7\n"
                          "targets: {rpoTarget: 10m, rtoTarget: 1h}\nmode: local_pvc\n",
                          &p, &err),
                    err);
    assert_string_equal(p.rules.full_schedule, "30 1 * * 0");
    assert_int_equal(p.rules.full_cron.weekdays, 1);
    assert_int_equal(p.rules.log_interval_ms, 120000);
    assert_int_equal(p.rules.log_size_bytes, 64 << 20);
    assert_int_equal(p.rto_target_ms, 3600000);
    policy_done(&p);
    static const char json[] = "{\"logBackup\":{\"intervalMinutes\":3},\"fullBackup\":{\"enabled\":false}}";
    assert_succeeds(policy_parse_json("p", json, strlen(json), &p, &err), err);
    assert_int_equal(p.rules.log_interval_ms, 180000);
    assert_false(p.rules.full_enabled);
    policy_done(&p);
}

#define W10 "SAT, SAT, SAT, SAT, SAT, SAT, SAT, SAT, SAT, SAT, "

static void bad_policies(void **state) {
    (void)state;
    static const struct {
        const char *text;
        enum err_class class;
        const char *part;
    } cases[] = {
        {"fullBackup:\n  schedule: 61 * * * *\n", ERR_CONFIG,
         "p.yaml:2: fullBackup.schedule: '61 * * * *' is not acceptable: minute '61' is out of range, allowed: 0-59"},
        {"fullBackupSchedule: 0 0 30 2 *\n", ERR_CONFIG, "never comes"},
        {"fullBackup: {schedule: ''}\n", ERR_CONFIG, "p.yaml: fullBackup.schedule: is empty"},
        {"fullBackup: {schedule: 0 1 * * *}\nfullBackupSchedule: 0 2 * * *\n", ERR_CONFIG,
         "p.yaml:2: fullBackupSchedule: sets the same as"},
        {"logBackup: {interval: 9s}\n", ERR_CONFIG, "from 10s to 7d"},
        {"logBackupIntervalMinutes: 0\n", ERR_CONFIG, "logBackupIntervalMinutes: '0' is not an allowed number"},
        {"logBackup: {interval: 10s, intervalMinutes: 1}\n", ERR_CONFIG, "sets the same as logBackup.interval"},
        {"retentionDays: 31\n", ERR_CONFIG, "'31' is not an allowed number, allowed: 1 to 30"},
        {"retentionDays: 0\n", ERR_CONFIG, "1 to 30"},
        {"timeZone: Europe/Berln\n", ERR_CONFIG, "p.yaml:1: timeZone: time zone 'Europe/Berln'"},
        {"timeZone: ../../etc/passwd\n", ERR_CONFIG, "is not a time zone"},
        {"blackoutWindows: [MON-FRI 8-18]\n", ERR_CONFIG, "blackoutWindows: 'MON-FRI 8-18' is not a window"},
        {"blackoutWindows: [MON-SUN]\n", ERR_CONFIG, "p.yaml: blackoutWindows: leaves no minute"},
        {"mode: s3\n", ERR_CONFIG, "'s3' is not an allowed word, allowed: local_pvc"},
        {"mode: native_url\n", ERR_UNSUPPORTED, "this version does not have"},
        {"mode: disk_then_upload\n", ERR_UNSUPPORTED,
         "p.yaml:1: mode: 'disk_then_upload': this version does not have object stores, allowed: local_pvc"},
        {"compression: {codec: gzip}\n", ERR_UNSUPPORTED, "does not have gzip, allowed: auto, none, zstd"},
        {"compression: {codec: lz4}\n", ERR_UNSUPPORTED, "does not have lz4"},
        {"compression: {codec: zstd, level: 20}\n", ERR_CONFIG, "1 to 19"},
        {"encryption: {keyRef: {name: a, key: b}}\n", ERR_UNSUPPORTED, "encryption: this version does not have encryption"},
        {"verification: {target: ephemeral, schedule: '@daily'}\n", ERR_UNSUPPORTED,
         "this version does not have trial restores on"},
        {"verification: {target: local}\n", ERR_CONFIG, "verification.target: needs verification.schedule"},
        {"verification: {schedule: 'whenever'}\n", ERR_CONFIG, "verification.schedule"},
        {"verification: {probes: 5}\n", ERR_CONFIG, "verification.probes: is a value, allowed: a list"},
        {"verification: {probes: [{name: a, database: x}]}\n", ERR_CONFIG, "verification.probes[0].query: is missing"},
        {"verification: {probes: [{name: a, database: x, query: q}, {name: a, database: y, query: q}]}\n", ERR_CONFIG,
         "verification.probes[1].name: 'a' is there twice"},
        {"verification: {probes: [{name: a, database: x, query: q, most: 3}]}\n", ERR_CONFIG, "verification.probes[0].most"},
        {"stripes: 65\n", ERR_CONFIG, "1 to 64"},
        {"stripes: 0\n", ERR_CONFIG, "1 to 64"},
        {"overrides: [{databases: [a], compression: {codec: lz4}}]\n", ERR_UNSUPPORTED, "overrides[0].compression.codec"},
        {"maxTransferSize: 100000\n", ERR_CONFIG, "is not a multiple of 64Ki"},
        {"maxTransferSize: 8Mi\n", ERR_CONFIG, "allowed: 64Ki to 4Mi in steps of 64Ki"},
        {"connection: {host: a}\n", ERR_CONFIG, "connection: is not accepted: how to reach SQL Server is in the section sql"},
        {"destination: {bucket: a}\n", ERR_CONFIG, "destination: is not accepted"},
        {"paused: {until: 2026-11-21T00:00:00Z}\n", ERR_CONFIG, "paused.until: is given without paused.reason"},
        {"paused: {reason: x, until: tomorrow}\n", ERR_CONFIG, "'tomorrow' is not a time"},
        {"allDatabases: false\nsystemDatabases: false\n", ERR_CONFIG, "nothing would be backed up"},
        {"overrides:\n  - retentionDays: 3\n", ERR_CONFIG, "p.yaml:2: overrides[0].databases: is missing"},
        {"overrides: [{databases: [a], maxConcurrentBackups: 3}]\n", ERR_CONFIG,
         "overrides[0].maxConcurrentBackups: unknown key"},
        {"overrides: [{databases: [a]}, {databases: [b], retentionDays: 99}]\n", ERR_CONFIG,
         "p.yaml:1: overrides[1].retentionDays: '99'"},
        {"overrides: {databases: [a]}\n", ERR_CONFIG, "p.yaml:1: overrides: is a map, allowed: a list"},
        {"overrides: [5]\n", ERR_CONFIG, "overrides[0] is a value, allowed: a map"},
        {"overrides: [{databases: [a], fullBackup: {schedule: ''}}]\n", ERR_CONFIG,
         "p.yaml: overrides[0].fullBackup.schedule: is empty"},
        {"timeZone: ''\n", ERR_CONFIG, "timeZone: is empty"},
        {"blackoutWindows: [" W10 W10 W10 "SAT, SAT, SAT]\n", ERR_CONFIG,
         "p.yaml: blackoutWindows: 33 windows, allowed: at most 32"},
        {"healing: {window: [" W10 W10 W10 "SAT, SAT, SAT]}\n", ERR_CONFIG, "healing.window: 33 windows"},
        {"healing: {mode: war}\n", ERR_CONFIG, "'war' is not an allowed word, allowed: auto, alert"},
        {"healing: {window: [always]}\n", ERR_CONFIG, "'always' is not a window"},
        {"retentoinDays: 3\n", ERR_CONFIG, "did you mean 'retentionDays'?"},
        {"serverCompression: maybe\n", ERR_CONFIG, "allowed: auto, on, off"},
        {"missedRuns: twice\n", ERR_CONFIG, "allowed: once, skip"},
        {"maxConcurrentBackups: 0\n", ERR_CONFIG, "1 to 64"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct policy p;
        struct err err;
        assert_fails(parse(cases[i].text, &p, &err), err, cases[i].class, cases[i].part);
    }
}

static void scope_and_overrides(void **state) {
    (void)state;
    struct policy p;
    struct err err;
    enum policy_scope scope;
    assert_succeeds(parse("excludeDatabases: [tmp_*, '?b']\ncompression: {level: 3}\nlogBackup: {interval: 1m}\n"
                          "overrides:\n  - databases: [Sales*]\n    logBackup: {interval: 10s}\n    timeZone: Europe/Berlin\n"
                          "  - databases: ['*']\n    retentionDays: 3\n",
                          &p, &err),
                    err);
    static const struct {
        const char *database;
        enum policy_scope scope;
        int64_t interval_ms, days;
    } cases[] = {
        {"db1", POLICY_IN, 60000, 3},
        {"SALES_EU", POLICY_IN, 10000, 30},
        {"tmp_x", POLICY_OUT_EXCLUDED, 60000, 3},
        {"TMP_Y", POLICY_OUT_EXCLUDED, 60000, 3},
        {"ab", POLICY_OUT_EXCLUDED, 60000, 3},
        {"master", POLICY_IN, 60000, 3},
        {"tempdb", POLICY_OUT_NEVER, 60000, 3},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct policy_rules *r = policy_for_database(&p, cases[i].database, &scope);
        assert_int_equal(scope, cases[i].scope);
        assert_int_equal(r->log_interval_ms, cases[i].interval_ms);
        assert_int_equal(r->retention_days, cases[i].days);
        assert_int_equal(r->codec_level, 3); /* inherited */
        assert_non_null(r->tz);
        assert_true(strlen(policy_scope_reason(scope)) > 3);
    }
    assert_string_equal(tz_name(policy_for_database(&p, "sales", &scope)->tz), "Europe/Berlin");
    policy_done(&p);
    assert_succeeds(parse("allDatabases: false\ndatabases: [a, 'b*']\nsystemDatabases: false\n", &p, &err), err);
    (void)policy_for_database(&p, "A", &scope);
    assert_int_equal(scope, POLICY_IN);
    (void)policy_for_database(&p, "bcd", &scope);
    assert_int_equal(scope, POLICY_IN);
    (void)policy_for_database(&p, "c", &scope);
    assert_int_equal(scope, POLICY_OUT_NOT_LISTED);
    (void)policy_for_database(&p, "msdb", &scope);
    assert_int_equal(scope, POLICY_OUT_SYSTEM);
    policy_done(&p);
    assert_succeeds(parse("allDatabases: false\ndatabases: [master]\nsystemDatabases: false\n", &p, &err), err);
    (void)policy_for_database(&p, "master", &scope);
    assert_int_equal(scope, POLICY_IN);
    (void)policy_for_database(&p, "model", &scope);
    assert_int_equal(scope, POLICY_OUT_SYSTEM);
    policy_done(&p);
}

static bool warns(const struct policy *p, const char *part) {
    for (size_t i = 0; i < p->warnings.count; i++)
        if (strstr(p->warnings.items[i], part))
            return true;
    return false;
}

static void warnings(void **state) {
    (void)state;
    struct policy p;
    struct err err;
    enum policy_scope scope;
    assert_succeeds(
        parse("databases: [db1]\nchecksum: false\nlogBackup: {enabled: false}\nfullBackup: {enabled: false}\nmsdbHistoryDays: 5\n"
              "overrides: [{databases: [x], logBackup: {enabled: true, interval: 1h}}]\n",
              &p, &err),
        err);
    assert_true(warns(&p, "allDatabases is true by default and beats the list in databases"));
    (void)policy_for_database(&p, "other", &scope);
    assert_int_equal(scope, POLICY_IN);
    assert_true(warns(&p, "checksum is false"));
    assert_true(warns(&p, "logBackup.enabled is false"));
    assert_true(warns(&p, "fullBackup.enabled is false"));
    assert_true(warns(&p, "msdbHistoryDays is shorter"));
    assert_true(warns(&p, "overrides[0].logBackup.interval is longer than targets.rpoTarget"));
    policy_done(&p);
}

static const char *const full_text =
    "allDatabases: false\ndatabases: [a, 'quote\"d', 'ünï']\nexcludeDatabases: ['*_tmp']\nfullBackup: {schedule: '15 1 * * "
    "SAT'}\n"
    "differentialBackup: {enabled: true, schedule: '0 */4 * * *'}\nlogBackup: {interval: 15s, sizeMiB: 100}\nmaxQuiet: 30m\n"
    "timeZone: America/New_York\njitter: 5s\nmissedRuns: skip\nblackoutWindows: ['MON-FRI 08:00-18:00', '22:00-02:00']\n"
    "keep: {last: 2, daily: 7, weekly: 4, monthly: 12, yearly: 3}\ncompression: {codec: none}\nserverCompression: on\nchecksum: "
    "false\n"
    "maxTransferSize: 1Mi\nbufferCount: 16\nmaxConcurrentBackups: 5\nstagingQuota: 10Gi\nhealing: {mode: alert, maxFullsPerDay: "
    "1, window: ['22:00-04:00']}\n"
    "targets: {rpoTarget: 1m, rtoTarget: 2h}\nmsdbHistoryDays: 90\npaused: {reason: 'moving: house', until: "
    "2026-12-01T00:00:00Z}\ndryRun: true\n"
    "verification: {target: local, schedule: '0 3 * * SUN', databases: ['sales*'], moment: random, checkDB: false, scrubDays: "
    "9,\n"
    "  probes: [{name: 'a: b', database: 'sales*', query: \"SELECT 'x', 1\", atLeast: -3}, {name: c, database: d, query: q}]}\n"
    "overrides:\n  - databases: [a, b]\n    keep: {last: 9}\n    blackoutWindows: []\n  - databases: ['x*']\n    timeZone: "
    "Asia/Tokyo\n";

static void written_and_read_back(void **state) {
    (void)state;
    struct policy p, q;
    struct err err;
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_succeeds(parse(full_text, &p, &err), err);
    policy_to_yaml(&p, &out, 0);
    assert_succeeds(parse(out.data, &q, &err), err);
    assert_true(policy_eq(&p, &q));
    assert_true(policy_overrides_eq(&p, &q));
    assert_true(policy_probes_eq(&p, &q));
    assert_int_equal(q.probe_count, 2);
    assert_string_equal(q.probes[0].query, "SELECT 'x', 1");
    assert_int_equal(q.probes[0].at_least, -3);
    assert_int_equal(q.probes[1].at_least, 1);
    assert_true(policy_verifies(&q, "sales_eu") && !policy_verifies(&q, "orders"));
    assert_int_equal(q.override_count, 2);
    assert_int_equal(q.overrides[0].rules.keep_last, 9);
    assert_int_equal(q.overrides[0].rules.blackout_count, 0);
    assert_int_equal(q.overrides[1].rules.blackout_count, 2);
    policy_done(&q);
    buf_reset(&out);
    policy_to_json(&p, &out);
    assert_succeeds(policy_parse_json("p.json", out.data, out.len, &q, &err), err);
    assert_true(policy_eq(&p, &q));
    struct policy copy;
    policy_copy(&copy, &q);
    assert_true(policy_probes_eq(&copy, &p));
    copy.probes[1].at_least = 2;
    assert_false(policy_probes_eq(&copy, &p) || policy_eq(&copy, &p));
    policy_done(&copy);
    q.rules.retention_days = 3;
    assert_false(policy_eq(&p, &q));
    assert_true(policy_overrides_eq(&p, &q));
    q.overrides[0].rules.retention_days = 3;
    assert_false(policy_overrides_eq(&p, &q));
    policy_done(&q);
    policy_copy(&q, &p);
    assert_true(policy_eq(&p, &q));
    char one[CRON_TEXT_MAX], two[CRON_TEXT_MAX];
    assert_string_equal(cron_format(one, &p.rules.full_cron), cron_format(two, &q.rules.full_cron));
    assert_string_equal(tz_name(q.overrides[1].rules.tz), "Asia/Tokyo");
    policy_done(&p);
    policy_done(&q);
    buf_done(&out);
}

static void what_holds_now(void **state) {
    (void)state;
    struct policy p;
    struct err err;
    struct due_rule rule;
    assert_succeeds(parse(full_text, &p, &err), err);
    assert_true(policy_paused(&p, at_of("2026-11-30T00:00:00Z")));
    assert_false(policy_paused(&p, at_of("2026-12-01T00:00:00Z")));
    assert_true(policy_heal_allowed(&p, at_of("2026-11-21T04:00:00Z"))); /* 23:00 in New York */
    assert_false(policy_heal_allowed(&p, at_of("2026-11-21T12:00:00Z")));
    assert_int_equal(policy_codec_of(&p.rules), POLICY_CODEC_NONE);
    assert_string_equal(policy_codec_name(POLICY_CODEC_ZSTD), "zstd");
    policy_due_rule(&p.rules, POLICY_FULL, "i", "a", &rule);
    assert_true(rule.enabled && !rule.interval_us && rule.blackout_count == 2 && rule.first_at_once);
    assert_int_equal(rule.missed, DUE_MISSED_SKIP);
    policy_due_rule(&p.rules, POLICY_LOG, "i", "a", &rule);
    assert_int_equal(rule.interval_us, 15 * CLOCK_SECOND);
    assert_int_equal(rule.blackout_count, 0);
    assert_int_equal(rule.missed, DUE_MISSED_ONCE);
    uint64_t seed = rule.seed;
    policy_due_rule(&p.rules, POLICY_DIFF, "i", "a", &rule);
    assert_true(rule.enabled && rule.seed != seed);
    policy_done(&p);
    assert_succeeds(parse("paused: {reason: x}\nserverCompression: on\n", &p, &err), err);
    assert_true(policy_paused(&p, INT64_MAX));
    assert_int_equal(policy_codec_of(&p.rules), POLICY_CODEC_NONE);
    policy_done(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_custom_resource),
        cmocka_unit_test(every_default_is_good),
        cmocka_unit_test(shorthands_of_the_custom_resource),
        cmocka_unit_test(bad_policies),
        cmocka_unit_test(scope_and_overrides),
        cmocka_unit_test(warnings),
        cmocka_unit_test(written_and_read_back),
        cmocka_unit_test(what_holds_now),
    };
    return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
