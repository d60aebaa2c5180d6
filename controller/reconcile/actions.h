/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reconciler wants done. Everything is idempotent: what was done already may be asked for again. They are carried out in
 * order, and the status is written last; when one fails the key comes again.
 */
#ifndef MSSQL_RECONCILE_ACTIONS_H
#define MSSQL_RECONCILE_ACTIONS_H

#include "controller/reconcile/world.h"

enum action_type {
    ACTION_APPLY, /* server-side apply of `body`, fields of others are taken */
    ACTION_CREATE, /* `body`, when there is none of the name: one that is there stays as it is */
    ACTION_DELETE, /* kind, namespace, name, only with this uid */
    ACTION_READ, /* kind, namespace, name: for a world_get() of the next time */
    ACTION_EVENT, /* reason, text, warning: about the object */
    ACTION_PUSH, /* policy of the object to pod_uid: `body`, with the object's uid and generation */
    ACTION_COMMAND, /* id and `body` to pod_uid: {"runBackup": {...}}, as mssql.v1.Command in JSON */
    ACTION_CANCEL, /* id at pod_uid */
    ACTION_FORGET, /* id at pod_uid: its result is in the status */
};

struct action {
    enum action_type type;
    enum world_kind kind;
    char *namespace, *name, *uid;
    json_t *body;
    char *pod_uid, *id;
    bool warning;
    char *reason, *text;
    int64_t deadline_at; /* COMMAND: not begun after it; 0 = none */
};

struct actions {
    struct action *list;
    size_t count, cap;
    json_t *status; /* the whole status that the object should have; NULL = leave it alone */
    int64_t requeue_at; /* wall time; 0 = only when something changes */
};

void actions_init(struct actions *actions);
void actions_done(struct actions *actions);

/* `body` is taken. */
void actions_apply(struct actions *actions, enum world_kind kind, json_t *body);
void actions_create(struct actions *actions, enum world_kind kind, json_t *body);
void actions_delete(struct actions *actions, enum world_kind kind, const json_t *object);
void actions_event(struct actions *actions, bool warning, const char *reason, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void actions_push(struct actions *actions, const char *pod_uid, json_t *policy);
void actions_command(struct actions *actions, const char *pod_uid, const char *id, int64_t deadline_at, json_t *body);
void actions_cancel(struct actions *actions, const char *pod_uid, const char *id);
void actions_forget(struct actions *actions, const char *pod_uid, const char *id);
/* The earliest time that was asked for counts. */
void actions_requeue(struct actions *actions, int64_t at);
/* For tests and the debug log: {"actions": [...], "status": {...}, "requeueAt": ...}. */
json_t *actions_to_json(const struct actions *actions);

/* world_get() that asks for what was not read. */
enum world_known world_want(const struct world *world, struct actions *actions, enum world_kind kind, const char *namespace,
                            const char *name, const json_t **ret_object);

/* One for each kind. They never fail: what is wrong goes into the status. */
typedef void reconcile_fn(const struct world *world, struct actions *actions);
reconcile_fn reconcile_instance, reconcile_policy, reconcile_backup, reconcile_request, reconcile_job;

#endif
