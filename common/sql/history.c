/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/history.h"

#include <string.h>

#include "common/sql/int.h"

#define LIMIT_MAX 10000u
#define PRUNE_TIMEOUT_S 600

static const char columns[] =
    "s.backup_set_id, s.backup_set_uuid, s.name, s.user_name, s.type, s.database_name, s.server_name, s.machine_name, s.flags, "
    "s.is_copy_only, s.is_snapshot, s.is_damaged, s.is_readonly, s.has_bulk_logged_data, s.has_backup_checksums, "
    "s.begins_log_chain, s.first_lsn, s.last_lsn, s.checkpoint_lsn, s.database_backup_lsn, s.fork_point_lsn, "
    "s.first_recovery_fork_guid, s.last_recovery_fork_guid, s.family_guid, s.database_guid, s.differential_base_lsn, "
    "s.differential_base_guid, s.backup_start_date, s.backup_finish_date, s.time_zone, s.backup_size, s.position, "
    "f.physical_device_name, f.device_type "
    "FROM msdb.dbo.backupset AS s LEFT JOIN msdb.dbo.backupmediafamily AS f ON f.media_set_id = s.media_set_id "
    "AND f.family_sequence_number = 1 AND f.mirror = 0";

struct history_job {
    struct sql_history_list list;
    size_t cap;
    int32_t utc_offset_s; /* where a row has none of its own */
};

static void read_lsns(const struct sql_row *row, struct backup *b) {
    sql_row_lsn(row, "first_lsn", &b->first_lsn);
    sql_row_lsn(row, "last_lsn", &b->last_lsn);
    sql_row_lsn(row, "checkpoint_lsn", &b->checkpoint_lsn);
    sql_row_lsn(row, "database_backup_lsn", &b->database_backup_lsn);
    sql_row_lsn(row, "fork_point_lsn", &b->fork_point);
    sql_row_lsn(row, "differential_base_lsn", &b->diff_base_lsn);
    sql_row_guid(row, "backup_set_uuid", &b->set_guid);
    sql_row_guid(row, "first_recovery_fork_guid", &b->first_fork);
    sql_row_guid(row, "last_recovery_fork_guid", &b->last_fork);
    sql_row_guid(row, "family_guid", &b->family_guid);
    sql_row_guid(row, "database_guid", &b->database_guid);
    sql_row_guid(row, "differential_base_guid", &b->diff_base_guid);
}

static bool is_nul(const char *device) {
    return str_ieq(device, "NUL") || str_ieq(device, "NUL:") || !strcmp(device, "/dev/null");
}

static int history_row(void *user, const struct sql_row *row, struct err *err) {
    static const struct sql_flag_names names = {"is_copy_only",     "has_bulk_logged_data", "is_damaged",  "has_backup_checksums",
                                                "begins_log_chain", "is_snapshot",          "is_readonly", "flags"};
    struct history_job *job = user;
    struct sql_history *h = mem_alloc(sizeof(*h));
    struct backup *b = &h->backup;
    int position = 0;
    if (!sql_row_i64(row, "backup_set_id", &h->set_id)) {
        mem_free(h);
        return err_set(err, ERR_PROTOCOL, "msdb.dbo.backupset: row has no id");
    }
    sql_row_copy(row, "type", h->type, sizeof(h->type));
    h->kind_known = backup_kind_from_type(h->type, &b->kind);
    sql_row_copy(row, "database_name", h->database, sizeof(h->database));
    sql_row_copy(row, "name", h->name, sizeof(h->name));
    sql_row_copy(row, "user_name", h->user, sizeof(h->user));
    sql_row_copy(row, "server_name", h->server, sizeof(h->server));
    sql_row_copy(row, "machine_name", h->machine, sizeof(h->machine));
    sql_row_copy(row, "physical_device_name", h->device, sizeof(h->device));
    sql_row_int(row, "device_type", &h->device_type);
    h->to_nul = is_nul(h->device);
    b->flags = sql_backup_flags(row, &names) | BACKUP_UTC_OFFSET_KNOWN;
    b->utc_offset_s = job->utc_offset_s;
    sql_zone_offset(row, "time_zone", &b->utc_offset_s);
    sql_row_at(row, "backup_start_date", b->utc_offset_s, &b->start_at);
    sql_row_at(row, "backup_finish_date", b->utc_offset_s, &b->finish_at);
    sql_row_u64(row, "backup_size", &b->size_bytes);
    if (sql_row_int(row, "position", &position) && position > 0 && position <= UINT16_MAX)
        b->position = (uint16_t)position;
    b->stripes = 1;
    read_lsns(row, b);
    job->list.items = mem_grow(job->list.items, &job->cap, job->list.count + 1, sizeof(*job->list.items));
    job->list.items[job->list.count++] = *h;
    mem_free(h);
    return 0;
}

static int history_query(struct sql_session *session, struct buf *text, struct history_job *job, struct err *err) {
    int rc = sql_text_check(text, "backup history", err);
    if (rc == 0)
        rc = sql_query(session, text->data, NULL, history_row, job, err);
    if (rc < 0)
        sql_history_done(&job->list);
    return rc < 0 ? err_context(err, "reading msdb's backup history") : 0;
}

int sql_foreign_read(struct sql_session *session, const struct sql_server *server, const struct guid *family, int64_t since_id,
                     const char *own_prefix, unsigned limit, struct sql_history_list *ret_list, struct err *err) {
    struct history_job job = {.utc_offset_s = server->clock.utc_offset_s};
    struct buf text;
    if (!limit || limit > LIMIT_MAX)
        limit = LIMIT_MAX;
    buf_init(&text, SQL_TEXT_MAX);
    buf_printf(&text, "SELECT TOP (%u) %s WHERE s.backup_set_id > %lld AND s.server_name = ", limit + 1, columns,
               (long long)since_id);
    sql_quote_text(&text, server->name);
    if (family) {
        char guid[GUID_TEXT_MAX];
        buf_printf(&text, " AND s.family_guid = '%s'", guid_format(guid, family));
    }
    if (own_prefix && own_prefix[0]) {
        buf_printf(&text, " AND (s.name IS NULL OR LEFT(s.name, %ld) <> ", sql_text_units(own_prefix));
        sql_quote_text(&text, own_prefix);
        buf_puts(&text, ")");
    }
    buf_puts(&text, " ORDER BY s.backup_set_id");
    int rc = history_query(session, &text, &job, err);
    buf_done(&text);
    if (rc < 0)
        return -1;
    for (size_t i = 0; i < job.list.count; i++)
        job.list.items[i].backup.flags |= BACKUP_FOREIGN;
    if (job.list.count > limit) {
        job.list.count = limit;
        job.list.more = true;
    }
    *ret_list = job.list;
    return 0;
}

int sql_history_find(struct sql_session *session, const struct sql_server *server, const char *name, const char *device,
                     struct sql_history *ret_row, struct err *err) {
    struct history_job job = {.utc_offset_s = server->clock.utc_offset_s};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_printf(&text, "SELECT TOP (1) %s WHERE s.name = ", columns);
    sql_quote_text_max(&text, name, SQL_NAME_CHARS);
    if (device) { /* of a striped set only the first file is in the join */
        buf_puts(&text, " AND f.physical_device_name = ");
        sql_quote_text_max(&text, device, SQL_PATH_CHARS);
    }
    buf_puts(&text, " ORDER BY s.backup_set_id DESC");
    int rc = history_query(session, &text, &job, err);
    buf_done(&text);
    if (rc < 0)
        return -1;
    if (!job.list.count)
        rc = err_set(err, ERR_NOT_FOUND, "msdb knows no backup named '%s'", name);
    else
        *ret_row = job.list.items[0];
    sql_history_done(&job.list);
    return rc;
}

static int id_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    sql_row_i64(row, "last_id", user); /* NULL when there is none */
    return 0;
}

int sql_history_last_id(struct sql_session *session, int64_t *ret_id, struct err *err) {
    int64_t id = 0;
    if (sql_query(session, "SELECT MAX(backup_set_id) AS last_id FROM msdb.dbo.backupset", NULL, id_row, &id, err) < 0)
        return err_context(err, "reading msdb's backup history");
    *ret_id = id;
    return 0;
}

void sql_history_done(struct sql_history_list *list) {
    mem_free(list->items);
    *list = (struct sql_history_list){0};
}

void sql_history_to_foreign(const struct sql_history *history, struct chain_foreign *ret_foreign) {
    *ret_foreign = (struct chain_foreign){.set = history->backup};
    ret_foreign->set.flags |= BACKUP_FOREIGN;
    str_copy(ret_foreign->who, sizeof(ret_foreign->who), history->user);
    str_copy(ret_foreign->device, sizeof(ret_foreign->device), history->device);
}

/* --- restores -------------------------------------------------------------------------------------------------- */

struct restore_job {
    struct chain_restore restore;
    int32_t utc_offset_s;
};

static int restore_row(void *user, const struct sql_row *row, struct err *err) {
    struct restore_job *job = user;
    const char *type = sql_row_text(row, "restore_type");
    if (!type || !sql_row_at(row, "restore_date", job->utc_offset_s, &job->restore.at))
        return err_set(err, ERR_PROTOCOL, "msdb.dbo.restorehistory: row is not complete");
    job->restore.type = type[0];
    sql_row_copy(row, "user_name", job->restore.who, sizeof(job->restore.who));
    return 0;
}

int sql_restore_last(struct sql_session *session, const char *database, const struct sql_clock *clock,
                     struct chain_restore *ret_restore, struct err *err) {
    struct restore_job job = {.utc_offset_s = clock->utc_offset_s};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(
        &text,
        "SELECT TOP (1) restore_date, restore_type, user_name FROM msdb.dbo.restorehistory WHERE destination_database_name = ");
    sql_quote_text(&text, database);
    buf_puts(&text, " AND restore_type <> 'V' ORDER BY restore_history_id DESC");
    int rc = sql_text_check(&text, "restore history", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, restore_row, &job, err);
    buf_done(&text);
    if (rc < 0)
        return err_context(err, "restore history of '%s'", database);
    *ret_restore = job.restore;
    return 0;
}

/* --- marks ----------------------------------------------------------------------------------------------------- */

struct marks_job {
    struct sql_mark_list list;
    size_t cap;
    int32_t utc_offset_s;
};

static int mark_row(void *user, const struct sql_row *row, struct err *err) {
    struct marks_job *job = user;
    struct sql_mark mark = {0};
    if (!sql_row_copy(row, "mark_name", mark.name, sizeof(mark.name)) || !sql_row_lsn(row, "lsn", &mark.lsn))
        return err_set(err, ERR_PROTOCOL, "msdb.dbo.logmarkhistory: row is not complete");
    sql_row_copy(row, "description", mark.description, sizeof(mark.description));
    sql_row_copy(row, "user_name", mark.user, sizeof(mark.user));
    sql_row_at(row, "mark_time", job->utc_offset_s, &mark.at);
    job->list.items = mem_grow(job->list.items, &job->cap, job->list.count + 1, sizeof(*job->list.items));
    job->list.items[job->list.count++] = mark;
    return 0;
}

int sql_marks_read(struct sql_session *session, const char *database, struct lsn since, const struct sql_clock *clock,
                   struct sql_mark_list *ret_list, struct err *err) {
    struct marks_job job = {.utc_offset_s = clock->utc_offset_s};
    char lsn[LSN_TEXT_MAX];
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_printf(&text,
               "SELECT TOP (%u) mark_name, description, user_name, lsn, mark_time FROM msdb.dbo.logmarkhistory "
               "WHERE database_name = ",
               LIMIT_MAX);
    sql_quote_text(&text, database);
    buf_printf(&text, " AND lsn >= %s ORDER BY lsn", lsn_format(lsn, since));
    int rc = sql_text_check(&text, "marks", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, mark_row, &job, err);
    buf_done(&text);
    if (rc < 0) {
        sql_marks_done(&job.list);
        return err_context(err, "marks of '%s'", database);
    }
    *ret_list = job.list;
    return 0;
}

void sql_marks_done(struct sql_mark_list *list) {
    mem_free(list->items);
    *list = (struct sql_mark_list){0};
}

/* --- housekeeping ---------------------------------------------------------------------------------------------- */

struct oldest_job {
    int64_t at;
    int32_t utc_offset_s;
};

static int oldest_row(void *user, const struct sql_row *row, struct err *err) {
    struct oldest_job *job = user;
    (void)err;
    sql_row_at(row, "oldest", job->utc_offset_s, &job->at); /* NULL when there is none */
    return 0;
}

int sql_history_prune(struct sql_session *session, const struct sql_clock *clock, unsigned keep_days, bool *ret_more,
                      struct err *err) {
    static const struct sql_call call = {.timeout_s = PRUNE_TIMEOUT_S};
    struct oldest_job oldest = {.utc_offset_s = clock->utc_offset_s};
    if (sql_query(session, "SELECT MIN(backup_finish_date) AS oldest FROM msdb.dbo.backupset", NULL, oldest_row, &oldest, err) <
        0)
        return err_context(err, "reading msdb's backup history");
    /* By the server's clock: its dates are compared with it. */
    int64_t cutoff = clock->server_at - (int64_t)keep_days * CLOCK_DAY;
    if (!oldest.at || oldest.at >= cutoff) {
        *ret_more = false;
        return 0;
    }
    int64_t until = oldest.at + CLOCK_DAY;
    if (until > cutoff)
        until = cutoff;
    char date[SQL_DATE_TEXT_MAX], text[128];
    str_format(text, sizeof(text), "EXEC msdb.dbo.sp_delete_backuphistory @oldest_date = N'%s'",
               sql_date_format(date, until, clock->utc_offset_s));
    if (sql_exec(session, text, &call, err) < 0)
        return err_context(err, "removing backup history before %s", date);
    *ret_more = until < cutoff;
    return 0;
}
