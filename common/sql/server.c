/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/server.h"

#include "common/sql/int.h"

bool sql_edition_compresses(const char *edition, int engine_edition) {
    return engine_edition != 4 && !str_starts(edition, "Express") && !str_starts(edition, "Web");
}

/* --- clock ----------------------------------------------------------------------------------------------------- */

struct clock_job {
    int64_t began, began_mono;
    struct sql_clock clock;
};

bool sql_clock_parse(const char *text, int64_t asked_at, int64_t asked_mono_us, struct sql_clock *ret_clock) {
    struct sql_clock clock = {0};
    if (!text || !sql_date_parse(text, 0, &clock.server_at))
        return false;
    clock.utc_offset_s = sql_date_offset(text);
    clock.round_trip_us = clock_mono_us() - asked_mono_us;
    clock.sampled_at = asked_at + clock.round_trip_us / 2;
    clock.offset_us = clock.server_at - clock.sampled_at;
    *ret_clock = clock;
    return true;
}

static int clock_row(void *user, const struct sql_row *row, struct err *err) {
    struct clock_job *job = user;
    const char *text = sql_row_text(row, "server_now");
    return sql_clock_parse(text, job->began, job->began_mono, &job->clock)
               ? 0
               : err_set(err, ERR_PROTOCOL, "the server's time '%s' cannot be read", text ? text : "NULL");
}

int sql_clock_read(struct sql_session *session, struct sql_clock *ret_clock, struct err *err) {
    struct clock_job job = {.began = clock_wall(), .began_mono = clock_mono_us()};
    if (sql_query(session, "SELECT SYSDATETIMEOFFSET() AS server_now", NULL, clock_row, &job, err) < 0)
        return err_context(err, "reading the server's clock");
    if (!job.clock.server_at)
        return err_set(err, ERR_PROTOCOL, "the server did not tell its time");
    *ret_clock = job.clock;
    return 0;
}

/* --- properties ------------------------------------------------------------------------------------------------ */

static int spid_row(void *user, const struct sql_row *row, struct err *err) {
    return sql_row_int(row, "spid", user) ? 0 : err_set(err, ERR_PROTOCOL, "@@SPID is not a number");
}

int sql_spid_read(struct sql_session *session, int *ret_spid, struct err *err) {
    int spid = 0;
    if (sql_query(session, "SELECT CONVERT(int, @@SPID) AS spid", NULL, spid_row, &spid, err) < 0)
        return err_context(err, "reading the session id");
    *ret_spid = spid;
    return 0;
}

static const char properties[] = "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')) AS version, "
                                 "CONVERT(nvarchar(128), SERVERPROPERTY('ProductLevel')) AS level, "
                                 "CONVERT(nvarchar(128), SERVERPROPERTY('ProductUpdateLevel')) AS update_level, "
                                 "CONVERT(nvarchar(128), SERVERPROPERTY('Edition')) AS edition, "
                                 "CONVERT(int, SERVERPROPERTY('EngineEdition')) AS engine_edition, "
                                 "CONVERT(nvarchar(128), @@SERVERNAME) AS server_name, "
                                 "CONVERT(nvarchar(128), SERVERPROPERTY('ServerName')) AS property_name, "
                                 "CONVERT(nvarchar(128), SERVERPROPERTY('MachineName')) AS machine, "
                                 "CONVERT(nvarchar(128), SERVERPROPERTY('Collation')) AS collation, "
                                 "CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultDataPath')) AS data_path, "
                                 "CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultLogPath')) AS log_path, "
                                 "CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultBackupPath')) AS backup_path, "
                                 "CONVERT(int, SERVERPROPERTY('IsHadrEnabled')) AS hadr, "
                                 "CONVERT(int, SERVERPROPERTY('IsSingleUser')) AS single_user";

static bool parse_version(const char *text, struct sql_server *server) {
    int *const parts[] = {&server->major, &server->minor, &server->build, &server->revision};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        int n = 0, digits = 0;
        for (; *text >= '0' && *text <= '9' && digits < 8; text++, digits++)
            n = n * 10 + (*text - '0');
        if (!digits)
            return false;
        *parts[i] = n;
        if (*text != '.')
            return *text == 0 && i >= 1; /* "16.0" at least */
        text++;
    }
    return true;
}

static int properties_row(void *user, const struct sql_row *row, struct err *err) {
    struct sql_server *s = user;
    const char *level = sql_row_text(row, "update_level");
    sql_row_copy(row, "version", s->version, sizeof(s->version));
    if (!parse_version(s->version, s))
        return err_set(err, ERR_UNSUPPORTED, "the server's version '%s' is not one of SQL Server", s->version);
    str_copy(s->level, sizeof(s->level), level ? level : sql_row_text(row, "level") ? sql_row_text(row, "level") : "");
    sql_row_copy(row, "edition", s->edition, sizeof(s->edition));
    sql_row_int(row, "engine_edition", &s->engine_edition);
    s->compression = s->encryption = sql_edition_compresses(s->edition, s->engine_edition);
    /* @@SERVERNAME is NULL after sp_dropserver without sp_addserver. */
    sql_row_copy(row, sql_row_text(row, "server_name") ? "server_name" : "property_name", s->name, sizeof(s->name));
    sql_row_copy(row, "machine", s->machine, sizeof(s->machine));
    sql_row_copy(row, "collation", s->collation, sizeof(s->collation));
    sql_row_copy(row, "data_path", s->data_path, sizeof(s->data_path));
    sql_row_copy(row, "log_path", s->log_path, sizeof(s->log_path));
    sql_row_copy(row, "backup_path", s->backup_path, sizeof(s->backup_path));
    s->hadr_enabled = sql_row_bool(row, "hadr");
    s->single_user = sql_row_bool(row, "single_user");
    return 0;
}

static int start_row(void *user, const struct sql_row *row, struct err *err) {
    struct sql_server *s = user;
    (void)err;
    sql_row_at(row, "sqlserver_start_time", s->clock.utc_offset_s, &s->started_at);
    return 0;
}

static int host_row(void *user, const struct sql_row *row, struct err *err) {
    struct sql_server *s = user;
    (void)err;
    sql_row_copy(row, "host_platform", s->platform, sizeof(s->platform));
    sql_row_copy(row, "host_distribution", s->distribution, sizeof(s->distribution));
    return 0;
}

static int compression_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    sql_row_int(row, "value", user);
    return 0;
}

static int trace_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    int *on = user;
    if (sql_row_has(row, "Global"))
        *on = sql_row_bool(row, "Status") && sql_row_bool(row, "Global");
    return 0;
}

int sql_server_read(struct sql_session *session, struct sql_server *ret_server, struct err *err) {
    struct sql_server *s = mem_alloc(sizeof(*s));
    s->compression_default = -1;
    s->trace_3226 = -1;
    int rc = sql_query(session, properties, NULL, properties_row, s, err);
    if (rc == 0 && !s->major)
        rc = err_set(err, ERR_PROTOCOL, "the server did not tell its version");
    if (rc == 0)
        rc = sql_clock_read(session, &s->clock, err);
    if (rc == 0)
        rc = sql_query_if_able(session, "SELECT sqlserver_start_time FROM sys.dm_os_sys_info", start_row, s, err);
    if (rc == 0)
        rc = sql_query_if_able(session, "SELECT host_platform, host_distribution FROM sys.dm_os_host_info", host_row, s, err);
    if (rc == 0)
        rc = sql_query_if_able(session,
                               "SELECT CONVERT(int, value_in_use) AS value FROM sys.configurations "
                               "WHERE configuration_id = 1579",
                               compression_row, &s->compression_default, err);
    if (rc == 0)
        rc = sql_query_if_able(session, "DBCC TRACESTATUS(3226) WITH NO_INFOMSGS", trace_row, &s->trace_3226, err);
    if (rc == 0)
        *ret_server = *s;
    mem_free(s);
    return rc < 0 ? err_context(err, "reading the facts of the server") : 0;
}
