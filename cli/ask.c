/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/ask.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/address.h"
#include "common/net/rpc_client.h"

/* A signal handler has no other way to know them. */
static struct rpc_client *volatile interruptible;
static volatile sig_atomic_t interrupted;

static void on_interrupt(int number) {
    interrupted = 1;
    signal(number, SIG_DFL); /* the second one ends the program at once */
    if (interruptible)
        rpc_client_interrupt(interruptible);
}

bool ask_interrupted(void) {
    return interrupted;
}

static int options_of(const struct cli *cli, struct rpc_channel_options *ret_options, struct err *err) {
    static const char *const flags[] = {"--tls-ca", "--tls-cert", "--tls-key", "--tls-server-name"};
    struct rpc_channel_options o = {.address = cli_value(&cli->args, "--address"), .message_max_bytes = 64u << 20};
    struct address address;
    struct stat st;
    o.tls = (struct tls_files){
        .ca = cli_value(&cli->args, flags[0]), .cert = cli_value(&cli->args, flags[1]), .key = cli_value(&cli->args, flags[2])};
    o.server_name = cli_value(&cli->args, flags[3]);
    if (address_parse(o.address, &address, err) < 0) {
        if (err)
            err->class = ERR_USAGE;
        return err_context(err, "--address");
    }
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        if (!cli_value(&cli->args, flags[i]))
            continue;
        if (address.is_unix)
            return err_set(err, ERR_USAGE, "%s: a Unix socket has no TLS, and the address is %s", flags[i], o.address);
        o.use_tls = true;
    }
    o.use_tls = o.use_tls || !address.is_loopback; /* a sidecar speaks plaintext on its own machine only */
    if (address.is_unix && stat(address.path, &st) < 0) {
        err_os(err, errno == ENOENT ? ERR_CONNECT : ERR_NONE, errno, "no sidecar at %s", o.address);
        return err_hint(err, "Does it run? Another place is named with --address or MSSQLCTL_ADDRESS");
    }
    *ret_options = o;
    return 0;
}

static int open_client(struct cli *cli, struct err *err) {
    struct rpc_channel_options options;
    if (cli->client)
        return 0;
    if (options_of(cli, &options, err) < 0 || rpc_client_new(&options, &cli->client, err) < 0)
        return -1;
    interruptible = cli->client;
    signal(SIGINT, on_interrupt);
    signal(SIGTERM, on_interrupt);
    return 0;
}

/* The words of the library for "nobody is there" are long; the address is what helps. */
static int explain(const struct cli *cli, struct err *err) {
    const char *address = cli_value(&cli->args, "--address");
    if (!err)
        return -1;
    if (interrupted)
        return err_set(err, ERR_CANCELLED, "interrupted");
    if (err->class == ERR_CONNECT) {
        err_context(err, "no sidecar answers at %s", address);
        return err_hint(err, "Does it run? Another place is named with --address or MSSQLCTL_ADDRESS");
    }
    if (err->class == ERR_TIMEOUT)
        return err_hint(err, "--timeout allows more than %g s", (double)cli->timeout_ms / 1000);
    return -1;
}

int ask_stream(struct cli *cli, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
               int64_t timeout_ms, int (*fn)(void *user, const ProtobufCMessage *message), void *user, struct err *err) {
    char path[128];
    str_format(path, sizeof(path), "/mssql.v1.Sidecar/%s", method);
    if (open_client(cli, err) < 0)
        return -1;
    if (rpc_client_stream(cli->client, path, request, response, timeout_ms, fn, user, err) < 0)
        return explain(cli, err);
    return 0;
}

int ask(struct cli *cli, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
        ProtobufCMessage **ret_response, struct err *err) {
    char path[128];
    str_format(path, sizeof(path), "/mssql.v1.Sidecar/%s", method);
    if (open_client(cli, err) < 0)
        return -1;
    if (rpc_client_unary(cli->client, path, request, response, cli->timeout_ms, ret_response, err) < 0)
        return explain(cli, err);
    return 0;
}

void ask_done(struct cli *cli) {
    if (!cli->client)
        return;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    interruptible = NULL;
    rpc_client_free(cli->client);
    cli->client = NULL;
}
