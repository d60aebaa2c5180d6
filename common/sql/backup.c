/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/backup.h"

#include <ctype.h>
#include <string.h>

#include "common/sql/errors.h"
#include "common/sql/int.h"

static int check_request(const struct sql_backup_request *r, struct err *err) {
    if (!r->database || !r->name || !r->path_count || !r->paths)
        return err_set(err, ERR_INTERNAL, "a backup needs a database, a name and a file");
    if (r->path_count > SQL_DEVICES_MAX)
        return err_set(err, ERR_LIMIT, "a backup cannot have more than %d files, %zu were given", SQL_DEVICES_MAX, r->path_count);
    if (r->kind >= BACKUP_KIND_COUNT)
        return err_set(err, ERR_INTERNAL, "unknown kind of backup %d", (int)r->kind);
    if (r->kind == BACKUP_DIFF && r->copy_only)
        return err_set(err, ERR_USAGE, "a differential backup cannot be copy-only");
    if ((r->tail_norecovery || r->no_truncate) && r->kind != BACKUP_LOG)
        return err_set(err, ERR_USAGE, "only a log backup can take the tail of the log");
    if (r->max_transfer_bytes % 65536 || r->max_transfer_bytes > 4u * 1024 * 1024)
        return err_set(err, ERR_CONFIG, "the transfer size must be a multiple of 64 KiB up to 4 MiB, not %u",
                       r->max_transfer_bytes);
    for (size_t i = 0; i < r->path_count; i++)
        if (r->paths[i][0] != '/')
            return err_set(err, ERR_USAGE, "backup file '%s' is not an absolute path", r->paths[i]);
    return 0;
}

static void put_disks(struct buf *out, const char *const *paths, size_t count) {
    for (size_t i = 0; i < count; i++) {
        buf_puts(out, i ? ", DISK = " : "DISK = ");
        sql_quote_text_max(out, paths[i], SQL_PATH_CHARS);
    }
}

int sql_backup_text(const struct sql_backup_request *r, enum sql_compression compression, struct buf *out, struct err *err) {
    if (check_request(r, err) < 0)
        return -1;
    if (r->before)
        buf_printf(out, "%s ", r->before);
    buf_puts(out, r->kind == BACKUP_LOG ? "BACKUP LOG " : "BACKUP DATABASE ");
    sql_quote_name(out, r->database);
    buf_puts(out, " TO ");
    put_disks(out, r->paths, r->path_count);
    /* Without INIT a backup is appended to what is there. FORMAT makes a new media set even of a foreign file. */
    buf_printf(out, " WITH %sINIT, FORMAT, NAME = ", r->kind == BACKUP_DIFF ? "DIFFERENTIAL, " : "");
    sql_quote_text_max(out, r->name, SQL_NAME_CHARS);
    if (r->description) {
        buf_puts(out, ", DESCRIPTION = ");
        sql_quote_text_max(out, r->description, 255);
    }
    buf_puts(out, r->no_checksum ? ", NO_CHECKSUM" : ", CHECKSUM");
    if (compression != SQL_COMPRESSION_DEFAULT)
        buf_puts(out, compression == SQL_COMPRESSION_ON ? ", COMPRESSION" : ", NO_COMPRESSION");
    if (r->copy_only)
        buf_puts(out, ", COPY_ONLY");
    if (r->continue_after_error)
        buf_puts(out, ", CONTINUE_AFTER_ERROR");
    if (r->no_truncate)
        buf_puts(out, ", NO_TRUNCATE");
    if (r->tail_norecovery)
        buf_puts(out, ", NORECOVERY");
    if (r->buffer_count)
        buf_printf(out, ", BUFFERCOUNT = %u", r->buffer_count);
    if (r->max_transfer_bytes)
        buf_printf(out, ", MAXTRANSFERSIZE = %u", r->max_transfer_bytes);
    buf_printf(out, ", STATS = %u", r->stats_percent ? r->stats_percent : 5);
    return sql_text_check(out, "BACKUP", err);
}

/* --- running --------------------------------------------------------------------------------------------------- */

static void on_message(void *user, const struct sql_message *message) {
    const struct sql_backup_request *r = user;
    if (message->number != 3211 || !r->progress)
        return;
    const char *p = message->text;
    while (*p && !isdigit((unsigned char)*p))
        p++;
    int percent = 0;
    for (; isdigit((unsigned char)*p) && percent <= 100; p++)
        percent = percent * 10 + (*p - '0');
    r->progress(r->user, percent);
}

static void on_tick(void *user) {
    const struct sql_backup_request *r = user;
    if (r->tick)
        r->tick(r->user);
}

/* Digits after `word`, NULL when they are not there. */
static const char *number_after(const char *text, const char *word) {
    const char *p = strstr(text, word);
    if (!p)
        return NULL;
    p += strlen(word);
    return isdigit((unsigned char)*p) ? p : NULL;
}

/* "BACKUP LOG successfully processed 322 pages in 0.030 seconds (83.8 MB/sec)." */
static void parse_done(const char *text, struct sql_backup_result *result) {
    const char *p = number_after(text, "processed ");
    for (; p && isdigit((unsigned char)*p) && result->pages < UINT64_MAX / 10; p++)
        result->pages = result->pages * 10 + (uint64_t)(*p - '0');
    p = number_after(text, " in ");
    int64_t ms = 0, unit = 1000;
    bool fraction = false;
    for (; p && (isdigit((unsigned char)*p) || (*p == '.' && !fraction)) && ms < INT64_MAX / 100000; p++) {
        if (*p == '.') {
            fraction = true;
        } else if (!fraction) {
            ms = ms * 10 + (int64_t)(*p - '0') * 1000;
        } else {
            unit /= 10;
            ms += (*p - '0') * unit;
        }
    }
    result->duration_ms = ms;
}

/* Are all errors reports of bad pages, which CONTINUE_AFTER_ERROR goes on over? */
static bool only_damage(const struct sql_messages *messages) {
    bool any = false;
    for (size_t i = 0; i < messages->count; i++) {
        if (messages->items[i].severity <= 10)
            continue;
        if (sql_error_find(messages->items[i].number)->reaction != SQL_MEDIA)
            return false;
        any = true;
    }
    return any;
}

/* One attempt. The server's final word decides: when 3014 came and no error, the backup is there and the log is truncated, even if
 * a cancel or the loss of the connection crossed it. */
static int attempt(struct sql_session *session, const struct sql_backup_request *r, enum sql_compression compression,
                   struct sql_backup_result *result, struct err *err) {
    struct sql_backup_request copy = *r; /* callbacks want a pointer that is not const */
    const struct sql_call call = {
        .timeout_s = SQL_TIMEOUT_NONE, .cancel = r->cancel, .tick = on_tick, .message = on_message, .user = &copy};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    *result = (struct sql_backup_result){0};
    int rc = sql_backup_text(r, compression, &text, err);
    if (rc < 0) {
        buf_done(&text);
        return rc;
    }
    rc = sql_run(session, text.data, &call, NULL, NULL, &result->messages, err);
    buf_done(&text);
    const struct sql_message *done = sql_messages_find(&result->messages, 3014);
    result->damaged = sql_messages_find(&result->messages, 3043) || sql_messages_find(&result->messages, 3049);
    if (rc < 0 && done &&
        (r->before || !sql_messages_cause(&result->messages) || (r->continue_after_error && only_damage(&result->messages))))
        rc = 0; /* errors of the statements before it, too: the backup is the last one */
    if (rc == 0 && !done)
        rc = err_set(err, ERR_PROTOCOL, "SQL Server ended the statement without saying that the backup is complete");
    if (rc == 0)
        parse_done(done->text, result);
    return rc;
}

int sql_backup_run(struct sql_session *session, const struct sql_backup_request *r, struct sql_server *server,
                   struct sql_backup_result *ret_result, struct err *err) {
    struct sql_backup_result result = {0};
    struct err e;
    err_clear(&e);
    enum sql_compression compression = r->compression;
    bool fell_back = compression == SQL_COMPRESSION_ON && server && !server->compression;
    if (fell_back)
        compression = SQL_COMPRESSION_OFF;
    int rc = attempt(session, r, compression, &result, &e);
    if (rc < 0 && compression == SQL_COMPRESSION_ON && sql_messages_find(&result.messages, 1844)) {
        if (server)
            server->compression = false;
        fell_back = true;
        compression = SQL_COMPRESSION_OFF;
        sql_messages_done(&result.messages);
        rc = attempt(session, r, compression, &result, &e);
    }
    if (rc < 0) {
        sql_messages_done(&result.messages);
        err_copy(err, &e);
        return err_context(err, "%s backup of '%s'", backup_kind_name(r->kind < BACKUP_KIND_COUNT ? r->kind : BACKUP_FULL),
                           r->database ? r->database : "");
    }
    result.compressed = compression == SQL_COMPRESSION_ON;
    result.fell_back = fell_back;
    *ret_result = result;
    return 0;
}

int sql_verify(struct sql_session *session, const char *const *paths, size_t path_count, const struct sql_call *call,
               struct err *err) {
    static const struct sql_call forever = {.timeout_s = SQL_TIMEOUT_NONE};
    struct sql_messages messages = {0};
    struct buf text;
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, "RESTORE VERIFYONLY FROM ");
    put_disks(&text, paths, path_count);
    buf_puts(&text, " WITH CHECKSUM, STOP_ON_ERROR");
    int rc = sql_text_check(&text, "RESTORE VERIFYONLY", err);
    if (rc == 0)
        rc = sql_run(session, text.data, call ? call : &forever, NULL, NULL, &messages, err);
    if (rc == 0 && !sql_messages_find(&messages, 3262))
        rc = err_set(err, ERR_PROTOCOL, "SQL Server ended the statement without saying that the set is valid");
    sql_messages_done(&messages);
    buf_done(&text);
    return rc < 0 ? err_context(err, "verifying '%s'", path_count ? paths[0] : "") : 0;
}

/* --- progress -------------------------------------------------------------------------------------------------- */

struct progress_job {
    struct sql_progress progress;
    bool found;
};

static int progress_row(void *user, const struct sql_row *row, struct err *err) {
    struct progress_job *job = user;
    (void)err;
    job->found = true;
    job->progress.left_ms = -1;
    sql_row_double(row, "percent_complete", &job->progress.percent);
    sql_row_i64(row, "estimated_completion_time", &job->progress.left_ms);
    sql_row_copy(row, "wait_type", job->progress.wait, sizeof(job->progress.wait));
    sql_row_int(row, "blocking_session_id", &job->progress.blocked_by);
    if (job->progress.left_ms == 0 && job->progress.percent < 1)
        job->progress.left_ms = -1; /* not estimated yet */
    return 0;
}

int sql_progress_read(struct sql_session *session, int spid, struct sql_progress *ret_progress, struct err *err) {
    struct progress_job job = {0};
    char text[256];
    str_format(text, sizeof(text),
               "SELECT percent_complete, estimated_completion_time, wait_type, blocking_session_id "
               "FROM sys.dm_exec_requests WHERE session_id = %d",
               spid);
    if (sql_query(session, text, NULL, progress_row, &job, err) < 0)
        return err_context(err, "progress of session %d", spid);
    if (!job.found)
        return err_set(err, ERR_NOT_FOUND, "session %d runs nothing", spid);
    *ret_progress = job.progress;
    return 0;
}
