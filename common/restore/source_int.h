/* SPDX-License-Identifier: Apache-2.0 */
/* For implementers of sources. */
#ifndef MSSQL_RESTORE_SOURCE_INT_H
#define MSSQL_RESTORE_SOURCE_INT_H

#include "common/restore/source.h"

#define SOURCE_UNREADABLE_KEPT 16

/* Appends; beyond the first few they are counted only. */
void source_history_unreadable(struct source_history *h, size_t *cap, const char *name, const struct err *why);
/* The named transactions of a log's manifest. */
void source_history_marks(struct source_history *h, size_t *cap, const struct manifest *m);
/* source_probe() of everything that lies in a store. */
int source_store_probe(struct store *store, const char *scope, const char *folder, const struct manifest *m,
                       struct err *err) ERR_CHECK;

#endif
