/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/text.h"

#include <stdint.h>
#include <string.h>

/* Length and validity of the UTF-8 sequence at s: 0 when it is not one. Overlong forms and surrogates are not. */
static unsigned sequence(const unsigned char *s) {
    if (s[0] < 0x80)
        return 1;
    unsigned len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (unsigned i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

long sql_text_units(const char *text) {
    const unsigned char *s = (const unsigned char *)text;
    long units = 0;
    while (*s) {
        unsigned len = sequence(s);
        if (!len)
            return -1;
        units += len == 4 ? 2 : 1;
        s += len;
    }
    return units;
}

static void quote(struct buf *out, const char *text, size_t chars, const char *open, char close) {
    long units = sql_text_units(text);
    if (units < 0 || (size_t)units > chars) {
        out->overflow = true;
        return;
    }
    buf_puts(out, open);
    for (const char *s = text; *s; s++) {
        buf_putc(out, *s);
        if (*s == close)
            buf_putc(out, close);
    }
    buf_putc(out, close);
}

void sql_quote_name(struct buf *out, const char *name) {
    if (!name[0])
        out->overflow = true; /* there is no empty name */
    else
        quote(out, name, SQL_NAME_CHARS, "[", ']');
}

void sql_quote_text(struct buf *out, const char *text) {
    quote(out, text, SIZE_MAX, "N'", '\'');
}

void sql_quote_text_max(struct buf *out, const char *text, size_t chars) {
    quote(out, text, chars, "N'", '\'');
}

int sql_text_check(const struct buf *text, const char *what, struct err *err) {
    if (!text->overflow)
        return 0;
    return err_set(err, ERR_USAGE, "%s: a name or value is empty, too long, or not valid UTF-8", what);
}
