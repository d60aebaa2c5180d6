/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a status is news. Numbers that change while nothing happens (sizes, times of the next run, the moment that is restorable) are
 * not in a digest: the sidecar tells news at once and figures once a minute, and the controller knows the one from the other.
 */
#ifndef MSSQL_API_DIGEST_H
#define MSSQL_API_DIGEST_H

#include <stdint.h>

#include "mssql/v1/types.pb-c.h"

/* Everything but databases and counters. */
uint64_t digest_head(const Mssql__V1__Status *status);
uint64_t digest_database(const Mssql__V1__Database *database);

#endif
