/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connecting through the phases of a start: nothing listens, logins are refused (18456), script upgrade (18401), the
 * database is not open yet (4060, 922). Retries with exponential backoff and jitter.
 */
#ifndef MSSQL_SQL_CONNECT_H
#define MSSQL_SQL_CONNECT_H

#include "common/sql/session.h"

/* PURE: pauses between attempts. */
struct sql_backoff {
    unsigned attempt;
    uint64_t seed; /* of the jitter; any value */
};

/* The pause before the next attempt, in milliseconds. Grows from 0.5 s to 30 s with a jitter of +-25 %. After a refused
 * password it starts at 5 s and grows to 60 s, so that an account is not locked out by us. */
int64_t sql_backoff_next_ms(struct sql_backoff *backoff, const struct err *err);
void sql_backoff_reset(struct sql_backoff *backoff);

/* Is this failure of sql_session_open() one that may pass without anybody changing anything? `server_starting`: the server
 * was not yet seen serving since it (or we) started, when refused logins may be a phase too. */
bool sql_connect_may_pass(const struct err *err, bool server_starting);

struct sql_connect_wait {
    int64_t timeout_ms; /* give up after this; 0: never */
    bool server_starting; /* see sql_connect_may_pass() */
    const atomic_bool *cancel; /* checked ten times per second while pausing; may be NULL */
    /* Before each pause; may be NULL. */
    void (*waiting)(void *user, const struct err *err, int64_t pause_ms);
    void *user;
};

/* sql_session_open() until it succeeds, a failure that cannot pass by itself, the timeout (the last failure is returned), or
 * cancel (ERR_CANCELLED). */
int sql_session_open_wait(const struct sql_params *params, const struct sql_connect_wait *wait, struct sql_session **ret_session,
                          struct err *err) ERR_CHECK;

#endif
