/* SPDX-License-Identifier: Apache-2.0 */
/* The list of what was looked at. */
#include <stdarg.h>
#include <stdio.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/restore.h"

struct restore_finding *restore_findings_add(struct restore_findings *findings, enum restore_verdict verdict, const char *name,
                                             const char *subject, const char *fmt, ...) {
    findings->items = mem_grow(findings->items, &findings->cap, findings->count + 1, sizeof(*findings->items));
    struct restore_finding *f = &findings->items[findings->count++];
    *f = (struct restore_finding){.verdict = verdict};
    str_copy(f->name, sizeof(f->name), name);
    str_copy(f->subject, sizeof(f->subject), subject);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(f->message, sizeof(f->message), fmt, ap);
    va_end(ap);
    return f;
}

void restore_findings_done(struct restore_findings *findings) {
    mem_free(findings->items);
    *findings = (struct restore_findings){0};
}
