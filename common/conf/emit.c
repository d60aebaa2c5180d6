/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf/emit.h"

#include <ctype.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/keys_int.h"

/* Characters that YAML does not take as they are, or takes for a line break: C1 controls, NEL, U+2028, U+2029, the byte
 * order mark and U+FFFE, U+FFFF. Returns the length of the sequence, 0 when the character is harmless. */
static size_t must_escape(const unsigned char *s, unsigned *ret_code) {
    if (s[0] == 0xc2 && s[1] >= 0x80 && s[1] <= 0x9f) {
        *ret_code = s[1];
        return 2;
    }
    if (s[0] < 0xe0 || s[0] > 0xef || !s[1] || !s[2])
        return 0;
    unsigned code = (s[0] & 15u) << 12 | (s[1] & 63u) << 6 | (s[2] & 63u);
    *ret_code = code;
    return code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe ? 3 : 0;
}

/* A double-quoted text that is the same in YAML and JSON. */
static void quoted(struct buf *out, const char *text) {
    (void)buf_putc(out, '"');
    while (*text) {
        unsigned code;
        size_t len = must_escape((const unsigned char *)text, &code);
        if (len)
            (void)buf_printf(out, "\\u%04x", code);
        else
            (void)buf_json(out, (char[]){*text, 0});
        text += len ? len : 1;
    }
    (void)buf_putc(out, '"');
}

/* Plain when it is made of harmless characters and reads as nothing but text or a number. */
static void conf_emit_scalar(struct buf *out, const char *text) {
    bool plain = *text && (isalnum((unsigned char)*text) || *text == '/' || *text == '_');
    for (const char *s = text; *s && plain; s++)
        plain = isalnum((unsigned char)*s) || strchr("/_.+-", *s) || (*s == ':' && isalnum((unsigned char)s[1]));
    if (plain && (str_ieq(text, "null") || str_ieq(text, "~")))
        plain = false;
    if (plain) {
        (void)buf_puts(out, text);
        return;
    }
    quoted(out, text);
}

/* Number of leading path parts that two keys share. */
static unsigned shared_parts(const char *a, const char *b) {
    unsigned parts = 0;
    for (; *a && *a == *b; a++, b++)
        parts += *a == '.';
    return parts;
}

static unsigned depth_of(const char *path) {
    unsigned parts = 0;
    for (; *path; path++)
        parts += *path == '.';
    return parts;
}

static const char *last_part(const char *path) {
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

static bool quoted_kind(enum conf_kind kind) {
    return kind != CONF_BOOL && kind != CONF_INT && kind != CONF_MINUTES && kind != CONF_MEBIBYTES;
}

static void value_yaml(const struct conf_key *key, const void *object, const char *value, struct buf *out) {
    if (key->kind != CONF_TEXTS) {
        conf_emit_scalar(out, value);
        return;
    }
    const struct conf_list *list = conf_field(key, object);
    (void)buf_putc(out, '[');
    for (size_t i = 0; i < list->count; i++) {
        (void)buf_puts(out, i ? ", " : "");
        quoted(out, list->items[i]);
    }
    (void)buf_putc(out, ']');
}

/* Fills `value` with what the key has; false when it is left out. */
static bool has_value(const struct conf_schema *schema, const struct conf_key *key, const void *object, conf_emit_own *own,
                      struct buf *value, unsigned indent, bool json) {
    buf_reset(value);
    if (key->flags & CONF_ALIAS || key->kind == CONF_REFUSED || conf_gap_find(schema, key->path, NULL))
        return false;
    if (key->kind == CONF_OWN) {
        if (own)
            own(key, object, value, indent, json);
    } else {
        conf_key_value(key, object, value);
    }
    /* an empty list says something where the reader's default has entries */
    return value->len > 0 || key->kind == CONF_TEXTS;
}

void conf_emit_yaml(const struct conf_schema *schema, const void *object, struct buf *out, unsigned indent, conf_emit_own *own) {
    const char *before = "";
    struct buf value;
    buf_init(&value, CONF_BYTES_MAX);
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        unsigned depth = depth_of(key->path), shared = shared_parts(before, key->path);
        if (!has_value(schema, key, object, own, &value, indent + 2 * depth, false))
            continue;
        for (unsigned d = shared; d < depth; d++) {
            const char *part = key->path;
            for (unsigned n = 0; n < d; n++)
                part = strchr(part, '.') + 1;
            (void)buf_printf(out, "%*s%.*s:\n", (int)(indent + 2 * d), "", (int)strcspn(part, "."), part);
        }
        (void)buf_printf(out, "%*s%s:", (int)(indent + 2 * depth), "", last_part(key->path));
        if (key->kind == CONF_OWN) {
            (void)buf_append(out, value.data, value.len);
        } else {
            (void)buf_putc(out, ' ');
            value_yaml(key, object, value.len ? value.data : "", out);
            (void)buf_putc(out, '\n');
        }
        before = key->path;
    }
    buf_done(&value);
}

static void value_json(const struct conf_key *key, const void *object, const char *value, struct buf *out) {
    if (key->kind == CONF_OWN) {
        (void)buf_puts(out, value);
    } else if (key->kind == CONF_TEXTS) {
        value_yaml(key, object, value, out); /* a flow list with quoted items is JSON */
    } else if (quoted_kind(key->kind)) {
        quoted(out, value);
    } else {
        (void)buf_puts(out, value);
    }
}

void conf_emit_json(const struct conf_schema *schema, const void *object, struct buf *out, conf_emit_own *own) {
    const char *before = "";
    struct buf value;
    buf_init(&value, CONF_BYTES_MAX);
    (void)buf_putc(out, '{');
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        unsigned depth = depth_of(key->path), shared = shared_parts(before, key->path);
        if (!has_value(schema, key, object, own, &value, 0, true))
            continue;
        for (unsigned d = depth_of(before); d > shared; d--)
            (void)buf_putc(out, '}');
        if (*before)
            (void)buf_putc(out, ',');
        for (unsigned d = shared; d < depth; d++) {
            const char *part = key->path;
            for (unsigned n = 0; n < d; n++)
                part = strchr(part, '.') + 1;
            (void)buf_printf(out, "\"%.*s\":{", (int)strcspn(part, "."), part);
        }
        (void)buf_printf(out, "\"%s\":", last_part(key->path));
        value_json(key, object, value.len ? value.data : "", out);
        before = key->path;
    }
    for (unsigned d = depth_of(before); d > 0; d--)
        (void)buf_putc(out, '}');
    (void)buf_putc(out, '}');
    buf_done(&value);
}

/* A pipe would end the cell. */
static void cell(struct buf *out, const char *text) {
    for (; *text; text++)
        (void)buf_puts(out, *text == '|' ? "\\|" : (char[]){*text, 0});
}

static void reference_row(const struct conf_schema *schema, const struct conf_key *key, const char *prefix,
                          const char *env_prefix, struct buf *out) {
    char path[256];
    (void)str_format(path, sizeof(path), "%s%s", prefix, key->path);
    (void)buf_printf(out, "| `%s` | ", path);
    if (key->kind == CONF_OWN)
        (void)buf_puts(out, "a list");
    else
        conf_key_allowed(schema, key, out);
    if (key->flags & CONF_ALIAS)
        (void)buf_puts(out, " | ");
    else if (key->flags & CONF_REQUIRED)
        (void)buf_puts(out, " | *required* ");
    else if (key->fallback && *key->fallback)
        (void)buf_printf(out, " | `%s` ", key->fallback);
    else
        (void)buf_puts(out, " | ");
    (void)buf_printf(out, "| %s | ", key->flags & CONF_RELOAD ? "reload" : "restart");
    if (key->kind != CONF_OWN && !(key->flags & CONF_FILE_ONLY)) {
        (void)buf_putc(out, '`');
        conf_key_env(env_prefix, path, out);
        (void)buf_putc(out, '`');
    }
    (void)buf_puts(out, " | ");
    cell(out, key->doc);
    (void)buf_puts(out, " |\n");
}

void conf_emit_reference(const struct conf_schema *schema, const char *prefix, const char *env_prefix, struct buf *out) {
    (void)buf_puts(out, "| key | allowed | default | takes effect on | environment | what for |\n|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (key->kind != CONF_REFUSED && !conf_gap_find(schema, key->path, NULL))
            reference_row(schema, key, prefix, env_prefix, out);
    }
}
