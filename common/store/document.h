/* SPDX-License-Identifier: Apache-2.0 */
/* Reading members of small JSON documents (lineage, holds), each with one clear error. */
#ifndef MSSQL_STORE_DOCUMENT_H
#define MSSQL_STORE_DOCUMENT_H

#include <jansson.h>

#include "common/base/guid.h"
#include "common/store/store.h"

/* A JSON object of format major version 1; json_decref() it. */
int document_parse(const char *data, size_t len, const char *what, json_t **ret_root, struct err *err) ERR_CHECK;
/* An empty one with its format. */
json_t *document_new(void);
/* Absent members leave *dst as it is when not required. Texts that do not fit are refused. */
int document_text(const json_t *root, const char *key, bool required, char *dst, size_t dst_bytes, struct err *err) ERR_CHECK;
int document_guid(const json_t *root, const char *key, bool required, struct guid *dst, struct err *err) ERR_CHECK;
int document_time(const json_t *root, const char *key, bool required, int64_t *dst, struct err *err) ERR_CHECK;
int document_number(const json_t *root, const char *key, bool required, uint64_t *dst, struct err *err) ERR_CHECK;
void document_set_text(json_t *root, const char *key, const char *value);
void document_set_guid(json_t *root, const char *key, const struct guid *value);
void document_set_time(json_t *root, const char *key, int64_t value); /* 0 is left out */
/* Writes it as text under this name. */
int document_put(struct store *store, const char *name, const json_t *root, enum store_put_mode mode, const char *step,
                 struct err *err) ERR_CHECK;

#endif
