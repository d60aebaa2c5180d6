/* SPDX-License-Identifier: Apache-2.0 */
/* From an instance to its policy, and from a policy to what the sidecar gets. */
#ifndef MSSQL_RECONCILE_POLICY_SPEC_H
#define MSSQL_RECONCILE_POLICY_SPEC_H

#include <jansson.h>

#include "common/base/err.h"

/* "<instance>-backup-policy"; mem_free() it. */
char *policy_name_of(const char *instance);
/* The MSSQLBackupPolicy of an MSSQLInstance: whole object without apiVersion and kind. */
json_t *policy_of_instance(const json_t *instance);
/* Is `policy` (an object of the cluster) still what `wanted` (of policy_of_instance()) says? */
bool policy_is_current(const json_t *policy, const json_t *wanted);
/* What the sidecar gets, checked with the sidecar's own rules. ERR_CONFIG or ERR_UNSUPPORTED, with the key. */
int policy_for_sidecar(const json_t *spec, json_t **ret_policy, struct err *err) ERR_CHECK;

#endif
