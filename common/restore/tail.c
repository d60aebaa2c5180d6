/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/tail.h"

#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/ask.h"
#include "common/restore/identity.h"
#include "common/sql/history.h"
#include "common/sql/text.h"

#define PAUSE_MIN_MS 20
#define PAUSE_MAX_MS 500
#define NAMED_MAX 20 /* sessions that are named one by one */

/* --- who is in it ---------------------------------------------------------------------------------------------- */

struct user_session {
    int id;
    char who[SQL_NAME_MAX * 3];
};
struct user_sessions {
    struct user_session *items;
    size_t count, cap;
};

static int session_row(void *user, const struct sql_row *row, struct err *err) {
    struct user_sessions *all = user;
    struct user_session s = {0};
    (void)err;
    if (!sql_row_int(row, "session_id", &s.id) || s.id <= 0)
        return 0;
    const char *login = sql_row_text(row, "login_name"), *host = sql_row_text(row, "host_name");
    const char *program = sql_row_text(row, "program_name");
    str_format(s.who, sizeof(s.who), "session %d of login '%s'%s%s%s%s", s.id, login ? login : "?", host && host[0] ? " on " : "",
               host ? host : "", program && program[0] ? ", " : "", program ? program : "");
    all->items = mem_grow(all->items, &all->cap, all->count + 1, sizeof(*all->items));
    all->items[all->count++] = s;
    return 0;
}

/* Without VIEW SERVER STATE it is nobody. */
static int sessions_read(struct sql_session *session, const char *database, struct user_sessions *all, struct err *err) {
    struct buf text;
    all->count = 0;
    buf_init(&text, 16384);
    buf_puts(&text, "SELECT session_id, login_name, host_name, program_name FROM sys.dm_exec_sessions WHERE session_id <> @@SPID "
                    "AND is_user_process = 1 AND database_id = DB_ID(");
    sql_quote_text(&text, database);
    buf_puts(&text, ")");
    int rc = sql_text_check(&text, "sessions in the database", err);
    if (rc == 0)
        rc = restore_ask(session, text.data, session_row, all, NULL, err);
    if (rc == 0 && !all->count) {
        /* From another database, by a name of three parts. */
        buf_reset(&text);
        buf_puts(&text, "SELECT DISTINCT l.request_session_id AS session_id, s.login_name, s.host_name, s.program_name "
                        "FROM sys.dm_tran_locks AS l INNER JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id "
                        "WHERE l.request_session_id <> @@SPID AND s.is_user_process = 1 AND l.resource_database_id = DB_ID(");
        sql_quote_text(&text, database);
        buf_puts(&text, ")");
        rc = restore_ask(session, text.data, session_row, all, NULL, err);
    }
    buf_done(&text);
    return rc;
}

/* ---- getting it for ourselves --------------------------------------------------------------------------------- */

struct evict {
    struct sql_session *session;
    const struct restore_tail_request *request;
    int64_t until_us;
    int64_t pause_ms;
    unsigned seen, attempts;
    char who[SQL_NAME_MAX * 3]; /* who was in the way last */
    bool kill_denied;
};

static void evict_begin(struct evict *e, struct sql_session *session, const struct restore_tail_request *request) {
    int64_t ms = request->evict_ms > 0 ? request->evict_ms : RESTORE_EVICT_MS_DEFAULT;
    *e = (struct evict){
        .session = session, .request = request, .until_us = clock_mono_us() + ms * 1000, .pause_ms = PAUSE_MIN_MS};
}

static bool cancelled(const struct restore_tail_request *r) {
    return r->cancel && atomic_load(r->cancel);
}

/* Somebody is in it, or came back: the same again may work. */
static bool in_the_way(const struct err *err) {
    static const int numbers[] = {924, 1205, 1222, 3023, 3101, 5030, 5061, 5064, 5070};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (err->sql_number == numbers[i])
            return true;
    return false;
}

static int evict_look(struct evict *e, bool kill, struct err *err) {
    struct user_sessions all = {0};
    int rc = sessions_read(e->session, e->request->database, &all, err);
    for (size_t i = 0; rc == 0 && i < all.count; i++) {
        str_copy(e->who, sizeof(e->who), all.items[i].who);
        if (e->request->evicted && e->seen < NAMED_MAX)
            e->request->evicted(e->request->user, all.items[i].who);
        e->seen++;
        if (!kill)
            continue;
        char text[64];
        struct err why;
        err_clear(&why);
        str_format(text, sizeof(text), "KILL %d", all.items[i].id);
        if (sql_exec(e->session, text, NULL, &why) < 0) {
            e->kill_denied = e->kill_denied || why.sql_number == 6102;
            if (!sql_session_alive(e->session)) {
                err_copy(err, &why);
                rc = -1;
            }
        }
    }
    mem_free(all.items);
    return rc;
}

/* After a try that failed with `why`: 0 to try again. */
static int evict_again(struct evict *e, const struct err *why, struct err *err) {
    if (!in_the_way(why) || !sql_session_alive(e->session)) {
        err_copy(err, why);
        return -1;
    }
    if (cancelled(e->request))
        return err_set(err, ERR_CANCELLED, "asked to stop while waiting for database '%s'", e->request->database);
    if (evict_look(e, true, err) < 0)
        return -1;
    if (clock_mono_us() >= e->until_us) {
        err_sql(err, ERR_BUSY, why->sql_number, why->sql_severity, "database '%s' is still in use after %u attempts%s%s",
                e->request->database, e->attempts, e->who[0] ? ", last by " : "", e->who);
        return e->kill_denied
                   ? err_hint(err, "The login may not end sessions: GRANT ALTER ANY CONNECTION, or stop the application")
                   : err_hint(err, "Stop the application that comes back, then try again");
    }
    const struct timespec pause = {.tv_sec = e->pause_ms / 1000, .tv_nsec = e->pause_ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
    e->pause_ms = e->pause_ms * 2 < PAUSE_MAX_MS ? e->pause_ms * 2 : PAUSE_MAX_MS;
    return 0;
}

void restore_evict_text(const char *database, struct buf *out) {
    buf_puts(out, "ALTER DATABASE ");
    sql_quote_name(out, database);
    buf_puts(out, " SET SINGLE_USER WITH ROLLBACK IMMEDIATE;");
}

/* What was begun comes to nothing: the database is open to all again. The first failure is the one to tell. */
static int give_back(struct evict *e, struct err *err) {
    struct err why;
    err_clear(&why);
    if (!sql_session_alive(e->session))
        return -1;
    sql_session_resume(e->session);
    if (restore_tail_undo(e->session, e->request->database, e->request->access, &why) < 0)
        (void)err_hint(err, "The database may be in single-user mode still (%s): ALTER DATABASE ... SET MULTI_USER", why.text);
    return -1;
}

int restore_evict(struct sql_session *session, const struct restore_tail_request *request, struct restore_tail_result *ret_result,
                  struct err *err) {
    static const struct sql_call call = {.timeout_s = 120};
    struct evict e;
    struct err why;
    struct buf text;
    evict_begin(&e, session, request);
    buf_init(&text, SQL_TEXT_MAX);
    buf_puts(&text, request->only_if ? request->only_if : "");
    restore_evict_text(request->database, &text);
    int rc = sql_text_check(&text, "ALTER DATABASE", err);
    if (rc == 0)
        rc = evict_look(&e, false, err);
    while (rc == 0) {
        e.attempts++;
        err_clear(&why);
        if (sql_exec(session, text.data, &call, &why) == 0)
            break;
        rc = evict_again(&e, &why, err);
    }
    buf_done(&text);
    if (rc < 0)
        return err_context(err, "ending the sessions in '%s'", request->database);
    *ret_result = (struct restore_tail_result){.evicted = e.seen, .attempts = e.attempts};
    return 0;
}

/* --- the tail -------------------------------------------------------------------------------------------------- */

static int take_once(struct evict *e, const char *before, struct sql_server *server, struct err *err) {
    const struct restore_tail_request *r = e->request;
    const char *const paths[] = {r->server_path};
    const struct sql_backup_request backup = {
        .database = r->database,
        .kind = BACKUP_LOG,
        .paths = paths,
        .path_count = 1,
        .name = r->run_id,
        .compression = r->compression,
        /* A database that cannot be opened takes no commits: it need not be left RESTORING. */
        .tail_norecovery = !r->damaged,
        .no_truncate = r->damaged,
        .before = before,
        .cancel = r->cancel,
        .progress = r->progress,
        .user = r->user};
    struct sql_backup_result result;
    if (sql_backup_run(e->session, &backup, server, &result, err) < 0)
        return -1;
    sql_messages_done(&result.messages);
    return 0;
}

/* Cancelled or timed out: the backup may have come to its end all the same. 0 when it is there; else err stays what it was. */
static int what_became(struct evict *e, const struct sql_server *server, bool *ret_unsure, struct err *err) {
    struct restore_tail_request over = *e->request;
    enum restore_tail_state state;
    struct err why;
    err_clear(&why);
    over.statement_over = true; /* the session has answered */
    sql_session_resume(e->session);
    if (restore_tail_find(e->session, &over, server, &state, &why) < 0)
        return err_hint(err, "What became of the tail is not known: %s", why.text);
    if (state == RESTORE_TAIL_FOUND)
        return 0;
    *ret_unsure = state != RESTORE_TAIL_FOUND_NOT;
    return *ret_unsure || e->request->damaged ? -1 : give_back(e, err);
}

int restore_tail_take(struct sql_session *session, const struct restore_tail_request *request, struct sql_server *server,
                      struct restore_tail_result *ret_result, bool *reterr_unsure, struct err *err) {
    struct evict e;
    struct err why;
    struct buf before;
    evict_begin(&e, session, request);
    buf_init(&before, SQL_TEXT_MAX);
    buf_puts(&before, request->only_if ? request->only_if : "");
    if (!request->damaged)
        restore_evict_text(request->database, &before);
    int rc = sql_text_check(&before, "ALTER DATABASE", err);
    if (rc == 0 && cancelled(request))
        rc = err_set(err, ERR_CANCELLED, "asked to stop before the tail was taken");
    if (rc == 0 && !request->damaged)
        rc = evict_look(&e, false, err);
    bool begun = false;
    while (rc == 0) {
        e.attempts++;
        begun = true;
        err_clear(&why);
        if (take_once(&e, before.len ? before.data : NULL, server, &why) == 0)
            break;
        rc = evict_again(&e, &why, err);
    }
    buf_done(&before);
    bool unsure = begun && rc < 0 && !restore_identity_thrown(&why); /* thrown: the batch ended before the BACKUP */
    if (unsure && sql_session_alive(session))
        rc = what_became(&e, server, &unsure, err);
    if (rc < 0)
        *reterr_unsure = unsure;
    if (rc < 0)
        return err_context(err, "tail of the log of '%s'", request->database);
    *ret_result = (struct restore_tail_result){.evicted = e.seen, .attempts = e.attempts};
    return 0;
}

/* --- afterwards ------------------------------------------------------------------------------------------------ */

struct access_job {
    bool found;
    int state, access;
};

static int access_row(void *user, const struct sql_row *row, struct err *err) {
    struct access_job *job = user;
    (void)err;
    job->found = sql_row_int(row, "state", &job->state) && sql_row_int(row, "user_access", &job->access);
    return 0;
}

int restore_tail_undo(struct sql_session *session, const char *database, int access, struct err *err) {
    static const char *const words[] = {"MULTI_USER", "SINGLE_USER", "RESTRICTED_USER"};
    static const struct sql_call call = {.timeout_s = 120};
    struct access_job job = {0};
    struct buf text;
    buf_init(&text, 4096);
    buf_puts(&text, "SELECT state, user_access FROM sys.databases WHERE name = ");
    sql_quote_text(&text, database);
    int rc = sql_text_check(&text, "name of the database", err);
    if (rc == 0)
        rc = sql_query(session, text.data, NULL, access_row, &job, err);
    if (rc == 0 && job.found && job.state == SQL_DB_ONLINE && job.access != access && access >= 0 && access <= 2) {
        buf_reset(&text);
        buf_puts(&text, "ALTER DATABASE ");
        sql_quote_name(&text, database);
        buf_printf(&text, " SET %s WITH ROLLBACK IMMEDIATE", words[access]);
        rc = sql_exec(session, text.data, &call, err);
    }
    buf_done(&text);
    return rc < 0 ? err_context(err, "opening database '%s' to others again", database) : 0;
}
