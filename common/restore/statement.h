/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RESTORE statements, as text. PURE.
 *
 * Everything is restored WITH NORECOVERY, and recovery is one statement at the end: so a stop that was not reached never
 * leaves a database open that should have got more logs.
 */
#ifndef MSSQL_RESTORE_STATEMENT_H
#define MSSQL_RESTORE_STATEMENT_H

#include "common/base/buf.h"
#include "common/chain/backup.h"
#include "common/restore/request.h"

#define RESTORE_TEXT_MAX (16u << 20) /* MOVE of 32,767 files is long */

struct restore_devices {
    const char *const *paths; /* as SQL Server sees them, one per stripe */
    size_t count;
    unsigned position; /* in the file, from 1 */
    bool checksum; /* the set has checksums */
};

/* RESTORE DATABASE of a full (with MOVE for every file) or differential (moves of files that came after the full). */
struct restore_data_text {
    const char *database;
    struct restore_devices devices;
    const struct restore_move *moves;
    size_t move_count;
    bool replace; /* what is there is proven to be ours, or its loss is acknowledged */
};
int restore_text_data(const struct restore_data_text *spec, struct buf *out, struct err *err) ERR_CHECK;

/* RESTORE LOG. `stop` is what stands behind the comma: "STOPAT = N'...'", "STOPATMARK = N'...'"; "" or NULL for none. The moves
 * are of files that this log adds. */
struct restore_log_text {
    const char *database;
    struct restore_devices devices;
    const char *stop;
    const struct restore_move *moves;
    size_t move_count;
};
int restore_text_log(const struct restore_log_text *spec, struct buf *out, struct err *err) ERR_CHECK;

/* RESTORE DATABASE ... WITH RECOVERY, KEEP_CDC, ... or STANDBY = path. */
struct restore_end_text {
    const char *database;
    const char *standby; /* undo file; NULL: recovery */
    bool keep_cdc, keep_replication;
};
int restore_text_end(const struct restore_end_text *spec, struct buf *out, struct err *err) ERR_CHECK;

#endif
