/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQL Server client of common/sql for tests: commands in lines on stdin, fields separated by tabs, one JSON object per
 * answer on stdout. A command that begins with '&' runs on a thread of its own, so that cancel and abort reach it.
 *
 * Usage: sqlprobe RUNTIME_DIR. The commands are in the table at the end.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/chain/state.h"
#include "common/sql/backup.h"
#include "common/sql/connect.h"
#include "common/sql/errors.h"
#include "common/sql/grant.h"
#include "common/sql/history.h"
#include "common/sql/preflight.h"
#include "tests/integration/tools/probe_json.h"

#define FIELDS_MAX 24

static struct sql_session *session;
static struct sql_server server;
static struct sql_params params;
static struct secret *password;
static char *param_texts[4];
static pthread_mutex_t out_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool cancel_flag;

/* --- output ---------------------------------------------------------------------------------------------------- */

static void say(struct buf *b) {
    pthread_mutex_lock(&out_lock);
    puts(b->data);
    fflush(stdout);
    pthread_mutex_unlock(&out_lock);
    buf_done(b);
}

static void begin(struct buf *b, const char *first) {
    buf_init(b, 64u << 20);
    buf_puts(b, first);
}

static void say_err(const char *command, const struct err *err) {
    struct buf b;
    begin(&b, "{");
    put_text(&b, "command", command);
    put_text(&b, "class", err_class_name(err->class));
    put_text(&b, "reaction", sql_reaction_name(sql_err_reaction(err)));
    put_number(&b, "number", err->sql_number);
    put_text(&b, "error", err->text);
    buf_putc(&b, '}');
    say(&b);
}

static void say_event(const char *event, const struct sql_message *m) {
    struct buf b;
    begin(&b, "{");
    put_text(&b, "event", event);
    if (m) {
        put_number(&b, "number", m->number);
        put_text(&b, "text", m->text);
    }
    buf_putc(&b, '}');
    say(&b);
}

static void on_tick(void *user) {
    (void)user;
    say_event("tick", NULL);
}
static void on_message(void *user, const struct sql_message *message) {
    (void)user;
    say_event("message", message);
}
static void on_progress(void *user, double percent) {
    struct sql_message m = {.number = (int)percent};
    (void)user;
    say_event("progress", &m);
}

/* --- connection ------------------------------------------------------------------------------------------------ */

static const char *field(char *const *f, int i) {
    for (int k = 0; k <= i; k++)
        if (!f[k])
            return NULL;
    return f[i][0] ? f[i] : NULL;
}

static int number(char *const *f, int i, int fallback) {
    int64_t v;
    const char *s = field(f, i);
    return s && str_to_i64(s, INT32_MIN, INT32_MAX, &v) ? (int)v : fallback;
}

static void keep(int i, const char *value) {
    mem_free(param_texts[i]);
    param_texts[i] = value ? mem_strdup(value) : NULL;
}

/* host port user password encryption ca check_hostname login_timeout database */
static int cmd_params(char *const *f, struct buf *b, struct err *err) {
    static const char *const modes[] = {"request", "off", "require"};
    (void)b, (void)err;
    keep(0, field(f, 1));
    keep(1, field(f, 3));
    keep(2, field(f, 6));
    keep(3, field(f, 9));
    secret_free(password);
    password = secret_new(field(f, 4) ? field(f, 4) : "", field(f, 4) ? strlen(field(f, 4)) : 0);
    params = (struct sql_params){.host = param_texts[0],
                                 .port = (uint16_t)number(f, 2, 0),
                                 .user = param_texts[1],
                                 .password = password,
                                 .ca_file = param_texts[2],
                                 .database = param_texts[3],
                                 .check_hostname = number(f, 7, 0),
                                 .login_timeout_s = (unsigned)number(f, 8, 0)};
    for (int i = 0; i < 3; i++)
        if (field(f, 5) && !strcmp(field(f, 5), modes[i]))
            params.encryption = (enum sql_encryption)i;
    return 0;
}

static int cmd_open(char *const *f, struct buf *b, struct err *err) {
    (void)f, (void)b;
    sql_session_close(session);
    session = NULL;
    return sql_session_open(&params, &session, err);
}

static void on_waiting(void *user, const struct err *err, int64_t pause_ms) {
    (void)user, (void)pause_ms;
    say_err("waiting", err);
}

/* timeout_ms starting */
static int cmd_wait(char *const *f, struct buf *b, struct err *err) {
    struct sql_connect_wait wait = {
        .timeout_ms = number(f, 1, 0), .server_starting = number(f, 2, 0), .cancel = &cancel_flag, .waiting = on_waiting};
    (void)b;
    sql_session_close(session);
    session = NULL;
    return sql_session_open_wait(&params, &wait, &session, err);
}

static int query_row(void *user, const struct sql_row *row, struct err *err) {
    struct buf *b = user;
    (void)err;
    buf_puts(b, b->data[b->len - 1] == '[' ? "{" : ",{");
    for (size_t i = 0; i < row->count; i++)
        put_text(b, row->names[i], row->values[i]);
    buf_putc(b, '}');
    return 0;
}

static int refuse_row(void *user, const struct sql_row *row, struct err *err) {
    (void)user, (void)row;
    return err_set(err, ERR_LIMIT, "one row is enough");
}

/* timeout_s sql ["refuse"] */
static int cmd_query(char *const *f, struct buf *b, struct err *err) {
    const struct sql_call call = {.timeout_s = number(f, 1, 0), .cancel = &cancel_flag, .tick = on_tick, .message = on_message};
    buf_puts(b, ",\"rows\":[");
    int rc = sql_query(session, f[2], &call, field(f, 3) ? refuse_row : query_row, b, err);
    buf_putc(b, ']');
    return rc;
}

static int cmd_alive(char *const *f, struct buf *b, struct err *err) {
    (void)f, (void)err;
    put_number(b, "alive", session && sql_session_alive(session));
    return 0;
}

/* --- facts ----------------------------------------------------------------------------------------------------- */

static int cmd_server(char *const *f, struct buf *b, struct err *err) {
    int spid;
    (void)f;
    if (sql_server_read(session, &server, err) < 0 || sql_spid_read(session, &spid, err) < 0)
        return -1;
    put_text(b, "version", server.version);
    put_text(b, "edition", server.edition);
    put_text(b, "name", server.name);
    put_text(b, "collation", server.collation);
    put_text(b, "data_path", server.data_path);
    put_text(b, "platform", server.platform);
    put_number(b, "compression", server.compression);
    put_number(b, "trace", server.trace_3226);
    put_number(b, "compression_default", server.compression_default);
    put_number(b, "utc_offset_s", server.clock.utc_offset_s);
    put_number(b, "offset_us", (double)server.clock.offset_us);
    put_number(b, "spid", spid);
    put_at(b, "started_at", server.started_at);
    return 0;
}

static int each_database(char *const *f, struct sql_database *ret_db, struct err *err) {
    struct sql_database_list list;
    if (sql_databases_read(session, &server.clock, &list, err) < 0)
        return -1;
    const struct sql_database *db = sql_databases_find(&list, f[1]);
    if (db)
        *ret_db = *db;
    sql_databases_done(&list);
    return db ? 0 : err_set(err, ERR_NOT_FOUND, "no database '%s'", f[1]);
}

static int cmd_databases(char *const *f, struct buf *b, struct err *err) {
    struct sql_database_list list;
    struct sql_access_list access;
    (void)f;
    if (sql_databases_read(session, &server.clock, &list, err) < 0)
        return -1;
    int rc = sql_access_read(session, &list, &access, err);
    buf_puts(b, ",\"databases\":[");
    for (size_t i = 0; rc == 0 && i < list.count; i++) {
        const struct sql_database *db = &list.items[i];
        buf_puts(b, i ? ",{" : "{");
        put_text(b, "name", db->name);
        put_number(b, "id", db->id);
        put_number(b, "recovery", db->recovery);
        put_text(b, "owner", db->options.owner);
        put_text(b, "skip_full", sql_database_skip(db, BACKUP_FULL));
        put_text(b, "skip_log", sql_database_skip(db, BACKUP_LOG));
        put_number(b, "asked", access.items[i].asked);
        put_number(b, "data", access.items[i].data);
        put_number(b, "log", access.items[i].log);
        put_at(b, "created_at", db->created_at);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
    if (rc == 0)
        sql_access_done(&access);
    sql_databases_done(&list);
    return rc;
}

/* database due */
static int cmd_state(char *const *f, struct buf *b, struct err *err) {
    struct sql_database *db = mem_alloc(sizeof(*db));
    struct sql_look look;
    struct chain_restore restore;
    int rc = each_database(f, db, err);
    if (rc == 0 && (sql_database_look(session, db, SQL_LOOK_ALL, number(f, 2, 0), &look, err) < 0 ||
                    sql_restore_last(session, db->name, &server.clock, &restore, err) < 0))
        rc = -1;
    mem_free(db);
    if (rc < 0)
        return rc;
    const struct chain_server_state s = look.state;
    const struct sql_sizes sizes = look.sizes;
    put_number(b, "online", s.online);
    put_number(b, "model", s.model);
    put_lsn(b, "last_log_backup_lsn", s.last_log_backup_lsn);
    put_lsn(b, "log_end_lsn", s.log_end_lsn);
    put_guid(b, "fork", &s.recovery_fork_guid);
    put_guid(b, "family", &s.family_guid);
    put_guid(b, "base", &s.differential_base_guid);
    put_number(b, "allocated_pages", (double)s.allocated_pages);
    put_number(b, "modified_pages", (double)s.modified_pages);
    put_number(b, "full_bytes", (double)sizes.full_bytes);
    put_number(b, "log_file_bytes", (double)sizes.log_file_bytes);
    put_at(b, "created_at", s.create_at);
    put_at(b, "sampled_at", s.sampled_at);
    put_at(b, "restored_at", restore.at);
    return 0;
}

/* --- backups --------------------------------------------------------------------------------------------------- */

/* The rest of the fields as paths. */
static size_t paths_of(char *const *f, int from, const char **paths) {
    size_t n = 0;
    for (; n < 8 && field(f, from + (int)n); n++)
        paths[n] = f[from + (int)n];
    return n;
}

/* kind database name options paths...; options: comma-separated copy,compress,nocompress,tail,continue */
static int cmd_backup(char *const *f, struct buf *b, struct err *err) {
    const char *paths[8], *options = field(f, 4) ? f[4] : "";
    struct sql_backup_result result;
    struct sql_backup_request r = {.database = f[2],
                                   .name = f[3],
                                   .paths = paths,
                                   .path_count = paths_of(f, 5, paths),
                                   .copy_only = strstr(options, "copy") != NULL,
                                   .tail_norecovery = strstr(options, "tail") != NULL,
                                   .continue_after_error = strstr(options, "continue") != NULL,
                                   .cancel = &cancel_flag,
                                   .progress = on_progress,
                                   .tick = on_tick,
                                   .stats_percent = 10};
    if (strstr(options, "compress"))
        r.compression = strstr(options, "nocompress") ? SQL_COMPRESSION_OFF : SQL_COMPRESSION_ON;
    if (!backup_kind_parse(f[1], &r.kind))
        return err_set(err, ERR_USAGE, "kind '%s'", f[1]);
    if (sql_backup_run(session, &r, &server, &result, err) < 0)
        return -1;
    put_number(b, "pages", (double)result.pages);
    put_number(b, "duration_ms", (double)result.duration_ms);
    put_number(b, "fell_back", result.fell_back);
    put_number(b, "compressed", result.compressed);
    put_number(b, "damaged", result.damaged);
    put_number(b, "messages", (double)result.messages.count);
    sql_messages_done(&result.messages);
    return 0;
}

static void put_backup(struct buf *b, const struct backup *set) {
    put_text(b, "kind", backup_kind_name(set->kind));
    put_number(b, "flags", set->flags);
    put_lsn(b, "first_lsn", set->first_lsn);
    put_lsn(b, "last_lsn", set->last_lsn);
    put_lsn(b, "database_backup_lsn", set->database_backup_lsn);
    put_guid(b, "set", &set->set_guid);
    put_guid(b, "family", &set->family_guid);
    put_guid(b, "fork", &set->last_fork);
    put_guid(b, "base", &set->diff_base_guid);
    put_at(b, "start_at", set->start_at);
    put_at(b, "finish_at", set->finish_at);
    put_at(b, "valid_until", set->valid_until);
    put_number(b, "utc_offset_s", set->utc_offset_s);
    put_number(b, "size_bytes", (double)set->size_bytes);
}

static int cmd_header(char *const *f, struct buf *b, struct err *err) {
    const char *paths[8];
    struct sql_header h;
    if (sql_header_read(session, paths, paths_of(f, 1, paths), &server.clock, &h, err) < 0)
        return -1;
    put_backup(b, &h.backup);
    put_text(b, "name", h.name);
    put_text(b, "database", h.database);
    put_text(b, "server", h.server);
    put_text(b, "recovery_model", h.recovery_model);
    put_number(b, "software_major", h.software_major);
    return 0;
}

static int cmd_filelist(char *const *f, struct buf *b, struct err *err) {
    const char *paths[8];
    struct sql_file_list list;
    if (sql_filelist_read(session, paths, paths_of(f, 1, paths), &list, err) < 0)
        return -1;
    buf_puts(b, ",\"files\":[");
    for (size_t i = 0; i < list.count; i++)
        put_text(b, NULL, list.items[i].logical);
    buf_putc(b, ']');
    sql_files_done(&list);
    return 0;
}

static int cmd_verify(char *const *f, struct buf *b, struct err *err) {
    const char *paths[8];
    (void)b;
    return sql_verify(session, paths, paths_of(f, 1, paths), NULL, err);
}

/* spid */
static int cmd_progress(char *const *f, struct buf *b, struct err *err) {
    struct sql_progress p;
    if (sql_progress_read(session, number(f, 1, 0), &p, err) < 0)
        return -1;
    put_number(b, "percent", p.percent);
    put_number(b, "left_ms", (double)p.left_ms);
    return 0;
}

/* --- history --------------------------------------------------------------------------------------------------- */

/* name [device] */
static int cmd_find(char *const *f, struct buf *b, struct err *err) {
    struct sql_history h;
    if (sql_history_find(session, &server, f[1], field(f, 2), &h, err) < 0)
        return -1;
    put_backup(b, &h.backup);
    put_text(b, "device", h.device);
    return 0;
}

/* since prefix limit */
static int cmd_foreign(char *const *f, struct buf *b, struct err *err) {
    struct sql_history_list list;
    if (sql_foreign_read(session, &server, NULL, number(f, 1, 0), f[2], (unsigned)number(f, 3, 100), &list, err) < 0)
        return -1;
    put_number(b, "more", list.more);
    buf_puts(b, ",\"sets\":[");
    for (size_t i = 0; i < list.count; i++) {
        buf_puts(b, i ? ",{" : "{");
        put_backup(b, &list.items[i].backup);
        put_number(b, "id", (double)list.items[i].set_id);
        put_text(b, "database", list.items[i].database);
        put_text(b, "user", list.items[i].user);
        put_text(b, "device", list.items[i].device);
        put_number(b, "nul", list.items[i].to_nul);
        buf_putc(b, '}');
    }
    buf_putc(b, ']');
    sql_history_done(&list);
    return 0;
}

static int cmd_marks(char *const *f, struct buf *b, struct err *err) {
    struct sql_mark_list list;
    struct lsn since = {0};
    if (field(f, 2))
        lsn_parse(f[2], &since);
    if (sql_marks_read(session, f[1], since, &server.clock, &list, err) < 0)
        return -1;
    buf_puts(b, ",\"marks\":[");
    for (size_t i = 0; i < list.count; i++)
        put_text(b, NULL, list.items[i].name);
    buf_putc(b, ']');
    sql_marks_done(&list);
    return 0;
}

static int cmd_prune(char *const *f, struct buf *b, struct err *err) {
    bool more;
    if (sql_clock_read(session, &server.clock, err) < 0 ||
        sql_history_prune(session, &server.clock, (unsigned)number(f, 1, 30), &more, err) < 0)
        return -1;
    put_number(b, "more", more);
    return 0;
}

/* --- preflight, grants ----------------------------------------------------------------------------------------- */

static int cmd_preflight(char *const *f, struct buf *b, struct err *err) {
    const struct sql_preflight in = {.params = &params, .staging_dir = field(f, 1)};
    struct sql_check_list list;
    (void)err;
    sql_preflight_run(&in, &list);
    put_text(b, "worst", sql_check_result_name(sql_preflight_worst(&list)));
    buf_puts(b, ",\"checks\":{");
    for (size_t i = 0; i < list.count; i++) {
        buf_printf(b, "%s\"%s\":[", i ? "," : "", list.items[i].name);
        put_text(b, NULL, sql_check_result_name(list.items[i].result));
        put_text(b, NULL, list.items[i].message);
        buf_putc(b, ']');
    }
    buf_putc(b, '}');
    sql_checks_done(&list);
    return 0;
}

/* login password */
static int cmd_grant(char *const *f, struct buf *b, struct err *err) {
    struct sql_database_list list;
    struct sql_grant_result result;
    struct secret *secret = secret_new(f[2], strlen(f[2]));
    int rc = sql_grant_login(session, f[1], secret, err);
    secret_free(secret);
    if (rc < 0 || sql_databases_read(session, NULL, &list, err) < 0)
        return -1;
    rc = sql_grant_all(session, f[1], &list, &result, err);
    sql_databases_done(&list);
    if (rc == 0) {
        put_number(b, "granted", result.granted);
        put_number(b, "failed", result.failed);
        put_text(b, "first", result.failed ? result.first.text : NULL);
    }
    return rc;
}

static int cmd_staging(char *const *f, struct buf *b, struct err *err) {
    (void)b;
    return sql_staging_probe(session, f[1], err);
}

static int cmd_control(char *const *f, struct buf *b, struct err *err) {
    (void)b, (void)err;
    if (!strcmp(f[0], "cancel"))
        sql_cancel(session);
    else if (!strcmp(f[0], "resume"))
        sql_session_resume(session);
    else if (!strcmp(f[0], "abort"))
        sql_abort(session);
    else
        atomic_store(&cancel_flag, !strcmp(f[0], "flag"));
    return 0;
}

static int cmd_close(char *const *f, struct buf *b, struct err *err) {
    (void)f, (void)b, (void)err;
    sql_session_close(session);
    session = NULL;
    return 0;
}

/* --- the loop -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int (*run)(char *const *f, struct buf *b, struct err *err);
    int fields; /* needed */
} commands[] = {
    {"params", cmd_params, 5},     {"open", cmd_open, 1},           {"wait", cmd_wait, 1},           {"query", cmd_query, 3},
    {"alive", cmd_alive, 1},       {"server", cmd_server, 1},       {"databases", cmd_databases, 1}, {"state", cmd_state, 2},
    {"backup", cmd_backup, 6},     {"header", cmd_header, 2},       {"filelist", cmd_filelist, 2},   {"verify", cmd_verify, 2},
    {"progress", cmd_progress, 2}, {"find", cmd_find, 2},           {"foreign", cmd_foreign, 3},     {"marks", cmd_marks, 2},
    {"prune", cmd_prune, 2},       {"preflight", cmd_preflight, 1}, {"grant", cmd_grant, 3},         {"staging", cmd_staging, 2},
    {"cancel", cmd_control, 1},    {"resume", cmd_control, 1},      {"abort", cmd_control, 1},       {"flag", cmd_control, 1},
    {"unflag", cmd_control, 1},    {"close", cmd_close, 1},
};

static void run(char *line) {
    char *f[FIELDS_MAX + 1] = {0}, *rest = line;
    int n = 0;
    while (n < FIELDS_MAX && (f[n] = strsep(&rest, "\t")))
        n++;
    struct buf b;
    struct err err;
    err_clear(&err);
    begin(&b, "{");
    put_text(&b, "command", f[0]);
    int rc = err_set(&err, ERR_USAGE, "unknown command or too few fields");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (!strcmp(commands[i].name, f[0]) && n >= commands[i].fields)
            rc = commands[i].run(f, &b, &err);
    buf_puts(&b, "}");
    if (rc == 0) {
        say(&b);
    } else {
        buf_done(&b);
        say_err(f[0], &err);
    }
}

static void *background(void *line) {
    run(line);
    mem_free(line);
    return NULL;
}

static bool is_control(const char *line) {
    static const char *const names[] = {"cancel", "resume", "abort", "flag", "unflag"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!strcmp(line, names[i]))
            return true;
    return false;
}

int main(int argc, char **argv) {
    struct err err;
    char *line = NULL;
    size_t cap = 0;
    pthread_t thread;
    bool running = false;
    if (argc != 2 || sql_global_init(argv[1], &err) < 0) {
        fprintf(stderr, "sqlprobe: %s\n", argc == 2 ? err.text : "usage: sqlprobe RUNTIME_DIR");
        return 1;
    }
    for (ssize_t len; (len = getline(&line, &cap, stdin)) > 0;) {
        line[strcspn(line, "\n")] = 0;
        /* One thread at a time uses the session; only these may come between. */
        if (running && !is_control(line)) {
            pthread_join(thread, NULL);
            running = false;
        }
        if (line[0] == '&')
            running = pthread_create(&thread, NULL, background, mem_strdup(line + 1)) == 0;
        else
            run(line);
    }
    if (running)
        pthread_join(thread, NULL);
    sql_session_close(session);
    sql_global_done();
    secret_free(password);
    for (int i = 0; i < 4; i++)
        mem_free(param_texts[i]);
    free(line);
    return 0;
}
