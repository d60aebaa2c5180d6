/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_RECONCILE_REQUEST_INT_H
#define MSSQL_RECONCILE_REQUEST_INT_H

#include "controller/reconcile/restore.h"

/* What the dry run of the target's sidecar says. */
struct plan {
    unsigned databases;
    const char *token; /* that acknowledges what would be lost; "" = nothing is */
    bool passes; /* what is wrong may pass by itself */
    const char *reason; /* of refusal or failure */
    char refusal[1200]; /* "" = it can be done. People can do something about it, and the request goes on then */
    char failure[1200]; /* the plan itself failed */
};

/* request_plan.c: from a CommandResult of PlanRestore; databases, windows and token go into the status. */
void request_plan(const struct world *world, const json_t *result, struct status *status, struct plan *ret_plan);

#endif
