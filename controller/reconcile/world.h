/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reconciler sees: one object, what stands around it, the sidecars, the time. Read-only. A reconciler is a pure function of
 * it: the same world gives the same actions, and unit tests make worlds from JSON.
 *
 * Objects that nobody watches (Secrets, claims) are WORLD_UNREAD until somebody has asked for them (world_want()); the answer
 * brings the key again.
 */
#ifndef MSSQL_RECONCILE_WORLD_H
#define MSSQL_RECONCILE_WORLD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "controller/kube/kind.h"

enum world_kind {
    WORLD_INSTANCE,
    WORLD_POLICY,
    WORLD_BACKUP,
    WORLD_REQUEST,
    WORLD_JOB,
    WORLD_OWN_COUNT, /* the kinds above have a reconciler each */
    WORLD_POD = WORLD_OWN_COUNT,
    WORLD_SERVICE,
    WORLD_WATCHED_COUNT, /* the kinds above are watched, the ones below are read by name */
    WORLD_SECRET = WORLD_WATCHED_COUNT,
    WORLD_CLAIM,
    WORLD_STATEFULSET,
    WORLD_KIND_COUNT,
};
const struct kube_kind *world_kind_of(enum world_kind kind);
/* WORLD_KIND_COUNT when there is none of the name ("MSSQLInstance"). */
enum world_kind world_kind_named(const char *name);

enum world_known { WORLD_UNREAD, WORLD_ABSENT, WORLD_FORBIDDEN, WORLD_THERE };

/* What the fleet knows of the sidecar in one pod. Texts are never NULL. */
struct world_session {
    bool connected;
    int64_t since_at; /* of `connected` */
    const char *pod_uid, *version;
    const json_t *status; /* its newest mssql.v1.Status in the form of GET /status; NULL: none yet */
    const char *policy_uid; /* of the policy in force, as it was pushed */
    int64_t policy_generation;
    const char *refused_uid; /* of the last policy that it refused; "" = it took the last one */
    int64_t refused_generation;
    const char *policy_error; /* why it refused */
};

/* What became of a command; the newest one of its id, whichever pod it was given to. It is forgotten after actions_forget(). */
struct world_command {
    enum world_command_state { WORLD_COMMAND_PENDING, WORLD_COMMAND_RUNNING, WORLD_COMMAND_DONE } state;
    const char *pod_uid; /* who has it */
    int64_t moved_at; /* of the last sign of it */
    const json_t *progress; /* array: the newest BackupProgress or RestoreProgress per database; NULL = none */
    const json_t *result; /* DONE: the CommandResult. JSON as proto_json_from() makes it, empty fields included */
};

/* Where the parts of the world come from: caches and fleet, or a test's JSON. What is given back lives until the reconciler returns. */
struct world_ops {
    enum world_known (*get)(void *user, enum world_kind kind, const char *namespace, const char *name, const json_t **ret_object);
    /* Of a watched kind, in no order. */
    void (*each)(void *user, enum world_kind kind, const char *namespace, void (*fn)(void *fn_user, const json_t *object),
                 void *fn_user);
    bool (*session)(void *user, const char *pod_uid, struct world_session *ret_session); /* false: never seen */
    bool (*command)(void *user, const char *id, struct world_command *ret_command); /* false: not known */
};

struct world_settings {
    bool provisioning; /* StatefulSets and Services of restore targets may be made */
    const char *service_dns; /* "cluster.local" */
    int64_t leading_since_at; /* sidecars need a while to come to a new leader */
    int64_t reconnect_ms; /* so long a sidecar may be away before its conditions become Unknown */
    int64_t missing_ms; /* so long something that an object names may be missing before it fails */
    int64_t no_progress_ms; /* a command without any sign for so long is given up, where the object does not say it */
};

struct world {
    const struct world_ops *ops;
    void *user;
    const struct world_settings *settings;
    int64_t now_at;
    const json_t *object; /* never NULL */
    const char *namespace, *name, *uid; /* of the object */
    int64_t generation;
};

/* Fills namespace, name, uid and generation from the object. */
void world_begin(struct world *world);
enum world_known world_get(const struct world *world, enum world_kind kind, const char *namespace, const char *name,
                           const json_t **ret_object);
void world_each(const struct world *world, enum world_kind kind, const char *namespace,
                void (*fn)(void *fn_user, const json_t *object), void *fn_user);
bool world_command(const struct world *world, const char *id, struct world_command *ret_command);
/* May `object` be referred to from `namespace`? Yes in its own; else when its annotation mssql.dbaas.cozy.io/allow-from names
 * the namespace or "*". */
bool world_may_refer(const json_t *object, const char *namespace);

#define WORLD_ANNOTATION "mssql.dbaas.cozy.io/"

#endif
