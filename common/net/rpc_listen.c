/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/rpc_listen.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/str.h"

#define SOCKETS_MAX 8
#define ACCEPTS_PER_EVENT 16
#define RETRY_S 0.1
/* Descriptors that connections must leave for files, SQL Server and the store. */
#define DESCRIPTORS_KEPT 32

/* C-core's acceptor is a C++ object with three virtual functions: two destructors and Handle(listener_fd, fd, pending). Its
 * class (grpc_core::TcpServerFdHandler) has been this since 2019 and is the same in 1.51 and 1.85; the layout of the table is
 * the Itanium C++ ABI's, which is the only one on Linux. */
struct core_handler {
    const struct core_handler_vtable *vtable;
};
struct core_handler_vtable {
    void (*destroy)(struct core_handler *self);
    void (*destroy_and_free)(struct core_handler *self);
    void (*handle)(struct core_handler *self, int listener_fd, int fd, grpc_byte_buffer *pending);
};

/* A descriptor number is used again; the pair of number and inode is the connection. */
struct conn {
    int fd;
    ino_t inode;
};

struct rpc_gate {
    struct conn *conn;
    unsigned count, max;
    int reserve;  /* given up to accept and close one connection when there are no descriptors */
    bool starved; /* the last accept found none */
    uint64_t accepted, refused;
};

struct listen_socket {
    struct rpc_listener *listener;
    ev_io io;
    ev_timer retry;
    char *path;
    dev_t device; /* of the socket file, to remove only our own */
    ino_t inode;
};

struct rpc_listener {
    struct ev_loop *ev;
    struct rpc_gate *gate;
    char *name;
    struct core_handler *handler; /* filled by C-core when the port is added */
    struct listen_socket socket[SOCKETS_MAX];
    unsigned sockets;
};

/* --- gate --- */

static int reserve_open(void) {
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct rpc_gate *rpc_gate_new(unsigned max_connections) {
    struct rpc_gate *gate = mem_alloc(sizeof(*gate));
    gate->conn = mem_array(max_connections, sizeof(*gate->conn));
    gate->max = max_connections;
    gate->reserve = reserve_open();
    return gate;
}

void rpc_gate_free(struct rpc_gate *gate) {
    if (!gate)
        return;
    if (gate->reserve >= 0)
        close(gate->reserve);
    mem_free(gate->conn);
    mem_free(gate);
}

/* C-core closes connections without telling: look which are left. */
unsigned rpc_gate_connections(struct rpc_gate *gate) {
    for (unsigned i = 0; i < gate->count;) {
        struct stat st;
        if (fstat(gate->conn[i].fd, &st) < 0 || st.st_ino != gate->conn[i].inode)
            gate->conn[i] = gate->conn[--gate->count];
        else
            i++;
    }
    return gate->count;
}

void rpc_gate_counts(const struct rpc_gate *gate, uint64_t *ret_accepted, uint64_t *ret_refused, bool *ret_starved) {
    *ret_accepted = gate->accepted;
    *ret_refused = gate->refused;
    *ret_starved = gate->starved;
}

/* Is there room for this new connection? */
static bool gate_admit(struct rpc_gate *gate, int fd) {
    struct rlimit limit;
    struct stat st;
    bool few = !getrlimit(RLIMIT_NOFILE, &limit) && (rlim_t)fd + DESCRIPTORS_KEPT >= limit.rlim_cur;
    if (few != gate->starved)
        log_event(few ? LOG_WARN : LOG_INFO, few ? "grpc: few descriptors are left, connections are refused" : "grpc: connections are accepted again",
                  NULL);
    gate->starved = few;
    if (few || (gate->count >= gate->max && rpc_gate_connections(gate) >= gate->max) || fstat(fd, &st) < 0)
        return false;
    gate->conn[gate->count++] = (struct conn){fd, st.st_ino};
    return true;
}

/* --- accepting --- */

static void hand_over(struct listen_socket *s, int fd) {
    struct rpc_listener *l = s->listener;
    if (!gate_admit(l->gate, fd)) {
        l->gate->refused++;
        close(fd); /* at once: a peer that is told can go elsewhere, one in the backlog waits */
        return;
    }
    l->gate->accepted++;
    if (!s->path)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    l->handler->vtable->handle(l->handler, s->io.fd, fd, NULL);
}

/* Without descriptors the listener stays readable for ever. The reserve takes one connection out of the backlog. */
static void refuse_one(struct listen_socket *s) {
    struct rpc_gate *gate = s->listener->gate;
    if (!gate->starved)
        log_event(LOG_WARN, "grpc: no descriptors are left, connections are refused", NULL);
    gate->starved = true;
    if (gate->reserve >= 0) {
        close(gate->reserve);
        int fd = accept4(s->io.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            gate->refused++;
            close(fd);
        }
        gate->reserve = reserve_open();
    }
    /* somebody else may have taken the descriptor: do not spin */
    ev_io_stop(s->listener->ev, &s->io);
    ev_timer_set(&s->retry, RETRY_S, 0);
    ev_timer_start(s->listener->ev, &s->retry);
}

static void on_readable(struct ev_loop *ev, ev_io *w, int revents) {
    (void)ev, (void)revents;
    struct listen_socket *s = w->data;
    for (int i = 0; i < ACCEPTS_PER_EVENT; i++) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            hand_over(s, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            refuse_one(s);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR && errno != EPROTO) {
            return;
        }
    }
}

static void on_retry(struct ev_loop *ev, ev_timer *w, int revents) {
    (void)revents;
    struct listen_socket *s = w->data;
    if (s->listener->gate->reserve < 0)
        s->listener->gate->reserve = reserve_open();
    ev_io_start(ev, &s->io);
}

/* --- life --- */

struct rpc_listener *rpc_listener_new(struct ev_loop *ev, struct rpc_gate *gate, const char *name) {
    struct rpc_listener *l = mem_alloc(sizeof(*l));
    l->ev = ev;
    l->gate = gate;
    l->name = mem_strdup(name);
    return l;
}

void rpc_listener_args(struct rpc_listener *l, struct rpc_args *args) {
    rpc_args_pointer(args, l->name, &l->handler);
}

int rpc_listener_attach(struct rpc_listener *l, grpc_server *server, grpc_server_credentials *creds, struct err *err) {
    (void)grpc_server_add_http2_port(server, l->name, creds); /* 0: there is no port */
    if (!l->handler)
        return err_set(err, ERR_INTERNAL, "gRPC core %s does not take connections from outside", grpc_version_string());
    return 0;
}

void rpc_listener_add(struct rpc_listener *l, int fd, const char *path) {
    if (l->sockets == SOCKETS_MAX) { /* rpc_server_new() checked the number */
        close(fd);
        return;
    }
    struct listen_socket *s = &l->socket[l->sockets++];
    struct stat st;
    s->listener = l;
    if (path && !stat(path, &st)) {
        s->path = mem_strdup(path);
        s->device = st.st_dev;
        s->inode = st.st_ino;
    }
    ev_io_init(&s->io, on_readable, fd, EV_READ);
    ev_timer_init(&s->retry, on_retry, RETRY_S, 0);
    s->io.data = s->retry.data = s;
    ev_io_start(l->ev, &s->io);
}

void rpc_listener_close(struct rpc_listener *l) {
    for (unsigned i = 0; i < l->sockets; i++) {
        struct listen_socket *s = &l->socket[i];
        struct stat st;
        ev_io_stop(l->ev, &s->io);
        ev_timer_stop(l->ev, &s->retry);
        if (s->path && !stat(s->path, &st) && st.st_dev == s->device && st.st_ino == s->inode)
            unlink(s->path);
        close(s->io.fd);
        mem_free(s->path);
    }
    l->sockets = 0;
}

void rpc_listener_free(struct rpc_listener *l) {
    if (!l)
        return;
    rpc_listener_close(l);
    mem_free(l->name); /* the handler is C-core's */
    mem_free(l);
}
