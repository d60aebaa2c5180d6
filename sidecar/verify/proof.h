/* SPDX-License-Identifier: Apache-2.0 */
/* What trial restores have proven, and how far the scheduled round is: `<state>/proof.json`. Loop thread. */
#ifndef MSSQL_SIDECAR_VERIFY_PROOF_H
#define MSSQL_SIDECAR_VERIFY_PROOF_H

#include "common/restore/trial.h"
#include "sidecar/agent.h"

#define PROOFS_MAX 2000

/* The last trial of one database of the store. */
struct proof {
    char folder[NAME_FOLDER_MAX];
    int64_t finished_at; /* 0: none ended yet */
    bool verified, checked, requested;
    enum err_class class; /* why it is not verified */
    char *text; /* the same for people; may be NULL */
    int64_t reached_at;
    int64_t verified_at, verified_reached_at; /* of the last that was good, 0 none */
    double data_mb_per_s, seconds_per_log;
    int64_t total_ms;
    uint64_t round; /* the last scheduled round that tried it */
    unsigned attempts; /* begun in that round, not ended */
};

struct proofs {
    struct proof *items;
    size_t count, cap;
    uint64_t round; /* of the schedule, 0: there was none */
    int64_t round_at; /* when it began */
    char *path;
};

/* A file that cannot be read is told, and begun anew. */
void proofs_load(struct proofs *proofs, const char *path);
int proofs_save(const struct proofs *proofs, struct err *err) ERR_CHECK;
void proofs_done(struct proofs *proofs);
/* NULL when there is none. */
struct proof *proofs_find(const struct proofs *proofs, const char *folder);
/* Made when it is new; NULL when there are too many. */
struct proof *proofs_put(struct proofs *proofs, const char *folder);
void proof_note(struct proof *proof, const struct trial_result *result, const struct err *why, bool requested, int64_t now);

const char *const *proof_fault_points(void); /* ends with NULL */

#endif
