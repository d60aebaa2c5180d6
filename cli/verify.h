/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: is what the store has any good?
 *
 *     verify.c           reads it again
 *     verify_restore.c   restores it for a trial, --restore; lets SQL Server read it, --verify-only
 *     verify_remote.c    a sidecar does it
 *     verify_print.c     what is told of trials
 */
#ifndef MSSQL_CLI_VERIFY_H
#define MSSQL_CLI_VERIFY_H

#include <jansson.h>

#include "cli/cli.h"
#include "common/restore/trial.h"

int verify_restore(struct cli *cli, struct err *err) ERR_CHECK;
int verify_remote(struct cli *cli, struct err *err) ERR_CHECK;
/* DATABASE:QUERY:ATLEAST; the query may have colons. The texts are the caller's. */
int verify_probe_read(const char *text, char **ret_database, char **ret_query, int64_t *ret_at_least, struct err *err) ERR_CHECK;

void verify_print_trial(const struct cli *cli, const struct trial_result *result);
void verify_print_sets(const struct cli *cli, const struct trial_sets *sets, const struct err *why);
json_t *verify_sets_json(const struct trial_sets *sets, const struct err *why);
json_t *verify_trial_json(const struct trial_result *result);

#endif
