/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has a type of the name of one of our error classes. */
#define ERR_STATE openssl_err_state
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#undef ERR_STATE
#include "common/net/tls.h"

#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define PEM_MAX_BYTES (1024 * 1024)

static int ssl_err(struct err *err, const char *path, const char *what) {
    char reason[160];
    ERR_error_string_n(ERR_peek_last_error(), reason, sizeof(reason));
    ERR_clear_error();
    return err_set(err, ERR_CRYPTO, "file '%s': %s (%s)", path, what, reason);
}

static int read_pem(const char *path, char **ret_text, struct err *err) {
    size_t len;
    char *text;
    struct err why;
    if (file_read_all(path, PEM_MAX_BYTES, &text, &len, &why) < 0)
        return err_set(err, ERR_CONFIG, "TLS: %s", why.text);
    if (strlen(text) != len) {
        mem_free(text);
        return err_set(err, ERR_CRYPTO, "file '%s': not PEM text", path);
    }
    *ret_text = text;
    return 0;
}

static X509 *parse_cert(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    return cert;
}

static int no_passphrase(char *buf, int size, int rwflag, void *user) {
    (void)buf, (void)size, (void)rwflag, (void)user;
    return -1; /* never ask on the terminal */
}

static EVP_PKEY *parse_key(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    return key;
}

static int64_t asn1_to_at(const ASN1_TIME *t) {
    struct tm tm;
    if (!ASN1_TIME_to_tm(t, &tm))
        return 0;
    struct clock_civil civil = {.year = tm.tm_year + 1900,
                                .month = tm.tm_mon + 1,
                                .day = tm.tm_mday,
                                .hour = tm.tm_hour,
                                .minute = tm.tm_min,
                                .second = tm.tm_sec};
    return clock_from_civil(&civil);
}

static int check_dates(const char *path, X509 *cert, int64_t *ret_not_after, struct err *err) {
    char text[CLOCK_TEXT_MAX];
    int64_t before = asn1_to_at(X509_get0_notBefore(cert)), after = asn1_to_at(X509_get0_notAfter(cert)), now = clock_wall();
    if (now > after)
        return err_set(err, ERR_CRYPTO, "certificate '%s': expired at %s", path, clock_format(text, after));
    if (now < before)
        return err_set(err, ERR_CRYPTO, "certificate '%s': not valid before %s", path, clock_format(text, before));
    *ret_not_after = after;
    return 0;
}

static int check_pair(const struct tls_files *files, struct tls_pem *pem, struct err *err) {
    X509 *cert = parse_cert(pem->cert);
    if (!cert)
        return ssl_err(err, files->cert, "no certificate in it");
    X509_NAME_oneline(X509_get_subject_name(cert), pem->subject, sizeof(pem->subject));
    int rc = check_dates(files->cert, cert, &pem->not_after_at, err);
    EVP_PKEY *key = rc < 0 ? NULL : parse_key(pem->key);
    if (!rc && !key)
        rc = ssl_err(err, files->key, "no private key in it, or one with a passphrase");
    if (!rc && X509_check_private_key(cert, key) != 1) {
        ERR_clear_error();
        rc = err_set(err, ERR_CRYPTO, "private key '%s' does not belong to certificate '%s'", files->key, files->cert);
    }
    EVP_PKEY_free(key);
    X509_free(cert);
    return rc;
}

static int load_all(const struct tls_files *files, struct tls_pem *pem, struct err *err) {
    if (!files->cert != !files->key)
        return err_set(err, ERR_CONFIG, "TLS: certificate and private key must be given together");
    if (files->cert) {
        if (read_pem(files->cert, &pem->cert, err) < 0 || read_pem(files->key, &pem->key, err) < 0)
            return -1;
        if (check_pair(files, pem, err) < 0)
            return -1;
    }
    if (files->ca) {
        if (read_pem(files->ca, &pem->ca, err) < 0)
            return -1;
        X509 *ca = parse_cert(pem->ca);
        if (!ca)
            return ssl_err(err, files->ca, "no certificate in it");
        X509_free(ca);
    }
    return 0;
}

int tls_pem_load(const struct tls_files *files, struct tls_pem *ret_pem, struct err *err) {
    struct tls_pem pem = {0};
    if (load_all(files, &pem, err) < 0) {
        tls_pem_done(&pem);
        return -1;
    }
    *ret_pem = pem;
    return 0;
}

void tls_pem_done(struct tls_pem *pem) {
    if (pem->key)
        explicit_bzero(pem->key, strlen(pem->key));
    mem_free(pem->key);
    mem_free(pem->cert);
    mem_free(pem->ca);
    *pem = (struct tls_pem){0};
}

uint64_t tls_files_stamp(const struct tls_files *files) {
    const char *const path[] = {files->cert, files->key, files->ca};
    uint64_t stamp = 14695981039346656037u; /* FNV-1a over what stat says */
    for (size_t i = 0; i < ARRAY_LEN(path); i++) {
        struct stat st;
        if (!path[i])
            continue;
        if (stat(path[i], &st) < 0)
            return 0;
        const uint64_t part[] = {st.st_dev, st.st_ino, (uint64_t)st.st_size, (uint64_t)st.st_mtim.tv_sec,
                                 (uint64_t)st.st_mtim.tv_nsec};
        for (size_t k = 0; k < ARRAY_LEN(part); k++)
            stamp = (stamp ^ part[k]) * 1099511628211u;
    }
    return stamp ? stamp : 1;
}
