/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of the controllers of a namespace, and the authority behind it. The authority is made once and kept, so that
 * certificates can be renewed without anybody having to trust anew.
 */
#ifndef MSSQL_CONTROLLER_BOOTSTRAP_IDENTITY_H
#define MSSQL_CONTROLLER_BOOTSTRAP_IDENTITY_H

#include "common/base/err.h"
#include "common/base/secret.h"

#define IDENTITY_AUTHORITY_DAYS 7300
#define IDENTITY_DAYS 1095
#define IDENTITY_RENEW_DAYS 730 /* with less than this left a new one is made at the next occasion: an upgrade of the chart */

struct identity {
    char *authority, *certificate; /* PEM */
    struct secret *authority_key, *key; /* PEM */
};

/* For every Service of the namespace, by its short and its full name. authority and authority_key NULL: a new authority. */
int identity_make(const char *namespace, const char *authority, const struct secret *authority_key, struct identity *ret_identity,
                  struct err *err) ERR_CHECK;
void identity_done(struct identity *identity);
/* Days that a certificate (PEM) still holds, 0 when it has expired. */
int identity_days_left(const char *certificate, int *ret_days, struct err *err) ERR_CHECK;

#endif
