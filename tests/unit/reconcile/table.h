/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of cases for reconcilers, tests/data/reconcile/KIND.json:
 *
 *     {"base": WORLD, "cases": [{"title": "...", "world": MERGE PATCH OF base, "expect": {...}}]}
 *
 * WORLD: {"now": time, "settings": {...}, "object": {...}, "there": {"Kind/namespace/name": object},
 *         "unread": ["Kind/namespace/name"], "forbidden": [...], "sessions": {pod uid: {...}}, "commands": {id: {...}}}
 *
 * expect: "status" and "actions" (one after the other, in this order) must be within what came out; objects may have more, a
 * list of conditions or databases is compared by type or name, other lists one by one. "absent": actions that must not be
 * there (none is within what came out). "same": true = no status is written. "requeueAt". "urgent": as status_urgent() says.
 */
#ifndef MSSQL_TEST_RECONCILE_TABLE_H
#define MSSQL_TEST_RECONCILE_TABLE_H

#include "controller/reconcile/actions.h"

/* Runs every case; the number that failed, each said on stderr. */
int table_run(const char *name, reconcile_fn *reconcile);

#endif
