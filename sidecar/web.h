/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP: /metrics, /healthz, /readyz, /status, /prestop. Probes mean "this process serves", never SQL Server, store or controller: a
 * sidecar that cannot do its work must not make kubelet restart anything.
 */
#ifndef MSSQL_SIDECAR_WEB_H
#define MSSQL_SIDECAR_WEB_H

#include "sidecar/agent.h"

int web_start(struct agent *agent, struct err *err) ERR_CHECK;
void web_stop(struct agent *agent);

#endif
