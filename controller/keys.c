/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/keys.h"

#include "common/base/mem.h"
#include "common/net/jwt.h"
#include "controller/kube/token.h"
#include "controller/kube/transport.h"

#define PATH "/openid/v1/jwks"
#define ANSWER_BYTES_MAX (1u << 20)
#define TIMEOUT_MS 10000

struct keys {
    struct kube_transport *transport;
    struct kube_token *token;
    struct kube_transfer *transfer; /* one at a time: the trust asks for one at a time */
    void (*done)(void *arg, const char *text, size_t len, const struct err *err);
    void *arg;
};

int keys_new(struct ev_loop *ev, const struct kube_config *config, struct keys **ret_keys, struct err *err) {
    struct kube_transport *transport;
    if (kube_curl_new(ev, config, "mssql-controller", &transport, err) < 0)
        return -1;
    struct keys *keys = mem_alloc(sizeof(*keys));
    *keys = (struct keys){.transport = transport, .token = kube_token_new(config)};
    *ret_keys = keys;
    return 0;
}

void keys_free(struct keys *keys) {
    if (!keys)
        return;
    keys->transport->ops->free(keys->transport);
    kube_token_free(keys->token);
    mem_free(keys);
}

static void answered(void *user, const struct kube_answer *answer) {
    struct keys *keys = user;
    struct err err = answer->err;
    keys->transfer = NULL;
    if (err.class == ERR_NONE && answer->status != 200) {
        if (answer->status == 401)
            kube_token_refused(keys->token);
        err_set(&err, answer->status == 403 ? ERR_PERMISSION : ERR_PROTOCOL, "GET " PATH ": the API server answers %u",
                answer->status);
    }
    if (err.class == ERR_NONE)
        keys->done(keys->arg, answer->body, answer->len, &err);
    else
        keys->done(keys->arg, NULL, 0, &err);
}

void keys_fetch(void *user, void (*done)(void *arg, const char *text, size_t len, const struct err *err), void *arg) {
    struct keys *keys = user;
    struct err err = {0};
    const char *token = NULL;
    if (keys->transfer || kube_token_get(keys->token, &token, &err) < 0) {
        if (keys->transfer)
            err_set(&err, ERR_BUSY, "the keys are being read");
        done(arg, NULL, 0, &err);
        return;
    }
    keys->done = done;
    keys->arg = arg;
    struct kube_exchange exchange = {.method = "GET",
                                     .path = PATH,
                                     .token = token,
                                     .timeout_ms = TIMEOUT_MS,
                                     .answer_max_bytes = ANSWER_BYTES_MAX,
                                     .done = answered,
                                     .user = keys};
    keys->transfer = keys->transport->ops->start(keys->transport, &exchange);
}

char *keys_own_issuer(const struct kube_config *config) {
    struct kube_token *token = kube_token_new(config);
    const char *text = NULL;
    struct err err;
    struct jwt jwt;
    char *issuer = NULL;
    if (kube_token_get(token, &text, &err) == 0 && text && jwt_parse(text, &jwt, &err) == 0) {
        issuer = mem_strdup(jwt.issuer);
        jwt_done(&jwt);
    }
    kube_token_free(token);
    return issuer;
}
