/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds of Kubernetes objects and their paths on the API server. */
#ifndef MSSQL_KUBE_KIND_H
#define MSSQL_KUBE_KIND_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define KUBE_NAME_MAX 254 /* 253 characters of a DNS subdomain */

struct kube_kind {
    const char *group; /* "" = core */
    const char *version;
    const char *kind; /* "Pod" */
    const char *plural; /* "pods", as in paths and in RBAC rules */
    bool namespaced;
};

extern const struct kube_kind kube_pods, kube_services, kube_secrets, kube_configmaps, kube_claims, kube_statefulsets,
    kube_leases, kube_events_kind;

/* Appends "/apis/GROUP/VERSION/namespaces/NS/PLURAL/NAME/SUBRESOURCE"; namespace, name and subresource may be NULL. ERR_USAGE
 * when a name cannot be part of a path, or when a kind without namespaces gets one. */
int kube_path_append(struct buf *out, const struct kube_kind *kind, const char *namespace, const char *name,
                     const char *subresource, struct err *err) ERR_CHECK;
/* Appends "KEY=VALUE" with the value escaped, after '?' or '&'. */
void kube_query_append(struct buf *out, const char *key, const char *value);

/* Of an object: never NULL, "" when absent. They live as long as the object. */
const char *kube_name(const json_t *object);
const char *kube_namespace(const json_t *object);
const char *kube_uid(const json_t *object);
const char *kube_resource_version(const json_t *object);

#endif
