/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting connections on the event loop, also when descriptors run out: then connections are taken out of the backlog and
 * closed (a reserve descriptor makes room for that), instead of a listener that dies or a loop that spins. Some descriptors
 * are always left for the rest of the process.
 */
#ifndef MSSQL_NET_ACCEPT_H
#define MSSQL_NET_ACCEPT_H

#include <ev.h>
#include <stdbool.h>
#include <stdint.h>

struct acceptor;

/* Takes the listening, non-blocking socket. take() gets each connection (non-blocking, close-on-exec): true = it is its now, false =
 * no room, it is closed. `kept`: descriptors that connections must leave free. `what` is for the log and must be static. */
struct acceptor *acceptor_new(struct ev_loop *ev, int listen_fd, unsigned kept, const char *what,
                              bool (*take)(void *user, int fd), void *user);
/* Closes the socket. NULL is allowed. */
void acceptor_free(struct acceptor *acceptor);
int acceptor_fd(const struct acceptor *acceptor);

struct acceptor_stats {
    uint64_t accepted, refused;
    bool starved; /* few or no descriptors at the last connection */
};
void acceptor_get_stats(const struct acceptor *acceptor, struct acceptor_stats *ret_stats);

#endif
