/* SPDX-License-Identifier: Apache-2.0 */
#include "common/conf/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/tree_int.h"

int conf_build_fail(const struct conf_builder *b, unsigned line, unsigned column, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    err_setv(b->err, ERR_CONFIG, fmt, ap);
    va_end(ap);
    if (line)
        return err_context(b->err, "%s:%u:%u", b->name, line, column);
    return err_context(b->err, "%s", b->name);
}

struct conf_node *conf_node_new(struct conf_builder *b, enum conf_type type, unsigned line, unsigned column) {
    if (++b->nodes > CONF_NODES_MAX) {
        (void)conf_build_fail(b, line, column, "more than %d values", CONF_NODES_MAX);
        return NULL;
    }
    struct conf_node *node = mem_alloc(sizeof(*node));
    *node = (struct conf_node){.type = type, .line = line, .column = column};
    return node;
}

/* Line breaks and tabs are text; other control characters are somebody's accident or attack. */
static bool text_clean(const char *text, size_t len) {
    while (len) {
        size_t n = 0;
        while (n < len && text[n] != '\n' && text[n] != '\r')
            n++;
        if (!str_is_clean_utf8(text, n))
            return false;
        if (n < len)
            n++;
        text += n;
        len -= n;
    }
    return true;
}

int conf_node_text(struct conf_builder *b, struct conf_node *node, const char *text, size_t len) {
    if (!text_clean(text, len))
        return conf_build_fail(b, node->line, node->column, "the text is not UTF-8 or has control characters");
    node->text = mem_strndup(text, len);
    return 0;
}

int conf_node_add(struct conf_builder *b, struct conf_node *parent, struct conf_node *tail, struct conf_node *child,
                  const char *key, size_t key_len) {
    if (key) {
        if (!text_clean(key, key_len) || memchr(key, '\n', key_len)) {
            (void)conf_build_fail(b, child->line, child->column, "a key is not UTF-8 or has control characters");
            conf_node_free(child);
            return -1;
        }
        if (parent->count >= CONF_KEYS_MAX) {
            (void)conf_build_fail(b, child->line, child->column, "more than %d keys in one map", CONF_KEYS_MAX);
            conf_node_free(child);
            return -1;
        }
        child->key = mem_strndup(key, key_len);
        for (const struct conf_node *n = parent->first; n; n = n->next) {
            if (strcmp(n->key, child->key) != 0)
                continue;
            if (n->line)
                (void)conf_build_fail(b, child->line, child->column, "%.100s is given twice, first in line %u", n->key, n->line);
            else
                (void)conf_build_fail(b, 0, 0, "%.100s is given twice", n->key);
            conf_node_free(child);
            return -1;
        }
    }
    if (tail)
        tail->next = child;
    else
        parent->first = child;
    parent->count++;
    return 0;
}

/* Depth is bounded, so the recursion is; siblings are walked. */
void conf_node_free(struct conf_node *node) {
    while (node) {
        struct conf_node *next = node->next;
        conf_node_free(node->first);
        mem_free((void *)(uintptr_t)node->key);
        mem_free((void *)(uintptr_t)node->text);
        mem_free(node);
        node = next;
    }
}

void conf_doc_done(struct conf_doc *doc) {
    conf_node_free(doc->root);
    mem_free(doc->name);
    *doc = (struct conf_doc){0};
}

const struct conf_node *conf_child(const struct conf_node *map, const char *key) {
    if (!map || map->type != CONF_MAP)
        return NULL;
    for (const struct conf_node *n = map->first; n; n = n->next)
        if (!strcmp(n->key, key))
            return n->type == CONF_NULL ? NULL : n;
    return NULL;
}

const struct conf_node *conf_find(const struct conf_node *map, const char *path) {
    while (map && *path) {
        char part[64];
        size_t len = strcspn(path, ".");
        if (len >= sizeof(part))
            return NULL;
        memcpy(part, path, len);
        part[len] = 0;
        map = conf_child(map, part);
        path += len + (path[len] == '.');
    }
    return map;
}

const char *conf_type_name(enum conf_type type) {
    static const char *const names[] = {"nothing", "a value", "a list", "a map"};
    return names[type];
}
