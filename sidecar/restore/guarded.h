/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A source in front of the sidecar's: an object that is missing is one thing, a store that is missing another. A backup volume
 * that was unmounted looks like an empty folder, and every backup in it like a lost one; a restore must wait then, not go
 * around backups that are whole.
 */
#ifndef MSSQL_SIDECAR_RESTORE_GUARDED_H
#define MSSQL_SIDECAR_RESTORE_GUARDED_H

#include "common/restore/source.h"

/* Takes `inner` over. The store is borrowed. */
struct source *guarded_source(struct source *inner, struct store *store, const char *scope);

#endif
