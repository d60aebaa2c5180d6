/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of placement. */
#ifndef MSSQL_RESTORE_PLACE_INT_H
#define MSSQL_RESTORE_PLACE_INT_H

#include "common/restore/place.h"

/* The owner of a path in normal form; fold: one that differs in case only counts too. */
const char *taken_lookup(const struct restore_taken *taken, const char *normal, bool fold);

/* A free path in `dir` (normal form, without trailing slash) for a file that the backup has at `source_path`. NULL and err when
 * there is none. mem_free() it. */
char *place_name(const struct restore_place *place, const char *dir, const char *source_path, char type, struct err *err);

#endif
