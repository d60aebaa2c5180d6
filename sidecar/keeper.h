/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store keeper: opens the store, claims its scope, keeps the heartbeat, and owns the catalog. A store that is away is
 * asked again with growing pauses for ever; the rest of the sidecar goes on with the catalog it has.
 *
 * All calls on the loop thread. Blocking work runs on the keeper's own worker.
 */
#ifndef MSSQL_SIDECAR_KEEPER_H
#define MSSQL_SIDECAR_KEEPER_H

#include <ev.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"
#include "common/store/catalog.h"
#include "common/store/lineage.h"
#include "common/store/store.h"
#include "sidecar/identity.h"

struct keeper;

struct keeper_options {
    const char *url; /* of the store; NULL: no store is configured */
    const char *prefix; /* a folder below it, made when it is missing; "" none */
    const char *scope; /* "<namespace>/<instance>" */
    const char *kube_namespace;
    const char *instance;
    const char *holder; /* pod or host name, for people */
    const char *state_dir; /* identity.json and catalog live here */
    const char *data_path; /* on SQL Server's data volume: is the store on another one? */
    bool adopt; /* take the scope over whoever owns it: said by an operator */
    struct identity identity;
    int64_t heartbeat_ms; /* 0 = 60 s */
    int64_t retry_min_ms, retry_max_ms; /* pauses between attempts */
};

struct keeper_events {
    /* The store became usable (again), or the catalog was replaced: rebuild what was derived from it. */
    void (*ready)(void *user, bool catalog_is_new);
    /* It is not usable. Called once per change of the error's class. */
    void (*lost)(void *user, const struct err *err);
    void *user;
};

/* Opens the catalog at once when it is good, without the store. ERR_CONFLICT when another process has it. */
int keeper_new(struct ev_loop *loop, const struct keeper_options *options, const struct keeper_events *events,
               struct keeper **ret_keeper, struct err *err) ERR_CHECK;
/* Waits for the work that is under way. Workers that were lent the store must have ended. */
void keeper_free(struct keeper *keeper);

/* The store while it is usable, else NULL. For a worker: put it back on the loop thread when the worker is done. */
struct store *keeper_take_store(struct keeper *keeper);
void keeper_put_store(struct keeper *keeper, struct store *store);
/* The catalog, NULL before the first one was made from the store (then nothing may be decided or committed). */
struct catalog *keeper_catalog(struct keeper *keeper);
/* The catalog lacks a set that was committed, or does not take any more: it is opened again and caught up from the store, then
 * ready() is called. keeper_catalog() is NULL meanwhile. */
void keeper_catalog_stale(struct keeper *keeper);
/* A worker met this error of the store that it was lent and did not put back yet: classes that say the store itself is away begin a
 * reconnect, unless that one was given up already. */
void keeper_failed(struct keeper *keeper, const struct store *store, const struct err *err);
/* A worker succeeded: the store answers. */
void keeper_succeeded(struct keeper *keeper, int64_t now);

struct keeper_state {
    bool configured;
    bool usable;
    bool off_volume; /* store and data are on different volumes */
    bool catalog_damaged; /* being rebuilt */
    bool catalog_stuck; /* it cannot be written: the state directory is full or read-only */
    bool foreign; /* the scope belongs to somebody else */
    struct err error; /* why it is not usable */
    int64_t error_at;
    int64_t used_at; /* last success */
    struct lineage lineage;
    uint64_t unreadable_manifests; /* left out of the last rebuild */
    char first_unreadable[STORE_NAME_MAX];
};
/* Of a keeper that does not exist yet (NULL): a store that was not asked yet. */
const struct keeper_state *keeper_state(const struct keeper *keeper);
/* Document of instance.json, written when it differs from the last one; borrowed. */
void keeper_describe(struct keeper *keeper, json_t *document);

#endif
