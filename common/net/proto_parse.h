/* SPDX-License-Identifier: Apache-2.0 */
/* The way back of proto_json.h: JSON as a message of proto/mssql/v1. */
#ifndef MSSQL_NET_PROTO_PARSE_H
#define MSSQL_NET_PROTO_PARSE_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

#include "common/base/err.h"

/* A new message, protobuf_c_message_free_unpacked() it. Unknown keys, wrong types and unknown words are ERR_USAGE, with the path.
 * Times are RFC 3339, enum values the words of proto_json_from(); null is the default. */
int proto_parse_json(const ProtobufCMessageDescriptor *descriptor, const json_t *json, ProtobufCMessage **ret_message,
                     struct err *err) ERR_CHECK;

#endif
