/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/policy_spec.h"

#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/policy/policy.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/world.h"

#define HASH_ANNOTATION WORLD_ANNOTATION "instance-hash"

/* Of the same name and meaning in both. */
static const char *const shared[] = {
    "connection",
    "destination",
    "storage",
    "allDatabases",
    "databases",
    "retentionDays",
    "mode",
    "dryRun",
    "targets",
    "executor",
    "excludeDatabases",
    "systemDatabases",
    "maxQuiet",
    "timeZone",
    "jitter",
    "missedRuns",
    "differentialBackup",
    "blackoutWindows",
    "keep",
    "compression",
    "checksum",
    "stripes",
    "serverCompression",
    "maxTransferSize",
    "bufferCount",
    "stagingQuota",
    "healing",
    "encryption",
    "maxConcurrentBackups",
    "verification",
    "msdbHistoryDays",
    "paused",
    "overrides",
    "deletionPolicy",
};

/* Of the policy's spec, but nothing of the sidecar's policy. */
static const char *const not_for_sidecar[] = {"instanceRef", "connection", "destination",
                                              "storage",     "executor",   "deletionPolicy"};

char *policy_name_of(const char *instance) {
    return mem_printf("%s-backup-policy", instance);
}

/* FNV-1a over the sorted text: what was applied last, so that a field that the instance no longer has is taken away, too. */
static json_t *hash_of(const json_t *spec) {
    char *text = json_dumps(spec, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t h = UINT64_C(14695981039346656037);
    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    free(text);
    char hex[24];
    snprintf(hex, sizeof(hex), "%016llx", (unsigned long long)h);
    return json_string(hex);
}

json_t *policy_of_instance(const json_t *instance) {
    const json_t *from = look(instance, "spec");
    json_t *spec = json_pack("{s:{s:s}}", "instanceRef", "name", kube_name(instance));
    for (size_t i = 0; i < ARRAY_LEN(shared); i++) {
        json_t *value = look(from, shared[i]);
        if (value)
            json_object_set(spec, shared[i], value);
    }
    json_object_set_new(spec, "retentionDays", json_integer(look_int(from, "retentionDays", 30)));
    const char *schedule = look_text(from, "fullBackupSchedule");
    json_object_set_new(spec, "fullBackup",
                        json_pack("{s:b, s:s}", "enabled", 1, "schedule", *schedule ? schedule : "0 0 * * *"));
    json_t *log = json_deep_copy(look(from, "logBackup"));
    if (!log)
        log = json_object();
    if (!json_object_get(log, "intervalMinutes"))
        json_object_set_new(log, "intervalMinutes", json_integer(look_int(from, "logBackupIntervalMinutes", 5)));
    json_object_set_new(spec, "logBackup", log);
    char *name = policy_name_of(kube_name(instance));
    json_t *object = json_pack("{s:{s:s, s:s, s:{s:s}, s:{s:o}, s:[{s:s, s:s, s:s, s:s}]}, s:o}", "metadata", "name", name,
                               "namespace", kube_namespace(instance), "labels", "app.kubernetes.io/managed-by",
                               "mssql-controller", "annotations", HASH_ANNOTATION, hash_of(spec), "ownerReferences", "apiVersion",
                               "dbaas.cozy.io/v1alpha1", "kind", "MSSQLInstance", "name", kube_name(instance), "uid",
                               kube_uid(instance), "spec", spec);
    mem_free(name);
    return object;
}

bool policy_is_current(const json_t *policy, const json_t *wanted) {
    const json_t *is = look(policy, "metadata.annotations"), *should = look(wanted, "metadata.annotations");
    json_t *a = json_object_get(is, HASH_ANNOTATION), *b = json_object_get(should, HASH_ANNOTATION);
    return a && json_equal(a, b) && look_within(look(wanted, "spec"), look(policy, "spec"));
}

int policy_for_sidecar(const json_t *spec, json_t **ret_policy, struct err *err) {
    json_t *policy = json_deep_copy(spec);
    for (size_t i = 0; i < ARRAY_LEN(not_for_sidecar); i++)
        json_object_del(policy, not_for_sidecar[i]);
    json_t *overrides = json_object_get(policy, "overrides");
    size_t i;
    json_t *item;
    json_array_foreach(overrides, i, item) {
        json_object_del(item, "name"); /* says what the override is for; the sidecar has no use for it */
    }
    char *text = json_dumps(policy, JSON_COMPACT | JSON_SORT_KEYS);
    struct policy parsed;
    int rc = policy_parse_json("spec", text, strlen(text), &parsed, err);
    free(text);
    if (rc < 0) {
        json_decref(policy);
        return -1;
    }
    policy_done(&parsed);
    *ret_policy = policy;
    return 0;
}
