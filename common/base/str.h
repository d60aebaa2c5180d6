/* SPDX-License-Identifier: Apache-2.0 */
/* Bounded strings in caller's buffers, and the few parsers everybody needs. */
#ifndef MSSQL_BASE_STR_H
#define MSSQL_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

/* Copies with truncation, always terminated. False when it did not fit. */
bool str_copy(char *dst, size_t dst_bytes, const char *src);
bool str_format(char *dst, size_t dst_bytes, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);
/* ASCII case-insensitive. */
bool str_ieq(const char *a, const char *b);
/* Whole string is a decimal number in [min, max]. */
bool str_to_i64(const char *s, int64_t min, int64_t max, int64_t *ret_value);
bool str_to_u64(const char *s, uint64_t max, uint64_t *ret_value);
bool str_to_double(const char *s, double *ret_value);
/* "true/yes/on/1" and "false/no/off/0". */
bool str_to_bool(const char *s, bool *ret_value);
/* "90", "90s", "5m", "12h", "30d", "250ms" -> milliseconds. A bare number is seconds. */
bool str_to_duration_ms(const char *s, int64_t *ret_ms);
/* "10Gi", "512Mi", "64Ki", "1000", "5G", "20M", "3k" (Kubernetes quantities of bytes). */
bool str_to_bytes(const char *s, uint64_t *ret_bytes);
/* "1.2 GiB", "512 B". */
void str_from_bytes(char *dst, size_t dst_bytes, uint64_t bytes);
/* "2h13m", "45s", "3d4h". */
void str_from_duration(char *dst, size_t dst_bytes, int64_t ms);
/* Shell-like pattern with * and ?, ASCII case-insensitive as database names usually are. */
bool str_glob(const char *pattern, const char *s);
/* Nearest of `count` candidates by edit distance, NULL when nothing is near enough to suggest. */
const char *str_nearest(const char *s, const char *const *candidates, size_t count);
/* Valid UTF-8 without NUL or other control characters (tab allowed)? */
bool str_is_clean_utf8(const char *s, size_t len);
/* Copies; what is no UTF-8 becomes '?', and what does not fit is cut between characters. Returns dst. */
char *str_to_utf8(char *dst, size_t dst_bytes, const char *src);
void str_hex(char *dst, const uint8_t *data, size_t len); /* dst: 2 * len + 1 bytes, lower case */
bool str_unhex(const char *s, uint8_t *dst, size_t len); /* exactly 2 * len digits */

#endif
