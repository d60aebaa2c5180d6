/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the chart needs before its pods can start: Secrets with random passwords, the certificate of the controllers, and the
 * Service by which sidecars of a namespace find them. A hook Job of the chart runs it before each install and upgrade:
 *
 *     mssql-controller --bootstrap --secret NAME/KEY [--certificate NAME] [--bundle NAME] [--service NAME:PORT --select KEY=VALUE] ...
 *
 * It creates what is missing and never changes what is there, so it can run any number of times. Templates that make
 * passwords give another one at each rendering; this does not. Two things are more than creating. A Secret that Helm made gets
 * the word "keep": else an upgrade to a chart that no longer renders it deletes the password of a running server. And the
 * certificate is renewed, by the same authority, long before it ends.
 */
#ifndef MSSQL_CONTROLLER_BOOTSTRAP_H
#define MSSQL_CONTROLLER_BOOTSTRAP_H

#include <jansson.h>

#include "common/base/secret.h"

#define BOOTSTRAP_ITEMS_MAX 16
#define BOOTSTRAP_PASSWORD_LEN 32

enum bootstrap_kind {
    BOOTSTRAP_SECRET, /* a password under `key` */
    BOOTSTRAP_CERTIFICATE, /* a Secret: tls.crt, tls.key, and the authority: ca.crt, ca.key */
    BOOTSTRAP_AUTHORITY, /* a Secret of somebody else, of which only ca.crt is read */
    BOOTSTRAP_BUNDLE, /* a ConfigMap with the ca.crt of the item before, for those who shall trust it */
    BOOTSTRAP_SERVICE,
};

struct bootstrap_item {
    enum bootstrap_kind kind;
    char *name;
    char *key; /* of SECRET */
    unsigned port; /* of SERVICE */
};

struct bootstrap {
    char *kubeconfig; /* NULL: the pod's own account */
    char *namespace; /* NULL: that of the login */
    struct bootstrap_item items[BOOTSTRAP_ITEMS_MAX];
    unsigned count;
    json_t *labels; /* of everything that is made */
    json_t *selector; /* of Services */
};

/* Of the words after --bootstrap. ERR_USAGE says which one is wrong. */
int bootstrap_parse(int argc, char **argv, struct bootstrap *ret_plan, struct err *err) ERR_CHECK;
void bootstrap_done(struct bootstrap *plan);

/* argv[1] is "--bootstrap". Runs a loop of its own until everything is there, logs each item, and gives the exit code. */
int bootstrap_main(int argc, char **argv);

/* Letters, digits, - and _; begins with a letter and has all four sorts, as SQL Server's password policy wants. Nothing in it
 * means something to a shell, a URL, YAML or a connection string. */
struct secret *bootstrap_password(void);

#endif
