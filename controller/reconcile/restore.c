/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/restore.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/policy_spec.h"

/* Clocks of two machines are never the same. */
#define CLOCK_SLACK_US (2 * CLOCK_SECOND)

bool restore_to(const json_t *spec, int64_t now_at, char to[RESTORE_TO_MAX], char *text, size_t text_bytes) {
    const char *when = look_text(spec, "targetTime"), *lsn = look_text(spec, "targetLSN"), *mark = look_text(spec, "targetMark");
    int64_t at;
    if (look(spec, "targetTime") && !clock_parse(when, &at)) {
        (void)str_format(text, text_bytes, "targetTime must be valid RFC3339 time, such as 2026-11-21T02:47:00Z, and not '%.60s'",
                         when);
        return false;
    }
    if (*when && at > now_at + CLOCK_SLACK_US) {
        (void)str_format(text, text_bytes, "targetTime %.60s is in the future: wait until it has passed", when);
        return false;
    }
    if (*when)
        str_copy(to, RESTORE_TO_MAX, when);
    else if (*lsn)
        (void)str_format(to, RESTORE_TO_MAX, "lsn:%s", lsn);
    else if (*mark)
        (void)str_format(to, RESTORE_TO_MAX, "mark:%s", mark);
    else
        str_copy(to, RESTORE_TO_MAX, "latest");
    return true;
}

static json_t *wish_of(const json_t *rule) {
    json_t *wish = json_pack("{s:s}", "database", look_text(rule, "name")), *moves = json_array(), *m;
    look_put_text(wish, "as", look_text(rule, "newName"));
    size_t i;
    json_array_foreach(look(rule, "move"), i, m) {
        json_array_append_new(moves,
                              json_pack("{s:s, s:s}", "logical", look_text(m, "logicalName"), "physical", look_text(m, "path")));
    }
    json_object_set_new(wish, "moves", moves);
    return wish;
}

json_t *restore_spec(const json_t *spec, const char *to) {
    static const char *const finish[][2] = {{"recover", "Recover"}, {"restoring", "Restoring"}, {"standby", "Standby"}};
    static const char *const flags[][2] = {{"keepCDC", "keepCdc"},
                                           {"keepReplication", "keepReplication"},
                                           {"reapplyOptions", "reapplyOptions"},
                                           {"checkDB", "check"}};
    json_t *out = json_pack("{s:s}", "to", to), *wishes = json_array(), *item;
    const json_t *rules = look(spec, "databaseRules");
    size_t i;
    json_array_foreach(rules, i, item) {
        json_array_append_new(wishes, wish_of(item));
    }
    json_array_foreach(json_array_size(rules) ? NULL : look(spec, "databases"), i, item) {
        json_array_append_new(wishes, json_pack("{s:O}", "database", item));
    }
    json_object_set_new(out, "databases", wishes);
    for (i = 0; i < ARRAY_LEN(finish); i++)
        if (!strcmp(look_text(spec, "finish"), finish[i][0]))
            json_object_set_new(out, "finish", json_string(finish[i][1]));
    for (i = 0; i < ARRAY_LEN(flags); i++)
        if (look_bool(spec, flags[i][0], false))
            json_object_set_new(out, flags[i][1], json_true());
    look_put_text(out, "acknowledgeDataLoss", look_text(spec, "acknowledgeDataLoss"));
    return out;
}

static uint64_t hash(uint64_t h, const char *text) {
    for (const char *p = text; *p; p++)
        h = (h ^ (unsigned char)*p) * UINT64_C(1099511628211);
    return (h ^ '/') * UINT64_C(1099511628211);
}

void restore_name(const struct world *world, char name[RESTORE_NAME_MAX]) {
    static const char *const aside[] = {"acknowledgeDataLoss", "dryRun", "ttlSecondsAfterFinished", "noProgressDeadline",
                                        "requestRef"};
    json_t *wish = json_deep_copy(look(world->object, "spec"));
    for (size_t i = 0; i < ARRAY_LEN(aside); i++)
        json_object_del(wish, aside[i]);
    char *text = json_dumps(wish, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t a = UINT64_C(14695981039346656037), b = UINT64_C(0x9e3779b97f4a7c15);
    const char *const parts[] = {world->namespace, world->name, text};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        a = hash(a, parts[i]);
        b = hash(b, parts[i]);
    }
    (void)str_format(name, RESTORE_NAME_MAX, "restore-%016llx%016llx", (unsigned long long)a, (unsigned long long)b);
    free(text);
    json_decref(wish);
}

/* ---- the ends ---- */

static void missing(struct ends *ends, const char *reason, const char *text) {
    ends->reason = reason;
    (void)str_format(ends->text, sizeof(ends->text), "%s", text);
}

/* A job has the policy of its source, a request the instance. */
static bool source_of(const struct world *world, const json_t *spec, struct ends *ends) {
    struct refer r;
    const json_t *ref = look(spec, "instanceRef");
    struct world from = *world;
    if (look(spec, "policyRef")) {
        refer_policy(world, look(spec, "policyRef"), &r);
        if (!r.object) {
            missing(ends, r.reason, r.text);
            return false;
        }
        ends->policy = r.object;
        from.object = r.object;
        world_begin(&from);
        ref = look(r.object, "spec.instanceRef");
    }
    refer_instance(&from, ref, &r);
    if (!r.object) {
        missing(ends, r.reason, r.text);
        return false;
    }
    ends->instance = r.object;
    find_sidecar(world, kube_namespace(r.object), look_text(r.object, "spec.connection.host"), kube_name(r.object),
                 &ends->source);
    return true;
}

static void target_of(const struct world *world, const json_t *spec, struct ends *ends) {
    const char *name = look_text(spec, "newInstanceName"), *host = look_text(spec, "targetConnection.host");
    const json_t *target;
    ends->in_place = ends->instance && !*host && (!*name || !strcmp(name, kube_name(ends->instance)));
    if (ends->in_place) {
        ends->target = ends->source;
        str_copy(ends->target_name, sizeof(ends->target_name), kube_name(ends->instance));
        return;
    }
    str_copy(ends->target_name, sizeof(ends->target_name), *name ? name : host);
    if (*host) {
        find_sidecar(world, world->namespace, host, *name ? name : NULL, &ends->target);
        return;
    }
    if (world_get(world, WORLD_INSTANCE, world->namespace, name, &target) == WORLD_THERE) {
        find_sidecar(world, world->namespace, look_text(target, "spec.connection.host"), name, &ends->target);
        return;
    }
    ends->no_target = true;
    ends->target = (struct found){.outcome = FIND_NO_SERVICE, .pod_uid = ""};
    (void)str_format(ends->target.text, sizeof(ends->target.text),
                     "there is no MSSQLInstance %.63s in namespace %.63s: make it, or name its Service in targetConnection", name,
                     world->namespace);
}

void restore_ends(const struct world *world, struct ends *ret_ends) {
    const json_t *spec = look(world->object, "spec");
    struct ends ends = {.source.pod_uid = "", .target.pod_uid = ""};
    if (look(spec, "source") || source_of(world, spec, &ends)) {
        target_of(world, spec, &ends);
        if (ends.target.outcome != FIND_CONNECTED)
            missing(&ends, ends.no_target ? "TargetNotFound" : find_reason(ends.target.outcome), ends.target.text);
    }
    *ret_ends = ends;
}

bool restore_reachable(const struct ends *ends, char *text, size_t text_bytes) {
    if (ends->in_place)
        return true;
    (void)str_format(
        text, text_bytes,
        "restoring into another instance (%s) is not in this version: its sidecar cannot read the backups of another one. "
        "Use `mssqlctl restore --store` against that server",
        ends->target_name);
    return false;
}

/* ---- results ---- */

const char *restore_step_word(const char *step) {
    static const char *const words[][2] = {
        {"Planned", "planned"},   {"Checked", "planned"},     {"Evicted", "planned"},
        {"TailTaken", "planned"}, {"TailShipped", "planned"}, {"Restoring", "staged"},
        {"Applied", "applied"},   {"Recovered", "recovered"}, {"Finished", "validated"},
    };
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcmp(step, words[i][0]))
            return words[i][1];
    return "";
}

json_t *restore_database(const json_t *result, const char *state) {
    const char *source = look_text(result, "source"), *name = look_text(result, "database");
    json_t *out = json_pack("{s:s, s:s}", "database", *source ? source : name, "state", state);
    if (*name && strcmp(name, source) != 0)
        look_put_text(out, "newName", name);
    look_put_text(out, "reason", look_text(result, "errorClass"));
    look_put_text(out, "message", *look_text(result, "message") ? look_text(result, "message") : look_text(result, "summary"));
    if (look_count(result, "members"))
        json_object_set_new(out, "sets", json_integer((json_int_t)look_count(result, "members")));
    int64_t bytes = look_int(result, "storedBytes", 0);
    if (bytes)
        json_object_set_new(out, "bytes", json_integer(bytes));
    look_put_text(out, "recoveryFork", look_text(result, "forkGuid"));
    return out;
}
