/* SPDX-License-Identifier: Apache-2.0 */
/* JSON web key sets, and signatures by them. */
/* OpenSSL has a type of the name of one of our error classes. */
#define ERR_STATE openssl_err_state
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#undef ERR_STATE
#include "common/net/jwt.h"

#include <string.h>

#include "common/base/mem.h"

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define P256_BYTES 32

struct key {
    char *kid;
    enum jwt_alg alg;
    EVP_PKEY *core;
};

struct jwks {
    struct key *items;
    size_t count;
};

/* A number of a key: big-endian bytes. */
static bool number(const json_t *jwk, const char *name, size_t max, uint8_t **ret_bytes, size_t *ret_len) {
    const json_t *value = json_object_get(jwk, name);
    size_t len = json_is_string(value) ? json_string_length(value) : 0;
    if (!len || len > max)
        return false;
    *ret_bytes = mem_alloc(len * 3 / 4 + 3);
    return jwt_base64url(json_string_value(value), len, *ret_bytes, ret_len);
}

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld) {
    EVP_PKEY *key = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 || EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return key;
}

static EVP_PKEY *rsa_key(const json_t *jwk) {
    _cleanup_free_ uint8_t *n = NULL;
    _cleanup_free_ uint8_t *e = NULL;
    size_t n_len, e_len;
    if (!number(jwk, "n", RSA_BITS_MAX / 6 + 4, &n, &n_len) || !number(jwk, "e", 12, &e, &e_len))
        return NULL;
    BIGNUM *bn = BN_bin2bn(n, (int)n_len, NULL), *be = BN_bin2bn(e, (int)e_len, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    bool sane = BN_num_bits(bn) >= RSA_BITS_MIN && BN_num_bits(bn) <= RSA_BITS_MAX && BN_is_odd(bn) && BN_is_odd(be);
    if (sane && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn) && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, be))
        key = from_params("RSA", bld);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn);
    BN_free(be);
    return key;
}

static EVP_PKEY *ec_key(const json_t *jwk) {
    _cleanup_free_ uint8_t *x = NULL;
    _cleanup_free_ uint8_t *y = NULL;
    size_t x_len, y_len;
    const char *curve = json_string_value(json_object_get(jwk, "crv"));
    if (!curve || strcmp(curve, "P-256") || !number(jwk, "x", 64, &x, &x_len) || !number(jwk, "y", 64, &y, &y_len) ||
        x_len != P256_BYTES || y_len != P256_BYTES)
        return NULL;
    uint8_t point[1 + 2 * P256_BYTES] = {4};
    memcpy(point + 1, x, P256_BYTES);
    memcpy(point + 1 + P256_BYTES, y, P256_BYTES);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    EVP_PKEY *key = NULL;
    if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
        OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point)))
        key = from_params("EC", bld); /* refuses points that are not on the curve */
    OSSL_PARAM_BLD_free(bld);
    return key;
}

static void add_key(struct jwks *keys, const json_t *jwk) {
    const char *kid = json_string_value(json_object_get(jwk, "kid")), *type = json_string_value(json_object_get(jwk, "kty"));
    const char *use = json_string_value(json_object_get(jwk, "use"));
    if (!kid || !*kid || strlen(kid) > 512 || !type || (use && strcmp(use, "sig")) || keys->count == JWKS_KEYS_MAX)
        return;
    bool rsa = !strcmp(type, "RSA"), ec = !strcmp(type, "EC");
    EVP_PKEY *core = rsa ? rsa_key(jwk) : ec ? ec_key(jwk) : NULL;
    if (core)
        keys->items[keys->count++] = (struct key){mem_strdup(kid), rsa ? JWT_RS256 : JWT_ES256, core};
}

int jwks_parse(const char *text, size_t len, struct jwks **ret_keys, struct err *err) {
    json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
    const json_t *list = json_object_get(root, "keys");
    struct jwks *keys = mem_alloc(sizeof(*keys));
    keys->items = mem_array(JWKS_KEYS_MAX, sizeof(*keys->items));
    size_t i;
    json_t *jwk;
    json_array_foreach(list, i, jwk) {
        add_key(keys, jwk);
    }
    ERR_clear_error();
    bool is_list = json_is_array(list);
    json_decref(root);
    if (!keys->count) {
        jwks_free(keys);
        return err_set(err, ERR_CONFIG,
                       is_list ? "key set has no key that can be used (RSA of 2048 bits or more, EC P-256)"
                               : "not a JSON web key set");
    }
    *ret_keys = keys;
    return 0;
}

void jwks_free(struct jwks *keys) {
    if (!keys)
        return;
    for (size_t i = 0; i < keys->count; i++) {
        mem_free(keys->items[i].kid);
        EVP_PKEY_free(keys->items[i].core);
    }
    mem_free(keys->items);
    mem_free(keys);
}

size_t jwks_count(const struct jwks *keys) {
    return keys->count;
}

static const struct key *find(const struct jwks *keys, const char *kid) {
    for (size_t i = 0; i < keys->count; i++)
        if (!strcmp(keys->items[i].kid, kid))
            return &keys->items[i];
    return NULL;
}

bool jwks_has(const struct jwks *keys, const char *kid) {
    return find(keys, kid) != NULL;
}

/* JWT has the two numbers of an ECDSA signature one after the other, OpenSSL wants them in ASN.1. */
static bool ecdsa_der(const struct jwt *jwt, uint8_t **ret_der, int *ret_len) {
    if (jwt->signature_len != 2 * P256_BYTES)
        return false;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(jwt->signature, P256_BYTES, NULL), *s = BN_bin2bn(jwt->signature + P256_BYTES, P256_BYTES, NULL);
    ECDSA_SIG_set0(sig, r, s);
    *ret_der = NULL;
    *ret_len = i2d_ECDSA_SIG(sig, ret_der);
    ECDSA_SIG_free(sig);
    return *ret_len > 0;
}

static bool signature_good(const struct key *key, const struct jwt *jwt) {
    uint8_t *der = NULL;
    int der_len = 0;
    if (jwt->alg == JWT_ES256 && !ecdsa_der(jwt, &der, &der_len))
        return false;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->core) == 1 &&
                EVP_DigestVerify(ctx, der ? der : jwt->signature, der ? (size_t)der_len : jwt->signature_len,
                                 (const uint8_t *)jwt->signed_text, jwt->signed_len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    ERR_clear_error();
    return good;
}

int jwks_verify(const struct jwks *keys, const struct jwt *jwt, struct err *err) {
    const struct key *key = find(keys, jwt->kid);
    if (!key)
        return err_set(err, ERR_NOT_FOUND, "token is signed with a key that its issuer does not have");
    if (key->alg != jwt->alg || !signature_good(key, jwt))
        return err_set(err, ERR_AUTH, "token's signature is not good");
    return 0;
}
