/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where backups come from: a store alone, a store with the sidecar's catalog, later another sidecar. The engine sees
 * this interface only. Everything blocks; one source may be used from several threads at once.
 */
#ifndef MSSQL_RESTORE_SOURCE_H
#define MSSQL_RESTORE_SOURCE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/chain/interval.h"
#include "common/chain/plan.h"
#include "common/pipe/pipe.h"
#include "common/store/manifest.h"
#include "common/store/name.h"
#include "common/store/store.h"

#define SOURCE_NAME_MAX 513 /* 128 UTF-16 units as UTF-8, with room */
#define SOURCE_OLDER_NAMES_MAX 8

/* One chain of a source: a folder of the store. */
struct source_database {
    char folder[NAME_FOLDER_MAX];
    char name[SOURCE_NAME_MAX]; /* the newest one */
    char older[SOURCE_OLDER_NAMES_MAX][SOURCE_NAME_MAX]; /* names that it had, newest first */
    unsigned older_count;
    struct guid family_guid;
    struct guid database_guid; /* of the newest set */
    int64_t newest_at; /* finish of the newest set, 0 unknown */
    bool unreadable; /* none of its manifests can be read: the name is what the folder says, the GUIDs are zero */
};
struct source_list {
    struct source_database *items;
    size_t count;
};

/* A manifest that could not be read: its set is not in the history. */
struct source_unreadable {
    char name[STORE_NAME_MAX];
    struct err err;
};

/* Everything that plans need of one chain. */
struct source_history {
    struct backup *sets;
    size_t count;
    struct chain_hole *holes; /* recorded ones, when the source has a record of them */
    size_t hole_count;
    struct chain_log_mark *marks; /* filled only when asked for; names are on the heap */
    size_t mark_count;
    int64_t quiet_until_at; /* nothing was committed between the last log and this moment; 0 not known */
    struct source_unreadable *unreadable; /* the first few */
    size_t unreadable_count;
    size_t unreadable_total;
};

struct source;
struct source_ops {
    int (*list)(struct source *source, struct source_list *ret_list, struct err *err);
    int (*history)(struct source *source, const char *folder, bool with_marks, struct source_history *ret_history,
                   struct err *err);
    int (*manifest)(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m, struct err *err);
    int (*probe)(struct source *source, const char *folder, const struct manifest *m, struct err *err);
    int (*fetch)(struct source *source, const char *folder, const struct manifest_object *object, const struct pipe_sink *sink,
                 const struct pipe_control *control, struct err *err);
    void (*free)(struct source *source);
};
/* Base of every source. */
struct source {
    const struct source_ops *ops;
};

/* The databases, ordered by name. */
int source_databases(struct source *source, struct source_list *ret_list, struct err *err) ERR_CHECK;
void source_list_done(struct source_list *list);
/* Does a database before it in the list have the same name? Letters' case makes no difference, but the order knows it. */
bool source_list_repeats(const struct source_list *list, size_t index);
/* with_marks: named transactions too, which may cost reading every log's manifest. ERR_CORRUPT when there are manifests and none can be
 * read. */
int source_history(struct source *source, const char *folder, bool with_marks, struct source_history *ret_history,
                   struct err *err) ERR_CHECK;
void source_history_done(struct source_history *history);
/* The manifest of one set; checked against the set (ERR_CORRUPT when it is another's). ERR_NOT_FOUND. */
int source_manifest(struct source *source, const char *folder, const struct backup *set, struct manifest *ret_m,
                    struct err *err) ERR_CHECK;
/* Are its objects there, as large as the manifest says? Reads none of them. ERR_NOT_FOUND, ERR_CORRUPT. */
int source_probe(struct source *source, const char *folder, const struct manifest *m, struct err *err) ERR_CHECK;
/* One object (stripe) as plain bytes, sizes and hashes checked on the way: what the sink made is good only when this
 * returned 0. */
int source_fetch(struct source *source, const char *folder, const struct manifest_object *object, const struct pipe_sink *sink,
                 const struct pipe_control *control, struct err *err) ERR_CHECK;
void source_free(struct source *source); /* NULL is allowed */

/*
 * Which chains a name means: a folder, a current name, else an older one. Candidates newest first (a database that was
 * dropped and made again has several); the engine takes the newest that covers the target and says so. ret_indexes is
 * mem_free()d. ERR_NOT_FOUND suggests what is near.
 */
int source_find(const struct source_list *list, const char *name, size_t **ret_indexes, size_t *ret_count,
                struct err *err) ERR_CHECK;

/* A store alone: manifests are listed and read, `readers` at once (0: 8). The store is borrowed. */
int source_store_open(struct store *store, const char *scope, unsigned readers, struct source **ret_source,
                      struct err *err) ERR_CHECK;

/* A store and the file of a catalog that somebody else writes: histories come from there, manifests and objects from the
 * store. `holes` (may be NULL) gives the recorded holes of a folder: an array on the heap. */
struct source_catalog_params {
    struct store *store;
    const char *scope;
    const char *catalog_path;
    int (*extras)(void *user, const char *folder, struct source_history *history, struct err *err); /* holes, quiet_until_at */
    void *user;
};
int source_catalog_open(const struct source_catalog_params *params, struct source **ret_source, struct err *err) ERR_CHECK;

#endif
