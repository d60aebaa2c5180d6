/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stream of a watch. Links: kube, base.
 *
 * The first byte says how the rest is cut: the events, and the error, must be the same as when it comes in one piece.
 */
#include <string.h>

#include "common/base/mem.h"
#include "controller/kube/event_line.h"
#include "controller/kube/kind.h"
#include "tests/fuzz/fuzz.h"

struct sum {
    unsigned count;
    uint64_t hash;
};

static int add(void *user, const struct kube_event *event) {
    struct sum *sum = user;
    must(json_is_object(event->object), "an event has an object");
    must(event->type == KUBE_ERROR || event->resource_version[0], "and a version");
    must(event->type == KUBE_ERROR || event->type == KUBE_BOOKMARK || kube_name(event->object)[0], "and a name");
    must(event->type != KUBE_ERROR || event->message, "an error says something");
    sum->count++;
    sum->hash = sum->hash * 31 + (unsigned)event->type + (unsigned)event->code;
    for (const char *c = event->resource_version; *c; c++)
        sum->hash = sum->hash * 31 + (unsigned char)*c;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (!size)
        return 0;
    struct kube_lines whole, cut;
    struct sum all = {0}, parts = {0};
    struct err err = {0}, cut_err = {0};
    size_t step = data[0] + 1u, len = size - 1;
    char *text = mem_dup(data, size);
    kube_lines_init(&whole, 2000);
    kube_lines_init(&cut, 2000);
    int rc = kube_lines_feed(&whole, text + 1, len, add, &all, &err), cut_rc = 0;
    for (size_t at = 0; at < len && cut_rc == 0; at += step)
        cut_rc = kube_lines_feed(&cut, text + 1 + at, len - at < step ? len - at : step, add, &parts, &cut_err);
    must(rc == cut_rc && err.class == cut_err.class, "cuts do not matter for the outcome");
    must(all.count == parts.count && all.hash == parts.hash, "cuts do not matter for the events");
    must(rc == 0 || err.class == ERR_PROTOCOL || err.class == ERR_LIMIT, "an error is one of two");
    must(rc < 0 || kube_lines_partial(&whole) == kube_lines_partial(&cut), "nor for what is left");
    kube_lines_done(&whole);
    kube_lines_done(&cut);
    mem_free(text);
    return 0;
}
