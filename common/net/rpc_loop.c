/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/rpc_loop.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/net/rpc_int.h"

#define ROUNDS_MAX 4 /* before other watchers get their turn */

struct event {
    struct rpc_tag *tag;
    bool ok;
};

struct queue {
    struct event *event;
    size_t count, cap;
};

struct rpc_loop {
    struct ev_loop *ev;
    ev_async wake;
    grpc_completion_queue *cq;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    struct queue in; /* filled by the cq thread, under lock */
    struct queue out; /* drained by the loop's thread; swapped with `in` under lock */
    size_t next; /* of `out`; a handler may dispatch again, so the place is kept here */
};

/* --- set-up of the process --- */

/* Debian builds abseil with its lock-order check on: an inversion anywhere aborts the process, though nothing hangs. 0 = ignore.
 * Weak: with another abseil the name is not there, and the check is not either. */
extern void rpc_absl_deadlock_mode(int mode) __asm__("_ZN4absl7debian329SetMutexDeadlockDetectionModeENS0_15OnDeadlockCycleE")
    __attribute__((weak));

#define LOG_LINES_PER_MINUTE 6

/* Any port scan can make C-core write, so its lines above debug are few. */
static void core_log(int severity, const char *file, int line, const char *msg, size_t len) {
    static atomic_llong window;
    static atomic_uint lines;
    char text[512], where[128];
    snprintf(text, sizeof(text), "%.*s", (int)len, msg);
    snprintf(where, sizeof(where), "%s:%d", file, line);
    enum log_level level = LOG_DEBUG;
    if (severity >= 2) {
        long long minute = clock_mono_us() / CLOCK_MINUTE;
        if (atomic_exchange(&window, minute) != minute)
            atomic_store(&lines, 0);
        if (atomic_fetch_add(&lines, 1) < LOG_LINES_PER_MINUTE)
            level = LOG_WARN;
    }
    log_event(level, "grpc core", "at", where, "text", text, NULL);
}

#if defined(RPC_OLD_LOG)
static void core_log_old(gpr_log_func_args *a) {
    core_log(a->severity == GPR_LOG_SEVERITY_ERROR ? 2 : 0, a->file, a->line, a->message, strlen(a->message));
}
#endif

static void setup_log(void) {
#if defined(RPC_OLD_LOG)
    gpr_set_log_function(core_log_old);
#elif defined(GRPC_COMPAT_LOG_SHIM)
    grpc_shim_set_log(core_log, 2);
#else
    setenv("GRPC_VERBOSITY", "NONE", 0); /* nobody can take its lines over from C */
    (void)core_log;
#endif
}

void rpc_setup(void) {
    static bool done;
    if (done)
        return;
    done = true;
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    signal(SIGPIPE, SIG_IGN);
    if (rpc_absl_deadlock_mode)
        rpc_absl_deadlock_mode(0);
#if !defined(RPC_OLD_LOG)
    setenv("GRPC_EXPERIMENTS", "-event_engine_listener", 0); /* halves the CPU of many small messages */
#endif
    setup_log();
}

const char *rpc_core_version(void) {
    return grpc_version_string();
}

/* --- the loop --- */

/* True when the queue was empty: only then the other side needs to be woken. */
static bool queue_put(struct rpc_loop *loop, const grpc_event *e) {
    pthread_mutex_lock(&loop->lock);
    bool was_empty = !loop->in.count;
    loop->in.event = mem_grow(loop->in.event, &loop->in.cap, loop->in.count + 1, sizeof(struct event));
    loop->in.event[loop->in.count++] = (struct event){e->tag, e->success != 0};
    pthread_cond_signal(&loop->ready);
    pthread_mutex_unlock(&loop->lock);
    return was_empty;
}

static void *cq_main(void *arg) {
    struct rpc_loop *loop = arg;
    pthread_setname_np(pthread_self(), "rpc-cq");
    for (;;) {
        grpc_event e = grpc_completion_queue_next(loop->cq, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (e.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        if (e.type == GRPC_OP_COMPLETE && queue_put(loop, &e))
            ev_async_send(loop->ev, &loop->wake);
    }
}

/* Makes `out` non-empty if anything has come. */
static bool queue_swap(struct rpc_loop *loop, bool wait) {
    if (loop->next < loop->out.count)
        return true;
    loop->out.count = loop->next = 0;
    pthread_mutex_lock(&loop->lock);
    while (wait && !loop->in.count)
        pthread_cond_wait(&loop->ready, &loop->lock);
    struct queue filled = loop->in;
    loop->in = loop->out;
    loop->out = filled;
    pthread_mutex_unlock(&loop->lock);
    return loop->out.count > 0;
}

static void dispatch_one(struct rpc_loop *loop) {
    struct event e = loop->out.event[loop->next++];
    e.tag->fn(e.tag, e.ok);
}

static void on_wake(struct ev_loop *ev, ev_async *w, int revents) {
    (void)revents;
    struct rpc_loop *loop = w->data;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        if (!queue_swap(loop, false))
            return;
        while (loop->next < loop->out.count)
            dispatch_one(loop);
    }
    ev_async_send(ev, w);
}

void rpc_loop_pump(struct rpc_loop *loop, const bool *flag) {
    while (!*flag && queue_swap(loop, true))
        dispatch_one(loop);
}

struct rpc_loop *rpc_loop_new(struct ev_loop *ev) {
    rpc_setup();
    struct rpc_loop *loop = mem_alloc(sizeof(*loop));
    loop->ev = ev;
    pthread_mutex_init(&loop->lock, NULL);
    pthread_cond_init(&loop->ready, NULL);
    ev_async_init(&loop->wake, on_wake);
    loop->wake.data = loop;
    ev_async_start(ev, &loop->wake);
    ev_unref(ev); /* this watcher alone is no reason to go on */
    /* C-core's threads inherit the mask: signals are for the main thread */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    grpc_init();
    loop->cq = grpc_completion_queue_create_for_next(NULL);
    int rc = pthread_create(&loop->thread, NULL, cq_main, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc) {
        fprintf(stderr, "cannot start a thread: %s\n", strerror(rc));
        abort(); /* as for memory: nothing works without it, and the journal brings the next start on */
    }
    return loop;
}

void rpc_loop_free(struct rpc_loop *loop) {
    if (!loop)
        return;
    grpc_completion_queue_shutdown(loop->cq);
    pthread_join(loop->thread, NULL);
    while (queue_swap(loop, false))
        dispatch_one(loop);
    grpc_completion_queue_destroy(loop->cq);
    ev_ref(loop->ev);
    ev_async_stop(loop->ev, &loop->wake);
    grpc_shutdown();
    mem_free(loop->in.event);
    mem_free(loop->out.event);
    pthread_cond_destroy(&loop->ready);
    pthread_mutex_destroy(&loop->lock);
    mem_free(loop);
}

struct ev_loop *rpc_loop_ev(struct rpc_loop *loop) {
    return loop->ev;
}

grpc_completion_queue *rpc_loop_cq(struct rpc_loop *loop) {
    return loop->cq;
}

/* --- channel arguments --- */

void rpc_args_init(struct rpc_args *a) {
    memset(a, 0, sizeof(*a));
    a->args.args = a->list;
}

static grpc_arg *arg_add(struct rpc_args *a, const char *key) {
    if (a->args.num_args == RPC_ARGS_MAX)
        abort();
    grpc_arg *arg = &a->list[a->args.num_args++];
    arg->key = (char *)(uintptr_t)key; /* C-core copies it */
    return arg;
}

void rpc_args_int(struct rpc_args *a, const char *key, int value) {
    grpc_arg *arg = arg_add(a, key);
    arg->type = GRPC_ARG_INTEGER;
    arg->value.integer = value;
}

void rpc_args_text(struct rpc_args *a, const char *key, const char *value) {
    grpc_arg *arg = arg_add(a, key);
    arg->type = GRPC_ARG_STRING;
    arg->value.string = (char *)(uintptr_t)value;
}

static void *pointer_copy(void *p) {
    return p;
}
static void pointer_destroy(void *p) {
    (void)p;
}
static int pointer_cmp(void *a, void *b) {
    return (a > b) - (a < b);
}

void rpc_args_pointer(struct rpc_args *a, const char *key, void *value) {
    static const grpc_arg_pointer_vtable plain = {pointer_copy, pointer_destroy, pointer_cmp};
    grpc_arg *arg = arg_add(a, key);
    arg->type = GRPC_ARG_POINTER;
    arg->value.pointer.p = value;
    arg->value.pointer.vtable = &plain;
}
