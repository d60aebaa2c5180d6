/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of proto/mssql/v1 as JSON, for /status and the command line. One walk over protobuf-c's descriptors:
 * names in lowerCamelCase; *_at fields as RFC 3339 (null when 0); enum values as CamelCase words without their prefix
 * (UNSPECIFIED as null); empty lists and strings are left out when `brief`.
 */
#ifndef MSSQL_NET_PROTO_JSON_H
#define MSSQL_NET_PROTO_JSON_H

#include <jansson.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* A new reference; never NULL. */
json_t *proto_json_from(const ProtobufCMessage *message, bool brief);

#endif
