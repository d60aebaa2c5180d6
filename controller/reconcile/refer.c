/* SPDX-License-Identifier: Apache-2.0 */
#include "controller/reconcile/refer.h"

#include <string.h>

#include "common/base/str.h"
#include "controller/reconcile/look.h"

static void follow(const struct world *world, enum world_kind kind, const char *field, const json_t *ref, struct refer *r) {
    const char *name = look_text(ref, "name"), *namespace = look_text(ref, "namespace");
    *r = (struct refer){.namespace = *namespace ? namespace : world->namespace};
    const json_t *object;
    enum world_known known = world_get(world, kind, r->namespace, name, &object);
    bool allowed = known == WORLD_THERE && world_may_refer(object, world->namespace);
    bool foreign = strcmp(r->namespace, world->namespace) != 0;
    if (allowed) {
        r->object = object;
        return;
    }
    /* what is there and what is not looks the same from a namespace that may not refer to it */
    r->reason = kind == WORLD_POLICY ? "PolicyNotFound" : "InstanceNotFound";
    (void)str_format(r->text, sizeof(r->text), "%s %.253s not found in namespace %.63s%s", field, name, r->namespace,
                     foreign ? ", or its annotation " WORLD_ANNOTATION "allow-from does not name this namespace" : "");
}

void refer_policy(const struct world *world, const json_t *ref, struct refer *ret_refer) {
    follow(world, WORLD_POLICY, "policyRef", ref, ret_refer);
}

void refer_instance(const struct world *world, const json_t *ref, struct refer *ret_refer) {
    follow(world, WORLD_INSTANCE, "instanceRef", ref, ret_refer);
}
