/* SPDX-License-Identifier: Apache-2.0 */
/* Options, users and pages of a database that is back. */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/after_int.h"
#include "common/restore/ask.h"
#include "common/sql/message.h"
#include "common/sql/text.h"

/* --- statements that are run or left for a person --------------------------------------------------------------- */

static int do_or_leave(struct after_work *w, const struct buf *statement, const char *what, bool now, struct err *err) {
    static const struct sql_call call = {.timeout_s = 300};
    struct err why;
    err_clear(&why);
    if (statement->overflow) {
        restore_lines_add(&w->after->warnings, "%s, and a name in it cannot be said in T-SQL", what);
        return 0;
    }
    if (now && sql_exec(w->session, statement->data, &call, &why) == 0) {
        w->after->reapplied++;
        return 0;
    }
    if (now && !sql_session_alive(w->session)) {
        err_copy(err, &why);
        return -1;
    }
    w->after->reset++;
    if (now)
        restore_lines_add(&w->after->warnings, "%s, and that could not be changed: %s", what, why.text);
    else
        restore_lines_add(&w->after->warnings, "%s", what);
    restore_lines_add(&w->after->next, "%s;", statement->data);
    return 0;
}

int after_do(struct after_work *w, const char *clause, const char *what, bool now, struct err *err) {
    struct buf text;
    buf_init(&text, 8192);
    buf_puts(&text, "ALTER DATABASE ");
    sql_quote_name(&text, w->request->database);
    buf_printf(&text, " %s", clause);
    int rc = do_or_leave(w, &text, what, now, err);
    buf_done(&text);
    return rc;
}

/* --- options --------------------------------------------------------------------------------------------------- */

static int found_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    *(bool *)user = sql_row_bool(row, "found");
    return 0;
}

static int put_back_owner(struct after_work *w, const char *owner, struct err *err) {
    struct buf text;
    bool exists = false;
    if (!owner || !owner[0] || str_ieq(owner, w->after->owner))
        return 0;
    buf_init(&text, 8192);
    buf_puts(&text, "SELECT COUNT(*) AS found FROM sys.server_principals WHERE name = ");
    sql_quote_text(&text, owner);
    int rc = text.overflow ? 0 : restore_ask(w->session, text.data, found_row, &exists, NULL, err);
    if (rc == 0 && !exists) {
        restore_lines_add(&w->after->warnings, "its owner was '%s', which is no login of this instance; now it is '%s'", owner,
                          w->after->owner[0] ? w->after->owner : "unknown");
        w->after->reset++;
    } else if (rc == 0) {
        _cleanup_free_ char *what = mem_printf("its owner is '%s', it was '%s'", w->after->owner, owner);
        buf_reset(&text);
        buf_puts(&text, "ALTER AUTHORIZATION ON DATABASE::");
        sql_quote_name(&text, w->request->database);
        buf_puts(&text, " TO ");
        sql_quote_name(&text, owner);
        unsigned before = w->after->reapplied;
        rc = do_or_leave(w, &text, what, w->request->reapply, err);
        if (w->after->reapplied > before)
            str_copy(w->after->owner, sizeof(w->after->owner), owner);
    }
    buf_done(&text);
    return rc;
}

/* What no ALTER DATABASE brings back. */
static void say_lost(struct after_work *w, const struct after_options *is) {
    const struct manifest_options *was = &w->request->manifest->options;
    if (was->cdc_enabled && !is->cdc) {
        restore_lines_add(&w->after->warnings,
                          "change data capture was on and RESTORE removed it, with its tables: restore again and "
                          "keep it (KEEP_CDC), or enable it anew with sys.sp_cdc_enable_db");
        w->after->reset++;
    } else if (was->cdc_enabled) {
        struct buf name;
        buf_init(&name, 2048);
        sql_quote_name(&name, w->request->database);
        restore_lines_add(&w->after->warnings,
                          "change data capture was kept; its jobs live in msdb and are not part of the backup");
        restore_lines_add(&w->after->next, "USE %s; EXEC sys.sp_cdc_add_job N'capture'; EXEC sys.sp_cdc_add_job N'cleanup';",
                          name.data);
        buf_done(&name);
    }
    if ((was->is_published && !is->published) || (was->is_subscribed && !is->subscribed)) {
        restore_lines_add(&w->after->warnings, "it took part in replication and RESTORE removed that: restore again and keep it "
                                               "(KEEP_REPLICATION), or set it up anew");
        w->after->reset++;
    }
}

int after_options(struct after_work *w, const struct after_options *is, struct err *err) {
    if (!w->request->manifest)
        return 0;
    const struct manifest_options *was = &w->request->manifest->options;
    bool now = w->request->reapply;
    if (put_back_owner(w, was->owner, err) < 0)
        return -1;
    if (was->trustworthy && !is->trustworthy && after_do(w, "SET TRUSTWORTHY ON", "TRUSTWORTHY was on", now, err) < 0)
        return -1;
    if (was->db_chaining && !is->db_chaining && after_do(w, "SET DB_CHAINING ON", "DB_CHAINING was on", now, err) < 0)
        return -1;
    if (was->broker_enabled && !is->broker &&
        after_do(w, "SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE",
                 "Service Broker was on (a copy beside the original needs NEW_BROKER instead, which ends its conversations)", now,
                 err) < 0)
        return -1;
    if (was->honor_broker_priority && !is->honor_broker_priority &&
        after_do(w, "SET HONOR_BROKER_PRIORITY ON", "HONOR_BROKER_PRIORITY was on", now, err) < 0)
        return -1;
    say_lost(w, is);
    return 0;
}

/* --- users without a login -------------------------------------------------------------------------------------- */

static int orphan_row(void *user, const struct sql_row *row, struct err *err) {
    struct after_work *w = user;
    const char *name = sql_row_text(row, "name"), *sid = sql_row_text(row, "sid");
    struct buf text;
    (void)err;
    if (!name || w->after->orphans++ >= RESTORE_ORPHANS_MAX)
        return 0;
    buf_init(&text, 8192);
    if (sql_row_bool(row, "has_login")) {
        buf_puts(&text, "USE ");
        sql_quote_name(&text, w->request->database);
        buf_puts(&text, "; ALTER USER ");
        sql_quote_name(&text, name);
        buf_puts(&text, " WITH LOGIN = ");
        sql_quote_name(&text, name);
        buf_putc(&text, ';');
    } else {
        buf_puts(&text, "CREATE LOGIN ");
        sql_quote_name(&text, name);
        buf_printf(&text, " WITH PASSWORD = N'<choose one>', SID = 0x%s;", sid ? sid : "");
    }
    if (!text.overflow)
        restore_lines_add(&w->after->next, "%s", text.data);
    buf_done(&text);
    return 0;
}

int after_orphans(struct after_work *w, struct err *err) {
    struct buf text;
    bool able = false;
    buf_init(&text, 8192);
    /* Users of a login only: those without, and contained ones, have their own kind of authentication. */
    buf_puts(&text,
             "SELECT p.name, p.sid, (SELECT COUNT(*) FROM sys.server_principals AS s WHERE s.name = p.name AND s.type = 'S') "
             "AS has_login FROM ");
    sql_quote_name(&text, w->request->database);
    buf_puts(&text, ".sys.database_principals AS p LEFT JOIN sys.server_principals AS l ON l.sid = p.sid "
                    "WHERE p.type = 'S' AND p.authentication_type = 1 AND p.principal_id > 4 AND l.sid IS NULL ORDER BY p.name");
    int rc = sql_text_check(&text, "users of the database", err);
    if (rc == 0)
        rc = restore_ask(w->session, text.data, orphan_row, w, &able, err);
    buf_done(&text);
    if (rc == 0 && !able)
        restore_lines_add(&w->after->warnings, "the login may not see the users of '%s': whether they have logins is not known",
                          w->request->database);
    if (rc == 0 && w->after->orphans)
        restore_lines_add(&w->after->warnings, "%u user%s of '%s' %s no login here: see the statements", w->after->orphans,
                          w->after->orphans == 1 ? "" : "s", w->request->database, w->after->orphans == 1 ? "has" : "have");
    return rc;
}

/* --- DBCC ------------------------------------------------------------------------------------------------------- */

/* Reports of damage, as opposed to reasons why DBCC could not run: some of these have numbers in between. */
static bool is_damage(int number) {
    static const int refusals[] = {
        2520, /* no such database */
        2557, 2559, 2571, 7983, /* no right */
        2560, 2583, 2587, /* an option or parameter that this version does not take */
        7919, /* a repair that needs single-user mode */
    };
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (number == refusals[i])
            return false;
    return (number >= 8900 && number <= 8999) || (number >= 2508 && number <= 2593) || (number >= 5228 && number <= 5275) ||
           (number >= 7900 && number <= 7999) || number == 823 || number == 824;
}

int after_check(struct after_work *w, struct err *err) {
    static const struct sql_call forever = {.timeout_s = SQL_TIMEOUT_NONE};
    struct sql_messages messages = {0};
    const struct sql_message *damage = NULL;
    struct buf text;
    struct err why;
    unsigned count = 0;
    err_clear(&why);
    buf_init(&text, 8192);
    buf_puts(&text, "DBCC CHECKDB(");
    sql_quote_text(&text, w->request->database);
    buf_puts(&text, ") WITH NO_INFOMSGS, ALL_ERRORMSGS");
    int rc = sql_text_check(&text, "DBCC CHECKDB", err);
    if (rc == 0 &&
        sql_run(w->session, text.data, w->request->call ? w->request->call : &forever, NULL, NULL, &messages, &why) == 0)
        w->after->checked = true;
    for (size_t i = 0; i < messages.count; i++) {
        if (messages.items[i].severity <= 10 || !is_damage(messages.items[i].number))
            continue;
        damage = damage ? damage : &messages.items[i];
        count++;
    }
    if (rc == 0 && damage) {
        w->after->checked = w->after->corrupt = true;
        w->after->check_errors = count;
        rc = err_sql(err, ERR_CORRUPT, damage->number, damage->severity, "DBCC CHECKDB found %u error%s, the first: %s", count,
                     count == 1 ? "" : "s", damage->text);
    } else if (rc == 0 && !w->after->checked) {
        if (!sql_session_alive(w->session) || why.class == ERR_CANCELLED) {
            err_copy(err, &why);
            rc = -1;
        } else {
            err_copy(&w->after->unchecked, &why);
            restore_lines_add(&w->after->warnings, "DBCC CHECKDB could not run: %s", why.text);
        }
    }
    sql_messages_done(&messages);
    buf_done(&text);
    return rc;
}
