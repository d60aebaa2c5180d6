/* SPDX-License-Identifier: Apache-2.0 */
/* Client side on the event loop: a channel. */
#include <string.h>

#include "common/base/mem.h"
#include "common/net/address.h"
#include "common/net/rpc_client_int.h"

#define PING_TIMEOUT_MS 10000
#define RECONNECT_MIN_MS 200
#define RECONNECT_MAX_MS 10000

static grpc_channel_credentials *credentials_of(const struct rpc_channel_options *o, const struct tls_pem *pem) {
    if (!o->use_tls)
        return grpc_insecure_credentials_create();
    grpc_ssl_pem_key_cert_pair pair = {pem->key, pem->cert};
    return grpc_ssl_credentials_create_ex(pem->ca, pem->cert ? &pair : NULL, NULL, NULL);
}

static void channel_args(const struct rpc_channel_options *o, struct rpc_args *a) {
    int keepalive_ms = (int)(o->keepalive_s ? o->keepalive_s : 30) * 1000;
    rpc_args_init(a);
    rpc_args_int(a, GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, (int)o->message_max_bytes);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
    rpc_args_int(a, GRPC_ARG_KEEPALIVE_TIMEOUT_MS, PING_TIMEOUT_MS);
    rpc_args_int(a, RPC_ARG_PING_TIMEOUT_MS, PING_TIMEOUT_MS);
    rpc_args_int(a, GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    rpc_args_int(a, GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, RECONNECT_MIN_MS);
    rpc_args_int(a, GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, RECONNECT_MAX_MS);
    rpc_args_int(a, GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1); /* a new channel is a new connection */
    rpc_args_int(a, GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    rpc_args_int(a, GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_CHANNELZ, 0);
    rpc_args_int(a, GRPC_ARG_ENABLE_RETRIES, 0);
    if (o->use_tls && o->server_name)
        rpc_args_text(a, GRPC_SSL_TARGET_NAME_OVERRIDE_ARG, o->server_name);
}

int rpc_channel_new(struct rpc_loop *loop, const struct rpc_channel_options *options, struct rpc_channel **ret_channel,
                    struct err *err) {
    struct rpc_channel_options o = *options;
    struct address address;
    struct tls_pem pem = {0};
    char target[ADDRESS_TEXT_MAX];
    if (address_parse(o.address, &address, err) < 0)
        return err_context(err, "gRPC");
    if (!address.is_unix && (!address.host[0] || !address.port))
        return err_set(err, ERR_CONFIG, "gRPC: address '%s' needs a host and a port to connect to", o.address);
    if (o.authorization && !o.use_tls && !address.is_loopback)
        return err_set(err, ERR_CONFIG, "gRPC: no token goes to '%s' without TLS", o.address);
    o.use_tls = o.use_tls && !address.is_unix;
    if (o.use_tls && tls_pem_load(&o.tls, &pem, err) < 0)
        return err_context(err, "gRPC");
    if (!o.message_max_bytes)
        o.message_max_bytes = 16 * 1024 * 1024;
    struct rpc_args args;
    channel_args(&o, &args);
    grpc_channel_credentials *creds = credentials_of(&o, &pem);
    struct rpc_channel *channel = mem_alloc(sizeof(*channel));
    channel->loop = loop;
    channel->message_max_bytes = o.message_max_bytes;
    channel->authorization = o.authorization ? mem_strdup(o.authorization) : NULL;
    channel->core = grpc_channel_create(address_format(target, &address), creds, &args.args);
    grpc_channel_credentials_release(creds);
    tls_pem_done(&pem);
    *ret_channel = channel;
    return 0;
}

void rpc_channel_free(struct rpc_channel *channel) {
    if (!channel)
        return;
    grpc_channel_destroy(channel->core);
    if (channel->authorization)
        explicit_bzero(channel->authorization, strlen(channel->authorization));
    mem_free(channel->authorization);
    mem_free(channel);
}
