/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/str.h"

#define BOUND_MAX 8
#define LINE_MAX_BYTES 8192

static struct {
    enum log_level level;
    enum log_format format;
    const char *program;
    void (*sink)(void *user, const char *line);
    void *sink_user;
} conf = {.level = LOG_INFO, .program = "mssql"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static __thread struct {
    unsigned count;
    struct {
        const char *key;
        char value[160];
    } field[BOUND_MAX];
} bound;

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_setup(enum log_level level, enum log_format format, const char *program) {
    conf.level = level;
    conf.format = format;
    conf.program = program;
}

bool log_enabled(enum log_level level) {
    return level >= conf.level;
}

void log_bind(const char *key, const char *value) {
    if (bound.count < BOUND_MAX) {
        bound.field[bound.count].key = key;
        str_copy(bound.field[bound.count].value, sizeof(bound.field[0].value), value);
    }
    bound.count++;
}

void log_unbind(unsigned count) {
    bound.count = count > bound.count ? 0 : bound.count - count;
}

static void put_field(struct buf *line, const char *key, const char *value) {
    if (!value)
        return;
    if (conf.format == LOG_JSON) {
        buf_printf(line, "%s\"%s\":\"", line->len ? "," : "{", key);
        buf_json(line, value);
        buf_putc(line, '"');
        return;
    }
    bool plain = *value && !strpbrk(value, " \"=\\\n\r\t");
    buf_printf(line, plain ? "%s%s=" : "%s%s=\"", line->len ? " " : "", key);
    buf_json(line, value);
    if (!plain)
        buf_putc(line, '"');
}

static void put_pairs(struct buf *line, va_list ap) {
    const char *key;
    while ((key = va_arg(ap, const char *)))
        put_field(line, key, va_arg(ap, const char *));
}

static void write_line(struct buf *line) {
    if (conf.format == LOG_JSON)
        buf_putc(line, '}');
    pthread_mutex_lock(&lock);
    if (conf.sink) {
        conf.sink(conf.sink_user, line->data);
    } else {
        buf_putc(line, '\n');
        /* nothing can be done when stderr is gone */
        ssize_t ignored = write(STDERR_FILENO, line->data, line->len);
        (void)ignored;
    }
    pthread_mutex_unlock(&lock);
}

static void emit(enum log_level level, const struct err *err, const char *msg, va_list ap) {
    struct buf line;
    buf_init(&line, LINE_MAX_BYTES);
    char at[CLOCK_TEXT_MAX];
    put_field(&line, "time", clock_format(at, clock_wall()));
    put_field(&line, "level", level_names[level]);
    put_field(&line, "program", conf.program);
    put_field(&line, "msg", msg);
    for (unsigned i = 0; i < bound.count && i < BOUND_MAX; i++)
        put_field(&line, bound.field[i].key, bound.field[i].value);
    put_pairs(&line, ap);
    if (err && err->class != ERR_NONE) {
        put_field(&line, "class", err_class_name(err->class));
        if (err->sql_number) {
            char number[16];
            str_format(number, sizeof(number), "%d", err->sql_number);
            put_field(&line, "sql_number", number);
        }
        put_field(&line, "error", err->text);
    }
    write_line(&line);
    buf_done(&line);
}

void log_event(enum log_level level, const char *msg, ...) {
    if (!log_enabled(level))
        return;
    va_list ap;
    va_start(ap, msg);
    emit(level, NULL, msg, ap);
    va_end(ap);
}

void log_error(enum log_level level, const struct err *err, const char *msg, ...) {
    if (!log_enabled(level))
        return;
    va_list ap;
    va_start(ap, msg);
    emit(level, err, msg, ap);
    va_end(ap);
}

void log_set_sink(void (*fn)(void *user, const char *line), void *user) {
    pthread_mutex_lock(&lock);
    conf.sink = fn;
    conf.sink_user = user;
    pthread_mutex_unlock(&lock);
}
