/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/jwt.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define SECONDS_MAX (INT64_MAX / CLOCK_SECOND)

static int value_of(char c) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

bool jwt_base64url(const char *text, size_t len, uint8_t *ret_bytes, size_t *ret_len) {
    uint32_t bits = 0;
    unsigned count = 0;
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int v = value_of(text[i]);
        if (v < 0)
            return false;
        bits = bits << 6 | (uint32_t)v;
        count += 6;
        if (count >= 8) {
            count -= 8;
            ret_bytes[n++] = (uint8_t)(bits >> count);
            bits &= (1u << count) - 1;
        }
    }
    if (len % 4 == 1 || bits) /* one text for one value: left-over bits must be zero */
        return false;
    *ret_len = n;
    return true;
}

static json_t *decode_object(const char *text, size_t len) {
    _cleanup_free_ uint8_t *bytes = mem_alloc(len * 3 / 4 + 3);
    size_t n;
    if (!jwt_base64url(text, len, bytes, &n))
        return NULL;
    json_t *object = json_loadb((const char *)bytes, n, JSON_REJECT_DUPLICATES, NULL);
    if (json_is_object(object))
        return object;
    json_decref(object);
    return NULL;
}

/* Strings that are logged and compared: clean, bounded, "" when they are missing. */
static bool text_of(const json_t *object, const char *key, const char **ret_text) {
    const json_t *value = json_object_get(object, key);
    *ret_text = "";
    if (!value)
        return true;
    if (!json_is_string(value) || json_string_length(value) > 512 ||
        !str_is_clean_utf8(json_string_value(value), json_string_length(value)))
        return false;
    *ret_text = json_string_value(value);
    return true;
}

/* Seconds, a whole number or not. */
static bool time_of(const json_t *object, const char *key, int64_t *ret_at) {
    const json_t *value = json_object_get(object, key);
    *ret_at = 0;
    if (!value)
        return true;
    if (!json_is_number(value))
        return false;
    double seconds = json_number_value(value);
    if (!(seconds >= 1 && seconds < (double)SECONDS_MAX))
        return false;
    *ret_at = (int64_t)seconds * CLOCK_SECOND;
    return true;
}

static int bad(struct err *err, const char *what) {
    return err_set(err, ERR_AUTH, "token is not acceptable: %s", what);
}

static int read_header(struct jwt *j, struct err *err) {
    const char *alg;
    if (!text_of(j->header, "alg", &alg) || !text_of(j->header, "kid", &j->kid))
        return bad(err, "its header cannot be read");
    if (json_object_get(j->header, "crit"))
        return bad(err, "it has critical extensions");
    if (!strcmp(alg, "RS256"))
        j->alg = JWT_RS256;
    else if (!strcmp(alg, "ES256"))
        j->alg = JWT_ES256;
    else
        return bad(err, "it is not signed with RS256 or ES256");
    return *j->kid ? 0 : bad(err, "it has no key id");
}

static int read_claims(struct jwt *j, struct err *err) {
    const json_t *kube = json_object_get(j->claims, "kubernetes.io");
    j->audience = json_object_get(j->claims, "aud");
    if (!text_of(j->claims, "iss", &j->issuer) || !text_of(j->claims, "sub", &j->subject) ||
        !time_of(j->claims, "exp", &j->exp_at) || !time_of(j->claims, "nbf", &j->nbf_at) ||
        !time_of(j->claims, "iat", &j->iat_at) || !text_of(kube, "namespace", &j->namespace_name) ||
        !text_of(json_object_get(kube, "serviceaccount"), "name", &j->service_account) ||
        !text_of(json_object_get(kube, "pod"), "name", &j->pod) || !text_of(json_object_get(kube, "pod"), "uid", &j->pod_uid))
        return bad(err, "its claims cannot be read");
    return 0;
}

static int parse(const char *text, struct jwt *j, struct err *err) {
    size_t len = strnlen(text, JWT_BYTES_MAX + 1);
    const char *dot = len <= JWT_BYTES_MAX ? strchr(text, '.') : NULL;
    const char *dot2 = dot ? strchr(dot + 1, '.') : NULL;
    if (!dot2 || strchr(dot2 + 1, '.'))
        return bad(err, len > JWT_BYTES_MAX ? "it is too long" : "it has no three parts");
    j->header = decode_object(text, (size_t)(dot - text));
    j->claims = decode_object(dot + 1, (size_t)(dot2 - dot - 1));
    size_t rest = len - (size_t)(dot2 + 1 - text);
    j->signature = mem_alloc(rest * 3 / 4 + 3);
    if (!j->header || !j->claims || !jwt_base64url(dot2 + 1, rest, j->signature, &j->signature_len))
        return bad(err, "it cannot be decoded");
    j->signed_len = (size_t)(dot2 - text);
    j->signed_text = mem_strndup(text, j->signed_len);
    if (read_header(j, err) < 0)
        return -1;
    return read_claims(j, err);
}

int jwt_parse(const char *text, struct jwt *ret_jwt, struct err *err) {
    struct jwt j = {0};
    if (parse(text, &j, err) < 0) {
        jwt_done(&j);
        return -1;
    }
    *ret_jwt = j;
    return 0;
}

void jwt_done(struct jwt *j) {
    json_decref(j->header);
    json_decref(j->claims);
    if (j->signed_text)
        explicit_bzero(j->signed_text, j->signed_len);
    mem_free(j->signed_text);
    mem_free(j->signature);
    *j = (struct jwt){0};
}

static bool is_for(const json_t *audience, const char *want) {
    size_t i;
    const json_t *item;
    if (json_is_string(audience))
        return !strcmp(json_string_value(audience), want);
    json_array_foreach(audience, i, item) {
        if (json_is_string(item) && !strcmp(json_string_value(item), want))
            return true;
    }
    return false;
}

int jwt_check(const struct jwt *j, const struct jwt_rules *rules, int64_t now, struct err *err) {
    char text[CLOCK_TEXT_MAX];
    if (strcmp(j->issuer, rules->issuer))
        return err_set(err, ERR_AUTH, "token is of the issuer '%.200s', not '%.200s'", j->issuer, rules->issuer);
    if (!is_for(j->audience, rules->audience))
        return err_set(err, ERR_AUTH, "token is not for the audience '%.200s'", rules->audience);
    if (!j->exp_at)
        return bad(err, "it never expires");
    if (now - rules->skew_us >= j->exp_at)
        return err_set(err, ERR_AUTH, "token expired at %s", clock_format(text, j->exp_at));
    if (j->nbf_at > now + rules->skew_us)
        return err_set(err, ERR_AUTH, "token is not valid before %s", clock_format(text, j->nbf_at));
    if (j->iat_at > now + rules->skew_us)
        return err_set(err, ERR_AUTH, "token was issued in the future, at %s", clock_format(text, j->iat_at));
    if (!*j->namespace_name || !*j->service_account)
        return bad(err, "it is not of a service account of Kubernetes");
    if (rules->pod && (!*j->pod || !*j->pod_uid))
        return bad(err, "it is not bound to a pod. Use a projected token");
    return 0;
}
