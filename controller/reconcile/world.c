/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/world.h"

#include <string.h>

#include "common/base/mem.h"
#include "controller/reconcile/look.h"

#define GROUP "dbaas.cozy.io"
#define VERSION "v1alpha1"

static const struct kube_kind own[WORLD_OWN_COUNT] = {
    [WORLD_INSTANCE] = {GROUP, VERSION, "MSSQLInstance", "mssqlinstances", true},
    [WORLD_POLICY] = {GROUP, VERSION, "MSSQLBackupPolicy", "mssqlbackuppolicies", true},
    [WORLD_BACKUP] = {GROUP, VERSION, "MSSQLBackup", "mssqlbackups", true},
    [WORLD_REQUEST] = {GROUP, VERSION, "MSSQLRestoreRequest", "mssqlrestorerequests", true},
    [WORLD_JOB] = {GROUP, VERSION, "MSSQLRestoreJob", "mssqlrestorejobs", true},
};

const struct kube_kind *world_kind_of(enum world_kind kind) {
    switch (kind) {
    case WORLD_POD:
        return &kube_pods;
    case WORLD_SERVICE:
        return &kube_services;
    case WORLD_SECRET:
        return &kube_secrets;
    case WORLD_CLAIM:
        return &kube_claims;
    case WORLD_STATEFULSET:
        return &kube_statefulsets;
    default:
        return &own[kind];
    }
}

enum world_kind world_kind_named(const char *name) {
    for (int k = 0; k < WORLD_KIND_COUNT; k++)
        if (!strcmp(world_kind_of((enum world_kind)k)->kind, name))
            return (enum world_kind)k;
    return WORLD_KIND_COUNT;
}

void world_begin(struct world *world) {
    world->namespace = kube_namespace(world->object);
    world->name = kube_name(world->object);
    world->uid = kube_uid(world->object);
    world->generation = look_int(world->object, "metadata.generation", 0);
}

enum world_known world_get(const struct world *world, enum world_kind kind, const char *namespace, const char *name,
                           const json_t **ret_object) {
    const json_t *object = NULL;
    enum world_known known = world->ops->get(world->user, kind, namespace, name, &object);
    *ret_object = known == WORLD_THERE ? object : NULL;
    return known;
}

void world_each(const struct world *world, enum world_kind kind, const char *namespace,
                void (*fn)(void *fn_user, const json_t *object), void *fn_user) {
    world->ops->each(world->user, kind, namespace, fn, fn_user);
}

bool world_command(const struct world *world, const char *id, struct world_command *ret_command) {
    return world->ops->command(world->user, id, ret_command);
}

bool world_may_refer(const json_t *object, const char *namespace) {
    if (!strcmp(kube_namespace(object), namespace))
        return true;
    const json_t *annotations = look(object, "metadata.annotations");
    const char *allowed = json_string_value(json_object_get(annotations, WORLD_ANNOTATION "allow-from"));
    size_t len = strlen(namespace);
    for (const char *p = allowed; p && *p; p += strcspn(p, ",")) {
        p += strspn(p, ", ");
        size_t word = strcspn(p, ", ");
        if ((word == 1 && *p == '*') || (word == len && !strncmp(p, namespace, len)))
            return true;
    }
    return false;
}
