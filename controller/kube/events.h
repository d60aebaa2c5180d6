/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events (core/v1) about objects, for `kubectl describe`. The same reason of the same object within ten minutes is one Event
 * whose count, time and message are patched, at most every ten seconds; so what happens a thousand times is a few requests.
 * Events are told and forgotten: a failure to write one is no failure of anything else.
 */
#ifndef MSSQL_KUBE_EVENTS_H
#define MSSQL_KUBE_EVENTS_H

#include "controller/kube/client.h"

struct kube_events;

/* component: who says it, static. The client must live longer. */
struct kube_events *kube_events_new(struct kube_client *client, struct ev_loop *ev, const char *component);
/* What was not written yet is lost. */
void kube_events_free(struct kube_events *events);
/* about: an object with apiVersion, kind and metadata. reason: one word in CamelCase. The message is cut at 1,000 bytes. */
void kube_events_say(struct kube_events *events, const json_t *about, bool warning, const char *reason, const char *message);

#endif
