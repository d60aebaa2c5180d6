/* SPDX-License-Identifier: Apache-2.0 */
/* For the readers that build trees. */
#ifndef MSSQL_CONF_TREE_INT_H
#define MSSQL_CONF_TREE_INT_H

#include "common/conf/tree.h"

struct conf_builder {
    const char *name;
    unsigned nodes, depth;
    struct err *err;
};

int conf_build_fail(const struct conf_builder *b, unsigned line, unsigned column, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* NULL, with the error set, when there are too many nodes. */
struct conf_node *conf_node_new(struct conf_builder *b, enum conf_type type, unsigned line, unsigned column);
/* Copies the text of a scalar after checking it. */
int conf_node_text(struct conf_builder *b, struct conf_node *node, const char *text, size_t len);
/* Adds to a list, or to a map under `key`, refusing a key that is there; `tail` is the last child so far. Takes
 * `child` in any case. */
int conf_node_add(struct conf_builder *b, struct conf_node *parent, struct conf_node *tail, struct conf_node *child,
                  const char *key, size_t key_len);
void conf_node_free(struct conf_node *node);

#endif
