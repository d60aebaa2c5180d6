/* SPDX-License-Identifier: Apache-2.0 */
#include "common/restore/budget.h"

#include <time.h>

#include "common/base/str.h"

#define LOOK_NS 100000000L

void restore_budget_init(struct restore_budget *b, uint64_t limit_bytes) {
    pthread_condattr_t attr;
    *b = (struct restore_budget){.limit_bytes = limit_bytes};
    pthread_mutex_init(&b->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&b->changed, &attr);
    pthread_condattr_destroy(&attr);
}

void restore_budget_done(struct restore_budget *b) {
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
}

static bool is_set(const atomic_bool *flag) {
    return flag && atomic_load(flag);
}

/* Flags are set without a signal, so nobody sleeps for long. */
static void nap(struct restore_budget *b) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_NS;
    if (until.tv_nsec >= 1000000000L) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000L;
    }
    pthread_cond_timedwait(&b->changed, &b->lock, &until);
}

int restore_budget_take(struct restore_budget *b, uint64_t bytes, const atomic_bool *cancel, const atomic_bool *stop,
                        struct err *err) {
    char need[32], have[32];
    if (bytes > b->limit_bytes) {
        str_from_bytes(need, sizeof(need), bytes);
        str_from_bytes(have, sizeof(have), b->limit_bytes);
        return err_set(err, ERR_SPACE, "staging may take %s, one backup needs %s there. Give it more room, or another directory",
                       have, need);
    }
    int rc = 0;
    pthread_mutex_lock(&b->lock);
    uint64_t ticket = b->next_ticket++;
    while (rc == 0 && (b->served_ticket != ticket || b->used_bytes + bytes > b->limit_bytes)) {
        /* Who gives up in the middle of the queue waits for its turn, to hand it on. */
        if ((is_set(cancel) || is_set(stop)) && b->served_ticket == ticket)
            rc = err_set(err, ERR_CANCELLED, "cancelled while waiting for room in staging");
        else
            nap(b);
    }
    b->served_ticket++;
    if (rc == 0)
        b->used_bytes += bytes;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
    return rc;
}

void restore_budget_put(struct restore_budget *b, uint64_t bytes) {
    pthread_mutex_lock(&b->lock);
    b->used_bytes -= bytes;
    pthread_cond_broadcast(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

bool restore_budget_wait(struct restore_budget *b, uint64_t mine, const atomic_bool *cancel, const atomic_bool *stop) {
    pthread_mutex_lock(&b->lock);
    uint64_t before = b->used_bytes;
    bool of_use = before > mine;
    while (of_use && b->used_bytes >= before && !is_set(cancel) && !is_set(stop)) {
        nap(b);
        if (b->used_bytes > before)
            before = b->used_bytes;
    }
    of_use = of_use && !is_set(cancel) && !is_set(stop);
    pthread_mutex_unlock(&b->lock);
    return of_use;
}
