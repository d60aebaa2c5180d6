/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tail of the log of a database that is about to be restored over: everybody is thrown out, BACKUP LOG ... WITH
 * NORECOVERY leaves it RESTORING in the same moment, so that no commit slips in between, and the file is the only copy of
 * what was committed last. It must be shipped before anything else is done.
 */
#ifndef MSSQL_RESTORE_TAIL_H
#define MSSQL_RESTORE_TAIL_H

#include "common/base/buf.h"
#include "common/restore/target.h"
#include "common/sql/backup.h"
#include "common/store/manifest.h"
#include "common/store/store.h"

#define RESTORE_EVICT_MS_DEFAULT 60000

/* A tail that is a staged file: what ship_tail() gets. */
struct restore_tail {
    const char *restore_id;
    const char *database; /* its name on the instance */
    const char *folder; /* of its chain in the store */
    char run_id[SQL_NAME_MAX]; /* NAME of the set */
    char *server_path; /* as SQL Server sees it */
    char *local_path; /* as we do */
    struct backup set;
    struct manifest manifest; /* complete but for its objects and folder */
};
void restore_tail_done(struct restore_tail *tail);

struct restore_tail_request {
    const char *database;
    const char *run_id; /* NAME of the set: how it is found again */
    const char *server_path; /* a fresh file */
    const char *only_if; /* in front of every batch that does something to the database (identity.h); NULL: nothing */
    bool damaged; /* NO_TRUNCATE */
    enum sql_compression compression;
    int64_t evict_ms; /* to get the database for ourselves; 0: RESTORE_EVICT_MS_DEFAULT */
    int access; /* sys.databases.user_access before: put back when it comes to nothing */
    bool statement_over; /* restore_tail_find(): its BACKUP is known not to run any more */
    const atomic_bool *cancel; /* before the backup began; may be NULL */
    void (*progress)(void *user, double percent); /* may be NULL */
    void (*evicted)(void *user, const char *who); /* somebody who was thrown out or in the way; may be NULL */
    void *user;
};

struct restore_tail_result {
    unsigned evicted; /* sessions that were in it */
    unsigned attempts; /* more than one: somebody took the only slot in between */
};

/*
 * Throws everybody out and takes the tail; the session must be in another database (master). On failure *reterr_unsure tells
 * whether it may have been taken all the same (the connection was lost in the middle, nobody can look, the file is gone):
 * the path is to be left alone then, and restore_tail_find() decides. Otherwise the database is as it was before, open to all
 * who could use it; a partial file may be at the path, and its log was not truncated.
 * ERR_BUSY: it could not be had for ourselves in time (who was in the way is said).
 */
int restore_tail_take(struct sql_session *session, const struct restore_tail_request *request, struct sql_server *server,
                      struct restore_tail_result *ret_result, bool *reterr_unsure, struct err *err) ERR_CHECK;
/* For a database that is restored over without a tail: throws everybody out, and whoever came back before the RESTORE that
 * follows got the database (3101): repeat both. restore_evict_text() in front of the RESTORE in one batch leaves hardly a gap. */
int restore_evict(struct sql_session *session, const struct restore_tail_request *request, struct restore_tail_result *ret_result,
                  struct err *err) ERR_CHECK;
/* "ALTER DATABASE ... SET SINGLE_USER WITH ROLLBACK IMMEDIATE;" */
void restore_evict_text(const char *database, struct buf *out);

/* After a crash: what became of it. Only what is proven is said; the rest is an error, and nothing may be removed then. */
enum restore_tail_state {
    RESTORE_TAIL_FOUND_NOT, /* it was not taken: no BACKUP of it runs, and nothing was truncated; or the database is open again */
    RESTORE_TAIL_FOUND, /* it is at the path: ship it, in whatever state the database is by now */
    RESTORE_TAIL_FOUND_GONE, /* the database is as a tail leaves it, and there is no file: that is said loudly */
    RESTORE_TAIL_STATE_COUNT,
};
/* Waits (evict_ms) for a BACKUP LOG of the earlier session that may still be running; ERR_BUSY when it runs longer. ERR_PERMISSION when
 * the login cannot see whether it runs, and it would matter. */
int restore_tail_find(struct sql_session *session, const struct restore_tail_request *request, const struct sql_server *server,
                      enum restore_tail_state *ret_state, struct err *err) ERR_CHECK;
/* Opens the database to others again after a take or an eviction that came to nothing. `access` is what sys.databases.user_access
 * was before. Nothing to do (not ONLINE, not there) is success. */
int restore_tail_undo(struct sql_session *session, const char *database, int access, struct err *err) ERR_CHECK;

/* Reads the file back and fills the manifest. `info`: options of the database before it was RESTORING. */
struct restore_tail_facts {
    const char *restore_id;
    const char *database;
    const char *folder;
    const char *run_id;
    const char *server_path;
    const char *local_path;
    const struct restore_target *target;
    const struct sql_database *info;
    const char *program_version;
};
int restore_tail_inspect(struct sql_session *session, const struct restore_tail_facts *facts, struct restore_tail *ret_tail,
                         struct err *err) ERR_CHECK;

/* Ships it straight into a store: for those who have no job pipeline. Repeating it is harmless. Incarnation and sequence
 * are those of the newest manifest in `newest` (NULL: none). */
int restore_tail_commit(struct store *store, const char *scope, const struct manifest *newest, const struct restore_tail *tail,
                        struct err *err) ERR_CHECK;

#endif
