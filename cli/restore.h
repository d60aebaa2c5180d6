/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mssqlctl restore --store: the engine in this process, with nothing but the store, an instance and a directory that both see.
 *
 *     restore.c            the command: options to request
 *     surroundings.c       the store, the instance, staging; shared with verify --restore
 *     restore_tail.c       the tail of a database in place goes straight into the store
 *     restore_progress.c   bars, or lines where there is no terminal
 *     restore_print.c      the report
 */
#ifndef MSSQL_CLI_RESTORE_H
#define MSSQL_CLI_RESTORE_H

#include "cli/cli.h"
#include "common/restore/restore.h"
#include "common/restore/tail.h"
#include "common/store/store.h"

/* A restore through the sidecar of --address. */
int restore_remote(struct cli *cli, struct err *err) ERR_CHECK;

/* All that --acknowledge-data-loss gave, separated by commas; mem_free() it. */
char *restore_given_tokens(const struct cli *cli);

/* ---- restore_tail.c ---- */
int restore_ship_tail(struct store *store, const char *scope, const struct restore_tail *tail, struct err *err) ERR_CHECK;

/* ---- restore_progress.c ---- */
struct restore_bars;
struct restore_bars *restore_bars_new(const struct cli *cli);
void restore_bars_update(struct restore_bars *bars, const struct restore_progress *progress);
/* A line above the bars. */
void restore_bars_say(struct restore_bars *bars, const char *database, const char *text);
/* Takes the bars away. */
void restore_bars_free(struct restore_bars *bars);

/* ---- restore_print.c ---- */
void restore_print(const struct cli *cli, const struct restore_report *report);
/* The token over several databases; of one, its result says it. */
void restore_print_token(const struct cli *cli, const char *token, size_t databases);

#endif
