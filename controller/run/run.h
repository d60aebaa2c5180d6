/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared I/O around the reconcilers: caches of what is watched, a queue of keys, and a worker that looks, decides and acts.
 *
 * A key is "Kind/namespace/name". Whatever happens (an object changes, a sidecar speaks, a command ends, a time comes) only puts
 * keys into the queue. The worker takes one, makes the world of it, calls its reconciler, and carries out what that wants: so it
 * does not matter how often or in which order things are told, nor what was told to a process that is gone.
 *
 * Everything runs on the loop.
 */
#ifndef MSSQL_CONTROLLER_RUN_H
#define MSSQL_CONTROLLER_RUN_H

#include <ev.h>

#include "controller/kube/client.h"
#include "controller/reconcile/actions.h"

struct run;

/* The sidecars, as the worker needs them; fleet_link.c stands behind it, and tests put their own there. */
struct run_sidecars {
    void *user;
    bool (*session)(void *user, const char *pod_uid, struct world_session *ret_session);
    bool (*command)(void *user, const char *pod_uid, const char *id, struct world_command *ret_command);
    int (*push)(void *user, const char *pod_uid, const char *uid, int64_t generation, const json_t *policy, struct err *err);
    int (*give)(void *user, const char *pod_uid, const char *id, int64_t deadline_at, const json_t *body, struct err *err);
    void (*cancel)(void *user, const char *pod_uid, const char *id);
    void (*acknowledge)(void *user, const char *pod_uid, const char *id);
    void (*gone)(void *user, const char *pod_uid); /* the pod does not exist any more */
};

struct run_hooks { /* for metrics; any may be NULL */
    void *user;
    void (*reconciled)(void *user, const char *kind, bool failed, double seconds);
    void (*status_written)(void *user, const char *kind, bool urgent);
    void (*watch_restarted)(void *user, const char *kind, const char *why);
};

struct run_options {
    struct ev_loop *ev;
    struct kube_client *client; /* must live longer */
    const char *const *namespaces; /* NULL-terminated; NULL = all */
    struct world_settings settings; /* leading_since_at is filled by run_lead() */
    struct run_sidecars sidecars; /* session NULL: there are none */
    struct run_hooks hooks;
};

/* Begins to watch. Nothing is written before run_lead(). */
struct run *run_new(const struct run_options *options);
void run_free(struct run *run);
/* From here on keys are worked on, all of them once. Only for the one that leads. */
void run_lead(struct run *run);
/* Takes no more keys; `idle` runs when nothing is under way any more. */
void run_stop(struct run *run, void (*idle)(void *user), void *user);
bool run_synced(const struct run *run);
/* What cannot be read, one line each; "" = nothing. */
void run_trouble(const struct run *run, struct buf *out);

/* ---- what the fleet tells ---- */

/* Anything about the sidecar of this pod: its session, status or policy. figures: only figures moved. */
void run_sidecar_changed(struct run *run, const char *pod_uid, bool figures);
void run_command_changed(struct run *run, const char *pod_uid, const char *id);
/* The pod with this name and uid, as the cache has it; NULL = there is none. */
const json_t *run_pod(const struct run *run, const char *namespace, const char *name, const char *uid);

struct kube_queue_stats;
void run_queue_stats(const struct run *run, struct kube_queue_stats *ret_stats);
size_t run_objects(const struct run *run, enum world_kind kind);
/* Of a watched kind, in no order. */
void run_each(const struct run *run, enum world_kind kind, void (*fn)(void *user, json_t *object), void *user);

#endif
