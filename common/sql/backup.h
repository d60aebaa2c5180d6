/* SPDX-License-Identifier: Apache-2.0 */
/* BACKUP statements, their progress, and reading back what was written. */
#ifndef MSSQL_SQL_BACKUP_H
#define MSSQL_SQL_BACKUP_H

#include "common/base/buf.h"
#include "common/chain/backup.h"
#include "common/sql/database.h"
#include "common/sql/server.h"
#include "common/sql/session.h"

#define SQL_DEVICES_MAX 64

enum sql_compression {
    SQL_COMPRESSION_DEFAULT, /* as the server is configured */
    SQL_COMPRESSION_ON, /* falls back to none where the edition cannot (1844), and remembers */
    SQL_COMPRESSION_OFF,
    SQL_COMPRESSION_COUNT,
};

struct sql_progress {
    double percent; /* 0 to 100 */
    int64_t left_ms; /* the server's estimate; -1 unknown */
    char wait[64]; /* what the server waits for; "" none or unknown */
    int blocked_by; /* session id, 0 none */
};

struct sql_backup_request {
    const char *database;
    enum backup_kind kind;
    bool copy_only;
    const char *const *paths; /* as SQL Server sees them; each must be a fresh file */
    size_t path_count;
    const char *name; /* the run id; at most 128 characters */
    const char *description; /* NULL: none; at most 255 */
    bool no_checksum; /* CHECKSUM is the default here */
    enum sql_compression compression;
    unsigned stats_percent; /* 0: 5 */
    uint32_t max_transfer_bytes; /* multiple of 64 KiB up to 4 MiB; 0: the server's choice */
    uint32_t buffer_count; /* 0: the server's choice */
    bool continue_after_error; /* over bad pages; the set is marked damaged */
    bool tail_norecovery; /* log: the tail; leaves the database RESTORING */
    bool no_truncate; /* log of a database that cannot be opened */
    const char *before; /* statements in the same batch, in front of it; NULL: none */
    const atomic_bool *cancel;
    void (*progress)(void *user, double percent); /* from 3211; may be NULL */
    void (*tick)(void *user); /* about once per second; may be NULL */
    void *user;
};

struct sql_backup_result {
    uint64_t pages;
    int64_t duration_ms;
    bool compressed; /* asked for and not refused; false for SQL_COMPRESSION_DEFAULT */
    bool fell_back; /* the server cannot compress: taken without */
    bool damaged; /* the server reported bad pages and went on */
    struct sql_messages messages; /* sql_messages_done() it after success */
};

/* Appends the statement. */
int sql_backup_text(const struct sql_backup_request *request, enum sql_compression compression, struct buf *out,
                    struct err *err) ERR_CHECK;
/* Runs it to the end, however long it takes. Success only when nothing failed, no message was an error and 3014 was seen.
 * `server->compression` is cleared after 1844. `server` may be NULL. After a failure a partial file may be at the paths, which the
 * caller deletes; but when no answer came (ERR_CONNECT, ERR_CANCELLED, ERR_TIMEOUT) the backup may be complete all the same and the
 * log truncated: ask sql_history_find() for the run id first. */
int sql_backup_run(struct sql_session *session, const struct sql_backup_request *request, struct sql_server *server,
                   struct sql_backup_result *ret_result, struct err *err) ERR_CHECK;

/* What RESTORE HEADERONLY says of a set. */
struct sql_header {
    struct backup backup; /* dates in UTC; BACKUP_UTC_OFFSET_KNOWN: by the header's zone or the clock that was given */
    char name[SQL_NAME_MAX]; /* run id */
    char description[256 * 3];
    char database[SQL_NAME_MAX];
    char server[SQL_NAME_MAX];
    char machine[SQL_NAME_MAX];
    char user[SQL_NAME_MAX];
    char collation[SQL_NAME_MAX];
    char recovery_model[64];
    char compression[64]; /* MS_XPRESS, ZSTD, ...; "" none or not said */
    char encryptor_thumbprint[80]; /* hex; "" not encrypted */
    int compat_level;
    int database_version; /* 957 = 2022 */
    int software_major, software_minor, software_build;
    int64_t database_created_at; /* UTC */
    uint64_t compressed_bytes; /* CompressedBackupSize */
};
/* The one set that our file or its stripes hold (each stripe is read and must be of the same set); more than one, or a set without LSNs or dates (written by a backup that did not finish), is
 * ERR_CORRUPT. `clock` (may be NULL)
 * gives the offset where the header has none (before 2022); valid_until is LastValidRestoreTime or 0. */
int sql_header_read(struct sql_session *session, const char *const *paths, size_t path_count, const struct sql_clock *clock,
                    struct sql_header *ret_header, struct err *err) ERR_CHECK;
/* RESTORE FILELISTONLY: names, sizes and types for MOVE. */
int sql_filelist_read(struct sql_session *session, const char *const *paths, size_t path_count, struct sql_file_list *ret_list,
                      struct err *err) ERR_CHECK;
/* RESTORE VERIFYONLY WITH CHECKSUM. */
int sql_verify(struct sql_session *session, const char *const *paths, size_t path_count, const struct sql_call *call,
               struct err *err) ERR_CHECK;

/* Progress of another session's statement (VIEW SERVER STATE). ERR_NOT_FOUND when it runs nothing. */
int sql_progress_read(struct sql_session *session, int spid, struct sql_progress *ret_progress, struct err *err) ERR_CHECK;

#endif
