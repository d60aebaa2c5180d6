/* SPDX-License-Identifier: Apache-2.0 */
#include "common/net/proto_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"

/* restorableFromAt is restorable_from_at? */
static bool same_name(const char *json, const char *field) {
    for (; *json && *field; json++, field++) {
        if (*field == '_') {
            field++;
            if (toupper((unsigned char)*field) != *json)
                return false;
        } else if (*field != *json) {
            return false;
        }
    }
    return !*json && !*field;
}

/* "TailTaken" is the end of RESTORE_STEP_TAIL_TAKEN? */
static bool same_word(const char *word, const char *value) {
    size_t letters = 0, n = strlen(value);
    for (const char *p = word; *p; p++)
        letters += 1 + (p != word && isupper((unsigned char)*p));
    if (letters >= n || value[n - letters - 1] != '_')
        return false;
    const char *v = value + n - letters;
    for (const char *p = word; *p; p++, v++) {
        if (p != word && isupper((unsigned char)*p) && *v++ != '_')
            return false;
        if (toupper((unsigned char)*p) != *v)
            return false;
    }
    return true;
}

static int wrong(const ProtobufCFieldDescriptor *f, const char *want, struct err *err) {
    return err_set(err, ERR_USAGE, "%s: is not %s", f->name, want);
}

static int parse_enum(const ProtobufCFieldDescriptor *f, const json_t *json, void *at, struct err *err) {
    const ProtobufCEnumDescriptor *d = f->descriptor;
    const char *word = json_string_value(json);
    for (unsigned i = 0; word && i < d->n_values; i++)
        if (same_word(word, d->values[i].name)) {
            *(int *)at = d->values[i].value;
            return 0;
        }
    return wrong(f, "one of its words", err);
}

static int parse_int(const ProtobufCFieldDescriptor *f, const json_t *json, void *at, struct err *err) {
    bool wide = f->type == PROTOBUF_C_TYPE_INT64 || f->type == PROTOBUF_C_TYPE_UINT64;
    bool is_signed = f->type == PROTOBUF_C_TYPE_INT64 || f->type == PROTOBUF_C_TYPE_INT32;
    int64_t value = json_integer_value(json);
    if (wide && is_signed && json_is_string(json) && str_ends(f->name, "_at"))
        return clock_parse(json_string_value(json), at) ? 0 : wrong(f, "a time of RFC 3339", err);
    if (!json_is_integer(json) || (!is_signed && value < 0))
        return wrong(f, "a number that fits", err);
    if (!wide && (is_signed ? value < INT32_MIN || value > INT32_MAX : value > UINT32_MAX))
        return wrong(f, "a number that fits", err);
    if (wide)
        *(int64_t *)at = value;
    else
        *(uint32_t *)at = (uint32_t)value;
    return 0;
}

static int parse_value(const ProtobufCFieldDescriptor *f, const json_t *json, void *at, struct err *err) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
        return parse_int(f, json, at, err);
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)at = json_is_true(json);
        return json_is_boolean(json) ? 0 : wrong(f, "true or false", err);
    case PROTOBUF_C_TYPE_DOUBLE:
        *(double *)at = json_number_value(json);
        return json_is_number(json) ? 0 : wrong(f, "a number", err);
    case PROTOBUF_C_TYPE_ENUM:
        return parse_enum(f, json, at, err);
    case PROTOBUF_C_TYPE_STRING:
        if (!json_is_string(json))
            return wrong(f, "a text", err);
        *(char **)at = mem_strdup(json_string_value(json));
        return 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        if (proto_parse_json(f->descriptor, json, at, err) < 0)
            return err_context(err, "%s", f->name);
        return 0;
    default:
        return wrong(f, "of a type that can be given here", err);
    }
}

static size_t width(const ProtobufCFieldDescriptor *f) {
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static int parse_list(const ProtobufCFieldDescriptor *f, const json_t *json, ProtobufCMessage *m, struct err *err) {
    size_t *count = (size_t *)((char *)m + f->quantifier_offset), n = json_array_size(json);
    if (!json_is_array(json))
        return wrong(f, "a list", err);
    if (!n)
        return 0;
    char *list = mem_array(n, width(f));
    *(void **)((char *)m + f->offset) = list;
    for (size_t i = 0; i < n; i++) {
        /* counted when it is whole: what is freed on failure is what was made */
        if (parse_value(f, json_array_get(json, i), list + i * width(f), err) < 0)
            return -1;
        *count = i + 1;
    }
    return 0;
}

static int parse_field(const ProtobufCFieldDescriptor *f, const json_t *json, ProtobufCMessage *m, struct err *err) {
    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return parse_list(f, json, m, err);
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t *which = (uint32_t *)((char *)m + f->quantifier_offset);
        if (*which)
            return err_set(err, ERR_USAGE, "%s: another one of its kind is given already", f->name);
        if (parse_value(f, json, (char *)m + f->offset, err) < 0)
            return -1;
        *which = f->id;
        return 0;
    }
    return parse_value(f, json, (char *)m + f->offset, err);
}

int proto_parse_json(const ProtobufCMessageDescriptor *descriptor, const json_t *json, ProtobufCMessage **ret_message,
                     struct err *err) {
    if (!json_is_object(json))
        return err_set(err, ERR_USAGE, "%s: is not an object", descriptor->short_name);
    ProtobufCMessage *m = mem_alloc(descriptor->sizeof_message);
    protobuf_c_message_init(descriptor, m);
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        const ProtobufCFieldDescriptor *field = NULL;
        for (unsigned i = 0; i < descriptor->n_fields && !field; i++)
            if (same_name(key, descriptor->fields[i].name))
                field = &descriptor->fields[i];
        int rc = field ? 0 : err_set(err, ERR_USAGE, "%.100s: unknown", key);
        if (rc == 0 && !json_is_null(value))
            rc = parse_field(field, value, m, err);
        if (rc < 0) {
            protobuf_c_message_free_unpacked(m, NULL);
            return -1;
        }
    }
    *ret_message = m;
    return 0;
}
