/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/proto_json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* restorable_from_at -> restorableFromAt */
static char *camel(const char *name) {
    char *out = mem_alloc(strlen(name) + 1), *w = out;
    bool upper = false;
    for (; *name; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        *w++ = upper ? (char)toupper((unsigned char)*name) : *name;
        upper = false;
    }
    return out;
}

/* Length of "BACKUP_KIND_" for the enum "mssql.v1.BackupKind". */
static size_t enum_prefix(const ProtobufCEnumDescriptor *d, const char *value_name) {
    const char *type = strrchr(d->name, '.');
    type = type ? type + 1 : d->name;
    size_t n = 0;
    for (const char *p = type; *p; p++) {
        if (isupper((unsigned char)*p) && p != type && value_name[n] == '_')
            n++;
        if (toupper((unsigned char)*p) != value_name[n])
            return 0;
        n++;
    }
    return value_name[n] == '_' ? n + 1 : 0;
}

/* "BACKUP_KIND_FULL" of an enum BackupKind -> "Full"; NULL for UNSPECIFIED and unknown numbers. mem_free() it. */
static char *proto_json_enum_word(const ProtobufCEnumDescriptor *descriptor, int value) {
    const ProtobufCEnumValue *v = protobuf_c_enum_descriptor_get_value(descriptor, value);
    if (!v)
        return NULL;
    const char *name = v->name + enum_prefix(descriptor, v->name);
    if (!strcmp(name, "UNSPECIFIED"))
        return NULL;
    char *out = mem_alloc(strlen(name) + 1), *w = out;
    bool upper = true;
    for (; *name; name++) {
        if (*name == '_') {
            upper = true;
            continue;
        }
        *w++ = upper ? *name : (char)tolower((unsigned char)*name);
        upper = false;
    }
    return out;
}

static json_t *enum_json(const ProtobufCEnumDescriptor *d, int value) {
    char *word = proto_json_enum_word(d, value);
    json_t *j = word ? json_string(word) : json_null();
    mem_free(word);
    return j;
}

static json_t *time_json(int64_t at) {
    char text[CLOCK_TEXT_MAX];
    return at ? json_string(clock_format(text, at)) : json_null();
}

/* Strings come from SQL Server and from peers: what is not UTF-8 is shown as its bytes. */
static json_t *text_json(const char *s) {
    json_t *j = json_string(s);
    if (j)
        return j;
    size_t len = strlen(s);
    char *hex = mem_alloc(2 * len + 1);
    str_hex(hex, (const uint8_t *)s, len);
    j = json_string(hex);
    mem_free(hex);
    return j;
}

static size_t element_bytes(ProtobufCType type) {
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

static json_t *value_json(const ProtobufCFieldDescriptor *f, const void *p, bool brief) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        return str_ends(f->name, "_at") ? time_json(*(const int64_t *)p) : json_integer(*(const int64_t *)p);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_integer((json_int_t) * (const uint64_t *)p);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)p);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)p);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)p);
    case PROTOBUF_C_TYPE_DOUBLE:
        return json_real(*(const double *)p);
    case PROTOBUF_C_TYPE_FLOAT:
        return json_real((double)*(const float *)p);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_json(f->descriptor, *(const int *)p);
    case PROTOBUF_C_TYPE_STRING:
        return text_json(*(char *const *)p ? *(char *const *)p : "");
    case PROTOBUF_C_TYPE_MESSAGE:
        return proto_json_from(*(ProtobufCMessage *const *)p, brief);
    default:
        return json_null(); /* no message of ours has bytes */
    }
}

static json_t *list_json(const ProtobufCFieldDescriptor *f, const char *base, size_t count, bool brief) {
    json_t *list = json_array();
    size_t step = element_bytes(f->type);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, value_json(f, base + i * step, brief));
    return list;
}

static bool is_empty(const ProtobufCFieldDescriptor *f, const void *p) {
    if (f->type == PROTOBUF_C_TYPE_STRING)
        return !*(char *const *)p || !**(char *const *)p;
    return false;
}

static void field_json(json_t *object, const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f, bool brief) {
    const char *p = (const char *)m + f->offset;
    json_t *value = NULL;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        const uint32_t *which = (const uint32_t *)((const char *)m + f->quantifier_offset);
        if (*which != f->id)
            return;
        value = value_json(f, p, brief);
    } else if (f->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)((const char *)m + f->quantifier_offset);
        if (!count && brief)
            return;
        value = list_json(f, *(char *const *)p, count, brief);
    } else if (f->type == PROTOBUF_C_TYPE_MESSAGE) {
        if (!*(ProtobufCMessage *const *)p)
            return;
        value = value_json(f, p, brief);
    } else if (!(brief && is_empty(f, p))) {
        value = value_json(f, p, brief);
    }
    if (!value)
        return;
    char *name = camel(f->name);
    json_object_set_new(object, name, value);
    mem_free(name);
}

json_t *proto_json_from(const ProtobufCMessage *message, bool brief) {
    json_t *object = json_object();
    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        field_json(object, message, &message->descriptor->fields[i], brief);
    return object;
}
