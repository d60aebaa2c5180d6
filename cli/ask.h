/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to a sidecar. The first one makes the client and begins to catch Ctrl-C; cli_main() ends both. */
#ifndef MSSQL_CLI_ASK_H
#define MSSQL_CLI_ASK_H

#include <protobuf-c/protobuf-c.h>

#include "cli/cli.h"

/* Method as "GetStatus". Free *ret_response with protobuf_c_message_free_unpacked(). */
int ask(struct cli *cli, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
        ProtobufCMessage **ret_response, struct err *err) ERR_CHECK;
/* fn gets each answer; negative ends the call. timeout_ms 0: none. */
int ask_stream(struct cli *cli, const char *method, const ProtobufCMessage *request, const ProtobufCMessageDescriptor *response,
               int64_t timeout_ms, int (*fn)(void *user, const ProtobufCMessage *message), void *user, struct err *err) ERR_CHECK;
/* Was Ctrl-C pressed? */
bool ask_interrupted(void);
void ask_done(struct cli *cli);

#endif
