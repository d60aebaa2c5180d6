/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which restores were executed, kept in the store: <scope>/restores/<request id>.json. A request that is applied again (by
 * GitOps, by a cluster that was put back from its backup, after the state directory was lost) must never run over a
 * database a second time.
 *
 * All calls block: on a worker.
 */
#ifndef MSSQL_SIDECAR_RESTORE_RECORD_H
#define MSSQL_SIDECAR_RESTORE_RECORD_H

#include <jansson.h>

#include "common/store/store.h"
#include "sidecar/restore/ticket.h"

/* Before anything is changed. The same restore again is success; ERR_EXISTS when another one executed this request: it says
 * when, and what became of it. */
int record_begin(struct store *store, const char *scope, const struct ticket *ticket, struct err *err) ERR_CHECK;
/* What became of it. `results` (may be NULL) is borrowed. */
int record_finish(struct store *store, const char *scope, const struct ticket *ticket, const json_t *results,
                  struct err *err) ERR_CHECK;

#endif
