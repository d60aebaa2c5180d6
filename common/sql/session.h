/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to SQL Server.
 *
 * One thread at a time uses a session; everything blocks. sql_cancel() and sql_abort() may be called from any thread.
 * Statements are run to their very end: results, messages and errors are collected, and the first error is the cause
 * (3013 "terminating abnormally" comes last and never is). Rows come by column name as UTF-8 text.
 *
 * The real implementation is dblib.c; unit tests use a scripted one (tests/unit/support/fake_sql.h). Both stand behind
 * struct sql_ops.
 */
#ifndef MSSQL_SQL_SESSION_H
#define MSSQL_SQL_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/base/secret.h"
#include "common/sql/message.h"
#include "common/sql/row.h"

#define SQL_TIMEOUT_DEFAULT_S 60
#define SQL_TIMEOUT_NONE (-1)

enum sql_encryption {
    SQL_ENCRYPTION_REQUEST, /* login encrypted when the server can, the rest plain */
    SQL_ENCRYPTION_OFF,
    SQL_ENCRYPTION_REQUIRE, /* everything encrypted, or no connection */
    SQL_ENCRYPTION_COUNT,
};

struct sql_params {
    const char *host;
    uint16_t port; /* 0: 1433 */
    const char *user;
    const struct secret *password;
    const char *app; /* shown in sys.dm_exec_sessions; NULL: "mssql-sidecar" */
    const char *database; /* NULL: master, which exists before any other and is never in anybody's way */
    enum sql_encryption encryption;
    const char *ca_file; /* PEM file, or "system"; NULL: the server's certificate is not verified */
    bool check_hostname; /* the certificate must name `host`; needs ca_file */
    unsigned login_timeout_s; /* 0: 15 */
};

/* How one statement is run. All zero is a fine default: SQL_TIMEOUT_DEFAULT_S, no callbacks. */
struct sql_call {
    int timeout_s; /* of the whole statement; 0: SQL_TIMEOUT_DEFAULT_S, SQL_TIMEOUT_NONE: none */
    const atomic_bool *cancel; /* the statement is cancelled when it becomes true; NULL: only by sql_cancel() */
    /* Called about once per second while the server works; heartbeats belong here. */
    void (*tick)(void *user);
    /* Every message as it arrives, progress (3211) among them. */
    void (*message)(void *user, const struct sql_message *message);
    void *user;
};

struct sql_session;

/* What an implementation provides. run() is exec and query in one: row is NULL when rows are not wanted. */
struct sql_ops {
    int (*run)(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *row_user,
               struct sql_messages *messages, struct err *err);
    void (*cancel)(struct sql_session *session, bool on);
    void (*abort)(struct sql_session *session);
    bool (*alive)(const struct sql_session *session);
    void (*close)(struct sql_session *session);
};

struct sql_session {
    const struct sql_ops *ops;
};

/* Once per process, before any thread opens a session: initialises db-lib, takes its global handlers, and writes
 * `runtime_dir`/freetds.conf (mode 0600, no secrets) that carries encryption options. Changes the environment
 * (FREETDSCONF, and removes TDSDUMP and the like, which would write passwords or change the peer). */
int sql_global_init(const char *runtime_dir, struct err *err) ERR_CHECK;
/* "freetds v1.3.17" */
const char *sql_client_version(void);
/* After the last session is closed: removes the file. */
void sql_global_done(void);

/* Logs in and sets the session's options (us_english messages, ANSI settings). Errors: ERR_CONNECT not reachable or TLS
 * refused, ERR_AUTH login refused, ERR_STATE server starting or stopping, ERR_TIMEOUT no answer, ERR_CONFIG parameters. */
int sql_session_open(const struct sql_params *params, struct sql_session **ret_session, struct err *err) ERR_CHECK;
void sql_session_close(struct sql_session *session); /* NULL is allowed */

/* Runs a batch whose rows do not matter. */
int sql_exec(struct sql_session *session, const char *text, const struct sql_call *call, struct err *err) ERR_CHECK;
/* Runs a batch and calls row for each row of each result. row's non-zero return ends the statement and is an error;
 * it fills err. */
int sql_query(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *user,
              struct err *err) ERR_CHECK;
/* As sql_query, and the messages are the caller's (sql_messages_done() them also after an error). Rows are dropped when
 * row is NULL. */
int sql_run(struct sql_session *session, const char *text, const struct sql_call *call, sql_row_fn row, void *user,
            struct sql_messages *messages, struct err *err) ERR_CHECK;

/* From any thread: the statement that runs, and those that come, end with ERR_CANCELLED within about a second until
 * sql_session_resume(). The connection survives: an attention is sent and its answer awaited. */
void sql_cancel(struct sql_session *session);
void sql_session_resume(struct sql_session *session);
/* From any thread: hard stop. The socket is shut down; the running call fails at once with ERR_CANCELLED. */
void sql_abort(struct sql_session *session);
/* False when the connection is gone: close it and open another. */
bool sql_session_alive(const struct sql_session *session);

#endif
