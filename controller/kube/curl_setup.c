/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/kube/curl_int.h"

#define CONNECT_TIMEOUT_MS 10000L
#define DEAD_PEER_MS 30000 /* unacknowledged bytes, or no answer to keepalive */

/* "https://HOST:PORT/PATH" with the certificate's name as host, and where it really is for CURLOPT_CONNECT_TO. */
int kube_curl_address(struct kube_curl *curl, struct err *err) {
    const struct kube_config *config = curl->config;
    if (!config->server_name) {
        curl->url = mem_strdup(config->server);
        return 0;
    }
    const char *host = strstr(config->server, "://") + 3;
    size_t authority = strcspn(host, "/");
    const char *colon = host[0] == '[' ? memchr(host, ']', authority) : host;
    colon = colon ? memchr(colon, ':', authority - (size_t)(colon - host)) : NULL;
    const char *fallback = str_starts(config->server, "https") ? "443" : "80";
    int port_len = colon ? (int)(authority - (size_t)(colon + 1 - host)) : (int)strlen(fallback);
    const char *port = colon ? colon + 1 : fallback;
    int host_len = (int)(colon ? (size_t)(colon - host) : authority);
    curl->url = mem_printf("%.*s%s:%.*s%s", (int)(host - config->server), config->server, config->server_name, port_len, port,
                           host + authority);
    _cleanup_free_ char *to = mem_printf("%s:%.*s:%.*s:%.*s", config->server_name, port_len, port, host_len, host, port_len,
                                         port);
    curl->connect_to = curl_slist_append(NULL, to);
    return curl->connect_to ? 0 : err_set(err, ERR_LIMIT, "out of memory");
}

static int set_socket_options(void *user, curl_socket_t fd, curlsocktype purpose) {
    unsigned timeout_ms = DEAD_PEER_MS;
    (void)user, (void)purpose;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms)); /* keepalive is there as well */
    return CURL_SOCKOPT_OK;
}

#define SET(option, value) ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK

static bool setup_connection(CURL *easy) {
    bool ok = true;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, ""); /* the environment's proxy is for the world outside, not for the API server */
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    SET(CURLOPT_PIPEWAIT, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 15L);
    SET(CURLOPT_TCP_KEEPINTVL, 5L);
    SET(CURLOPT_SOCKOPTFUNCTION, set_socket_options);
    SET(CURLOPT_BUFFERSIZE, 16384L);
    return ok;
}

static bool set_blob(CURL *easy, CURLoption option, const char *pem) {
    struct curl_blob blob = {.len = strlen(pem), .flags = CURL_BLOB_NOCOPY};
    memcpy(&blob.data, &pem, sizeof(pem)); /* libcurl's type lacks a const; it does not write */
    return curl_easy_setopt(easy, option, &blob) == CURLE_OK;
}

static bool setup_tls(CURL *easy, const struct kube_config *config) {
    bool ok = true;
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (config->ca_pem) {
        SET(CURLOPT_CAPATH, NULL); /* only these roots, not the system's as well */
        ok = ok && set_blob(easy, CURLOPT_CAINFO_BLOB, config->ca_pem);
    } else if (config->ca_file) {
        SET(CURLOPT_CAPATH, NULL);
        SET(CURLOPT_CAINFO, config->ca_file);
    }
    if (config->cert_pem)
        ok = ok && set_blob(easy, CURLOPT_SSLCERT_BLOB, config->cert_pem);
    else if (config->cert_file)
        SET(CURLOPT_SSLCERT, config->cert_file);
    if (config->key_pem)
        ok = ok && set_blob(easy, CURLOPT_SSLKEY_BLOB, secret_text(config->key_pem));
    else if (config->key_file)
        SET(CURLOPT_SSLKEY, config->key_file);
    return ok;
}

static bool add_header(struct curl_slist **headers, const char *text) {
    struct curl_slist *more = curl_slist_append(*headers, text);
    if (more)
        *headers = more;
    return more != NULL;
}

static bool setup_request(struct kube_transfer *t) {
    CURL *easy = t->easy;
    /* the second one is what key sets of service accounts are */
    bool ok = add_header(&t->headers, "Accept: application/json, application/jwk-set+json");
    _cleanup_free_ char *url = mem_printf("%s%s", t->owner->url, t->path);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_USERAGENT, t->owner->user_agent);
    if (t->body) {
        _cleanup_free_ char *type = mem_printf("Content-Type: %s", t->content_type);
        ok = ok && add_header(&t->headers, type) && add_header(&t->headers, "Expect:");
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)t->ask.body_len);
        SET(CURLOPT_POSTFIELDS, t->body);
    }
    if (t->body || strcmp(t->method, "GET") != 0)
        SET(CURLOPT_CUSTOMREQUEST, t->method);
    SET(CURLOPT_HTTPHEADER, t->headers);
    if (t->owner->connect_to)
        SET(CURLOPT_CONNECT_TO, t->owner->connect_to);
    if (t->token) {
        SET(CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        SET(CURLOPT_XOAUTH2_BEARER, secret_text(t->token));
    }
    SET(CURLOPT_TIMEOUT_MS, (long)t->ask.timeout_ms);
    SET(CURLOPT_WRITEFUNCTION, kube_curl_data);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->message);
    return ok;
}

bool kube_curl_setup(struct kube_transfer *transfer) {
    return setup_connection(transfer->easy) && setup_tls(transfer->easy, transfer->owner->config) && setup_request(transfer);
}
