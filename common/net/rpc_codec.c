/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in and out of byte buffers, with what protobuf-c does not do: bounds on memory, and strings that are strings. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_int.h"

#define DEPTH_MAX 16
/* A message of empty sub-messages unpacks to 28 times its size; honest ones stay below 8. */
#define MEMORY_FACTOR 8
#define MEMORY_BASE (64 * 1024)
#define ALLOC_OVERHEAD 16 /* malloc's own, for a million empty strings */

grpc_byte_buffer *rpc_pack(const ProtobufCMessage *message, size_t *ret_bytes) {
    size_t len = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(len);
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *bb = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    if (ret_bytes)
        *ret_bytes = len;
    return bb;
}

/* --- check of the wire form --- */

struct wire {
    const uint8_t *at, *end;
};

static bool wire_varint(struct wire *w, uint64_t *ret_value) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (w->at == w->end)
            return false;
        uint8_t byte = *w->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (!(byte & 0x80)) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}

static bool wire_skip(struct wire *w, uint64_t len) {
    if (len > (size_t)(w->end - w->at))
        return false;
    w->at += len;
    return true;
}

static int malformed(struct err *err) {
    return err_set(err, ERR_USAGE, "malformed protobuf message");
}

static int check_message(const ProtobufCMessageDescriptor *type, struct wire w, unsigned depth, struct err *err);

static int check_bytes(const ProtobufCMessageDescriptor *type, uint32_t number, struct wire w, unsigned depth, struct err *err) {
    const ProtobufCFieldDescriptor *field = number ? protobuf_c_message_descriptor_get_field(type, number) : NULL;
    if (!field)
        return 0;
    /* protobuf-c makes C strings: a NUL would silently cut the value */
    if (field->type == PROTOBUF_C_TYPE_STRING && !str_is_clean_utf8((const char *)w.at, (size_t)(w.end - w.at)))
        return err_set(err, ERR_USAGE, "field '%s': text must be UTF-8 without control characters", field->name);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(field->descriptor, w, depth + 1, err);
    return 0;
}

static int check_message(const ProtobufCMessageDescriptor *type, struct wire w, unsigned depth, struct err *err) {
    if (depth > DEPTH_MAX)
        return err_set(err, ERR_USAGE, "message is nested too deeply");
    while (w.at < w.end) {
        uint64_t key, value;
        bool good;
        if (!wire_varint(&w, &key) || key >> 3 == 0 || key > UINT32_MAX)
            return malformed(err);
        switch (key & 7) {
        case 0:
            good = wire_varint(&w, &value);
            break;
        case 1:
            good = wire_skip(&w, 8);
            break;
        case 2: {
            struct wire inner = {0};
            good = wire_varint(&w, &value) && (inner.at = w.at, wire_skip(&w, value));
            inner.end = w.at;
            if (good && check_bytes(type, (uint32_t)(key >> 3), inner, depth, err) < 0)
                return -1;
            break;
        }
        case 5:
            good = wire_skip(&w, 4);
            break;
        default: /* groups do not exist in proto3 */
            good = false;
        }
        if (!good)
            return malformed(err);
    }
    return 0;
}

/* --- unpacking with a budget --- */

struct budget {
    size_t left;
    bool spent;
};

static void *budget_alloc(void *user, size_t len) {
    struct budget *b = user;
    if (len + ALLOC_OVERHEAD > b->left) {
        b->spent = true;
        return NULL;
    }
    b->left -= len + ALLOC_OVERHEAD;
    void *p = mem_try_alloc(len ? len : 1);
    b->spent |= !p;
    return p;
}

static void budget_free(void *user, void *p) {
    (void)user;
    mem_free(p);
}

void rpc_message_free(ProtobufCMessage *message) {
    static struct budget none;
    static ProtobufCAllocator allocator = {budget_alloc, budget_free, &none};
    if (message)
        protobuf_c_message_free_unpacked(message, &allocator);
}

static int unpack_slice(const ProtobufCMessageDescriptor *type, grpc_slice slice, size_t wire_max, enum rpc_trust trust,
                        ProtobufCMessage **ret_message, struct err *err) {
    const uint8_t *data = GRPC_SLICE_START_PTR(slice);
    size_t len = GRPC_SLICE_LENGTH(slice);
    if (trust == RPC_PEER_IS_CLIENT && check_message(type, (struct wire){data, data + len}, 0, err) < 0)
        return -1;
    struct budget budget = {.left = wire_max * MEMORY_FACTOR + MEMORY_BASE};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, len, data);
    if (!message)
        return budget.spent ? err_set(err, ERR_LIMIT, "message needs too much memory when decoded") : malformed(err);
    *ret_message = message;
    return 0;
}

int rpc_unpack(const ProtobufCMessageDescriptor *type, grpc_byte_buffer *bb, size_t wire_max, enum rpc_trust trust,
               ProtobufCMessage **ret_message, struct err *err) {
    grpc_byte_buffer_reader reader;
    if (!bb) /* half-closed without a message, or one that C-core refused */
        return err_set(err, ERR_USAGE, "no request message");
    if (!grpc_byte_buffer_reader_init(&reader, bb))
        return err_set(err, ERR_USAGE, "message cannot be decompressed");
    grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    int rc = unpack_slice(type, slice, wire_max, trust, ret_message, err);
    grpc_slice_unref(slice);
    return rc;
}
