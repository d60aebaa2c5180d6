/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <yaml.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/conf/tree.h"
#include "common/conf/tree_int.h"

struct reader {
    struct conf_builder b;
    yaml_parser_t parser;
};

static unsigned line_of(const yaml_event_t *e) {
    return (unsigned)e->start_mark.line + 1;
}

static unsigned column_of(const yaml_event_t *e) {
    return (unsigned)e->start_mark.column + 1;
}

static int next_event(struct reader *r, yaml_event_t *ret_event) {
    if (yaml_parser_parse(&r->parser, ret_event))
        return 0;
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "not YAML";
    if (p->error == YAML_READER_ERROR)
        return conf_build_fail(&r->b, 0, 0, "%s at byte %zu", problem, p->problem_offset);
    return conf_build_fail(&r->b, (unsigned)p->problem_mark.line + 1, (unsigned)p->problem_mark.column + 1, "%s%s%s", problem,
                           p->context ? " " : "", p->context ? p->context : "");
}

/* Aliases let a short file stand for a huge one, and tags name types that nothing here has. */
static int refuse_extras(struct reader *r, const yaml_event_t *e) {
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return conf_build_fail(&r->b, line_of(e), column_of(e), "aliases (*%.40s) are not accepted, write the value out",
                               (const char *)e->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        break;
    default:
        break;
    }
    if (anchor)
        return conf_build_fail(&r->b, line_of(e), column_of(e), "anchors (&%.40s) are not accepted", (const char *)anchor);
    if (tag)
        return conf_build_fail(&r->b, line_of(e), column_of(e), "tags (%.60s) are not accepted", (const char *)tag);
    return 0;
}

static bool is_null(const char *text, size_t len) {
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (strlen(nulls[i]) == len && !memcmp(nulls[i], text, len))
            return true;
    return false;
}

static int build_node(struct reader *r, const yaml_event_t *e, struct conf_node **ret_node);

static int build_scalar(struct reader *r, const yaml_event_t *e, struct conf_node **ret_node) {
    const char *text = (const char *)e->data.scalar.value;
    size_t len = e->data.scalar.length;
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct conf_node *node = conf_node_new(&r->b, plain && is_null(text, len) ? CONF_NULL : CONF_SCALAR, line_of(e),
                                           column_of(e));
    if (!node)
        return -1;
    node->quoted = !plain;
    if (node->type == CONF_SCALAR && conf_node_text(&r->b, node, text, len) < 0) {
        conf_node_free(node);
        return -1;
    }
    *ret_node = node;
    return 0;
}

/* One entry of a map: the key is a plain scalar, its place is the entry's place. */
static int build_entry(struct reader *r, const yaml_event_t *key, struct conf_node *map, struct conf_node **tail) {
    yaml_event_t value;
    struct conf_node *child;
    if (refuse_extras(r, key) < 0)
        return -1;
    if (key->type != YAML_SCALAR_EVENT)
        return conf_build_fail(&r->b, line_of(key), column_of(key), "a key must be a word");
    if (key->data.scalar.length == 2 && !memcmp(key->data.scalar.value, "<<", 2))
        return conf_build_fail(&r->b, line_of(key), column_of(key), "merge keys (<<) are not accepted, write the values out");
    if (next_event(r, &value) < 0)
        return -1;
    int rc = build_node(r, &value, &child);
    yaml_event_delete(&value);
    if (rc < 0)
        return -1;
    child->line = line_of(key);
    child->column = column_of(key);
    if (conf_node_add(&r->b, map, *tail, child, (const char *)key->data.scalar.value, key->data.scalar.length) < 0)
        return -1;
    *tail = child;
    return 0;
}

static int build_item(struct reader *r, const yaml_event_t *e, struct conf_node *list, struct conf_node **tail) {
    struct conf_node *child;
    if (build_node(r, e, &child) < 0 || conf_node_add(&r->b, list, *tail, child, NULL, 0) < 0)
        return -1;
    *tail = child;
    return 0;
}

static int build_children(struct reader *r, struct conf_node *node) {
    struct conf_node *tail = NULL;
    for (;;) {
        yaml_event_t e;
        if (next_event(r, &e) < 0)
            return -1;
        bool end = e.type == YAML_MAPPING_END_EVENT || e.type == YAML_SEQUENCE_END_EVENT;
        int rc = end ? 0 : node->type == CONF_MAP ? build_entry(r, &e, node, &tail) : build_item(r, &e, node, &tail);
        yaml_event_delete(&e);
        if (rc < 0 || end)
            return rc;
    }
}

static int build_node(struct reader *r, const yaml_event_t *e, struct conf_node **ret_node) {
    if (refuse_extras(r, e) < 0)
        return -1;
    if (e->type == YAML_SCALAR_EVENT)
        return build_scalar(r, e, ret_node);
    if (e->type != YAML_MAPPING_START_EVENT && e->type != YAML_SEQUENCE_START_EVENT)
        return conf_build_fail(&r->b, line_of(e), column_of(e), "a value is missing");
    if (++r->b.depth > CONF_DEPTH_MAX)
        return conf_build_fail(&r->b, line_of(e), column_of(e), "nested more than %d deep", CONF_DEPTH_MAX);
    struct conf_node *node = conf_node_new(&r->b, e->type == YAML_MAPPING_START_EVENT ? CONF_MAP : CONF_LIST, line_of(e),
                                           column_of(e));
    if (!node || build_children(r, node) < 0) {
        conf_node_free(node);
        return -1;
    }
    r->b.depth--;
    *ret_node = node;
    return 0;
}

/* STREAM-START [DOCUMENT-START node DOCUMENT-END] STREAM-END */
static int build_document(struct reader *r, struct conf_node **root) {
    bool seen = false;
    for (;;) {
        yaml_event_t e;
        if (next_event(r, &e) < 0)
            return -1;
        int rc = 0;
        bool end = e.type == YAML_STREAM_END_EVENT;
        if (e.type == YAML_DOCUMENT_START_EVENT && seen)
            rc = conf_build_fail(&r->b, line_of(&e), column_of(&e), "a second document begins, only one is accepted");
        else if (e.type != YAML_STREAM_START_EVENT && e.type != YAML_DOCUMENT_START_EVENT && e.type != YAML_DOCUMENT_END_EVENT &&
                 !end) {
            rc = build_node(r, &e, root);
            seen = true;
        }
        yaml_event_delete(&e);
        if (rc < 0 || end)
            return rc;
    }
}

int conf_parse_yaml(const char *name, const char *text, size_t len, struct conf_doc *ret_doc, struct err *err) {
    struct reader r = {.b = {.name = name, .err = err}};
    if (len > CONF_BYTES_MAX)
        return conf_build_fail(&r.b, 0, 0, "larger than %d bytes", CONF_BYTES_MAX);
    if (!yaml_parser_initialize(&r.parser))
        return err_set(err, ERR_INTERNAL, "%s: the YAML parser cannot start: out of memory", name);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    struct conf_node *root = NULL;
    int rc = build_document(&r, &root);
    yaml_parser_delete(&r.parser);
    if (rc == 0 && !root)
        root = conf_node_new(&r.b, CONF_NULL, 1, 1);
    if (rc < 0) {
        conf_node_free(root);
        return -1;
    }
    *ret_doc = (struct conf_doc){.name = mem_strdup(name), .root = root};
    return 0;
}
