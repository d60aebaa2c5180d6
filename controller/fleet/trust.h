/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may be believed: issuers of service account tokens with their keys. Keys are kept, and read again when a token names one that is
 * not there (at most every ten seconds, for anybody can name one), and every hour. Loop thread only.
 */
#ifndef MSSQL_CONTROLLER_FLEET_TRUST_H
#define MSSQL_CONTROLLER_FLEET_TRUST_H

#include "controller/fleet/fleet.h"

struct trust;

struct trust_issuer {
    const char *issuer; /* exactly the claim `iss` */
    const char *audience;
    const char *jwks_file; /* a key set in a file, read again when it changes; or */
    /* asks for the key set: calls done once, now or later. text NULL: it failed for err. */
    void (*fetch)(void *user, void (*done)(void *arg, const char *text, size_t len, const struct err *err), void *arg);
    void *user;
};

#define TRUST_SKEW_US CLOCK_MINUTE

/* The strings are copied. A key set that cannot be read now is no failure. */
struct trust *trust_new(const struct trust_issuer *issuers, size_t count, int64_t skew_us);
/* Whoever still waits is refused. A fetch that is under way must be over, or never call done. NULL is allowed. */
void trust_free(struct trust *trust);

/* For struct fleet_trust: a token that is bound to a pod. user is the trust. */
void trust_check(void *user, const char *token, void (*done)(void *arg, const struct fleet_bearer *bearer, const struct err *err),
                 void *arg);
/* The same for callers of the service Fleet, which need no pod. */
void trust_check_caller(void *user, const char *token,
                        void (*done)(void *arg, const struct fleet_bearer *bearer, const struct err *err), void *arg);

/* An allow list for struct fleet_options.caller: entries "namespace/serviceaccount". An empty one lets nobody in. */
struct callers;
struct callers *callers_new(struct trust *trust, const char *const *entries, size_t count);
void callers_free(struct callers *callers);
void callers_check(void *user, const char *token, const char *verb, const char *namespace_name,
                   void (*done)(void *arg, const struct err *err), void *arg);

#endif
