/* SPDX-License-Identifier: Apache-2.0 */
/* instance.json in the store: what somebody needs to make a replacement of this server when it is gone. */
#ifndef MSSQL_SIDECAR_DESCRIBE_H
#define MSSQL_SIDECAR_DESCRIBE_H

#include "sidecar/agent.h"

/* Gives the keeper the document as it is now; it writes it when something changed. */
void describe_instance(struct agent *agent);

#endif
