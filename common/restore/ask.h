/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of this folder: questions that a login or a version may not be able to ask. */
#ifndef MSSQL_RESTORE_ASK_H
#define MSSQL_RESTORE_ASK_H

#include "common/sql/session.h"

/* As sql_query(); a question that cannot be asked (rights, version, state of a database) is success without rows, and
 * *ret_able (may be NULL) is false. Failures of the connection are failures. */
static inline int restore_ask(struct sql_session *session, const char *text, sql_row_fn row, void *user, bool *ret_able,
                              struct err *err) {
    struct err e;
    err_clear(&e);
    int rc = sql_query(session, text, NULL, row, user, &e);
    bool passes = e.class == ERR_PERMISSION || e.class == ERR_UNSUPPORTED || e.class == ERR_SQL || e.class == ERR_STATE ||
                  e.class == ERR_NOT_FOUND || e.class == ERR_IO;
    if (ret_able)
        *ret_able = rc == 0;
    if (rc == 0 || (passes && sql_session_alive(session)))
        return 0;
    err_copy(err, &e);
    return -1;
}

#endif
