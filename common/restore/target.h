/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance that a restore goes to, as one look at it found it: version, directories, what databases and files are
 * there, room on its volumes, certificates, and what our login may do. Plain data for the pure parts (place.h, check.h,
 * guard.h); what a right or a version did not let us see is unknown and says so.
 */
#ifndef MSSQL_RESTORE_TARGET_H
#define MSSQL_RESTORE_TARGET_H

#include "common/chain/state.h"
#include "common/sql/database.h"
#include "common/sql/server.h"
#include "common/sql/session.h"

#define TARGET_THUMBPRINT_MAX 80

/* A file of any database there, tempdb's and those of databases that cannot be opened too. */
struct target_file {
    int database_id;
    struct sql_file file;
};

struct target_db {
    struct sql_database info;
    bool mine; /* our login owns it: it may restore over it without being dbcreator */
    bool has_snapshots; /* database snapshots of it exist: it cannot be restored over */
    struct lsn redo_start_lsn; /* where a RESTORING one goes on; zero: not RESTORING, or in the middle of a set */
    struct guid redo_start_fork;
    struct guid differential_base; /* of file 1: what a differential must build on */
    /* Filled by target_state_read() for a database that is about to be restored over. */
    bool state_known;
    struct chain_server_state state;
    struct guid first_fork; /* where its next log backup begins, when that is another fork than it ends on; else zero */
    struct lsn fork_point; /* between the two */
};

/* A directory that holds database files, and the volume below it. */
struct target_volume {
    char dir[SQL_PATH_MAX]; /* without trailing slash */
    char mount[SQL_PATH_MAX]; /* as the server calls it */
    uint64_t total_bytes;
    uint64_t free_bytes;
};

enum target_certificate {
    TARGET_CERTIFICATE_UNKNOWN,
    TARGET_CERTIFICATE_ABSENT,
    TARGET_CERTIFICATE_NO_KEY,
    TARGET_CERTIFICATE_GOOD
};
struct target_thumbprint {
    char hex[TARGET_THUMBPRINT_MAX]; /* upper case, without 0x */
    bool private_key;
};

/* What the server says of a name. */
struct target_name {
    char name[SQL_NAME_MAX];
    int database_id; /* 0: no such database */
};

struct restore_target {
    struct sql_server server;
    int database_version; /* the newest database that it can take (957 = 2022); 0 unknown */

    char login[SQL_NAME_MAX]; /* ours */
    bool sysadmin;
    bool dbcreator;
    bool create_any_database;
    bool alter_any_database;
    bool alter_any_connection; /* KILL */
    bool server_state; /* progress, free space */

    struct target_db *databases;
    size_t database_count;
    struct target_file *files;
    size_t file_count;
    bool volumes_known;
    struct target_volume *volumes; /* by dir */
    size_t volume_count;
    bool certificates_known;
    struct target_thumbprint *certificates;
    size_t certificate_count;
    struct target_name *names;
    size_t name_count;
};

/* Everything but state. Only a failing connection, or a server that does not even list its databases, is an error. */
int target_read(struct sql_session *session, struct restore_target *ret_target, struct err *err) ERR_CHECK;
/* What the chain logic wants of one database; opens it when it is closed. ERR_NOT_FOUND when it is not there any more. */
int target_state_read(struct sql_session *session, struct target_db *db, struct err *err) ERR_CHECK;
void target_done(struct restore_target *target); /* {0} is allowed */

/* Asks the server which database has this name: it compares by its collation and without regard to blanks at the end. */
int target_resolve(struct sql_session *session, struct restore_target *target, const char *name, struct err *err) ERR_CHECK;
/* Does the server take any two of these names for one? *ret_a and *ret_b are indexes of the first such pair. */
int target_names_differ(struct sql_session *session, const char *const *names, size_t count, bool *ret_differ, size_t *ret_a,
                        size_t *ret_b, struct err *err) ERR_CHECK;
/* NULL: no such database. A name that was resolved is what the server said; another one is compared without case, as most
 * servers do. */
struct target_db *target_find(const struct restore_target *target, const char *name);
/* Upper-case hex with or without 0x. */
enum target_certificate target_certificate_find(const struct restore_target *target, const char *thumbprint);
/* The volume below a path: that of its directory, of the nearest directory above it that is known, or of a mount point that
 * is a path. NULL: not known. */
const struct target_volume *target_volume_of(const struct restore_target *target, const char *path);
/* Are these one volume, as far as one can tell? */
bool target_volume_same(const struct target_volume *a, const struct target_volume *b);

/* What is at a path, asked of the server. */
enum target_path { TARGET_PATH_UNKNOWN, TARGET_PATH_NO_FOLDER, TARGET_PATH_FREE, TARGET_PATH_FILE, TARGET_PATH_FOLDER };
/* ret_found: one per path. All unknown when the login or the version cannot ask. */
int target_paths_read(struct sql_session *session, const char *const *paths, size_t count, enum target_path *ret_found,
                      struct err *err) ERR_CHECK;

#endif
