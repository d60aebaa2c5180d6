/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's metrics. docs/reference/metrics.md lists them; a test compares. */
#ifndef MSSQL_SIDECAR_INSTRUMENTS_H
#define MSSQL_SIDECAR_INSTRUMENTS_H

#include "common/net/metrics.h"
#include "mssql/v1/types.pb-c.h"
#include "sidecar/agent.h"

struct instruments *instruments_new(struct agent *agent);
void instruments_free(struct instruments *instruments);
struct metrics *instruments_registry(struct instruments *instruments);

void instruments_finished(struct agent *agent, const struct job *job);
void instruments_skipped(struct agent *agent, const struct database *db, const char *reason);
void instruments_hole(struct agent *agent, const struct database *db, const struct chain_hole *hole);
void instruments_ship_failed(struct agent *agent, const struct err *err);
void instruments_rpc(struct agent *agent, const char *path, enum err_class class, int64_t us);
/* A restore is over: with this error (class NONE: well), and this answer (NULL: nothing was begun). */
void instruments_restored(struct agent *agent, const struct err *err, const Mssql__V1__RestoreReport *report);
/* A trial restore ended (class NONE: verified). */
void instruments_trial(struct agent *agent, const struct err *why);
void instruments_reload(struct agent *agent, bool good);
/* The database is gone or has another name: its series go. */
void instruments_forget(struct agent *agent, const struct database *db);

/* Counters for a status: without their prefix, those of databases added up. */
void instruments_counters(struct agent *agent, Mssql__V1__Status *status);

#endif
