/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/accept.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"

#define ACCEPTS_PER_EVENT 16
#define RETRY_S 0.1

struct acceptor {
    struct ev_loop *ev;
    ev_io io;
    ev_timer retry;
    int reserve;
    unsigned kept;
    const char *what;
    bool (*take)(void *user, int fd);
    void *user;
    struct acceptor_stats stats;
};

static int reserve_open(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Said when it changes, not for each connection. */
static void set_starved(struct acceptor *a, bool starved) {
    if (starved != a->stats.starved)
        log_event(starved ? LOG_WARN : LOG_INFO,
                  starved ? "descriptors run out, connections are refused" : "connections are accepted again", "server", a->what,
                  NULL);
    a->stats.starved = starved;
}

/* The kernel gives the lowest free number: a high one says that few are left. */
static bool few_left(const struct acceptor *a, int fd) {
    struct rlimit limit;
    return !getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)fd + a->kept >= limit.rlim_cur;
}

static void hand_over(struct acceptor *a, int fd) {
    set_starved(a, few_left(a, fd));
    if (!a->stats.starved && a->take(a->user, fd)) {
        a->stats.accepted++;
    } else {
        a->stats.refused++;
        close(fd); /* at once: a peer that is told can go elsewhere, one in the backlog waits */
    }
}

/* Without descriptors the listener stays readable for ever. The reserve takes one connection out of the backlog. */
static void refuse_one(struct acceptor *a) {
    set_starved(a, true);
    if (a->reserve >= 0) {
        close(a->reserve);
        int fd = accept4(a->io.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            a->stats.refused++;
            close(fd);
        }
        a->reserve = reserve_open();
    }
    /* somebody else may have taken the descriptor: do not spin */
    ev_io_stop(a->ev, &a->io);
    ev_timer_set(&a->retry, RETRY_S, 0);
    ev_timer_start(a->ev, &a->retry);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents) {
    (void)ev, (void)revents;
    struct acceptor *a = w->data;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            hand_over(a, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            refuse_one(a);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
            return;
        }
    }
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int revents) {
    (void)revents;
    struct acceptor *a = w->data;
    if (a->reserve < 0)
        a->reserve = reserve_open();
    ev_io_start(ev, &a->io);
}

struct acceptor *acceptor_new(struct ev_loop *ev, int listen_fd, unsigned kept, const char *what,
                              bool (*take)(void *user, int fd), void *user) {
    struct acceptor *a = mem_alloc(sizeof(*a));
    a->ev = ev;
    a->kept = kept;
    a->what = what;
    a->take = take;
    a->user = user;
    a->reserve = reserve_open();
    ev_io_init(&a->io, on_readable, listen_fd, EV_READ);
    ev_timer_init(&a->retry, on_retry, RETRY_S, 0);
    a->io.data = a->retry.data = a;
    ev_io_start(ev, &a->io);
    return a;
}

void acceptor_free(struct acceptor *a) {
    if (!a)
        return;
    ev_io_stop(a->ev, &a->io);
    ev_timer_stop(a->ev, &a->retry);
    close(a->io.fd);
    if (a->reserve >= 0)
        close(a->reserve);
    mem_free(a);
}

int acceptor_fd(const struct acceptor *a) {
    return a->io.fd;
}

void acceptor_get_stats(const struct acceptor *a, struct acceptor_stats *ret_stats) {
    *ret_stats = a->stats;
}
