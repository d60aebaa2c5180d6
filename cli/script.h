/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A plan as T-SQL that restores with SQL Server alone: one batch for sqlcmd or any other client. Pure.
 *
 * It stops at the first error and leaves the database RESTORING. It replaces nothing: a database of that name that is not RESTORING
 * ends it before the first statement. The log that is needed only when the moment was not reached stands in a block of its own: the one
 * before it is restored WITH RECOVERY, which SQL Server does only when the moment was reached (4322 leaves the database RESTORING).
 */
#ifndef MSSQL_CLI_SCRIPT_H
#define MSSQL_CLI_SCRIPT_H

#include "common/base/buf.h"
#include "common/base/err.h"
#include "common/chain/plan.h"

#define SCRIPT_BYTES_MAX (64u << 20)

/* A file of the database that a set brings. */
struct script_move {
    const char *logical;
    char type; /* D, L, S, F */
    unsigned id; /* makes its name unique; 1 is the primary file */
    const char *physical; /* where it goes; NULL: into the server's own folders */
};

struct script_member {
    const struct chain_member *member;
    const struct backup *set;
    const char *const *paths; /* one per stripe */
    size_t path_count;
    const struct script_move *moves; /* files that no set before had */
    size_t move_count;
};

struct script {
    const char *program; /* who wrote it, with its version */
    const char *from; /* where the backups are, for people */
    const char *database; /* name to restore under */
    const char *target; /* for people */
    const char *folder; /* of the files, as SQL Server sees it; NULL: paths are whole */
    const char *const *notes; /* more lines for people */
    size_t note_count;
    const struct chain_plan *plan;
    const struct script_member *members;
    size_t count; /* of plan->members */
};

/* ERR_USAGE when a name cannot be said in T-SQL. */
int script_write(const struct script *script, struct buf *out, struct err *err) ERR_CHECK;

#endif
