/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/text.h"

#define EXPRESS_BYTES (UINT64_C(10) << 30)
#define EXPRESS_BYTES_2025 (UINT64_C(50) << 30)
#define OLDEST_DATABASE 655 /* 2008: what every supported version still upgrades */

static const char *const verdict_names[] = {"ok", "unknown", "warning", "error"};

const char *restore_verdict_name(enum restore_verdict verdict) {
    return verdict < ARRAY_LEN(verdict_names) ? verdict_names[verdict] : "error";
}

static void fail(struct restore_findings *findings, const struct restore_check *c, const char *name, enum err_class class,
                 const char *hint, const char *fmt, ...) __attribute__((format(printf, 6, 7)));

static void fail(struct restore_findings *findings, const struct restore_check *c, const char *name, enum err_class class,
                 const char *hint, const char *fmt, ...) {
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    struct restore_finding *f = restore_findings_add(findings, RESTORE_CHECK_ERROR, name, c->database, "%s", text);
    f->class = class;
    str_copy(f->hint, sizeof(f->hint), hint);
}

static void hint(struct restore_finding *finding, const char *text) {
    str_copy(finding->hint, sizeof(finding->hint), text);
}

/* --- the database ---------------------------------------------------------------------------------------------- */

static void check_name(const struct restore_check *c, struct restore_findings *out) {
    static const char *const system[] = {"master", "model", "msdb", "tempdb"};
    long units = sql_text_units(c->database);
    if (units < 1 || units > SQL_NAME_CHARS) {
        fail(out, c, "name", ERR_USAGE, "choose another name for the restored database",
             "a database name has 1 to %d characters of valid text", SQL_NAME_CHARS);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(system); i++) {
        if (!str_ieq(c->database, system[i]) && !str_ieq(c->manifest->database, system[i]))
            continue;
        if (str_ieq(c->database, system[i]))
            fail(out, c, "name", ERR_UNSUPPORTED, "restore it under another name to look into it; see restoring system databases",
                 "'%s' is a system database: it is not restored over", c->database);
    }
}

static void check_version(const struct restore_check *c, struct restore_findings *out) {
    const struct sql_server *s = &c->target->server;
    int mine = c->target->database_version;
    int theirs = (int)c->manifest->database_version;
    if (!mine || !theirs) {
        restore_findings_add(out, RESTORE_CHECK_UNKNOWN, "version", c->database,
                             "the version of the database is not known; a newer one than the server's is refused by it (3169)");
    } else if (theirs > mine) {
        fail(out, c, "version", ERR_UNSUPPORTED, "restore onto an instance of the same or a newer version",
             "the backups are of a newer SQL Server (%s, database version %d) than the target (%s, database version %d)",
             c->manifest->product_version, theirs, s->version, mine);
    } else if (theirs < OLDEST_DATABASE) {
        fail(out, c, "version", ERR_UNSUPPORTED, "upgrade it step by step through an older version",
             "database version %d is too old for SQL Server %s", theirs, s->version);
    } else if (theirs < mine) {
        struct restore_finding *f = restore_findings_add(
            out, c->standby ? RESTORE_CHECK_ERROR : RESTORE_CHECK_WARNING, "version", c->database,
            "the database is upgraded from version %d to %d: it cannot go back to the older server", theirs, mine);
        f->class = c->standby ? ERR_UNSUPPORTED : ERR_NONE;
        hint(f, c->standby ? "STANDBY is not possible across versions: recover it, or leave it restoring"
                           : "set the compatibility level when it was tested");
    } else {
        restore_findings_add(out, RESTORE_CHECK_OK, "version", c->database, "same version as the target (%d)", mine);
    }
}

static void check_edition(const struct restore_check *c, struct restore_findings *out) {
    const struct sql_server *s = &c->target->server;
    uint64_t data = 0, limit = s->major >= 17 ? EXPRESS_BYTES_2025 : EXPRESS_BYTES;
    char size[32], most[32];
    if (s->engine_edition != 4)
        return;
    for (size_t i = 0; i < c->file_count; i++)
        if (c->files[i].type == 'D')
            data += c->files[i].size_bytes;
    str_from_bytes(size, sizeof(size), data);
    str_from_bytes(most, sizeof(most), limit);
    if (data > limit)
        fail(out, c, "edition", ERR_UNSUPPORTED, "restore onto another edition (Developer is free for tests)",
             "the data files take %s, and %s holds databases up to %s", size, s->edition, most);
    else
        restore_findings_add(out, RESTORE_CHECK_OK, "edition", c->database, "the data files take %s of the %s of this edition",
                             size, most);
}

static void check_tde(const struct restore_check *c, struct restore_findings *out) {
    const char *thumbprint = c->manifest->tde_thumbprint;
    struct restore_finding *f;
    if (!thumbprint || !thumbprint[0])
        return;
    if (str_starts(thumbprint, "0x"))
        thumbprint += 2;
    switch (target_certificate_find(c->target, thumbprint)) {
    case TARGET_CERTIFICATE_GOOD:
        restore_findings_add(out, RESTORE_CHECK_OK, "tde", c->database, "the certificate with thumbprint 0x%s is there",
                             thumbprint);
        return;
    case TARGET_CERTIFICATE_NO_KEY:
        fail(out, c, "tde", ERR_CRYPTO, "drop it and create it again WITH PRIVATE KEY from its backup",
             "the certificate with thumbprint 0x%s is there without its private key", thumbprint);
        return;
    case TARGET_CERTIFICATE_ABSENT:
        fail(out, c, "tde", ERR_CRYPTO,
             "in master of the target: CREATE CERTIFICATE ... FROM FILE = '...' WITH PRIVATE KEY (...), from the backup of the "
             "source's certificate",
             "the database is encrypted (TDE) and the target does not have the certificate with thumbprint 0x%s", thumbprint);
        return;
    default:
        f = restore_findings_add(
            out, RESTORE_CHECK_UNKNOWN, "tde", c->database,
            "the database is encrypted (TDE) by the certificate 0x%s; the login may not see whether the target has it",
            thumbprint);
        hint(f, "GRANT VIEW ANY DEFINITION to the login");
    }
}

static void check_collation(const struct restore_check *c, struct restore_findings *out) {
    const char *theirs = c->manifest->collation, *mine = c->target->server.collation;
    if (!theirs || !theirs[0] || !mine[0] || str_ieq(theirs, mine))
        return;
    struct restore_finding *f = restore_findings_add(out, RESTORE_CHECK_WARNING, "collation", c->database,
                                                     "its collation is %s, the target's is %s: joins with tempdb can fail (468)",
                                                     theirs, mine);
    hint(f, "an instance with the collation of the source has no such trouble");
}

/* --- rights ---------------------------------------------------------------------------------------------------- */

static char *creator_grant(const struct restore_target *target) {
    struct buf text;
    buf_init(&text, 2048);
    buf_puts(&text, "ALTER SERVER ROLE [dbcreator] ADD MEMBER ");
    sql_quote_name(&text, target->login);
    return buf_take(&text);
}

static void lacks(struct restore_findings *out, const struct restore_check *c, const char *what) {
    _cleanup_free_ char *grant = creator_grant(c->target);
    fail(out, c, "permission", ERR_PERMISSION, grant, "login '%s' may not %s", c->target->login, what);
}

int restore_check_login(const struct restore_target *target, struct err *err) {
    if (target->sysadmin || target->create_any_database)
        return 0;
    _cleanup_free_ char *grant = creator_grant(target);
    (void)err_set(err, ERR_PERMISSION, "login '%s' may neither read backups nor create databases", target->login);
    return err_hint(err, "%s", grant);
}

static void check_rights(const struct restore_check *c, struct restore_findings *out) {
    const struct restore_target *t = c->target;
    size_t before = out->count;
    if (t->sysadmin)
        return;
    if (!c->there && !t->create_any_database)
        lacks(out, c, "create databases");
    if (c->there && !t->dbcreator && !c->there->mine)
        lacks(out, c, "restore over databases that it does not own");
    if (c->there && c->tail && !c->there->mine) {
        struct restore_finding *f = restore_findings_add(
            out, RESTORE_CHECK_WARNING, "permission", c->database,
            "the tail of its log needs BACKUP LOG in the database: login '%s' must be db_backupoperator there", t->login);
        hint(f, "CREATE USER ... FOR LOGIN ...; ALTER ROLE [db_backupoperator] ADD MEMBER ...; or a sysadmin");
    }
    if (c->reapply_options) {
        const struct manifest_options *o = &c->manifest->options;
        if (o->trustworthy || o->db_chaining || (o->owner && o->owner[0] && !str_ieq(o->owner, t->login)))
            restore_findings_add(
                out, RESTORE_CHECK_WARNING, "permission", c->database,
                "only a sysadmin can put back owner, TRUSTWORTHY and DB_CHAINING; the statements will be listed");
    }
    if (!t->server_state && before == out->count)
        hint(restore_findings_add(out, RESTORE_CHECK_UNKNOWN, "permission", c->database,
                                  "without VIEW SERVER STATE neither free space nor progress is seen"),
             "GRANT VIEW SERVER STATE to the login");
}

static void check_there(const struct restore_check *c, struct restore_findings *out) {
    if (!c->there || c->ours)
        return;
    if (c->there->info.in_group)
        fail(out, c, "group", ERR_STATE, "ALTER AVAILABILITY GROUP ... REMOVE DATABASE first",
             "it is in an availability group and cannot be restored over (3104)");
    if (c->there->has_snapshots)
        fail(out, c, "snapshots", ERR_STATE, "DROP DATABASE each of them first",
             "database snapshots of it exist, so it cannot be restored over");
}

/* --- files ----------------------------------------------------------------------------------------------------- */

static void check_files(const struct restore_check *c, struct restore_findings *out) {
    size_t unknown = 0;
    for (size_t i = 0; i < c->file_count; i++) {
        const struct restore_file *f = &c->files[i];
        enum target_path found = c->found ? c->found[i] : TARGET_PATH_UNKNOWN;
        bool own = f->how == RESTORE_PLACED_KEPT || f->replaced_bytes || c->ours;
        if (found == TARGET_PATH_UNKNOWN)
            unknown++;
        else if (found == TARGET_PATH_NO_FOLDER)
            fail(out, c, "files", ERR_NOT_FOUND, "make it, writable by SQL Server, or name another directory",
                 "the directory for '%s' is not there", f->physical);
        else if (found == TARGET_PATH_FOLDER && !own)
            fail(out, c, "files", ERR_EXISTS, "name another path for it", "'%s' is a directory", f->physical);
        else if (found == TARGET_PATH_FILE && !own)
            fail(out, c, "files", ERR_EXISTS, "remove it when nobody needs it, or name another path",
                 "there is a file '%s' that belongs to no database of the instance", f->physical);
    }
    if (unknown && c->found)
        restore_findings_add(out, RESTORE_CHECK_UNKNOWN, "files", c->database,
                             "whether the directories are there, and free of old files, could not be asked");
}

void restore_check_database(const struct restore_check *c, struct restore_findings *findings) {
    check_name(c, findings);
    check_version(c, findings);
    check_edition(c, findings);
    check_tde(c, findings);
    check_collation(c, findings);
    check_rights(c, findings);
    check_there(c, findings);
    check_files(c, findings);
}

int restore_check_verdict(const struct restore_findings *findings, struct err *err) {
    const struct restore_finding *first = NULL;
    size_t more = 0;
    for (size_t i = 0; i < findings->count; i++) {
        if (findings->items[i].verdict != RESTORE_CHECK_ERROR)
            continue;
        more += first != NULL;
        first = first ? first : &findings->items[i];
    }
    if (!first)
        return 0;
    enum err_class class = first->class != ERR_NONE ? first->class : ERR_STATE;
    if (first->subject[0])
        (void)err_set(err, class, "%s: %s", first->subject, first->message);
    else
        (void)err_set(err, class, "%s", first->message);
    if (first->hint[0])
        (void)err_hint(err, "%s", first->hint);
    if (more)
        (void)err_hint(err, "%zu more thing%s in the way", more, more == 1 ? " is" : "s are");
    return -1;
}
