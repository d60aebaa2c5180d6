/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/kube/event_line.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/kind.h"

static int parse_type(const char *text, enum kube_event_type *ret_type) {
    static const char *const names[] = {
        [KUBE_ADDED] = "ADDED",       [KUBE_MODIFIED] = "MODIFIED", [KUBE_DELETED] = "DELETED",
        [KUBE_BOOKMARK] = "BOOKMARK", [KUBE_ERROR] = "ERROR",
    };
    for (size_t i = 0; text && i < ARRAY_LEN(names); i++)
        if (!strcmp(text, names[i])) {
            *ret_type = (enum kube_event_type)i;
            return 0;
        }
    return -1;
}

static int fill(json_t *document, struct kube_event *event, struct err *err) {
    const char *type = json_string_value(json_object_get(document, "type"));
    json_t *object = json_object_get(document, "object");
    if (parse_type(type, &event->type) < 0)
        return err_set(err, ERR_PROTOCOL, "event of a watch has the type '%.40s'", type ? type : "");
    if (!json_is_object(object))
        return err_set(err, ERR_PROTOCOL, "event %s of a watch has no object", type);
    event->object = object;
    event->resource_version = kube_resource_version(object);
    if (event->type == KUBE_ERROR) {
        const char *message = json_string_value(json_object_get(object, "message"));
        event->code = (int)json_integer_value(json_object_get(object, "code"));
        event->message = message ? message : "no message";
        event->resource_version = "";
        return 0;
    }
    if (!event->resource_version[0])
        return err_set(err, ERR_PROTOCOL, "event %s of a watch has no resourceVersion", type);
    if (event->type == KUBE_BOOKMARK) {
        json_t *marks = json_object_get(json_object_get(object, "metadata"), "annotations");
        const char *end = json_string_value(json_object_get(marks, "k8s.io/initial-events-end"));
        event->initial_end = end && !strcmp(end, "true");
        return 0;
    }
    return kube_name(object)[0] ? 0 : err_set(err, ERR_PROTOCOL, "event %s of a watch has an object without name", type);
}

static int parse_event(const char *line, size_t len, struct kube_event *ret_event, struct err *err) {
    json_error_t why;
    json_t *document = json_loadb(line, len, JSON_REJECT_DUPLICATES, &why);
    if (!document)
        return err_set(err, ERR_PROTOCOL, "line of a watch is not JSON: %s at byte %d", why.text, why.position);
    struct kube_event event = {.resource_version = "", .message = ""};
    if (fill(document, &event, err) < 0) {
        json_decref(document);
        return -1;
    }
    json_incref(event.object);
    json_decref(document);
    *ret_event = event;
    return 0;
}

void kube_lines_init(struct kube_lines *lines, size_t line_max_bytes) {
    buf_init(&lines->cut, line_max_bytes);
}

void kube_lines_done(struct kube_lines *lines) {
    buf_done(&lines->cut);
}

static int take_line(const char *line, size_t len, int (*fn)(void *user, const struct kube_event *event), void *user,
                     struct err *err) {
    struct kube_event event;
    if (!len || (len == 1 && *line == '\r'))
        return 0;
    if (parse_event(line, len, &event, err) < 0)
        return -1;
    int rc = fn(user, &event);
    json_decref(event.object);
    return rc ? 1 : 0;
}

/* Lines that arrive whole are parsed where they are; only what is cut is copied. */
int kube_lines_feed(struct kube_lines *lines, const char *data, size_t len, int (*fn)(void *user, const struct kube_event *event),
                    void *user, struct err *err) {
    while (len) {
        const char *end = memchr(data, '\n', len);
        size_t part = end ? (size_t)(end - data) : len;
        bool whole = end && !lines->cut.len;
        if (part > lines->cut.max - lines->cut.len || (!whole && !buf_append(&lines->cut, data, part)))
            return err_set(err, ERR_LIMIT, "line of a watch is longer than %zu bytes", lines->cut.max);
        if (!end)
            return 0;
        int rc = whole ? take_line(data, part, fn, user, err) : take_line(lines->cut.data, lines->cut.len, fn, user, err);
        buf_reset(&lines->cut);
        if (rc)
            return rc;
        data = end + 1;
        len -= part + 1;
    }
    return 0;
}

size_t kube_lines_partial(const struct kube_lines *lines) {
    return lines->cut.len;
}
