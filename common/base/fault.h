/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fault points: named places where a durable step begins ("before") and where it is done ("after"). Tests list them from
 * the program (`mssql-sidecar --list-steps`) and make each one fail or kill the process:
 *
 *     MSSQL_FAULT=journal.taken:before:kill         kill -9 of ourselves there
 *     MSSQL_FAULT=journal.taken:before:enospc:3     the third time it is reached, the step fails with ENOSPC
 *     MSSQL_FAULT=journal.taken:before:pause:FILE   creates FILE there, goes on when it is gone
 *
 * Only builds with -Dfault_points=true look at the variable; in others the functions are empty.
 */
#ifndef MSSQL_BASE_FAULT_H
#define MSSQL_BASE_FAULT_H

#include "common/base/err.h"

enum fault_when { FAULT_BEFORE, FAULT_AFTER };

#ifdef MSSQL_FAULT_POINTS
/* Reads MSSQL_FAULT; call once at start. ERR_CONFIG when it is malformed. */
int fault_init(struct err *err) ERR_CHECK;
/* 0, or -1 with ERR_SPACE when the step is to fail; does not return when the process is to die. */
int fault_point(const char *step, enum fault_when when, struct err *err) ERR_CHECK;
#else
static inline int fault_init(struct err *err) {
    (void)err;
    return 0;
}
static inline int fault_point(const char *step, enum fault_when when, struct err *err) {
    (void)step, (void)when, (void)err;
    return 0;
}
#endif

#endif
