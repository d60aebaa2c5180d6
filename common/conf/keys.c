/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf/keys.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/keys_int.h"

void conf_list_add(struct conf_list *list, const char *item) {
    list->items = mem_realloc(list->items, (list->count + 1) * sizeof(*list->items));
    list->items[list->count++] = mem_strdup(item);
}

void conf_list_addf(struct conf_list *list, const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    conf_list_add(list, text);
}

void conf_list_done(struct conf_list *list) {
    for (size_t i = 0; i < list->count; i++)
        mem_free(list->items[i]);
    mem_free(list->items);
    *list = (struct conf_list){0};
}

bool conf_list_has(const struct conf_list *list, const char *item) {
    for (size_t i = 0; i < list->count; i++)
        if (!strcmp(list->items[i], item))
            return true;
    return false;
}

const struct conf_key *conf_keys_find(const struct conf_schema *schema, const char *path) {
    for (size_t i = 0; i < schema->count; i++)
        if (!strcmp(schema->keys[i].path, path))
            return &schema->keys[i];
    return NULL;
}

static void list_split(const char *text, struct conf_list *ret_list) {
    while (*text) {
        text += strspn(text, " ,");
        size_t len = strcspn(text, ",");
        size_t used = len;
        while (used && text[used - 1] == ' ')
            used--;
        if (used) {
            _cleanup_free_ char *item = mem_strndup(text, used);
            conf_list_add(ret_list, item);
        }
        text += len;
    }
}

void conf_keys_defaults(const struct conf_schema *schema, void *object) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (!key->fallback || key->flags & CONF_ALIAS)
            continue;
        if (key->kind == CONF_TEXTS)
            list_split(key->fallback, conf_field(key, object));
        else
            (void)conf_value_parse(key, key->fallback, object); /* a test parses every default */
    }
}

/* Keys without a field of their own. */
static bool no_field(const struct conf_key *key) {
    return key->flags & CONF_ALIAS || key->kind == CONF_OWN || key->kind == CONF_REFUSED;
}

void conf_keys_done(const struct conf_schema *schema, void *object) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (no_field(key))
            continue;
        if (key->kind == CONF_TEXTS) {
            conf_list_done(conf_field(key, object));
        } else if (key->kind == CONF_TEXT) {
            char **text = conf_field(key, object);
            mem_free(*text);
            *text = NULL;
        }
    }
}

static size_t field_bytes(enum conf_kind kind) {
    switch (kind) {
    case CONF_BOOL:
        return sizeof(bool);
    case CONF_TEXT:
        return sizeof(char *);
    case CONF_TEXTS:
        return sizeof(struct conf_list);
    case CONF_ENUM:
        return sizeof(int);
    default:
        return sizeof(int64_t);
    }
}

void conf_keys_copy(const struct conf_schema *schema, void *dst, const void *src) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (no_field(key))
            continue;
        void *to = conf_field(key, dst);
        const void *from = conf_field(key, src);
        if (key->kind == CONF_TEXTS) {
            const struct conf_list *list = from;
            for (size_t n = 0; n < list->count; n++)
                conf_list_add(to, list->items[n]);
        } else if (key->kind == CONF_TEXT) {
            const char *text = *(char *const *)from;
            *(char **)to = text ? mem_strdup(text) : NULL;
        } else {
            memcpy(to, from, field_bytes(key->kind));
        }
    }
}

void conf_keys_swap(const struct conf_schema *schema, void *a, void *b, unsigned flags) {
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (no_field(key) || (key->flags & flags) != flags)
            continue;
        unsigned char held[sizeof(struct conf_list)];
        size_t bytes = field_bytes(key->kind);
        memcpy(held, conf_field(key, a), bytes);
        memcpy(conf_field(key, a), conf_field(key, b), bytes);
        memcpy(conf_field(key, b), held, bytes);
    }
}

void conf_keys_diff(const struct conf_schema *schema, const void *old_object, const void *new_object, const char *prefix,
                    struct conf_list *reload, struct conf_list *restart) {
    struct buf a, b;
    buf_init(&a, CONF_BYTES_MAX);
    buf_init(&b, CONF_BYTES_MAX);
    for (size_t i = 0; i < schema->count; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (no_field(key))
            continue;
        buf_reset(&a);
        buf_reset(&b);
        conf_key_value(key, old_object, &a);
        conf_key_value(key, new_object, &b);
        struct conf_list *list = key->flags & CONF_RELOAD ? reload : restart;
        if (list && (a.len != b.len || (a.len && memcmp(a.data, b.data, a.len) != 0)))
            conf_list_addf(list, "%s%s", prefix, key->path);
    }
    buf_done(&a);
    buf_done(&b);
}

int conf_keys_required(const struct conf_schema *schema, const void *object, const char *origin, struct err *err) {
    struct buf value;
    buf_init(&value, CONF_BYTES_MAX);
    int rc = 0;
    for (size_t i = 0; i < schema->count && rc == 0; i++) {
        const struct conf_key *key = &schema->keys[i];
        if (!(key->flags & CONF_REQUIRED))
            continue;
        buf_reset(&value);
        conf_key_value(key, object, &value);
        if (!value.len)
            rc = conf_fail_at(err, ERR_CONFIG, &(struct conf_where){.origin = origin}, key->path,
                              "is missing and has no default: %s", key->doc);
    }
    buf_done(&value);
    return rc;
}

int conf_fail_at(struct err *err, enum err_class class, const struct conf_where *where, const char *path, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(err, class, fmt, ap);
    va_end(ap);
    err_context(err, "%s%s", where->prefix ? where->prefix : "", path);
    if (where->origin && where->line)
        return err_context(err, "%s:%u", where->origin, where->line);
    if (where->origin)
        return err_context(err, "%s", where->origin);
    return -1;
}

int conf_keys_fail(struct err *err, const char *file, const struct conf_node *map, const char *prefix, const char *path,
                   const char *fmt, ...) {
    char text[ERR_TEXT_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const struct conf_node *node = conf_find(map, path);
    struct conf_where where = {.origin = node ? file : NULL, .line = node ? node->line : 0, .prefix = prefix};
    return conf_fail_at(err, ERR_CONFIG, &where, path, "%s", text);
}

/* "passwordFile" is two words, "sizeMiB" is two, too. */
static bool new_word(const char *path, const char *s) {
    return s > path && isupper((unsigned char)*s) && islower((unsigned char)s[-1]) && islower((unsigned char)s[1]);
}

void conf_key_env(const char *prefix, const char *path, struct buf *out) {
    (void)buf_puts(out, prefix);
    for (const char *s = path; *s; s++) {
        if (new_word(path, s))
            (void)buf_putc(out, '_');
        (void)buf_putc(out, *s == '.' ? '_' : (char)toupper((unsigned char)*s));
    }
}

void conf_key_flag(const char *path, struct buf *out) {
    (void)buf_puts(out, "--");
    for (const char *s = path; *s; s++) {
        if (new_word(path, s))
            (void)buf_putc(out, '-');
        (void)buf_putc(out, *s == '.' ? '-' : (char)tolower((unsigned char)*s));
    }
}
