/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a struct out by its table: YAML, JSON and the Markdown reference. What is written is read back as the same struct. */
#ifndef MSSQL_CONF_EMIT_H
#define MSSQL_CONF_EMIT_H

#include "common/base/buf.h"
#include "common/conf/keys.h"

/* Writes the value of a CONF_OWN key; `indent` is the column of the key. Nothing written: the key is left out. */
typedef void conf_emit_own(const struct conf_key *key, const void *object, struct buf *out, unsigned indent, bool json);

/* Keys of the object as YAML lines, indented by `indent` spaces. `own` may be NULL. */
void conf_emit_yaml(const struct conf_schema *schema, const void *object, struct buf *out, unsigned indent, conf_emit_own *own);
/* One JSON object without line breaks. */
void conf_emit_json(const struct conf_schema *schema, const void *object, struct buf *out, conf_emit_own *own);
/* Table rows: key, value, default, how it can be set, what for. */
void conf_emit_reference(const struct conf_schema *schema, const char *prefix, const char *env_prefix, struct buf *out);

#endif
