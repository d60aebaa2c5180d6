/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which database this is. A name says nothing: a database can be dropped, made again, restored by somebody else or opened
 * and worked in while a restore plans and fetches. What a restore may do to a database it may do to the one that was judged,
 * as it was judged; so its identity is kept in the journal and compared inside the very batch that destroys something.
 */
#ifndef MSSQL_RESTORE_IDENTITY_H
#define MSSQL_RESTORE_IDENTITY_H

#include <jansson.h>

#include "common/base/buf.h"
#include "common/base/guid.h"
#include "common/chain/lsn.h"
#include "common/sql/session.h"

/* THROW of restore_identity_only_if(). */
#define RESTORE_CHANGED_NUMBER 51737

struct restore_identity {
    bool there; /* false: there is no database of the name; the rest is zero */
    int id;
    char created[40]; /* create_date as the server says it */
    int state; /* enum sql_db_state */
    bool standby;
    struct guid database_guid, family_guid, fork; /* zero: it is not open, or not to be seen */
    struct lsn redo_lsn; /* RESTORING, STANDBY: where it goes on; zero: nowhere, or not to be seen */
    struct guid redo_fork;
};

/* By name, as the server compares names. */
int restore_identity_read(struct sql_session *session, const char *database, struct restore_identity *ret_identity,
                          struct err *err) ERR_CHECK;
/* The same database? RESTORE DATABASE gives a database a new create_date, RESTORE LOG and WITH RECOVERY do not. */
bool restore_identity_is(const struct restore_identity *a, const struct restore_identity *b);
/* The same database and nothing happened to it but commits. */
bool restore_identity_same(const struct restore_identity *was, const struct restore_identity *now);

/*
 * "IF NOT EXISTS (...) THROW ...;" for the front of a batch: what follows is done only when `want` is what has the name.
 * With `whole` as restore_identity_same() compares, else as restore_identity_is(). want->there == false: nothing may be there.
 */
void restore_identity_only_if(const char *database, const struct restore_identity *want, bool whole, struct buf *out);
/* Was it that? */
bool restore_identity_thrown(const struct err *err);

/* json_decref() it. */
json_t *restore_identity_to_json(const struct restore_identity *identity);
bool restore_identity_from_json(const json_t *json, struct restore_identity *ret_identity);

#endif
