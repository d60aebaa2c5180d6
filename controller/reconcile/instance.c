/* SPDX-License-Identifier: Apache-2.0 */
/* MSSQLInstance: makes its policy and its backup claim, finds its sidecar, and tells what that reports. */
#include <string.h>

#include "common/base/mem.h"
#include "controller/reconcile/instance_int.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/policy_spec.h"

static const char *const kept[] = {"backupPolicyName",
                                   "backupPVCName",
                                   "sidecar",
                                   "server",
                                   "store",
                                   "databases",
                                   "databaseWindows",
                                   "protectedDatabases",
                                   "earliestRestorableTime",
                                   "latestRestorableTime",
                                   NULL};

struct rival {
    const struct world *world;
    const json_t *older; /* the oldest other instance of the same server that is older than ours */
};

static bool is_older(const json_t *a, const json_t *b) {
    int order = strcmp(look_text(a, "metadata.creationTimestamp"), look_text(b, "metadata.creationTimestamp"));
    return order ? order < 0 : strcmp(kube_uid(a), kube_uid(b)) < 0;
}

static void consider_rival(void *user, const json_t *other) {
    struct rival *r = user;
    const json_t *self = r->world->object;
    if (!strcmp(kube_uid(other), kube_uid(self)) || look(other, "metadata.deletionTimestamp") || !is_older(other, self) ||
        (r->older && !is_older(other, r->older)))
        return;
    if (find_same_server(r->world, r->world->namespace, look(other, "spec.connection"), r->world->namespace,
                         look(self, "spec.connection")))
        r->older = other;
}

/* The password is read to see that it is there. The sidecar has its own: this one is not sent anywhere. */
static bool accepted(const struct world *world, struct status *status, struct actions *actions, char *text, size_t bytes) {
    const json_t *ref = look(world->object, "spec.connection.passwordSecretRef"), *secret;
    const char *name = look_text(ref, "name"), *key = look_text(ref, "key");
    struct rival rival = {.world = world};
    world_each(world, WORLD_INSTANCE, world->namespace, consider_rival, &rival);
    if (rival.older) {
        snprintf(text, bytes, "instance %s is older and has the same connection: delete one of them", kube_name(rival.older));
        status_condition(status, "Accepted", TRUTH_FALSE, "Conflict", "%s", text);
        return false;
    }
    switch (world_want(world, actions, WORLD_SECRET, world->namespace, name, &secret)) {
    case WORLD_ABSENT:
        snprintf(text, bytes, "passwordSecretRef not found: there is no Secret %s in namespace %s", name, world->namespace);
        status_condition(status, "Accepted", TRUTH_FALSE, "SecretNotFound", "%s", text);
        return false;
    case WORLD_THERE:
        if (!json_object_get(look(secret, "data"), key)) {
            snprintf(text, bytes, "passwordSecretRef not found: Secret %s has no key %s", name, key);
            status_condition(status, "Accepted", TRUTH_FALSE, "SecretNotFound", "%s", text);
            return false;
        }
        break;
    case WORLD_FORBIDDEN:
        status_condition(status, "Accepted", TRUTH_TRUE, "SecretNotChecked",
                         "the controller may not get Secret %s in namespace %s, so it was not checked", name, world->namespace);
        return true;
    case WORLD_UNREAD:
        status_condition_keep(status, "Accepted", "NotReadYet", "the Secret was not read yet");
        return truth_parse(look_text(status_old_condition(status, "Accepted"), "status")) == TRUTH_TRUE;
    }
    if (look_bool(world->object, "spec.allDatabases", true) && look_count(world->object, "spec.databases"))
        status_condition(status, "Accepted", TRUTH_TRUE, "DatabasesIgnored",
                         "allDatabases is true, so the list in databases has no effect: set allDatabases to false to use it");
    else
        status_condition(status, "Accepted", TRUTH_TRUE, "Accepted", "the instance is understood");
    return true;
}

static const json_t *policy(const struct world *world, bool make, struct status *status, struct actions *actions) {
    const json_t *is;
    char *name = policy_name_of(world->name);
    world_get(world, WORLD_POLICY, world->namespace, name, &is);
    if (make) {
        json_t *wanted = policy_of_instance(world->object);
        json_object_set_new(status->fresh, "backupPolicyName", json_string(name));
        if (is && policy_is_current(is, wanted))
            json_decref(wanted);
        else
            actions_apply(actions, WORLD_POLICY, wanted);
    }
    mem_free(name);
    const json_t *conditions = look(is, "status.conditions");
    size_t i;
    json_t *c;
    json_array_foreach(conditions, i, c) {
        if (!strcmp(look_text(c, "type"), "Applied"))
            return c;
    }
    return NULL;
}

/* A condition of the fresh status, by type. */
static const json_t *condition(const struct status *status, const char *type) {
    size_t i;
    json_t *c;
    json_array_foreach(json_object_get(status->fresh, "conditions"), i, c) {
        if (!strcmp(look_text(c, "type"), type))
            return c;
    }
    return NULL;
}

static bool is(const struct status *status, const char *type, const char *word) {
    return !strcmp(look_text(condition(status, type), "status"), word);
}

/* What stands between the instance and backups, the most basic first. */
static const json_t *obstacle(const struct status *status, const json_t *report, const struct found *found) {
    static const char *const own[] = {"Accepted", "SidecarConnected", "PolicyApplied"};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (condition(status, own[i]) && !is(status, own[i], "True"))
            return condition(status, own[i]);
    size_t i;
    json_t *c;
    json_array_foreach(look(report, "conditions"), i, c) {
        if (!strcmp(look_text(c, "type"), "Ready"))
            return strcmp(look_text(c, "status"), "True") ? c : NULL;
    }
    return found->outcome == FIND_CONNECTED ? condition(status, "StagingWritable") : NULL;
}

static void verdict(struct status *status, const struct found *found, const char *conflict) {
    const json_t *report = found->seen ? found->session.status : NULL;
    const json_t *bad = obstacle(status, report, found);
    const char *text = look_text(bad, "message"), *reason = look_text(bad, "reason");
    if (bad)
        status_condition(status, "Ready", TRUTH_FALSE, *reason ? reason : "Unknown", "%s", text);
    else
        status_condition(status, "Ready", TRUTH_TRUE, "Ready", "backups are taken and stored");
    const json_t *chain = condition(status, "LogChainIntact"), *rpo = condition(status, "RPOMet");
    if (*conflict)
        status_phase(status, "Conflict", "%s", conflict);
    else if (is(status, "Accepted", "False") || !is(status, "SidecarConnected", "True"))
        status_phase(status, "Pending", "%s", text);
    else if (is(status, "Paused", "True"))
        status_phase(status, "Paused", "backups are paused: %s", look_text(condition(status, "Paused"), "message"));
    else if (bad)
        status_phase(status, !strcmp(look_text(bad, "status"), "Unknown") ? "Pending" : "Degraded", "%s", text);
    else if (is(status, "LogChainIntact", "False") && strcmp(look_text(chain, "reason"), "AwaitingFirstFull") != 0)
        status_phase(status, "Degraded", "a log chain is broken: %s", look_text(chain, "reason"));
    else if (is(status, "RPOMet", "False") && !strcmp(look_text(rpo, "reason"), "TargetMissed"))
        status_phase(status, "Degraded", "the recovery point is further behind than targets.rpoTarget");
    else
        status_phase(status, "Ready", "backups are taken and stored");
}

static void connection(const struct world *world, const struct found *found, struct status *status, struct actions *actions) {
    int64_t end = world->settings->leading_since_at + world->settings->reconnect_ms * 1000;
    const json_t *old = status_old_condition(status, "SidecarConnected");
    bool was = !strcmp(look_text(old, "status"), "True");
    if (found->outcome == FIND_NOT_CONNECTED && !found->seen && was && world->now_at < end) {
        status_condition_keep(status, "SidecarConnected", "", ""); /* this controller leads since a moment ago */
        actions_requeue(actions, end);
        return;
    }
    bool connected = found->outcome == FIND_CONNECTED;
    status_condition(status, "SidecarConnected", connected ? TRUTH_TRUE : TRUTH_FALSE, find_reason(found->outcome), "%s",
                     found->text);
    if (old && was != connected)
        actions_event(actions, !connected, connected ? "SidecarConnected" : "SidecarLost", "%s", found->text);
}

void reconcile_instance(const struct world *world, struct actions *actions) {
    if (look(world->object, "metadata.deletionTimestamp"))
        return;
    struct status status;
    struct found found;
    char text[1024] = "";
    status_begin(&status, world, kept);
    bool good = accepted(world, &status, actions, text, sizeof(text));
    bool conflict = !strcmp(look_text(condition(&status, "Accepted"), "reason"), "Conflict");
    find_sidecar(world, world->namespace, look_text(world->object, "spec.connection.host"), world->name, &found);
    connection(world, &found, &status, actions);
    const json_t *applied = policy(world, good, &status, actions);
    if (!conflict && applied)
        status_condition(&status, "PolicyApplied", truth_parse(look_text(applied, "status")), look_text(applied, "reason"), "%s",
                         look_text(applied, "message"));
    instance_claims(world, &found, good, &status, actions);
    if (!conflict)
        instance_report(world, &found, &status, actions);
    verdict(&status, &found, conflict ? text : "");
    status_end(&status, actions);
}
