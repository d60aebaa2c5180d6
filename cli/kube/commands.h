/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "kubectl mssql": the same program under the name kubectl-mssql. Its commands work on the custom resources of a cluster and
 * reach everything through kubectl; what only a sidecar knows is asked with "kubectl exec" of the mssqlctl next to it.
 */
#ifndef MSSQL_CLI_KUBE_COMMANDS_H
#define MSSQL_CLI_KUBE_COMMANDS_H

#include "cli/cli.h"

extern const struct cli_set kube_set;

/* One file each; those that hand on to the sidecar stand in through.c. */
int kube_status(struct cli *cli, struct err *err) ERR_CHECK;
int kube_backup(struct cli *cli, struct err *err) ERR_CHECK;
int kube_plan(struct cli *cli, struct err *err) ERR_CHECK;
int kube_restore(struct cli *cli, struct err *err) ERR_CHECK;
int kube_pause(struct cli *cli, struct err *err) ERR_CHECK;
int kube_resume(struct cli *cli, struct err *err) ERR_CHECK;
int kube_logs(struct cli *cli, struct err *err) ERR_CHECK;
int kube_report(struct cli *cli, struct err *err) ERR_CHECK;
int kube_version(struct cli *cli, struct err *err) ERR_CHECK;
int kube_through(struct cli *cli, struct err *err) ERR_CHECK; /* chain, backups, verify, hold, hold release, preflight */

#endif
