/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backups are proven on demand and by schedule: the store is read again, SQL Server reads backups, or a database is restored for
 * a trial under a scratch name, looked at and dropped. One database at a time, on a worker of its own; what was asked for goes
 * before the schedule. What a process that died left behind is dropped before anything begins. Loop thread.
 *
 *     verifier.c      the queue, and what comes next
 *     round.c         which databases the schedule wants
 *     piece.c         one database: the worker's part
 *     result.c        how it ended, as messages
 *     proof.c         what was proven, durable
 */
#ifndef MSSQL_SIDECAR_VERIFY_VERIFIER_H
#define MSSQL_SIDECAR_VERIFY_VERIFIER_H

#include "mssql/v1/sidecar.pb-c.h"
#include "sidecar/agent.h"
#include "sidecar/verify/proof.h"

struct verifier;
struct verify_run;

/* Who listens. All may be NULL. */
struct verify_events {
    void (*progress)(void *user, const Mssql__V1__VerifyProgress *progress);
    void (*result)(void *user, const Mssql__V1__VerifyResult *result);
    void (*end)(void *user, const Mssql__V1__VerifySummary *summary); /* last; the run is gone afterwards */
    void *user;
};

void verifier_start(struct agent *agent);
/* Once the state directory can be used. */
void verifier_open(struct agent *agent);
void verifier_tick(struct agent *agent, int64_t now, int64_t *next_at);
/* Ends what runs, in order: the scratch database is dropped while SQL Server answers. Nothing is told any more. */
void verifier_stop(struct agent *agent);

/* Somebody asks. ERR_NOT_FOUND: no database fits. *ret_waiting: how many are before it. */
int verifier_ask(struct agent *agent, const Mssql__V1__VerifyRequest *request, const struct verify_events *events,
                 struct verify_run **ret_run, unsigned *ret_waiting, struct err *err) ERR_CHECK;
/* Names of its databases; NULL-terminated, borrowed. */
char *const *verifier_names(const struct verify_run *run);
/* Nobody listens any more; ends it when it was asked to end with its listener. */
void verifier_detach(struct agent *agent, struct verify_run *run);
/* Is anything under way? */
bool verifier_busy(const struct agent *agent);

/* What is known of a database's trials; NULL: nothing. */
const struct proof *verifier_proof(const struct agent *agent, const char *folder);
/* Over all databases that are backed up: how many were never tried, how many failed, one of these, and the oldest success. */
struct verifier_sum {
    unsigned tried, failed;
    const char *failed_name;
    const struct proof *failed_proof;
    int64_t oldest_at, reached_at; /* of that one */
};
void verifier_sum(const struct agent *agent, struct verifier_sum *ret_sum);

#endif
