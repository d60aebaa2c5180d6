/* SPDX-License-Identifier: Apache-2.0 */
/* The journal as JSON, for journal.c. */
#ifndef MSSQL_RESTORE_JOURNAL_INT_H
#define MSSQL_RESTORE_JOURNAL_INT_H

#include "common/restore/journal.h"

#define RESTORE_JOURNAL_FORMAT 1

json_t *restore_journal_to_json(const struct restore_journal *journal);
int restore_journal_from_json(const json_t *json, const char *path, struct restore_journal *ret_journal,
                              struct err *err) ERR_CHECK;

#endif
