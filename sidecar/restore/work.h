/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the engine needs to work for this sidecar: a login that may restore, the store with its catalog, staging, and how
 * much of it. Filled on the loop, used by one worker, given back on the loop.
 */
#ifndef MSSQL_SIDECAR_RESTORE_WORK_H
#define MSSQL_SIDECAR_RESTORE_WORK_H

#include "common/restore/restore.h"
#include "sidecar/agent.h"

/* What only the sidecar knows of a chain: it is not in the catalog. */
struct work_extras {
    char folder[NAME_FOLDER_MAX];
    struct chain_hole *holes;
    size_t hole_count;
    int64_t quiet_until_at;
};

struct work_place {
    struct sql_params sql;
    struct secret *password;
    struct store *store; /* lent by the keeper */
    char *catalog_path; /* NULL: being made anew, the store alone is read */
    char scope[NAME_SCOPE_MAX];
    char *journal_dir; /* "" for a dry run */
    char *staging_local, *staging_server;
    uint64_t staging_bytes;
    struct work_extras *extras;
    size_t extras_count;
    struct source *source; /* the worker's */
};

/* Loop. ERR_STORE or ERR_CONNECT when store or server are not there. journal_dir may be NULL. */
int work_place_init(struct agent *agent, const char *journal_dir, struct work_place *ret_place, struct err *err) ERR_CHECK;
/* Loop; {0} is allowed. */
void work_place_done(struct agent *agent, struct work_place *place);
/* Worker: opens the source and fills what does not depend on the caller. */
int work_place_enter(struct work_place *place, struct restore_env *ret_env, struct err *err) ERR_CHECK;
void work_place_leave(struct work_place *place);

#endif
