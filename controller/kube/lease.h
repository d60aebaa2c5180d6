/* SPDX-License-Identifier: Apache-2.0 */
/* Leader election on a Lease: the I/O around election.h. */
#ifndef MSSQL_KUBE_LEASE_H
#define MSSQL_KUBE_LEASE_H

#include "controller/kube/client.h"

struct kube_lease;

struct kube_lease_options { /* the texts are copied */
    struct kube_client *client; /* must live longer */
    struct ev_loop *ev;
    const char *namespace, *name;
    const char *identity; /* unique among all candidates, in all their lives: pod name and a random part */
    void *user;
    /* We lead from here on; never inside of kube_lease_new(). */
    void (*led)(void *user);
    /* We do not lead any more: stop all writes. Runs in time, also when the API server does not answer. */
    void (*lost)(void *user);
    void (*holder)(void *user, const char *identity); /* somebody else leads; "" = nobody */
};

struct kube_lease *kube_lease_new(const struct kube_lease_options *options);
bool kube_lease_leading(const struct kube_lease *lease);
/* At the end of the program, after the last write: lets others lead at once. lost() does not run. `done` runs when the server
 * knows it or cannot be told; inside of this when we do not lead. */
void kube_lease_release(struct kube_lease *lease, void (*done)(void *user), void *user);
/* Not inside of its callbacks. Without a release others wait for 15 s. */
void kube_lease_free(struct kube_lease *lease);

#endif
