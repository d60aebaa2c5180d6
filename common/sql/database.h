/* SPDX-License-Identifier: Apache-2.0 */
/* Databases of an instance: which there are, what may be done with them, and where their chain stands. */
#ifndef MSSQL_SQL_DATABASE_H
#define MSSQL_SQL_DATABASE_H

#include "common/base/guid.h"
#include "common/chain/backup.h"
#include "common/chain/state.h"
#include "common/sql/server.h"
#include "common/sql/session.h"
#include "common/sql/text.h"

/* sys.databases.state */
enum sql_db_state {
    SQL_DB_ONLINE = 0,
    SQL_DB_RESTORING = 1,
    SQL_DB_RECOVERING = 2,
    SQL_DB_RECOVERY_PENDING = 3,
    SQL_DB_SUSPECT = 4,
    SQL_DB_EMERGENCY = 5,
    SQL_DB_OFFLINE = 6,
    SQL_DB_COPYING = 7,
    SQL_DB_OFFLINE_SECONDARY = 10,
};

/* sys.databases.recovery_model */
enum sql_recovery { SQL_RECOVERY_FULL = 1, SQL_RECOVERY_BULK_LOGGED = 2, SQL_RECOVERY_SIMPLE = 3 };

/* What a restore resets or loses: noted in the manifest, put back by a restore. */
struct sql_db_options {
    char owner[SQL_NAME_MAX]; /* login; "" when it no longer exists */
    bool trustworthy;
    bool broker;
    bool db_chaining;
    bool honor_broker_priority;
    bool cdc;
    bool published;
    bool merge_published;
    bool subscribed;
};

struct sql_database {
    int id;
    char name[SQL_NAME_MAX];
    int state; /* enum sql_db_state; other numbers are possible in later versions */
    char state_text[64];
    int recovery; /* enum sql_recovery */
    int user_access; /* 0 multi, 1 single, 2 restricted */
    bool standby;
    bool read_only;
    bool auto_close;
    bool snapshot; /* of another database: cannot be backed up */
    bool in_group; /* member of an availability group here */
    bool system; /* master, model, msdb, tempdb */
    bool encrypted; /* TDE */
    int page_verify; /* 0 none, 1 torn page, 2 checksum */
    int compat_level;
    int64_t created_at; /* UTC by the offset of `clock` */
    char collation[SQL_NAME_MAX];
    char log_reuse_wait[64]; /* LOG_BACKUP, ACTIVE_TRANSACTION, NOTHING, ... */
    struct sql_db_options options;
};

struct sql_database_list {
    struct sql_database *items;
    size_t count;
};

/* All databases but tempdb, ordered by name. */
int sql_databases_read(struct sql_session *session, const struct sql_clock *clock, struct sql_database_list *ret_list,
                       struct err *err) ERR_CHECK;
void sql_databases_done(struct sql_database_list *list);
const struct sql_database *sql_databases_find(const struct sql_database_list *list, const char *name);

/* Can this database be backed up like this now? NULL, or a stable word of why not (also the metric label): "offline",
 * "restoring", "recovering", "recovery_pending", "suspect", "emergency", "copying", "standby", "snapshot", "tempdb",
 * "availability_group", "simple_recovery" (logs), "master_full_only". A single-user database is tried. */
const char *sql_database_skip(const struct sql_database *db, enum backup_kind kind);

struct sql_file {
    int id;
    char type; /* D data, L log, S stream or memory-optimised, F full-text */
    char logical[SQL_NAME_MAX];
    char physical[SQL_PATH_MAX];
    uint64_t size_bytes;
    char tde_thumbprint[80]; /* hex, of the certificate that a restore needs; "" none (FILELISTONLY only) */
};
struct sql_file_list {
    struct sql_file *items;
    size_t count;
};
/* From sys.master_files. */
int sql_files_read(struct sql_session *session, int database_id, struct sql_file_list *ret_list, struct err *err) ERR_CHECK;
void sql_files_done(struct sql_file_list *list);

/* How large backups would be, uncompressed. 0 = unknown. */
struct sql_sizes {
    bool extents_asked; /* full_bytes and diff_bytes are of this look */
    uint64_t full_bytes; /* allocated extents */
    uint64_t diff_bytes; /* modified extents */
    uint64_t log_bytes; /* log since the last log backup */
    uint64_t log_file_bytes; /* size of the log */
    uint64_t log_active_bytes;
};

enum sql_look_what {
    SQL_LOOK_ALL,
    SQL_LOOK_LOG, /* what a log backup needs: not the map of used and modified extents, which takes time in a large database */
};
struct sql_look {
    struct chain_server_state state; /* that chain decisions are made of */
    struct sql_sizes sizes;
    struct sql_clock clock; /* as it was when the state was read */
};
/* Opens nothing that is closed: with auto_close and not `due`, only what is to be had without opening the database is filled in
 * (online stays false then, so that NULLs are no break). A missing right leaves zeros. */
int sql_database_look(struct sql_session *session, const struct sql_database *db, enum sql_look_what what, bool due,
                      struct sql_look *ret_look, struct err *err) ERR_CHECK;
/* After SQL_LOOK_LOG: the extents of an earlier look. Nothing happens when they were asked for. */
void sql_extents_keep(struct chain_server_state *state, struct sql_sizes *sizes, const struct chain_server_state *old_state,
                      const struct sql_sizes *old_sizes);
/* The state alone. */
int sql_database_state(struct sql_session *session, const struct sql_database *db, bool due, struct chain_server_state *ret_state,
                       struct err *err) ERR_CHECK;

/* May this login take backups? Databases that are closed or not online are not asked. */
struct sql_access {
    int database_id;
    bool asked;
    bool data; /* BACKUP DATABASE */
    bool log; /* BACKUP LOG */
};
struct sql_access_list {
    struct sql_access *items;
    size_t count;
};
/* `databases`: those to ask about. */
int sql_access_read(struct sql_session *session, const struct sql_database_list *databases, struct sql_access_list *ret_list,
                    struct err *err) ERR_CHECK;
void sql_access_done(struct sql_access_list *list);

/* Free space of the volumes that hold the files of a database (dm_os_volume_stats). */
struct sql_volume {
    char mount[SQL_PATH_MAX];
    uint64_t total_bytes;
    uint64_t free_bytes;
};
struct sql_volume_list {
    struct sql_volume *items;
    size_t count;
};
int sql_volumes_read(struct sql_session *session, int database_id, struct sql_volume_list *ret_list, struct err *err) ERR_CHECK;
void sql_volumes_done(struct sql_volume_list *list);

#endif
