/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second thread of a pipe: it works on one record while its owner reads the next and writes the one before. Two slots
 * go round. With the codec none there is nothing to turn, so the thread makes the hash instead.
 */
#ifndef MSSQL_PIPE_LANE_H
#define MSSQL_PIPE_LANE_H

#include <pthread.h>
#include <stdbool.h>

#include "common/pipe/filter.h"
#include "common/pipe/hash.h"

struct lane_slot {
    uint8_t *in;
    size_t in_len;
    uint8_t *out; /* the same as in when nothing is turned */
    size_t out_len;
};

struct lane {
    struct filter *filter;
    struct hash_run *hash; /* set: hash the record instead of turning it */
    struct lane_slot slots[2];
    size_t in_cap, out_cap;

    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct lane_slot *job; /* what the worker has; NULL when it is idle */
    bool stop;
    int rc;
    struct err err;
};

/* Takes the filter over. identity: records stay as they are and are hashed. */
int lane_open(struct lane *lane, struct filter *filter, bool identity, size_t in_cap, size_t out_cap, struct err *err) ERR_CHECK;
/* Gives the slot to the worker; lane_wait() must come before the next one. inline_: work on it right here. */
int lane_submit(struct lane *lane, struct lane_slot *slot, bool inline_, struct err *err) ERR_CHECK;
/* Waits for what was submitted and gives its result. */
int lane_wait(struct lane *lane, struct err *err) ERR_CHECK;
void lane_close(struct lane *lane);

#endif
