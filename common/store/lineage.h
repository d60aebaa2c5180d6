/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who owns a scope of the store, so that two sidecars never mix their chains under one name.
 *
 * The identity is (cluster id, namespace, instance). The owner is a random token in the state directory of one sidecar.
 * Same owner: go on. Same identity, other owner: taken over with a new epoch when the old heartbeat is older than ten
 * minutes, else refused. Another cluster id: refused until adopted by hand.
 */
#ifndef MSSQL_STORE_LINEAGE_H
#define MSSQL_STORE_LINEAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"
#include "common/base/guid.h"
#include "common/store/name.h"
#include "common/store/store.h"

#define LINEAGE_DEAD_AFTER (10 * CLOCK_MINUTE)
#define LINEAGE_TEXT_MAX 256

struct lineage {
    struct guid cluster_id;
    char kube_namespace[LINEAGE_TEXT_MAX];
    char instance[LINEAGE_TEXT_MAX];
    struct guid owner;
    uint64_t epoch; /* counts owners, from 1 */
    int64_t created_at;
    int64_t adopted_at; /* start of this epoch */
    int64_t heartbeat_at;
    char holder[LINEAGE_TEXT_MAX]; /* for people: pod or host name of the owner */
};

enum lineage_outcome {
    LINEAGE_CREATED, /* the scope was empty */
    LINEAGE_OURS, /* as before */
    LINEAGE_ADOPTED, /* an older owner's, with a new epoch: say so */
};

/* Claims the scope for `want` (cluster_id, kube_namespace, instance, owner and holder are read). A zero cluster id means
 * "not known": the store's is taken. `adopt` is the operator's word: any owner and any cluster id is taken over. ret_now
 * gets what the store has now; ret_before (may be NULL) what it had, with epoch 0 when nothing.
 * ERR_CONFLICT says who owns it, since when and how to take it over; ERR_CORRUPT when lineage.json is not readable.  */
int lineage_claim(struct store *store, const struct lineage *want, bool adopt, int64_t now, struct lineage *ret_now,
                  struct lineage *ret_before, enum lineage_outcome *ret_outcome, struct err *err) ERR_CHECK;
/* Once a minute or so. ERR_CONFLICT when somebody else has taken over: stop writing. */
int lineage_heartbeat(struct store *store, struct lineage *mine, int64_t now, struct err *err) ERR_CHECK;
/* ERR_NOT_FOUND when the scope has none. */
int lineage_read(struct store *store, const char *scope, struct lineage *ret_lineage, struct err *err) ERR_CHECK;

/* instance.json: what a replacement needs. `document` is borrowed. */
int instance_write(struct store *store, const char *scope, const json_t *document, struct err *err) ERR_CHECK;
int instance_read(struct store *store, const char *scope, json_t **ret_document, struct err *err) ERR_CHECK;

#endif
