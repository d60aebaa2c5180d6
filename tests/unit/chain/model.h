/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small server in memory, whose truth does not come from LSNs: every log record knows the record before it, a state of
 * the database is its last record, and a backup knows the records it holds. What can be restored is computed from that.
 */
#ifndef MSSQL_TEST_CHAIN_MODEL_H
#define MSSQL_TEST_CHAIN_MODEL_H

#include "common/chain/state.h"
#include "tests/unit/chain/make.h"

#define MODEL_RECORDS 4000
#define MODEL_SETS 400

struct model_record {
    int before; /* record before it, -1: the first of a database */
    unsigned lsn;
    int64_t at;
    unsigned fork;
};

struct model_set {
    struct backup set;
    int begin; /* last record before the set's log, logs only */
    int end; /* last record in it */
};

struct model_server {
    enum chain_model model;
    unsigned family, fork, database, base, volume;
    int head; /* last record */
    unsigned next_lsn; /* of the next record */
    unsigned log_from; /* last_log_backup_lsn, 0: NULL */
    int log_from_record; /* last record before it */
    bool begins; /* the next log begins a chain */
    bool bulk; /* minimally logged changes since the last log */
    int64_t create_at;
    struct chain_restore restore;
};

struct model {
    uint32_t random;
    int64_t now;
    unsigned ids; /* for GUIDs */
    struct model_record records[MODEL_RECORDS];
    int record_count;
    struct model_server server;
    struct model_server snapshot; /* of the volume */
    bool has_snapshot;
    struct model_set ours[MODEL_SETS];
    size_t ours_count;
    struct chain_foreign foreign[MODEL_SETS];
    size_t foreign_count;
    struct {
        unsigned id, lsn;
        int end;
    } fulls[2 * MODEL_SETS]; /* regular ones, whoever took them */
    size_t full_count;
    bool reach[MODEL_RECORDS]; /* by model_reach() */
};

void model_init(struct model *m, uint32_t seed);
uint32_t model_random(struct model *m, uint32_t below);
void model_tick(struct model *m);
/* What a header says of now: SQL Server writes whole seconds, rounded down. */
int64_t model_header_date(const struct model *m);
void model_commit(struct model *m, unsigned count);
bool model_log_possible(const struct model *m);
/* Takes a backup, ours or foreign; `flags` of enum backup_flag. */
struct model_set model_backup(struct model *m, enum backup_kind kind, uint32_t flags);
void model_keep(struct model *m, const struct model_set *set, uint32_t incarnation);
void model_foreign(struct model *m, enum backup_kind kind, uint32_t flags, const char *device, uint32_t incarnation);
void model_set_recovery(struct model *m, enum chain_model recovery);
void model_restore(struct model *m); /* to an earlier moment: another fork */
void model_recreate(struct model *m); /* drop and create */
void model_snapshot(struct model *m);
void model_revert(struct model *m, bool other_volume);
void model_look(const struct model *m, struct chain_server_state *ret_state);
/* Which states our sets of one incarnation and family can restore: fills reach[]. */
void model_reach(struct model *m, const struct chain_path *path);

#endif
