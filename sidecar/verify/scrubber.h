/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store is read again, all of it once in verification.scrubDays: one set at a time on a worker of its own, only while nothing waits
 * for the store, as slowly as the days allow. The position is durable, so a restart goes on. Loop thread.
 */
#ifndef MSSQL_SIDECAR_VERIFY_SCRUBBER_H
#define MSSQL_SIDECAR_VERIFY_SCRUBBER_H

#include "common/store/scrub.h"
#include "sidecar/agent.h"

/* What the status tells. */
struct scrub_progress {
    int64_t begun_at; /* of the pass that runs, or of the last one; 0: none began */
    bool running;
    int64_t ended_at; /* of the last whole pass, 0 none */
    uint64_t sets, stored_bytes; /* read by the pass that runs, or by the last one */
    uint64_t findings[SCRUB_KIND_COUNT]; /* the same; what the last whole pass found stays until this one ends */
};

void scrubber_start(struct agent *agent);
/* From the state directory, once it can be used. */
void scrubber_open(struct agent *agent);
void scrubber_tick(struct agent *agent, int64_t now, int64_t *next_at);
void scrubber_progress(const struct agent *agent, struct scrub_progress *ret_progress);
/* Waits for the worker. The store must still be there. */
void scrubber_stop(struct agent *agent);

#endif
