/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model server with what a restore planner has to cope with: long fulls, commits while a backup is finished, two
 * primaries after a forced failover, clocks that are changed, damaged sets, sizes. A plan is replayed record by record, as
 * the server would: a log applies when the state stands on its own records.
 */
#ifndef MSSQL_TEST_CHAIN_MODEL_PLAN_H
#define MSSQL_TEST_CHAIN_MODEL_PLAN_H

#include "common/chain/plan.h"
#include "tests/unit/chain/model.h"

#define WORLD_PATHS 64
#define WORLD_CHANGES 64

struct world_path {
    struct chain_path path;
    int head; /* last record of it */
    int64_t made_at;
};

struct world_change { /* of the clock */
    int64_t low, high; /* moments that it makes unclear */
};

struct world {
    struct model m;
    uint32_t incarnation;
    int32_t offset_s;
    int32_t offsets[MODEL_RECORDS]; /* of the server's local time, per record */
    int filled;
    struct world_path paths[WORLD_PATHS];
    size_t path_count;
    bool two_primaries;
    struct model_server other;
    bool failed_over; /* ever: then two paths were in use at once */
    struct world_change steps[WORLD_CHANGES]; /* the clock was set back */
    size_t step_count;
    struct world_change zones[WORLD_CHANGES]; /* the offset changed */
    size_t zone_count;
};

void world_init(struct world *w, uint32_t seed);
/* One random thing that happens. calm: no changes of the clock. */
void world_step(struct world *w, bool calm);
/* The path that was in use at the moment, NULL before the first. */
const struct world_path *world_path_at(const struct world *w, int64_t at);
const struct world_path *world_path_find(const struct world *w, const struct chain_path *path);
/* Last record of the path up to the moment; strict: a commit at the very moment is not in. -1: none. */
int world_state_at(const struct world *w, const struct world_path *path, int64_t at, bool strict);
/* The record of the path with this LSN, -1: none. */
int world_record(const struct world *w, const struct world_path *path, unsigned lsn);
bool world_time_unclear(const struct world_change *changes, size_t count, int64_t at, int64_t slack);

struct replay {
    const char *error; /* what the server would refuse; NULL: it recovered */
    int state; /* last record */
    bool reached; /* it was stopped */
};
/* Where a restore that was interrupted stands. */
struct standing {
    const struct backup *full;
    int state;
};
/* Restores the plan, from a standing when there is one. sets: the array that its indexes mean; strict as above. */
void world_replay(const struct world *w, const struct chain_plan *plan, const struct backup *sets, bool strict,
                  const struct standing *standing, struct replay *ret_replay);
/* The last record of a set of ours. */
int world_set_end(const struct world *w, const struct backup *set);

/* ---- brute.c: every way, by trying ---- */

struct brute {
    bool found;
    uint64_t bytes;
    unsigned sets;
};
/* The cheapest way on a path by the rules of the server alone. Few sets only. */
void brute_plan(const struct backup *sets, size_t count, const struct chain_path *path, const struct chain_plan_request *request,
                struct brute *ret_brute);

#endif
