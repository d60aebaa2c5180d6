/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/restore/handoff.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "common/base/mem.h"

#define LOOK_MS 100 /* how often a waiting worker looks at its cancel flag */

struct handoff_call {
    struct handoff *handoff;
    handoff_fn *fn;
    void *arg;
    struct handoff_call *next;
    /* under the lock */
    bool must; /* cancel ends the waiting only when fn has run */
    bool running, ran, ended, abandoned; /* running: fn is at work and may look at arg */
    struct err err;
};

struct handoff {
    struct ev_loop *loop;
    ev_async wake;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct handoff_call *waiting; /* not begun, newest first; under the lock */
    struct handoff_call *begun; /* not ended; under the lock */
    bool stopping;
};

/* Oldest first. */
static struct handoff_call *take_all(struct handoff *h) {
    struct handoff_call *all = NULL;
    pthread_mutex_lock(&h->lock);
    while (h->waiting) {
        struct handoff_call *call = h->waiting;
        h->waiting = call->next;
        call->next = all;
        all = call;
    }
    pthread_mutex_unlock(&h->lock);
    return all;
}

/* Takes it out of the list of those that are begun. */
static void unlist(struct handoff *h, struct handoff_call *call) {
    for (struct handoff_call **p = &h->begun; *p; p = &(*p)->next)
        if (*p == call) {
            *p = call->next;
            return;
        }
}

static void begin(struct handoff *h, struct handoff_call *call) {
    pthread_mutex_lock(&h->lock);
    bool gone = call->abandoned;
    if (!gone) {
        call->running = true;
        call->next = h->begun;
        h->begun = call;
    }
    pthread_mutex_unlock(&h->lock);
    if (gone) {
        mem_free(call);
        return;
    }
    call->fn(call, call->arg); /* the worker stays while it is running: arg is there, and so is the call */
    pthread_mutex_lock(&h->lock);
    call->running = false;
    call->ran = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void on_wake(struct ev_loop *loop, ev_async *w, int events) {
    (void)loop, (void)events;
    struct handoff *h = w->data;
    for (struct handoff_call *call = take_all(h), *next; call; call = next) {
        next = call->next;
        begin(h, call);
    }
}

struct handoff *handoff_new(struct ev_loop *loop) {
    struct handoff *h = mem_alloc(sizeof(*h));
    h->loop = loop;
    pthread_mutex_init(&h->lock, NULL);
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&h->changed, &attr);
    pthread_condattr_destroy(&attr);
    ev_async_init(&h->wake, on_wake);
    h->wake.data = h;
    ev_async_start(loop, &h->wake);
    return h;
}

void handoff_stop(struct handoff *h) {
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

void handoff_free(struct handoff *h) {
    if (!h)
        return;
    ev_async_stop(h->loop, &h->wake);
    for (struct handoff_call *call = take_all(h), *next; call; call = next) {
        next = call->next;
        mem_free(call);
    }
    while (h->begun) { /* nobody ended them, and their workers gave up */
        struct handoff_call *call = h->begun;
        h->begun = call->next;
        mem_free(call);
    }
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    mem_free(h);
}

static void wait_a_moment(struct handoff *h) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&h->changed, &h->lock, &until);
}

static bool may_leave(const struct handoff_call *call, const atomic_bool *cancel) {
    return call->handoff->stopping || (cancel && atomic_load(cancel) && (call->ran || !call->must));
}

static int run(struct handoff *h, bool must, handoff_fn *fn, void *arg, const atomic_bool *cancel, struct err *err) {
    struct handoff_call *call = mem_alloc(sizeof(*call));
    *call = (struct handoff_call){.handoff = h, .must = must, .fn = fn, .arg = arg};
    pthread_mutex_lock(&h->lock);
    call->next = h->waiting;
    h->waiting = call;
    ev_async_send(h->loop, &h->wake);
    while (call->running || (!call->ended && !may_leave(call, cancel)))
        wait_a_moment(h);
    struct err result = call->err;
    bool ended = call->ended;
    call->abandoned = !ended;
    pthread_mutex_unlock(&h->lock);
    if (!ended) /* whoever ends it, or finds it not begun, frees it */
        return err_set(err, ERR_CANCELLED, h->stopping ? "the sidecar is stopping" : "cancelled");
    mem_free(call);
    if (result.class == ERR_NONE)
        return 0;
    err_copy(err, &result);
    return -1;
}

int handoff_run(struct handoff *h, handoff_fn *fn, void *arg, const atomic_bool *cancel, struct err *err) {
    return run(h, false, fn, arg, cancel, err);
}

int handoff_must(struct handoff *h, handoff_fn *fn, void *arg, const atomic_bool *cancel, struct err *err) {
    return run(h, true, fn, arg, cancel, err);
}

void handoff_end(struct handoff_call *call, const struct err *err) {
    struct handoff *h = call->handoff;
    pthread_mutex_lock(&h->lock);
    bool abandoned = call->abandoned;
    unlist(h, call);
    call->err = *err;
    call->ended = true;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
    if (abandoned)
        mem_free(call);
}
