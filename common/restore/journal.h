/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a restore has done so far, durable before the next thing is done: one JSON file per restore, `<dir>/<id>.json`. It
 * proves what is ours: only what the journal says this restore began is ever replaced or dropped.
 *
 * The engine's threads change entries of their own and call restore_journal_note(); the file is written under a lock.
 */
#ifndef MSSQL_RESTORE_JOURNAL_H
#define MSSQL_RESTORE_JOURNAL_H

#include <pthread.h>

#include "common/restore/identity.h"
#include "common/restore/restore.h"

/* One database. Strings are on the heap and never NULL. */
struct restore_entry {
    char *database; /* as it was asked for */
    char *folder; /* of the store */
    char *source; /* name of the database in its backups */
    char *target; /* name on the target */
    enum restore_step step; /* PLANNED..FINISHED; how far it came, also when it failed afterwards */
    enum restore_step outcome; /* FINISHED, FAILED, CANCELLED, or PLANNED while it is open */
    struct err err; /* of the outcome */
    enum restore_over over;
    bool replace; /* WITH REPLACE was acknowledged */
    bool judged; /* `before` was noted; older programs did not */
    struct restore_identity before; /* what the judgement is of, as it was: this may be replaced, and nothing else */
    bool before_ours; /* it is what this restore had made, and is made anew */
    struct restore_identity mine; /* what the base made of it; `there` is false until it was restored whole */
    struct guid family; /* of the backups */
    int user_access; /* of the database in place before anybody was thrown out: sys.databases */
    char *tail_run; /* NAME of the tail's set; "" none is taken */
    struct lsn tail_lsn; /* where the log ends that the tail saved: "latest" must come to it; zero: no tail that joins */
    struct restore_move *files; /* where its files were put */
    size_t file_count;
    struct guid base; /* set GUID of the full that it began with */
    struct lsn base_lsn; /* where the database stands after it, and on which fork */
    struct guid base_fork;
    bool base_done; /* a full was restored: what is RESTORING there is ours */
    char *stop; /* STOPAT = ... */
    int64_t short_at; /* the moment was not found in the logs: the backups prove no more than this; 0: they do */
    struct guid *avoid; /* sets found damaged or missing */
    size_t avoid_count;
    struct guid recovery_fork, database_guid; /* of the result */
};

/* The instance that it is done to. */
struct restore_server {
    char name[SQL_NAME_MAX]; /* @@SERVERNAME; "": not noted */
    char machine[SQL_NAME_MAX];
    char address[SQL_NAME_MAX]; /* where it was found */
};

struct restore_journal {
    char *path;
    struct restore_server server;
    struct restore_request request;
    struct restore_entry *entries;
    size_t count;
    int64_t created_at;
    pthread_mutex_t lock;
};

/* A new one in memory; the first note makes the file. */
void restore_journal_new(const char *dir, const struct restore_request *request, struct restore_journal *ret_journal);
struct restore_entry *restore_journal_add(struct restore_journal *journal);
/* ERR_NOT_FOUND; ERR_CORRUPT. */
int restore_journal_load(const char *dir, const char *id, struct restore_journal *ret_journal, struct err *err) ERR_CHECK;
void restore_journal_done(struct restore_journal *journal); /* memory only */

/* The request alone, fault point "restore.planned"; then all databases, "restore.checked". */
int restore_journal_begin(struct restore_journal *journal, struct err *err) ERR_CHECK;
int restore_journal_checked(struct restore_journal *journal, struct err *err) ERR_CHECK;
/* The entry has come to this step: durable when it returns 0. Fault point "restore.<step>". */
int restore_journal_step(struct restore_journal *journal, struct restore_entry *entry, enum restore_step step,
                         struct err *err) ERR_CHECK;
/* It ended, well or not. */
int restore_journal_end(struct restore_journal *journal, struct restore_entry *entry, enum restore_step outcome,
                        const struct err *why, struct err *err) ERR_CHECK;
/* Something else of it changed (avoid, base). Fault point "restore.note". */
int restore_journal_note(struct restore_journal *journal, struct err *err) ERR_CHECK;
/* Removes the file: nothing can be resumed any more. A missing one is success. */
int restore_journal_forget(const char *dir, const char *id, struct err *err) ERR_CHECK;
/* Did every database finish? */
bool restore_journal_complete(const struct restore_journal *journal);

/* Calls fn with the id of every journal in the directory. */
int restore_journal_each(const char *dir, int (*fn)(void *user, const char *id), void *user, struct err *err) ERR_CHECK;

void restore_entry_set(char **field, const char *value);
void restore_entry_avoid(struct restore_entry *entry, const struct guid *set);
bool restore_entry_avoids(const struct restore_entry *entry, const struct guid *set);

#endif
