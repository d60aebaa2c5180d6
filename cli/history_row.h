/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row of a backup history: RESTORE HEADERONLY's columns or those of msdb.dbo.backupset, perhaps joined with backupmediafamily and
 * backupmediaset. Names count without case, '_' and spaces; columns that are not known are passed over.
 */
#ifndef MSSQL_CLI_HISTORY_ROW_H
#define MSSQL_CLI_HISTORY_ROW_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/history_json.h"
#include "cli/history_value.h"
#include "common/chain/backup.h"

#define HISTORY_PATHS_MAX 64 /* files of one set: SQL Server's limit of devices */
#define HISTORY_PATH_BYTES 4096
#define HISTORY_NAME_BYTES 768 /* 128 characters of UTF-16 as UTF-8, with room for old long ones */

enum history_zone { HISTORY_ZONE_NONE, HISTORY_ZONE_UNKNOWN, HISTORY_ZONE_KNOWN };

struct history_row {
    bool any; /* some column of a history was there */
    char type; /* 'D', 'I', 'L'; 'X' of another kind; 0: no such column */
    struct backup backup; /* GUIDs, LSNs, flags, sizes, position; no dates */
    bool has_first_lsn, has_last_lsn; /* not NULL */
    bool has_diff_base; /* a column about the differential base was there, also with NULL */
    struct history_date start, finish, valid;
    bool has_start, has_finish, has_valid;
    enum history_zone zone;
    int32_t zone_s;
    uint64_t compressed_bytes;
    char database[HISTORY_NAME_BYTES], server[HISTORY_NAME_BYTES], user[HISTORY_NAME_BYTES];
    char set_id[64]; /* backup_set_id as it is written; "" none */
    bool set_id_is_number;
    char *paths[HISTORY_PATHS_MAX]; /* on the heap */
    unsigned path_count;
    unsigned sequence; /* family_sequence_number of the path; 0 unknown */
    unsigned families; /* files of the media set; 0 unknown */
    unsigned mirror; /* 1 to 3: the path is a mirror's */
    unsigned device_type; /* 2 disk, 7 virtual, 9 URL; 0 unknown */
};

/* Behind the row's '{', up to its '}'. ERR_CORRUPT names the field and the byte. The row is zeroed first; history_row_done() frees its
 * paths, also after a failure. */
int history_row_read(struct history_json *json, struct history_row *row, struct err *err) ERR_CHECK;
/* One member of an object that may be a row: behind its key. */
int history_row_member(struct history_json *json, struct history_row *row, struct err *err) ERR_CHECK;
/* Is the name one of a column, or of a list that comes beside them? */
bool history_row_is_column(const char *name);
void history_row_done(struct history_row *row);

#endif
