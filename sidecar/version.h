/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_SIDECAR_VERSION_H
#define MSSQL_SIDECAR_VERSION_H

/* Set by the build from the project's version. */
#ifndef MSSQL_SIDECAR_VERSION
#define MSSQL_SIDECAR_VERSION "0.0.0-unversioned"
#endif

#endif
