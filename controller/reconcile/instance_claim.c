/* SPDX-License-Identifier: Apache-2.0 */
/* The claim that backups are kept on. It is made when it is absent, and never changed: what holds backups belongs to people. Only
 * with deletionPolicy Delete, and only one that was made here, it goes with the instance. */
#include <string.h>

#include "common/base/mem.h"
#include "common/base/str.h"
#include "controller/reconcile/instance_int.h"
#include "controller/reconcile/look.h"

#define MADE_FOR WORLD_ANNOTATION "made-for"
#define DATA_FOLDER "/var/opt/mssql"

static bool managed(const json_t *spec) {
    return look_bool(spec, "storage.manageBackupPVC", look_bool(spec, "storage.managePVC", true));
}

/* Backups go to a claim at all? */
static bool wanted(const json_t *spec) {
    const char *mode = look_text(spec, "mode");
    return !*mode || !strcmp(mode, "local_pvc") || look(spec, "storage.backupData");
}

static json_t *metadata(const struct world *world, const char *name, bool owned) {
    json_t *meta = json_pack("{s:s, s:s, s:{s:s}, s:{s:s}}", "name", name, "namespace", world->namespace, "labels",
                             "app.kubernetes.io/managed-by", "mssql-controller", "annotations", MADE_FOR, world->uid);
    if (owned)
        json_object_set_new(meta, "ownerReferences",
                            json_pack("[{s:s, s:s, s:s, s:s}]", "apiVersion", "dbaas.cozy.io/v1alpha1", "kind", "MSSQLInstance",
                                      "name", world->name, "uid", world->uid));
    return meta;
}

static json_t *claim(const struct world *world, const char *name, bool owned) {
    const json_t *data = look(world->object, "spec.storage.backupData");
    const char *size = look_text(data, "size"), *class = look_text(data, "storageClassName");
    json_t *modes = look(data, "accessModes");
    json_t *spec = json_pack("{s:{s:{s:s}}, s:o}", "resources", "requests", "storage", *size ? size : "200Gi", "accessModes",
                             json_array_size(modes) ? json_incref(modes) : json_pack("[s]", "ReadWriteOnce"));
    look_put_text(spec, "storageClassName", class);
    return json_pack("{s:o, s:o}", "metadata", metadata(world, name, owned), "spec", spec);
}

/* Made by us for this very object, so deletionPolicy may decide over it. */
static bool ours(const struct world *world, const json_t *object) {
    const char *uid = json_string_value(json_object_get(look(object, "metadata.annotations"), MADE_FOR));
    return uid && !strcmp(uid, world->uid);
}

static bool owned_now(const struct world *world, const json_t *object) {
    size_t i;
    json_t *owner;
    json_array_foreach(look(object, "metadata.ownerReferences"), i, owner) {
        if (!strcmp(look_text(owner, "uid"), world->uid))
            return true;
    }
    return false;
}

static void backup_claim(const struct world *world, const char *name, bool make, struct status *status, struct actions *actions) {
    const json_t *spec = look(world->object, "spec"), *object;
    bool owned = !strcmp(look_text(spec, "deletionPolicy"), "Delete");
    switch (world_want(world, actions, WORLD_CLAIM, world->namespace, name, &object)) {
    case WORLD_UNREAD:
        status_condition_keep(status, "BackupClaim", "NotReadYet", "the claim was not read yet");
        break;
    case WORLD_FORBIDDEN:
        status_condition(status, "BackupClaim", TRUTH_UNKNOWN, "Forbidden",
                         "the controller may not get persistentvolumeclaims in namespace %s: grant it, or make claim %s yourself",
                         world->namespace, name);
        break;
    case WORLD_ABSENT:
        if (managed(spec) && make) {
            actions_create(actions, WORLD_CLAIM, claim(world, name, owned));
            actions_event(actions, false, "ClaimCreated", "claim %s for backups was made", name);
            status_condition(status, "BackupClaim", TRUTH_TRUE, "Created", "claim %s was made", name);
        } else {
            status_condition(status, "BackupClaim", TRUTH_FALSE, "Missing", "claim %s does not exist%s", name,
                             managed(spec) ? "" : ", and storage.managePVC says that it is not made: make it");
        }
        break;
    case WORLD_THERE:
        if (ours(world, object) && owned_now(world, object) != owned)
            actions_apply(actions, WORLD_CLAIM, json_pack("{s:o}", "metadata", metadata(world, name, owned)));
        status_condition(status, "BackupClaim", TRUTH_TRUE, "Exists", "claim %s is there", name);
        break;
    }
}

/* The claim behind the folder of SQL Server's data, as the pod has it. */
static const char *data_claim(const json_t *pod) {
    size_t c, m, v;
    json_t *container, *mount, *volume;
    json_array_foreach(look(pod, "spec.containers"), c, container) {
        json_array_foreach(look(container, "volumeMounts"), m, mount) {
            if (strcmp(look_text(mount, "mountPath"), DATA_FOLDER) != 0)
                continue;
            json_array_foreach(look(pod, "spec.volumes"), v, volume) {
                if (!strcmp(look_text(volume, "name"), look_text(mount, "name")))
                    return look_text(volume, "persistentVolumeClaim.claimName");
            }
        }
    }
    return "";
}

void instance_claims(const struct world *world, const struct found *found, bool make, struct status *status,
                     struct actions *actions) {
    const json_t *spec = look(world->object, "spec");
    const char *source = look_text(spec, "storage.sourceData.pvcName");
    if (!*source && found->pod)
        source = data_claim(found->pod);
    look_put_text(status->fresh, "sourcePVCName", *source ? source : look_text(status->old, "sourcePVCName"));
    if (!wanted(spec))
        return;
    const char *given = look_text(spec, "storage.backupData.pvcName");
    char *name = *given ? mem_strdup(given) : mem_printf("%s-backup-store", world->name);
    look_put_text(status->fresh, "backupPVCName", name);
    backup_claim(world, name, make, status, actions);
    mem_free(name);
}
