/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"
#include "controller/kube/curl_int.h"

#define CONNECTIONS_MAX 32
#define STREAMS_MAX 250

struct pool_socket {
    ev_io io;
    struct kube_pool *pool;
};

static void take_ended(struct kube_pool *pool) {
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(pool->multi, &left))) {
        char *transfer = NULL;
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &transfer);
        kube_curl_ended((struct kube_transfer *)(void *)transfer, code);
    }
}

static void on_socket(struct ev_loop *ev, ev_io *io, int events) {
    (void)ev;
    int running;
    struct kube_pool *pool = container_of(io, struct pool_socket, io)->pool; /* the socket may be gone after the call */
    curl_multi_socket_action(pool->multi, io->fd,
                             ((events & EV_READ) ? CURL_CSELECT_IN : 0) | ((events & EV_WRITE) ? CURL_CSELECT_OUT : 0), &running);
    take_ended(pool);
}

static void on_timer(struct ev_loop *ev, ev_timer *timer, int events) {
    (void)events;
    int running;
    struct kube_pool *pool = container_of(timer, struct kube_pool, timer);
    ev_timer_stop(ev, timer);
    curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_ended(pool);
}

static int set_timer(CURLM *multi, long timeout_ms, void *user) {
    struct kube_pool *pool = user;
    struct ev_loop *ev = pool->owner->ev;
    (void)multi;
    ev_timer_stop(ev, &pool->timer);
    if (timeout_ms >= 0) {
        ev_now_update(ev);
        ev_timer_set(&pool->timer, (double)timeout_ms / 1e3, 0.);
        ev_timer_start(ev, &pool->timer);
    }
    return 0;
}

static int set_socket(CURL *easy, curl_socket_t fd, int what, void *user, void *socket_user) {
    struct kube_pool *pool = user;
    struct ev_loop *ev = pool->owner->ev;
    struct pool_socket *s = socket_user;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s) {
            ev_io_stop(ev, &s->io);
            mem_free(s);
            curl_multi_assign(pool->multi, fd, NULL);
        }
        return 0;
    }
    int events = ((what & CURL_POLL_IN) ? EV_READ : 0) | ((what & CURL_POLL_OUT) ? EV_WRITE : 0);
    if (!s) {
        s = mem_alloc(sizeof(*s));
        s->pool = pool;
        ev_io_init(&s->io, on_socket, fd, events);
        curl_multi_assign(pool->multi, fd, s);
    } else {
        ev_io_stop(ev, &s->io);
        ev_io_set(&s->io, fd, events);
    }
    ev_io_start(ev, &s->io);
    return 0;
}

struct kube_pool *kube_pool_current(struct kube_curl *curl) {
    if (curl->pools && !curl->pools->retired)
        return curl->pools;
    CURLM *multi = curl_multi_init();
    if (!multi)
        return NULL;
    struct kube_pool *pool = mem_alloc(sizeof(*pool));
    *pool = (struct kube_pool){.owner = curl, .multi = multi, .next = curl->pools};
    curl->pools = pool;
    ev_timer_init(&pool->timer, on_timer, 0., 0.);
    curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, set_socket);
    curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, pool);
    curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(multi, CURLMOPT_TIMERDATA, pool);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(multi, CURLMOPT_MAX_HOST_CONNECTIONS, (long)CONNECTIONS_MAX);
    curl_multi_setopt(multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS_MAX);
    return pool;
}

void kube_pool_free(struct kube_pool *pool) {
    curl_multi_cleanup(pool->multi); /* removes its sockets */
    ev_timer_stop(pool->owner->ev, &pool->timer);
    mem_free(pool);
}
