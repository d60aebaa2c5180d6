/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL has another ERR_STATE. */
#define ERR_STATE openssl_err_state
#include <openssl/crypto.h>
#include <openssl/evp.h>
#undef ERR_STATE

#include <string.h>

#include "common/base/mem.h"
#include "controller/bootstrap_identity.h"
#include "controller/bootstrap_int.h"

#define OURS "mssql-controller"

/* ---- making ---- */

static json_t *password_body(const struct bootstrap_item *item) {
    struct secret *password = bootstrap_password();
    json_t *body = json_pack("{s:s, s:{s:s}}", "type", "Opaque", "stringData", item->key, secret_text(password));
    secret_free(password);
    return body;
}

static void take_authority(struct bootstrap_run *run, const char *pem) {
    mem_free(run->authority);
    run->authority = mem_strdup(pem);
}

static json_t *certificate_body(struct bootstrap_run *run, const char *authority, const struct secret *authority_key,
                                struct err *err) {
    struct identity identity;
    if (identity_make(run->namespace, authority, authority_key, &identity, err) < 0)
        return NULL;
    json_t *body = json_pack("{s:{s:s, s:s, s:s, s:s}}", "stringData", "tls.crt", identity.certificate, "tls.key",
                             secret_text(identity.key), "ca.crt", identity.authority, "ca.key",
                             secret_text(identity.authority_key));
    take_authority(run, identity.authority);
    identity_done(&identity);
    return body;
}

json_t *bootstrap_body(struct bootstrap_run *run, struct err *err) {
    const struct bootstrap_item *item = bootstrap_item(run);
    json_t *body;
    switch (item->kind) {
    case BOOTSTRAP_SECRET:
        return password_body(item);
    case BOOTSTRAP_CERTIFICATE:
        if (!(body = certificate_body(run, NULL, NULL, err)))
            return NULL;
        json_object_set_new(body, "type", json_string("Opaque"));
        return body;
    case BOOTSTRAP_BUNDLE:
        return json_pack("{s:{s:s}}", "data", "ca.crt", run->authority);
    case BOOTSTRAP_SERVICE:
        return json_pack("{s:{s:O, s:[{s:s, s:i, s:s}]}}", "spec", "selector", run->plan->selector, "ports", "name", "grpc",
                         "port", (int)item->port, "targetPort", "grpc");
    case BOOTSTRAP_AUTHORITY:
        break; /* somebody else's */
    }
    err_set(err, ERR_INTERNAL, "kind %d is not made", (int)item->kind);
    return NULL;
}

/* ---- what is there ---- */

static const char *metadata(const json_t *object, const char *map, const char *key) {
    const char *text = json_string_value(json_object_get(json_object_get(json_object_get(object, "metadata"), map), key));
    return text ? text : "";
}

/* A value of a Secret; NULL when it is missing, empty or no base64. */
static struct secret *value_of(const json_t *object, const char *key) {
    const json_t *coded = json_object_get(json_object_get(object, "data"), key);
    size_t len = json_string_length(coded), pad = 0;
    if (!len || len % 4)
        return NULL;
    const char *text = json_string_value(coded);
    while (pad < 2 && text[len - 1 - pad] == '=')
        pad++;
    unsigned char *bytes = mem_alloc(len);
    int n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
    struct secret *secret = n > (int)pad ? secret_new(bytes, (size_t)n - pad) : NULL;
    OPENSSL_cleanse(bytes, len);
    mem_free(bytes);
    return secret;
}

static int missing(struct err *err, const char *key) {
    return err_set(err, ERR_CONFIG,
                   "it is there and has no key %s. What is there is never changed: add the key, or name another Secret in the "
                   "chart's values",
                   key);
}

static int found_password(struct bootstrap_run *run, const json_t *object, struct err *err) {
    const struct bootstrap_item *item = bootstrap_item(run);
    _cleanup_(secret_cleanup) struct secret *value = value_of(object, item->key);
    if (!value)
        return missing(err, item->key);
    if (!strcmp(metadata(object, "labels", "app.kubernetes.io/managed-by"), "Helm") &&
        strcmp(metadata(object, "annotations", "helm.sh/resource-policy"), "keep") != 0)
        bootstrap_keep(run);
    else
        bootstrap_next(run, "there already");
    return 0;
}

static int found_certificate(struct bootstrap_run *run, const json_t *object, struct err *err) {
    static const char *const wanted[] = {"tls.crt", "tls.key", "ca.crt"};
    _cleanup_(secret_cleanup) struct secret *authority_key = value_of(object, "ca.key");
    _cleanup_(secret_cleanup) struct secret *authority = value_of(object, "ca.crt");
    _cleanup_(secret_cleanup) struct secret *certificate = value_of(object, "tls.crt");
    int days;
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++) {
        _cleanup_(secret_cleanup) struct secret *value = value_of(object, wanted[i]);
        if (!value)
            return missing(err, wanted[i]);
    }
    take_authority(run, secret_text(authority));
    if (identity_days_left(secret_text(certificate), &days, err) < 0)
        return err_context(err, "tls.crt");
    bool ours = !strcmp(metadata(object, "labels", "app.kubernetes.io/managed-by"), OURS) && authority_key;
    if (!ours || days >= IDENTITY_RENEW_DAYS) {
        bootstrap_next(run, "there already");
        return 0;
    }
    json_t *body = certificate_body(run, secret_text(authority), authority_key, err);
    if (!body)
        return -1;
    bootstrap_patch(run, body, "renewed by the same authority");
    return 0;
}

static int found_authority(struct bootstrap_run *run, const json_t *object, struct err *err) {
    _cleanup_(secret_cleanup) struct secret *authority = value_of(object, "ca.crt");
    if (!authority)
        return err_set(err, ERR_CONFIG, "it has no key ca.crt, so sidecars cannot know whom to trust: add it");
    take_authority(run, secret_text(authority));
    bootstrap_next(run, "read");
    return 0;
}

static void found_bundle(struct bootstrap_run *run, const json_t *object) {
    const char *text = json_string_value(json_object_get(json_object_get(object, "data"), "ca.crt"));
    if (text && !strcmp(text, run->authority))
        bootstrap_next(run, "there already");
    else
        bootstrap_patch(run, json_pack("{s:{s:s}}", "data", "ca.crt", run->authority), "has another authority now");
}

int bootstrap_found(struct bootstrap_run *run, const json_t *object, struct err *err) {
    switch (bootstrap_item(run)->kind) {
    case BOOTSTRAP_SECRET:
        return found_password(run, object, err);
    case BOOTSTRAP_CERTIFICATE:
        return found_certificate(run, object, err);
    case BOOTSTRAP_AUTHORITY:
        return found_authority(run, object, err);
    case BOOTSTRAP_BUNDLE:
        found_bundle(run, object);
        return 0;
    case BOOTSTRAP_SERVICE:
        bootstrap_next(run, "there already");
        return 0;
    }
    return err_set(err, ERR_INTERNAL, "unknown kind");
}
