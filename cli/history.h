/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup histories from anywhere: a JSON document of RESTORE HEADERONLY or msdb.dbo.backupset rows (history_row.h says which columns).
 * An array of rows; or an object with an array of rows in it, as PowerShell and FOR JSON with ROOT write it; or one row.
 *
 * It is read as a stream: what stays in memory is one `struct backup`, one `struct history_set` and the paths per set.
 *
 * Rows of the same set (stripes, mirrors, the histories of several servers) become one set. Rows of file and partial backups, and of
 * backups that did not finish, are counted and left out. What rows do not say is made up as a restore by hand would: a differential
 * without its base's GUID belongs to the full with its base LSN; a set without a GUID gets one of its own.
 */
#ifndef MSSQL_CLI_HISTORY_H
#define MSSQL_CLI_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/history_json.h"
#include "common/chain/interval.h"

#define HISTORY_SETS_MAX 8000000u

struct history_file {
    uint32_t set;
    uint16_t sequence; /* place among the stripes; 0 unknown */
    uint16_t device_type; /* 2 disk, 7 virtual, 9 URL; 0 unknown */
    const char *path;
};

/* What a row says beside `struct backup`. Strings belong to the history; "" where there is none. */
struct history_set {
    const char *database, *server, *user;
    const char *id; /* backup_set_id as it was written */
    bool id_is_number;
    bool made_guid; /* the row had none: backup.set_guid is ours */
    bool has_diff_base; /* the rows have a column about it */
    uint16_t families; /* files that the set has; 0 unknown */
    uint32_t file_count, first_file; /* in files[] */
};

/* One chain: sets [begin, end) of the history. */
struct history_database {
    const char *name; /* the newest one */
    struct guid family, guid; /* of its newest set, zero where the rows do not say */
    size_t begin, end;
    size_t foreign; /* [foreign, end): the bytes went to NUL */
    int64_t newest_at;
};

struct history_strings;

struct history {
    struct backup *sets; /* one database after the other, in the order of the rows */
    struct history_set *details; /* beside sets */
    size_t count;
    struct history_file *files; /* by set, then by sequence */
    size_t file_count;
    struct history_database *databases; /* by name, newest last */
    size_t database_count;
    uint64_t rows;
    uint64_t other_kinds; /* rows of file and partial backups */
    uint64_t incomplete; /* rows without LSNs or finish date */
    uint64_t zone_assumed; /* rows with local dates and nothing that says how far from UTC */
    struct history_strings *strings;
};

struct history_source {
    const char *name; /* for messages */
    history_read_fn *read;
    void *user;
    bool offset_known; /* of the server, for rows that do not say it */
    int32_t utc_offset_s;
};

/* ERR_CORRUPT names row, field and byte; rows count from 1. ERR_LIMIT. */
int history_read(const struct history_source *source, struct history *ret_history, struct err *err) ERR_CHECK;
void history_done(struct history *history);

#endif
