/* SPDX-License-Identifier: Apache-2.0 */
/* Facts about the instance: version, edition, names, paths, clock. */
#ifndef MSSQL_SQL_SERVER_H
#define MSSQL_SQL_SERVER_H

#include "common/sql/session.h"
#include "common/sql/text.h"

struct sql_clock {
    int64_t sampled_at; /* our clock, UTC: the middle of the round trip */
    int64_t server_at; /* the server's clock, UTC */
    int64_t offset_us; /* server minus ours */
    int64_t round_trip_us; /* offset_us is certain to half of this */
    int32_t utc_offset_s; /* of the server's local time, east positive */
};

struct sql_server {
    int major, minor, build, revision; /* 16.0.4236.2 */
    char version[64];
    char level[64]; /* RTM, CU12, ... */
    char edition[SQL_NAME_MAX];
    int engine_edition; /* 2 Standard and Web, 3 Enterprise family, 4 Express */
    bool compression; /* can write compressed backups (by edition; sql_backup_run() clears it after 1844) */
    bool encryption; /* can write encrypted backups */
    char name[SQL_NAME_MAX]; /* @@SERVERNAME: who took a backup in msdb */
    char machine[SQL_NAME_MAX];
    char collation[SQL_NAME_MAX];
    char data_path[SQL_PATH_MAX];
    char log_path[SQL_PATH_MAX];
    char backup_path[SQL_PATH_MAX]; /* "" before 2019 */
    char platform[64]; /* Linux; "" when the right to see it is missing */
    char distribution[128];
    bool hadr_enabled;
    bool single_user;
    int64_t started_at; /* UTC, 0 unknown; another value means a restart */
    int compression_default; /* sp_configure 'backup compression default'; -1 unknown */
    int trace_3226; /* successful backups are kept out of the error log: 1, 0, -1 unknown */
    struct sql_clock clock;
};

/* A missing right (VIEW SERVER STATE) leaves the fields that need it unknown; only a failing connection or a server without
 * the most basic properties is an error. */
int sql_server_read(struct sql_session *session, struct sql_server *ret_server, struct err *err) ERR_CHECK;
int sql_clock_read(struct sql_session *session, struct sql_clock *ret_clock, struct err *err) ERR_CHECK;
/* The same from the text of a SYSDATETIMEOFFSET() that came with something else, asked at these two moments of ours. */
bool sql_clock_parse(const char *text, int64_t asked_at, int64_t asked_mono_us, struct sql_clock *ret_clock);
/* @@SPID. */
int sql_spid_read(struct sql_session *session, int *ret_spid, struct err *err) ERR_CHECK;
/* Can this edition write compressed backups? By its text: Web has the engine edition of Standard. */
bool sql_edition_compresses(const char *edition, int engine_edition);

#endif
