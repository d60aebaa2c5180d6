/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the libcurl transport: curl.c (transfers), curl_pool.c (libcurl's multi interface on libev), curl_setup.c (options). */
#ifndef MSSQL_KUBE_CURL_INT_H
#define MSSQL_KUBE_CURL_INT_H

#include <curl/curl.h>

#include "common/base/buf.h"
#include "controller/kube/transport.h"

/*
 * A set of connections. A request that gets no answer in time says that its connection may be dead, but libcurl would put
 * the next one on it again. So the pool is retired: it lives until its last transfer ended, and others get a new one.
 */
struct kube_pool {
    struct kube_curl *owner;
    CURLM *multi;
    ev_timer timer; /* libcurl's own */
    unsigned transfers;
    bool retired;
    struct kube_pool *next;
};

struct kube_curl {
    struct kube_transport base;
    struct ev_loop *ev;
    const struct kube_config *config;
    char *user_agent;
    char *url; /* what paths are appended to */
    struct curl_slist *connect_to; /* when the certificate has another name than the address */
    struct kube_pool *pools; /* the first takes new transfers unless retired */
    struct kube_transfer *transfers;
    ev_timer kick; /* libcurl must not be called inside of its callbacks: additions and removals wait for this */
};

struct kube_transfer {
    struct kube_curl *owner;
    struct kube_pool *pool; /* NULL: not begun yet */
    CURL *easy;
    struct curl_slist *headers;
    char *path, *method, *content_type, *body;
    struct secret *token;
    struct kube_exchange ask; /* its texts are NULL: they are above */
    struct buf answer;
    struct err err; /* what on_data said */
    bool cancelled, stopped;
    ev_timer silence;
    char message[CURL_ERROR_SIZE];
    struct kube_transfer *next;
};

/* curl_setup.c. False when memory or libcurl refuses. */
bool kube_curl_setup(struct kube_transfer *transfer);
int kube_curl_address(struct kube_curl *curl, struct err *err) ERR_CHECK;
/* curl_pool.c */
struct kube_pool *kube_pool_current(struct kube_curl *curl);
void kube_pool_free(struct kube_pool *pool);
/* curl.c: a transfer of this pool ended, libcurl is not running. */
void kube_curl_ended(struct kube_transfer *transfer, CURLcode code);
size_t kube_curl_data(char *data, size_t size, size_t count, void *user);

#endif
