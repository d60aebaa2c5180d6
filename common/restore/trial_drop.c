/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a scratch database. A name proves nothing: what is there is compared with what the journal says, and compared
 * again when everybody else is thrown out, right before the drop.
 */
#include <string.h>

#include "common/base/buf.h"
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/trial_int.h"
#include "common/sql/database.h"

/* ---- whose is it ---- */

enum trial_owner trial_owner_of(const struct trial_seen *seen, const struct trial_note *note, const struct restore_entry *entry) {
    if (!seen->there)
        return TRIAL_ABSENT;
    if (!entry || entry->step < RESTORE_RESTORING || !str_ieq(entry->target, note->scratch))
        return TRIAL_FOREIGN; /* no RESTORE was issued */
    bool noted = !guid_is_zero(&entry->database_guid) && !guid_is_zero(&entry->recovery_fork);
    bool known = !guid_is_zero(&seen->database_guid) && !guid_is_zero(&seen->fork);
    if (noted && known)
        return guid_eq(&entry->database_guid, &seen->database_guid) && guid_eq(&entry->recovery_fork, &seen->fork)
                   ? TRIAL_OURS
                   : TRIAL_FOREIGN;
    if (noted)
        return seen->state == SQL_DB_RESTORING ? TRIAL_FOREIGN : TRIAL_UNKNOWN; /* it was open: this is another restore */
    if (!seen->files_match)
        return TRIAL_FOREIGN;
    if (seen->state == SQL_DB_RESTORING)
        return TRIAL_OURS;
    if (guid_is_zero(&seen->family))
        return TRIAL_UNKNOWN;
    return guid_eq(&seen->family, &note->family) ? TRIAL_OURS : TRIAL_FOREIGN;
}

/* ---- what is there ---- */

static int seen_row(void *user, const struct sql_row *row, struct err *err) {
    struct trial_seen *s = user;
    if (!sql_row_int(row, "state", &s->state) || !sql_row_int(row, "database_id", &s->id))
        return err_set(err, ERR_PROTOCOL, "sys.databases: row is not complete");
    s->there = true;
    sql_row_guid(row, "database_guid", &s->database_guid);
    sql_row_guid(row, "family_guid", &s->family);
    sql_row_guid(row, "recovery_fork_guid", &s->fork);
    return 0;
}

static bool is_placed(const struct restore_entry *entry, const char *physical) {
    for (size_t i = 0; i < entry->file_count; i++)
        if (str_ieq(entry->files[i].physical, physical))
            return true;
    return false;
}

static int look(struct sql_session *session, const struct trial_note *note, const struct restore_entry *entry,
                struct trial_seen *s, struct err *err) {
    struct sql_file_list files;
    struct buf text;
    *s = (struct trial_seen){0};
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT d.database_id, d.state, r.database_guid, r.family_guid, r.recovery_fork_guid FROM sys.databases AS d "
                    "LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id WHERE d.name = ");
    sql_quote_text(&text, note->scratch);
    int rc = sql_text_check(&text, "identity of a database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, seen_row, s, err);
    buf_done(&text);
    if (rc < 0 || !s->there || !entry)
        return rc;
    if (sql_files_read(session, s->id, &files, err) < 0)
        return -1;
    s->files_match = files.count > 0;
    for (size_t i = 0; i < files.count; i++)
        s->files_match &= is_placed(entry, files.items[i].physical);
    sql_files_done(&files);
    return 0;
}

/* ---- the drop ---- */

static int alter(struct sql_session *session, const char *before, const char *name, const char *after, struct err *err) {
    static const struct sql_call call = {.timeout_s = 600};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, before);
    sql_quote_name(&text, name);
    buf_puts(&text, after);
    int rc = sql_text_check(&text, "drop of a scratch database", err);
    if (rc == 0)
        rc = sql_exec(session, text.data, &call, err);
    buf_done(&text);
    return rc;
}

static int whose(struct sql_session *session, const struct trial_note *note, const struct restore_entry *entry,
                 struct trial_seen *seen, enum trial_owner *ret_owner, struct err *err) {
    if (look(session, note, entry, seen, err) < 0)
        return -1;
    *ret_owner = trial_owner_of(seen, note, entry);
    if (*ret_owner == TRIAL_FOREIGN)
        return err_set(err, ERR_CONFLICT, "database '%s' is not the one that trial %s restored: it is left alone", note->scratch,
                       note->id);
    if (*ret_owner == TRIAL_UNKNOWN)
        return err_set(err, ERR_STATE, "database '%s' is not open: whether trial %s restored it cannot be said", note->scratch,
                       note->id);
    return 0;
}

int trial_drop(struct sql_session *session, const struct trial_note *note, const struct restore_entry *entry,
               enum trial_owner *ret_owner, struct err *err) {
    struct trial_seen seen;
    struct err ignored;
    *ret_owner = TRIAL_UNKNOWN;
    if (fault_point("trial.dropped", FAULT_BEFORE, err) < 0 || whose(session, note, entry, &seen, ret_owner, err) < 0)
        return -1;
    bool alone = *ret_owner == TRIAL_OURS && seen.state == SQL_DB_ONLINE;
    if (alone && alter(session, "ALTER DATABASE ", note->scratch, " SET SINGLE_USER WITH ROLLBACK IMMEDIATE", err) < 0)
        return -1;
    int rc = *ret_owner == TRIAL_OURS ? whose(session, note, entry, &seen, ret_owner, err) : 0;
    if (rc == 0 && *ret_owner == TRIAL_OURS)
        rc = alter(session, "DROP DATABASE ", note->scratch, "", err);
    if (rc == 0)
        return fault_point("trial.dropped", FAULT_AFTER, err);
    if (alone && alter(session, "ALTER DATABASE ", note->scratch, " SET MULTI_USER", &ignored) < 0)
        err_hint(err, "The database may still be in single-user mode");
    return -1;
}

static int name_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    sql_row_copy(row, "name", user, SQL_NAME_MAX);
    return 0;
}

int trial_server_name(struct sql_session *session, char dst[SQL_NAME_MAX], struct err *err) {
    dst[0] = 0;
    return sql_query(session, "SELECT @@SERVERNAME AS name", NULL, name_row, dst, err);
}

/* ---- after a crash ---- */

struct clean {
    const struct restore_env *env;
    struct sql_session *session;
    char server[SQL_NAME_MAX], address[300];
    trial_cleaned_fn fn;
    void *user;
};

static void tell(const struct clean *c, const char *id, const char *scratch, enum trial_cleaned what, const struct err *why) {
    if (c->fn)
        c->fn(c->user, id, scratch, what, why);
}

static int forget(const struct clean *c, struct trial_note *note, struct err *err) {
    return restore_forget(c->env, note->id, err) < 0 ? -1 : trial_note_forget(c->env->journal_dir, note, err);
}

static void clean_locked(const struct clean *c, struct trial_note *note) {
    static const enum trial_cleaned words[] = {[TRIAL_ABSENT] = TRIAL_CLEANED_GONE,
                                               [TRIAL_OURS] = TRIAL_CLEANED,
                                               [TRIAL_FOREIGN] = TRIAL_CLEANED_FOREIGN,
                                               [TRIAL_UNKNOWN] = TRIAL_CLEANED_LATER};
    struct restore_journal journal;
    struct err err, why;
    enum trial_owner owner = TRIAL_UNKNOWN;
    err_clear(&err);
    err_clear(&why);
    bool any = restore_journal_load(c->env->journal_dir, note->id, &journal, &err) == 0;
    if (!any && err.class != ERR_NOT_FOUND) {
        tell(c, note->id, note->scratch, TRIAL_CLEANED_LATER, &err);
        return;
    }
    int rc = trial_drop(c->session, note, any && journal.count ? &journal.entries[0] : NULL, &owner, &why);
    if (any)
        restore_journal_done(&journal);
    if (rc == 0 && owner == TRIAL_ABSENT && strcmp(c->address, note->address) != 0)
        rc = err_set(&why, ERR_CONFLICT, "'%s' was to be at %s, and this is %s", note->scratch, note->address, c->address);
    else if ((rc == 0 || owner == TRIAL_FOREIGN) && forget(c, note, &err) < 0) {
        tell(c, note->id, note->scratch, TRIAL_CLEANED_LATER, &err);
        return;
    }
    bool later = rc < 0 && owner != TRIAL_FOREIGN;
    tell(c, note->id, note->scratch, later ? TRIAL_CLEANED_LATER : words[owner], rc < 0 ? &why : NULL);
}

static int clean_one(void *user, const char *id) {
    struct clean *c = user;
    struct trial_note note;
    struct err err;
    err_clear(&err);
    if (trial_note_take(c->env->journal_dir, id, &note, &err) < 0) {
        if (err.class != ERR_NOT_FOUND)
            tell(c, id, "", err.class == ERR_BUSY ? TRIAL_CLEANED_RUNS : TRIAL_CLEANED_LATER, &err);
        return 0;
    }
    if (!str_ieq(note.server, c->server)) {
        err_set(&err, ERR_CONFLICT, "it is on instance '%s' (%s), this is '%s'", note.server, note.address, c->server);
        tell(c, id, note.scratch, TRIAL_CLEANED_LATER, &err);
    } else {
        clean_locked(c, &note);
    }
    trial_note_release(&note);
    return 0;
}

int restore_trial_clean(const struct restore_env *env, trial_cleaned_fn fn, void *user, struct err *err) {
    struct clean c = {.env = env, .fn = fn, .user = user};
    if (sql_session_open(env->sql, &c.session, err) < 0)
        return err_context(err, "the instance of trial restores");
    trial_note_address(c.address, sizeof(c.address), env->sql);
    int rc = trial_server_name(c.session, c.server, err);
    if (rc == 0)
        rc = trial_note_each(env->journal_dir, clean_one, &c, err);
    sql_session_close(c.session);
    return rc;
}
