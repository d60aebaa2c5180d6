/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/after.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/after_int.h"
#include "common/restore/ask.h"
#include "common/sql/text.h"

#define RECOVERING_MS 60000

void restore_lines_add(struct restore_lines *lines, const char *fmt, ...) {
    char *line = NULL;
    va_list ap;
    va_start(ap, fmt);
    if (vasprintf(&line, fmt, ap) < 0)
        line = NULL;
    va_end(ap);
    lines->items = mem_grow(lines->items, &lines->cap, lines->count + 1, sizeof(*lines->items));
    lines->items[lines->count++] = mem_strdup(line ? line : "");
    free(line);
}

void restore_lines_done(struct restore_lines *lines) {
    for (size_t i = 0; i < lines->count; i++)
        mem_free(lines->items[i]);
    mem_free(lines->items);
    *lines = (struct restore_lines){0};
}

void restore_after_done(struct restore_after *after) {
    restore_lines_done(&after->warnings);
    restore_lines_done(&after->next);
}

/* --- the state ------------------------------------------------------------------------------------------------- */

struct look {
    bool found;
    int state, access;
    char state_text[32];
    bool standby;
    struct after_options options;
    struct restore_after *after;
};

static int look_row(void *user, const struct sql_row *row, struct err *err) {
    struct look *l = user;
    if (!sql_row_int(row, "state", &l->state))
        return err_set(err, ERR_PROTOCOL, "sys.databases: row is not complete");
    l->found = true;
    l->standby = sql_row_bool(row, "is_in_standby");
    sql_row_int(row, "user_access", &l->access);
    sql_row_copy(row, "state_desc", l->state_text, sizeof(l->state_text));
    sql_row_copy(row, "owner_name", l->after->owner, sizeof(l->after->owner));
    l->options = (struct after_options){.trustworthy = sql_row_bool(row, "is_trustworthy_on"),
                                        .broker = sql_row_bool(row, "is_broker_enabled"),
                                        .db_chaining = sql_row_bool(row, "is_db_chaining_on"),
                                        .honor_broker_priority = sql_row_bool(row, "is_honor_broker_priority_on"),
                                        .cdc = sql_row_bool(row, "is_cdc_enabled"),
                                        .published = sql_row_bool(row, "is_published") || sql_row_bool(row, "is_merge_published"),
                                        .subscribed = sql_row_bool(row, "is_subscribed")};
    sql_row_guid(row, "database_guid", &l->after->database_guid);
    sql_row_guid(row, "family_guid", &l->after->family_guid);
    sql_row_guid(row, "recovery_fork_guid", &l->after->recovery_fork);
    return 0;
}

static int look(struct sql_session *session, const char *database, struct look *l, struct err *err) {
    struct buf text;
    l->found = false;
    buf_init(&text, 8192);
    buf_puts(&text,
             "SELECT d.state, d.state_desc, d.is_in_standby, d.user_access, SUSER_SNAME(d.owner_sid) AS owner_name, "
             "d.is_trustworthy_on, d.is_broker_enabled, d.is_db_chaining_on, d.is_honor_broker_priority_on, d.is_cdc_enabled, "
             "d.is_published, d.is_merge_published, d.is_subscribed, r.database_guid, r.family_guid, r.recovery_fork_guid "
             "FROM sys.databases AS d LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id "
             "WHERE d.name = ");
    sql_quote_text(&text, database);
    int rc = sql_text_check(&text, "state of the database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, look_row, l, err);
    buf_done(&text);
    return rc;
}

/* A database that was just recovered may need a moment. */
static int look_settled(struct sql_session *session, const char *database, struct look *l, struct err *err) {
    static const struct timespec pause = {.tv_nsec = 100 * 1000000};
    int64_t until = clock_mono_us() + RECOVERING_MS * INT64_C(1000);
    for (;;) {
        if (look(session, database, l, err) < 0)
            return -1;
        if (!l->found || l->state != SQL_DB_RECOVERING || clock_mono_us() >= until)
            return 0;
        nanosleep(&pause, NULL);
    }
}

static int check_state(const struct restore_after_request *r, struct look *l, struct err *err) {
    struct restore_after *after = l->after;
    str_copy(after->state, sizeof(after->state), !l->found ? "absent" : l->standby ? "STANDBY" : l->state_text);
    const char *wanted = r->standby ? "STANDBY" : r->recovered ? "ONLINE" : "RESTORING";
    if (!strcmp(after->state, wanted))
        return 0;
    if (l->found && l->state == SQL_DB_RESTORING) {
        struct buf name;
        buf_init(&name, 2048);
        sql_quote_name(&name, r->database);
        restore_lines_add(&after->next, "RESTORE DATABASE %s WITH RECOVERY; -- opens it as far as it was restored", name.data);
        buf_done(&name);
    }
    return err_set(err, ERR_STATE, "database '%s' is %s, it should be %s", r->database, after->state, wanted);
}

/* --- the whole ------------------------------------------------------------------------------------------------- */

static int open_to_all(struct after_work *w, int access, struct err *err) {
    if (access == 0)
        return 0;
    if (w->request->evicted && access == 1)
        return after_do(w, "SET MULTI_USER WITH ROLLBACK IMMEDIATE", "it is in single-user mode", true, err);
    restore_lines_add(&w->after->warnings, "database '%s' is in %s mode, as it was when it was backed up", w->request->database,
                      access == 1 ? "single-user" : "restricted-user");
    return 0;
}

int restore_after_run(struct sql_session *session, const struct restore_after_request *request, struct restore_after *ret_after,
                      struct err *err) {
    *ret_after = (struct restore_after){0};
    struct look l = {.after = ret_after};
    struct after_work w = {.session = session, .request = request, .after = ret_after};
    int rc = look_settled(session, request->database, &l, err);
    if (rc == 0)
        rc = check_state(request, &l, err);
    if (rc == 0 && l.state == SQL_DB_ONLINE && !l.standby) {
        rc = open_to_all(&w, l.access, err);
        if (rc == 0)
            rc = after_options(&w, &l.options, err);
        if (rc == 0)
            rc = after_orphans(&w, err);
        if (rc == 0 && request->check)
            rc = after_check(&w, err);
    }
    return rc < 0 ? err_context(err, "after the restore of '%s'", request->database) : 0;
}
