/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_CLI_COMMANDS_H
#define MSSQL_CLI_COMMANDS_H

#include "cli/cli.h"

extern const struct cli_set cli_set;

/* One file each. */
int cmd_status(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_chain(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_backups(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_backup_now(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_hold(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_hold_release(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_pause(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_resume(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_plan(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_windows(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_export(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_inspect(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_restore(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_restores(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_restores_cancel(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_restores_resume(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_restores_keep(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_steps(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_verify(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_preflight(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_version(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_help(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_completion(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_complete(struct cli *cli, struct err *err) ERR_CHECK;
int cmd_reference(struct cli *cli, struct err *err) ERR_CHECK;

/* help.c: of one command, or of the program when it is NULL. */
void help_print(const struct cli *cli, const struct cli_command *command);

#endif
