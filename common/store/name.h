/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names of the store layout (docs/reference/store-layout.md):
 *
 *     <namespace>/<instance>/lineage.json, instance.json
 *     <namespace>/<instance>/<database>~<family8>/{full,diff,log}/<first>-<last>-<finish>-<set8>.json
 *     <namespace>/<instance>/<database>~<family8>/holds/<id>.json
 *
 * A *scope* is "<namespace>/<instance>", a *folder* is "<database>~<family8>". Readers take folders as they find them.
 */
#ifndef MSSQL_STORE_NAME_H
#define MSSQL_STORE_NAME_H

#include <stdbool.h>
#include <stddef.h>

#include "common/chain/backup.h"
#include "common/store/store.h"

#define NAME_ENCODED_MAX 100 /* bytes of an encoded database name */
#define NAME_FOLDER_MAX (NAME_ENCODED_MAX + 1 + 8 + 1 + 10 + 1) /* with "~<family8>-<nth>" and terminator */
#define NAME_STEM_MAX (25 + 1 + 25 + 1 + 16 + 1 + 8 + 1)
#define NAME_SCOPE_MAX 512

/* Percent-encodes everything but letters, digits, '.', '_' and '-' (a leading '.' too), and cuts at 100 bytes without
 * cutting an escape or a UTF-8 sequence. */
void name_encode_database(char dst[NAME_ENCODED_MAX + 1], const char *database);
/* nth <= 1: "<database>~<family8>"; else "-<nth>" is appended, for a second chain of the same name and family. */
void name_folder(char dst[NAME_FOLDER_MAX], const char *database, const struct guid *family, unsigned nth);
/* ERR_CONFIG unless both are DNS names as Kubernetes has them (lower case, digits, '-', '.'). */
int name_scope(char dst[NAME_SCOPE_MAX], const char *kube_namespace, const char *instance, struct err *err) ERR_CHECK;

/* "<kind>/<stem>.json", relative to the folder. */
void name_manifest(char dst[STORE_NAME_MAX], const struct backup *backup);
/* "<kind>/<stem>.bak.zst", relative to the folder: .trn for logs, ".s<stripe>" when there are more stripes than one;
 * suffix is the filter's. stripe counts from 1. */
void name_object(char dst[STORE_NAME_MAX], const struct backup *backup, unsigned stripe, const char *suffix);
/* Is `name` (its last segment counts) shaped like a manifest of this layout? */
bool name_is_manifest(const char *name);
/* "<scope>/<folder>/<rest>". ERR_LIMIT when it is too long, ERR_USAGE when it is no name. */
int name_join(char dst[STORE_NAME_MAX], const char *scope, const char *folder, const char *rest, struct err *err) ERR_CHECK;

#endif
