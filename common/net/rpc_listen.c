/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/rpc_listen.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

#define SOCKETS_MAX 8
/* Descriptors that gRPC's connections must leave for files, SQL Server, the store and probes. */
#define DESCRIPTORS_KEPT 32

/* C-core's acceptor is a C++ object with three virtual functions: two destructors and Handle(listener_fd, fd, pending). Its
 * class (grpc_core::TcpServerFdHandler) has been this since 2019 and is the same in 1.51 and 1.85; the layout of the table is
 * the Itanium C++ ABI's, which is the only one on Linux. C-core owns the object. */
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
};

struct listen_socket {
    struct rpc_listener *listener;
    struct acceptor *acceptor;
    char *path; /* of a Unix socket */
    dev_t device; /* of its file, to remove only our own */
    ino_t inode;
};

struct rpc_listener {
    struct ev_loop *ev;
    struct rpc_gate *gate;
    char *name;
    struct core_handler *handler; /* filled by C-core when the port is added */
    struct listen_socket socket[SOCKETS_MAX];
    unsigned sockets;
    struct acceptor_stats past; /* of sockets that were closed */
};

/* --- gate --- */

struct rpc_gate *rpc_gate_new(unsigned max_connections) {
    struct rpc_gate *gate = mem_alloc(sizeof(*gate));
    gate->conn = mem_array(max_connections, sizeof(*gate->conn));
    gate->max = max_connections;
    return gate;
}

void rpc_gate_free(struct rpc_gate *gate) {
    if (!gate)
        return;
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

static bool gate_admit(struct rpc_gate *gate, int fd) {
    struct stat st;
    if ((gate->count >= gate->max && rpc_gate_connections(gate) >= gate->max) || fstat(fd, &st) < 0)
        return false;
    gate->conn[gate->count++] = (struct conn){fd, st.st_ino};
    return true;
}

static bool take_connection(void *user, int fd) {
    struct listen_socket *s = user;
    struct rpc_listener *l = s->listener;
    if (!gate_admit(l->gate, fd))
        return false;
    if (!s->path)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    l->handler->vtable->handle(l->handler, acceptor_fd(s->acceptor), fd, NULL);
    return true;
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
    *s = (struct listen_socket){.listener = l};
    if (path && !stat(path, &st)) {
        s->path = mem_strdup(path);
        s->device = st.st_dev;
        s->inode = st.st_ino;
    }
    s->acceptor = acceptor_new(l->ev, fd, DESCRIPTORS_KEPT, "grpc", take_connection, s);
}

static void stats_add(struct acceptor_stats *sum, const struct acceptor_stats *add) {
    sum->accepted += add->accepted;
    sum->refused += add->refused;
    sum->starved |= add->starved;
}

void rpc_listener_add_stats(const struct rpc_listener *l, struct acceptor_stats *stats) {
    stats_add(stats, &l->past);
    for (unsigned i = 0; i < l->sockets; i++) {
        struct acceptor_stats one;
        acceptor_get_stats(l->socket[i].acceptor, &one);
        stats_add(stats, &one);
    }
}

void rpc_listener_close(struct rpc_listener *l) {
    struct acceptor_stats sum = {0};
    rpc_listener_add_stats(l, &sum);
    l->past = sum;
    for (unsigned i = 0; i < l->sockets; i++) {
        struct listen_socket *s = &l->socket[i];
        struct stat st;
        if (s->path && !stat(s->path, &st) && st.st_dev == s->device && st.st_ino == s->inode)
            unlink(s->path);
        acceptor_free(s->acceptor);
        mem_free(s->path);
    }
    l->sockets = 0;
}

void rpc_listener_free(struct rpc_listener *l) {
    if (!l)
        return;
    rpc_listener_close(l);
    mem_free(l->name);
    mem_free(l);
}
