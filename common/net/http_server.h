/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server on the event loop, for probes, metrics, status and hooks. libmicrohttpd reads the requests; its
 * epoll descriptor is one watcher of our loop, so handlers run on the loop's thread and may touch its state.
 *
 * Bounded in everything a peer decides: connections, bytes of a header and of a body, time until a request is complete,
 * time between requests. Unknown path 404, other method than the route's 405 (HEAD works where GET does), header too long
 * 431, body too long 413, anything malformed 400 or a closed connection.
 */
#ifndef MSSQL_NET_HTTP_SERVER_H
#define MSSQL_NET_HTTP_SERVER_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct http_server;
struct http_request;

struct http_server_options {
    const char *listen; /* "127.0.0.1:9810", "[::]:9810"; port 0 picks one */
    unsigned max_connections; /* 0 = 64 */
    unsigned header_max_bytes; /* 0 = 8 KiB */
    unsigned body_max_bytes; /* 0 = 64 KiB */
    unsigned idle_timeout_s; /* 0 = 30: between requests, and while an answer is not taken */
    unsigned request_timeout_s; /* 0 = 10: from the first byte of a connection or request to its end */
};

/* ERR_CONFIG when the address is malformed, ERR_CONFLICT when it is in use. The server runs from here on. */
int http_server_new(struct ev_loop *loop, const struct http_server_options *options, struct http_server **ret_server,
                    struct err *err) ERR_CHECK;
/* Closes the listener and every connection; requests that wait for an answer are ended (their on_gone runs). NULL is allowed. */
void http_server_free(struct http_server *server);
unsigned http_server_port(const struct http_server *server);
unsigned http_server_connections(const struct http_server *server);

enum http_method { HTTP_GET, HTTP_POST }; /* GET stands for HEAD as well */

/* Exact path, registered before or after the start. The handler answers each request exactly once with http_reply(), at
 * once or later; a request that nobody answered is ended when its connection is. */
void http_server_route(struct http_server *server, enum http_method method, const char *path,
                       void (*handler)(void *user, struct http_request *request), void *user);

/* The answer. The body is copied. The request is gone afterwards. content_type NULL = "text/plain; charset=utf-8". */
void http_reply(struct http_request *request, unsigned status, const char *content_type, const void *body, size_t len);
void http_reply_text(struct http_request *request, unsigned status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* fn runs when the peer went away before the answer; http_reply() must not be called after it. */
void http_request_on_gone(struct http_request *request, void (*fn)(void *user), void *user);

/* Valid until the answer. */
const char *http_request_path(const struct http_request *request);
/* Value of a query parameter, NULL when absent. "" when it has no value. */
const char *http_request_query(const struct http_request *request, const char *name);
const char *http_request_header(const struct http_request *request, const char *name);
const void *http_request_body(const struct http_request *request, size_t *ret_len);

#endif
