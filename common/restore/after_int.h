/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of after. */
#ifndef MSSQL_RESTORE_AFTER_INT_H
#define MSSQL_RESTORE_AFTER_INT_H

#include "common/restore/after.h"

struct after_work {
    struct sql_session *session;
    const struct restore_after_request *request;
    struct restore_after *after;
};

/* The options of the database as they are now. */
struct after_options {
    bool trustworthy, broker, db_chaining, honor_broker_priority, cdc, published, subscribed;
};

/* ALTER DATABASE <it> <clause>. When it is not to be done now, or fails, the statement and `what` are left for a person. */
int after_do(struct after_work *w, const char *clause, const char *what, bool now, struct err *err);
int after_options(struct after_work *w, const struct after_options *is, struct err *err);
int after_orphans(struct after_work *w, struct err *err);
int after_check(struct after_work *w, struct err *err); /* DBCC CHECKDB */

#endif
