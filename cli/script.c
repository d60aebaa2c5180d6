/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/script.h"

#include <string.h>

#include "cli/text.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/text.h"

#define PATH_UNITS 259

/* ---- for people ---- */

/* Text from elsewhere must not end the comment's line. */
static void put_comment(struct buf *out, const char *text) {
    _cleanup_free_ char *clean = text_clean(text);
    buf_printf(out, "-- %s\n", clean);
}

static void put_offset(const struct chain_stop *stop, struct buf *out) {
    int32_t s = stop->utc_offset_s < 0 ? -stop->utc_offset_s : stop->utc_offset_s;
    buf_printf(out, "-- STOPAT is the local time of the server that took the backups: UTC%c%02d:%02d%s.\n",
               stop->utc_offset_s < 0 ? '-' : '+', s / 3600, s / 60 % 60,
               stop->offset_known ? "" : ", which is assumed: the backups do not say it");
}

static void put_head(const struct script *s, struct buf *out) {
    _cleanup_free_ char *what = mem_printf("Restores %s to %s, from %s. Made by %s.", s->database, s->target, s->from,
                                           s->program);
    put_comment(out, what);
    buf_puts(out, "-- Run it as one batch, by a login that may restore: sqlcmd -x -b -i restore.sql\n"
                  "-- It stops at the first error, and replaces no database.\n");
    if (s->plan->stop.kind == CHAIN_STOP_AT)
        put_offset(&s->plan->stop, out);
    for (size_t i = 0; i < s->note_count; i++)
        put_comment(out, s->notes[i]);
}

/* ---- variables ---- */

static void put_folder(const struct script *s, struct buf *out) {
    if (!s->folder)
        return;
    size_t len = strlen(s->folder);
    bool windows = strchr(s->folder, '\\') && !strchr(s->folder, '/');
    bool ended = len && (s->folder[len - 1] == '/' || s->folder[len - 1] == '\\');
    _cleanup_free_ char *folder = mem_printf("%s%s", s->folder, ended ? "" : windows ? "\\" : "/");
    buf_puts(out, "DECLARE @files nvarchar(260) = ");
    sql_quote_text_max(out, folder, PATH_UNITS);
    buf_puts(out, "; -- where the backup files are, as SQL Server sees them\n");
}

static const char *ending_of(const struct script_move *move) {
    switch (move->type) {
    case 'D':
        return move->id == 1 ? ".mdf" : ".ndf";
    case 'L':
        return ".ldf";
    default: /* a folder */
        return "";
    }
}

static void put_variables(const struct script *s, struct buf *out) {
    size_t paths = 0, moves = 0, at = 0;
    for (size_t i = 0; i < s->count; i++) {
        paths = s->members[i].path_count > paths ? s->members[i].path_count : paths;
        for (size_t k = 0; k < s->members[i].move_count; k++)
            moves += !s->members[i].moves[k].physical;
    }
    buf_puts(out, "DECLARE @database sysname = ");
    sql_quote_text_max(out, s->database, SQL_NAME_CHARS);
    buf_puts(out, "; -- the name to restore under\n");
    put_folder(s, out);
    if (moves)
        buf_puts(out,
                 "DECLARE @data nvarchar(260) = CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultDataPath'));\n"
                 "DECLARE @log nvarchar(260) = CONVERT(nvarchar(260), SERVERPROPERTY('InstanceDefaultLogPath'));\n"
                 "-- The names of the database's files begin with this.\n"
                 "DECLARE @stem nvarchar(128) = REPLACE(REPLACE(REPLACE(@database, N'/', N'_'), N'\\', N'_'), N':', N'_');\n");
    for (size_t i = 0; i < s->count; i++)
        for (size_t k = 0; k < s->members[i].move_count; k++) {
            const struct script_move *m = &s->members[i].moves[k];
            if (m->physical)
                continue;
            buf_printf(out, "DECLARE @move%zu nvarchar(260) = %s + @stem + N'_%u%s';\n", ++at, m->type == 'L' ? "@log" : "@data",
                       m->id, ending_of(m));
        }
    for (size_t i = 0; i < paths && s->folder; i++)
        buf_printf(out, "DECLARE @file%zu nvarchar(260);\n", i + 1);
}

/* ---- statements ---- */

static bool is_url(const char *path) {
    return str_starts(path, "https://") || str_starts(path, "http://") || str_starts(path, "s3://");
}

static void put_set_files(const struct script *s, const struct script_member *m, const char *indent, struct buf *out) {
    for (size_t i = 0; i < m->path_count && s->folder; i++) {
        buf_printf(out, "%sSET @file%zu = @files + ", indent, i + 1);
        sql_quote_text_max(out, m->paths[i], PATH_UNITS);
        buf_puts(out, ";\n");
    }
}

static void put_devices(const struct script *s, const struct script_member *m, struct buf *out) {
    for (size_t i = 0; i < m->path_count; i++) {
        buf_puts(out, i ? ", " : " FROM ");
        if (s->folder) {
            buf_printf(out, "DISK = @file%zu", i + 1);
            continue;
        }
        buf_puts(out, is_url(m->paths[i]) ? "URL = " : "DISK = ");
        sql_quote_text_max(out, m->paths[i], PATH_UNITS);
    }
}

/* `move` counts the moves of all members before. */
static void put_restore(const struct script *s, size_t n, size_t *move, bool recovery, const char *indent, struct buf *out) {
    const struct script_member *m = &s->members[n];
    char stop[CHAIN_STOP_TEXT_MAX];
    put_set_files(s, m, indent, out);
    buf_printf(out, "%sRESTORE %s @database", indent, m->set->kind == BACKUP_LOG ? "LOG" : "DATABASE");
    put_devices(s, m, out);
    buf_printf(out, "\n%s    WITH FILE = %u, %s", indent, m->set->position ? m->set->position : 1,
               recovery ? "RECOVERY" : "NORECOVERY");
    if (backup_has(m->set, BACKUP_CHECKSUMS))
        buf_puts(out, ", CHECKSUM");
    if (m->member->damaged)
        buf_puts(out, ", CONTINUE_AFTER_ERROR");
    if (m->member->stop && *chain_stop_sql(stop, &s->plan->stop))
        buf_printf(out, ", %s", stop);
    for (size_t i = 0; i < m->move_count; i++) {
        buf_printf(out, ",\n%s    MOVE ", indent);
        sql_quote_text_max(out, m->moves[i].logical, SQL_NAME_CHARS);
        buf_puts(out, " TO ");
        if (m->moves[i].physical)
            sql_quote_text_max(out, m->moves[i].physical, PATH_UNITS);
        else
            buf_printf(out, "@move%zu", ++*move);
    }
    buf_printf(out, ";\n%sIF @@ERROR <> 0\n%s    RETURN;\n", indent, indent);
}

static void put_member_comment(const struct script *s, size_t n, struct buf *out) {
    static const char *const kinds[BACKUP_KIND_COUNT] = {
        [BACKUP_FULL] = "full", [BACKUP_DIFF] = "differential", [BACKUP_LOG] = "log"};
    const struct backup *set = s->members[n].set;
    char finish[CLOCK_TEXT_MAX], first[LSN_TEXT_MAX], last[LSN_TEXT_MAX];
    buf_printf(out, "\n-- %zu of %zu: %s, finished %s, LSN %s to %s\n", n + 1, s->count, kinds[set->kind],
               clock_format(finish, set->finish_at), lsn_format(first, set->first_lsn), lsn_format(last, set->last_lsn));
}

#define IS_RESTORING "EXISTS (SELECT 1 FROM sys.databases WHERE name = @database AND state = 1)"

static void put_statements(const struct script *s, struct buf *out) {
    size_t move = 0;
    for (size_t i = 0; i < s->count; i++) {
        bool maybe_next = i + 1 < s->count && s->members[i + 1].member->if_needed;
        bool maybe = s->members[i].member->if_needed;
        put_member_comment(s, i, out);
        if (maybe)
            buf_puts(out, "-- only when the moment was not reached: then the database is still RESTORING\n"
                          "IF " IS_RESTORING "\nBEGIN\n");
        else if (maybe_next)
            buf_puts(out,
                     "-- recovers when the moment is in it; else (4322) the database stays RESTORING and the next log follows\n");
        put_restore(s, i, &move, maybe_next && s->members[i].member->stop, maybe ? "    " : "", out);
        if (maybe)
            buf_puts(out, "END\n");
    }
}

/* A client that reads a file looks at lines: a line's end inside of a name could become one of its commands. */
static int check_text(const char *text, struct err *err) {
    if (!text || str_is_clean_utf8(text, strlen(text)))
        return 0;
    _cleanup_free_ char *clean = text_clean(text);
    return err_set(err, ERR_USAGE, "'%s' has control characters: it cannot be said in a script", clean);
}

static int check(const struct script *s, struct err *err) {
    int rc = check_text(s->database, err) < 0 || check_text(s->folder, err) < 0 ? -1 : 0;
    for (size_t i = 0; i < s->count && rc == 0; i++) {
        const struct script_member *m = &s->members[i];
        for (size_t k = 0; k < m->path_count && rc == 0; k++)
            rc = check_text(m->paths[k], err);
        for (size_t k = 0; k < m->move_count && rc == 0; k++)
            rc = check_text(m->moves[k].logical, err) < 0 ? -1 : check_text(m->moves[k].physical, err);
    }
    return rc == 0 ? check_text(s->plan->stop.value, err) : -1;
}

int script_write(const struct script *script, struct buf *out, struct err *err) {
    if (check(script, err) < 0)
        return -1;
    put_head(script, out);
    buf_puts(out, "USE master;\n");
    put_variables(script, out);
    buf_puts(out,
             "\nIF " IS_RESTORING "\nBEGIN\n"
             "    RAISERROR(N'The database %s is RESTORING already: a secondary of log shipping or a mirror, or what an earlier "
             "run of "
             "this script left. Change @database, or drop that one if it is not needed.', 16, 1, @database);\n    RETURN;\nEND\n"
             "IF DB_ID(@database) IS NOT NULL\nBEGIN\n"
             "    RAISERROR(N'There is a database %s already. Change @database, or take the tail of that one first: BACKUP LOG "
             "... WITH NORECOVERY.', 16, 1, @database);\n    RETURN;\nEND\n");
    put_statements(script, out);
    buf_puts(out, "\nIF " IS_RESTORING "\n    RESTORE DATABASE @database WITH RECOVERY;\n"
                  "SELECT name, state_desc FROM sys.databases WHERE name = @database;\n");
    return sql_text_check(out, "the script", err);
}
