/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_SIDECAR_STATUS_INT_H
#define MSSQL_SIDECAR_STATUS_INT_H

#include "sidecar/status.h"

Mssql__V1__Database *status_database(const struct agent *agent, const struct database *db);

#endif
