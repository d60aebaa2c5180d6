/* SPDX-License-Identifier: Apache-2.0 */
/* One include for C-core 1.51 (Debian 12) and for a current one. Only the implementation of rpc_* includes it. */
#ifndef MSSQL_NET_RPC_COMPAT_H
#define MSSQL_NET_RPC_COMPAT_H

#include <stdbool.h> /* credentials.h needs it */

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <grpc/support/log.h>
#include <grpc/support/string_util.h>
#include <grpc/support/time.h>
#if defined(__has_include)
#if __has_include(<grpc/credentials.h>)
#include <grpc/credentials.h> /* channel, server and TLS credentials moved here */
#endif
#endif

/* gpr_set_log_function went away together with GPR_ASSERT, and a macro is what the preprocessor can see. */
#if defined(GPR_ASSERT)
#define RPC_OLD_LOG 1
#endif

/* The current core holds a dead peer for a minute unless this is set besides KEEPALIVE_TIMEOUT_MS; 1.51 ignores it. */
#define RPC_ARG_PING_TIMEOUT_MS "grpc.http2.ping_timeout_ms"

/* The current core counts a stream against MAX_CONCURRENT_STREAMS until its memory is freed, which is after the client saw its
 * end and may have begun the next one: those are refused unless there is room beside the limit. 1.51 ignores it. */
#define RPC_ARG_ENDED_STREAMS "grpc.http2.max_deallocating_streams"

/* severity: 0 information, 1 warning, 2 error. Runs on any thread. False: this core cannot be redirected from C, its lines
 * go to stderr. Before grpc_init(). */
typedef void (*rpc_log_fn)(int severity, const char *file, int line, const char *msg, size_t len);
#if defined(GRPC_COMPAT_LOG_SHIM) && !defined(RPC_OLD_LOG)
extern void grpc_shim_set_log(rpc_log_fn fn,
                              int min_severity); /* the pkg-config file of our own build of the core says it is there */
#endif

#endif
