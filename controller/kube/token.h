/* SPDX-License-Identifier: Apache-2.0 */
/* The bearer token. Kubernetes renews its file long before the old one ends, so the file is looked at before each use. */
#ifndef MSSQL_KUBE_TOKEN_H
#define MSSQL_KUBE_TOKEN_H

#include "controller/kube/config.h"

struct kube_token;

/* The configuration must live as long. */
struct kube_token *kube_token_new(const struct kube_config *config);
void kube_token_free(struct kube_token *token);
/* *ret_text: NULL when the login has no token; valid until the next call. A file that cannot be read is an error only when
 * nothing was ever read from it. */
int kube_token_get(struct kube_token *token, const char **ret_text, struct err *err) ERR_CHECK;
/* The server refused it: the next get reads the file whatever its times say. */
void kube_token_refused(struct kube_token *token);

#endif
