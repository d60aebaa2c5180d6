/* SPDX-License-Identifier: Apache-2.0 */
/* For the files of the verifier. */
#ifndef MSSQL_SIDECAR_VERIFY_VERIFIER_INT_H
#define MSSQL_SIDECAR_VERIFY_VERIFIER_INT_H

#include <pthread.h>

#include "common/pipe/rate.h"
#include "common/store/scrub.h"
#include "sidecar/restore/work.h"
#include "sidecar/verify/verifier.h"

#define FINDINGS_KEPT 200

/* A query of a request; owned. */
struct verify_probe {
    char *name, *database, *query;
    int64_t at_least;
};

/* What is asked for, of several databases. */
struct verify_run {
    struct verify_run *next;
    Mssql__V1__VerifyMode mode;
    bool scheduled;
    struct chain_target target;
    bool random, check;
    uint64_t seed;
    struct verify_probe *probes;
    size_t probe_count;
    char **names, **folders; /* names: NULL-terminated */
    size_t count, at; /* at: the next one */
    atomic_bool cancel;
    bool cancel_on_disconnect;
    struct verify_events events;
    unsigned verified, failed;
    struct err worst; /* damage before all else, then the first */
};

struct verify_finding {
    struct scrub_finding is;
    char manifest[STORE_NAME_MAX]; /* whole name of the backup's, "" unknown */
};

/* One database of a run, or the cleaning after a crash (`run` NULL). What is above the line is the loop's until it is submitted. */
struct piece {
    struct pool_item item;
    struct agent *agent;
    struct verify_run *run;
    const atomic_bool *cancel;
    char name[SQL_NAME_MAX], folder[NAME_FOLDER_MAX];
    Mssql__V1__VerifyMode mode;
    struct trial_request request;
    struct trial_probe *probes;
    struct work_place place;
    struct store *store; /* SCRUB: lent by the keeper */
    uint64_t total_bytes; /* SCRUB: of the folder */
    /* ---- the worker's ---- */
    struct err err;
    struct trial_result trial;
    struct trial_sets sets;
    struct scrub_totals totals;
    struct verify_finding *findings;
    size_t finding_count;
    uint64_t findings_total;
    unsigned left; /* cleaning: what could not be cleaned now */
    bool entered;
    char set[STORE_NAME_MAX]; /* that is read */
    struct rate rate;

    pthread_mutex_t lock; /* of what is told */
    char text[256];
    uint64_t done_bytes, told_total_bytes;
    bool changed;
};

struct verifier {
    struct agent *agent;
    struct pool *pool;
    ev_async wake;
    bool open;
    struct proofs proofs;
    struct verify_run *runs; /* oldest first; the first one has the piece */
    struct piece *piece; /* NULL: nothing is under way */
    atomic_bool stopping;
    bool cleaned;
    int64_t clean_us; /* monotonic: cleaning is not tried before */
    struct due_state due;
    bool due_known;
    int64_t retry_us; /* monotonic: the schedule begins nothing before */
    char schedule[160]; /* that `due` is made for */
    int64_t told_us;
};

/* piece.c. ERR_*: it cannot begin, and why. */
int piece_new(struct agent *agent, struct verify_run *run, struct piece **ret_piece, struct err *err) ERR_CHECK;
int piece_new_cleaning(struct agent *agent, const atomic_bool *cancel, struct piece **ret_piece, struct err *err) ERR_CHECK;
/* On the loop, when the worker is done with it. */
void piece_free(struct piece *piece);

/* round.c */
/* What the schedule wants now: a run of one database, or NULL; *next_at as for ticks. */
struct verify_run *round_next(struct verifier *v, int64_t now, int64_t *next_at);
void verify_run_free(struct verify_run *run);
struct verify_run *verify_run_new(Mssql__V1__VerifyMode mode);
void verify_run_add(struct verify_run *run, const struct database *db);
/* Of the policy. */
void verify_run_take_probes(struct verify_run *run, const struct policy *policy);

/* result.c: heap messages, freed with free_unpacked */
Mssql__V1__VerifyResult *result_of(const struct piece *piece, const struct err *why);

#endif
