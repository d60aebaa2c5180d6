/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has a type of the same name as one of our error classes. */
#define ERR_STATE openssl_err_state
#include <openssl/evp.h>
#undef ERR_STATE

#include "common/pipe/hash.h"

#include "common/base/mem.h"
#include "common/base/str.h"

struct hash_run {
    EVP_MD *md;
    EVP_MD_CTX *ctx;
};

static int failed(struct err *err) {
    return err_set(err, ERR_CRYPTO, "SHA-256 is not available. OpenSSL's configuration must allow it");
}

int hash_begin(struct hash_run **ret_run, struct err *err) {
    struct hash_run *run = mem_alloc(sizeof(*run));
    run->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    run->ctx = EVP_MD_CTX_new();
    if (!run->md || !run->ctx || EVP_DigestInit_ex2(run->ctx, run->md, NULL) != 1) {
        hash_free(run);
        return failed(err);
    }
    *ret_run = run;
    return 0;
}

int hash_update(struct hash_run *run, const void *data, size_t len, struct err *err) {
    return EVP_DigestUpdate(run->ctx, data, len) == 1 ? 0 : failed(err);
}

int hash_take(struct hash_run *run, struct hash *ret_hash, struct err *err) {
    struct hash hash;
    unsigned len = 0;
    if (EVP_DigestFinal_ex(run->ctx, hash.bytes, &len) != 1 || len != HASH_BYTES ||
        EVP_DigestInit_ex2(run->ctx, run->md, NULL) != 1)
        return failed(err);
    *ret_hash = hash;
    return 0;
}

void hash_free(struct hash_run *run) {
    if (!run)
        return;
    EVP_MD_CTX_free(run->ctx);
    EVP_MD_free(run->md);
    mem_free(run);
}

int hash_of(const void *data, size_t len, struct hash *ret_hash, struct err *err) {
    struct hash_run *run;
    if (hash_begin(&run, err) < 0)
        return -1;
    int rc = hash_update(run, data, len, err) < 0 || hash_take(run, ret_hash, err) < 0 ? -1 : 0;
    hash_free(run);
    return rc;
}

char *hash_format(char dst[HASH_TEXT_MAX], const struct hash *hash) {
    str_hex(dst, hash->bytes, HASH_BYTES);
    return dst;
}
