/* SPDX-License-Identifier: Apache-2.0 */
/* Following references between objects, with the texts that tools match on when one leads nowhere. */
#ifndef MSSQL_RECONCILE_REFER_H
#define MSSQL_RECONCILE_REFER_H

#include "controller/reconcile/world.h"

struct refer {
    const json_t *object; /* NULL: reason and text say why not */
    const char *namespace; /* where it was looked for */
    const char *reason;
    char text[600]; /* "policyRef x not found in namespace y" */
};

/* ref: {name, namespace}; without a namespace the object's own. */
void refer_policy(const struct world *world, const json_t *ref, struct refer *ret_refer);
void refer_instance(const struct world *world, const json_t *ref, struct refer *ret_refer);

#endif
