/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MSSQL_CONTROLLER_RUN_INT_H
#define MSSQL_CONTROLLER_RUN_INT_H

#include "controller/kube/cache.h"
#include "controller/kube/events.h"
#include "controller/kube/limit.h"
#include "controller/kube/map.h"
#include "controller/kube/queue.h"
#include "controller/run/reads.h"
#include "controller/run/run.h"

#define RUN_KEY_MAX 600

/* What is remembered of an object between two looks at it. */
struct memo {
    char *key;
    char *uid;
    char *signature; /* of what others depend on */
    json_t *written; /* the object as our last write left it, until the cache has it */
    int64_t figures_us; /* monotonic: when its status was written last */
};

/* A command that was given or heard of. */
struct errand {
    char *id, *pod_uid;
};

struct run_watch { /* what the callbacks of one cache get */
    struct run *run;
    enum world_kind kind;
    struct kube_cache *cache;
    bool synced;
    struct err trouble;
};

struct work;

struct run {
    struct run_options options;
    struct world_settings settings;
    struct run_watch watches[WORLD_WATCHED_COUNT];
    struct kube_queue *queue;
    struct kube_events *events;
    struct reads *reads;
    struct kube_map memos; /* key -> memo */
    struct kube_map keys; /* uid of an object of ours -> its memo */
    struct kube_map pods; /* uid -> "namespace/name" */
    struct kube_map errands; /* id -> errand */
    struct kube_limit figures; /* of all objects together */
    ev_timer timer;
    bool leading, stopping;
    struct work *working;
    void (*idle)(void *user);
    void *idle_user;
};

/* "Kind/namespace/name". */
void run_key(char dst[RUN_KEY_MAX], enum world_kind kind, const char *namespace, const char *name);
/* False when it is no key. The parts point into `key` copies. */
bool run_key_split(const char *key, enum world_kind *ret_kind, char namespace[254], char name[254]);

/* feed.c: what a change means for others. */
void feed_changed(void *user, enum kube_event_type type, const json_t *object);
void feed_all(struct run *run);

/* view.c: the world from caches, reads and sidecars. */
extern const struct world_ops view_ops;
/* As it is now: the cache's, or what we wrote when that is newer. */
const json_t *view_object(struct run *run, enum world_kind kind, const char *namespace, const char *name);

/* memo.c */
struct memo *memo_get(struct run *run, const char *key); /* NULL = none */
struct memo *memo_make(struct run *run, const char *key, const char *uid);
void memo_drop(struct run *run, const char *key);
void errand_note(struct run *run, const char *id, const char *pod_uid);
const struct errand *errand_get(const struct run *run, const char *id);
void errand_drop(struct run *run, const char *id);
void memo_done(struct run *run);

/* worker.c */
void worker_kick(struct run *run);
void worker_cancel(struct run *run);

#endif
