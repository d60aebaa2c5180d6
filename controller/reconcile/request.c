/* SPDX-License-Identifier: Apache-2.0 */
/* MSSQLRestoreRequest: plans, says what stands against it, and makes one MSSQLRestoreJob. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/request_int.h"

#define AGAIN_US (5 * CLOCK_SECOND)

/* Of the spec, what the job has as well. */
static const char *const shared[] = {
    "source",          "targetTime",     "targetLSN",        "targetMark",          "latest",       "newInstanceName",
    "databases",       "databaseRules",  "targetConnection", "targetStorage",       "finish",       "keepCDC",
    "keepReplication", "reapplyOptions", "checkDB",          "acknowledgeDataLoss", "expiresAfter", "noProgressDeadline",
};

static const char *const kept[] = {"restoreJobName", "token",     "plannedAt", "startedAt", "completedAt",
                                   "targetInstance", "databases", "windows",   "expiresAt", NULL};

static char *job_name(const struct world *world) {
    return mem_printf("%.240s-%.8s", world->name, world->uid);
}

static json_t *job_of(const struct world *world, const struct ends *ends) {
    json_t *spec = json_object();
    const json_t *from = look(world->object, "spec");
    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (look(from, shared[i]))
            json_object_set(spec, shared[i], look(from, shared[i]));
    if (ends->instance) {
        const char *policy = look_text(ends->instance, "status.backupPolicyName");
        char *fallback = mem_printf("%s-backup-policy", kube_name(ends->instance));
        json_object_set_new(spec, "policyRef", json_pack("{s:s}", "name", *policy ? policy : fallback));
        mem_free(fallback);
    }
    json_object_set_new(spec, "requestRef", json_pack("{s:s, s:s}", "name", world->name, "uid", world->uid));
    char wish[RESTORE_NAME_MAX];
    char *name = job_name(world);
    restore_name(world, wish);
    json_t *job = json_pack("{s:{s:s, s:s, s:{s:s}, s:{s:s}, s:[{s:s, s:s, s:s, s:s}]}, s:o}", "metadata", "name", name,
                            "namespace", world->namespace, "labels", "app.kubernetes.io/managed-by", "mssql-controller",
                            "annotations", WORLD_ANNOTATION "wish", wish, "ownerReferences", "apiVersion",
                            "dbaas.cozy.io/v1alpha1", "kind", "MSSQLRestoreRequest", "name", world->name, "uid", world->uid,
                            "spec", spec);
    mem_free(name);
    return job;
}

/* The job that this very request made; one of an earlier request of the same name is another one's. */
static const json_t *job_made(const struct world *world) {
    char *name = job_name(world);
    const json_t *job;
    world_get(world, WORLD_JOB, world->namespace, name, &job);
    mem_free(name);
    return !strcmp(look_text(job, "spec.requestRef.uid"), world->uid) ? job : NULL;
}

/* What the job says, said here: people look at the request. */
static void follow(const json_t *job, struct status *status, struct actions *actions) {
    const char *phase = look_text(job, "status.phase"), *text = look_text(job, "status.message");
    json_object_set_new(status->fresh, "restoreJobName", json_string(kube_name(job)));
    if (look(job, "status.databases"))
        json_object_set(status->fresh, "databases", look(job, "status.databases"));
    look_put_text(status->fresh, "startedAt", look_text(job, "status.startedAt"));
    if (!strcmp(phase, "Completed")) {
        course_complete(status, actions, "%s", text);
        int64_t ms = look_duration_ms(status->world->object, "spec.expiresAfter", 0);
        look_put_time(status->fresh, "expiresAt", ms ? look_time(job, "status.completedAt") + ms * 1000 : 0);
    } else if (!strcmp(phase, "Failed")) {
        size_t i;
        json_t *c;
        const char *reason = "RestoreFailed";
        json_array_foreach(look(job, "status.conditions"), i, c) {
            if (!strcmp(look_text(c, "type"), "Completed"))
                reason = look_text(c, "reason");
        }
        course_fail(status, actions, reason, "%s", text);
    } else {
        status_condition(status, "Waiting", TRUTH_FALSE, "Restoring", "the job %s does it", kube_name(job));
        status_phase(status, "Restoring", "%s", *text ? text : "the restore begins");
    }
}

static void planned(const struct world *world, const struct ends *ends, const struct plan *plan, struct status *status,
                    struct actions *actions) {
    bool dry = look_bool(world->object, "spec.dryRun", false);
    look_put_time(status->fresh, "plannedAt", world->now_at);
    if (*plan->refusal) {
        status_condition(status, "Planned", TRUTH_FALSE, plan->reason, "%s", plan->refusal);
        status_phase(status, "Refused", "%s", plan->refusal);
        if (strcmp(status_old_phase(status), "Refused") != 0)
            actions_event(actions, true, plan->reason, "%s", plan->refusal);
        return;
    }
    status_condition(status, "Planned", TRUTH_TRUE, "Planned", "%u databases can be restored to that moment", plan->databases);
    if (dry) {
        status_phase(status, "Planned", "it can be done%s. Set dryRun to false to do it",
                     *plan->token ? "; what is lost by it is acknowledged with the token" : "");
        return;
    }
    json_t *job = job_of(world, ends);
    json_object_set_new(status->fresh, "restoreJobName", json_string(kube_name(job)));
    actions_event(actions, false, "Planned", "the restore of %u databases begins", plan->databases);
    actions_create(actions, WORLD_JOB, job);
    status_phase(status, "Restoring", "the restore begins");
}

/* Planned and Refused stay as they are until the spec changes. */
static bool rests(const struct world *world) {
    const char *phase = look_text(world->object, "status.phase");
    return (!strcmp(phase, "Planned") || !strcmp(phase, "Refused")) &&
           look_int(world->object, "status.observedGeneration", -1) == world->generation;
}

static void go(const struct world *world, struct status *status, struct actions *actions, const char *id, const char *to) {
    struct world_command command;
    struct ends ends;
    struct plan plan;
    char text[700];
    restore_ends(world, &ends);
    look_put_text(status->fresh, "targetInstance", ends.target_name);
    if (ends.reason) {
        bool gone = ends.target.outcome == FIND_NOT_CONNECTED;
        course_wait(status, actions, ends.reason, ends.text,
                    gone ? world->settings->no_progress_ms : world->settings->missing_ms);
        return;
    }
    if (!restore_reachable(&ends, text, sizeof(text))) {
        course_fail(status, actions, "Unsupported", "%s", text);
        return;
    }
    json_t *body = json_pack("{s:{s:o}}", "planRestore", "spec", restore_spec(look(world->object, "spec"), to));
    if (course_command(world, &ends.target, id, body, &command, actions) != COURSE_DONE) {
        course_wait(status, actions, "Planning", "the sidecar of the target plans it", world->settings->no_progress_ms);
        return;
    }
    request_plan(world, command.result, status, &plan);
    if (plan.passes) { /* server or store is away: asked again */
        actions_forget(actions, command.pod_uid, id);
        actions_requeue(actions, world->now_at + AGAIN_US);
        course_wait(status, actions, plan.reason, *plan.failure ? plan.failure : plan.refusal, world->settings->no_progress_ms);
        return;
    }
    if (*plan.failure)
        course_fail(status, actions, plan.reason, "%s", plan.failure);
    else
        planned(world, &ends, &plan, status, actions);
}

void reconcile_request(const struct world *world, struct actions *actions) {
    char id[COURSE_ID_MAX], to[RESTORE_TO_MAX], text[700];
    struct status status;
    struct world_command command;
    (void)str_format(id, sizeof(id), "p-%.40s-%lld", world->uid, (long long)world->generation);
    if (course_is_over(world, id, actions) || look(world->object, "metadata.deletionTimestamp"))
        return;
    if (rests(world)) {
        if (world_command(world, id, &command))
            actions_forget(actions, command.pod_uid, id);
        return;
    }
    status_begin(&status, world, kept);
    const json_t *job = job_made(world);
    if (job) {
        if (world_command(world, id, &command))
            actions_forget(actions, command.pod_uid, id);
        follow(job, &status, actions);
    } else if (!restore_to(look(world->object, "spec"), world->now_at, to, text, sizeof(text))) {
        course_fail(&status, actions, "InvalidTarget", "%s", text);
    } else {
        go(world, &status, actions, id, to);
    }
    status_end(&status, actions);
}
