/* SPDX-License-Identifier: Apache-2.0 */
/* Intervals and holes on the terminal, as `chain` shows them. */
#ifndef MSSQL_CLI_CHAIN_H
#define MSSQL_CLI_CHAIN_H

#include "cli/out.h"
#include "mssql/v1/sidecar.pb-c.h"

/* In the order of time, a hole where it is. */
void chain_print_moments(const struct cli *cli, const Mssql__V1__Chain *m);

#endif
