/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_STORE_SCRUB_INT_H
#define MSSQL_STORE_SCRUB_INT_H

#include "common/store/scrub.h"

/* Counts and tells it. `set` may be NULL. */
void scrub_found(const struct scrub_options *options, struct scrub_totals *totals, enum scrub_kind kind, const char *name,
                 const struct backup *set, const struct err *err);

#endif
