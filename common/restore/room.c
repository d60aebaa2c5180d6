/* SPDX-License-Identifier: Apache-2.0 */
/* Room for the files of all databases, per volume, and for what is staged. Pure. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/check.h"

struct need {
    const struct target_volume *volume;
    uint64_t bytes; /* of files that are made */
    uint64_t reused; /* of files that are overwritten */
    uint64_t staged;
};

struct needs {
    struct need *items;
    size_t count, cap;
    uint64_t elsewhere; /* on volumes that are not known */
    const char *example;
};

static struct need *need_of(struct needs *n, const struct target_volume *volume) {
    for (size_t i = 0; i < n->count; i++)
        if (target_volume_same(n->items[i].volume, volume))
            return &n->items[i];
    n->items = mem_grow(n->items, &n->cap, n->count + 1, sizeof(*n->items));
    n->items[n->count] = (struct need){.volume = volume};
    return &n->items[n->count++];
}

static void add_file(struct needs *n, const struct restore_target *target, const struct restore_file *f) {
    const struct target_volume *volume = target_volume_of(target, f->physical);
    if (!volume) {
        n->elsewhere += f->size_bytes;
        n->example = f->physical;
        return;
    }
    struct need *need = need_of(n, volume);
    need->bytes += f->size_bytes;
    need->reused += f->replaced_bytes;
}

static void say_need(const struct need *need, struct restore_findings *out) {
    char wanted[32], free[32], staged[32], missing[32];
    uint64_t net = need->bytes > need->reused ? need->bytes - need->reused : 0, total = net + need->staged;
    str_from_bytes(wanted, sizeof(wanted), net);
    str_from_bytes(staged, sizeof(staged), need->staged);
    str_from_bytes(free, sizeof(free), need->volume->free_bytes);
    if (total <= need->volume->free_bytes) {
        restore_findings_add(out, RESTORE_CHECK_OK, "space", need->volume->dir, "%s for files and %s for staging of %s free",
                             wanted, staged, free);
        return;
    }
    str_from_bytes(missing, sizeof(missing), total - need->volume->free_bytes);
    struct restore_finding *f = restore_findings_add(
        out, RESTORE_CHECK_ERROR, "space", need->volume->dir,
        "the volume has %s free (%llu bytes), the databases' files need %s%s%s (%llu bytes): %s are missing", free,
        (unsigned long long)need->volume->free_bytes, wanted, need->staged ? " and staging " : "", need->staged ? staged : "",
        (unsigned long long)total, missing);
    f->class = ERR_SPACE;
    str_copy(
        f->hint, sizeof(f->hint),
        "make room, put files on another volume, or restore fewer databases; RESTORE makes files in their full size, also where "
        "they are nearly empty");
}

static void check_staging(const struct restore_check_space *c, struct restore_findings *out) {
    char least[32], free[32], bound[32];
    str_from_bytes(least, sizeof(least), c->staging_least);
    str_from_bytes(free, sizeof(free), c->staging_free);
    str_from_bytes(bound, sizeof(bound), c->staging_bytes);
    struct restore_finding *f = NULL;
    if (c->staging_least > c->staging_bytes) {
        f = restore_findings_add(out, RESTORE_CHECK_ERROR, "staging", c->staging_server,
                                 "the largest backup file takes %s, staging may hold %s", least, bound);
        str_copy(f->hint, sizeof(f->hint), "allow more for staging, or stage on a larger volume");
    } else if (c->staging_free != UINT64_MAX && c->staging_least > c->staging_free) {
        f = restore_findings_add(out, RESTORE_CHECK_ERROR, "staging", c->staging_server,
                                 "the largest backup file takes %s, the staging directory has %s free", least, free);
        str_copy(f->hint, sizeof(f->hint), "make room, or stage on a larger volume");
    } else if (c->staging_free == UINT64_MAX) {
        restore_findings_add(out, RESTORE_CHECK_UNKNOWN, "staging", c->staging_server,
                             "free space could not be measured; %s are needed", least);
    } else {
        restore_findings_add(out, RESTORE_CHECK_OK, "staging", c->staging_server, "at least %s of %s free", least, free);
    }
    if (f)
        f->class = ERR_SPACE;
}

void restore_check_room(const struct restore_check_space *c, struct restore_findings *out) {
    struct needs needs = {0};
    char bytes[32];
    for (size_t d = 0; d < c->database_count; d++)
        for (size_t i = 0; i < c->file_counts[d]; i++)
            add_file(&needs, c->target, &c->files[d][i]);
    if (c->staging_server && c->staging_server[0]) {
        _cleanup_free_ char *inside = mem_printf("%s/x", c->staging_server);
        const struct target_volume *volume = target_volume_of(c->target, inside);
        /* Only where files go too: staging alone is measured below. */
        for (size_t i = 0; volume && i < needs.count; i++)
            if (target_volume_same(needs.items[i].volume, volume))
                needs.items[i].staged = c->staging_least;
        check_staging(c, out);
    }
    for (size_t i = 0; i < needs.count; i++)
        say_need(&needs.items[i], out);
    if (needs.elsewhere) {
        str_from_bytes(bytes, sizeof(bytes), needs.elsewhere);
        struct restore_finding *f = restore_findings_add(
            out, RESTORE_CHECK_UNKNOWN, "space", needs.example,
            "%s are needed where free space is not known: SQL Server itself refuses when it is too little (3257)", bytes);
        str_copy(f->hint, sizeof(f->hint),
                 c->target->volumes_known ? "no database has a file there, so the server does not say"
                                          : "GRANT VIEW SERVER STATE to the login to see free space");
    }
    mem_free(needs.items);
}
