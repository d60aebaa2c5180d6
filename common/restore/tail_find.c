/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What became of a tail whose end nobody heard. The file may be the only copy of the last commits, so "not taken" is said only when
 * it is proven: BACKUP ... WITH NORECOVERY truncates the log and leaves the database RESTORING in one moment, so a database
 * that is open, and of which no BACKUP runs, has lost nothing. NO_TRUNCATE, for a damaged one, truncates nothing at all.
 */
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/ask.h"
#include "common/restore/tail.h"
#include "common/sql/history.h"
#include "common/sql/text.h"

enum running { RUNNING_NOT, RUNNING, RUNNING_UNKNOWN };

#define SUSPECTS_MAX 64

/* What ran when it was looked for first: it may be the lost session's. What begins later is not. */
struct suspects {
    char keys[SUSPECTS_MAX][64]; /* session and start of its batch */
    size_t count;
    bool first, running;
};

static int running_row(void *user, const struct sql_row *row, struct err *err) {
    struct suspects *s = user;
    const char *id = sql_row_text(row, "session_id"), *start = sql_row_text(row, "start_time");
    char key[64];
    (void)err;
    str_format(key, sizeof(key), "%s %s", id ? id : "?", start ? start : "?");
    if (s->first) {
        if (s->count < SUSPECTS_MAX)
            str_copy(s->keys[s->count++], sizeof(key), key);
        s->running = true;
    }
    for (size_t i = 0; i < s->count; i++)
        s->running |= !strcmp(s->keys[i], key);
    return 0;
}

/* A session that died leaves its batch to the server, which may bring it to its end: ALTER DATABASE, and BACKUP behind it. It runs in
 * master. Without VIEW SERVER STATE it is not seen. */
static int wait_for_backup(struct sql_session *session, const struct restore_tail_request *r, enum running *ret_running,
                           struct err *err) {
    static const struct timespec pause = {.tv_nsec = 100 * 1000000};
    int64_t until = clock_mono_us() + (r->evict_ms > 0 ? r->evict_ms : RESTORE_EVICT_MS_DEFAULT) * 1000;
    struct suspects *s = mem_alloc(sizeof(*s));
    bool able = true;
    struct buf text;
    buf_init(&text, 4096);
    buf_puts(&text, "SELECT session_id, start_time FROM sys.dm_exec_requests WHERE session_id <> @@SPID AND "
                    "(command LIKE N'BACKUP LOG%' OR command LIKE N'ALTER DATABASE%') AND database_id IN (1, DB_ID(");
    sql_quote_text(&text, r->database);
    buf_puts(&text, "))");
    int rc = sql_text_check(&text, "running backups", err);
    for (s->first = true; rc == 0; s->first = false) {
        s->running = false;
        rc = restore_ask(session, text.data, running_row, s, &able, err);
        if (rc < 0 || !s->running || clock_mono_us() >= until)
            break;
        nanosleep(&pause, NULL);
    }
    buf_done(&text);
    *ret_running = s->running ? RUNNING : able ? RUNNING_NOT : RUNNING_UNKNOWN;
    mem_free(s);
    return rc;
}

static int state_row(void *user, const struct sql_row *row, struct err *err) {
    (void)err;
    (void)sql_row_int(row, "state", user);
    return 0;
}

/* -1 in *ret_state: there is no such database. */
static int read_state(struct sql_session *session, const char *database, int *ret_state, struct err *err) {
    struct buf text;
    int state = -1;
    buf_init(&text, 4096);
    buf_puts(&text, "SELECT state FROM sys.databases WHERE name = ");
    sql_quote_text(&text, database);
    int rc = sql_text_check(&text, "name of the database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, state_row, &state, err);
    buf_done(&text);
    if (rc == 0)
        *ret_state = state;
    return rc;
}

/* There is nothing at the path that could be a backup; other failures leave that open. */
static bool says_no_backup(const struct err *err) {
    return err->class == ERR_NOT_FOUND || err->class == ERR_CORRUPT;
}

/* msdb may not have been told (3009), so it proves only that a tail was taken. */
static int noted(struct sql_session *session, const struct restore_tail_request *r, const struct sql_server *server,
                 bool *ret_noted, struct err *err) {
    struct sql_history *row = mem_alloc(sizeof(*row));
    struct err why;
    err_clear(&why);
    bool found = server && sql_history_find(session, server, r->run_id, NULL, row, &why) == 0;
    mem_free(row);
    if (!found && why.class != ERR_NONE && why.class != ERR_NOT_FOUND) {
        err_copy(err, &why);
        return -1;
    }
    *ret_noted = found;
    return 0;
}

/* `file`: why there is no set of ours at the path; NONE: there is another one. */
static int judge(const struct restore_tail_request *r, enum running running, int state, bool in_history, const struct err *file,
                 enum restore_tail_state *ret_state, struct err *err) {
    if (running == RUNNING_UNKNOWN && state >= 0) {
        err_set(err, ERR_PERMISSION, "it cannot be seen whether the BACKUP still runs");
        return err_hint(err, "GRANT VIEW SERVER STATE to the login");
    }
    bool unharmed = r->damaged || state == SQL_DB_ONLINE || (state < 0 && !in_history);
    if (!unharmed && file->class == ERR_CORRUPT) {
        err_copy(err, file);
        return err_context(err, "the database is as a tail leaves it, and the file cannot be read");
    }
    *ret_state = unharmed ? RESTORE_TAIL_FOUND_NOT : RESTORE_TAIL_FOUND_GONE;
    return 0;
}

static int look(struct sql_session *session, const struct restore_tail_request *r, const struct sql_server *server,
                enum restore_tail_state *ret_state, struct err *err) {
    const char *const paths[] = {r->server_path};
    enum running running = RUNNING_NOT;
    bool in_history = false;
    int state;
    if (!r->statement_over && wait_for_backup(session, r, &running, err) < 0)
        return -1;
    if (running == RUNNING)
        return err_set(err, ERR_BUSY, "a BACKUP of database '%s' still runs", r->database);
    struct sql_header *header = mem_alloc(sizeof(*header));
    struct err file;
    err_clear(&file);
    int read = sql_header_read(session, paths, 1, server ? &server->clock : NULL, header, &file);
    bool there = read == 0 && !strcmp(header->name, r->run_id);
    mem_free(header);
    if (there) {
        *ret_state = RESTORE_TAIL_FOUND;
        return 0;
    }
    if (read < 0 && !says_no_backup(&file)) {
        err_copy(err, &file);
        return -1;
    }
    if (noted(session, r, server, &in_history, err) < 0 || read_state(session, r->database, &state, err) < 0)
        return -1;
    return judge(r, running, state, in_history, &file, ret_state, err);
}

int restore_tail_find(struct sql_session *session, const struct restore_tail_request *r, const struct sql_server *server,
                      enum restore_tail_state *ret_state, struct err *err) {
    return look(session, r, server, ret_state, err) < 0 ? err_context(err, "looking for the tail '%s'", r->run_id) : 0;
}
