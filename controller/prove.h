/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `helm test`: proves that backups of an instance are taken and can be restored, the way a user would find out.
 *
 *     mssql-controller --prove INSTANCE [--database NAME] [--timeout 15m] [--namespace NS] [--kubeconfig FILE]
 *
 * A copy-only full of one database through an MSSQLBackup, then a restore of its latest moment beside the original, under a name of
 * its own that goes by itself, through an MSSQLRestoreRequest. Schedule and chain are as before.
 */
#ifndef MSSQL_CONTROLLER_PROVE_H
#define MSSQL_CONTROLLER_PROVE_H

/* argv[1] is "--prove". Runs a loop of its own and gives the exit code. */
int prove_main(int argc, char **argv);

#endif
