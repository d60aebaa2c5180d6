/* SPDX-License-Identifier: Apache-2.0 */
/* Text as a terminal shows it, times and spans for people. */
#ifndef MSSQL_CLI_TEXT_H
#define MSSQL_CLI_TEXT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX 48

/* Columns that it takes: combining marks none, wide characters two. */
size_t text_width(const char *s);
/* Names and messages come from elsewhere: control characters and what is not UTF-8 become U+FFFD, line ends and tabs a space.
 * mem_free() the result. */
char *text_clean(const char *s);
/* The formatted text, cleaned. mem_free() the result. */
char *text_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
/* Cleaned, and cut to `width` columns with an ellipsis. mem_free() the result. */
char *text_fit(const char *s, size_t width);

/* RFC 3339, UTC, whole seconds; "-" for 0. */
char *text_time(char dst[TEXT_MAX], int64_t at);
/* "12s ago", "in 5m00s", "now"; "-" when at is 0. */
char *text_ago(char dst[TEXT_MAX], int64_t at, int64_t now);
/* "12s", "5m03s", "3h02m", "4d03h". Negative spans are their size. */
char *text_span(char dst[TEXT_MAX], int64_t us);
char *text_bytes(char dst[TEXT_MAX], uint64_t bytes);

#endif
