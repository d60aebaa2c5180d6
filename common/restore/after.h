/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is to be done when a database is back: is it really ONLINE, which options did RESTORE reset, which users lost their
 * login, what is its new identity. Nothing here is needed for the data to be there, so what fails becomes a warning.
 */
#ifndef MSSQL_RESTORE_AFTER_H
#define MSSQL_RESTORE_AFTER_H

#include "common/restore/target.h"
#include "common/store/manifest.h"

#define RESTORE_ORPHANS_MAX 1000

struct restore_after_request {
    const char *database;
    const struct manifest *manifest; /* of the newest data backup: the options as they were */
    bool reapply; /* put the options back; else they are only listed */
    bool recovered; /* it is to be ONLINE; else RESTORING or STANDBY is as asked */
    bool standby;
    bool keep_cdc, keep_replication; /* RESTORE was told so */
    bool evicted; /* it was made SINGLE_USER for this restore: opened to all again */
    bool check; /* DBCC CHECKDB */
    const struct sql_call *call; /* for DBCC; may be NULL */
};

/* Heap strings. */
struct restore_lines {
    char **items;
    size_t count, cap;
};
void restore_lines_add(struct restore_lines *lines, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void restore_lines_done(struct restore_lines *lines);

struct restore_after {
    char state[32]; /* "ONLINE", "RESTORING", "STANDBY", ..., "absent" */
    struct guid recovery_fork, database_guid, family_guid; /* zero while not ONLINE */
    char owner[SQL_NAME_MAX];
    unsigned orphans; /* users without a login */
    unsigned reset; /* options that differ from the manifest and were not put back */
    unsigned reapplied;
    bool checked; /* CHECKDB ran */
    bool corrupt; /* and found something */
    unsigned check_errors; /* so many messages of damage */
    struct err unchecked; /* why it was asked for and could not run; ERR_NONE: it ran */
    struct restore_lines warnings; /* what somebody should know */
    struct restore_lines next; /* what to run, statement by statement */
};
void restore_after_done(struct restore_after *after);

/* ERR_STATE when the database is not in the state that was asked for; ERR_CORRUPT when CHECKDB found damage; other failures are
 * those of the connection. ret_after is filled in each case and to be done with restore_after_done(). */
int restore_after_run(struct sql_session *session, const struct restore_after_request *request, struct restore_after *ret_after,
                      struct err *err) ERR_CHECK;

#endif
