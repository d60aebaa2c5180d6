/* SPDX-License-Identifier: Apache-2.0 */
/* MSSQLRestoreJob: one restore, as one command to the sidecar of the target. */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/look.h"
#include "controller/reconcile/restore.h"

#define DATABASES_MAX 500
#define PROGRESS_MS_DEFAULT (30 * 60 * 1000)

static const char *const kept[] = {"startedAt", "step", "progress", "databases", "lastAppliedLogTime", "restoreID", NULL};

/* A job of a request has the request's name of the wish. */
static void name_of(const struct world *world, char name[RESTORE_NAME_MAX]) {
    const char *given = json_string_value(json_object_get(look(world->object, "metadata.annotations"), WORLD_ANNOTATION "wish"));
    if (given && strlen(given) < RESTORE_NAME_MAX && !given[strspn(given, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        str_copy(name, RESTORE_NAME_MAX, given);
    else
        restore_name(world, name);
}

static json_t *request_of(const struct world *world, const char *to) {
    const json_t *spec = look(world->object, "spec");
    char name[RESTORE_NAME_MAX];
    name_of(world, name);
    json_t *request = json_pack("{s:o, s:s}", "spec", restore_spec(spec, to), "requestId", name);
    int64_t expires_ms = look_duration_ms(spec, "expiresAfter", 0);
    if (expires_ms)
        json_object_set_new(request, "expiresInSeconds", json_integer(expires_ms / 1000));
    char *reason = mem_printf("MSSQLRestoreJob %s/%s", world->namespace, world->name);
    json_object_set_new(request, "reason", json_string(reason));
    mem_free(reason);
    return json_pack("{s:o}", "runRestore", request);
}

static void progress(const struct world_command *command, struct status *status) {
    json_t *list = json_array(), *p;
    size_t i, n = json_array_size(command->progress);
    double sum = 0;
    int64_t reached = 0;
    const char *step = "";
    json_array_foreach(command->progress, i, p) {
        double total = (double)look_int(p, "totalBytes", 0), done = (double)look_int(p, "appliedBytes", 0);
        int percent = total > 0 ? (int)(100 * (done < total ? done / total : 1)) : 0;
        int64_t at = look_time(p, "reachedAt");
        json_t *entry = json_pack("{s:s, s:s, s:i}", "database", look_text(p, "database"), "state", "Restoring", "progress",
                                  percent);
        look_put_text(entry, "message", look_text(p, "message"));
        look_put_time(entry, "lastAppliedLogTime", at);
        json_array_append_new(list, entry);
        sum += percent;
        reached = at && (!reached || at < reached) ? at : reached;
        step = look_text(p, "step");
    }
    if (n) {
        json_object_set_new(status->fresh, "progress", json_integer((json_int_t)(sum / (double)n)));
        json_object_set(status->fresh, "databases", list);
        look_put_time(status->fresh, "lastAppliedLogTime", reached);
        look_put_text(status->fresh, "step", restore_step_word(step));
    }
    json_decref(list);
}

static void finish(const json_t *result, struct status *status, struct actions *actions) {
    const json_t *outcome = look(result, "runRestore"), *bad = NULL;
    json_t *list = json_array(), *r;
    unsigned good = 0, all = 0;
    int64_t reached = 0;
    size_t i;
    json_array_foreach(look(outcome, "results"), i, r) {
        bool done = !strcmp(look_text(r, "step"), "Finished");
        int64_t at = look_time(r, "reachedAt");
        json_t *entry = restore_database(r, done ? "Completed" : "Failed");
        look_put_time(entry, "lastAppliedLogTime", at);
        json_object_set_new(entry, "progress", json_integer(done ? 100 : 0));
        if (i < DATABASES_MAX)
            json_array_append(list, entry);
        json_decref(entry);
        all++;
        good += done;
        if (!done && !bad)
            bad = r;
        reached = at && (!reached || at < reached) ? at : reached;
    }
    json_object_set_new(status->fresh, "databases", list);
    look_put_time(status->fresh, "lastAppliedLogTime", reached);
    look_put_text(status->fresh, "restoreID", look_text(outcome, "restoreId"));
    const char *class = look_text(result, "errorClass"), *text = look_text(result, "message");
    if (!*class) {
        class = look_text(outcome, "summary.errorClass");
        text = look_text(outcome, "summary.message");
    }
    if (!strcmp(class, "exists"))
        course_fail(status, actions, "AlreadyExecuted", "nothing was done: %s. To run it again, apply it under another name",
                    text);
    else if (*class && !bad)
        course_fail(status, actions, !strcmp(class, "data_loss") ? "NotAcknowledged" : "RestoreFailed", "%s (%s)", text, class);
    else if (bad)
        course_fail(status, actions, "RestoreFailed", "%u of %u databases were not restored; %s: %s", all - good, all,
                    look_text(bad, "database"), look_text(bad, "message"));
    else if (!all)
        course_fail(status, actions, "NothingRestored", "the sidecar names no database that was restored");
    else
        course_complete(status, actions, "%u databases were restored", good);
    if (good && good == all && !*class) {
        json_object_set_new(status->fresh, "progress", json_integer(100));
        json_object_set_new(status->fresh, "step", json_string("validated"));
    }
}

static void runs(const struct world *world, const struct world_command *command, struct status *status, struct actions *actions,
                 const char *pod_uid, const char *id) {
    int64_t limit_ms = look_duration_ms(world->object, "spec.noProgressDeadline", PROGRESS_MS_DEFAULT);
    if (!look(status->fresh, "startedAt"))
        look_put_time(status->fresh, "startedAt", world->now_at);
    progress(command, status);
    status_condition(status, "Waiting", TRUTH_FALSE, "Running", "the restore runs");
    status_phase(status, "Running", "the restore runs");
    if (course_stuck(world, actions, command->moved_at, limit_ms)) {
        actions_cancel(actions, pod_uid, id);
        course_fail(status, actions, "NoProgress", "no progress for %lld minutes; the sidecar is told to end it in order",
                    (long long)(limit_ms / 60000));
    }
}

void reconcile_job(const struct world *world, struct actions *actions) {
    char id[COURSE_ID_MAX], to[RESTORE_TO_MAX], text[700];
    struct status status;
    struct ends ends;
    struct world_command command;
    (void)str_format(id, sizeof(id), "r-%.60s", world->uid);
    if (course_is_over(world, id, actions) || look(world->object, "metadata.deletionTimestamp"))
        return;
    status_begin(&status, world, kept);
    bool known = world_command(world, id, &command);
    if (!restore_to(look(world->object, "spec"), world->now_at, to, text, sizeof(text))) {
        course_fail(&status, actions, "InvalidTarget", "%s", text);
        status_end(&status, actions);
        return;
    }
    restore_ends(world, &ends);
    if (!known && ends.reason) {
        bool gone = ends.target.outcome == FIND_NOT_CONNECTED;
        course_wait(&status, actions, ends.reason, ends.text,
                    gone ? world->settings->no_progress_ms : world->settings->missing_ms);
        status_end(&status, actions);
        return;
    }
    if (!known && !restore_reachable(&ends, text, sizeof(text))) {
        course_fail(&status, actions, "Unsupported", "%s", text);
        status_end(&status, actions);
        return;
    }
    enum course_command step = course_command(world, &ends.target, id, request_of(world, to), &command, actions);
    if (step == COURSE_DONE)
        finish(command.result, &status, actions);
    else if (step == COURSE_RUNS)
        runs(world, &command, &status, actions, command.pod_uid, id);
    else
        course_wait(&status, actions, "Sending", "the sidecar of the target is asked", world->settings->no_progress_ms);
    status_end(&status, actions);
}
