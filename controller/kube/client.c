/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/client.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "controller/kube/backoff.h"
#include "controller/kube/client_int.h"

#define RETRY_FIRST_MS 200
#define RETRY_MAX_MS 10000
#define TIMEOUT_MS 30000
#define MIB (1024 * 1024)

static void on_turn(struct ev_loop *ev, ev_timer *timer, int events);

static void call_free(struct kube_call *call) {
    struct kube_client *client = call->client;
    struct kube_call **at = &client->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    ev_timer_stop(client->options.ev, &call->timer);
    if (call->transfer)
        client->transport->ops->cancel(call->transfer);
    kube_lines_done(&call->lines);
    mem_free(call->namespace);
    mem_free(call->name);
    mem_free(call->subresource);
    mem_free(call->path);
    if (call->body)
        explicit_bzero(call->body, call->body_len); /* it may be a Secret */
    mem_free(call->body);
    mem_free(call);
}

static void wake(struct kube_client *client, int64_t after_us) {
    struct ev_loop *ev = client->options.ev;
    ev_timer_stop(ev, &client->turn);
    ev_now_update(ev);
    ev_timer_set(&client->turn, (double)after_us / 1e6, 0.);
    ev_timer_start(ev, &client->turn);
}

static void wait_for_turn(struct kube_call *call) {
    call->state = CALL_WAITS;
    if (!ev_is_active(&call->client->turn))
        wake(call->client, 0);
}

static void finish(struct kube_call *call, struct kube_result *result, json_t *document) {
    void (*done)(void *user, const struct kube_result *result) = call->done;
    void *user = call->user;
    kube_forbidden_note(call, result);
    struct kube_result copy = *result; /* the call is gone before done(), which may start and cancel others */
    call_free(call);
    done(user, &copy);
    json_decref(document);
}

static void finish_err(struct kube_call *call, const struct err *err) {
    struct kube_answer answer = {.body = "", .retry_after_ms = -1, .err = *err};
    struct kube_result result;
    json_t *document;
    kube_answer_read(call, &answer, &result, &document);
    finish(call, &result, document);
}

static void on_rested(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    wait_for_turn(container_of(timer, struct kube_call, timer));
}

/* False: there is no time for another try before the deadline. */
static bool rest(struct kube_call *call, int64_t retry_after_ms) {
    const struct kube_hooks *hooks = &call->client->options.hooks;
    int64_t wait_ms = kube_backoff_ms(++call->failures, RETRY_FIRST_MS, RETRY_MAX_MS, kube_random());
    if (retry_after_ms > wait_ms) /* all who were told the same must not come back at once */
        wait_ms = retry_after_ms + (int64_t)(kube_random() % 500);
    if (clock_mono_us() + wait_ms * 1000 >= call->deadline_us)
        return false;
    if (hooks->retried)
        hooks->retried(hooks->user, kube_verb_name(call->verb), call->kind->plural);
    call->state = CALL_RESTS;
    ev_now_update(call->client->options.ev);
    ev_timer_set(&call->timer, (double)wait_ms / 1e3, 0.);
    ev_timer_start(call->client->options.ev, &call->timer);
    return true;
}

static bool token_again(struct kube_call *call, const struct kube_answer *answer) {
    if (answer->status != 401 || answer->err.class || call->token_again)
        return false;
    call->token_again = true;
    kube_token_refused(call->client->token);
    call->client->transport->ops->renew(call->client->transport);
    wait_for_turn(call);
    return true;
}

static void on_answer(void *user, const struct kube_answer *answer) {
    struct kube_call *call = user;
    const struct kube_hooks *hooks = &call->client->options.hooks;
    struct kube_result result;
    json_t *document;
    call->transfer = NULL;
    if (hooks->exchanged)
        hooks->exchanged(hooks->user, kube_verb_name(call->verb), call->kind->plural, answer->status,
                         (double)(clock_mono_us() - call->begun_us) / 1e6);
    if (token_again(call, answer) || (kube_answer_passes(call, answer) && rest(call, answer->retry_after_ms)))
        return;
    kube_answer_read(call, answer, &result, &document);
    finish(call, &result, document);
}

static int on_event(void *user, const struct kube_event *event) {
    struct kube_call *call = user;
    int rc = call->on_event(call->user, event);
    return call->cancelled ? 1 : rc;
}

static int on_data(void *user, const char *data, size_t len, struct err *err) {
    struct kube_call *call = user;
    call->feeding = true;
    int rc = kube_lines_feed(&call->lines, data, len, on_event, call, err);
    call->feeding = false;
    if (call->cancelled)
        call_free(call);
    return rc;
}

static void run(struct kube_call *call) {
    struct kube_client *client = call->client;
    struct kube_exchange ask = {
        .method = kube_request_method(call->verb),
        .path = call->path,
        .content_type = kube_request_content_type(call->verb),
        .body = call->body,
        .body_len = call->body_len,
        .answer_max_bytes = client->options.answer_max_bytes,
        .done = on_answer,
        .user = call,
    };
    struct err err = {0};
    call->state = CALL_RUNS;
    call->begun_us = clock_mono_us();
    if (kube_token_get(client->token, &ask.token, &err) < 0) {
        finish_err(call, &err);
        return;
    }
    if (call->verb == KUBE_WATCH) {
        ask.on_data = on_data;
        ask.silence_ms = client->options.silence_ms;
    } else {
        int64_t left_ms = (call->deadline_us - call->begun_us) / 1000;
        ask.timeout_ms = left_ms > 1 ? (unsigned)left_ms : 1;
    }
    call->transfer = client->transport->ops->start(client->transport, &ask);
}

static struct kube_call *next_waiting(const struct kube_client *client) {
    for (struct kube_call *call = client->calls; call; call = call->next)
        if (call->state == CALL_WAITS)
            return call;
    return NULL;
}

/* One call at a time: finishing one may change the list. */
static void on_turn(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    struct kube_client *client = container_of(timer, struct kube_client, turn);
    struct kube_call *call = next_waiting(client);
    if (!call)
        return;
    if (!call->wrong.class) {
        int64_t now_us = clock_mono_us(), wait_us;
        if (call->deadline_us && now_us >= call->deadline_us)
            err_set(&call->wrong, ERR_TIMEOUT, "no turn within its time: the client-side rate limit holds it back");
        else if ((wait_us = kube_limit_take(&client->limit, now_us))) {
            wake(client, wait_us);
            return;
        }
    }
    wake(client, 0);
    if (call->wrong.class) {
        struct err wrong = call->wrong;
        finish_err(call, &wrong);
    } else
        run(call);
}

struct kube_call *kube_start(struct kube_client *client, const struct kube_op *op,
                             void (*done)(void *user, const struct kube_result *result), void *user) {
    struct kube_call *call = mem_alloc(sizeof(*call));
    unsigned timeout_ms = op->timeout_ms ? op->timeout_ms : TIMEOUT_MS;
    *call = (struct kube_call){.client = client, .done = done, .user = user};
    kube_request_build(call, op);
    kube_lines_init(&call->lines, client->options.line_max_bytes);
    ev_timer_init(&call->timer, on_rested, 0., 0.);
    if (op->verb != KUBE_WATCH)
        call->deadline_us = clock_mono_us() + (int64_t)timeout_ms * 1000;
    struct kube_call **end = &client->calls; /* first come, first served */
    while (*end)
        end = &(*end)->next;
    *end = call;
    wait_for_turn(call);
    return call;
}

void kube_cancel(struct kube_call *call) {
    if (!call)
        return;
    call->cancelled = true;
    if (!call->feeding)
        call_free(call);
}

int kube_client_new(const struct kube_client_options *options, struct kube_client **ret_client, struct err *err) {
    struct kube_transport *transport = options->transport;
    const char *agent = options->user_agent ? options->user_agent : KUBE_FIELD_MANAGER;
    if (!transport && kube_curl_new(options->ev, options->config, agent, &transport, err) < 0)
        return -1;
    struct kube_client *client = mem_alloc(sizeof(*client));
    client->options = *options;
    client->transport = transport;
    client->token = kube_token_new(options->config);
    struct kube_client_options *o = &client->options;
    o->silence_ms = o->silence_ms ? o->silence_ms : 150000;
    o->watch_s = o->watch_s ? o->watch_s : 300;
    o->answer_max_bytes = o->answer_max_bytes ? o->answer_max_bytes : 64 * MIB;
    o->line_max_bytes = o->line_max_bytes ? o->line_max_bytes : 4 * MIB;
    kube_limit_init(&client->limit, o->qps > 0 ? o->qps : 20, o->burst ? o->burst : 40, clock_mono_us());
    ev_timer_init(&client->turn, on_turn, 0., 0.);
    *ret_client = client;
    return 0;
}

void kube_client_free(struct kube_client *client) {
    if (!client)
        return;
    while (client->calls)
        call_free(client->calls);
    ev_timer_stop(client->options.ev, &client->turn);
    client->transport->ops->free(client->transport);
    kube_token_free(client->token);
    kube_forbidden_done(client);
    mem_free(client);
}
