/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operating system errors inside messages: "Operating system error 5(Access is denied.)". SQL Server on Linux maps errno to
 * Windows codes; what they mean there is not always what the text says.
 */
#include <ctype.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/sql/errors.h"

struct os_row {
    int code;
    enum err_class class;
    const char *hint;
};

static const char OWNER[] =
    "SQL Server runs as uid 10001, gid 0 in its container: the directory must exist at the same path there and "
    "be writable for it (owner 10001:0 or the volume's fsGroup, mode 2770, not mounted read-only)";

static const struct os_row rows[] = {
    {2, ERR_NOT_FOUND, OWNER}, /* 2019 says so of a missing directory */
    {3, ERR_NOT_FOUND, OWNER},
    {5, ERR_PERMISSION, OWNER}, /* 2022 says so of a missing directory, too */
    {19, ERR_PERMISSION, "the file system is mounted read-only for SQL Server"},
    {31, ERR_UNSUPPORTED, "the file system does not support what SQL Server needs (direct I/O): use XFS or ext4"},
    {32, ERR_BUSY, "another process has the file open"},
    {33, ERR_BUSY, "another process has locked the file"},
    {38, ERR_CORRUPT, "the file is shorter than it should be"},
    {39, ERR_SPACE, "the volume is full: free space or enlarge it"},
    {50, ERR_UNSUPPORTED, "the file system does not support what SQL Server needs: use XFS or ext4"},
    {53, ERR_IO, "the network share is not reachable"},
    {64, ERR_IO, "the network connection to the device was lost"},
    {80, ERR_EXISTS, "the file is there already"},
    {87, ERR_UNSUPPORTED, "the file system does not support the block size or direct I/O: use XFS or ext4"},
    {112, ERR_SPACE, "the volume is full: free space or enlarge it"},
    {121, ERR_TIMEOUT, "the device did not answer in time"},
    {995, ERR_CANCELLED, "the operation was aborted: killed, cancelled, or SQL Server is shutting down"},
    {1117, ERR_IO, "the device reports an I/O error"},
    {1231, ERR_IO, "the network is unreachable"},
};

static int leading_number(const char *s) {
    if (!isdigit((unsigned char)*s))
        return -1;
    int n = 0;
    for (; isdigit((unsigned char)*s); s++) {
        if (n > 100000)
            return -1;
        n = n * 10 + (*s - '0');
    }
    return n;
}

int sql_os_error(const char *text) {
    static const char phrase[] = "ystem error ";
    const char *p = strstr(text, phrase);
    if (p)
        return leading_number(p + sizeof(phrase) - 1);
    /* 3202, 3203, 3271 and texts in other languages: the form is "<number>(<text>)". The last one is meant, for the path
     * before it may look alike. */
    int found = -1;
    for (p = text; (p = strchr(p, '(')); p++) {
        const char *digits = p;
        while (digits > text && isdigit((unsigned char)digits[-1]))
            digits--;
        if (digits < p && digits > text && strchr(" :'\"", digits[-1]))
            found = leading_number(digits);
    }
    return found;
}

static bool may_hold_os_error(int number) {
    switch (number) {
    case 823:
    case 3201:
    case 3202:
    case 3203:
    case 3271:
    case 3634:
    case 5105:
    case 5120:
    case 5121:
    case 5123:
    case 5133:
    case 5149:
        return true;
    default:
        return false;
    }
}

static const struct os_row *os_find(int code) {
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].code == code)
            return &rows[i];
    return NULL;
}

int sql_error_set(struct err *err, const struct sql_message *message) {
    const struct sql_error_row *row = sql_error_find(message->number);
    enum err_class class = row->class == ERR_NONE ? ERR_SQL : row->class;
    const char *hint = row->hint;
    if (may_hold_os_error(message->number)) {
        const struct os_row *os = os_find(sql_os_error(message->text));
        if (os) {
            /* Page errors stay damage whatever the device says. */
            class = message->number == 823 ? class : os->class;
            hint = os->hint;
        }
    }
    err_sql(err, class, message->number, message->severity, "%s (message %d, severity %d, state %d)", message->text,
            message->number, message->severity, message->state);
    if (hint)
        err_hint(err, "%s", hint);
    return -1;
}
