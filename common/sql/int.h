/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of this folder. */
#ifndef MSSQL_SQL_INT_H
#define MSSQL_SQL_INT_H

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/session.h"
#include "common/sql/text.h"

/* Is this failure one of rights, version or state, that leaves only this question unanswered? Those of the connection do
 * not. */
static inline bool sql_is_degraded(const struct err *err) {
    return err->class == ERR_PERMISSION || err->class == ERR_UNSUPPORTED || err->class == ERR_SQL || err->class == ERR_STATE ||
           err->class == ERR_NOT_FOUND;
}

/* As sql_query(); a question that this login or version cannot ask succeeds without rows. */
static inline int sql_query_if_able(struct sql_session *session, const char *text, sql_row_fn row, void *user, struct err *err) {
    struct err e;
    err_clear(&e);
    if (sql_query(session, text, NULL, row, user, &e) == 0 || (sql_is_degraded(&e) && sql_session_alive(session)))
        return 0;
    err_copy(err, &e);
    return -1;
}

/* Seconds east of UTC from time_zone of msdb and TimeZone of HEADERONLY (quarter hours, 127 = unknown). */
bool sql_zone_offset(const struct sql_row *row, const char *name, int32_t *ret_offset_s);

/* The flags of struct backup from columns that msdb and HEADERONLY name alike but for case and underscores. */
struct sql_flag_names {
    const char *copy_only, *bulk_logged, *damaged, *checksums, *begins_log_chain, *snapshot, *read_only, *bits;
};
uint32_t sql_backup_flags(const struct sql_row *row, const struct sql_flag_names *names);

#endif
