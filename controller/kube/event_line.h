/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of a watch: one JSON document per line, cut anywhere by the network. Pure: bytes in, events out.
 */
#ifndef MSSQL_KUBE_EVENT_LINE_H
#define MSSQL_KUBE_EVENT_LINE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/buf.h"
#include "common/base/err.h"

enum kube_event_type { KUBE_ADDED, KUBE_MODIFIED, KUBE_DELETED, KUBE_BOOKMARK, KUBE_ERROR };

struct kube_event {
    enum kube_event_type type;
    json_t *object; /* belongs to the event: json_incref() to keep it. For KUBE_ERROR the Status */
    const char *resource_version; /* "" for KUBE_ERROR */
    bool initial_end; /* bookmark that ends the initial objects of a streaming list */
    int code; /* KUBE_ERROR: HTTP-like code, 410 = begin again with a list */
    const char *message; /* KUBE_ERROR; never NULL there */
};

struct kube_lines {
    struct buf cut; /* a line whose end has not come */
};

void kube_lines_init(struct kube_lines *lines, size_t line_max_bytes);
void kube_lines_done(struct kube_lines *lines);
/* Calls fn for each event that is complete; fn's non-zero result ends the feeding and is returned, positive. -1: a line is
 * longer than the maximum (ERR_LIMIT) or not an event, with name and resourceVersion where an object must have them (ERR_PROTOCOL); the stream is then of no more use. */
int kube_lines_feed(struct kube_lines *lines, const char *data, size_t len, int (*fn)(void *user, const struct kube_event *event),
                    void *user, struct err *err) ERR_CHECK;
/* Bytes of a line without an end: the stream was cut. */
size_t kube_lines_partial(const struct kube_lines *lines);

#endif
