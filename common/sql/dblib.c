/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions on FreeTDS' db-lib. The only file that knows it.
 *
 * db-lib's handlers are global to the process, but they run on the thread that called into the library, and one thread works on a
 * DBPROCESS at a time: `current` leads from a handler to its session, also during dbopen(), when there is none yet.
 *
 * While a call is blocked, on_interrupt() is asked about once per second. It is the heartbeat, and the only safe moment to
 * send an attention: dbcancel() from another thread would read tokens that the blocked thread waits for.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sybfront.h>

#include <sybdb.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/sql/endpoint.h"
#include "common/sql/errors.h"
#include "common/sql/session.h"

#define VALUE_MAX (64u * 1024 * 1024) /* one value; the widest we ask for is a few kilobytes */
#define ATTENTION_WAIT_US (15 * CLOCK_SECOND)

enum stop_reason { STOP_NONE, STOP_CANCEL, STOP_TIMEOUT };

struct dblib_session {
    struct sql_session base;
    DBPROCESS *db;
    pthread_mutex_t socket_lock;
    int socket; /* our duplicate of the descriptor: shutdown() reaches the connection, and the number is never somebody else's */
    atomic_bool cancelled;
    atomic_bool aborted;

    /* Of the running statement. */
    const struct sql_call *call;
    struct sql_messages *messages;
    bool fatal; /* an error of severity 20 and more: the server closes the connection after it */
    enum stop_reason stop;
    int64_t deadline_us; /* monotonic, 0 none */
    int64_t stopped_us; /* when the attention was asked for */
    int lib_error; /* first error of the library itself */
    char lib_text[256];
};

static _Thread_local struct dblib_session *current;

static struct dblib_session *of(struct sql_session *session) {
    return container_of(session, struct dblib_session, base);
}

/* db-lib's error handler. Its default would end the process. */
static int on_error(DBPROCESS *db, int severity, int number, int os_error, char *text, char *os_text) {
    (void)db, (void)severity, (void)os_error;
    struct dblib_session *s = current;
    if (!s)
        return INT_CANCEL;
    if (number == SYBETIME && s->stop != STOP_NONE) {
        /* We raised the interrupt. INT_TIMEOUT sends the attention and waits for its answer, INT_CANCEL gives the
         * connection up. */
        bool waited = clock_mono_us() - s->stopped_us > ATTENTION_WAIT_US;
        return waited || atomic_load(&s->aborted) ? INT_CANCEL : INT_TIMEOUT;
    }
    if (number != SYBESMSG && !s->lib_error) {
        s->lib_error = number;
        bool with_os = os_text && os_text[0] && strcmp(os_text, "Success") != 0;
        str_format(s->lib_text, sizeof(s->lib_text), "%s%s%s", text ? text : "unknown error", with_os ? ": " : "",
                   with_os ? os_text : "");
    }
    return INT_CANCEL;
}

static int on_message(DBPROCESS *db, DBINT number, int state, int severity, char *text, char *server, char *proc, int line) {
    (void)db, (void)server, (void)proc;
    struct dblib_session *s = current;
    if (!s || !s->messages)
        return 0;
    s->fatal = s->fatal || severity >= 20;
    struct sql_message m = {.number = number, .severity = severity, .state = state, .line = line, .text = text};
    sql_messages_add(s->messages, &m);
    if (s->call && s->call->message)
        s->call->message(s->call->user, &m);
    return 0;
}

static int on_interrupt(void *db) {
    (void)db;
    struct dblib_session *s = current;
    if (!s || !s->call)
        return 0;
    const struct sql_call *call = s->call;
    int64_t now = clock_mono_us();
    if (s->stop != STOP_NONE) /* a peer that does not answer the attention either is given up */
        return now - s->stopped_us > ATTENTION_WAIT_US;
    if (call->tick)
        call->tick(call->user);
    if (atomic_load(&s->cancelled) || atomic_load(&s->aborted) || (call->cancel && atomic_load(call->cancel)))
        s->stop = STOP_CANCEL;
    else if (s->deadline_us && now >= s->deadline_us)
        s->stop = STOP_TIMEOUT;
    s->stopped_us = now;
    return s->stop != STOP_NONE;
}

static int after_interrupt(void *db) {
    (void)db;
    return INT_CANCEL;
}

const char *sql_client_version(void) {
    return dbversion();
}

int sql_global_init(const char *runtime_dir, struct err *err) {
    if (sql_endpoint_init(runtime_dir, err) < 0)
        return -1;
    if (dbinit() == FAIL) {
        sql_endpoint_done();
        return err_set(err, ERR_INTERNAL, "db-lib cannot be initialised");
    }
    dberrhandle(on_error);
    dbmsghandle(on_message);
    return 0;
}

void sql_global_done(void) {
    dbexit();
    sql_endpoint_done();
}

/* --- values ---------------------------------------------------------------------------------------------------- */

struct row_buffer {
    int columns;
    char **names;
    const char **values;
    size_t *offsets; /* into text, SIZE_MAX for NULL: text moves while it grows */
    struct buf text;
};

static void row_buffer_done(struct row_buffer *r) {
    for (int i = 0; i < r->columns; i++)
        mem_free(r->names[i]);
    mem_free(r->names);
    mem_free(r->values);
    mem_free(r->offsets);
    buf_done(&r->text);
    *r = (struct row_buffer){0};
}

static void row_buffer_init(struct row_buffer *r, DBPROCESS *db, int columns) {
    r->columns = columns;
    r->names = mem_array((size_t)columns, sizeof(*r->names));
    r->values = mem_array((size_t)columns, sizeof(*r->values));
    r->offsets = mem_array((size_t)columns, sizeof(*r->offsets));
    buf_init(&r->text, VALUE_MAX);
    for (int i = 0; i < columns; i++) {
        const char *name = dbcolname(db, i + 1);
        r->names[i] = mem_strdup(name ? name : "");
    }
}

static void put_characters(struct buf *out, const BYTE *data, size_t len) {
    const char *p = (const char *)data;
    for (size_t n; len; p += n, len -= n) {
        n = strnlen(p, len);
        buf_append(out, p, n);
        if (n < len) { /* a NUL inside would cut the text: say that it is there */
            buf_puts(out, "\xef\xbf\xbd");
            n++;
        }
    }
}

/* Days since 1900-01-01 and microseconds of the day (which may run over its ends) as ISO text. */
static void put_date(struct buf *out, int64_t days, int64_t micros, const char *zone) {
    static const int64_t epoch = -25567; /* 1900-01-01 in days since 1970 */
    struct clock_civil c;
    clock_to_civil((days + epoch) * CLOCK_DAY + micros, &c);
    buf_printf(out, "%04d-%02d-%02dT%02d:%02d:%02d", c.year, c.month, c.day, c.hour, c.minute, c.second);
    if (c.micro)
        buf_printf(out, ".%06d", c.micro);
    buf_puts(out, zone);
}

static bool put_if_date(struct buf *out, int type, const BYTE *data) {
    if (type == SYBDATETIME) {
        DBDATETIME d;
        memcpy(&d, data, sizeof(d));
        /* Ticks are 1/300 s and mean whole milliseconds: .003, .007, .010 */
        int64_t ms = ((int64_t)(uint32_t)d.dttime * 10 + 1) / 3;
        put_date(out, d.dtdays, ms * 1000, "");
    } else if (type == SYBDATETIME4) {
        DBDATETIME4 d;
        memcpy(&d, data, sizeof(d));
        put_date(out, d.days, (int64_t)d.minutes * CLOCK_MINUTE, "");
    } else if (type == SYBMSDATE || type == SYBMSDATETIME2 || type == SYBMSDATETIMEOFFSET) {
        DBDATETIMEALL d;
        memcpy(&d, data, sizeof(d));
        char zone[16] = "";
        int64_t micros = type == SYBMSDATE ? 0 : (int64_t)(d.time / 10);
        if (type == SYBMSDATETIMEOFFSET) { /* arrives in UTC with the offset beside it */
            int minutes = d.offset < 0 ? -d.offset : d.offset;
            micros += d.offset * CLOCK_MINUTE;
            str_format(zone, sizeof(zone), "%c%02d:%02d", d.offset < 0 ? '-' : '+', minutes / 60, minutes % 60);
        }
        put_date(out, d.date, micros, zone);
    } else {
        return false;
    }
    return true;
}

static bool put_value(struct buf *out, DBPROCESS *db, int type, const BYTE *data, DBINT len) {
    switch (type) {
    case SYBCHAR:
    case SYBVARCHAR:
    case SYBNVARCHAR:
    case SYBTEXT:
    case SYBNTEXT:
        put_characters(out, data, (size_t)len);
        return !out->overflow;
    case SYBBINARY:
    case SYBVARBINARY:
    case SYBIMAGE:
        for (DBINT i = 0; i < len; i++)
            buf_printf(out, "%02X", data[i]);
        return !out->overflow;
    default:
        break;
    }
    if (put_if_date(out, type, data))
        return !out->overflow;
    char text[256]; /* numbers and GUIDs: numeric(38) is the longest */
    DBINT n = dbconvert(db, type, data, len, SYBCHAR, (BYTE *)text, sizeof(text));
    return n >= 0 && buf_append(out, text, (size_t)n);
}

static int read_row(struct row_buffer *r, DBPROCESS *db, unsigned result, struct sql_row *ret_row, struct err *err) {
    buf_reset(&r->text);
    for (int i = 0; i < r->columns; i++) {
        DBINT len = dbdatlen(db, i + 1);
        const BYTE *data = dbdata(db, i + 1);
        if (!data) {
            r->offsets[i] = SIZE_MAX;
            continue;
        }
        r->offsets[i] = r->text.len;
        if (!put_value(&r->text, db, dbcoltype(db, i + 1), data, len) || !buf_append(&r->text, "", 1))
            return err_set(err, ERR_PROTOCOL, "column '%s' (type %d, %d bytes) cannot be read", r->names[i], dbcoltype(db, i + 1),
                           (int)len);
    }
    for (int i = 0; i < r->columns; i++)
        r->values[i] = r->offsets[i] == SIZE_MAX ? NULL : r->text.data + r->offsets[i];
    *ret_row = (struct sql_row){
        .count = (size_t)r->columns,
        .names = (const char *const *)r->names,
        .values = r->values,
        .result = result,
    };
    return 0;
}

/* --- running --------------------------------------------------------------------------------------------------- */

/* All rows of one result. -1 when the callback or a value failed; the rest is read and dropped all the same. */
static int drain_rows(DBPROCESS *db, unsigned result, sql_row_fn row, void *user, bool *ret_failed, struct err *err) {
    int columns = dbnumcols(db), rc = 0;
    struct row_buffer buffer = {0};
    if (columns > 0)
        row_buffer_init(&buffer, db, columns);
    for (STATUS status; (status = dbnextrow(db)) != NO_MORE_ROWS;) {
        if (status == FAIL) {
            *ret_failed = true;
            break;
        }
        struct sql_row r;
        if (rc == 0 && row && columns > 0)
            rc = read_row(&buffer, db, result, &r, err) < 0 || row(user, &r, err) != 0 ? -1 : 0;
    }
    row_buffer_done(&buffer);
    return rc;
}

/* Why a statement failed of which the server said nothing. */
static int silent_failure(struct dblib_session *s, struct err *err) {
    if (s->lib_error == SYBETIME)
        return err_set(err, ERR_TIMEOUT, "SQL Server does not answer");
    if (DBDEAD(s->db) || s->lib_error == SYBEREAD || s->lib_error == SYBEWRIT || s->lib_error == SYBESEOF)
        return err_set(err, ERR_CONNECT, "connection to SQL Server lost%s%s", s->lib_text[0] ? ": " : "", s->lib_text);
    return err_set(err, ERR_SQL, "SQL Server ended the statement without saying why%s%s (db-lib error %d)",
                   s->lib_text[0] ? ": " : "", s->lib_text, s->lib_error);
}

static int outcome(struct dblib_session *s, bool failed, struct err *err) {
    const struct sql_message *cause = sql_messages_cause(s->messages);
    if (s->stop == STOP_NONE && atomic_load(&s->aborted) && (failed || DBDEAD(s->db)))
        s->stop = STOP_CANCEL;
    if (!failed && !cause && !DBDEAD(s->db))
        return 0; /* also when a cancel came too late */
    if (s->stop == STOP_CANCEL)
        return err_set(err, ERR_CANCELLED, "statement cancelled%s", DBDEAD(s->db) ? ", the connection is gone" : "");
    if (s->stop == STOP_TIMEOUT)
        return err_set(err, ERR_TIMEOUT, "no result within %d seconds%s",
                       s->call->timeout_s ? s->call->timeout_s : SQL_TIMEOUT_DEFAULT_S,
                       DBDEAD(s->db) ? ", the connection is gone" : "");
    return cause ? sql_error_set(err, cause) : silent_failure(s, err);
}

static int statement(struct dblib_session *s, const char *text, sql_row_fn row, void *user, struct err *err) {
    bool failed = false;
    int rows_rc = 0;
    dbfreebuf(s->db);
    /* dbcmd(), never dbfcmd(): that one formats. */
    if (dbcmd(s->db, text) == FAIL)
        return err_set(err, ERR_INTERNAL, "statement of %zu bytes is not accepted by db-lib", strlen(text));
    /* FAIL here only means that the first answer was an error: there may be more to read. */
    if (dbsqlexec(s->db) == FAIL)
        failed = true;
    unsigned result = 0;
    for (RETCODE rc; !DBDEAD(s->db) && (rc = dbresults(s->db)) != NO_MORE_RESULTS;) {
        if (rc == FAIL) {
            failed = true;
            continue;
        }
        bool has_rows = dbnumcols(s->db) > 0;
        struct err row_err;
        err_clear(&row_err);
        if (drain_rows(s->db, result, rows_rc == 0 ? row : NULL, user, &failed, &row_err) < 0) {
            rows_rc = -1;
            err_copy(err, &row_err);
        }
        result += has_rows;
    }
    /* A cancelled statement may leave something behind; this thread may clean up. */
    if (!DBDEAD(s->db) && failed)
        dbcancel(s->db);
    return rows_rc < 0 ? -1 : outcome(s, failed, err);
}

static bool dblib_alive(const struct sql_session *session) {
    const struct dblib_session *s = (const struct dblib_session *)session; /* base is its first member */
    return s->db && !s->fatal && !DBDEAD(s->db) && !atomic_load(&s->aborted);
}

static int dblib_run(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *user,
                     struct sql_messages *messages, struct err *err) {
    struct dblib_session *s = of(session);
    if (!dblib_alive(session))
        return err_set(err, atomic_load(&s->aborted) ? ERR_CANCELLED : ERR_CONNECT, "connection to SQL Server is closed");
    if (atomic_load(&s->cancelled) || (call->cancel && atomic_load(call->cancel)))
        return err_set(err, ERR_CANCELLED, "statement cancelled before it began");
    int timeout = call->timeout_s ? call->timeout_s : SQL_TIMEOUT_DEFAULT_S;
    struct dblib_session *outer = current;
    s->call = call;
    s->messages = messages;
    s->stop = STOP_NONE;
    s->lib_error = 0;
    s->lib_text[0] = 0;
    s->deadline_us = timeout < 0 ? 0 : clock_mono_us() + timeout * CLOCK_SECOND;
    current = s;
    int rc = statement(s, text, row, user, err);
    current = outer;
    s->call = NULL;
    s->messages = NULL;
    return rc;
}

static void dblib_cancel(struct sql_session *session, bool on) {
    atomic_store(&of(session)->cancelled, on);
}

static void dblib_abort(struct sql_session *session) {
    struct dblib_session *s = of(session);
    atomic_store(&s->aborted, true);
    pthread_mutex_lock(&s->socket_lock);
    if (s->socket >= 0)
        shutdown(s->socket, SHUT_RDWR);
    pthread_mutex_unlock(&s->socket_lock);
}

static void dblib_close(struct sql_session *session) {
    struct dblib_session *s = of(session);
    pthread_mutex_lock(&s->socket_lock);
    if (s->socket >= 0)
        close(s->socket);
    s->socket = -1;
    pthread_mutex_unlock(&s->socket_lock);
    struct dblib_session *outer = current;
    current = s;
    if (s->db)
        dbclose(s->db);
    current = outer;
    pthread_mutex_destroy(&s->socket_lock);
    mem_free(s);
}

static const struct sql_ops dblib_ops = {
    .run = dblib_run,
    .cancel = dblib_cancel,
    .abort = dblib_abort,
    .alive = dblib_alive,
    .close = dblib_close,
};

/* --- opening --------------------------------------------------------------------------------------------------- */

static LOGINREC *make_login(const struct sql_params *params) {
    LOGINREC *login = dblogin();
    if (!login)
        return NULL;
    char host[64] = "";
    (void)gethostname(host, sizeof(host) - 1);
    DBSETLHOST(login, host);
    DBSETLUSER(login, params->user);
    DBSETLPWD(login, params->password ? secret_text(params->password) : "");
    DBSETLAPP(login, params->app ? params->app : "mssql-sidecar");
    DBSETLCHARSET(login, "UTF-8");
    DBSETLDBNAME(login, params->database ? params->database : "master");
    /* Without a version db-lib tries older ones after any failure, and the error of the last try hides that of the first. */
    DBSETLVERSION(login, DBVERSION_74);
    return login;
}

static int open_failure(struct dblib_session *s, const struct sql_params *params, int64_t took_us, struct err *err) {
    const struct sql_message *cause = sql_messages_cause(s->messages);
    if (cause)
        return sql_error_set(err, cause);
    switch (s->lib_error) {
    case SYBETIME:
        return err_set(err, ERR_TIMEOUT, "SQL Server does not answer the login within %u seconds", sql_login_timeout_s(params));
    case SYBECONN:
    case SYBESOCK:
    case SYBEUHST:
        return err_set(err, ERR_CONNECT, "cannot connect: %s", s->lib_text);
    case SYBESEOF:
    case SYBEREAD:
    case SYBEWRIT:
        err_set(err, ERR_CONNECT, "the server closed the connection during the login: %s", s->lib_text);
        return err_hint(
            err, "It may be starting, or force strict encryption (TDS 8, mssql.conf network.forcestrict), which this program "
                 "does not speak, or not be a SQL Server");
    default:
        /* A refused connection can come as SYBEFCON alone, and so does every failure of TLS. */
        if (took_us > (int64_t)sql_login_timeout_s(params) * CLOCK_SECOND)
            return err_set(err, ERR_TIMEOUT, "SQL Server does not answer the login within %u seconds",
                           sql_login_timeout_s(params));
        err_set(err, ERR_CONNECT, "the connection failed during the login (db-lib error %d)", s->lib_error);
        if (params->encryption == SQL_ENCRYPTION_OFF)
            err_hint(err, "Encryption is off here: the server may require it");
        else if (params->ca_file)
            err_hint(err, "The server's certificate must be signed by the CA file and, when checked, name the host");
        else
            err_hint(err, "With encryption the server must offer TLS 1.2");
        return -1;
    }
}

/* What other clients set by the login or at once: names in double quotes, ANSI NULLs, and English messages. */
static int set_options(struct sql_session *session, struct err *err) {
    static const char options[] = "SET QUOTED_IDENTIFIER ON; SET ANSI_NULLS ON; SET ANSI_PADDING ON; SET ANSI_WARNINGS ON; "
                                  "SET CONCAT_NULL_YIELDS_NULL ON; SET ARITHABORT ON; SET IMPLICIT_TRANSACTIONS OFF; "
                                  "SET LANGUAGE us_english; SET LOCK_TIMEOUT 30000;";
    return sql_exec(session, options, NULL, err);
}

static int check_params(const struct sql_params *params, struct err *err) {
    if (!params->host || !params->user || !params->user[0])
        return err_set(err, ERR_CONFIG, "the SQL Server connection needs a host and a user");
    /* LOGIN7 holds 128 characters each; db-lib cuts longer ones without a word. */
    if (strlen(params->user) > 128 || (params->password && secret_len(params->password) > 128))
        return err_set(err, ERR_CONFIG, "user or password of the SQL Server connection is longer than 128 bytes");
    if (params->password && strlen(secret_text(params->password)) != secret_len(params->password))
        return err_set(err, ERR_CONFIG, "the password of the SQL Server connection contains a NUL byte");
    return 0;
}

int sql_session_open(const struct sql_params *params, struct sql_session **ret_session, struct err *err) {
    char section[SQL_SECTION_MAX];
    if (check_params(params, err) < 0 || sql_endpoint_section(params, section, err) < 0)
        return -1;
    struct dblib_session *s = mem_alloc(sizeof(*s));
    struct sql_messages messages = {0};
    s->base.ops = &dblib_ops;
    s->socket = -1;
    pthread_mutex_init(&s->socket_lock, NULL);
    LOGINREC *login = make_login(params);
    struct dblib_session *outer = current;
    current = s;
    s->messages = &messages;
    int64_t began = clock_mono_us();
    s->db = login ? dbopen(login, section) : NULL;
    current = outer;
    if (login)
        dbloginfree(login);
    int rc = 0;
    if (!s->db) {
        rc = open_failure(s, params, clock_mono_us() - began, err);
    } else {
        dbsetinterrupt(s->db, on_interrupt, after_interrupt);
        s->socket = dup(DBIORDESC(s->db));
        rc = s->socket < 0 ? err_os(err, ERR_LIMIT, errno, "duplicating the connection's descriptor")
                           : set_options(&s->base, err);
    }
    s->messages = NULL;
    sql_messages_done(&messages);
    if (rc < 0) {
        dblib_close(&s->base);
        return err_context(err, "SQL Server at %s:%u as '%s'", params->host, params->port ? params->port : 1433u, params->user);
    }
    *ret_session = &s->base;
    return 0;
}
