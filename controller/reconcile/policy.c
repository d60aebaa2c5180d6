/* SPDX-License-Identifier: Apache-2.0 */
/* MSSQLBackupPolicy: checked with the sidecar's own rules, sent to the sidecar of its instance. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/find.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/policy_spec.h"
#include "controller/reconcile/refer.h"
#include "controller/reconcile/status.h"

static const char *const kept[] = {"lastFullBackupTime", "lastLogBackupTime", "appliedGeneration", NULL};

struct rival {
    const struct world *world;
    const char *instance, *namespace;
    const json_t *best; /* the policy that holds */
};

/* The one that the instance made beats all others, then the oldest. */
static bool is_before(const json_t *a, const json_t *b, const char *instance) {
    char own[300];
    snprintf(own, sizeof(own), "%s-backup-policy", instance);
    bool own_a = !strcmp(kube_name(a), own), own_b = !strcmp(kube_name(b), own);
    if (own_a != own_b)
        return own_a;
    int order = strcmp(look_text(a, "metadata.creationTimestamp"), look_text(b, "metadata.creationTimestamp"));
    return order ? order < 0 : strcmp(kube_uid(a), kube_uid(b)) < 0;
}

static void consider(void *user, const json_t *other) {
    struct rival *r = user;
    const char *namespace = look_text(other, "spec.instanceRef.namespace");
    if (strcmp(look_text(other, "spec.instanceRef.name"), r->instance) != 0 || look(other, "metadata.deletionTimestamp") ||
        strcmp(*namespace ? namespace : kube_namespace(other), r->namespace) != 0)
        return;
    if (!r->best || is_before(other, r->best, r->instance))
        r->best = other;
}

/* A policy is in force at the sidecar when that says so: uid and generation are what was sent. */
static void apply(const struct world *world, const struct found *found, json_t *policy, struct status *status,
                  struct actions *actions) {
    const struct world_session *s = &found->session;
    bool had = look_int(status->old, "appliedGeneration", 0) == world->generation && world->generation;
    bool in_force = found->seen && !strcmp(s->policy_uid, world->uid) && s->policy_generation == world->generation;
    if (in_force)
        json_object_set_new(status->fresh, "appliedGeneration", json_integer(world->generation));
    if (found->outcome != FIND_CONNECTED && (had || in_force)) {
        status_condition_keep(status, "Applied", "Applied", "the sidecar has it, also while it is not connected");
        status_phase(status, "Ready", "the sidecar works by it");
    } else if (found->outcome != FIND_CONNECTED) {
        status_condition(status, "Applied", TRUTH_FALSE, find_reason(found->outcome), "%s", found->text);
        status_phase(status, "Pending", "%s", found->text);
    } else if (in_force) {
        status_condition(status, "Applied", TRUTH_TRUE, "Applied", "the sidecar works by it");
        status_phase(status, "Ready", "the sidecar works by it");
    } else if (!strcmp(s->refused_uid, world->uid) && s->refused_generation == world->generation) {
        status_condition(status, "Applied", TRUTH_FALSE, "Refused", "the sidecar refused it, and works on by the one before: %s",
                         s->policy_error);
        status_phase(status, "Invalid", "the sidecar refused it: %s", s->policy_error);
    } else {
        status_condition(status, "Applied", TRUTH_FALSE, "Sending", "it is being sent to the sidecar");
        status_phase(status, "Pending", "it is being sent to the sidecar");
    }
    bool refused = !strcmp(look_text(status->fresh, "phase"), "Invalid");
    if (found->outcome == FIND_CONNECTED && !in_force && !refused) {
        actions_push(actions, found->pod_uid, policy);
        return;
    }
    json_decref(policy);
}

static void times(const struct found *found, struct status *status) {
    int64_t full = 0, log = 0;
    size_t i;
    json_t *db;
    json_array_foreach(look(found->seen ? found->session.status : NULL, "databases"), i, db) {
        int64_t f = look_time(db, "lastFullAt"), l = look_time(db, "lastLogAt");
        full = f > full ? f : full;
        log = l > log ? l : log;
    }
    look_put_time(status->fresh, "lastFullBackupTime", full);
    look_put_time(status->fresh, "lastLogBackupTime", log);
}

static void settle(const struct world *world, struct status *status, struct actions *actions, json_t *policy) {
    struct refer instance;
    struct found found;
    refer_instance(world, look(world->object, "spec.instanceRef"), &instance);
    if (!instance.object) {
        status_condition(status, "Accepted", TRUTH_FALSE, instance.reason, "%s", instance.text);
        status_phase(status, "Pending", "%s", instance.text);
        json_decref(policy);
        return;
    }
    struct rival rival = {.world = world, .instance = kube_name(instance.object), .namespace = instance.namespace};
    world_each(world, WORLD_POLICY, NULL, consider, &rival);
    bool lost = rival.best && strcmp(kube_uid(rival.best), world->uid) != 0;
    bool conflict = !strcmp(look_text(instance.object, "status.phase"), "Conflict");
    if (lost || conflict) {
        char text[700];
        (void)str_format(text, sizeof(text), lost ? "policy %s is the one of instance %s: delete one of them" : "%s%s",
                         lost ? kube_name(rival.best) : "",
                         lost ? kube_name(instance.object) : look_text(instance.object, "status.message"));
        status_condition(status, "Accepted", TRUTH_FALSE, "Conflict", "%s", text);
        status_phase(status, "Conflict", "%s", text);
        json_decref(policy);
        return;
    }
    status_condition(status, "Accepted", TRUTH_TRUE, "Accepted", "the policy is understood");
    find_sidecar(world, instance.namespace, look_text(instance.object, "spec.connection.host"), kube_name(instance.object),
                 &found);
    times(&found, status);
    apply(world, &found, policy, status, actions);
}

void reconcile_policy(const struct world *world, struct actions *actions) {
    if (look(world->object, "metadata.deletionTimestamp"))
        return;
    struct status status;
    struct err err = {0};
    json_t *policy;
    status_begin(&status, world, kept);
    if (policy_for_sidecar(look(world->object, "spec"), &policy, &err) < 0) {
        status_condition(&status, "Accepted", TRUTH_FALSE, err.class == ERR_UNSUPPORTED ? "Unsupported" : "Invalid", "%s",
                         err.text);
        status_condition(&status, "Applied", TRUTH_FALSE, "Invalid",
                         "%s. It was not sent: the sidecar works on by the one before", err.text);
        status_phase(&status, "Invalid", "%s", err.text);
    } else {
        settle(world, &status, actions, policy);
    }
    status_end(&status, actions);
}
