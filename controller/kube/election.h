/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who leads, decided on a Lease. Pure: what was read and written comes in, what to do next comes out.
 *
 * Clocks of different machines are never compared: a holder counts as gone when its record did not change for as long as it
 * promised, measured here since we first saw it so. A leader that could not write for `renew_ms` gives up by itself, well
 * before others may take over after `lease_ms`.
 */
#ifndef MSSQL_KUBE_ELECTION_H
#define MSSQL_KUBE_ELECTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct election {
    const char *identity; /* must live as long, unique among all candidates */
    int64_t lease_ms, renew_ms, retry_ms; /* 15 s, 10 s, 2 s */
    bool leading;
    int64_t renewed_us; /* monotonic: begin of our last write that succeeded */
    json_t *lease; /* as last read or written; NULL = none */
    int64_t seen_us; /* since when its spec is as it is */
};

void election_init(struct election *election, const char *identity);
void election_done(struct election *election);
/* "" = nobody. */
const char *election_holder(const struct election *election);
/* The Lease as it is now; NULL = there is none. Also for what a write gave back. */
void election_saw(struct election *election, json_t *lease, int64_t now_us);

enum election_step {
    ELECTION_WATCH, /* somebody else leads: read again after retry_ms */
    ELECTION_TAKE, /* write election_record() */
    ELECTION_RENEW, /* the same, as leader */
    ELECTION_LOST, /* we led and must not any longer: leading is false now */
};
enum election_step election_next(struct election *election, int64_t now_us);
/* The Lease to write: with the resourceVersion of the one that was read, so that only one candidate can succeed. release: by
 * the leader at its end, so that others need not wait. */
json_t *election_record(const struct election *election, const char *namespace, const char *name, int64_t wall_at, bool release);
/* The write that began at begun_us succeeded: we lead. True when we did not before. */
bool election_wrote(struct election *election, json_t *lease, int64_t begun_us, int64_t now_us);

#endif
