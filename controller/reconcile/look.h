/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON objects by a dotted path: "spec.connection.host". Keys themselves have no dots here. Everything may be NULL. */
#ifndef MSSQL_RECONCILE_LOOK_H
#define MSSQL_RECONCILE_LOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL when any part of the path is absent, and for null. */
json_t *look(const json_t *object, const char *path);
/* "" when absent or no text. */
const char *look_text(const json_t *object, const char *path);
int64_t look_int(const json_t *object, const char *path, int64_t fallback);
bool look_bool(const json_t *object, const char *path, bool fallback);
/* RFC 3339 text as microseconds, 0 when absent or wrong. */
int64_t look_time(const json_t *object, const char *path);
/* "90s", "5m": fallback when absent or wrong. */
int64_t look_duration_ms(const json_t *object, const char *path, int64_t fallback_ms);
/* Of an array: how many; 0 when it is none. */
size_t look_count(const json_t *object, const char *path);
/* Is everything of `part` in `whole`, with the same values? Arrays must be the same as a whole. */
bool look_within(const json_t *part, const json_t *whole);

/* Times and texts into objects; 0 and "" are left out. Fractions of seconds are cut: Kubernetes has none in its times. */
void look_put_time(json_t *object, const char *key, int64_t at);
void look_put_text(json_t *object, const char *key, const char *text);
/* A text that may have bytes which are no UTF-8; never NULL. */
json_t *look_clean(const char *text);

#endif
