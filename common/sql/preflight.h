/* SPDX-License-Identifier: Apache-2.0 */
/* Can this server be backed up with this login and this staging directory? A list of checks, each with what to do. */
#ifndef MSSQL_SQL_PREFLIGHT_H
#define MSSQL_SQL_PREFLIGHT_H

#include "common/sql/database.h"
#include "common/sql/server.h"

enum sql_check_result { SQL_CHECK_OK, SQL_CHECK_WARN, SQL_CHECK_FAIL, SQL_CHECK_RESULT_COUNT };

struct sql_check {
    const char *name; /* stable word */
    enum sql_check_result result;
    char *message; /* what was seen, and what to do when it is not OK */
};
struct sql_check_list {
    struct sql_check *items;
    size_t count;
};

struct sql_preflight {
    const struct sql_params *params;
    const char *staging_dir; /* same path here and in SQL Server's container; NULL: not checked */
    uint64_t staging_min_bytes; /* warn below this much free space; 0: 1 GiB */
    int64_t clock_warn_us; /* 0: 5 s */
    /* NULL: every database. The policy's choice otherwise. */
    bool (*wanted)(void *user, const struct sql_database *db);
    void *user;
};

/* Names, in order: login, encryption, version, rights, database_rights, history_rights, staging, staging_write, clock, space,
 * page_verify, auto_close, recovery_model, tde_certificates, trace_flag, availability_groups. After a failed login the rest is
 * left out. Never fails itself: what could not be asked is a check with its reason. The staging check writes a small file of a
 * unique name by SQL Server itself and deletes it. */
void sql_preflight_run(const struct sql_preflight *preflight, struct sql_check_list *ret_list);
/* The worst result in the list. */
enum sql_check_result sql_preflight_worst(const struct sql_check_list *list);
const char *sql_check_result_name(enum sql_check_result result);
void sql_checks_done(struct sql_check_list *list);

/* One part of it, also for use at run time: is a file that SQL Server writes in `dir` readable and removable by us? Takes a
 * copy-only backup of model, the smallest database there is. Class and hint of err say which side lacks what. */
int sql_staging_probe(struct sql_session *session, const char *dir, struct err *err) ERR_CHECK;

#endif
