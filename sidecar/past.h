/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must not be forgotten at a restart, and is told by the backups themselves, so that it outlives the loss of the state directory,
 * too: how many healing backups were taken today, and who made the holes. Loop thread; manifests are read by a worker.
 */
#ifndef MSSQL_SIDECAR_PAST_H
#define MSSQL_SIDECAR_PAST_H

#include "sidecar/agent.h"

/* The tips of this database were built: counts today's healings, and notes which manifests tell of its holes. */
void past_load(struct agent *agent, struct database *db);
/* Reads the manifests that were noted, when the store is there. */
void past_ask(struct agent *agent);
void past_free(struct agent *agent);
/* The newest hole that no backup closed yet; cause NONE when there is none. */
struct chain_hole past_open_hole(const struct database *db);

#endif
