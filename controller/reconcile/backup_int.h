/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_RECONCILE_BACKUP_INT_H
#define MSSQL_RECONCILE_BACKUP_INT_H

#include "controller/reconcile/course.h"

/* backup_hold.c: every set of `results` (BackupResult) is kept as spec.hold says, one command after the other. */
enum backup_hold { BACKUP_HOLD_DONE, BACKUP_HOLD_RUNS, BACKUP_HOLD_FAILED };
enum backup_hold backup_hold(const struct world *world, const struct found *found, const json_t *results, struct actions *actions,
                             char *text, size_t text_bytes);
/* The object is over: the sidecar may forget those commands. */
void backup_hold_forget(const struct world *world, struct actions *actions);

#endif
