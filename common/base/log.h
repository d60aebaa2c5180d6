/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log: one line per event to stderr, logfmt or JSON. Fields are bound to a thread (run id, database) so that every line
 * of a job carries them. Libraries do not log above debug; the job layer says each thing once. Values are escaped; secrets never come here
 * because struct secret cannot be printed.
 */
#ifndef MSSQL_BASE_LOG_H
#define MSSQL_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };
enum log_format { LOG_LOGFMT, LOG_JSON };

void log_setup(enum log_level level, enum log_format format, const char *program);
bool log_enabled(enum log_level level);

/* Binds key=value to this thread's lines until log_unbind() of the same depth. key must be static, value is copied. */
void log_bind(const char *key, const char *value);
void log_unbind(unsigned count);

/* An event: `msg` is a static sentence, then pairs of (const char *key, const char *value), NULL-terminated.
 *     log_event(LOG_INFO, "backup committed", "kind", "log", "bytes", bytes_text, NULL); */
void log_event(enum log_level level, const char *msg, ...) __attribute__((sentinel));
/* The same with class, message, errno and SQL number of err as fields. */
void log_error(enum log_level level, const struct err *err, const char *msg, ...) __attribute__((sentinel));
/* Test hook: lines go to fn instead of stderr (without newline). */
void log_set_sink(void (*fn)(void *user, const char *line), void *user);

#endif
