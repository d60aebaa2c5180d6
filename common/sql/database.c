/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/database.h"

#include <string.h>

#include "common/sql/int.h"

static const char list_text[] =
    "SELECT d.database_id, d.name, d.state, d.state_desc, d.recovery_model, d.user_access, d.is_in_standby, d.is_read_only, "
    "d.is_auto_close_on, d.source_database_id, d.replica_id, d.is_encrypted, d.page_verify_option, d.compatibility_level, "
    "d.create_date, d.collation_name, d.log_reuse_wait_desc, SUSER_SNAME(d.owner_sid) AS owner_name, d.is_trustworthy_on, "
    "d.is_broker_enabled, d.is_db_chaining_on, d.is_honor_broker_priority_on, d.is_cdc_enabled, d.is_published, "
    "d.is_merge_published, d.is_subscribed FROM sys.databases AS d WHERE d.name <> N'tempdb' ORDER BY d.name";

struct list_job {
    struct sql_database_list list;
    size_t cap;
    const struct sql_clock *clock;
};

static void read_options(const struct sql_row *row, struct sql_db_options *o) {
    sql_row_copy(row, "owner_name", o->owner, sizeof(o->owner));
    o->trustworthy = sql_row_bool(row, "is_trustworthy_on");
    o->broker = sql_row_bool(row, "is_broker_enabled");
    o->db_chaining = sql_row_bool(row, "is_db_chaining_on");
    o->honor_broker_priority = sql_row_bool(row, "is_honor_broker_priority_on");
    o->cdc = sql_row_bool(row, "is_cdc_enabled");
    o->published = sql_row_bool(row, "is_published");
    o->merge_published = sql_row_bool(row, "is_merge_published");
    o->subscribed = sql_row_bool(row, "is_subscribed");
}

static int list_row(void *user, const struct sql_row *row, struct err *err) {
    struct list_job *job = user;
    struct sql_database db = {0};
    if (!sql_row_int(row, "database_id", &db.id) || !sql_row_copy(row, "name", db.name, sizeof(db.name)) || !db.name[0] ||
        !sql_row_int(row, "state", &db.state) || !sql_row_int(row, "recovery_model", &db.recovery))
        return err_set(err, ERR_PROTOCOL, "sys.databases: row of '%s' is not complete", db.name);
    sql_row_copy(row, "state_desc", db.state_text, sizeof(db.state_text));
    sql_row_int(row, "user_access", &db.user_access);
    db.standby = sql_row_bool(row, "is_in_standby");
    db.read_only = sql_row_bool(row, "is_read_only");
    db.auto_close = sql_row_bool(row, "is_auto_close_on");
    db.snapshot = sql_row_text(row, "source_database_id") != NULL;
    db.in_group = sql_row_text(row, "replica_id") != NULL;
    db.system = db.id <= 4;
    db.encrypted = sql_row_bool(row, "is_encrypted");
    sql_row_int(row, "page_verify_option", &db.page_verify);
    sql_row_int(row, "compatibility_level", &db.compat_level);
    sql_row_at(row, "create_date", job->clock ? job->clock->utc_offset_s : 0, &db.created_at);
    sql_row_copy(row, "collation_name", db.collation, sizeof(db.collation));
    sql_row_copy(row, "log_reuse_wait_desc", db.log_reuse_wait, sizeof(db.log_reuse_wait));
    read_options(row, &db.options);
    job->list.items = mem_grow(job->list.items, &job->cap, job->list.count + 1, sizeof(*job->list.items));
    job->list.items[job->list.count++] = db;
    return 0;
}

int sql_databases_read(struct sql_session *session, const struct sql_clock *clock, struct sql_database_list *ret_list,
                       struct err *err) {
    struct list_job job = {.clock = clock};
    if (sql_query(session, list_text, NULL, list_row, &job, err) < 0) {
        sql_databases_done(&job.list);
        return err_context(err, "listing databases");
    }
    *ret_list = job.list;
    return 0;
}

void sql_databases_done(struct sql_database_list *list) {
    mem_free(list->items);
    *list = (struct sql_database_list){0};
}

const struct sql_database *sql_databases_find(const struct sql_database_list *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (str_ieq(list->items[i].name, name))
            return &list->items[i];
    return NULL;
}

static const char *state_skip(int state) {
    switch (state) {
    case SQL_DB_ONLINE:
        return NULL;
    case SQL_DB_RESTORING:
        return "restoring";
    case SQL_DB_RECOVERING:
        return "recovering";
    case SQL_DB_RECOVERY_PENDING:
        return "recovery_pending";
    case SQL_DB_SUSPECT:
        return "suspect";
    case SQL_DB_EMERGENCY:
        return "emergency";
    case SQL_DB_COPYING:
        return "copying";
    default:
        return "offline";
    }
}

const char *sql_database_skip(const struct sql_database *db, enum backup_kind kind) {
    if (!strcmp(db->name, "tempdb"))
        return "tempdb";
    if (db->snapshot)
        return "snapshot";
    if (db->in_group)
        return "availability_group";
    const char *skip = state_skip(db->state);
    if (skip)
        return skip;
    if (db->standby)
        return "standby";
    if (!strcmp(db->name, "master") && kind != BACKUP_FULL)
        return "master_full_only";
    if (kind == BACKUP_LOG && db->recovery == SQL_RECOVERY_SIMPLE)
        return "simple_recovery";
    return NULL;
}
