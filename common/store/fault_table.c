/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/fault.h"
#include "common/base/mem.h"
#include "common/store/store_int.h"

static const char *const names[STORE_STEP_COUNT] = {
    [STORE_STEP_OBJECT_WRITE] = "store.object.write",
    [STORE_STEP_OBJECT_SYNC] = "store.object.sync",
    [STORE_STEP_OBJECT_RENAME] = "store.object.rename",
    [STORE_STEP_OBJECT_DIR_SYNC] = "store.object.dirsync",
    [STORE_STEP_MANIFEST_WRITE] = "store.manifest.write",
    [STORE_STEP_MANIFEST_SYNC] = "store.manifest.sync",
    [STORE_STEP_MANIFEST_RENAME] = "store.manifest.rename",
    [STORE_STEP_MANIFEST_DIR_SYNC] = "store.manifest.dirsync",
    [STORE_STEP_LINEAGE_RENAME] = "store.lineage.rename",
    [STORE_STEP_INSTANCE_RENAME] = "store.instance.rename",
    [STORE_STEP_HOLD_RENAME] = "store.hold.rename",
    [STORE_STEP_SMALL_RENAME] = "store.small.rename",
    [STORE_STEP_REMOVE] = "store.remove",
    [STORE_STEP_CATALOG_APPEND] = "catalog.append",
    [STORE_STEP_CATALOG_SYNC] = "catalog.sync",
    [STORE_STEP_CATALOG_MARK] = "catalog.mark",
    [STORE_STEP_CATALOG_RENAME] = "catalog.rename",
};

const char *const *store_fault_points(size_t *ret_count) {
    *ret_count = ARRAY_LEN(names);
    return names;
}

int store_step_before(enum store_step step, struct err *err) {
    return step == STORE_STEP_NONE ? 0 : fault_point(names[step], FAULT_BEFORE, err);
}

int store_step_after(enum store_step step, struct err *err) {
    return step == STORE_STEP_NONE ? 0 : fault_point(names[step], FAULT_AFTER, err);
}
