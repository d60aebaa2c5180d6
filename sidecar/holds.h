/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds as they are known here: the objects in the store are what counts, this is a copy for status, listings and new commits. Read
 * when the store becomes usable, and after each change. Loop thread; the store is read by a worker.
 */
#ifndef MSSQL_SIDECAR_HOLDS_H
#define MSSQL_SIDECAR_HOLDS_H

#include "common/store/holds.h"
#include "sidecar/agent.h"

#define HOLDS_MAX 1000 /* known here; more are kept all the same */

struct known_hold {
    char folder[NAME_FOLDER_MAX];
    struct hold hold;
};

void holds_load(struct agent *agent);
/* All holds of this database's folder, as they are now. Marks in the catalog what they keep. */
void holds_replace(struct agent *agent, const char *folder, const struct hold *all, size_t count);
bool hold_keeps(const struct hold *hold, const struct backup *set);
/* Does any hold of the folder keep it now? */
bool holds_keep(const struct agent *agent, const char *folder, const struct backup *set, int64_t now);
void holds_free(struct agent *agent);

#endif
