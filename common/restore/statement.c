/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/statement.h"

#include "common/sql/text.h"

#define STATS_PERCENT 2 /* a sign of life at every so many percent */

static void put_devices(struct buf *out, const struct restore_devices *d) {
    buf_puts(out, " FROM ");
    for (size_t i = 0; i < d->count; i++) {
        buf_puts(out, i ? ", DISK = " : "DISK = ");
        sql_quote_text_max(out, d->paths[i], SQL_PATH_CHARS);
    }
    buf_printf(out, " WITH FILE = %u, NORECOVERY%s, STATS = %d", d->position ? d->position : 1, d->checksum ? ", CHECKSUM" : "",
               STATS_PERCENT);
}

static void put_moves(struct buf *out, const struct restore_move *moves, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, ", MOVE ");
        sql_quote_text_max(out, moves[i].logical, SQL_NAME_CHARS);
        buf_puts(out, " TO ");
        sql_quote_text_max(out, moves[i].physical, SQL_PATH_CHARS);
    }
}

int restore_text_data(const struct restore_data_text *spec, struct buf *out, struct err *err) {
    buf_puts(out, "RESTORE DATABASE ");
    sql_quote_name(out, spec->database);
    put_devices(out, &spec->devices);
    put_moves(out, spec->moves, spec->move_count);
    if (spec->replace)
        buf_puts(out, ", REPLACE");
    return sql_text_check(out, "RESTORE DATABASE", err);
}

int restore_text_log(const struct restore_log_text *spec, struct buf *out, struct err *err) {
    buf_puts(out, "RESTORE LOG ");
    sql_quote_name(out, spec->database);
    put_devices(out, &spec->devices);
    put_moves(out, spec->moves, spec->move_count);
    if (spec->stop && *spec->stop)
        buf_printf(out, ", %s", spec->stop);
    return sql_text_check(out, "RESTORE LOG", err);
}

int restore_text_end(const struct restore_end_text *spec, struct buf *out, struct err *err) {
    buf_puts(out, "RESTORE DATABASE ");
    sql_quote_name(out, spec->database);
    if (spec->standby) {
        buf_puts(out, " WITH STANDBY = ");
        sql_quote_text_max(out, spec->standby, SQL_PATH_CHARS);
    } else {
        buf_printf(out, " WITH RECOVERY%s%s", spec->keep_cdc ? ", KEEP_CDC" : "",
                   spec->keep_replication ? ", KEEP_REPLICATION" : "");
    }
    return sql_text_check(out, "RESTORE DATABASE", err);
}
