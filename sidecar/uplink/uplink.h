/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session with the controller: the sidecar dials, tells its status, takes a policy and commands. Nothing here is needed for backups:
 * with the controller away everything goes on, by the policy that it pushed last. Loop thread only.
 *
 * The functions take NULL: no controller is configured.
 */
#ifndef MSSQL_SIDECAR_UPLINK_UPLINK_H
#define MSSQL_SIDECAR_UPLINK_UPLINK_H

#include "mssql/v1/controller.pb-c.h"
#include "sidecar/agent.h"

struct uplink *uplink_new(struct agent *agent);
/* The state directory can be used: the policy and the commands that were saved there. */
void uplink_open(struct uplink *uplink);
/* From now on there is a session, or an attempt to have one. */
void uplink_connect(struct uplink *uplink);
/* No session any more; commands that run go on and are joined at the next start. Before the service and the workers end. */
void uplink_stop(struct uplink *uplink);
/* After the workers have ended. */
void uplink_free(struct uplink *uplink);

/* The pushed policy that is in force; NULL: none was ever pushed. It lives until the next one. */
const struct policy *uplink_policy(const struct uplink *uplink, int64_t *ret_generation);

/* A fetch that shows a grant (grants.c). 0: this set may be read; the use is told back with uplink_grant_end(). */
struct grant_use;
int uplink_grant_begin(struct uplink *uplink, const Mssql__V1__FetchBackupRequest *request, struct grant_use **ret_use,
                       struct err *err) ERR_CHECK;
/* whole: it was read to its end, and cannot be again. NULL is allowed. */
void uplink_grant_end(struct grant_use *use, bool whole);

struct uplink_stats {
    bool connected;
    uint64_t sessions, failures; /* begun; attempts that came to nothing, and sessions that broke */
    unsigned commands; /* that the controller has not acknowledged the result of */
    uint64_t commands_done, commands_failed;
};
void uplink_get_stats(const struct uplink *uplink, struct uplink_stats *ret_stats);

#endif
