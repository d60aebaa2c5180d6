/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which incarnation does a set belong to that an earlier life took, or whose end nobody heard? The files of a database may have been put
 * back to an earlier state between the look at the server and the backup, and the crash have come before the header was checked. Pure.
 */
#ifndef MSSQL_SIDECAR_JOB_INCARNATION_H
#define MSSQL_SIDECAR_JOB_INCARNATION_H

#include "common/chain/check.h"
#include "sidecar/job/journal.h"

/* tip: what is known of the chain without the set. The verdict is filled only when the set's own header says that it left the history. */
uint32_t incarnation_of(const struct journal_entry *entry, const struct backup *set, const struct chain_tip *tip,
                        struct chain_verdict *ret_verdict);

#endif
