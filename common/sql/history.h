/* SPDX-License-Identifier: Apache-2.0 */
/* msdb's backup history: other people's backups, our own row after a crash, marks, and keeping it small. */
#ifndef MSSQL_SQL_HISTORY_H
#define MSSQL_SQL_HISTORY_H

#include "common/chain/backup.h"
#include "common/chain/state.h"
#include "common/sql/server.h"
#include "common/sql/session.h"

/* A row of msdb.dbo.backupset with its first device. */
struct sql_history {
    int64_t set_id; /* backup_set_id: grows; where to go on from */
    struct backup backup; /* kind, flags, LSNs, GUIDs, dates in UTC; BACKUP_FOREIGN is set for others' */
    bool kind_known; /* false for file and partial backups (type F, G, P, Q) */
    char type[2]; /* msdb's letter */
    char database[SQL_NAME_MAX];
    char name[SQL_NAME_MAX]; /* NAME: our run id */
    char user[SQL_NAME_MAX]; /* who took it */
    char server[SQL_NAME_MAX];
    char machine[SQL_NAME_MAX];
    char device[SQL_PATH_MAX]; /* physical_device_name of the first family */
    int device_type; /* 2 disk, 7 virtual, 9 URL */
    bool to_nul; /* BACKUP ... TO DISK = 'NUL' */
};
struct sql_history_list {
    struct sql_history *items;
    size_t count;
    bool more; /* the limit was reached: ask again from the last set_id */
};

/* Sets of one family (all databases when family is NULL) with backup_set_id > since_id that this server took and whose NAME does
 * not begin with `own_prefix`, oldest first, at most `limit`. */
int sql_foreign_read(struct sql_session *session, const struct sql_server *server, const struct guid *family, int64_t since_id,
                     const char *own_prefix, unsigned limit, struct sql_history_list *ret_list, struct err *err) ERR_CHECK;
/* The set with this NAME on this device (device may be NULL): ERR_NOT_FOUND when BACKUP never succeeded. */
int sql_history_find(struct sql_session *session, const struct sql_server *server, const char *name, const char *device,
                     struct sql_history *ret_row, struct err *err) ERR_CHECK;
/* Largest backup_set_id, 0 when the history is empty. */
int sql_history_last_id(struct sql_session *session, int64_t *ret_id, struct err *err) ERR_CHECK;
void sql_history_done(struct sql_history_list *list);
/* As chain decisions want it. Only for rows whose kind_known is true. */
void sql_history_to_foreign(const struct sql_history *history, struct chain_foreign *ret_foreign);

/* The newest restore over this database, verifications left out; at == 0 when there was none. */
int sql_restore_last(struct sql_session *session, const char *database, const struct sql_clock *clock,
                     struct chain_restore *ret_restore, struct err *err) ERR_CHECK;

struct sql_mark {
    char name[SQL_NAME_MAX];
    char description[SQL_PATH_MAX];
    char user[SQL_NAME_MAX];
    struct lsn lsn;
    int64_t at; /* UTC */
};
struct sql_mark_list {
    struct sql_mark *items;
    size_t count;
};
/* Marks of a database with lsn >= since, in LSN order (logmarkhistory). At most 10,000. */
int sql_marks_read(struct sql_session *session, const char *database, struct lsn since, const struct sql_clock *clock,
                   struct sql_mark_list *ret_list, struct err *err) ERR_CHECK;
void sql_marks_done(struct sql_mark_list *list);

/* Removes backup history older than keep_days, at most one day of it per call so that nothing is locked for long. ret_more: call
 * again. Needs EXECUTE on msdb.dbo.sp_delete_backuphistory. */
int sql_history_prune(struct sql_session *session, const struct sql_clock *clock, unsigned keep_days, bool *ret_more,
                      struct err *err) ERR_CHECK;

#endif
