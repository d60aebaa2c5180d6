/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/err.h"

#include <stdio.h>
#include <string.h>

struct class_row {
    const char *name;
    int exit_code;
    int grpc; /* grpc_status_code by number: this file knows no gRPC header */
    bool transient;
};

/* gRPC: 1 cancelled, 3 invalid argument, 4 deadline, 5 not found, 6 already exists, 7 permission denied, 8 resource
 * exhausted, 9 failed precondition, 10 aborted, 12 unimplemented, 13 internal, 14 unavailable, 15 data loss,
 * 16 unauthenticated. */
static const struct class_row rows[ERR_CLASS_COUNT] = {
    [ERR_NONE] = {"none", 0, 0, false},
    [ERR_USAGE] = {"usage", 2, 3, false},
    [ERR_CONFIG] = {"config", 10, 3, false},
    [ERR_NOT_FOUND] = {"not_found", 11, 5, false},
    [ERR_EXISTS] = {"exists", 12, 6, false},
    [ERR_CONFLICT] = {"conflict", 13, 10, false},
    [ERR_BUSY] = {"busy", 14, 14, true},
    [ERR_CONNECT] = {"connect", 15, 14, true},
    [ERR_AUTH] = {"auth", 16, 16, false},
    [ERR_PERMISSION] = {"permission", 17, 7, false},
    [ERR_TIMEOUT] = {"timeout", 18, 4, true},
    [ERR_CANCELLED] = {"cancelled", 19, 1, false},
    [ERR_STATE] = {"state", 20, 9, true},
    [ERR_CHAIN] = {"chain", 21, 9, false},
    [ERR_SPACE] = {"space", 22, 8, true},
    [ERR_IO] = {"io", 23, 14, true},
    [ERR_STORE] = {"store", 24, 14, true},
    [ERR_CORRUPT] = {"corrupt", 25, 15, false},
    [ERR_CRYPTO] = {"crypto", 26, 9, false},
    [ERR_SQL] = {"sql", 27, 9, false},
    [ERR_UNSUPPORTED] = {"unsupported", 28, 12, false},
    [ERR_PROTOCOL] = {"protocol", 29, 13, false},
    [ERR_LIMIT] = {"limit", 30, 8, false},
    [ERR_DATA_LOSS] = {"data_loss", 31, 9, false},
    [ERR_INTERNAL] = {"internal", 32, 13, false},
};

/* A text that was cut may end inside of a UTF-8 character: no JSON and no log takes such a text. */
static void drop_half_character(char *text) {
    size_t len = strlen(text), more = 0;
    while (more < len && more < 3 && ((unsigned char)text[len - 1 - more] & 0xC0) == 0x80)
        more++;
    if (more == len)
        return;
    unsigned char first = (unsigned char)text[len - 1 - more];
    size_t wanted = first >= 0xF0 ? 3 : first >= 0xE0 ? 2 : first >= 0xC0 ? 1 : 0;
    if (wanted > more)
        text[len - 1 - more] = 0;
}

/* A message that is too long is cut: the beginning says what and where. */
static void append(char *dst, size_t dst_bytes, const char *more) {
    size_t used = strlen(dst), len = strlen(more);
    bool cut = len > dst_bytes - 1 - used;
    if (cut)
        len = dst_bytes - 1 - used;
    memcpy(dst + used, more, len);
    dst[used + len] = 0;
    if (cut)
        drop_half_character(dst);
}

static void say(char text[ERR_TEXT_MAX], const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

static void say(char text[ERR_TEXT_MAX], const char *fmt, va_list ap) {
    int n = vsnprintf(text, ERR_TEXT_MAX, fmt, ap);
    if (n < 0)
        text[0] = 0;
    if (n >= ERR_TEXT_MAX)
        drop_half_character(text);
}

int err_setv(struct err *err, enum err_class class, const char *fmt, va_list ap) {
    if (!err)
        return -1;
    char text[ERR_TEXT_MAX]; /* arguments may point into err->text */
    say(text, fmt, ap);
    *err = (struct err){.class = class};
    memcpy(err->text, text, sizeof(text));
    return -1;
}

int err_set(struct err *err, enum err_class class, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, class, fmt, ap);
    va_end(ap);
    return -1;
}

static enum err_class class_of_errno(int errno_value) {
    switch (errno_value) {
    case ENOSPC:
    case EDQUOT:
        return ERR_SPACE;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_PERMISSION;
    default:
        return ERR_IO;
    }
}

int err_os(struct err *err, enum err_class class, int errno_value, const char *fmt, ...) {
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, class == ERR_NONE ? class_of_errno(errno_value) : class, fmt, ap);
    va_end(ap);
    err->os = errno_value;
    char reason[128];
    /* the GNU form returns the text, possibly not in the buffer */
    const char *text = strerror_r(errno_value, reason, sizeof(reason));
    append(err->text, sizeof(err->text), ": ");
    append(err->text, sizeof(err->text), text);
    return -1;
}

int err_sql(struct err *err, enum err_class class, int number, int severity, const char *fmt, ...) {
    if (!err)
        return -1;
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, class, fmt, ap);
    va_end(ap);
    err->sql_number = number;
    err->sql_severity = severity;
    return -1;
}

int err_context(struct err *err, const char *fmt, ...) {
    if (!err)
        return -1;
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    say(text, fmt, ap);
    va_end(ap);
    append(text, sizeof(text), ": ");
    append(text, sizeof(text), err->text);
    memcpy(err->text, text, sizeof(text));
    return -1;
}

int err_hint(struct err *err, const char *fmt, ...) {
    if (!err)
        return -1;
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    say(text, fmt, ap);
    va_end(ap);
    append(err->text, sizeof(err->text), ". ");
    append(err->text, sizeof(err->text), text);
    return -1;
}

void err_clear(struct err *err) {
    if (err)
        *err = (struct err){0};
}

void err_copy(struct err *dst, const struct err *src) {
    if (dst)
        *dst = *src;
}

static const struct class_row *row_of(enum err_class class) {
    return &rows[(unsigned)class < ERR_CLASS_COUNT ? class : ERR_INTERNAL];
}

const char *err_class_name(enum err_class class) {
    return row_of(class)->name;
}

enum err_class err_class_parse(const char *name) {
    for (unsigned i = 1; i < ERR_CLASS_COUNT; i++)
        if (!strcmp(rows[i].name, name))
            return (enum err_class)i;
    return ERR_NONE;
}

int err_class_exit(enum err_class class) {
    return row_of(class)->exit_code;
}

int err_class_grpc(enum err_class class) {
    return row_of(class)->grpc;
}

enum err_class err_class_from_grpc(int code) {
    switch (code) {
    case 0:
        return ERR_NONE;
    case 1:
        return ERR_CANCELLED;
    case 3:
        return ERR_USAGE;
    case 4:
        return ERR_TIMEOUT;
    case 5:
        return ERR_NOT_FOUND;
    case 6:
        return ERR_EXISTS;
    case 7:
        return ERR_PERMISSION;
    case 8:
        return ERR_LIMIT;
    case 9:
        return ERR_STATE;
    case 10:
        return ERR_CONFLICT;
    case 12:
        return ERR_UNSUPPORTED;
    case 14:
        return ERR_CONNECT;
    case 15:
        return ERR_CORRUPT;
    case 16:
        return ERR_AUTH;
    default:
        return ERR_INTERNAL;
    }
}

bool err_class_transient(enum err_class class) {
    return row_of(class)->transient;
}
