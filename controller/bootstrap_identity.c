/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has another ERR_STATE. */
#define ERR_STATE openssl_err_state
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include "controller/bootstrap_identity.h"

#include "common/base/mem.h"
#include "common/base/str.h"

#define DAY_S 86400
#define BACKDATE_S 300 /* clocks differ a little */
#define SERIAL_BITS 127

static int failed(struct err *err, const char *what) {
    char text[256];
    ERR_error_string_n(ERR_get_error(), text, sizeof(text));
    return err_set(err, ERR_CRYPTO, "%s: %s", what, text);
}

static char *text_of(BIO *bio) {
    char *data = NULL;
    long len = BIO_get_mem_data(bio, &data);
    return mem_strndup(data, (size_t)len);
}

static char *pem_of(X509 *certificate) {
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = bio && PEM_write_bio_X509(bio, certificate) == 1 ? text_of(bio) : NULL;
    BIO_free(bio);
    return text;
}

static struct secret *pem_of_key(EVP_PKEY *key) {
    BIO *bio = BIO_new(BIO_s_secmem());
    char *data = NULL;
    struct secret *secret = NULL;
    if (bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1) {
        long len = BIO_get_mem_data(bio, &data);
        secret = secret_new(data, (size_t)len);
    }
    BIO_free(bio);
    return secret;
}

static X509 *certificate_from(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return certificate;
}

static EVP_PKEY *key_from(const struct secret *pem) {
    BIO *bio = BIO_new_mem_buf(secret_text(pem), (int)secret_len(pem));
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    return key;
}

static bool number(X509 *certificate) {
    BIGNUM *serial = BN_new();
    bool good = serial && BN_rand(serial, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
                BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate));
    BN_free(serial);
    return good;
}

static bool extend(X509 *certificate, X509 *issuer, int nid, const char *value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool good = extension && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return good;
}

/* Everything but names, extensions and signature. */
static X509 *begin(EVP_PKEY *key, const char *name, long days) {
    X509 *certificate = X509_new();
    X509_NAME *subject = certificate ? X509_get_subject_name(certificate) : NULL;
    if (subject && X509_set_version(certificate, X509_VERSION_3) == 1 && number(certificate) &&
        X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE_S) &&
        X509_gmtime_adj(X509_getm_notAfter(certificate), days * DAY_S) && X509_set_pubkey(certificate, key) == 1 &&
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0) == 1)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static X509 *make_authority(EVP_PKEY *key, const char *namespace) {
    char name[65]; /* the most that a common name may have */
    str_format(name, sizeof(name), "mssql-controller of %.40s", namespace);
    X509 *certificate = begin(key, name, IDENTITY_AUTHORITY_DAYS);
    if (certificate && X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
        extend(certificate, certificate, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
        extend(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        extend(certificate, certificate, NID_subject_key_identifier, "hash") && X509_sign(certificate, key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

static X509 *make_certificate(EVP_PKEY *key, const char *namespace, X509 *authority, EVP_PKEY *authority_key) {
    _cleanup_free_ char *names = mem_printf("DNS:*.%s.svc,DNS:*.%s.svc.cluster.local", namespace, namespace);
    X509 *certificate = begin(key, "mssql-controller", IDENTITY_DAYS);
    if (certificate && X509_set_issuer_name(certificate, X509_get_subject_name(authority)) == 1 &&
        extend(certificate, authority, NID_basic_constraints, "critical,CA:FALSE") &&
        extend(certificate, authority, NID_key_usage, "critical,digitalSignature") &&
        extend(certificate, authority, NID_ext_key_usage, "serverAuth") &&
        extend(certificate, authority, NID_subject_key_identifier, "hash") &&
        extend(certificate, authority, NID_authority_key_identifier, "keyid") &&
        extend(certificate, authority, NID_subject_alt_name, names) && X509_sign(certificate, authority_key, EVP_sha256()) > 0)
        return certificate;
    X509_free(certificate);
    return NULL;
}

int identity_make(const char *namespace, const char *authority, const struct secret *authority_key, struct identity *ret_identity,
                  struct err *err) {
    EVP_PKEY *root_key = authority ? key_from(authority_key) : EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
    X509 *root = NULL, *certificate = NULL;
    struct identity made = {0};
    int rc = -1;
    if (root_key && key)
        root = authority ? certificate_from(authority) : make_authority(root_key, namespace);
    if (!root || (authority && X509_check_private_key(root, root_key) != 1)) {
        failed(err, authority ? "the authority cannot be used" : "an authority could not be made");
        goto out;
    }
    certificate = make_certificate(key, namespace, root, root_key);
    made = (struct identity){pem_of(root), certificate ? pem_of(certificate) : NULL, pem_of_key(root_key), pem_of_key(key)};
    if (!made.authority || !made.certificate || !made.authority_key || !made.key) {
        failed(err, "a certificate could not be made");
        identity_done(&made);
        goto out;
    }
    *ret_identity = made;
    rc = 0;
out:
    X509_free(root);
    X509_free(certificate);
    EVP_PKEY_free(root_key);
    EVP_PKEY_free(key);
    return rc;
}

void identity_done(struct identity *identity) {
    mem_free(identity->authority);
    mem_free(identity->certificate);
    secret_free(identity->authority_key);
    secret_free(identity->key);
    *identity = (struct identity){0};
}

int identity_days_left(const char *certificate, int *ret_days, struct err *err) {
    int days = 0, seconds = 0;
    X509 *x509 = certificate_from(certificate);
    bool good = x509 && ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(x509)) == 1;
    X509_free(x509);
    if (!good)
        return failed(err, "no certificate");
    *ret_days = days > 0 ? days : 0;
    return 0;
}
