/* SPDX-License-Identifier: Apache-2.0 */
/* A table on the terminal. Columns are as wide as they must be; where the line is too long, those that may shrink do. */
#ifndef MSSQL_CLI_TABLE_H
#define MSSQL_CLI_TABLE_H

#include "cli/out.h"

struct cli_column {
    const char *title;
    size_t shrink_to; /* columns that it needs at least; 0: it never shrinks */
    bool right; /* numbers */
};

struct cli_table;

/* `columns` must live as long as the table. */
struct cli_table *table_new(const struct cli *cli, const struct cli_column *columns, size_t count);
/* The next cell, from left to right; an empty text is shown as "-". */
void table_cell(struct cli_table *table, enum cli_color color, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Prints and frees. A row that is not full is printed as far as it goes. */
void table_print(struct cli_table *table);

#endif
