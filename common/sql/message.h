/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a statement, in the order in which they came. */
#ifndef MSSQL_SQL_MESSAGE_H
#define MSSQL_SQL_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

/* A statement over hundreds of files says thousands of things; the first ones and the last one matter. */
#define SQL_MESSAGES_MAX 256

struct sql_message {
    int number;
    int severity; /* above 10 is an error */
    int state;
    int line;
    char *text; /* UTF-8 */
};

struct sql_messages {
    struct sql_message *items;
    size_t count;
    size_t dropped; /* informational ones that were not kept */
};

/* Copies. Progress (3211) and context changes (5701, 5703) are not kept; errors always are, up to the bound. */
void sql_messages_add(struct sql_messages *messages, const struct sql_message *message);
void sql_messages_done(struct sql_messages *messages);
/* First message with this number, or NULL. */
const struct sql_message *sql_messages_find(const struct sql_messages *messages, int number);
/* The cause of a failure: the first error that is not a mere follow-up (3013, 3119, 5069, ...); the first follow-up
 * when there is nothing else; NULL when no message is an error. */
const struct sql_message *sql_messages_cause(const struct sql_messages *messages);

#endif
