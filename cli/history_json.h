/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON as a stream of tokens: strict RFC 8259, bounded memory whatever the size of the document. Numbers stay the text that they are,
 * because an LSN has more digits than a double or 64 bits hold. UTF-8, and UTF-16 with a byte order mark, as PowerShell's `>` writes it.
 *
 *     struct history_json *json = history_json_new(name, read, user);
 *     while (history_json_next(json, &token, err) == 0 && token != HISTORY_END) ...
 */
#ifndef MSSQL_CLI_HISTORY_JSON_H
#define MSSQL_CLI_HISTORY_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

#define HISTORY_DEPTH_MAX 64
#define HISTORY_TEXT_MAX (256u << 10) /* bytes of one string or number */

enum history_token {
    HISTORY_OBJECT,
    HISTORY_OBJECT_END,
    HISTORY_ARRAY,
    HISTORY_ARRAY_END,
    HISTORY_KEY, /* text */
    HISTORY_STRING, /* text */
    HISTORY_NUMBER, /* text */
    HISTORY_TRUE,
    HISTORY_FALSE,
    HISTORY_NULL,
    HISTORY_END, /* nothing but white space follows */
};

struct history_json;

/* Up to len bytes; 0 at the end, -1 with err on failure. */
typedef ssize_t history_read_fn(void *user, void *dst, size_t len, struct err *err);

/* `name` is for messages and must live as long as the reader. */
struct history_json *history_json_new(const char *name, history_read_fn *read, void *user);
void history_json_free(struct history_json *json); /* NULL is allowed */
/* ERR_CORRUPT names the byte; after a failure every call fails. */
int history_json_next(struct history_json *json, enum history_token *ret_token, struct err *err) ERR_CHECK;
/* The rest of the value that `token` began: nothing for a scalar. */
int history_json_skip(struct history_json *json, enum history_token token, struct err *err) ERR_CHECK;
/* Is the next value a list? Behind a KEY, or inside an array. */
bool history_json_list_follows(struct history_json *json);
/* Text of the last KEY, STRING or NUMBER, until the next call: UTF-8 without NUL. */
const char *history_json_text(const struct history_json *json);
/* Where the last token began, in bytes of the source. */
uint64_t history_json_offset(const struct history_json *json);

#endif
