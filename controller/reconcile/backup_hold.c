/* SPDX-License-Identifier: Apache-2.0 */
/* spec.hold of an MSSQLBackup: its sets are kept beyond retention. */
#include <string.h>

#include "common/base/str.h"
#include "controller/reconcile/backup_int.h"
#include "controller/reconcile/look.h"

#define HOLDS_MAX 40 /* commands of one sidecar whose results wait: the fleet has a bound */

static void id_of(const struct world *world, size_t n, char id[COURSE_ID_MAX]) {
    (void)str_format(id, COURSE_ID_MAX, "h-%.40s-%zu", world->uid, n);
}

static json_t *request_of(const struct world *world, const json_t *result) {
    const json_t *hold = look(world->object, "spec.hold");
    json_t *request = json_pack("{s:s, s:s, s:s}", "database", look_text(result, "database"), "setGuid",
                                look_text(result, "backup.setGuid"), "reason", look_text(hold, "reason"));
    look_put_text(request, "expiresAt", look_text(hold, "until"));
    return json_pack("{s:o}", "setHold", request);
}

enum backup_hold backup_hold(const struct world *world, const struct found *found, const json_t *results, struct actions *actions,
                             char *text, size_t text_bytes) {
    char id[COURSE_ID_MAX];
    size_t i, n = 0;
    json_t *r;
    if (!look(world->object, "spec.hold"))
        return BACKUP_HOLD_DONE;
    json_array_foreach(results, i, r) {
        struct world_command command;
        if (!*look_text(r, "backup.setGuid"))
            continue;
        if (n >= HOLDS_MAX) {
            (void)str_format(text, text_bytes, "the backups are taken, but one object holds at most %d of them", HOLDS_MAX);
            return BACKUP_HOLD_FAILED;
        }
        id_of(world, n++, id);
        if (course_command(world, found, id, request_of(world, r), &command, actions) != COURSE_DONE)
            return BACKUP_HOLD_RUNS;
        if (*look_text(command.result, "errorClass")) {
            (void)str_format(text, text_bytes, "the backups are taken, but that of %s is not held: %s", look_text(r, "database"),
                             look_text(command.result, "message"));
            return BACKUP_HOLD_FAILED;
        }
    }
    return BACKUP_HOLD_DONE;
}

void backup_hold_forget(const struct world *world, struct actions *actions) {
    char id[COURSE_ID_MAX];
    for (size_t n = 0; look(world->object, "spec.hold") && n < HOLDS_MAX; n++) {
        struct world_command command;
        id_of(world, n, id);
        if (world_command(world, id, &command))
            actions_forget(actions, command.pod_uid, id);
    }
}
