/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passwords and keys: locked in memory, wiped when freed, left out of core dumps, and without any way to print them. The
 * bytes are reached only through secret_text(), by the one call that hands them to a library.
 */
#ifndef MSSQL_BASE_SECRET_H
#define MSSQL_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

struct secret;

/* Copies len bytes. NULL only for len 0. */
struct secret *secret_new(const void *bytes, size_t len);
struct secret *secret_dup(const struct secret *secret);
/* Wipes and frees; NULL is allowed. */
void secret_free(struct secret *secret);
/* One file, at most 64 KiB; one trailing line break is not part of it. ERR_CONFIG when it is empty. */
int secret_read_file(const char *path, struct secret **ret_secret, struct err *err) ERR_CHECK;
/* Takes the variable's value and removes it from the environment, so that children and dumps do not have it. NULL when unset. */
struct secret *secret_take_env(const char *name);
/* NUL-terminated. Valid while the secret lives. */
const char *secret_text(const struct secret *secret);
size_t secret_len(const struct secret *secret);
bool secret_eq(const struct secret *a, const struct secret *b); /* constant time */

static inline void secret_cleanup(struct secret **s) {
    secret_free(*s);
}

#endif
