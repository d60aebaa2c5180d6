/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One HTTP exchange on the event loop. The client stands on this interface; tests put their own behind it.
 */
#ifndef MSSQL_KUBE_TRANSPORT_H
#define MSSQL_KUBE_TRANSPORT_H

#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "controller/kube/config.h"

struct kube_transfer;

struct kube_answer {
    unsigned status; /* 0: no answer, and err says why */
    const char *body; /* NUL-terminated, never NULL; what on_data took is not in it */
    size_t len;
    int64_t retry_after_ms; /* -1 = the server did not say */
    bool sent; /* the request may have reached the server */
    struct err err; /* class ERR_NONE: the answer is complete */
};

struct kube_exchange {
    const char *method; /* "GET" */
    const char *path; /* with its query */
    const char *content_type; /* NULL = no body */
    const char *body;
    size_t body_len;
    const char *token; /* NULL = none */
    unsigned timeout_ms; /* for the whole; 0 = no limit */
    unsigned silence_ms; /* between two pieces of the answer; 0 = no limit */
    size_t answer_max_bytes; /* collected; ERR_LIMIT beyond */
    /* Takes the bytes of a 2xx answer as they come; NULL = they are collected. -1 with err, or positive, ends the exchange:
     * done() runs with that error, or with none. */
    int (*on_data)(void *user, const char *data, size_t len, struct err *err);
    void (*done)(void *user, const struct kube_answer *answer); /* exactly once, unless cancelled; never inside of start() */
    void *user;
};

struct kube_transport;
struct kube_transport_ops {
    /* Everything in *exchange but `user` is copied. */
    struct kube_transfer *(*start)(struct kube_transport *transport, const struct kube_exchange *exchange);
    /* No callback runs any more. Allowed in every callback but the transfer's own done(). */
    void (*cancel)(struct kube_transfer *transfer);
    /* Later exchanges use new connections, with certificates read again. */
    void (*renew)(struct kube_transport *transport);
    /* Cancels what is left. */
    void (*free)(struct kube_transport *transport);
};
struct kube_transport { /* first member of an implementation */
    const struct kube_transport_ops *ops;
};

/* libcurl on the loop: HTTP/2 over one connection where the server has it. The configuration must live as long. */
int kube_curl_new(struct ev_loop *ev, const struct kube_config *config, const char *user_agent,
                  struct kube_transport **ret_transport, struct err *err) ERR_CHECK;

#endif
