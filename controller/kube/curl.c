/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/curl_int.h"

static void kick(struct kube_curl *curl) {
    if (!ev_is_active(&curl->kick)) {
        ev_timer_set(&curl->kick, 0., 0.);
        ev_timer_start(curl->ev, &curl->kick);
    }
}

static void transfer_free(struct kube_transfer *t) {
    struct kube_curl *curl = t->owner;
    struct kube_transfer **at = &curl->transfers;
    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
    ev_timer_stop(curl->ev, &t->silence);
    if (t->pool) {
        curl_multi_remove_handle(t->pool->multi, t->easy);
        if (!--t->pool->transfers && t->pool->retired)
            kick(curl);
    }
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    secret_free(t->token);
    buf_done(&t->answer);
    mem_free(t->path);
    mem_free(t->method);
    mem_free(t->content_type);
    mem_free(t->body);
    mem_free(t);
}

static void finish(struct kube_transfer *t, const struct kube_answer *answer) {
    if (!t->cancelled)
        t->ask.done(t->ask.user, answer);
    transfer_free(t);
}

static void fail(struct kube_transfer *t, enum err_class class, bool sent, const char *text) {
    struct kube_answer answer = {.body = "", .retry_after_ms = -1, .sent = sent};
    err_set(&answer.err, class, "API server %s: %s", t->owner->config->server, text);
    finish(t, &answer);
}

size_t kube_curl_data(char *data, size_t size, size_t count, void *user) {
    struct kube_transfer *t = user;
    size_t len = size * count;
    long status = 0;
    if (t->cancelled || t->stopped)
        return 0;
    if (t->ask.silence_ms)
        ev_timer_again(t->owner->ev, &t->silence);
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    if (t->ask.on_data && status >= 200 && status < 300) {
        int rc = t->ask.on_data(t->ask.user, data, len, &t->err);
        t->stopped = rc != 0;
        return rc ? 0 : len;
    }
    if (buf_append(&t->answer, data, len))
        return len;
    t->stopped = true;
    err_set(&t->err, ERR_LIMIT, "answer is longer than %zu bytes", t->answer.max);
    return 0;
}

/* What libcurl means. Before the request was on its way it cannot have had an effect. */
static enum err_class class_of(CURLcode code, bool *ret_sent) {
    *ret_sent = false;
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
        return ERR_CONNECT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return ERR_CRYPTO;
    case CURLE_OUT_OF_MEMORY:
        return ERR_LIMIT;
    default:
        *ret_sent = true;
        return code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_CONNECT;
    }
}

void kube_curl_ended(struct kube_transfer *t, CURLcode code) {
    long status = 0;
    curl_off_t retry_s = 0, connected = 0;
    struct kube_answer answer = {.body = t->answer.data ? t->answer.data : "", .len = t->answer.len, .sent = true};
    curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(t->easy, CURLINFO_RETRY_AFTER, &retry_s);
    answer.status = (unsigned)status;
    answer.retry_after_ms = retry_s > 0 ? (int64_t)retry_s * 1000 : -1;
    if (t->stopped)
        answer.err = t->err;
    else if (code != CURLE_OK) {
        enum err_class class = class_of(code, &answer.sent);
        curl_easy_getinfo(t->easy, CURLINFO_PRETRANSFER_TIME_T, &connected);
        if (!connected)
            answer.sent = false;
        if (class == ERR_TIMEOUT)
            t->pool->retired = true;
        err_set(&answer.err, class, "API server %s: %s", t->owner->config->server,
                t->message[0] ? t->message : curl_easy_strerror(code));
    }
    finish(t, &answer);
}

static void on_silence(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    struct kube_transfer *t = container_of(timer, struct kube_transfer, silence);
    t->pool->retired = true;
    fail(t, ERR_TIMEOUT, true, "nothing came for too long");
}

static void begin(struct kube_transfer *t) {
    struct kube_curl *curl = t->owner;
    struct kube_pool *pool = kube_pool_current(curl);
    t->easy = curl_easy_init();
    if (!pool || !t->easy || !kube_curl_setup(t) || curl_multi_add_handle(pool->multi, t->easy) != CURLM_OK) {
        fail(t, ERR_LIMIT, false, "libcurl refuses a request");
        return;
    }
    t->pool = pool;
    pool->transfers++;
    if (t->ask.silence_ms) {
        t->silence.repeat = t->ask.silence_ms / 1e3;
        ev_timer_again(curl->ev, &t->silence);
    }
}

static struct kube_transfer *next_to_do(struct kube_curl *curl) {
    for (struct kube_transfer *t = curl->transfers; t; t = t->next)
        if (t->cancelled || !t->pool)
            return t;
    return NULL;
}

static void on_kick(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)ev, (void)events;
    struct kube_curl *curl = container_of(timer, struct kube_curl, kick);
    struct kube_transfer *t;
    while ((t = next_to_do(curl))) {
        if (t->cancelled)
            transfer_free(t);
        else
            begin(t);
    }
    for (struct kube_pool **at = &curl->pools; *at;) {
        struct kube_pool *pool = *at;
        if (pool->retired && !pool->transfers) {
            *at = pool->next;
            kube_pool_free(pool);
        } else
            at = &pool->next;
    }
}

static struct kube_transfer *curl_start(struct kube_transport *transport, const struct kube_exchange *ask) {
    struct kube_curl *curl = container_of(transport, struct kube_curl, base);
    struct kube_transfer *t = mem_alloc(sizeof(*t));
    t->owner = curl;
    t->ask = *ask;
    t->path = mem_strdup(ask->path);
    t->method = mem_strdup(ask->method);
    t->content_type = ask->content_type ? mem_strdup(ask->content_type) : NULL;
    t->body = ask->content_type ? mem_strndup(ask->body, ask->body_len) : NULL;
    t->token = ask->token ? secret_new(ask->token, strlen(ask->token)) : NULL;
    t->ask.path = t->ask.method = t->ask.content_type = t->ask.body = t->ask.token = NULL;
    buf_init(&t->answer, ask->answer_max_bytes);
    ev_timer_init(&t->silence, on_silence, 0., 0.);
    struct kube_transfer **end = &curl->transfers; /* they begin in the order in which they were asked for */
    while (*end)
        end = &(*end)->next;
    *end = t;
    kick(curl);
    return t;
}

static void curl_cancel(struct kube_transfer *t) {
    t->cancelled = true;
    ev_timer_stop(t->owner->ev, &t->silence);
    kick(t->owner);
}

static void curl_renew(struct kube_transport *transport) {
    struct kube_curl *curl = container_of(transport, struct kube_curl, base);
    if (curl->pools)
        curl->pools->retired = true;
    kick(curl);
}

static void curl_free_all(struct kube_transport *transport) {
    struct kube_curl *curl = container_of(transport, struct kube_curl, base);
    while (curl->transfers)
        transfer_free(curl->transfers);
    while (curl->pools) {
        struct kube_pool *pool = curl->pools;
        curl->pools = pool->next;
        kube_pool_free(pool);
    }
    ev_timer_stop(curl->ev, &curl->kick);
    curl_slist_free_all(curl->connect_to);
    mem_free(curl->url);
    mem_free(curl->user_agent);
    mem_free(curl);
    curl_global_cleanup();
}

int kube_curl_new(struct ev_loop *ev, const struct kube_config *config, const char *user_agent,
                  struct kube_transport **ret_transport, struct err *err) {
    static const struct kube_transport_ops ops = {
        .start = curl_start, .cancel = curl_cancel, .renew = curl_renew, .free = curl_free_all};
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return err_set(err, ERR_INTERNAL, "libcurl does not start");
    struct kube_curl *curl = mem_alloc(sizeof(*curl));
    *curl = (struct kube_curl){.base.ops = &ops, .ev = ev, .config = config, .user_agent = mem_strdup(user_agent)};
    ev_timer_init(&curl->kick, on_kick, 0., 0.);
    if (kube_curl_address(curl, err) < 0) {
        curl_free_all(&curl->base);
        return -1;
    }
    *ret_transport = &curl->base;
    return 0;
}
