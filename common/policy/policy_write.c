/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "common/conf/emit.h"
#include "common/policy/policy_int.h"

/* A list of maps, each with its schema. */
static void write_maps(const struct conf_schema *schema, const void *items, size_t item_bytes, size_t count, struct buf *out,
                       unsigned indent, bool json) {
    (void)buf_putc(out, json ? '[' : '\n');
    for (size_t i = 0; i < count; i++) {
        const void *item = (const char *)items + i * item_bytes;
        if (json) {
            (void)buf_puts(out, i ? "," : "");
            conf_emit_json(schema, item, out, NULL);
            continue;
        }
        struct buf lines;
        buf_init(&lines, CONF_BYTES_MAX);
        conf_emit_yaml(schema, item, &lines, indent + 4, NULL);
        if (lines.len > indent + 2) /* the list's dash goes into the margin of its first line */
            lines.data[indent + 2] = '-';
        (void)buf_append(out, lines.data, lines.len);
        buf_done(&lines);
    }
    if (json)
        (void)buf_putc(out, ']');
}

/* The keys with a value of their own form. Rules that equal the policy's are written, too: longer, but exact. */
static void write_own(const struct conf_key *key, const void *object, struct buf *out, unsigned indent, bool json) {
    const struct policy *p = object;
    if (!strcmp(key->path, "overrides") && p->override_count)
        write_maps(&policy_override_schema, p->overrides, sizeof(*p->overrides), p->override_count, out, indent, json);
    else if (!strcmp(key->path, "verification.probes") && p->probe_count)
        write_maps(&policy_probe_schema, p->probes, sizeof(*p->probes), p->probe_count, out, indent, json);
}

void policy_to_yaml(const struct policy *policy, struct buf *out, unsigned indent) {
    conf_emit_yaml(&policy_schema, policy, out, indent, write_own);
}

void policy_to_json(const struct policy *policy, struct buf *out) {
    conf_emit_json(&policy_schema, policy, out, write_own);
}

typedef void write_fn(const struct policy *policy, struct buf *out);

static void write_overrides(const struct policy *policy, struct buf *out) {
    const struct conf_key key = {.path = "overrides"};
    write_own(&key, policy, out, 0, true);
}

static void write_probes(const struct policy *policy, struct buf *out) {
    const struct conf_key key = {.path = "verification.probes"};
    write_own(&key, policy, out, 0, true);
}

static bool same(write_fn *write, const struct policy *a, const struct policy *b) {
    struct buf one, two;
    buf_init(&one, CONF_BYTES_MAX);
    buf_init(&two, CONF_BYTES_MAX);
    write(a, &one);
    write(b, &two);
    bool equal = one.len == two.len && (!one.len || !memcmp(one.data, two.data, one.len));
    buf_done(&one);
    buf_done(&two);
    return equal;
}

bool policy_eq(const struct policy *a, const struct policy *b) {
    return same(policy_to_json, a, b);
}

bool policy_overrides_eq(const struct policy *a, const struct policy *b) {
    return same(write_overrides, a, b);
}

bool policy_probes_eq(const struct policy *a, const struct policy *b) {
    return same(write_probes, a, b);
}
