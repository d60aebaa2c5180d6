/* SPDX-License-Identifier: Apache-2.0 */
/* An issuer of tokens for tests: two keys, their key set, tokens with any claims. */
#ifndef MSSQL_TEST_TOKEN_MAKE_H
#define MSSQL_TEST_TOKEN_MAKE_H

#include "tests/unit/support/unit.h"

#define ERR_STATE openssl_err_state
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#undef ERR_STATE

static inline char *b64(const void *data, size_t len) {
    static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *p = data;
    char *out = mem_alloc(len * 4 / 3 + 5);
    size_t n = 0;
    for (size_t i = 0; i < len; i += 3) {
        size_t have = len - i < 3 ? len - i : 3;
        uint32_t v = (uint32_t)p[i] << 16 | (have > 1 ? (uint32_t)p[i + 1] << 8 : 0) | (have > 2 ? p[i + 2] : 0);
        for (size_t k = 0; k <= have; k++)
            out[n++] = set[v >> (18 - 6 * k) & 63];
    }
    return out;
}

static inline char *b64_number(EVP_PKEY *key, const char *name, int bytes) {
    BIGNUM *n = NULL;
    uint8_t raw[1024];
    if (EVP_PKEY_get_bn_param(key, name, &n) != 1)
        abort();
    int len = bytes ? bytes : BN_num_bytes(n);
    BN_bn2binpad(n, raw, len);
    BN_free(n);
    return b64(raw, (size_t)len);
}

struct issuer {
    EVP_PKEY *rsa, *ec, *small;
    char *jwks;
};

static inline void issuer_make(struct issuer *i) {
    i->rsa = EVP_RSA_gen(2048);
    i->small = EVP_RSA_gen(1024);
    i->ec = EVP_EC_gen("P-256");
    char *n = b64_number(i->rsa, OSSL_PKEY_PARAM_RSA_N, 0), *e = b64_number(i->rsa, OSSL_PKEY_PARAM_RSA_E, 0);
    char *sn = b64_number(i->small, OSSL_PKEY_PARAM_RSA_N, 0);
    char *x = b64_number(i->ec, OSSL_PKEY_PARAM_EC_PUB_X, 32), *y = b64_number(i->ec, OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    i->jwks = mem_printf(
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"r1\",\"use\":\"sig\",\"alg\":\"RS256\",\"n\":\"%s\",\"e\":\"%s\"},"
        "{\"kty\":\"EC\",\"kid\":\"e1\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"},"
        "{\"kty\":\"RSA\",\"kid\":\"small\",\"n\":\"%s\",\"e\":\"%s\"},"
        "{\"kty\":\"RSA\",\"kid\":\"enc\",\"use\":\"enc\",\"n\":\"%s\",\"e\":\"%s\"},{\"kty\":\"oct\",\"kid\":\"o\"}]}",
        n, e, x, y, sn, e, n, e);
    mem_free(n);
    mem_free(e);
    mem_free(sn);
    mem_free(x);
    mem_free(y);
}

static inline void issuer_done(struct issuer *i) {
    EVP_PKEY_free(i->rsa);
    EVP_PKEY_free(i->ec);
    EVP_PKEY_free(i->small);
    mem_free(i->jwks);
}

static inline char *sign_text(EVP_PKEY *key, const char *text) {
    uint8_t raw[1024];
    size_t len = sizeof(raw);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key) != 1 ||
        EVP_DigestSign(ctx, raw, &len, (const uint8_t *)text, strlen(text)) != 1)
        abort();
    EVP_MD_CTX_free(ctx);
    if (EVP_PKEY_is_a(key, "EC")) {
        const uint8_t *p = raw;
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)len);
        uint8_t two[64];
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), two, 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), two + 32, 32);
        ECDSA_SIG_free(sig);
        return b64(two, 64);
    }
    return b64(raw, len);
}

/* header and claims are JSON texts. mem_free() the token. */
static inline char *token_make(EVP_PKEY *key, const char *header, const char *claims) {
    char *h = b64(header, strlen(header)), *c = b64(claims, strlen(claims));
    char *text = mem_printf("%s.%s", h, c), *sig = sign_text(key, text);
    char *token = mem_printf("%s.%s", text, sig);
    mem_free(h);
    mem_free(c);
    mem_free(text);
    mem_free(sig);
    return token;
}

#endif
