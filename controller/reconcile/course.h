/* SPDX-License-Identifier: Apache-2.0 */
/* What finite objects (backups, restores) have in common: waiting with an end, commands, being over. */
#ifndef MSSQL_RECONCILE_COURSE_H
#define MSSQL_RECONCILE_COURSE_H

#include "controller/reconcile/find.h"
#include "controller/reconcile/status.h"

/* Is it over? Then what is left to do is done here: the command is forgotten, and the object goes after its
 * ttlSecondsAfterFinished. command_id may be "". */
bool course_is_over(const struct world *world, const char *command_id, struct actions *actions);
/* Something is missing that may come by itself: the phase Pending until it was so for limit_ms, then Failed. True when it failed. */
bool course_wait(struct status *status, struct actions *actions, const char *reason, const char *text, int64_t limit_ms);
void course_fail(struct status *status, struct actions *actions, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void course_complete(struct status *status, struct actions *actions, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The command of the object at this sidecar, sent when the fleet does not know it. */
enum course_command { COURSE_WAITS, COURSE_RUNS, COURSE_DONE };
enum course_command course_command(const struct world *world, const struct found *found, const char *id, json_t *body,
                                   struct world_command *ret_command, struct actions *actions);
/* A sign of life is missing for limit_ms? Else the key comes again when it would be. since_at: 0 = now. */
bool course_stuck(const struct world *world, struct actions *actions, int64_t since_at, int64_t limit_ms);
/* "p-<uid>": names of commands; at most 64 bytes. */
#define COURSE_ID_MAX 65

#endif
