/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Progress of backups on the error stream: one bar per database on a terminal, redrawn in place; elsewhere one line each time a
 * database comes into another phase.
 */
#ifndef MSSQL_CLI_PROGRESS_H
#define MSSQL_CLI_PROGRESS_H

#include "cli/out.h"
#include "mssql/v1/sidecar.pb-c.h"

struct progress;

struct progress *progress_new(const struct cli *cli);
void progress_add(struct progress *p, const Mssql__V1__BackupPlanned *planned);
void progress_update(struct progress *p, const Mssql__V1__BackupProgress *event);
/* Takes the database's bar away: its result is printed by the caller. */
void progress_end(struct progress *p, const Mssql__V1__BackupResult *result);
/* Takes all bars away. */
void progress_free(struct progress *p);

#endif
