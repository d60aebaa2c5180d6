/* SPDX-License-Identifier: Apache-2.0 */
/* The world of a restore in this process, for `restore --store` and `verify --restore`: both take the same options. */
#ifndef MSSQL_CLI_SURROUNDINGS_H
#define MSSQL_CLI_SURROUNDINGS_H

#include "cli/cli.h"
#include "cli/restore.h"
#include "common/base/secret.h"
#include "common/net/address.h"
#include "common/restore/restore.h"
#include "common/store/name.h"
#include "common/store/store.h"

struct surroundings {
    struct cli *cli;
    struct store *store; /* read only */
    struct store *writable; /* for tails; NULL: none can be shipped */
    char scope[NAME_SCOPE_MAX];
    struct source *source;
    struct address server;
    struct sql_params sql;
    struct secret *password;
    char *staging_local, *staging_server;
    char *runtime; /* a directory of this run, for the driver */
    bool sql_up;
    struct restore_bars *bars;
    struct restore_env env;
};

enum surroundings_tails {
    SURROUNDINGS_SHIP_TAILS, /* into the store, when it can be written */
    SURROUNDINGS_PRETEND_TAILS, /* a dry run: as if */
    SURROUNDINGS_NO_TAILS, /* nothing in place is replaced */
};
/* --store, --scope, --server, --user, --password-file, --encrypt, --sql-ca, --staging, --staging-size, --state. From here on SIGINT and
 * SIGTERM end what runs in order. To be closed in each case. */
int surroundings_open(struct surroundings *s, struct cli *cli, enum surroundings_tails tails, struct err *err) ERR_CHECK;
void surroundings_close(struct surroundings *s);
/* The value of an option that must be there. */
int surroundings_required(const struct cli *cli, const char *name, const char **ret_value, struct err *err) ERR_CHECK;

#endif
