/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 as it streams. One type, so that nobody else has to know the library's. */
#ifndef MSSQL_PIPE_HASH_H
#define MSSQL_PIPE_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "common/base/err.h"

#define HASH_BYTES 32
#define HASH_TEXT_MAX 65

struct hash {
    uint8_t bytes[HASH_BYTES];
};

struct hash_run;

/* ERR_CRYPTO when the library has no SHA-256 (a broken or restricted OpenSSL configuration). */
int hash_begin(struct hash_run **ret_run, struct err *err) ERR_CHECK;
int hash_update(struct hash_run *run, const void *data, size_t len, struct err *err) ERR_CHECK;
/* The hash of everything so far; the run starts again from nothing. */
int hash_take(struct hash_run *run, struct hash *ret_hash, struct err *err) ERR_CHECK;
void hash_free(struct hash_run *run); /* NULL is allowed */

int hash_of(const void *data, size_t len, struct hash *ret_hash, struct err *err) ERR_CHECK;
char *hash_format(char dst[HASH_TEXT_MAX], const struct hash *hash); /* 64 lower-case hex digits */
static inline bool hash_eq(const struct hash *a, const struct hash *b) {
    return !memcmp(a->bytes, b->bytes, HASH_BYTES);
}

#endif
