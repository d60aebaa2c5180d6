/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups in a store: ship the bytes, commit the manifest, find and read them again. Nothing here needs a state
 * directory, so the command line works on a store alone.
 */
#ifndef MSSQL_STORE_BACKUPS_H
#define MSSQL_STORE_BACKUPS_H

#include "common/pipe/pipe.h"
#include "common/store/manifest.h"
#include "common/store/name.h"
#include "common/store/store.h"

/* Ships one staged file as one object and describes it in ret_object (an entry of manifest_add_object(); its stripe must be
 * set, everything else is overwritten). `name` is relative to the folder, from name_object(). The object is durable and
 * visible when this returns 0, but no backup yet: only the manifest makes it one.
 *
 * Ask store_find_backup() first: shipping over the object of a committed backup is refused (ERR_EXISTS). */
int store_ship_object(struct store *store, const char *scope, const char *folder, const struct backup *backup, const char *name,
                      const struct pipe_spec *spec, const struct pipe_source *source, const struct pipe_control *control,
                      struct manifest_object *ret_object, struct err *err) ERR_CHECK;

/* Reads an object back as plain bytes into the sink, checking sizes and hashes of the manifest on the way. */
int store_fetch_object(struct store *store, const char *scope, const char *folder, const struct manifest_object *object,
                       const struct pipe_sink *sink, const struct pipe_control *control, struct err *err) ERR_CHECK;

/* Writes the manifest: the commit. The objects must be there with the sizes that it says (ERR_CORRUPT otherwise). Writing
 * the same backup again is success; another content under the same name is ERR_EXISTS. ret_name (may be NULL) gets the
 * manifest's whole name. */
int store_commit_backup(struct store *store, const char *scope, const struct manifest *m, char ret_name[STORE_NAME_MAX],
                        struct err *err) ERR_CHECK;

/* Is this set committed already? ERR_NOT_FOUND when not. */
int store_find_backup(struct store *store, const char *scope, const char *folder, const struct backup *backup,
                      struct manifest *ret_m, struct err *err) ERR_CHECK;

/* Reads one by its whole name, and checks that its name is the one that its content asks for (ERR_CORRUPT). */
int store_read_manifest(struct store *store, const char *name, struct manifest *ret_m, struct err *err) ERR_CHECK;

/* Removes a backup: the manifest first, then its objects. Missing parts are success, so it may be repeated. The caller
 * (retention) knows that nothing needs it. */
int store_remove_backup(struct store *store, const char *scope, const struct manifest *m, struct err *err) ERR_CHECK;

/* ---- listing; all are paged, in byte order; non-zero from fn ends it and is returned ---- */

/* fn gets the scope "<namespace>/<instance>". */
typedef int store_scope_fn(void *user, const char *scope, struct err *err);
int store_list_instances(struct store *store, store_scope_fn *fn, void *user, struct err *err) ERR_CHECK;
/* fn gets the folder. The database's whole name is in its manifests. */
typedef int store_folder_fn(void *user, const char *folder, struct err *err);
int store_list_databases(struct store *store, const char *scope, store_folder_fn *fn, void *user, struct err *err) ERR_CHECK;

/* A place in the listing of one database: kinds in the order full, diff, log, names by LSN inside. Start with {0}. */
struct store_cursor {
    unsigned kind; /* enum backup_kind; BACKUP_KIND_COUNT: at the end */
    char after[STORE_NAME_MAX]; /* "" at the start of a kind */
};
/* The next up to `limit` manifests (names only, whole) of one database. The cursor moves behind them; the listing is at its
 * end when cursor->kind is BACKUP_KIND_COUNT. A cursor is text in its parts and survives a restart. */
int store_list_manifests(struct store *store, const char *scope, const char *folder, struct store_cursor *cursor, unsigned limit,
                         store_entry_fn *fn, void *user, struct err *err) ERR_CHECK;

#endif
