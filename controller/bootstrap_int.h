/* SPDX-License-Identifier: Apache-2.0 */
/* For bootstrap*.c only: one run, item after item. */
#ifndef MSSQL_CONTROLLER_BOOTSTRAP_INT_H
#define MSSQL_CONTROLLER_BOOTSTRAP_INT_H

#include "controller/bootstrap.h"
#include "controller/kube/client.h"

typedef void bootstrap_done_fn(void *user, const struct kube_result *result);

struct bootstrap_run {
    const struct bootstrap *plan;
    struct kube_config config;
    struct kube_client *client;
    struct ev_loop *ev;
    const char *namespace;
    unsigned at, looks;
    char *authority; /* PEM, of the last CERTIFICATE or AUTHORITY */
    const char *patch; /* what the patch under way does */
    struct err *err;
    int result;
};

static inline const struct bootstrap_item *bootstrap_item(const struct bootstrap_run *run) {
    return &run->plan->items[run->at];
}

/* The item is done: what became of it, for the log. */
void bootstrap_next(struct bootstrap_run *run, const char *what);
/* Takes body; `what` for the log when it is done. */
void bootstrap_patch(struct bootstrap_run *run, json_t *body, const char *what);
void bootstrap_keep(struct bootstrap_run *run);

/* ---- bootstrap_items.c: what is different from kind to kind ---- */

/* The object to create, without kind and metadata. NULL with err. */
json_t *bootstrap_body(struct bootstrap_run *run, struct err *err);
/* It is there: goes on with next, patch or keep. -1: it is not what it should be. */
int bootstrap_found(struct bootstrap_run *run, const json_t *object, struct err *err) ERR_CHECK;

#endif
