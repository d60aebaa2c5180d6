/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is and who we are there: from a kubeconfig, or from what Kubernetes puts into every pod.
 *
 * Understood of a kubeconfig: one file, server, tls-server-name, certificate-authority(-data), client-certificate(-data),
 * client-key(-data), token, tokenFile, namespace. Programs that fetch a login (exec, auth-provider), passwords, proxies,
 * impersonation and insecure-skip-tls-verify are refused by name, not ignored.
 */
#ifndef MSSQL_KUBE_CONFIG_H
#define MSSQL_KUBE_CONFIG_H

#include <stddef.h>

#include "common/base/err.h"
#include "common/base/secret.h"

struct kube_config {
    char *server; /* "https://host:port", without a slash at the end; http only for loopback addresses */
    char *server_name; /* that the certificate must have; NULL = the host of `server` */
    char *namespace; /* never NULL */
    char *ca_pem, *ca_file; /* at most one; none: the system's roots */
    char *cert_pem, *cert_file; /* client certificate: both forms or none, and then a key */
    struct secret *key_pem;
    char *key_file;
    struct secret *token; /* at most one of token and token_file */
    char *token_file; /* read again: Kubernetes renews it */
};

/* context NULL = current-context. ERR_CONFIG: "FILE:LINE:COLUMN: KEY: what is wrong". */
int kube_config_load(const char *path, const char *context, struct kube_config *ret_config, struct err *err) ERR_CHECK;
/* `name` is for messages, and files in it are relative to its folder. */
int kube_config_parse(const char *name, const char *text, size_t len, const char *context, struct kube_config *ret_config,
                      struct err *err) ERR_CHECK;
/* The pod's own account. dir NULL = /var/run/secrets/kubernetes.io/serviceaccount; the address is in KUBERNETES_SERVICE_HOST
 * and KUBERNETES_SERVICE_PORT. ERR_CONFIG when this is no pod or it has no token. */
int kube_config_in_cluster(const char *dir, struct kube_config *ret_config, struct err *err) ERR_CHECK;
void kube_config_done(struct kube_config *config);

#endif
