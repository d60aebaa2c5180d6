/* SPDX-License-Identifier: Apache-2.0 */
/* A growable byte buffer with a declared maximum. Text written with buf_printf() is always NUL-terminated. */
#ifndef MSSQL_BASE_BUF_H
#define MSSQL_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    char *data; /* NUL-terminated when not NULL */
    size_t len;
    size_t cap;
    size_t max; /* bytes it may hold at the most */
    bool overflow; /* something did not fit; the contents are then not complete */
};

void buf_init(struct buf *b, size_t max_bytes);
void buf_done(struct buf *b); /* frees; b may be used again after buf_init */
void buf_reset(struct buf *b); /* empty, keeps the allocation */
/* False, and overflow set, when the maximum would be passed; nothing is appended then. */
bool buf_append(struct buf *b, const void *data, size_t len);
bool buf_puts(struct buf *b, const char *s);
bool buf_putc(struct buf *b, char c);
bool buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first n bytes. */
void buf_consume(struct buf *b, size_t n);
/* Hands the heap string over to the caller; the buffer is empty again. Never NULL. */
char *buf_take(struct buf *b);
/* Appends s as the inside of a JSON string (quotes not included). */
bool buf_json(struct buf *b, const char *s);

#endif
