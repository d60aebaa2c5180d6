/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects that are read by name because nobody may watch them: Secrets, claims. What was read is remembered. One that is there is
 * read again when it is asked for after five minutes; one that is not there, or may not be read, again and again at growing
 * distances, as long as somebody waits for it. Values of Secrets are not kept: only which keys there are.
 */
#ifndef MSSQL_CONTROLLER_RUN_READS_H
#define MSSQL_CONTROLLER_RUN_READS_H

#include "controller/kube/client.h"
#include "controller/reconcile/world.h"

struct reads;

/* changed() runs for each key that waits when the answer is another one than before. */
struct reads *reads_new(struct ev_loop *ev, struct kube_client *client, void (*changed)(void *user, const char *key), void *user);
void reads_free(struct reads *reads);
/* What is known. `waiter` hears of changes. */
enum world_known reads_get(struct reads *reads, enum world_kind kind, const char *namespace, const char *name, const char *waiter,
                           const json_t **ret_object);
/* Reads it now, unless that is under way. */
void reads_want(struct reads *reads, enum world_kind kind, const char *namespace, const char *name, const char *waiter);
/* We wrote it: this is how it is. */
void reads_put(struct reads *reads, enum world_kind kind, json_t *object);
/* The object that waited is gone. */
void reads_forget(struct reads *reads, const char *waiter);

#endif
