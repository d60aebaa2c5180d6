/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors: a class, the numbers behind it, and one message.
 *
 * A function that can fail returns 0 or -1 and fills `struct err`. The class decides how everybody reacts and is the
 * same word in the log, in metrics, as exit code and as gRPC status (table in err.c). The message says what, where and
 * what to do; callers on the way up prepend context with err_context(), they never replace it.
 *
 *     if (file_write_durable(path, data, len, 0640, err) < 0)
 *         return err_context(err, "journal of run %s", run_id);
 */
#ifndef MSSQL_BASE_ERR_H
#define MSSQL_BASE_ERR_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

/* Order is not meaning: exit codes and gRPC codes are in the table of err.c and never reused. */
enum err_class {
    ERR_NONE = 0,
    ERR_USAGE, /* wrong command line or request argument */
    ERR_CONFIG, /* configuration or policy is not acceptable */
    ERR_NOT_FOUND, /* no such database, backup, object, key */
    ERR_EXISTS, /* already there, with other content */
    ERR_CONFLICT, /* somebody else owns or runs it */
    ERR_BUSY, /* try again soon: serialised operation, limit of concurrent work */
    ERR_CONNECT, /* peer not reachable or connection lost */
    ERR_AUTH, /* login or token refused */
    ERR_PERMISSION, /* the identity is known but lacks a right */
    ERR_TIMEOUT, /* deadline passed or no progress */
    ERR_CANCELLED, /* asked to stop */
    ERR_STATE, /* the database or the program is in a state that does not allow it (yet) */
    ERR_CHAIN, /* log chain broken or differential base missing: needs another kind of backup */
    ERR_SPACE, /* disk, quota or staging full */
    ERR_IO, /* file or device failed */
    ERR_STORE, /* the backup store answered with an error */
    ERR_CORRUPT, /* bytes are not what they should be */
    ERR_CRYPTO, /* key missing, wrong or not usable */
    ERR_SQL, /* SQL Server refused for a reason of no other class */
    ERR_UNSUPPORTED, /* version, edition or feature does not have it */
    ERR_PROTOCOL, /* peer broke a protocol */
    ERR_LIMIT, /* a bound of ours was reached */
    ERR_DATA_LOSS, /* going on would lose data: needs an acknowledgement */
    ERR_INTERNAL, /* a defect of this program */
    ERR_CLASS_COUNT,
};

#define ERR_TEXT_MAX 1024

struct err {
    enum err_class class;
    int os; /* errno, 0 when none */
    int sql_number; /* message number of SQL Server, 0 when none */
    int sql_severity; /* its severity */
    char text[ERR_TEXT_MAX];
};

#define ERR_CHECK __attribute__((warn_unused_result))

/* All of these return -1, so that `return err_set(...)` is the usual form. A NULL err is allowed (the caller does not care). */
int err_set(struct err *err, enum err_class class, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_setv(struct err *err, enum err_class class, const char *fmt, va_list ap) __attribute__((format(printf, 3, 0)));
/* As err_set with ": <strerror>" appended and os = errno_value. The class is chosen from errno when class is ERR_NONE
 * (ENOSPC, EDQUOT -> SPACE, ENOENT -> NOT_FOUND, EACCES, EPERM, EROFS -> PERMISSION, else IO). */
int err_os(struct err *err, enum err_class class, int errno_value, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int err_sql(struct err *err, enum err_class class, int number, int severity, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Puts "<context>: " in front of the text; the class stays. */
int err_context(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Appends " (<hint>)" style advice as a second sentence: ". <hint>". */
int err_hint(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void err_clear(struct err *err);
void err_copy(struct err *dst, const struct err *src);

/* Stable word of a class: "space", "chain", "not_found". Never NULL. */
const char *err_class_name(enum err_class class);
/* Class of a word, ERR_NONE when unknown. */
enum err_class err_class_parse(const char *name);
/* Exit code of a program that ends with this class: 0 for NONE, 2 for USAGE, 10.. for the others. */
int err_class_exit(enum err_class class);
/* Number of the gRPC status code (0..16). */
int err_class_grpc(enum err_class class);
enum err_class err_class_from_grpc(int code);
/* May the same thing succeed later without anybody changing anything? */
bool err_class_transient(enum err_class class);

#endif
