/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "common/base/clock.h"
#include "common/base/str.h"
#include "common/store/catalog.h"
#include "common/store/manifest.h"

#define TIME_CHARS 16 /* "20261121T024700Z" */

static void take_run_id(const char *run_id, struct catalog_note *note) {
    size_t len = strlen(run_id);
    char text[24];
    int64_t at;
    if (len < TIME_CHARS + 2 + sizeof(note->run_tail) || run_id[len - sizeof(note->run_tail) - 1] != '-')
        return; /* not one of ours: it is in the manifest only */
    str_format(text, sizeof(text), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", run_id, run_id + 4, run_id + 6, run_id + 9, run_id + 11,
               run_id + 13);
    if (!clock_parse(text, &at))
        return;
    note->run_at = at;
    memcpy(note->run_tail, run_id + len - sizeof(note->run_tail), sizeof(note->run_tail));
}

void catalog_note_of(const struct manifest *m, struct catalog_note *ret_note) {
    struct catalog_note note;
    memset(&note, 0, sizeof(note)); /* it goes to the file as it is */
    take_run_id(m->run_id, &note);
    str_copy(note.reason, sizeof(note.reason), m->reason);
    str_copy(note.trigger, sizeof(note.trigger), m->trigger);
    note.has_hole = *m->hole.cause != 0;
    *ret_note = note;
}

char *catalog_run_id(char dst[CATALOG_RUN_ID_MAX], const struct catalog_note *note, enum backup_kind kind) {
    struct clock_civil c;
    *dst = 0;
    if (!note->run_at)
        return dst;
    clock_to_civil(note->run_at, &c);
    str_format(dst, CATALOG_RUN_ID_MAX, "%04d%02d%02dT%02d%02d%02dZ-%s-%.8s", c.year % 10000, c.month, c.day, c.hour, c.minute,
               c.second, backup_kind_name(kind), note->run_tail);
    return dst;
}
