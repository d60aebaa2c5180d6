/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the instance's reconciler. */
#ifndef MSSQL_RECONCILE_INSTANCE_INT_H
#define MSSQL_RECONCILE_INSTANCE_INT_H

#include "controller/reconcile/find.h"
#include "controller/reconcile/status.h"

/* instance_claim.c: the backup claim, and the name of the data claim. */
void instance_claims(const struct world *world, const struct found *found, bool make, struct status *status,
                     struct actions *actions);
/* instance_report.c: the sidecar's report as conditions, windows and figures. */
void instance_report(const struct world *world, const struct found *found, struct status *status, struct actions *actions);

#endif
