/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/str.h"

static int parse_unix(const char *text, struct address *a, struct err *err) {
    const char *path = text + 5;
    if (str_starts(path, "//"))
        path += 2;
    if (path[0] != '/')
        return err_set(err, ERR_CONFIG, "address '%s': the path of a Unix socket must be absolute", text);
    if (!str_copy(a->path, sizeof(a->path), path))
        return err_set(err, ERR_CONFIG, "address '%s': the path of a Unix socket has at most %zu bytes", text,
                       sizeof(a->path) - 1);
    a->is_unix = a->is_loopback = true;
    return 0;
}

static bool host_is_loopback(const char *host) {
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return str_ieq(host, "localhost");
}

/* Splits at the last colon; a bare IPv6 address without brackets has several and is refused. */
static int split_host(const char *text, struct address *a, const char **ret_port, struct err *err) {
    const char *colon = strrchr(text, ':');
    if (!colon)
        return err_set(err, ERR_CONFIG, "address '%s': no port. Use host:port, [v6]:port or unix:/path", text);
    const char *host = text;
    size_t len = (size_t)(colon - text);
    if (len && host[0] == '[') {
        struct in6_addr v6;
        if (host[len - 1] != ']' || len < 3 || len - 2 >= sizeof(a->host))
            return err_set(err, ERR_CONFIG, "address '%s': brackets do not match", text);
        memcpy(a->host, host + 1, len - 2);
        if (inet_pton(AF_INET6, a->host, &v6) != 1)
            return err_set(err, ERR_CONFIG, "address '%s': not an IPv6 address in the brackets", text);
    } else {
        if (memchr(host, ':', len))
            return err_set(err, ERR_CONFIG, "address '%s': an IPv6 address needs brackets", text);
        if (len >= sizeof(a->host))
            return err_set(err, ERR_CONFIG, "address: the host has at most %zu bytes", sizeof(a->host) - 1);
        memcpy(a->host, host, len);
        for (size_t i = 0; i < len; i++)
            if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_", host[i]))
                return err_set(err, ERR_CONFIG, "address '%s': not a host name or IP address", text);
    }
    *ret_port = colon + 1;
    return 0;
}

int address_parse(const char *text, struct address *ret_address, struct err *err) {
    struct address a = {0};
    if (!str_is_clean_utf8(text, strlen(text)))
        return err_set(err, ERR_CONFIG, "address: control or invalid characters");
    if (str_starts(text, "unix:")) {
        if (parse_unix(text, &a, err) < 0)
            return -1;
    } else {
        const char *port = "";
        int64_t number;
        if (split_host(text, &a, &port, err) < 0)
            return -1;
        /* C-core wraps larger numbers silently */
        if (!str_to_i64(port, 0, 65535, &number))
            return err_set(err, ERR_CONFIG, "address '%s': '%s' is not a port, use 0 to 65535", text, port);
        a.port = (unsigned)number;
        a.is_loopback = host_is_loopback(a.host);
    }
    *ret_address = a;
    return 0;
}

char *address_format(char dst[ADDRESS_TEXT_MAX], const struct address *a) {
    if (a->is_unix)
        str_format(dst, ADDRESS_TEXT_MAX, "unix:%s", a->path);
    else
        str_format(dst, ADDRESS_TEXT_MAX, strchr(a->host, ':') ? "[%s]:%u" : "%s:%u", a->host, a->port);
    return dst;
}

/* The socket address to bind; the host must be an IP address, "localhost" or empty (ERR_CONFIG). */
static int address_to_sockaddr(const struct address *a, struct sockaddr_storage *ret_sa, socklen_t *ret_len, struct err *err) {
    struct sockaddr_storage sa = {0};
    struct sockaddr_un *un = (struct sockaddr_un *)&sa;
    struct sockaddr_in *in4 = (struct sockaddr_in *)&sa;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&sa;
    const char *host = str_ieq(a->host, "localhost") ? "127.0.0.1" : a->host;
    if (a->is_unix) {
        un->sun_family = AF_UNIX;
        str_copy(un->sun_path, sizeof(un->sun_path), a->path);
        *ret_len = sizeof(*un);
    } else if (!host[0] || inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
        in4->sin_family = AF_INET; /* an empty host is 0.0.0.0 */
        in4->sin_port = htons((uint16_t)a->port);
        *ret_len = sizeof(*in4);
    } else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons((uint16_t)a->port);
        *ret_len = sizeof(*in6);
    } else {
        return err_set(err, ERR_CONFIG, "address '%s': an address to listen on must be an IP address, not a name", host);
    }
    *ret_sa = sa;
    return 0;
}

/* A socket file that nobody listens at is left over from a crash and removed; one in use, or another kind of file, stays. */
static int unix_make_room(const struct address *a, const struct sockaddr_storage *sa, socklen_t len, struct err *err) {
    struct stat st;
    if (lstat(a->path, &st) < 0)
        return errno == ENOENT ? 0 : err_os(err, ERR_NONE, errno, "socket '%s'", a->path);
    if (!S_ISSOCK(st.st_mode))
        return err_set(err, ERR_CONFIG, "socket '%s': a file that is not a socket is in the way", a->path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_os(err, ERR_IO, errno, "socket");
    int rc = connect(fd, (const struct sockaddr *)sa, len);
    int error = rc < 0 ? errno : 0;
    close(fd);
    if (error != ECONNREFUSED) /* connected, or EAGAIN: a full backlog is somebody, too */
        return err_set(err, ERR_CONFLICT, "socket '%s': another process listens there", a->path);
    if (unlink(a->path) < 0 && errno != ENOENT)
        return err_os(err, ERR_NONE, errno, "stale socket '%s'", a->path);
    return 0;
}

static int bind_and_listen(int fd, const struct address *a, const struct sockaddr_storage *sa, socklen_t len, unsigned mode,
                           struct err *err) {
    char text[ADDRESS_TEXT_MAX];
    int one = 1;
    if (!a->is_unix)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* TIME_WAIT only: a live listener still wins */
    if (sa->ss_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &(int){0}, sizeof(int));
    /* fchmod before bind sets the mode with which the file appears (masked by umask), so that there is no moment at which
     * it is too open; chmod after it adds what the umask took */
    if (a->is_unix && fchmod(fd, mode) < 0)
        return err_os(err, ERR_IO, errno, "socket '%s'", a->path);
    if (bind(fd, (const struct sockaddr *)sa, len) < 0)
        return err_os(err,
                      errno == EADDRINUSE      ? ERR_CONFLICT
                      : errno == EADDRNOTAVAIL ? ERR_CONFIG
                                               : ERR_NONE,
                      errno, "cannot listen on '%s'", address_format(text, a));
    if (a->is_unix && chmod(a->path, mode) < 0)
        return err_os(err, ERR_NONE, errno, "mode of socket '%s'", a->path);
    if (listen(fd, SOMAXCONN) < 0)
        return err_os(err, errno == EADDRINUSE ? ERR_CONFLICT : ERR_NONE, errno, "cannot listen on '%s'",
                      address_format(text, a));
    return 0;
}

int address_listen(const struct address *a, unsigned mode, int *ret_fd, struct err *err) {
    struct sockaddr_storage sa;
    socklen_t len = 0;
    if (address_to_sockaddr(a, &sa, &len, err) < 0)
        return -1;
    if (a->is_unix && unix_make_room(a, &sa, len, err) < 0)
        return -1;
    int fd = socket(sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_os(err, ERR_IO, errno, "socket");
    if (bind_and_listen(fd, a, &sa, len, mode, err) < 0) {
        close(fd);
        return -1;
    }
    *ret_fd = fd;
    return 0;
}
