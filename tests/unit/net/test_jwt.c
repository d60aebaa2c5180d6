/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens: what is accepted, and everything that is not. */
#include "tests/unit/net/token_make.h"

#include "common/base/clock.h"
#include "common/net/jwt.h"

#define NOW (INT64_C(1800000000) * CLOCK_SECOND)
#define RS "{\"alg\":\"RS256\",\"kid\":\"r1\"}"
#define ES "{\"alg\":\"ES256\",\"kid\":\"e1\"}"
#define KUBE                                                                                                                     \
    "\"kubernetes.io\":{\"namespace\":\"db\",\"pod\":{\"name\":\"mssql-0\",\"uid\":\"u-1\"},\"serviceaccount\":{\"name\":"       \
    "\"sa\",\"uid\":"                                                                                                            \
    "\"s\"}}"
#define CLAIMS                                                                                                                   \
    "{\"iss\":\"https://i\",\"aud\":[\"mssql-controller\"],\"exp\":1800000600,\"nbf\":1799999000,\"iat\":1799999000," KUBE "}"

static struct issuer issuer;
static struct jwks *keys;

static const struct jwt_rules rules = {
    .issuer = "https://i", .audience = "mssql-controller", .skew_us = CLOCK_MINUTE, .pod = true};

/* Parses, verifies, checks. */
static int check_at(const char *token, int64_t now, struct err *err) {
    struct jwt jwt;
    if (jwt_parse(token, &jwt, err) < 0)
        return -1;
    int rc = jwks_verify(keys, &jwt, err);
    if (rc == 0)
        rc = jwt_check(&jwt, &rules, now, err);
    if (rc == 0) {
        assert_string_equal(jwt.pod, "mssql-0");
        assert_string_equal(jwt.pod_uid, "u-1");
        assert_string_equal(jwt.namespace_name, "db");
        assert_string_equal(jwt.service_account, "sa");
    }
    jwt_done(&jwt);
    return rc;
}

static void test_good_ones(void **state) {
    (void)state;
    struct err err = {0};
    char *r = token_make(issuer.rsa, RS, CLAIMS), *e = token_make(issuer.ec, ES, CLAIMS);
    assert_int_equal(jwks_count(keys), 2); /* the small, the encrypting and the symmetric one are left out */
    assert_succeeds(check_at(r, NOW, &err), err);
    assert_succeeds(check_at(e, NOW, &err), err);
    mem_free(r);
    mem_free(e);
}

static void test_claims_table(void **state) {
    (void)state;
    static const struct {
        const char *claims, *says;
    } table[] = {
        {"{\"iss\":\"https://j\",\"aud\":\"mssql-controller\",\"exp\":1800000600," KUBE "}", "issuer 'https://j'"},
        {"{\"aud\":\"mssql-controller\",\"exp\":1800000600," KUBE "}", "issuer ''"},
        {"{\"iss\":\"https://i\",\"aud\":\"api\",\"exp\":1800000600," KUBE "}", "audience"},
        {"{\"iss\":\"https://i\",\"aud\":[\"api\",\"mssql-controllerx\"],\"exp\":1800000600," KUBE "}", "audience"},
        {"{\"iss\":\"https://i\",\"aud\":[],\"exp\":1800000600," KUBE "}", "audience"},
        {"{\"iss\":\"https://i\",\"exp\":1800000600," KUBE "}", "audience"},
        {"{\"iss\":\"https://i\",\"aud\":{\"a\":\"mssql-controller\"},\"exp\":1800000600," KUBE "}", "audience"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\"," KUBE "}", "never expires"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":0," KUBE "}", "claims cannot be read"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":\"1800000600\"," KUBE "}", "claims cannot be read"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1e300," KUBE "}", "claims cannot be read"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":-5," KUBE "}", "claims cannot be read"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1799999939," KUBE "}", "expired at"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1800000600,\"nbf\":1800000061," KUBE "}",
         "not valid before"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1800000600,\"iat\":1800000061," KUBE "}", "in the future"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1800000600}", "service account"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1800000600,\"kubernetes.io\":{\"namespace\":\"db\","
         "\"serviceaccount\":{\"name\":\"sa\"}}}",
         "not bound to a pod"},
        {"{\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1800000600,\"kubernetes.io\":{\"namespace\":\"d\\nb\"}}",
         "claims cannot be read"},
        {"{\"iss\":\"https://i\",\"iss\":\"https://i\",\"aud\":\"mssql-controller\",\"exp\":1800000600," KUBE "}", "decoded"},
        {"[]", "decoded"},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = {0};
        char *token = token_make(i % 2 ? issuer.rsa : issuer.ec, i % 2 ? RS : ES, table[i].claims);
        assert_fails(check_at(token, NOW, &err), err, ERR_AUTH, table[i].says);
        mem_free(token);
    }
}

static void test_edges_of_time(void **state) {
    (void)state;
    struct err err = {0};
    char *token = token_make(issuer.ec, ES, CLAIMS);
    int64_t exp = INT64_C(1800000600) * CLOCK_SECOND, nbf = INT64_C(1799999000) * CLOCK_SECOND;
    assert_succeeds(check_at(token, exp + CLOCK_MINUTE - 1, &err), err);
    assert_fails(check_at(token, exp + CLOCK_MINUTE, &err), err, ERR_AUTH, "expired");
    assert_succeeds(check_at(token, nbf - CLOCK_MINUTE, &err), err);
    assert_fails(check_at(token, nbf - CLOCK_MINUTE - 1, &err), err, ERR_AUTH, "before");
    mem_free(token);
}

static void test_headers(void **state) {
    (void)state;
    static const struct {
        const char *header, *says;
        enum err_class class;
    } table[] = {
        {"{\"alg\":\"none\",\"kid\":\"r1\"}", "RS256", ERR_AUTH},
        {"{\"alg\":\"HS256\",\"kid\":\"r1\"}", "RS256", ERR_AUTH},
        {"{\"alg\":\"RS256\"}", "no key id", ERR_AUTH},
        {"{\"alg\":\"RS256\",\"kid\":\"r1\",\"crit\":[\"x\"]}", "critical", ERR_AUTH},
        {"{\"alg\":\"RS256\",\"kid\":\"r2\"}", "does not have", ERR_NOT_FOUND},
        {"{\"alg\":\"RS256\",\"kid\":\"small\"}", "does not have", ERR_NOT_FOUND},
        {"{\"alg\":\"RS256\",\"kid\":\"enc\"}", "does not have", ERR_NOT_FOUND},
        {"{\"alg\":\"ES256\",\"kid\":\"r1\"}", "signature", ERR_AUTH}, /* the key is of another kind */
        {"{\"alg\":\"RS256\",\"kid\":\"e1\"}", "signature", ERR_AUTH},
        {"{\"alg\":\"RS256\",\"kid\":7}", "header", ERR_AUTH},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        struct err err = {0};
        char *token = token_make(issuer.rsa, table[i].header, CLAIMS);
        assert_fails(check_at(token, NOW, &err), err, table[i].class, table[i].says);
        mem_free(token);
    }
}

/* One bit anywhere makes another token, or none. */
static void test_every_flip(void **state) {
    (void)state;
    char *token = token_make(issuer.ec, ES, CLAIMS);
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        char was = token[i];
        for (unsigned bit = 0; bit < 7; bit++) {
            struct err err = {0};
            token[i] = (char)(was ^ (1 << bit));
            assert_int_equal(check_at(token, NOW, &err), -1);
        }
        token[i] = was;
    }
    for (size_t i = 0; i < len; i++) { /* cut */
        struct err err = {0};
        char was = token[i];
        token[i] = 0;
        assert_int_equal(check_at(token, NOW, &err), -1);
        token[i] = was;
    }
    mem_free(token);
}

static void test_long_and_odd(void **state) {
    (void)state;
    struct err err = {0};
    char *token = mem_alloc(JWT_BYTES_MAX + 10);
    memset(token, 'a', JWT_BYTES_MAX + 5);
    assert_fails(check_at(token, NOW, &err), err, ERR_AUTH, "too long");
    assert_fails(check_at("", NOW, &err), err, ERR_AUTH, "three parts");
    assert_fails(check_at("..", NOW, &err), err, ERR_AUTH, "decoded");
    assert_fails(check_at("a.b.c.d", NOW, &err), err, ERR_AUTH, "three parts");
    mem_free(token);
}

static void test_key_sets(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[null,1,{}]}",
        "{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\"}]}",
        "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"a\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}", /* not on the curve */
        "{\"keys\":[{\"kty\":\"EC\",\"kid\":\"a\",\"crv\":\"P-521\",\"x\":\"AA\",\"y\":\"AA\"}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = {0};
        struct jwks *none = NULL;
        assert_fails(jwks_parse(bad[i], strlen(bad[i]), &none, &err), err, ERR_CONFIG, "key");
        assert_null(none);
    }
}

static void test_base64url(void **state) {
    (void)state;
    uint8_t out[16];
    size_t len;
    assert_true(jwt_base64url("Zm9vYg", 6, out, &len) && len == 4 && !memcmp(out, "foob", 4));
    assert_true(jwt_base64url("_-8", 3, out, &len) && len == 2 && out[0] == 0xff && out[1] == 0xef);
    assert_false(jwt_base64url("Zm9vYh", 6, out, &len)); /* left-over bits */
    assert_false(jwt_base64url("Zm9vY", 5, out, &len));
    assert_false(jwt_base64url("Zm9=", 4, out, &len));
    assert_false(jwt_base64url("Zm+v", 4, out, &len));
    assert_true(jwt_base64url("", 0, out, &len) && len == 0);
}

static int begin(void **state) {
    (void)state;
    struct err err = {0};
    issuer_make(&issuer);
    assert_succeeds(jwks_parse(issuer.jwks, strlen(issuer.jwks), &keys, &err), err);
    return 0;
}

static int end(void **state) {
    (void)state;
    jwks_free(keys);
    issuer_done(&issuer);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good_ones), cmocka_unit_test(test_claims_table), cmocka_unit_test(test_edges_of_time),
        cmocka_unit_test(test_headers),   cmocka_unit_test(test_every_flip),   cmocka_unit_test(test_long_and_odd),
        cmocka_unit_test(test_key_sets),  cmocka_unit_test(test_base64url),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
