/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the files of trials.
 *
 *     trial.c          from request to verdict
 *     trial_look.c     CHECKDB and probes
 *     trial_moment.c   a restorable moment by chance
 *     trial_sets.c     VERIFYONLY of each backup of a plan, nothing is restored
 *     trial_note.c     what is durable, and names
 *     trial_drop.c     whose database it is; the drop; cleaning up after a crash
 */
#ifndef MSSQL_RESTORE_TRIAL_INT_H
#define MSSQL_RESTORE_TRIAL_INT_H

#include "common/restore/journal.h"
#include "common/restore/trial.h"

/* `<journal_dir>/<id>.trial`, locked while its process lives. */
struct trial_note {
    char id[RESTORE_ID_MAX];
    char scratch[SQL_NAME_MAX];
    char server[SQL_NAME_MAX]; /* @@SERVERNAME */
    char address[300]; /* host:port as it was asked for */
    struct guid family; /* of the source */
    int lock_fd; /* -1: not locked */
};
void trial_note_address(char *dst, size_t dst_bytes, const struct sql_params *sql);
/* Writes and locks it. */
int trial_note_write(const char *dir, struct trial_note *note, struct err *err) ERR_CHECK;
/* Locks and reads it. ERR_BUSY: its process lives; ERR_NOT_FOUND: it is gone. */
int trial_note_take(const char *dir, const char *id, struct trial_note *ret_note, struct err *err) ERR_CHECK;
int trial_note_forget(const char *dir, struct trial_note *note, struct err *err) ERR_CHECK;
void trial_note_release(struct trial_note *note);
int trial_note_each(const char *dir, int (*fn)(void *user, const char *id), void *user, struct err *err) ERR_CHECK;

enum trial_owner { TRIAL_ABSENT, TRIAL_OURS, TRIAL_FOREIGN, TRIAL_UNKNOWN };
/* A database as the server has it under the scratch name. */
struct trial_seen {
    bool there;
    int id, state; /* enum sql_db_state */
    struct guid database_guid, family, fork; /* zero: cannot be seen */
    bool files_match; /* each one lies where the journal put it */
};
/* entry NULL: the engine had not begun. PURE. */
enum trial_owner trial_owner_of(const struct trial_seen *seen, const struct trial_note *note, const struct restore_entry *entry);
/* Drops it when it is ours. *ret_owner: what it was. -1: could not be asked or dropped. */
int trial_drop(struct sql_session *session, const struct trial_note *note, const struct restore_entry *entry,
               enum trial_owner *ret_owner, struct err *err) ERR_CHECK;
int trial_server_name(struct sql_session *session, char dst[SQL_NAME_MAX], struct err *err) ERR_CHECK;

/* A moment inside of what can be restored. False: there is none, only single points. PURE. */
bool trial_moment(const struct source_history *history, uint64_t seed, int64_t *ret_at);

int trial_find(struct source *source, const char *name, struct source_database *ret_db, struct err *err) ERR_CHECK;
/* The one that was asked for, or by chance; the history is looked at only then. */
void trial_target(const struct trial_request *request, const struct source_history *history, struct chain_target *ret_target);

int trial_check(struct sql_session *session, const struct restore_env *env, struct trial_result *result,
                struct err *err) ERR_CHECK;
int trial_probes(const struct restore_env *env, const struct trial_request *request, struct trial_result *result,
                 struct err *err) ERR_CHECK;

#endif
