/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the client: client.c (life of a call), client_request.c (operation to HTTP), client_answer.c (HTTP to result). */
#ifndef MSSQL_KUBE_CLIENT_INT_H
#define MSSQL_KUBE_CLIENT_INT_H

#include "controller/kube/client.h"
#include "controller/kube/limit.h"
#include "controller/kube/token.h"

#define KUBE_FORBIDDEN_MAX 256

struct kube_forbidden {
    enum kube_verb verb;
    const struct kube_kind *kind;
    char *namespace, *subresource; /* "" = none */
};

struct kube_client {
    struct kube_client_options options;
    struct kube_transport *transport;
    struct kube_token *token;
    struct kube_limit limit;
    struct kube_call *calls;
    ev_timer turn; /* when the first waiting call may go */
    struct kube_forbidden forbidden[KUBE_FORBIDDEN_MAX];
    unsigned forbidden_count;
};

enum call_state {
    CALL_WAITS, /* for its turn in the rate limit */
    CALL_RESTS, /* until `timer`, before it is tried again */
    CALL_RUNS,
};

struct kube_call {
    struct kube_client *client;
    enum kube_verb verb;
    const struct kube_kind *kind;
    char *namespace, *name, *subresource; /* "" = none */
    char *path, *body;
    size_t body_len;
    int (*on_event)(void *user, const struct kube_event *event);
    void (*done)(void *user, const struct kube_result *result);
    void *user;
    enum call_state state;
    ev_timer timer;
    struct kube_transfer *transfer;
    struct kube_lines lines;
    bool feeding, cancelled; /* cancelled inside of its own on_event: freed when that returns */
    unsigned failures;
    bool token_again; /* 401 was answered by reading the token again */
    int64_t begun_us, deadline_us; /* monotonic; deadline 0 = none */
    struct err wrong; /* what is wrong with the operation itself */
    struct kube_call *next;
};

/* Fills path, body and the texts; call->wrong when the operation makes no sense. */
void kube_request_build(struct kube_call *call, const struct kube_op *op);
const char *kube_request_method(enum kube_verb verb);
const char *kube_request_content_type(enum kube_verb verb);

/* ret_document: what ret_result->object and ->reason stand in; json_decref() it after use. */
void kube_answer_read(const struct kube_call *call, const struct kube_answer *answer, struct kube_result *ret_result,
                      json_t **ret_document);
/* Does it pass by itself, and is it safe to ask again? */
bool kube_answer_passes(const struct kube_call *call, const struct kube_answer *answer);
/* Remembers which verb is refused, so that it is said once. */
void kube_forbidden_note(const struct kube_call *call, const struct kube_result *result);
void kube_forbidden_done(struct kube_client *client);

#endif
