/* SPDX-License-Identifier: Apache-2.0 */
/* Where plans and windows get their backups from without a sidecar: a store, the catalog of a sidecar, or a history as JSON. */
#ifndef MSSQL_CLI_ORIGIN_H
#define MSSQL_CLI_ORIGIN_H

#include "cli/cli.h"
#include "cli/history.h"
#include "common/chain/history.h"
#include "common/restore/source.h"

struct origin {
    struct store *store; /* NULL: a history, or a catalog alone */
    char scope[NAME_SCOPE_MAX];
    struct source *source; /* NULL: a history */
    struct history history;
    struct source_list list; /* of a history too: its databases in its order, folder "<name>~<8 digits>" */
};

/* One database, loaded. */
struct origin_chain {
    const struct source_database *database;
    const struct backup *sets;
    size_t count;
    size_t first; /* place of sets[0] in the history's arrays */
    struct source_history loaded; /* from a source */
    struct chain_history order;
    struct chain_foreign *foreign;
    size_t foreign_count;
};

/* By --store, --catalog (with --store for what only manifests know) or --history. ERR_USAGE without any of them. Says on the error
 * stream what was left out or assumed. */
int origin_open(struct cli *cli, struct origin *ret_origin, struct err *err) ERR_CHECK;
void origin_done(struct origin *origin);
/* `what` for messages: "store file:///x", "catalog /y", "h.json". Static until the next call. */
const char *origin_name(struct cli *cli);

/* marks: named transactions too. Manifests that cannot be read are complained about (cli_fail_later) and left out. */
int origin_load(struct cli *cli, struct origin *origin, size_t index, bool marks, struct origin_chain *ret_chain,
                struct err *err) ERR_CHECK;
void origin_chain_done(struct origin_chain *chain);

/* Is it master, model, msdb or tempdb? */
bool origin_is_system(const char *database);

/* Text for people on the error stream: "mssqlctl: note: ...". */
void origin_note(const struct cli *cli, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
