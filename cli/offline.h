/* SPDX-License-Identifier: Apache-2.0 */
/* A store read without a sidecar. A manifest that cannot be read is told and left out; it decides the exit code at the end. */
#ifndef MSSQL_CLI_OFFLINE_H
#define MSSQL_CLI_OFFLINE_H

#include "cli/cli.h"
#include "common/chain/backup.h"
#include "common/chain/reason.h"
#include "common/store/name.h"
#include "common/store/store.h"
#include "mssql/v1/sidecar.pb-c.h"

struct offline_set {
    struct backup backup;
    char *run_id, *reason;
};

/* One folder of the store: one chain. Two of the same name are two databases. */
struct offline_database {
    char *name; /* the newest one */
    struct offline_set *sets; /* in the order of the store */
    size_t count;
    struct chain_hole *holes; /* as the sets behind them tell */
    size_t hole_count;
};

struct offline_list {
    struct offline_database *items;
    size_t count;
};

/* Of the scope of --scope, or the only one that there is. */
int offline_load(struct cli *cli, struct offline_list *ret_list, struct err *err) ERR_CHECK;
void offline_done(struct offline_list *list);
/* The scope of --scope, or the only one that the store has. ERR_USAGE names them when there are several. */
int offline_scope(struct cli *cli, struct store *store, char dst[NAME_SCOPE_MAX], struct err *err) ERR_CHECK;

#endif
