/* SPDX-License-Identifier: Apache-2.0 */
#include "common/sql/connect.h"

#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/sql/errors.h"

#define FIRST_MS 500
#define MAX_MS 30000
#define AUTH_FIRST_MS 5000
#define AUTH_MAX_MS 60000
#define SLICE_MS 100

/* splitmix64: small, good enough to keep a hundred sidecars from knocking at once. */
static uint64_t mix(uint64_t x) {
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

int64_t sql_backoff_next_ms(struct sql_backoff *backoff, const struct err *err) {
    bool auth = err && err->class == ERR_AUTH;
    int64_t pause = auth ? AUTH_FIRST_MS : FIRST_MS, max = auth ? AUTH_MAX_MS : MAX_MS;
    for (unsigned i = 0; i < backoff->attempt && pause < max; i++)
        pause *= 2;
    if (pause > max)
        pause = max;
    backoff->attempt++;
    backoff->seed = mix(backoff->seed + backoff->attempt);
    /* 75 % to 125 % */
    return pause * 3 / 4 + (int64_t)(backoff->seed % (uint64_t)(pause / 2 + 1));
}

void sql_backoff_reset(struct sql_backoff *backoff) {
    backoff->attempt = 0;
}

bool sql_connect_may_pass(const struct err *err, bool server_starting) {
    switch (sql_err_reaction(err)) {
    case SQL_RETRY:
    case SQL_WAIT:
    case SQL_SKIP: /* the database is offline or restoring: it was master, so it will be back */
        return err->class != ERR_CANCELLED;
    default:
        return server_starting && err->sql_number == 18456;
    }
}

static bool is_set(const atomic_bool *flag) {
    return flag && atomic_load(flag);
}

/* False when cancelled. */
static bool pause_ms(int64_t ms, const atomic_bool *cancel) {
    int64_t until = clock_mono_us() + ms * 1000;
    for (int64_t left; !is_set(cancel) && (left = until - clock_mono_us()) > 0;) {
        int64_t slice = left < SLICE_MS * 1000 ? left : SLICE_MS * 1000;
        struct timespec ts = {.tv_nsec = slice * 1000};
        nanosleep(&ts, NULL);
    }
    return !is_set(cancel);
}

int sql_session_open_wait(const struct sql_params *params, const struct sql_connect_wait *wait, struct sql_session **ret_session,
                          struct err *err) {
    struct sql_backoff backoff = {.seed = (uint64_t)clock_mono_us()};
    int64_t began = clock_mono_us();
    while (!is_set(wait->cancel)) {
        struct err e;
        err_clear(&e);
        if (sql_session_open(params, ret_session, &e) == 0)
            return 0;
        int64_t pause = sql_backoff_next_ms(&backoff, &e), passed = (clock_mono_us() - began) / 1000;
        if (!sql_connect_may_pass(&e, wait->server_starting) || (wait->timeout_ms && passed >= wait->timeout_ms)) {
            err_copy(err, &e);
            return -1;
        }
        if (wait->timeout_ms && pause > wait->timeout_ms - passed)
            pause = wait->timeout_ms - passed; /* one last attempt at the end */
        if (wait->waiting)
            wait->waiting(wait->user, &e, pause);
        if (!pause_ms(pause, wait->cancel))
            break;
    }
    return err_set(err, ERR_CANCELLED, "connecting to SQL Server was cancelled");
}
