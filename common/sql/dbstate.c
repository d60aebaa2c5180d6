/* SPDX-License-Identifier: Apache-2.0 */
/* What of a database changes all the time: where its chain stands, how much there is to back up, who may. */
#include <string.h>

#include "common/chain/state.h"
#include "common/sql/database.h"
#include "common/sql/int.h"

#define PAGE_BYTES UINT64_C(8192)
#define MIB (1024.0 * 1024.0)
#define QUERY_MAX 16384

/* --- state ----------------------------------------------------------------------------------------------------- */

struct state_job {
    int64_t began, began_mono;
    struct chain_server_state state;
    struct sql_clock clock;
    bool found;
};

static int state_row(void *user, const struct sql_row *row, struct err *err) {
    struct state_job *job = user;
    struct chain_server_state *s = &job->state;
    int state = -1, model = 0, verify = 0;
    const char *now = sql_row_text(row, "server_now");
    if (!sql_row_int(row, "state", &state) || !sql_row_int(row, "recovery_model", &model) || model < 1 || model > 3 || !now ||
        !sql_clock_parse(now, job->began, job->began_mono, &job->clock))
        return err_set(err, ERR_PROTOCOL, "sys.databases: row is not complete");
    job->found = true;
    s->sampled_at = job->clock.server_at;
    s->online = state == SQL_DB_ONLINE && !sql_row_bool(row, "is_in_standby");
    s->model = (enum chain_model)model;
    s->is_read_only = sql_row_bool(row, "is_read_only");
    s->is_auto_close = sql_row_bool(row, "is_auto_close_on");
    s->page_verify_checksum = sql_row_int(row, "page_verify_option", &verify) && verify == 2;
    sql_row_guid(row, "differential_base_guid", &s->differential_base_guid);
    /* Only there when the recovery status was asked for. */
    sql_row_guid(row, "database_guid", &s->database_guid);
    sql_row_guid(row, "family_guid", &s->family_guid);
    sql_row_guid(row, "recovery_fork_guid", &s->recovery_fork_guid);
    sql_row_lsn(row, "last_log_backup_lsn", &s->last_log_backup_lsn);
    sql_row_at(row, "create_date", sql_date_offset(now), &s->create_at); /* local time */
    return 0;
}

/* One query for all that needs no rights but CREATE DATABASE. Reading the recovery status starts a closed database. */
static void state_text(const struct sql_database *db, bool open, struct buf *out) {
    buf_puts(out, "SELECT d.state, d.recovery_model, d.is_in_standby, d.is_read_only, d.is_auto_close_on, d.page_verify_option, "
                  "d.create_date, f.differential_base_guid, SYSDATETIMEOFFSET() AS server_now");
    if (open)
        buf_puts(out, ", r.database_guid, r.family_guid, r.recovery_fork_guid, r.last_log_backup_lsn");
    buf_puts(out, " FROM sys.databases AS d LEFT JOIN sys.master_files AS f ON f.database_id = d.database_id AND f.file_id = 1");
    if (open)
        buf_puts(out, " LEFT JOIN sys.database_recovery_status AS r ON r.database_id = d.database_id");
    buf_printf(out, " WHERE d.database_id = %d AND d.name = ", db->id);
    sql_quote_text(out, db->name);
}

struct log_job {
    struct lsn end;
    double since_mb, total_mb, active_mb;
};

static int log_row(void *user, const struct sql_row *row, struct err *err) {
    struct log_job *job = user;
    (void)err;
    const char *end = sql_row_text(row, "log_end_lsn");
    if (end && !lsn_parse_hex(end, &job->end))
        lsn_parse(end, &job->end);
    sql_row_double(row, "log_since_last_log_backup_mb", &job->since_mb);
    sql_row_double(row, "total_log_size_mb", &job->total_mb);
    sql_row_double(row, "active_log_size_mb", &job->active_mb);
    return 0;
}

static int log_read(struct sql_session *session, int database_id, struct log_job *job, struct err *err) {
    char text[256];
    str_format(text, sizeof(text),
               "SELECT log_end_lsn, log_since_last_log_backup_mb, total_log_size_mb, active_log_size_mb "
               "FROM sys.dm_db_log_stats(%d)",
               database_id);
    return sql_query_if_able(session, text, log_row, job, err);
}

struct space_job {
    uint64_t modified_pages, allocated_pages;
};

static int space_row(void *user, const struct sql_row *row, struct err *err) {
    struct space_job *job = user;
    (void)err;
    sql_row_u64(row, "modified_pages", &job->modified_pages);
    sql_row_u64(row, "allocated_pages", &job->allocated_pages);
    return 0;
}

/* A view of each database: needs a user in it. */
static int space_read(struct sql_session *session, const char *database, struct space_job *job, struct err *err) {
    struct buf text;
    buf_init(&text, QUERY_MAX);
    buf_puts(&text,
             "SELECT SUM(modified_extent_page_count) AS modified_pages, SUM(allocated_extent_page_count) AS allocated_pages "
             "FROM ");
    sql_quote_name(&text, database);
    buf_puts(&text, ".sys.dm_db_file_space_usage");
    int rc = sql_text_check(&text, "space usage", err);
    if (rc == 0)
        rc = sql_query_if_able(session, text.data, space_row, job, err);
    buf_done(&text);
    return rc;
}

static int state_read(struct sql_session *session, const struct sql_database *db, bool open, struct state_job *job,
                      struct err *err) {
    struct buf text;
    buf_init(&text, QUERY_MAX);
    state_text(db, open, &text);
    job->began = clock_wall();
    job->began_mono = clock_mono_us();
    int rc = sql_text_check(&text, "state of a database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, state_row, job, err);
    buf_done(&text);
    if (rc == 0 && !job->found)
        rc = err_set(err, ERR_NOT_FOUND, "there is no such database any more");
    job->state.full_only = !strcmp(db->name, "master");
    if (!open)
        job->state.online = false;
    return rc;
}

static uint64_t bytes_of(double mb) {
    return mb > 0 ? (uint64_t)(mb * MIB) : 0;
}

int sql_database_look(struct sql_session *session, const struct sql_database *db, enum sql_look_what what, bool due,
                      struct sql_look *ret_look, struct err *err) {
    struct state_job job = {0};
    struct log_job log = {0};
    struct space_job space = {0};
    /* What sys.databases said of AUTO_CLOSE may be a minute old; an extra start of a database does no harm. */
    int rc = state_read(session, db, due || !db->auto_close, &job, err);
    if (rc == 0 && job.state.online)
        rc = log_read(session, db->id, &log, err);
    if (rc == 0 && job.state.online && what == SQL_LOOK_ALL)
        rc = space_read(session, db->name, &space, err);
    if (rc < 0)
        return err_context(err, "state of database '%s'", db->name);
    job.state.log_end_lsn = log.end;
    job.state.log_since_backup_bytes = bytes_of(log.since_mb);
    job.state.modified_pages = space.modified_pages;
    job.state.allocated_pages = space.allocated_pages;
    *ret_look = (struct sql_look){
        .state = job.state,
        .clock = job.clock,
        .sizes =
            {
                .extents_asked = what == SQL_LOOK_ALL,
                .full_bytes = space.allocated_pages * PAGE_BYTES,
                .diff_bytes = space.modified_pages * PAGE_BYTES,
                .log_bytes = bytes_of(log.since_mb),
                .log_file_bytes = bytes_of(log.total_mb),
                .log_active_bytes = bytes_of(log.active_mb),
            },
    };
    return 0;
}

void sql_extents_keep(struct chain_server_state *state, struct sql_sizes *sizes, const struct chain_server_state *old_state,
                      const struct sql_sizes *old_sizes) {
    if (sizes->extents_asked)
        return;
    state->modified_pages = old_state->modified_pages;
    state->allocated_pages = old_state->allocated_pages;
    sizes->full_bytes = old_sizes->full_bytes;
    sizes->diff_bytes = old_sizes->diff_bytes;
}

int sql_database_state(struct sql_session *session, const struct sql_database *db, bool due, struct chain_server_state *ret_state,
                       struct err *err) {
    struct sql_look look;
    if (sql_database_look(session, db, SQL_LOOK_ALL, due, &look, err) < 0)
        return -1;
    *ret_state = look.state;
    return 0;
}

/* --- rights ---------------------------------------------------------------------------------------------------- */

static int access_row(void *user, const struct sql_row *row, struct err *err) {
    struct sql_access_list *list = user;
    int id = 0;
    if (!sql_row_int(row, "database_id", &id))
        return err_set(err, ERR_PROTOCOL, "sys.databases: row is not complete");
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].database_id != id)
            continue;
        list->items[i].data = sql_row_bool(row, "may_data");
        list->items[i].log = sql_row_bool(row, "may_log");
    }
    return 0;
}

int sql_access_read(struct sql_session *session, const struct sql_database_list *databases, struct sql_access_list *ret_list,
                    struct err *err) {
    struct sql_access_list list = {.items = mem_array(databases->count + 1, sizeof(*list.items)), .count = databases->count};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "SELECT d.database_id, HAS_PERMS_BY_NAME(QUOTENAME(d.name), N'DATABASE', N'BACKUP DATABASE') AS may_data, "
                    "HAS_PERMS_BY_NAME(QUOTENAME(d.name), N'DATABASE', N'BACKUP LOG') AS may_log "
                    "FROM sys.databases AS d WHERE d.database_id IN (0");
    for (size_t i = 0; i < list.count; i++) {
        const struct sql_database *db = &databases->items[i];
        list.items[i].database_id = db->id;
        list.items[i].asked = db->state == SQL_DB_ONLINE && !db->auto_close && !db->in_group && !db->snapshot;
        if (list.items[i].asked)
            buf_printf(&text, ",%d", db->id);
    }
    buf_puts(&text, ")");
    int rc = sql_text_check(&text, "rights in databases", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, access_row, &list, err);
    buf_done(&text);
    if (rc < 0) {
        sql_access_done(&list);
        return err_context(err, "reading the rights in databases");
    }
    *ret_list = list;
    return 0;
}

void sql_access_done(struct sql_access_list *list) {
    mem_free(list->items);
    *list = (struct sql_access_list){0};
}
