/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/identity.h"

#include <string.h>

#include "common/base/str.h"
#include "common/sql/text.h"

/* ---- asked of the server ---- */

static int identity_row(void *user, const struct sql_row *row, struct err *err) {
    struct restore_identity *i = user;
    if (!sql_row_int(row, "database_id", &i->id) || !sql_row_int(row, "state", &i->state) ||
        !sql_row_copy(row, "created", i->created, sizeof(i->created)))
        return err_set(err, ERR_PROTOCOL, "sys.databases: row is not complete");
    i->there = true;
    i->standby = sql_row_bool(row, "is_in_standby");
    sql_row_guid(row, "database_guid", &i->database_guid);
    sql_row_guid(row, "family_guid", &i->family_guid);
    sql_row_guid(row, "recovery_fork_guid", &i->fork);
    sql_row_lsn(row, "redo_start_lsn", &i->redo_lsn);
    sql_row_guid(row, "redo_start_fork_guid", &i->redo_fork);
    return 0;
}

static void put_from(struct buf *out, const char *database) {
    buf_puts(out, " FROM sys.databases AS d LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id "
                  "LEFT JOIN sys.master_files AS f ON f.database_id = d.database_id AND f.file_id = 1 WHERE d.name = ");
    sql_quote_text(out, database);
}

int restore_identity_read(struct sql_session *session, const char *database, struct restore_identity *ret_identity,
                          struct err *err) {
    struct restore_identity found = {.there = false};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT d.database_id, CONVERT(nvarchar(30), d.create_date, 121) AS created, d.state, d.is_in_standby, "
                    "r.database_guid, r.family_guid, r.recovery_fork_guid, f.redo_start_lsn, f.redo_start_fork_guid");
    put_from(&text, database);
    int rc = sql_text_check(&text, "identity of a database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, identity_row, &found, err);
    buf_done(&text);
    if (rc < 0)
        return err_context(err, "identity of database '%s'", database);
    *ret_identity = found;
    return 0;
}

/* ---- compared ---- */

bool restore_identity_is(const struct restore_identity *a, const struct restore_identity *b) {
    if (!a->there || !b->there)
        return a->there == b->there;
    return a->id == b->id && !strcmp(a->created, b->created);
}

/* What was not to be seen then proves nothing now. */
static bool guid_kept(const struct guid *was, const struct guid *now) {
    return guid_is_zero(was) || guid_eq(was, now);
}

bool restore_identity_same(const struct restore_identity *was, const struct restore_identity *now) {
    if (!restore_identity_is(was, now))
        return false;
    return !was->there ||
           (was->state == now->state && was->standby == now->standby && guid_kept(&was->database_guid, &now->database_guid) &&
            guid_kept(&was->family_guid, &now->family_guid) && guid_kept(&was->fork, &now->fork) &&
            lsn_cmp(was->redo_lsn, now->redo_lsn) == 0 && guid_kept(&was->redo_fork, &now->redo_fork));
}

/* ---- inside of a batch ---- */

static void put_guid(struct buf *out, const char *column, const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    if (!guid_is_zero(guid))
        buf_printf(out, " AND %s = CONVERT(uniqueidentifier, N'%s')", column, guid_format(text, guid));
}

static void put_whole(struct buf *out, const struct restore_identity *want) {
    char lsn[LSN_TEXT_MAX];
    buf_printf(out, " AND d.state = %d AND d.is_in_standby = %d", want->state, want->standby ? 1 : 0);
    put_guid(out, "r.database_guid", &want->database_guid);
    put_guid(out, "r.family_guid", &want->family_guid);
    put_guid(out, "r.recovery_fork_guid", &want->fork);
    buf_printf(out, " AND ISNULL(f.redo_start_lsn, 0) = %s", lsn_format(lsn, want->redo_lsn));
    put_guid(out, "f.redo_start_fork_guid", &want->redo_fork);
}

void restore_identity_only_if(const char *database, const struct restore_identity *want, bool whole, struct buf *out) {
    buf_printf(out, "IF %sEXISTS (SELECT 1", want->there ? "NOT " : "");
    put_from(out, database);
    if (want->there) {
        buf_printf(out, " AND d.database_id = %d AND CONVERT(nvarchar(30), d.create_date, 121) = ", want->id);
        sql_quote_text(out, want->created);
        if (whole)
            put_whole(out, want);
    }
    buf_printf(out,
               ") THROW %d, N'The database of this name is not the one that was looked at, or it was changed since. Nothing was "
               "done to it.', 1;\n",
               RESTORE_CHANGED_NUMBER);
}

bool restore_identity_thrown(const struct err *err) {
    return err->sql_number == RESTORE_CHANGED_NUMBER;
}

/* ---- in the journal ---- */

static json_t *guid_json(const struct guid *guid) {
    char text[GUID_TEXT_MAX];
    return json_string(guid_is_zero(guid) ? "" : guid_format(text, guid));
}

json_t *restore_identity_to_json(const struct restore_identity *i) {
    char lsn[LSN_TEXT_MAX];
    if (!i->there)
        return json_pack("{s:b}", "there", 0);
    return json_pack("{s:b,s:i,s:s,s:i,s:b,s:o,s:o,s:o,s:s,s:o}", "there", 1, "id", i->id, "created", i->created, "state",
                     i->state, "standby", i->standby, "databaseGuid", guid_json(&i->database_guid), "familyGuid",
                     guid_json(&i->family_guid), "fork", guid_json(&i->fork), "redoLsn", lsn_format(lsn, i->redo_lsn), "redoFork",
                     guid_json(&i->redo_fork));
}

static bool guid_from(const char *text, struct guid *dst) {
    return !*text || guid_parse(text, dst);
}

bool restore_identity_from_json(const json_t *json, struct restore_identity *ret_identity) {
    struct restore_identity i = {.there = false};
    const char *created, *database_guid, *family_guid, *fork, *redo_lsn, *redo_fork;
    json_t *object = (json_t *)(uintptr_t)json;
    int there, standby;
    if (json_unpack(object, "{s:b}", "there", &there) < 0)
        return false;
    if (there) {
        if (json_unpack(object, "{s:i,s:s,s:i,s:b,s:s,s:s,s:s,s:s,s:s}", "id", &i.id, "created", &created, "state", &i.state,
                        "standby", &standby, "databaseGuid", &database_guid, "familyGuid", &family_guid, "fork", &fork, "redoLsn",
                        &redo_lsn, "redoFork", &redo_fork) < 0 ||
            !str_copy(i.created, sizeof(i.created), created) || !guid_from(database_guid, &i.database_guid) ||
            !guid_from(family_guid, &i.family_guid) || !guid_from(fork, &i.fork) || !guid_from(redo_fork, &i.redo_fork) ||
            !lsn_parse(redo_lsn, &i.redo_lsn))
            return false;
        i.there = true;
        i.standby = standby;
    }
    *ret_identity = i;
    return true;
}
