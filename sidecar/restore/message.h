/* SPDX-License-Identifier: Apache-2.0 */
/* The engine's structs as messages of proto/mssql/v1, and a request the other way round. Messages are heap messages. */
#ifndef MSSQL_SIDECAR_RESTORE_MESSAGE_H
#define MSSQL_SIDECAR_RESTORE_MESSAGE_H

#include "common/restore/restore.h"
#include "mssql/v1/sidecar.pb-c.h"

/* Without id, scope and dates. ERR_USAGE names what is wrong. ret_request needs no init. */
int message_restore_request(const Mssql__V1__RestoreSpec *spec, struct restore_request *ret_request, struct err *err) ERR_CHECK;
Mssql__V1__RestoreReport *message_restore_report(const struct restore_report *report);
Mssql__V1__RestoreProgress *message_restore_progress(const struct restore_progress *progress);

/* A copy by packing; free it with its free_unpacked(). */
Mssql__V1__RestoreResult *message_restore_result_copy(const Mssql__V1__RestoreResult *result);

#endif
