/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Restores through a sidecar:
 *
 *     restore_remote.c         the command: options to request, the stream
 *     restore_remote_print.c   what the sidecar answers, in the words of restore_print.c
 *     plan_remote.c            the dry run alone
 *     restores.c               those of the sidecar: list, cancel, keep
 */
#ifndef MSSQL_CLI_RESTORE_REMOTE_H
#define MSSQL_CLI_RESTORE_REMOTE_H

#include <jansson.h>

#include "cli/cli.h"
#include "mssql/v1/sidecar.pb-c.h"

/* The dry run: asks, prints, and gives the refusal as an error. */
int restore_remote_plan(struct cli *cli, const Mssql__V1__RestoreSpec *spec, struct err *err) ERR_CHECK;

/* The document that a restore from a store prints, too. error_class and message: of the whole. */
json_t *restore_remote_json(const char *id, bool dry_run, int64_t started_at, int64_t finished_at, const char *error_class,
                            const char *message, Mssql__V1__RestoreResult *const *results, size_t result_count,
                            Mssql__V1__Check *const *checks, size_t check_count);
void restore_remote_print_result(const struct cli *cli, const Mssql__V1__RestoreResult *result);
/* all: also those that passed. */
void restore_remote_print_checks(const struct cli *cli, Mssql__V1__Check *const *checks, size_t count, bool all);

#endif
