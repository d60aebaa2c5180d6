/* SPDX-License-Identifier: Apache-2.0 */
/* TLS credentials of the server. C-core asks before each handshake whether the certificate is still the one it has: that is
 * where changed files are noticed. It asks on a thread of its own. */
#include <pthread.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/rpc_int.h"

struct rpc_creds {
    pthread_mutex_t lock;
    struct tls_files files; /* copies */
    uint64_t stamp; /* of the files that are in use, or that were found bad */
    int64_t not_after_at;
    bool loaded;
};

static grpc_ssl_server_certificate_config *config_of(const struct tls_pem *pem) {
    grpc_ssl_pem_key_cert_pair pair = {pem->key, pem->cert};
    /* C-core insists on roots; without a CA no client certificate is asked for, and they are not used */
    return grpc_ssl_server_certificate_config_create(pem->ca ? pem->ca : pem->cert, &pair, 1);
}

static grpc_ssl_certificate_config_reload_status fetch_locked(struct rpc_creds *c, grpc_ssl_server_certificate_config **config) {
    uint64_t stamp = tls_files_stamp(&c->files);
    if (c->loaded && stamp == c->stamp)
        return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    struct tls_pem pem;
    struct err err = {0};
    if (tls_pem_load(&c->files, &pem, &err) < 0) {
        /* half-way through a rotation, or a mistake: the old one goes on; said once per change of the files */
        if (stamp != c->stamp)
            log_error(LOG_WARN, &err, "certificate was changed but cannot be used, the old one stays", NULL);
        c->stamp = stamp;
        return c->loaded ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
    }
    *config = config_of(&pem);
    c->stamp = stamp;
    c->not_after_at = pem.not_after_at;
    if (c->loaded) {
        char text[CLOCK_TEXT_MAX];
        log_event(LOG_INFO, "certificate was changed and is in use", "subject", pem.subject, "until",
                  clock_format(text, pem.not_after_at), NULL);
    }
    c->loaded = true;
    tls_pem_done(&pem);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

static grpc_ssl_certificate_config_reload_status fetch(void *user, grpc_ssl_server_certificate_config **config) {
    struct rpc_creds *c = user;
    pthread_mutex_lock(&c->lock);
    grpc_ssl_certificate_config_reload_status status = fetch_locked(c, config);
    pthread_mutex_unlock(&c->lock);
    return status;
}

int rpc_creds_new(const struct tls_files *files, struct rpc_creds **ret_creds, struct err *err) {
    struct tls_pem pem;
    if (!files->cert || !files->key)
        return err_set(err, ERR_CONFIG, "TLS: a server needs a certificate and its private key");
    if (tls_pem_load(files, &pem, err) < 0)
        return -1;
    tls_pem_done(&pem);
    struct rpc_creds *c = mem_alloc(sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    c->files.cert = mem_strdup(files->cert);
    c->files.key = mem_strdup(files->key);
    c->files.ca = files->ca ? mem_strdup(files->ca) : NULL;
    *ret_creds = c;
    return 0;
}

void rpc_creds_free(struct rpc_creds *c) {
    if (!c)
        return;
    mem_free((char *)(uintptr_t)c->files.cert);
    mem_free((char *)(uintptr_t)c->files.key);
    mem_free((char *)(uintptr_t)c->files.ca);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

grpc_server_credentials *rpc_creds_core(struct rpc_creds *c) {
    return grpc_ssl_server_credentials_create_with_options(grpc_ssl_server_credentials_create_options_using_config_fetcher(
        c->files.ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE,
        fetch, c));
}

int64_t rpc_creds_not_after(struct rpc_creds *c) {
    pthread_mutex_lock(&c->lock);
    int64_t at = c->not_after_at;
    pthread_mutex_unlock(&c->lock);
    return at;
}
