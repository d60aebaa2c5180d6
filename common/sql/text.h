/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of T-SQL. Names and values reach a statement through these and in no other way. They append to a buf; a value that
 * cannot be said in T-SQL (a NUL, invalid UTF-8, longer than the server takes) sets the buf's overflow, and sql_text_check()
 * says so before anything is sent.
 */
#ifndef MSSQL_SQL_TEXT_H
#define MSSQL_SQL_TEXT_H

#include "common/base/buf.h"
#include "common/base/err.h"

/* sysname: 128 UTF-16 units; UTF-8 needs at most three bytes for one of them. */
#define SQL_NAME_CHARS 128
#define SQL_NAME_MAX (SQL_NAME_CHARS * 3 + 1)
#define SQL_PATH_CHARS 259
#define SQL_PATH_MAX (SQL_PATH_CHARS * 3 + 1)
#define SQL_TEXT_MAX (256 * 1024)

/* [name] with ] doubled; at most 128 characters. */
void sql_quote_name(struct buf *out, const char *name);
/* N'text' with ' doubled. */
void sql_quote_text(struct buf *out, const char *text);
/* As sql_quote_text, refused beyond `chars` UTF-16 units. */
void sql_quote_text_max(struct buf *out, const char *text, size_t chars);
/* Number of UTF-16 units, or -1 when it is not valid UTF-8. */
long sql_text_units(const char *text);
/* ERR_USAGE when a piece did not fit or was not valid; `what` names the statement. */
int sql_text_check(const struct buf *text, const char *what, struct err *err) ERR_CHECK;

#endif
