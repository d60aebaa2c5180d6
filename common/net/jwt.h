/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens of Kubernetes service accounts (JSON web tokens, RS256 and ES256), and the keys that they are checked with (JSON web key sets).
 * Nothing here does I/O or asks a clock.
 *
 *     jwt_parse(text, &token, err); jwks_verify(keys, &token, err); jwt_check(&token, &rules, now, err); jwt_done(&token);
 *
 * What jwt_parse() gives is a claim; it is true after the other two.
 */
#ifndef MSSQL_NET_JWT_H
#define MSSQL_NET_JWT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define JWT_BYTES_MAX 16384

enum jwt_alg { JWT_RS256, JWT_ES256 };

struct jwt {
    enum jwt_alg alg;
    const char *kid; /* key id */
    const char *issuer, *subject;
    int64_t exp_at, nbf_at, iat_at; /* 0 = not in it */
    /* The claim "kubernetes.io"; "" = not in it. */
    const char *namespace_name, *service_account, *pod, *pod_uid;

    const json_t *audience; /* a string or an array of them */
    json_t *header, *claims; /* own the strings */
    char *signed_text; /* header.payload */
    size_t signed_len;
    uint8_t *signature;
    size_t signature_len;
};

/* ERR_AUTH says what is wrong with it, never what is in it. */
int jwt_parse(const char *text, struct jwt *ret_jwt, struct err *err) ERR_CHECK;
void jwt_done(struct jwt *jwt);

struct jwt_rules {
    const char *issuer; /* exactly this one */
    const char *audience; /* one of the token's */
    int64_t skew_us; /* how far clocks may differ */
    bool pod; /* it must be bound to a pod */
};

/* Issuer, audience, exp (required), nbf, iat not in the future, claims of Kubernetes. ERR_AUTH. */
int jwt_check(const struct jwt *jwt, const struct jwt_rules *rules, int64_t now, struct err *err) ERR_CHECK;

/* ---- keys ---- */

struct jwks;

#define JWKS_KEYS_MAX 64

/* Keys of other kinds, and RSA keys below 2048 bits, are left out. ERR_CONFIG when there is none left or the text is not a key set. */
int jwks_parse(const char *text, size_t len, struct jwks **ret_keys, struct err *err) ERR_CHECK;
void jwks_free(struct jwks *keys);
size_t jwks_count(const struct jwks *keys);
bool jwks_has(const struct jwks *keys, const char *kid);
/* ERR_NOT_FOUND: no key of that id; ERR_AUTH: the signature is not good. */
int jwks_verify(const struct jwks *keys, const struct jwt *jwt, struct err *err) ERR_CHECK;

/* base64url without padding; false for anything else. ret_bytes: len * 3 / 4 + 3 bytes. */
bool jwt_base64url(const char *text, size_t len, uint8_t *ret_bytes, size_t *ret_len);

#endif
