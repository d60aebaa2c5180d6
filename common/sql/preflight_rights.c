/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/sql/grant.h"
#include "common/sql/int.h"
#include "common/sql/preflight_int.h"

/* --- on the server --------------------------------------------------------------------------------------------- */

struct rights_job {
    int state, create;
};

static int rights_row(void *user, const struct sql_row *row, struct err *err) {
    struct rights_job *job = user;
    (void)err;
    job->state = sql_row_bool(row, "may_state");
    job->create = sql_row_bool(row, "may_create");
    return 0;
}

static void server_rights(struct preflight *p) {
    struct rights_job job = {-1, -1};
    struct err err;
    struct buf login;
    err_clear(&err);
    if (sql_query(p->session,
                  "SELECT HAS_PERMS_BY_NAME(NULL, NULL, N'VIEW SERVER STATE') AS may_state, "
                  "HAS_PERMS_BY_NAME(NULL, NULL, N'CREATE ANY DATABASE') AS may_create",
                  NULL, rights_row, &job, &err) < 0) {
        check_add(p, "rights", SQL_CHECK_FAIL, "%s", err.text);
        return;
    }
    if (job.state > 0 && job.create > 0) {
        check_add(p, "rights", SQL_CHECK_OK, "VIEW SERVER STATE and CREATE ANY DATABASE are granted");
        return;
    }
    buf_init(&login, 1024);
    sql_quote_name(&login, p->in->params->user);
    /* Without CREATE ANY DATABASE no backup can be inspected: RESTORE HEADERONLY asks for it. Without the other, sizes, progress
     * and the state of the log are not known. */
    check_add(p, "rights", job.create > 0 ? SQL_CHECK_WARN : SQL_CHECK_FAIL, "the login lacks %s%s%s: GRANT %s%s%s TO %s",
              job.state > 0 ? "" : "VIEW SERVER STATE", job.state > 0 || job.create > 0 ? "" : " and ",
              job.create > 0 ? "" : "CREATE ANY DATABASE", job.state > 0 ? "" : "VIEW SERVER STATE",
              job.state > 0 || job.create > 0 ? "" : ", ", job.create > 0 ? "" : "CREATE ANY DATABASE",
              login.overflow ? "the login" : login.data);
    buf_done(&login);
}

/* --- in databases ---------------------------------------------------------------------------------------------- */

static bool wanted(const struct preflight *p, const struct sql_database *db) {
    return !p->in->wanted || p->in->wanted(p->in->user, db);
}

static void database_rights(struct preflight *p) {
    struct sql_access_list access;
    struct err err;
    struct names lacking;
    const char *first = NULL;
    unsigned asked = 0;
    err_clear(&err);
    if (sql_access_read(p->session, &p->databases, &access, &err) < 0) {
        check_add(p, "database_rights", SQL_CHECK_FAIL, "%s", err.text);
        return;
    }
    names_init(&lacking);
    for (size_t i = 0; i < access.count; i++) {
        const struct sql_database *db = &p->databases.items[i];
        if (!access.items[i].asked || !wanted(p, db))
            continue;
        asked++;
        if (access.items[i].data && (access.items[i].log || !strcmp(db->name, "master")))
            continue;
        names_add(&lacking, db->name);
        first = first ? first : db->name;
    }
    struct buf grant;
    buf_init(&grant, 16384);
    if (!lacking.count)
        check_add(p, "database_rights", SQL_CHECK_OK, "the login may back up all %u databases that are open", asked);
    else if (sql_grant_text(p->in->params->user, first, &grant, &err) < 0)
        check_add(p, "database_rights", SQL_CHECK_FAIL, "no right to back up: %s", lacking.text.data);
    else
        check_add(p, "database_rights", SQL_CHECK_FAIL, "no right to back up: %s. In each of them: %s", lacking.text.data,
                  grant.data);
    buf_done(&grant);
    buf_done(&lacking.text);
    sql_access_done(&access);
}

/* --- msdb ------------------------------------------------------------------------------------------------------ */

static void history_rights(struct preflight *p) {
    static const char *const tables[] = {"backupset", "backupmediafamily", "restorehistory", "logmarkhistory"};
    struct names lacking;
    struct err err, why;
    names_init(&lacking);
    err_clear(&why);
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char text[128];
        err_clear(&err);
        /* Asking by reading: what matters is whether it works. */
        str_format(text, sizeof(text), "SELECT COUNT(*) AS n FROM msdb.dbo.%s WHERE 1 = 0", tables[i]);
        if (sql_exec(p->session, text, NULL, &err) < 0) {
            names_add(&lacking, tables[i]);
            err_copy(&why, &err);
        }
        if (!sql_session_alive(p->session))
            break;
    }
    if (!lacking.count)
        check_add(p, "history_rights", SQL_CHECK_OK, "msdb's backup history is readable");
    else
        check_add(p, "history_rights", SQL_CHECK_FAIL,
                  "not readable in msdb: %s (%s). In msdb: GRANT SELECT ON dbo.<table> to the login's user", lacking.text.data,
                  why.text);
    buf_done(&lacking.text);
}

void preflight_rights(struct preflight *p) {
    server_rights(p);
    database_rights(p);
    history_rights(p);
}

/* --- certificates ---------------------------------------------------------------------------------------------- */

static int certificate_row(void *user, const struct sql_row *row, struct err *err) {
    const char *name = sql_row_text(row, "name");
    (void)err;
    names_add(user, name ? name : "?");
    return 0;
}

void preflight_certificates(struct preflight *p) {
    struct names n;
    struct err err;
    bool encrypted = false;
    err_clear(&err);
    for (size_t i = 0; i < p->databases.count; i++)
        encrypted = encrypted || (p->databases.items[i].encrypted && !p->databases.items[i].system);
    if (!encrypted) {
        check_add(p, "tde_certificates", SQL_CHECK_OK, "no database is encrypted by TDE");
        return;
    }
    names_init(&n);
    if (sql_query(p->session,
                  "SELECT DISTINCT c.name FROM sys.dm_database_encryption_keys AS k INNER JOIN master.sys.certificates AS c "
                  "ON c.thumbprint = k.encryptor_thumbprint WHERE c.pvt_key_last_backup_date IS NULL AND k.database_id > 4",
                  NULL, certificate_row, &n, &err) < 0)
        check_add(p, "tde_certificates", SQL_CHECK_WARN,
                  "whether the certificates of encrypted databases are saved is not known: %s", err.text);
    else if (n.count)
        check_add(
            p, "tde_certificates", SQL_CHECK_FAIL,
            "the private key was never backed up, and without it no backup of the encrypted databases can be restored: BACKUP "
            "CERTIFICATE %s TO FILE = ... WITH PRIVATE KEY (...)",
            n.text.data);
    else
        check_add(p, "tde_certificates", SQL_CHECK_OK, "the certificates of encrypted databases have been backed up");
    buf_done(&n.text);
}
