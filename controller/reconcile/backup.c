/* SPDX-License-Identifier: Apache-2.0 */
/* MSSQLBackup: one backup on demand, as one command to the sidecar. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/backup_int.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/refer.h"

#define RESULTS_MAX 500

static const char *const kept[] = {"startedAt", "progress", NULL};

static json_t *request_of(const struct world *world, const char *id) {
    const json_t *spec = look(world->object, "spec");
    static const char *const words[][2] = {{"full", "Full"}, {"diff", "Diff"}, {"log", "Log"}};
    const char *type = look_text(spec, "backupType"), *reason = look_text(spec, "reason");
    json_t *request = json_pack("{s:s, s:s}", "requestId", id, "reason", *reason ? reason : "requested");
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!strcmp(words[i][0], type))
            json_object_set_new(request, "kind", json_string(words[i][1]));
    json_object_set_new(request, "copyOnly", json_boolean(look_bool(spec, "copyOnly", false)));
    if (look_count(spec, "databases"))
        json_object_set(request, "databases", look(spec, "databases"));
    return json_pack("{s:o}", "runBackup", request);
}

struct tally {
    unsigned good, left_out, bad, escalated;
    int64_t bytes;
    const json_t *first_bad, *newest;
};

static json_t *result_of(const json_t *r) {
    json_t *out = json_pack("{s:s, s:s}", "database", look_text(r, "database"), "state", look_text(r, "state"));
    look_put_text(out, "kind", look_text(r, "kind"));
    look_put_text(out, "reason", look_text(r, "reason"));
    look_put_text(out, "message", look_text(r, "message"));
    look_put_text(out, "setGUID", look_text(r, "backup.setGuid"));
    look_put_text(out, "firstLSN", look_text(r, "backup.firstLsn"));
    look_put_text(out, "lastLSN", look_text(r, "backup.lastLsn"));
    if (look(r, "backup")) {
        json_object_set_new(out, "sizeBytes", json_integer(look_int(r, "backup.sizeBytes", 0)));
        json_object_set_new(out, "storedBytes", json_integer(look_int(r, "backup.storedBytes", 0)));
    }
    return out;
}

/* What cannot have this kind is left out when nobody named it: a log backup of "all" has no log of a SIMPLE database. */
static void count(const json_t *r, bool named, const char *asked, struct tally *t) {
    const char *state = look_text(r, "state"), *kind = look_text(r, "kind");
    if (!strcmp(state, "Completed")) {
        t->good++;
        t->bytes += look_int(r, "backup.sizeBytes", 0);
        t->newest = r;
        t->escalated += *kind && !str_ieq(kind, asked);
    } else if (!strcmp(state, "Quiet")) {
        t->good++; /* nothing was committed: the restorable moment moved on all the same */
    } else if (!strcmp(state, "Skipped") && !named) {
        t->left_out++;
    } else {
        t->bad++;
        if (!t->first_bad)
            t->first_bad = r;
    }
}

static void finish(const struct world *world, const struct found *found, const json_t *result, struct status *status,
                   struct actions *actions) {
    char text[700];
    const json_t *spec = look(world->object, "spec"), *results = look(result, "runBackup.results");
    struct tally t = {0};
    json_t *list = json_array(), *r;
    size_t i;
    json_array_foreach(results, i, r) {
        count(r, look_count(spec, "databases") > 0, look_text(spec, "backupType"), &t);
        if (i < RESULTS_MAX)
            json_array_append_new(list, result_of(r));
    }
    json_object_set_new(status->fresh, "results", list);
    json_object_set_new(status->fresh, "sizeBytes", json_integer(t.bytes));
    json_object_set_new(status->fresh, "escalated", json_integer(t.escalated));
    const char *url = look_text(found->seen ? found->session.status : NULL, "store.url");
    const char *manifest = look_text(t.newest, "backup.manifest");
    if (*url && *manifest) {
        char *path = mem_printf("%s/%s", url, manifest);
        look_put_text(status->fresh, "s3Path", path);
        mem_free(path);
    }
    const char *class = look_text(result, "errorClass");
    bool taken = t.good && !t.bad && !*class;
    enum backup_hold hold = taken ? backup_hold(world, found, results, actions, text, sizeof(text)) : BACKUP_HOLD_DONE;
    if (*class && !t.bad)
        course_fail(status, actions, "CommandFailed", "%s (%s)", look_text(result, "message"), class);
    else if (t.bad)
        course_fail(status, actions, "BackupFailed", "%u of %u databases failed; %s: %s", t.bad, t.bad + t.good + t.left_out,
                    look_text(t.first_bad, "database"), look_text(t.first_bad, "message"));
    else if (!t.good)
        course_fail(status, actions, "NothingTaken", "no database could be backed up this way: see results");
    else if (hold == BACKUP_HOLD_RUNS)
        course_wait(status, actions, "Holding", "the backups are taken and are being held", world->settings->no_progress_ms);
    else if (hold == BACKUP_HOLD_FAILED)
        course_fail(status, actions, "NotHeld", "%s", text);
    else
        course_complete(status, actions, "%u databases are in the store%s", t.good,
                        t.escalated ? ", some with another kind of backup than asked for: see results" : "");
    if (!strcmp(look_text(status->fresh, "phase"), "Completed"))
        json_object_set_new(status->fresh, "progress", json_integer(100));
}

static void progress(const struct world_command *command, struct status *status) {
    double sum = 0;
    size_t n = json_array_size(command->progress), i;
    json_t *p;
    json_array_foreach(command->progress, i, p) {
        double percent = json_number_value(look(p, "percent"));
        /* of its phases taking and shipping count half each */
        const char *phase = look_text(p, "phase");
        bool later = !strcmp(phase, "Shipping") || !strcmp(phase, "Committing");
        sum += !strcmp(phase, "Done") ? 100 : (later ? 50 : 0) + (percent > 0 ? percent / 2 : 0);
    }
    if (n)
        json_object_set_new(status->fresh, "progress", json_integer((json_int_t)(sum / (double)n)));
}

/* NULL: the status says why not. */
static const json_t *instance_of(const struct world *world, struct status *status, struct actions *actions) {
    struct refer policy, instance = {0};
    refer_policy(world, look(world->object, "spec.policyRef"), &policy);
    if (policy.object) {
        struct world at_policy = *world;
        at_policy.object = policy.object;
        world_begin(&at_policy);
        refer_instance(&at_policy, look(policy.object, "spec.instanceRef"), &instance);
    }
    if (instance.object)
        return instance.object;
    const struct refer *bad = policy.object ? &instance : &policy;
    course_wait(status, actions, bad->reason, bad->text, world->settings->missing_ms);
    return NULL;
}

void reconcile_backup(const struct world *world, struct actions *actions) {
    struct status status;
    struct found found = {.pod_uid = ""};
    struct world_command command;
    char id[COURSE_ID_MAX];
    (void)str_format(id, sizeof(id), "b-%.60s", world->uid);
    if (course_is_over(world, id, actions)) {
        backup_hold_forget(world, actions);
        return;
    }
    if (look(world->object, "metadata.deletionTimestamp"))
        return;
    status_begin(&status, world, kept);
    const json_t *instance = instance_of(world, &status, actions);
    if (!instance) {
        status_end(&status, actions);
        return;
    }
    find_sidecar(world, kube_namespace(instance), look_text(instance, "spec.connection.host"), kube_name(instance), &found);
    enum course_command step = course_command(world, &found, id, request_of(world, id), &command, actions);
    if (step == COURSE_DONE) {
        finish(world, &found, command.result, &status, actions);
    } else if (step == COURSE_WAITS) {
        bool connected = found.outcome == FIND_CONNECTED;
        course_wait(&status, actions, connected ? "Sending" : find_reason(found.outcome),
                    connected ? "the sidecar is asked" : found.text, world->settings->no_progress_ms);
    } else {
        if (!look(status.fresh, "startedAt"))
            look_put_time(status.fresh, "startedAt", world->now_at);
        progress(&command, &status);
        status_condition(&status, "Waiting", TRUTH_FALSE, "Running", "the backup runs");
        status_phase(&status, "Running", "the backup runs");
        if (course_stuck(world, actions, command.moved_at, world->settings->no_progress_ms))
            course_fail(&status, actions, "NoProgress", "no sign of the backup for %lld minutes",
                        (long long)(world->settings->no_progress_ms / 60000));
    }
    status_end(&status, actions);
}
