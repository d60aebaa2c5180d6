/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

void buf_init(struct buf *b, size_t max_bytes) {
    *b = (struct buf){.max = max_bytes};
}

void buf_done(struct buf *b) {
    mem_free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b) {
    b->len = 0;
    b->overflow = false;
    if (b->data)
        b->data[0] = 0;
}

static bool reserve(struct buf *b, size_t more) {
    if (more > b->max - b->len) {
        b->overflow = true;
        return false;
    }
    b->data = mem_grow(b->data, &b->cap, b->len + more + 1, 1);
    return true;
}

bool buf_append(struct buf *b, const void *data, size_t len) {
    if (!reserve(b, len))
        return false;
    if (len)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = 0;
    return true;
}

bool buf_puts(struct buf *b, const char *s) {
    return buf_append(b, s, strlen(s));
}

bool buf_putc(struct buf *b, char c) {
    return buf_append(b, &c, 1);
}

bool buf_printf(struct buf *b, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    bool ok = n >= 0 && reserve(b, (size_t)n);
    if (ok) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return ok;
}

void buf_consume(struct buf *b, size_t n) {
    if (n > b->len)
        n = b->len;
    if (!n)
        return;
    memmove(b->data, b->data + n, b->len - n + 1);
    b->len -= n;
}

char *buf_take(struct buf *b) {
    char *data = b->data ? b->data : mem_strdup("");
    *b = (struct buf){.max = b->max};
    return data;
}

bool buf_json(struct buf *b, const char *s) {
    bool ok = true;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\')
            ok &= buf_printf(b, "\\%c", c);
        else if (c == '\n')
            ok &= buf_puts(b, "\\n");
        else if (c < 0x20 || c == 0x7f)
            ok &= buf_printf(b, "\\u%04x", c);
        else
            ok &= buf_putc(b, (char)c);
    }
    return ok;
}
