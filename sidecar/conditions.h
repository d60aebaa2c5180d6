/* SPDX-License-Identifier: Apache-2.0 */
/* Conditions: what a person or a controller asks first, with since when and why. Recomputed from the agent's state. */
#ifndef MSSQL_SIDECAR_CONDITIONS_H
#define MSSQL_SIDECAR_CONDITIONS_H

#include "sidecar/agent.h"

enum condition_type {
    CONDITION_READY,
    CONDITION_SQL_SERVER_REACHABLE,
    CONDITION_LOGIN_SUFFICIENT,
    CONDITION_STATE_WRITABLE,
    CONDITION_STAGING_WRITABLE,
    CONDITION_STORE_REACHABLE,
    CONDITION_FAILURE_DOMAIN_SEPARATED,
    CONDITION_LOG_CHAIN_INTACT,
    CONDITION_RPO_MET,
    CONDITION_ENCRYPTED,
    CONDITION_PAUSED,
    CONDITION_RESTORING,
    CONDITION_STORE_VERIFIED,
    CONDITION_RECOVERY_VERIFIED,
    CONDITION_COUNT,
};

enum condition_status { CONDITION_UNKNOWN, CONDITION_TRUE, CONDITION_FALSE };

struct condition {
    enum condition_status status;
    char reason[64];
    char message[512];
    int64_t since_at;
};

const char *condition_type_name(enum condition_type type);
/* Array of CONDITION_COUNT, owned by the agent. */
const struct condition *conditions_of(const struct agent *agent);
void conditions_update(struct agent *agent);
/* Restorable until, over all protected databases: the oldest; 0 when one has nothing. off_volume: only copies outside the data volume. */
int64_t conditions_recovery_point(const struct agent *agent, bool off_volume);

#endif
