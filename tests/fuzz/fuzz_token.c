/* SPDX-License-Identifier: Apache-2.0 */
/* A service account token, and after a line break a key set. Links: net, base. Nothing is believed without a signature. */
#include <string.h>

#include "common/base/mem.h"
#include "common/net/jwt.h"
#include "tests/fuzz/fuzz.h"

static void check_token(const char *text, const struct jwks *keys) {
    static const struct jwt_rules rules = {.issuer = "https://i", .audience = "a", .skew_us = 60000000, .pod = true};
    struct jwt jwt;
    struct err err = {0};
    if (jwt_parse(text, &jwt, &err) < 0) {
        must(err.class == ERR_AUTH && err.text[0], "a token that cannot be read is refused with a reason");
        return;
    }
    must(jwt.kid[0] && jwt.header && jwt.claims && jwt.signed_len < strlen(text), "what was read is whole");
    must(jwt.issuer && jwt.pod && jwt.pod_uid && jwt.namespace_name && jwt.service_account, "no text is missing");
    if (keys)
        must(jwks_verify(keys, &jwt, &err) < 0, "no random bytes are a signature");
    if (jwt_check(&jwt, &rules, INT64_C(1800000000000000), &err) == 0)
        must(!strcmp(jwt.issuer, "https://i") && jwt.pod_uid[0] && jwt.exp_at > INT64_C(1799999939000000), "the rules hold");
    jwt_done(&jwt);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = mem_strndup((const char *)data, size), *end = strchr(text, '\n');
    struct jwks *keys = NULL;
    struct err err = {0};
    if (end) {
        *end = 0;
        if (jwks_parse(end + 1, strlen(end + 1), &keys, &err) < 0)
            must(err.class == ERR_CONFIG && !keys, "a key set that is none");
        else
            must(jwks_count(keys) && jwks_count(keys) <= JWKS_KEYS_MAX, "some keys, not too many");
    }
    check_token(text, keys);
    jwks_free(keys);
    mem_free(text);
    return 0;
}
