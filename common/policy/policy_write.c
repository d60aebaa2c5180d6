/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/mem.h"
#include "common/conf/emit.h"
#include "common/policy/policy_int.h"

/* The only key with a value of its own form is `overrides`. Rules that equal the policy's are written, too:
 * longer, but exact. */
static void write_own(const struct conf_key *key, const void *object, struct buf *out, unsigned indent, bool json) {
    const struct policy *p = object;
    if (strcmp(key->path, "overrides") != 0 || !p->override_count)
        return;
    (void)buf_putc(out, json ? '[' : '\n');
    for (size_t i = 0; i < p->override_count; i++) {
        if (json) {
            (void)buf_puts(out, i ? "," : "");
            conf_emit_json(&policy_override_schema, &p->overrides[i], out, NULL);
            continue;
        }
        struct buf lines;
        buf_init(&lines, CONF_BYTES_MAX);
        conf_emit_yaml(&policy_override_schema, &p->overrides[i], &lines, indent + 4, NULL);
        if (lines.len > indent + 2) /* the list's dash goes into the margin of its first line */
            lines.data[indent + 2] = '-';
        (void)buf_append(out, lines.data, lines.len);
        buf_done(&lines);
    }
    if (json)
        (void)buf_putc(out, ']');
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
