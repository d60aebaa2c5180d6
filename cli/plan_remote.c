/* SPDX-License-Identifier: Apache-2.0 */
/* plan through a sidecar: the dry run of a restore onto its own server. */
#include "cli/commands.h"
#include "cli/plan.h"
#include "cli/restore_remote.h"
#include "common/base/mem.h"

int plan_remote(struct cli *cli, struct err *err) {
    static const char *const others[] = {"--tsql",          "--as",   "--move",      "--server-dir", "--avoid",
                                         "--allow-damaged", "--rate", "--utc-offset"};
    Mssql__V1__RestoreSpec spec = MSSQL__V1__RESTORE_SPEC__INIT;
    Mssql__V1__RestoreWish wish = MSSQL__V1__RESTORE_WISH__INIT, *wishes[] = {&wish};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (cli_given(&cli->args, others[i])) {
            err_set(err, ERR_USAGE, "%s is for plans without a sidecar", others[i]);
            return err_hint(err, "Name the backups with --store, --catalog or --history");
        }
    spec.to = cli_value(&cli->args, "--to");
    if (cli_value(&cli->args, "--database")) {
        wish.database = cli_value(&cli->args, "--database");
        spec.databases = wishes;
        spec.n_databases = 1;
    }
    return restore_remote_plan(cli, &spec, err);
}
