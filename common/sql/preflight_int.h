/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of preflight. */
#ifndef MSSQL_SQL_PREFLIGHT_INT_H
#define MSSQL_SQL_PREFLIGHT_INT_H

#include "common/base/buf.h"
#include "common/sql/preflight.h"

struct preflight {
    const struct sql_preflight *in;
    struct sql_session *session;
    struct sql_server *server;
    struct sql_database_list databases;
    struct sql_check_list list;
    size_t cap;
};

void check_add(struct preflight *p, const char *name, enum sql_check_result result, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* The first twenty names, and how many there were. */
struct names {
    struct buf text;
    unsigned count;
};
static inline void names_init(struct names *n) {
    n->count = 0;
    buf_init(&n->text, 16384);
}
void names_add(struct names *n, const char *name);

void preflight_rights(struct preflight *p); /* rights, database_rights, history_rights */
void preflight_staging(struct preflight *p); /* staging, staging_write */
void preflight_space(struct preflight *p); /* space */
void preflight_certificates(struct preflight *p); /* tde_certificates */

#endif
