/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted SQL Server session: the statements that must come, in order, and what each one answers. A statement that is not
 * expected, or an expected one that never comes, fails the test.
 *
 *     struct fake_sql *sql = fake_sql_new();
 *     fake_sql_expect(sql, "FROM sys.databases");
 *     fake_sql_columns(sql, 2, "database_id", "name");
 *     fake_sql_row(sql, "5", "sales");
 *     ... call what is tested with fake_sql_session(sql) ...
 *     fake_sql_done(sql);
 */
#ifndef MSSQL_TEST_FAKE_SQL_H
#define MSSQL_TEST_FAKE_SQL_H

#include "common/sql/session.h"

struct fake_sql;

struct fake_sql *fake_sql_new(void);
struct sql_session *fake_sql_session(struct fake_sql *fake);
/* Frees, after checking that every expected statement came. The session is closed by it too. */
void fake_sql_done(struct fake_sql *fake);

/* The next statement contains this text. What follows belongs to it. */
void fake_sql_expect(struct fake_sql *fake, const char *part);
/* It also contains, or does not contain, this. */
void fake_sql_also(struct fake_sql *fake, const char *part);
void fake_sql_not(struct fake_sql *fake, const char *part);
/* Begins a result set. */
void fake_sql_columns(struct fake_sql *fake, unsigned count, ...);
/* As many values as columns; NULL is NULL. */
void fake_sql_row(struct fake_sql *fake, ...);
void fake_sql_message(struct fake_sql *fake, int number, int severity, const char *text);
/* It fails like this although no message says so: cancelled, timeout, lost connection. */
void fake_sql_fails(struct fake_sql *fake, enum err_class class, const char *text);
/* The connection is gone afterwards. */
void fake_sql_dies(struct fake_sql *fake);
/* The text of the n-th statement that came, from 0. */
const char *fake_sql_text(const struct fake_sql *fake, unsigned n);

#endif
