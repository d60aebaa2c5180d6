/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has another ERR_STATE. */
#define ERR_STATE openssl_err_state
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#undef ERR_STATE

#include "tests/unit/support/unit.h"

#include "controller/bootstrap_identity.h"

static X509 *read_certificate(const char *pem) {
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *x509 = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    BIO_free(bio);
    assert_non_null(x509);
    return x509;
}

static bool leads_to(const char *certificate, const char *authority) {
    X509 *leaf = read_certificate(certificate), *root = read_certificate(authority);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *context = X509_STORE_CTX_new();
    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    assert_int_equal(X509_STORE_CTX_init(context, store, leaf, NULL), 1);
    X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER);
    bool good = X509_verify_cert(context) == 1;
    X509_STORE_CTX_free(context);
    X509_STORE_free(store);
    X509_free(leaf);
    X509_free(root);
    return good;
}

static bool is_for(const char *certificate, const char *host) {
    X509 *x509 = read_certificate(certificate);
    bool good = X509_check_host(x509, host, 0, 0, NULL) == 1;
    X509_free(x509);
    return good;
}

static void a_new_authority(void **state) {
    (void)state;
    struct identity a, b;
    struct err err = {0};
    int days = 0;
    assert_int_equal(identity_make("lab", NULL, NULL, &a, &err), 0);
    assert_int_equal(identity_make("lab", NULL, NULL, &b, &err), 0);
    assert_true(leads_to(a.certificate, a.authority));
    assert_false(leads_to(a.certificate, b.authority));
    assert_true(is_for(a.certificate, "mssql-controller.lab.svc"));
    assert_true(is_for(a.certificate, "src-mssql-helm-operator.lab.svc.cluster.local"));
    assert_false(is_for(a.certificate, "mssql-controller.other.svc"));
    assert_false(is_for(a.certificate, "a.b.lab.svc"));
    assert_int_equal(identity_days_left(a.certificate, &days, &err), 0);
    assert_in_range(days, IDENTITY_DAYS - 1, IDENTITY_DAYS);
    assert_int_equal(identity_days_left(a.authority, &days, &err), 0);
    assert_in_range(days, IDENTITY_AUTHORITY_DAYS - 1, IDENTITY_AUTHORITY_DAYS);
    identity_done(&a);
    identity_done(&b);
}

static void renewed_by_the_same(void **state) {
    (void)state;
    struct identity first, second;
    struct err err = {0};
    assert_int_equal(identity_make("lab", NULL, NULL, &first, &err), 0);
    assert_int_equal(identity_make("lab", first.authority, first.authority_key, &second, &err), 0);
    assert_string_equal(second.authority, first.authority);
    assert_string_not_equal(second.certificate, first.certificate);
    assert_false(secret_eq(second.key, first.key));
    assert_true(leads_to(second.certificate, first.authority));
    identity_done(&first);
    identity_done(&second);
}

static void what_cannot_be_used(void **state) {
    (void)state;
    struct identity a, b, none;
    struct err err = {0};
    int days;
    assert_int_equal(identity_make("lab", NULL, NULL, &a, &err), 0);
    assert_int_equal(identity_make("lab", NULL, NULL, &b, &err), 0);
    assert_int_equal(identity_make("lab", a.authority, b.authority_key, &none, &err), -1); /* another one's key */
    assert_int_equal(err.class, ERR_CRYPTO);
    assert_int_equal(identity_make("lab", "no certificate", a.authority_key, &none, &err), -1);
    struct secret *junk = secret_new("x", 1);
    assert_int_equal(identity_make("lab", a.authority, junk, &none, &err), -1);
    assert_int_equal(identity_days_left("x", &days, &err), -1);
    secret_free(junk);
    identity_done(&a);
    identity_done(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_authority),
        cmocka_unit_test(renewed_by_the_same),
        cmocka_unit_test(what_cannot_be_used),
    };
    return cmocka_run_group_tests_name("bootstrap_identity", tests, NULL, NULL);
}
