/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/course.h"

#include <string.h>

#include "common/base/clock.h"
#include "controller/reconcile/look.h"

bool course_is_over(const struct world *world, const char *command_id, struct actions *actions) {
    const char *phase = look_text(world->object, "status.phase");
    if (strcmp(phase, "Completed") != 0 && strcmp(phase, "Failed") != 0)
        return false;
    struct world_command command;
    if (*command_id && world_command(world, command_id, &command))
        actions_forget(actions, command.pod_uid, command_id);
    int64_t ttl_s = look_int(world->object, "spec.ttlSecondsAfterFinished", -1);
    int64_t end_at = look_time(world->object, "status.completedAt");
    if (ttl_s < 0 || !end_at || look(world->object, "metadata.deletionTimestamp"))
        return true;
    int64_t gone_at = end_at + ttl_s * CLOCK_SECOND;
    if (world->now_at >= gone_at)
        actions_delete(actions, world_kind_named(look_text(world->object, "kind")), world->object);
    else
        actions_requeue(actions, gone_at);
    return true;
}

bool course_stuck(const struct world *world, struct actions *actions, int64_t since_at, int64_t limit_ms) {
    int64_t end_at = (since_at ? since_at : world->now_at) + limit_ms * 1000;
    if (world->now_at >= end_at)
        return true;
    actions_requeue(actions, end_at);
    return false;
}

static void finish(struct status *status, struct actions *actions, const char *phase, const char *reason, const char *text) {
    bool failed = !strcmp(phase, "Failed");
    status_phase(status, phase, "%s", text);
    status_condition(status, "Completed", failed ? TRUTH_FALSE : TRUTH_TRUE, reason, "%s", text);
    look_put_time(status->fresh, "completedAt", status->world->now_at);
    actions_event(actions, failed, failed ? reason : "Completed", "%s", text);
}

void course_fail(struct status *status, struct actions *actions, const char *reason, const char *fmt, ...) {
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    finish(status, actions, "Failed", reason, text);
}

void course_complete(struct status *status, struct actions *actions, const char *fmt, ...) {
    char text[2048];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    finish(status, actions, "Completed", "Completed", text);
}

bool course_wait(struct status *status, struct actions *actions, const char *reason, const char *text, int64_t limit_ms) {
    const char *old = status_old_phase(status);
    int64_t since = status_since(status, "Waiting", reason);
    if (course_stuck(status->world, actions, since, limit_ms)) {
        course_fail(status, actions, reason, "%s", text);
        return true;
    }
    status_condition(status, "Waiting", TRUTH_TRUE, reason, "%s", text);
    status_phase(status, *old ? old : "Pending", "%s", text); /* what runs does not look as if it had not begun */
    return false;
}

enum course_command course_command(const struct world *world, const struct found *found, const char *id, json_t *body,
                                   struct world_command *ret_command, struct actions *actions) {
    struct world_command command;
    bool known = world_command(world, id, &command);
    /* another pod took the place of the one that was asked: it has the same state directory, and knows what it did */
    bool moved = known && command.state != WORLD_COMMAND_DONE && found->outcome == FIND_CONNECTED &&
                 strcmp(command.pod_uid, found->pod_uid) != 0;
    if (known && !moved) {
        *ret_command = command;
        json_decref(body);
        return command.state == WORLD_COMMAND_DONE      ? COURSE_DONE
               : command.state == WORLD_COMMAND_RUNNING ? COURSE_RUNS
                                                        : COURSE_WAITS;
    }
    *ret_command = (struct world_command){0};
    if (found->outcome == FIND_CONNECTED)
        actions_command(actions, found->pod_uid, id, 0, body);
    else
        json_decref(body);
    return COURSE_WAITS;
}
