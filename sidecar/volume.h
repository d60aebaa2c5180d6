/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at the staging volume from a worker of its own: can it be used, how full is it. A volume may be missing at the start, go away
 * and come back, or hang; the loop only ever sees the last answer (agent.space, agent.staging_err).
 */
#ifndef MSSQL_SIDECAR_VOLUME_H
#define MSSQL_SIDECAR_VOLUME_H

#include "sidecar/agent.h"

void volume_start(struct agent *agent);
/* From the tick: begins a look when one is due, every five seconds while all is well, after growing pauses while it is not. Moves
 * next_at (wall clock) to the time when it wants to be called again. */
void volume_tick(struct agent *agent, int64_t now, int64_t *next_at);
/* What a run left behind could not be removed: it is tried at each look. The journal, or a draft, knows it across a restart. */
void volume_clean_later(struct agent *agent, const struct journal_entry *entry, bool journaled, unsigned slot);
/* Waits for the look that is under way. */
void volume_stop(struct agent *agent);

#endif
