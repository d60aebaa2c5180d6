/* SPDX-License-Identifier: Apache-2.0 */
/* JSON data as YAML. Every string that a reader of YAML 1.1 or 1.2 could take for something else is in double quotes. */
#include <ctype.h>
#include <string.h>

#include "cli/out.h"
#include "common/base/str.h"

/* Letters first, nothing that means anything; words that mean true, false or null in YAML 1.1 are not plain either. */
static bool is_plain(const char *s) {
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
    if (!isalpha((unsigned char)s[0]))
        return false;
    for (const char *p = s; *p; p++)
        if (!isalnum((unsigned char)*p) && !strchr("_-./", *p))
            return false;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_ieq(s, words[i]))
            return false;
    return true;
}

static void put_quoted(struct buf *out, const char *s) {
    buf_putc(out, '"');
    for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
        if (*p == '"' || *p == '\\')
            buf_printf(out, "\\%c", *p);
        else if (*p == '\n')
            buf_puts(out, "\\n");
        else if (*p < 0x20 || *p == 0x7f)
            buf_printf(out, "\\x%02x", *p);
        else if (*p == 0xc2 && p[1] < 0xa0) /* C1 */
            buf_printf(out, "\\x%02x", *++p);
        else if (*p == 0xe2 && p[1] == 0x80 && (p[2] == 0xa8 || p[2] == 0xa9)) /* line ends of Unicode */
            buf_printf(out, "\\u20%02x", p[2] - 0x80), p += 2;
        else if (*p == 0xef && p[1] == 0xbb && p[2] == 0xbf) /* byte order mark */
            buf_puts(out, "\\ufeff"), p += 2;
        else if (*p == 0xef && p[1] == 0xbf && p[2] >= 0xbe) /* no characters */
            buf_printf(out, "\\uff%02x", p[2] + 0x40), p += 2;
        else
            buf_putc(out, (char)*p);
    }
    buf_putc(out, '"');
}

static void put_string(struct buf *out, const char *s) {
    if (is_plain(s))
        buf_puts(out, s);
    else
        put_quoted(out, s);
}

static void put_scalar(struct buf *out, const json_t *v) {
    switch (json_typeof(v)) {
    case JSON_STRING:
        put_string(out, json_string_value(v));
        break;
    case JSON_INTEGER:
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL: {
        char text[40];
        str_format(text, sizeof(text), "%.6g", json_real_value(v));
        buf_puts(out, text);
        if (!strpbrk(text, ".en"))
            buf_puts(out, ".0");
        break;
    }
    case JSON_TRUE:
        buf_puts(out, "true");
        break;
    case JSON_FALSE:
        buf_puts(out, "false");
        break;
    case JSON_ARRAY:
        buf_puts(out, "[]");
        break;
    case JSON_OBJECT:
        buf_puts(out, "{}");
        break;
    default:
        buf_puts(out, "null");
    }
}

static bool is_block(const json_t *v) {
    return json_array_size(v) || json_object_size(v);
}

static void put_indent(struct buf *out, unsigned indent) {
    for (unsigned i = 0; i < indent; i++)
        buf_putc(out, ' ');
}

/* `inline_first`: the cursor stands already where the first line begins (behind "- "). */
static void put_block(struct buf *out, const json_t *v, unsigned indent, bool inline_first) {
    size_t i;
    json_t *item;
    const char *key;
    if (json_is_array(v)) {
        json_array_foreach(v, i, item) {
            if (i || !inline_first)
                put_indent(out, indent);
            buf_puts(out, "- ");
            if (is_block(item)) {
                put_block(out, item, indent + 2, true);
                continue;
            }
            put_scalar(out, item);
            buf_putc(out, '\n');
        }
        return;
    }
    bool first = true;
    json_t *object = json_incref((json_t *)(uintptr_t)v); /* the iteration takes no const */
    json_object_foreach(object, key, item) {
        if (!first || !inline_first)
            put_indent(out, indent);
        first = false;
        put_string(out, key);
        buf_putc(out, ':');
        if (is_block(item)) {
            buf_putc(out, '\n');
            put_block(out, item, indent + 2, false);
            continue;
        }
        buf_putc(out, ' ');
        put_scalar(out, item);
        buf_putc(out, '\n');
    }
    json_decref(object);
}

void yaml_from_json(struct buf *out, const json_t *value) {
    if (is_block(value)) {
        put_block(out, value, 0, false);
        return;
    }
    put_scalar(out, value);
    buf_putc(out, '\n');
}
