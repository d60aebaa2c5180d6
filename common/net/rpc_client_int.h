/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the client: rpc_channel.c, rpc_stream.c. */
#ifndef MSSQL_NET_RPC_CLIENT_INT_H
#define MSSQL_NET_RPC_CLIENT_INT_H

#include "common/net/rpc_client.h"
#include "common/net/rpc_int.h"

struct rpc_channel {
    struct rpc_loop *loop;
    grpc_channel *core;
    unsigned message_max_bytes;
    char *authorization; /* of every call, NULL none; wiped at the end */
};

#endif
