/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's state as messages of proto/mssql/v1, for gRPC, /status and the controller. */
#ifndef MSSQL_SIDECAR_STATUS_H
#define MSSQL_SIDECAR_STATUS_H

#include "common/api/message.h"
#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/agent.h"

/* patterns: only databases that fit one of them; none: all. Free with status_free(). */
Mssql__V1__Status *status_build(struct agent *agent, char *const *patterns, size_t pattern_count, bool with_databases);
void status_free(Mssql__V1__Status *status);

/* Pieces that other answers hold (backups, holes and the like: common/api/message.h). */
Mssql__V1__ChainState status_chain_state(enum chain_state state);
Mssql__V1__ResultState status_outcome(enum outcome outcome);
/* The pauses in force, appended to an empty repeated field. */
void status_pauses(const struct agent *agent, size_t *n, Mssql__V1__Pause ***list);
/* Repeated fields: room for one more pointer. */
#define STATUS_APPEND(message, field, value)                                                                                     \
    do {                                                                                                                         \
        (message)->field = mem_realloc((message)->field, ((message)->n_##field + 1) * sizeof(*(message)->field));                \
        (message)->field[(message)->n_##field++] = (value);                                                                      \
    } while (0)

#endif
