/* SPDX-License-Identifier: Apache-2.0 */
/* Many manifests of one folder, read by several threads at once. */
#ifndef MSSQL_RESTORE_MANIFESTS_H
#define MSSQL_RESTORE_MANIFESTS_H

#include "common/store/backups.h"

/* Whole names of manifests. */
struct manifest_names {
    char **items;
    size_t count, cap;
};

int manifest_names_list(struct store *store, const char *scope, const char *folder, struct manifest_names *ret_names,
                        struct err *err) ERR_CHECK;
void manifest_names_done(struct manifest_names *names);
/* "20261121T024700Z" inside the name: finish of the set; "" when the name has none. Points into the name. */
const char *manifest_name_finish(const char *name);

/* Called on the caller's thread once per name, in the order of the names. m is NULL when it could not be read: why says it.
 * The receiver may take m over by leaving an initialised one behind. Non-zero ends it. */
typedef int manifest_read_fn(void *user, const char *name, struct manifest *m, const struct err *why, struct err *err);
/* Reads those names with up to `readers` threads, in batches, so that memory stays bounded. */
int manifests_read(struct store *store, char *const *names, size_t count, unsigned readers, manifest_read_fn *fn, void *user,
                   struct err *err) ERR_CHECK;

#endif
