/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of a cluster, read and written by running kubectl: whatever login, proxy or exec plugin the user has works, and
 * this program never sees a credential. The flags --context, --kubeconfig, --namespace go along; KUBECTL names another
 * program than "kubectl" of PATH.
 *
 * What kubectl says against it becomes an error of the class that fits ("NotFound" is ERR_NOT_FOUND, "Forbidden" is
 * ERR_PERMISSION, ...), with its own words.
 */
#ifndef MSSQL_CLI_KUBE_KUBECTL_H
#define MSSQL_CLI_KUBE_KUBECTL_H

#include <jansson.h>

#include "cli/cli.h"

#define KUBECTL_ARGS_MAX 64

/* Kinds as kubectl takes them: whole, so that no other group's resource of that name is meant. */
#define KUBE_INSTANCES "mssqlinstances.dbaas.cozy.io"
#define KUBE_POLICIES "mssqlbackuppolicies.dbaas.cozy.io"
#define KUBE_BACKUPS "mssqlbackups.dbaas.cozy.io"
#define KUBE_REQUESTS "mssqlrestorerequests.dbaas.cozy.io"
#define KUBE_JOBS "mssqlrestorejobs.dbaas.cozy.io"

/* A command line that is being put together. The words are borrowed. */
struct kubectl {
    const struct cli *cli;
    const char *args[KUBECTL_ARGS_MAX];
    size_t count;
};

/* "kubectl --context ... -n ..." and these words, up to NULL. */
void kubectl_begin(struct kubectl *k, const struct cli *cli, ...) __attribute__((sentinel));
/* One more word; too many are ERR_LIMIT when it is run. */
void kubectl_add(struct kubectl *k, const char *word);

/* Runs it to its end, with `input` on standard input (NULL: none). *ret_text: what it printed, mem_free() it. */
int kubectl_text(const struct kubectl *k, const char *input, char **ret_text, struct err *err) ERR_CHECK;
/* The same with "-o json": json_decref() the answer. */
int kubectl_json(struct kubectl *k, const char *input, json_t **ret_json, struct err *err) ERR_CHECK;
/* Its output goes where this program's goes. *ret_exit is its exit code. */
int kubectl_through(const struct kubectl *k, int *ret_exit, struct err *err) ERR_CHECK;

/* ---- following one object ---- */
struct kubectl_watch;
int kubectl_watch_open(const struct cli *cli, const char *kind, const char *name, const char *namespace,
                       struct kubectl_watch **ret_watch, struct err *err) ERR_CHECK;
/* 1: *ret_object as it is now, json_decref() it. 0: the server ended the stream, open another one. ERR_NOT_FOUND: deleted. */
int kubectl_watch_next(struct kubectl_watch *watch, json_t **ret_object, struct err *err) ERR_CHECK;
void kubectl_watch_close(struct kubectl_watch *watch); /* NULL is fine */

#endif
