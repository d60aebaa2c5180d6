/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A document as a tree, each node with its line and column. YAML and JSON give the same tree: one document, no
 * anchors, aliases or tags, no key twice, bounded in size, depth and number of nodes. Scalars keep their text;
 * what it means is decided by the key that is read (keys.h).
 */
#ifndef MSSQL_CONF_TREE_H
#define MSSQL_CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

#define CONF_BYTES_MAX (1024 * 1024)
#define CONF_DEPTH_MAX 16
#define CONF_NODES_MAX 20000
#define CONF_KEYS_MAX 1000 /* in one map */

enum conf_type {
    CONF_NULL, /* empty, ~ or null: as if the key were not there */
    CONF_SCALAR,
    CONF_LIST,
    CONF_MAP,
};

struct conf_node {
    enum conf_type type;
    bool quoted; /* scalar: written in quotes */
    const char *key; /* in a map, else NULL */
    const char *text; /* scalar: clean UTF-8; else NULL */
    unsigned line, column; /* of the key in a map, else of the value; 1-based, 0 when not known (JSON) */
    unsigned count; /* children */
    struct conf_node *first, *next;
};

struct conf_doc {
    char *name; /* file name, for messages */
    struct conf_node *root; /* never NULL: an empty document is CONF_NULL */
};

/* ERR_CONFIG: "FILE:LINE:COLUMN: what is wrong". */
int conf_parse_yaml(const char *name, const char *text, size_t len, struct conf_doc *ret_doc, struct err *err) ERR_CHECK;
int conf_parse_json(const char *name, const char *text, size_t len, struct conf_doc *ret_doc, struct err *err) ERR_CHECK;
void conf_doc_done(struct conf_doc *doc);

/* Child of a map by name, NULL when absent or null. */
const struct conf_node *conf_child(const struct conf_node *map, const char *key);
/* Node at a dotted path below `map`, NULL when any part of it is absent. */
const struct conf_node *conf_find(const struct conf_node *map, const char *path);
/* "a list", "a map", "a value": for messages. */
const char *conf_type_name(enum conf_type type);

#endif
