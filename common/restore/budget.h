/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many bytes the staged files of all databases of a restore may take together. Who asks first is served first, so that
 * a large full does not wait for ever behind small logs.
 */
#ifndef MSSQL_RESTORE_BUDGET_H
#define MSSQL_RESTORE_BUDGET_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

struct restore_budget {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    uint64_t next_ticket, served_ticket;
};

void restore_budget_init(struct restore_budget *budget, uint64_t limit_bytes);
void restore_budget_done(struct restore_budget *budget);
/* Waits for room. ERR_SPACE when it would not fit into an empty budget; ERR_CANCELLED within 100 ms when any of the two flags
 * (NULL is allowed) becomes true. */
int restore_budget_take(struct restore_budget *budget, uint64_t bytes, const atomic_bool *cancel, const atomic_bool *stop,
                        struct err *err) ERR_CHECK;
void restore_budget_put(struct restore_budget *budget, uint64_t bytes);
/* The disk was full although the budget had room: waits until something of ours was given back. False when nothing but
 * `mine` is out, so that waiting is of no use, or when a flag is set. */
bool restore_budget_wait(struct restore_budget *budget, uint64_t mine, const atomic_bool *cancel, const atomic_bool *stop);

#endif
