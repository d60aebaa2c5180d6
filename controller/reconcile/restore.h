/* SPDX-License-Identifier: Apache-2.0 */
/* What requests and jobs of restores have in common: the moment, the two ends, the message to the sidecar. */
#ifndef MSSQL_RECONCILE_RESTORE_H
#define MSSQL_RECONCILE_RESTORE_H

#include "controller/reconcile/course.h"
#include "controller/reconcile/refer.h"

#define RESTORE_TO_MAX 256

/* The target of a spec as mssql.v1.RestoreSpec.to. False, with why, when it is none: not a time, in the future. */
bool restore_to(const json_t *spec, int64_t now_at, char to[RESTORE_TO_MAX], char *text, size_t text_bytes);
/* mssql.v1.RestoreSpec in JSON, but its source. */
json_t *restore_spec(const json_t *spec, const char *to);
/* Names the wish itself, not the object: the same wish, applied again to another cluster, has the same name. What may be changed
 * without making it another wish (acknowledgement, dry run, time to live) is left out. */
#define RESTORE_NAME_MAX 64
void restore_name(const struct world *world, char name[RESTORE_NAME_MAX]);

/* Where from and where to. */
struct ends {
    const json_t *instance; /* of the source; NULL: a store alone */
    const json_t *policy; /* of the source, NULL = not known */
    struct found source; /* its sidecar */
    struct found target; /* who restores */
    bool in_place;
    bool no_target; /* there is no such instance: it could be made */
    char target_name[254]; /* MSSQLInstance or Service of the target */
    const char *reason; /* not NULL: something is missing, text says what */
    char text[700];
};
/* Of a spec with instanceRef (a request) or policyRef (a job), or source. */
void restore_ends(const struct world *world, struct ends *ret_ends);

/* Can the sidecar of the target read the backups of the source? A sidecar reads its own store only. */
bool restore_reachable(const struct ends *ends, char *text, size_t text_bytes);

/* Steps of mssql.v1.RestoreStep as words of the status: "staged", "applied", "recovered", "validated". */
const char *restore_step_word(const char *step);
/* One entry of status.databases from a RestoreResult. */
json_t *restore_database(const json_t *result, const char *state);

#endif
