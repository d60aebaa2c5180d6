/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: is what the store has any good?
 *
 *     verify.c           reads it again
 *     verify_restore.c   restores it for a trial, --restore
 *     verify_print.c     what is told of trials
 */
#ifndef MSSQL_CLI_VERIFY_H
#define MSSQL_CLI_VERIFY_H

#include "cli/cli.h"
#include "common/restore/trial.h"

int verify_restore(struct cli *cli, struct err *err) ERR_CHECK;

void verify_print_trial(const struct cli *cli, const struct trial_result *result);
json_t *verify_trial_json(const struct trial_result *result);

#endif
