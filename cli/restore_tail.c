/* SPDX-License-Identifier: Apache-2.0 */
/* The tail of a database that is restored in place: no sidecar is asked, it becomes a backup like the others. */
#include <stdlib.h>
#include <string.h>

#include "cli/restore.h"
#include "common/base/mem.h"
#include "common/restore/manifests.h"

#define NEWEST_LOOKED_AT 16 /* by finish; the highest sequence among them is the last commit */

static int newest_first(const void *a, const void *b) {
    return strncmp(manifest_name_finish(*(char *const *)b), manifest_name_finish(*(char *const *)a), 16);
}

struct newest {
    struct manifest m;
    bool any;
    const char *unreadable; /* the newest that cannot be read */
    struct err why;
};

static bool is_newer(const char *a, const char *b) {
    return strncmp(manifest_name_finish(a), manifest_name_finish(b), 16) > 0;
}

static int on_manifest(void *user, const char *name, struct manifest *m, const struct err *why, struct err *err) {
    struct newest *n = user;
    (void)err;
    if (!m) {
        if (!n->unreadable || is_newer(name, n->unreadable)) {
            n->unreadable = name;
            n->why = *why;
        }
        return 0;
    }
    if (n->any && m->sequence <= n->m.sequence)
        return 0;
    if (n->any)
        manifest_done(&n->m);
    n->m = *m;
    n->any = true;
    manifest_init(m);
    return 0;
}

/* The incarnation and the number of the tail are those of the last commit: one that cannot be read may be that. */
static int check_newest(const struct newest *n, struct err *err) {
    char newest[STORE_NAME_MAX] = "";
    if (!n->unreadable)
        return 0;
    if (n->any)
        name_manifest(newest, &n->m.backup);
    if (n->any && is_newer(newest, n->unreadable))
        return 0;
    err_copy(err, &n->why);
    return err_context(err, "%s, the newest of the chain that the tail belongs to", n->unreadable);
}

int restore_ship_tail(struct store *store, const char *scope, const struct restore_tail *tail, struct err *err) {
    struct manifest_names names;
    struct newest newest = {.any = false};
    if (manifest_names_list(store, scope, tail->folder, &names, err) < 0)
        return -1;
    if (names.count)
        qsort(names.items, names.count, sizeof(*names.items), newest_first);
    size_t count = names.count < NEWEST_LOOKED_AT ? names.count : NEWEST_LOOKED_AT;
    int rc = manifests_read(store, names.items, count, 1, on_manifest, &newest, err);
    if (rc == 0)
        rc = check_newest(&newest, err);
    if (rc == 0)
        rc = restore_tail_commit(store, scope, newest.any ? &newest.m : NULL, tail, err);
    if (newest.any)
        manifest_done(&newest.m);
    manifest_names_done(&names);
    return rc;
}
