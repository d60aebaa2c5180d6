/* SPDX-License-Identifier: Apache-2.0 */
#include "sidecar/restore/guarded.h"

#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/lineage.h"

struct guarded {
    struct source base;
    struct source *inner;
    struct store *store;
    char scope[NAME_SCOPE_MAX];
};

static struct guarded *of(struct source *source) {
    return container_of(source, struct guarded, base);
}

/* The document that says whose the store is was there when the store was opened. */
static int judge(struct source *source, int rc, struct err *err) {
    struct guarded *g = of(source);
    struct lineage lineage;
    struct err why;
    if (rc >= 0 || !err || (err->class != ERR_NOT_FOUND && err->class != ERR_IO && err->class != ERR_PERMISSION) ||
        lineage_read(g->store, g->scope, &lineage, &why) == 0)
        return rc;
    return err_set(err, ERR_STORE, "the store itself is away: %s", why.text);
}

static int guarded_list(struct source *source, struct source_list *ret_list, struct err *err) {
    return judge(source, source_databases(of(source)->inner, ret_list, err), err);
}

static int guarded_history(struct source *source, const char *folder, bool with_marks, struct source_history *ret_history,
                           struct err *err) {
    return judge(source, source_history(of(source)->inner, folder, with_marks, ret_history, err), err);
}

static int guarded_manifest(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m,
                            struct err *err) {
    return judge(source, source_manifest(of(source)->inner, folder, set, ret_m, err), err);
}

static int guarded_probe(struct source *source, const char *folder, const struct manifest *m, struct err *err) {
    return judge(source, source_probe(of(source)->inner, folder, m, err), err);
}

static int guarded_fetch(struct source *source, const char *folder, const struct manifest_object *object,
                         const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) {
    return judge(source, source_fetch(of(source)->inner, folder, object, sink, control, err), err);
}

static void guarded_free(struct source *source) {
    struct guarded *g = of(source);
    source_free(g->inner);
    mem_free(g);
}

struct source *guarded_source(struct source *inner, struct store *store, const char *scope) {
    static const struct source_ops ops = {
        .list = guarded_list,
        .history = guarded_history,
        .manifest = guarded_manifest,
        .probe = guarded_probe,
        .fetch = guarded_fetch,
        .free = guarded_free,
    };
    struct guarded *g = mem_alloc(sizeof(*g));
    *g = (struct guarded){.base = {&ops}, .inner = inner, .store = store};
    str_copy(g->scope, sizeof(g->scope), scope);
    return &g->base;
}
