/* SPDX-License-Identifier: Apache-2.0 */
/* The keys that service account tokens are signed with, from the API server: every service account may read them. */
#ifndef MSSQL_CONTROLLER_KEYS_H
#define MSSQL_CONTROLLER_KEYS_H

#include <ev.h>

#include "controller/kube/config.h"

struct keys;

/* The configuration must live as long. */
int keys_new(struct ev_loop *ev, const struct kube_config *config, struct keys **ret_keys, struct err *err) ERR_CHECK;
/* Whoever waits is not called any more. */
void keys_free(struct keys *keys);
/* For struct trust_issuer; user is the keys. */
void keys_fetch(void *user, void (*done)(void *arg, const char *text, size_t len, const struct err *err), void *arg);
/* The issuer of our own token; NULL when we have none or it is no token of Kubernetes. mem_free() it. */
char *keys_own_issuer(const struct kube_config *config);

#endif
