/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has a type of the name of one of our error classes. */
#define ERR_STATE openssl_err_state
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#undef ERR_STATE
#include "common/net/grant.h"

#include <string.h>

#include "common/base/mem.h"

#define SIGNATURE_BYTES 64
#define SKEW_US CLOCK_MINUTE

/* So that a signature of this key is never good for anything else. */
static const char domain[] = "mssql-sidecar grant v1";

struct grant_key {
    EVP_PKEY *core;
};

int grant_key_new(const uint8_t *seed, struct grant_key **ret_key, struct err *err) {
    uint8_t fresh[GRANT_KEY_BYTES];
    if (!seed && RAND_bytes(fresh, sizeof(fresh)) != 1)
        return err_set(err, ERR_CRYPTO, "no random numbers for a key");
    EVP_PKEY *core = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed ? seed : fresh, GRANT_KEY_BYTES);
    explicit_bzero(fresh, sizeof(fresh));
    if (!core) {
        ERR_clear_error();
        return err_set(err, ERR_CRYPTO, "the key of grants cannot be used");
    }
    *ret_key = mem_alloc(sizeof(**ret_key));
    (*ret_key)->core = core;
    return 0;
}

void grant_key_free(struct grant_key *key) {
    if (!key)
        return;
    EVP_PKEY_free(key->core);
    mem_free(key);
}

void grant_key_public(const struct grant_key *key, uint8_t ret_public[GRANT_KEY_BYTES]) {
    size_t len = GRANT_KEY_BYTES;
    if (EVP_PKEY_get_raw_public_key(key->core, ret_public, &len) != 1)
        memset(ret_public, 0, GRANT_KEY_BYTES);
}

/* What is signed: the domain with its NUL, then the grant. */
static uint8_t *signed_bytes(const uint8_t *grant, size_t len, size_t *ret_len) {
    uint8_t *bytes = mem_alloc(sizeof(domain) + len);
    memcpy(bytes, domain, sizeof(domain));
    if (len)
        memcpy(bytes + sizeof(domain), grant, len);
    *ret_len = sizeof(domain) + len;
    return bytes;
}

int grant_sign(const struct grant_key *key, const Mssql__V1__Grant *grant, uint8_t **ret_bytes, size_t *ret_len,
               struct err *err) {
    Mssql__V1__SignedGrant out = MSSQL__V1__SIGNED_GRANT__INIT;
    size_t len = mssql__v1__grant__get_packed_size(grant), text_len;
    _cleanup_free_ uint8_t *packed = mem_alloc(len + 1);
    mssql__v1__grant__pack(grant, packed);
    _cleanup_free_ uint8_t *text = signed_bytes(packed, len, &text_len);
    uint8_t signature[SIGNATURE_BYTES];
    size_t signature_len = sizeof(signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->core) == 1 &&
                EVP_DigestSign(ctx, signature, &signature_len, text, text_len) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    if (!good)
        return err_set(err, ERR_CRYPTO, "a grant cannot be signed");
    out.grant = (ProtobufCBinaryData){len, packed};
    out.signature = (ProtobufCBinaryData){signature_len, signature};
    *ret_len = mssql__v1__signed_grant__get_packed_size(&out);
    *ret_bytes = mem_alloc(*ret_len);
    mssql__v1__signed_grant__pack(&out, *ret_bytes);
    return 0;
}

static bool signature_good(const uint8_t public_key[GRANT_KEY_BYTES], const Mssql__V1__SignedGrant *s) {
    size_t text_len;
    _cleanup_free_ uint8_t *text = signed_bytes(s->grant.data, s->grant.len, &text_len);
    EVP_PKEY *core = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, GRANT_KEY_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good = core && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, core) == 1 &&
                EVP_DigestVerify(ctx, s->signature.data, s->signature.len, text, text_len) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(core);
    ERR_clear_error();
    return good;
}

static int check_times(const Mssql__V1__Grant *g, int64_t now, struct err *err) {
    char text[CLOCK_TEXT_MAX];
    if (g->until_at <= 0 || g->from_at <= 0 || g->until_at < g->from_at || g->until_at - g->from_at > GRANT_LIFE_US)
        return err_set(err, ERR_PERMISSION, "the grant's times are not in order");
    if (now > g->until_at + SKEW_US)
        return err_set(err, ERR_PERMISSION, "the grant expired at %s", clock_format(text, g->until_at));
    if (now < g->from_at - SKEW_US)
        return err_set(err, ERR_PERMISSION, "the grant is not valid before %s", clock_format(text, g->from_at));
    return 0;
}

int grant_check(const uint8_t public_key[GRANT_KEY_BYTES], const uint8_t *bytes, size_t len, int64_t now,
                Mssql__V1__Grant **ret_grant, struct err *err) {
    Mssql__V1__SignedGrant *s = mssql__v1__signed_grant__unpack(NULL, len, bytes);
    Mssql__V1__Grant *g = NULL;
    int rc = 0;
    if (!s || !signature_good(public_key, s))
        rc = err_set(err, ERR_PERMISSION, "the grant is not signed by this sidecar's controller");
    if (rc == 0 &&
        (!(g = mssql__v1__grant__unpack(NULL, s->grant.len, s->grant.data)) || !*g->id || g->n_set_guids > GRANT_SETS_MAX))
        rc = err_set(err, ERR_PERMISSION, "the grant cannot be read");
    if (rc == 0)
        rc = check_times(g, now, err);
    if (s)
        mssql__v1__signed_grant__free_unpacked(s, NULL);
    if (rc < 0) {
        if (g)
            mssql__v1__grant__free_unpacked(g, NULL);
        return -1;
    }
    *ret_grant = g;
    return 0;
}
