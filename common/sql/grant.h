/* SPDX-License-Identifier: Apache-2.0 */
/* The least-privilege login: making it, repairing it, and saying what it lacks. Needs a session of an administrator. */
#ifndef MSSQL_SQL_GRANT_H
#define MSSQL_SQL_GRANT_H

#include "common/base/buf.h"
#include "common/sql/database.h"
#include "common/sql/session.h"

struct sql_grant_result {
    unsigned granted; /* databases in which something was done */
    unsigned failed;
    struct err first; /* the first failure */
};

/* Makes the login when it is missing, sets its password and grants its rights on the server. Repeating it is harmless. 'sa' is
 * refused. The password is in the statement: over a network the connection must be encrypted. */
int sql_grant_login(struct sql_session *admin, const char *login, const struct secret *password, struct err *err) ERR_CHECK;
/* A user for the login in one database, member of db_backupoperator; an orphaned user of that name (a restored database) is
 * mapped to the login again. In msdb also the history rights. */
int sql_grant_database(struct sql_session *admin, const char *login, const char *database, struct err *err) ERR_CHECK;
/* Every writable online database incl. master, model and msdb; goes on after a failure, unless the connection is lost. */
int sql_grant_all(struct sql_session *admin, const char *login, const struct sql_database_list *databases,
                  struct sql_grant_result *ret_result, struct err *err) ERR_CHECK;
/* The statements of sql_grant_database() as text for a person to run ("USE [db]; CREATE USER ..."). */
int sql_grant_text(const char *login, const char *database, struct buf *out, struct err *err) ERR_CHECK;

#endif
