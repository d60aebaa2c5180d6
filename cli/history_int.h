/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that make a history. */
#ifndef MSSQL_CLI_HISTORY_INT_H
#define MSSQL_CLI_HISTORY_INT_H

#include "cli/history.h"

/* Sets are put into databases: sets, details and files are brought into their order. */
void history_group(struct history *history);
/* Before grouping: a column that one row has is a column of all, for some writers leave NULLs out. */
void history_share_columns(struct history *history);
/* After grouping: differentials get the GUID of their base, and sets of a volume that went back another incarnation. */
void history_link_bases(struct history *history);
void history_find_reverts(struct history *history);

#endif
