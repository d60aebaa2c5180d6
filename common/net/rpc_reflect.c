/* SPDX-License-Identifier: Apache-2.0 */
/* Server reflection from the descriptors that were embedded at build time. v1 and v1alpha are the same on the wire. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/net/rpc_server_int.h"
#include "descriptors.h"
#include "grpc/reflection/v1/reflection.pb-c.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest reflect_request;
typedef Grpc__Reflection__V1__ServerReflectionResponse reflect_response;

#define FILES_MAX 64
#define SERVICES_MAX 64
#define NAME_MAX_BYTES 128

static void answer_error(struct rpc_call *call, reflect_response *response, enum err_class class, const char *text) {
    Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
    error.error_code = err_class_grpc(class);
    error.error_message = (char *)(uintptr_t)text;
    response->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response->error_response = &error;
    (void)!rpc_call_send(call, &response->base, NULL);
}

static int file_find(const char *name) {
    for (unsigned i = 0; i < proto_file_count; i++)
        if (!strcmp(proto_files[i].name, name))
            return (int)i;
    return -1;
}

static int symbol_cmp(const void *key, const void *row) {
    return strcmp(key, ((const struct proto_symbol *)row)->name);
}

static int symbol_find(const char *name) {
    const struct proto_symbol *found = bsearch(name, proto_symbols, proto_symbol_count, sizeof(*proto_symbols), symbol_cmp);
    return found ? (int)found->file : -1;
}

/* The file and what it imports, each once, the asked one first: clients then need not ask again. */
static void collect_files(int file, ProtobufCBinaryData *list, size_t *count, bool *seen) {
    if (file < 0 || seen[file] || *count == FILES_MAX)
        return;
    seen[file] = true;
    list[*count].data = (uint8_t *)(uintptr_t)proto_files[file].data;
    list[(*count)++].len = proto_files[file].len;
    for (const char *const *dep = proto_files[file].deps; *dep; dep++)
        collect_files(file_find(*dep), list, count, seen);
}

static void answer_file(struct rpc_call *call, reflect_response *response, int file) {
    if (file < 0 || file >= FILES_MAX) {
        answer_error(call, response, ERR_NOT_FOUND, "not known to this server");
        return;
    }
    ProtobufCBinaryData list[FILES_MAX];
    bool seen[FILES_MAX] = {false};
    size_t count = 0;
    collect_files(file, list, &count, seen);
    Grpc__Reflection__V1__FileDescriptorResponse files = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
    files.n_file_descriptor_proto = count;
    files.file_descriptor_proto = list;
    response->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response->file_descriptor_response = &files;
    (void)!rpc_call_send(call, &response->base, NULL);
}

static int name_cmp(const void *a, const void *b) {
    return strcmp(a, b);
}

static void answer_services(struct rpc_call *call, reflect_response *response) {
    struct rpc_server *server = call->server;
    char name[SERVICES_MAX][NAME_MAX_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < server->methods && count < SERVICES_MAX; i++) {
        const char *path = server->method[i].def.path, *slash = strrchr(path, '/');
        str_format(name[count], NAME_MAX_BYTES, "%.*s", (int)(slash - path - 1), path + 1);
        if (!count || strcmp(name[count], name[count - 1]) != 0) /* methods of a service stand together */
            count++;
    }
    qsort(name, count, NAME_MAX_BYTES, name_cmp);
    Grpc__Reflection__V1__ServiceResponse service[SERVICES_MAX], *pointer[SERVICES_MAX];
    for (size_t i = 0; i < count; i++) {
        grpc__reflection__v1__service_response__init(&service[i]);
        service[i].name = name[i];
        pointer[i] = &service[i];
    }
    Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
    list.n_service = count;
    list.service = pointer;
    response->message_response_case = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response->list_services_response = &list;
    (void)!rpc_call_send(call, &response->base, NULL);
}

/* proto3 has no extensions: a known type has none, an unknown one is an error. */
static void answer_extensions(struct rpc_call *call, reflect_response *response, const char *type) {
    if (symbol_find(type) < 0) {
        answer_error(call, response, ERR_NOT_FOUND, "no such type");
        return;
    }
    Grpc__Reflection__V1__ExtensionNumberResponse none = GRPC__REFLECTION__V1__EXTENSION_NUMBER_RESPONSE__INIT;
    none.base_type_name = (char *)(uintptr_t)type;
    response->message_response_case =
        GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ALL_EXTENSION_NUMBERS_RESPONSE;
    response->all_extension_numbers_response = &none;
    (void)!rpc_call_send(call, &response->base, NULL);
}

static void on_request(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    (void)user;
    const reflect_request *request = (const void *)message;
    if (!request) { /* the client has asked everything */
        rpc_call_on_cancel(call, NULL, NULL);
        rpc_call_end(call);
        return;
    }
    reflect_response response = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
    response.valid_host = request->host;
    response.original_request = (reflect_request *)(uintptr_t)request;
    switch (request->message_request_case) {
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        answer_services(call, &response);
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        answer_file(call, &response, file_find(request->file_by_filename));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        answer_file(call, &response, symbol_find(request->file_containing_symbol));
        break;
    case GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_ALL_EXTENSION_NUMBERS_OF_TYPE:
        answer_extensions(call, &response, request->all_extension_numbers_of_type);
        break;
    default:
        answer_error(call, &response, ERR_NOT_FOUND, "no such extension or request");
    }
}

static void on_cancelled(void *user, struct rpc_call *call) {
    (void)user;
    rpc_call_end(call);
}

static void reflect(void *user, struct rpc_call *call, const ProtobufCMessage *message) {
    (void)user, (void)message;
    rpc_call_on_message(call, on_request, NULL);
    rpc_call_on_cancel(call, on_cancelled, NULL);
}

const struct rpc_method rpc_reflect_methods[] = {
    {"/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", RPC_BIDI,
     &grpc__reflection__v1__server_reflection_request__descriptor, reflect},
    {"/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", RPC_BIDI,
     &grpc__reflection__v1__server_reflection_request__descriptor, reflect},
};
const size_t rpc_reflect_method_count = ARRAY_LEN(rpc_reflect_methods);
