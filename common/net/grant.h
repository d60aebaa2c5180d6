/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: what a controller allows one sidecar to fetch from another (controller.proto), signed with Ed25519. */
#ifndef MSSQL_NET_GRANT_H
#define MSSQL_NET_GRANT_H

#include "common/base/clock.h"
#include "common/base/err.h"
#include "mssql/v1/controller.pb-c.h"

#define GRANT_KEY_BYTES 32
#define GRANT_SETS_MAX 10000
#define GRANT_LIFE_US (15 * CLOCK_MINUTE)

struct grant_key;

/* From 32 bytes; NULL: a new one. */
int grant_key_new(const uint8_t *seed, struct grant_key **ret_key, struct err *err) ERR_CHECK;
void grant_key_free(struct grant_key *key);
void grant_key_public(const struct grant_key *key, uint8_t ret_public[GRANT_KEY_BYTES]);
/* A packed SignedGrant; mem_free() it. */
int grant_sign(const struct grant_key *key, const Mssql__V1__Grant *grant, uint8_t **ret_bytes, size_t *ret_len,
               struct err *err) ERR_CHECK;
/* Signature, form and times (a minute of difference between clocks is allowed). ERR_PERMISSION.
 * mssql__v1__grant__free_unpacked(*ret_grant, NULL). */
int grant_check(const uint8_t public_key[GRANT_KEY_BYTES], const uint8_t *bytes, size_t len, int64_t now,
                Mssql__V1__Grant **ret_grant, struct err *err) ERR_CHECK;

#endif
