/* SPDX-License-Identifier: Apache-2.0 */
/* Setting a struct by its table: from a document, or one key from text. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/keys_int.h"

#define SUGGESTIONS_MAX 64

struct applier {
    const struct conf_schema *schema;
    void *object;
    struct conf_where where;
    const struct conf_node **given; /* per key: the node that set it */
    struct err *err;
};

/* A gap holds for its path and for everything below it. */
const struct conf_gap *conf_gap_find(const struct conf_schema *schema, const char *path, const char *value) {
    for (size_t i = 0; i < schema->gap_count; i++) {
        const struct conf_gap *gap = &schema->gaps[i];
        size_t len = strlen(gap->path);
        if (strncmp(gap->path, path, len) != 0 || (path[len] && path[len] != '.'))
            continue;
        if (!gap->value || (value && !strcmp(gap->value, value)))
            return gap;
    }
    return NULL;
}

static int refuse_gap(const struct conf_schema *schema, const struct conf_where *where, const char *path, const char *value,
                      struct err *err) {
    const struct conf_gap *gap = conf_gap_find(schema, path, value);
    if (!gap)
        return 0;
    const struct conf_key *key = conf_keys_find(schema, path);
    if (!gap->value || !key)
        return conf_fail_at(err, ERR_UNSUPPORTED, where, path, "this version does not have %s", gap->text);
    struct buf allowed;
    buf_init(&allowed, ERR_TEXT_MAX);
    conf_key_allowed(schema, key, &allowed);
    conf_fail_at(err, ERR_UNSUPPORTED, where, path, "'%s': this version does not have %s, allowed: %s", value, gap->text,
                 allowed.data);
    buf_done(&allowed);
    return -1;
}

static int wrong_value(const struct conf_schema *schema, const struct conf_key *key, const struct conf_where *where,
                       const char *text, struct err *err) {
    struct buf allowed;
    buf_init(&allowed, ERR_TEXT_MAX);
    conf_key_allowed(schema, key, &allowed);
    conf_fail_at(err, ERR_CONFIG, where, key->path, "'%.100s' is not %s, allowed: %s", text, conf_kind_noun(key->kind),
                 allowed.data);
    buf_done(&allowed);
    return -1;
}

static int check_text(const struct conf_key *key, const struct conf_where *where, const char *text, struct err *err) {
    struct err why = {0};
    /* an empty text is "none" */
    if (!key->check || (key->kind == CONF_TEXT && !*text) || key->check(text, &why) == 0)
        return 0;
    return conf_fail_at(err, why.class == ERR_NONE ? ERR_CONFIG : why.class, where, key->path, "%s", why.text);
}

static int set_scalar(const struct conf_schema *schema, const struct conf_key *key, void *object, const struct conf_where *where,
                      const char *text, struct err *err) {
    if (refuse_gap(schema, where, key->path, text, err) < 0 || check_text(key, where, text, err) < 0)
        return -1;
    if (!conf_value_parse(key, text, object))
        return wrong_value(schema, key, where, text, err);
    return 0;
}

static int set_list(struct applier *a, const struct conf_key *key, const struct conf_node *node) {
    struct conf_list list = {0};
    for (const struct conf_node *item = node->first; item; item = item->next) {
        struct conf_where where = a->where;
        where.line = item->line;
        int rc = 0;
        if (item->type != CONF_SCALAR || !*item->text)
            rc = conf_fail_at(a->err, ERR_CONFIG, &where, key->path, "an entry is %s, allowed: a list of texts",
                              item->type == CONF_SCALAR ? "empty" : conf_type_name(item->type));
        else
            rc = check_text(key, &where, item->text, a->err);
        if (rc < 0) {
            conf_list_done(&list);
            return -1;
        }
        conf_list_add(&list, item->text);
    }
    conf_list_done(conf_field(key, a->object));
    *(struct conf_list *)conf_field(key, a->object) = list;
    return 0;
}

/* Two spellings of one setting in one document: which one was meant? */
static int refuse_twice(struct applier *a, const struct conf_key *key) {
    for (size_t i = 0; i < a->schema->count; i++) {
        const struct conf_key *other = &a->schema->keys[i];
        if (other == key || !a->given[i] || other->offset != key->offset || !((other->flags | key->flags) & CONF_ALIAS))
            continue;
        return conf_fail_at(a->err, ERR_CONFIG, &a->where, key->path, "sets the same as %s%s in line %u, give one of them",
                            a->where.prefix, other->path, a->given[i]->line);
    }
    return 0;
}

static int apply_key(struct applier *a, const struct conf_key *key, const struct conf_node *node) {
    if (key->kind == CONF_REFUSED)
        return conf_fail_at(a->err, ERR_CONFIG, &a->where, key->path, "is not accepted: %s", key->doc);
    if (refuse_gap(a->schema, &a->where, key->path, node->type == CONF_SCALAR ? node->text : NULL, a->err) < 0)
        return -1;
    if (refuse_twice(a, key) < 0)
        return -1;
    a->given[key - a->schema->keys] = node;
    if (key->kind == CONF_OWN)
        return 0;
    bool list = key->kind == CONF_TEXTS;
    if (node->type != (list ? CONF_LIST : CONF_SCALAR)) {
        struct buf allowed;
        buf_init(&allowed, ERR_TEXT_MAX);
        conf_key_allowed(a->schema, key, &allowed);
        conf_fail_at(a->err, ERR_CONFIG, &a->where, key->path, "is %s, allowed: %s", conf_type_name(node->type), allowed.data);
        buf_done(&allowed);
        return -1;
    }
    if (list)
        return set_list(a, key, node);
    return set_scalar(a->schema, key, a->object, &a->where, node->text, a->err);
}

/* Names that may stand below `parent` ("" or "sql."), each once. */
static size_t names_below(const struct conf_schema *schema, const char *parent, char names[][64], const char **pointers) {
    size_t count = 0, len = strlen(parent);
    for (size_t i = 0; i < schema->count && count < SUGGESTIONS_MAX; i++) {
        const char *path = schema->keys[i].path;
        if (schema->keys[i].kind == CONF_REFUSED || strncmp(path, parent, len) != 0)
            continue;
        size_t n = strcspn(path + len, ".");
        (void)str_format(names[count], 64, "%.*s", (int)n, path + len);
        bool known = false;
        for (size_t k = 0; k < count && !known; k++)
            known = !strcmp(names[k], names[count]);
        if (!known) {
            pointers[count] = names[count];
            count++;
        }
    }
    return count;
}

static int unknown_key(struct applier *a, const char *parent, const char *name) {
    char names[SUGGESTIONS_MAX][64], path[256];
    const char *pointers[SUGGESTIONS_MAX];
    size_t count = names_below(a->schema, parent, names, pointers);
    (void)str_format(path, sizeof(path), "%s%s", parent, name);
    const char *near = str_nearest(name, pointers, count);
    if (near)
        return conf_fail_at(a->err, ERR_CONFIG, &a->where, path, "unknown key, did you mean '%s'?", near);
    struct buf allowed;
    buf_init(&allowed, ERR_TEXT_MAX / 2);
    for (size_t i = 0; i < count; i++)
        (void)buf_printf(&allowed, "%s%s", i ? ", " : "", pointers[i]);
    conf_fail_at(a->err, ERR_CONFIG, &a->where, path, "unknown key, allowed: %s", allowed.data ? allowed.data : "none");
    buf_done(&allowed);
    return -1;
}

static bool is_section(const struct conf_schema *schema, const char *path) {
    size_t len = strlen(path);
    for (size_t i = 0; i < schema->count; i++)
        if (!strncmp(schema->keys[i].path, path, len) && schema->keys[i].path[len] == '.')
            return true;
    return false;
}

static int apply_map(struct applier *a, const char *parent, const struct conf_node *map);

static int apply_child(struct applier *a, const char *parent, const struct conf_node *child) {
    char path[256];
    a->where.line = child->line;
    if (!str_format(path, sizeof(path), "%s%s", parent, child->key) || strchr(child->key, '.'))
        return unknown_key(a, parent, child->key);
    const struct conf_key *key = conf_keys_find(a->schema, path);
    bool section = !key && is_section(a->schema, path);
    if (child->type != CONF_NULL && !key && refuse_gap(a->schema, &a->where, path, NULL, a->err) < 0)
        return -1;
    if (!key && !section)
        return conf_gap_find(a->schema, path, NULL) ? 0 : unknown_key(a, parent, child->key);
    if (child->type == CONF_NULL)
        return 0;
    if (key)
        return apply_key(a, key, child);
    if (child->type != CONF_MAP)
        return conf_fail_at(a->err, ERR_CONFIG, &a->where, path, "is %s, allowed: a map of keys", conf_type_name(child->type));
    char below[sizeof(path) + 1];
    (void)str_format(below, sizeof(below), "%s.", path);
    return apply_map(a, below, child);
}

/* Depth is that of the tables: a path is known or the walk ends. */
static int apply_map(struct applier *a, const char *parent, const struct conf_node *map) {
    for (const struct conf_node *child = map->first; child; child = child->next)
        if (apply_child(a, parent, child) < 0)
            return -1;
    return 0;
}

int conf_keys_apply(const struct conf_schema *schema, void *object, const char *file, const char *prefix,
                    const struct conf_node *map, struct err *err) {
    if (!map || map->type == CONF_NULL)
        return 0;
    if (map->type != CONF_MAP)
        return err_set(err, ERR_CONFIG, "%s:%u: %.*s is %s, allowed: a map of keys", file, map->line,
                       *prefix ? (int)strlen(prefix) - 1 : 12, *prefix ? prefix : "the document", conf_type_name(map->type));
    struct applier a = {.schema = schema, .object = object, .where = {.origin = file, .prefix = prefix}, .err = err};
    a.given = mem_array(schema->count, sizeof(*a.given));
    int rc = apply_map(&a, "", map);
    mem_free((void *)a.given);
    return rc;
}

int conf_keys_set(const struct conf_schema *schema, void *object, const char *origin, const char *prefix, const char *path,
                  const char *text, struct err *err) {
    const struct conf_key *key = conf_keys_find(schema, path);
    if (!key || key->kind == CONF_OWN)
        return err_set(err, ERR_USAGE, "%s: no such key '%s'", origin, path);
    struct conf_where where = {.origin = origin, .prefix = prefix};
    if (key->kind == CONF_REFUSED)
        return conf_fail_at(err, ERR_CONFIG, &where, path, "is not accepted: %s", key->doc);
    if (key->kind != CONF_TEXTS)
        return set_scalar(schema, key, object, &where, text, err);
    struct conf_key one = *key;
    struct conf_list list = {0};
    one.offset = 0;
    one.fallback = text;
    conf_keys_defaults(&(struct conf_schema){.keys = &one, .count = 1}, &list);
    int rc = refuse_gap(schema, &where, path, text, err);
    for (size_t i = 0; i < list.count && rc == 0; i++)
        rc = check_text(key, &where, list.items[i], err);
    if (rc < 0) {
        conf_list_done(&list);
        return -1;
    }
    conf_list_done(conf_field(key, object));
    *(struct conf_list *)conf_field(key, object) = list;
    return 0;
}
