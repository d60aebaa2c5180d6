/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as they stand in configurations: "unix:/path", "host:port", "[v6]:port", ":port". */
#ifndef MSSQL_NET_ADDRESS_H
#define MSSQL_NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "common/base/err.h"

#define ADDRESS_TEXT_MAX 300

struct address {
    bool is_unix;
    bool is_loopback; /* Unix sockets and 127.0.0.0/8, ::1, "localhost" */
    char host[256]; /* without brackets; "" = all addresses */
    unsigned port;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

/* ERR_CONFIG names the text and what is allowed. Hosts are not looked up. */
int address_parse(const char *text, struct address *ret_address, struct err *err) ERR_CHECK;
/* The text that gRPC's client takes as target: "unix:/path", "host:port", "[v6]:port". */
char *address_format(char dst[ADDRESS_TEXT_MAX], const struct address *address);
/* A listening, non-blocking socket. A Unix socket gets `mode`, and takes the place of one at which nobody listens any more;
 * ERR_CONFLICT when somebody does, or when the port is in use. */
int address_listen(const struct address *address, unsigned mode, int *ret_fd, struct err *err) ERR_CHECK;

#endif
