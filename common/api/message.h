/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the chain rules know, as messages of proto/mssql/v1: the sidecar answers with them, and the command line makes the same ones
 * from a store alone. All are heap messages for protobuf_c_message_free_unpacked(); strings in them too.
 */
#ifndef MSSQL_API_MESSAGE_H
#define MSSQL_API_MESSAGE_H

#include "common/chain/interval.h"
#include "common/store/name.h"
#include "mssql/v1/sidecar.pb-c.h"

Mssql__V1__BackupKind message_kind(enum backup_kind kind);
/* "" when it is zero. */
char *message_guid(const struct guid *guid);
Mssql__V1__Backup *message_backup(const struct backup *b, const char *database);
Mssql__V1__Hole *message_hole(const struct chain_hole *hole);
/* intervals, holes, base_full, tip, backups and stored_bytes of `m`, whose database must be set. `input` without its history, which is
 * made here. */
void message_chain_sets(Mssql__V1__Chain *m, const struct backup *sets, size_t count, const struct chain_interval_input *input);

#endif
