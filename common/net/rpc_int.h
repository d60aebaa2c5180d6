/* SPDX-License-Identifier: Apache-2.0 */
/* Shared inside of rpc_*: tags, the loop's insides, packing. */
#ifndef MSSQL_NET_RPC_INT_H
#define MSSQL_NET_RPC_INT_H

#include <protobuf-c/protobuf-c.h>

#include "common/base/err.h"
#include "common/net/rpc_compat.h"
#include "common/net/rpc_loop.h"
#include "common/net/tls.h"

/* What C-core hands back when an operation is done. Embedded in the object it belongs to, one per kind of operation that can
 * be under way. fn runs on the loop's thread. */
struct rpc_tag {
    void (*fn)(struct rpc_tag *tag, bool ok);
};

grpc_completion_queue *rpc_loop_cq(struct rpc_loop *loop);
/* Handles finished operations without the ev loop until *flag is true. */
void rpc_loop_pump(struct rpc_loop *loop, const bool *flag);

/* A buffer with the message's bytes; grpc_byte_buffer_destroy() it. */
grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message, size_t *ret_bytes);
enum rpc_trust {
    RPC_PEER_IS_CLIENT, /* strings must be clean, memory is bounded */
    RPC_PEER_IS_SERVER, /* memory is bounded */
};
/* Free the result with rpc_message_free(). bb NULL: ERR_USAGE. */
int rpc_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *bb, size_t wire_max, enum rpc_trust trust,
               ProtobufCMessage **ret_message, struct err *err) ERR_CHECK;
void rpc_message_free(ProtobufCMessage *message);

/* The trailer that carries the class of an error. */
#define RPC_TRAILER_CLASS "mssql-error-class"

/* A growing list of channel arguments on the stack. */
#define RPC_ARGS_MAX 24
struct rpc_args {
    grpc_arg list[RPC_ARGS_MAX];
    grpc_channel_args args;
};
void rpc_args_init(struct rpc_args *a);
void rpc_args_int(struct rpc_args *a, const char *key, int value);
void rpc_args_text(struct rpc_args *a, const char *key, const char *value);
void rpc_args_pointer(struct rpc_args *a, const char *key, void *value);

/* Server credentials that read the files again when they change. The object must live as long as the server. */
struct rpc_creds;
int rpc_creds_new(const struct tls_files *files, struct rpc_creds **ret_creds, struct err *err) ERR_CHECK;
void rpc_creds_free(struct rpc_creds *creds);
grpc_server_credentials *rpc_creds_core(struct rpc_creds *creds); /* the caller releases it */
int64_t rpc_creds_not_after(struct rpc_creds *creds);

#endif
