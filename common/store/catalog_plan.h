/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plans from the catalog file. A plan needs few of the sets that a database has: those around the target and behind it
 * back to where nothing older can be cheaper. So a part is read, as much again and again as it takes; all only when the
 * target is refused, is a mark, or when full backups are so large beside the logs that any may be the cheapest.
 */
#ifndef MSSQL_STORE_CATALOG_PLAN_H
#define MSSQL_STORE_CATALOG_PLAN_H

#include "common/chain/plan.h"
#include "common/store/catalog.h"

struct catalog_plan {
    struct backup *sets; /* what was read; the plan's members are indexes of it */
    size_t count;
    struct chain_history history;
    bool planned;
    struct chain_plan plan; /* when planned */
    struct chain_refusal refusal; /* else */
};

/* request->history is not looked at. A refusal is success here. ERR_CORRUPT: rebuild the catalog. */
int catalog_plan_build(const struct catalog *catalog, uint32_t database, const struct chain_plan_request *request,
                       struct catalog_plan *ret_plan, struct err *err) ERR_CHECK;
void catalog_plan_done(struct catalog_plan *plan);

#endif
