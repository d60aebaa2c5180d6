/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A restore runs on a worker and sometimes needs the loop: the loop owns the chains, the journal's queues and the store's
 * order of commits. The worker hands a call over and waits for its end, which may come much later (when a backup is
 * committed) or never (when the program ends): it always comes back.
 */
#ifndef MSSQL_SIDECAR_RESTORE_HANDOFF_H
#define MSSQL_SIDECAR_RESTORE_HANDOFF_H

#include <ev.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "common/base/err.h"

struct handoff;
struct handoff_call;

/* On the loop; ends the call with handoff_end(), at once or later. `arg` is the worker's and is gone when the worker gave up
 * waiting: look at it in `fn` only. */
typedef void handoff_fn(struct handoff_call *call, void *arg);

struct handoff *handoff_new(struct ev_loop *loop);
/* Loop thread. Calls that wait, and those that come, end with ERR_CANCELLED. */
void handoff_stop(struct handoff *handoff);
/* After handoff_stop(), when no worker is left. */
void handoff_free(struct handoff *handoff);

/* On a worker. The result is what handoff_end() was given. cancel (may be NULL) ends the waiting, not what was begun. */
int handoff_run(struct handoff *handoff, handoff_fn *fn, void *arg, const atomic_bool *cancel, struct err *err) ERR_CHECK;
/* As handoff_run(), for what must not be left undone: cancel is looked at only after fn was called. Only the end of the program prevents
 * that. */
int handoff_must(struct handoff *handoff, handoff_fn *fn, void *arg, const atomic_bool *cancel, struct err *err) ERR_CHECK;
/* Loop thread: once per call. err class NONE is success. */
void handoff_end(struct handoff_call *call, const struct err *err);

#endif
