/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/tree.h"
#include "common/conf/tree_int.h"

static int build(struct conf_builder *b, json_t *value, struct conf_node **ret_node);

static int build_scalar(struct conf_builder *b, json_t *value, struct conf_node *node) {
    char number[64];
    switch (json_typeof(value)) {
    case JSON_STRING:
        node->quoted = true;
        return conf_node_text(b, node, json_string_value(value), json_string_length(value));
    case JSON_INTEGER:
        (void)str_format(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        return conf_node_text(b, node, number, strlen(number));
    case JSON_REAL:
        (void)str_format(number, sizeof(number), "%.17g", json_real_value(value));
        return conf_node_text(b, node, number, strlen(number));
    case JSON_TRUE:
        return conf_node_text(b, node, "true", 4);
    default:
        return conf_node_text(b, node, "false", 5);
    }
}

static int build_children(struct conf_builder *b, json_t *value, struct conf_node *node) {
    struct conf_node *child, *tail = NULL;
    if (node->type == CONF_LIST) {
        size_t i;
        json_t *item;
        json_array_foreach(value, i, item) {
            if (build(b, item, &child) < 0 || conf_node_add(b, node, tail, child, NULL, 0) < 0)
                return -1;
            tail = child;
        }
        return 0;
    }
    const char *key;
    json_t *member;
    json_object_foreach(value, key, member) {
        if (build(b, member, &child) < 0 || conf_node_add(b, node, tail, child, key, strlen(key)) < 0)
            return -1;
        tail = child;
    }
    return 0;
}

static int build(struct conf_builder *b, json_t *value, struct conf_node **ret_node) {
    enum conf_type type = json_is_object(value)  ? CONF_MAP
                          : json_is_array(value) ? CONF_LIST
                          : json_is_null(value)  ? CONF_NULL
                                                 : CONF_SCALAR;
    bool nested = type == CONF_MAP || type == CONF_LIST;
    if (nested && ++b->depth > CONF_DEPTH_MAX)
        return conf_build_fail(b, 0, 0, "nested more than %d deep", CONF_DEPTH_MAX);
    struct conf_node *node = conf_node_new(b, type, 0, 0);
    if (!node)
        return -1;
    int rc = nested ? build_children(b, value, node) : type == CONF_SCALAR ? build_scalar(b, value, node) : 0;
    if (rc < 0) {
        conf_node_free(node);
        return -1;
    }
    b->depth -= nested;
    *ret_node = node;
    return 0;
}

int conf_parse_json(const char *name, const char *text, size_t len, struct conf_doc *ret_doc, struct err *err) {
    struct conf_builder b = {.name = name, .err = err};
    json_error_t why;
    struct conf_node *root = NULL;
    if (len > CONF_BYTES_MAX)
        return conf_build_fail(&b, 0, 0, "larger than %d bytes", CONF_BYTES_MAX);
    json_t *value = json_loadb(text, len, JSON_REJECT_DUPLICATES, &why);
    if (!value)
        return conf_build_fail(&b, why.line > 0 ? (unsigned)why.line : 0, why.column > 0 ? (unsigned)why.column : 0, "%s",
                               why.text);
    int rc = build(&b, value, &root);
    json_decref(value);
    if (rc < 0)
        return -1;
    *ret_doc = (struct conf_doc){.name = mem_strdup(name), .root = root};
    return 0;
}
