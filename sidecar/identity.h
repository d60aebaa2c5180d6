/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who this sidecar is. The cluster id and the owner token are random and made at the first start; they live in the state
 * directory. Losing the directory loses the owner token: the store is then taken over when the old heartbeat is old enough.
 */
#ifndef MSSQL_SIDECAR_IDENTITY_H
#define MSSQL_SIDECAR_IDENTITY_H

#include "common/base/err.h"
#include "common/base/guid.h"

struct identity {
    struct guid cluster_id; /* zero: take the store's */
    struct guid owner;
};

/* Reads <state_dir>/identity.json, or makes it. A cluster id that is given (text, may be NULL or "") wins over the file's.
 * ERR_CORRUPT when the file is not readable: it is not overwritten. */
int identity_load(const char *state_dir, const char *cluster_id, struct identity *ret_identity, struct err *err) ERR_CHECK;
/* Remembers the cluster id that the store told. */
int identity_save(const char *state_dir, const struct identity *identity, struct err *err) ERR_CHECK;

#endif
