/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/grant.h"

#include <string.h>

#include "common/sql/int.h"

static const char *const server_rights[] = {"VIEW SERVER STATE", "VIEW ANY DEFINITION", "CREATE ANY DATABASE",
                                            "CONNECT ANY DATABASE"};

static const char *const msdb_rights[] = {
    "SELECT ON dbo.backupset",
    "SELECT ON dbo.backupmediafamily",
    "SELECT ON dbo.backupmediaset",
    "SELECT ON dbo.backupfile",
    "SELECT ON dbo.restorehistory",
    "SELECT ON dbo.logmarkhistory",
    "EXECUTE ON dbo.sp_delete_backuphistory",
};

/* Runs text, which may hold a password: it is wiped. */
static int run_and_wipe(struct sql_session *admin, struct buf *text, const char *what, struct err *err) {
    int rc = sql_text_check(text, what, err);
    if (rc == 0)
        rc = sql_exec(admin, text->data, NULL, err);
    if (text->data)
        explicit_bzero(text->data, text->cap);
    buf_done(text);
    return rc < 0 ? err_context(err, "%s", what) : 0;
}

static int found_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    *(bool *)user = sql_row_bool(row, "found");
    return 0;
}

static int login_exists(struct sql_session *admin, const char *login, bool *ret_exists, struct err *err) {
    struct buf text;
    bool found = false;
    buf_init(&text, 4096);
    buf_puts(&text, "SELECT COUNT(*) AS found FROM sys.server_principals WHERE name = ");
    sql_quote_text_max(&text, login, SQL_NAME_CHARS);
    int rc = sql_text_check(&text, "name of the login", err);
    if (rc == 0)
        rc = sql_query(admin, text.data, NULL, found_row, &found, err);
    buf_done(&text);
    if (rc == 0)
        *ret_exists = found;
    return rc;
}

int sql_grant_login(struct sql_session *admin, const char *login, const struct secret *password, struct err *err) {
    bool exists = false;
    struct buf text;
    if (str_ieq(login, "sa"))
        return err_set(err, ERR_CONFIG, "'sa' cannot be the least-privilege login: its password would be changed");
    if (login_exists(admin, login, &exists, err) < 0)
        return err_context(err, "looking for login '%s'", login);
    /* Room for all of it before the password comes: a buf that grows would leave a copy behind. */
    static const char room[2048];
    buf_init(&text, 4096);
    buf_append(&text, room, sizeof(room));
    buf_reset(&text);
    buf_puts(&text, exists ? "ALTER LOGIN " : "CREATE LOGIN ");
    sql_quote_name(&text, login);
    buf_puts(&text, " WITH PASSWORD = ");
    sql_quote_text_max(&text, secret_text(password), 128);
    buf_puts(&text, exists ? ", DEFAULT_DATABASE = [master]" : ", CHECK_POLICY = ON, DEFAULT_DATABASE = [master]");
    if (run_and_wipe(admin, &text, exists ? "setting the password of the backup login" : "creating the backup login", err) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(server_rights); i++) {
        buf_init(&text, 4096);
        buf_printf(&text, "GRANT %s TO ", server_rights[i]);
        sql_quote_name(&text, login);
        if (run_and_wipe(admin, &text, "granting rights on the server", err) < 0)
            return -1;
    }
    return 0;
}

/* --- one database ---------------------------------------------------------------------------------------------- */

struct user_job {
    char user[SQL_NAME_MAX]; /* the user that is mapped to the login, "" none */
    bool orphan; /* there is a user of the login's name with another identity */
};

static int user_row(void *user, const struct sql_row *row, struct err *err) {
    struct user_job *job = user;
    (void)err;
    if (sql_row_bool(row, "mapped"))
        sql_row_copy(row, "name", job->user, sizeof(job->user));
    else
        job->orphan = true;
    return 0;
}

static int user_read(struct sql_session *admin, const char *login, const char *database, struct user_job *job, struct err *err) {
    struct buf text;
    buf_init(&text, 16384);
    buf_puts(&text, "SELECT p.name, CASE WHEN p.sid = SUSER_SID(");
    sql_quote_text(&text, login);
    buf_puts(&text, ") THEN 1 ELSE 0 END AS mapped FROM ");
    sql_quote_name(&text, database);
    buf_puts(&text, ".sys.database_principals AS p WHERE p.name = ");
    sql_quote_text(&text, login);
    buf_puts(&text, " OR p.sid = SUSER_SID(");
    sql_quote_text(&text, login);
    buf_puts(&text, ")");
    int rc = sql_text_check(&text, "users of the database", err);
    if (rc == 0)
        rc = sql_query(admin, text.data, NULL, user_row, job, err);
    buf_done(&text);
    return rc;
}

/* What has to be run in the database, current already. `user` is "" when it has to be made. */
static void database_text(const char *login, const char *user, bool orphan, bool msdb, struct buf *out) {
    if (!user[0]) {
        buf_puts(out, orphan ? "ALTER USER " : "CREATE USER ");
        sql_quote_name(out, login);
        buf_puts(out, orphan ? " WITH LOGIN = " : " FOR LOGIN ");
        sql_quote_name(out, login);
        buf_puts(out, "; ");
        user = login;
    }
    buf_puts(out, "ALTER ROLE [db_backupoperator] ADD MEMBER ");
    sql_quote_name(out, user);
    buf_puts(out, ";");
    for (size_t i = 0; msdb && i < ARRAY_LEN(msdb_rights); i++) {
        buf_printf(out, " GRANT %s TO ", msdb_rights[i]);
        sql_quote_name(out, user);
        buf_puts(out, ";");
    }
}

int sql_grant_database(struct sql_session *admin, const char *login, const char *database, struct err *err) {
    struct user_job job = {0};
    if (user_read(admin, login, database, &job, err) < 0)
        return err_context(err, "users of database '%s'", database);
    if (!strcmp(job.user, "dbo"))
        return 0; /* the owner may do everything */
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "USE ");
    sql_quote_name(&text, database);
    buf_puts(&text, "; ");
    database_text(login, job.user, job.orphan, str_ieq(database, "msdb"), &text);
    int rc = sql_text_check(&text, "grants in a database", err);
    if (rc == 0)
        rc = sql_exec(admin, text.data, NULL, err);
    buf_done(&text);
    /* Out of the database again, whatever happened: a session in it would be in the way of a restore. */
    struct err back;
    err_clear(&back);
    if (sql_session_alive(admin) && sql_exec(admin, "USE [master]", NULL, &back) < 0 && rc == 0) {
        err_copy(err, &back);
        rc = -1;
    }
    return rc < 0 ? err_context(err, "granting login '%s' into database '%s'", login, database) : 0;
}

int sql_grant_all(struct sql_session *admin, const char *login, const struct sql_database_list *databases,
                  struct sql_grant_result *ret_result, struct err *err) {
    struct sql_grant_result result = {0};
    for (size_t i = 0; i < databases->count; i++) {
        const struct sql_database *db = &databases->items[i];
        struct err e;
        err_clear(&e);
        if (db->state != SQL_DB_ONLINE || db->read_only || db->standby || db->snapshot)
            continue;
        if (sql_grant_database(admin, login, db->name, &e) == 0) {
            result.granted++;
            continue;
        }
        if (!result.failed++)
            err_copy(&result.first, &e);
        if (!sql_session_alive(admin)) {
            err_copy(err, &e);
            return -1;
        }
    }
    *ret_result = result;
    return 0;
}

int sql_grant_text(const char *login, const char *database, struct buf *out, struct err *err) {
    buf_puts(out, "USE ");
    sql_quote_name(out, database);
    buf_puts(out, "; ");
    database_text(login, "", false, str_ieq(database, "msdb"), out);
    return sql_text_check(out, "grants in a database", err);
}
