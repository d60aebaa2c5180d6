/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_CLI_STATUS_H
#define MSSQL_CLI_STATUS_H

#include "cli/out.h"
#include "mssql/v1/sidecar.pb-c.h"

/* Names or patterns; count 0: all. */
int status_ask(struct cli *cli, char **databases, size_t count, Mssql__V1__Status **ret_status, struct err *err) ERR_CHECK;
/* "intact", "BROKEN: ForeignLog", "NO: ..." with its colour. */
enum cli_color status_word(const Mssql__V1__Database *d, char *dst, size_t dst_bytes);

/* status_database.c: everything about one, in lines. */
void status_print_database(const struct cli *cli, const Mssql__V1__Status *s, const Mssql__V1__Database *d);
/* Why it is not protected, what broke the chain, the newest hole, the last failure. The label is for the first line. */
bool status_has_notes(const Mssql__V1__Database *d);
void status_print_notes(const struct cli *cli, const Mssql__V1__Database *d, int64_t now, const char *label);

#endif
