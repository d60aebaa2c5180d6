/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptors of every .proto file, for server reflection. Tables made at build time by embed_descriptors.py. */
#ifndef MSSQL_PROTO_DESCRIPTORS_H
#define MSSQL_PROTO_DESCRIPTORS_H

#include <stddef.h>

struct proto_file {
    const char *name; /* "mssql/v1/sidecar.proto" */
    const unsigned char *data; /* a serialised FileDescriptorProto */
    size_t len;
    const char *const *deps; /* names, NULL-terminated */
};

struct proto_symbol {
    const char *name; /* "mssql.v1.Sidecar.GetStatus" */
    unsigned file; /* index into proto_files */
};

extern const struct proto_file proto_files[];
extern const unsigned proto_file_count;
extern const struct proto_symbol proto_symbols[]; /* sorted by name */
extern const unsigned proto_symbol_count;

#endif
