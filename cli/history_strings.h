/* SPDX-License-Identifier: Apache-2.0 */
/* Strings that live as long as their collection, each kept once: a million rows name few databases and servers. */
#ifndef MSSQL_CLI_HISTORY_STRINGS_H
#define MSSQL_CLI_HISTORY_STRINGS_H

struct history_strings;

struct history_strings *history_strings_new(void);
void history_strings_free(struct history_strings *strings); /* NULL is allowed */
const char *history_strings_keep(struct history_strings *strings, const char *text);

#endif
