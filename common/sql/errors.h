/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What to do about an error number of SQL Server. One table: number -> reaction, class, hint. Numbers decide, never the text,
 * which follows the login's language.
 */
#ifndef MSSQL_SQL_ERRORS_H
#define MSSQL_SQL_ERRORS_H

#include "common/base/err.h"
#include "common/sql/message.h"

enum sql_reaction {
    SQL_FAIL, /* nothing is known about it: report */
    SQL_INFO, /* not an error */
    SQL_FOLLOW_UP, /* comes after the cause and says nothing new */
    SQL_RETRY, /* the same statement, after a pause */
    SQL_WAIT, /* for the state of the database or the server, then the same */
    SQL_CHAIN, /* the chain needs a full or differential */
    SQL_CONFIG, /* an operator must change something */
    SQL_PERMISSION, /* a right is missing */
    SQL_MEDIA, /* data or backup media are damaged */
    SQL_SKIP, /* not possible for this database as it is */
    SQL_CALLER, /* a statement that should not have been sent */
    SQL_PLAN, /* the restore planner decides */
    SQL_REACTION_COUNT,
};

struct sql_error_row {
    int number;
    enum sql_reaction reaction;
    enum err_class class;
    const char *hint; /* NULL: none */
};

/* Never NULL: unknown numbers get {number, SQL_FAIL, ERR_SQL, NULL}, with number 0. */
const struct sql_error_row *sql_error_find(int number);
const char *sql_reaction_name(enum sql_reaction reaction);
/* For tests and documentation: the whole table, ordered by number. */
const struct sql_error_row *sql_error_table(size_t *ret_count);

/* What to do about an error that came from here: the number's reaction, or for an error without number the one that its class
 * suggests (connect, timeout, busy: retry; state: wait). */
enum sql_reaction sql_err_reaction(const struct err *err);

/* The "Operating system error N" inside 3201, 3202, 3271, 5133, ...: N, or -1 when there is none. */
int sql_os_error(const char *text);
/* Fills err from a message: class and hint of the number, refined by the operating system error in it. Always -1. */
int sql_error_set(struct err *err, const struct sql_message *message);

#endif
