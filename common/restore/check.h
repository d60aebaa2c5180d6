/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can be known to stand against a restore before a byte is fetched: version, edition, certificates, rights,
 * room, names. Pure: it says what it found, errors refuse. docs/guide lists the names.
 */
#ifndef MSSQL_RESTORE_CHECK_H
#define MSSQL_RESTORE_CHECK_H

#include "common/restore/place.h"
#include "common/restore/restore.h"
#include "common/restore/target.h"

/* One database. */
struct restore_check {
    const struct restore_target *target;
    const char *database; /* its name on the target */
    const struct target_db *there; /* a database of that name, NULL: none */
    bool ours; /* begun by this restore already */
    bool tail; /* its tail will be taken */
    bool reapply_options;
    bool standby;
    const struct manifest *manifest; /* of the plan's newest data backup */
    const struct restore_file *files;
    size_t file_count;
    const enum target_path *found; /* one per file: what is at its path; NULL: not asked */
};
/* "name", "version", "edition", "tde", "collation", "permission", "group", "snapshots", "files". */
void restore_check_database(const struct restore_check *check, struct restore_findings *findings);

/* Before anything is asked with RESTORE: a login that may not even read a backup. ERR_PERMISSION with the statement to run. */
int restore_check_login(const struct restore_target *target, struct err *err) ERR_CHECK;

/* Room for all databases of a restore together: "space" per volume, "staging". */
struct restore_check_space {
    const struct restore_target *target;
    const struct restore_file *const *files; /* per database */
    const size_t *file_counts;
    size_t database_count;
    const char *staging_server; /* as SQL Server sees it */
    uint64_t staging_bytes; /* what staged files take at the most */
    uint64_t staging_least; /* of these, what one restore cannot do without: the largest file */
    uint64_t staging_free; /* measured; UINT64_MAX unknown */
};
void restore_check_room(const struct restore_check_space *check, struct restore_findings *findings);

/* The first error as one; 0 when there is none. `total` errors are said. */
int restore_check_verdict(const struct restore_findings *findings, struct err *err) ERR_CHECK;
const char *restore_verdict_name(enum restore_verdict verdict); /* "ok", "unknown", "warning", "error" */

#endif
