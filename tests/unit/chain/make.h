/* SPDX-License-Identifier: Apache-2.0 */
/* Short ways to write backup sets in tests. LSNs are plain numbers (block), times are seconds. */
#ifndef MSSQL_TEST_CHAIN_MAKE_H
#define MSSQL_TEST_CHAIN_MAKE_H

#include "common/base/clock.h"
#include "common/chain/backup.h"
#include "tests/unit/support/unit.h"

#define SEC(n) ((int64_t)(n)*CLOCK_SECOND)
#define FAMILY 0xFA
#define FORK_A 0xA0
#define FORK_B 0xB0
#define FORK_C 0xC0

static inline struct lsn L(unsigned n) {
    return (struct lsn){.vlf = n ? 39 : 0, .block = n, .slot = n ? 1 : 0};
}

static inline struct guid
G(unsigned n) {
    struct guid g = {{0}};
    g.bytes[0] = (uint8_t)(n >> 24), g.bytes[1] = (uint8_t)(n >> 16), g.bytes[2] = (uint8_t)(n >> 8), g.bytes[3] = (uint8_t)n;
    return g;
}

/* Set `id` over [first, last), finished within the second that ends at `at`; a log is valid until then. */
static inline struct backup
make_set(enum backup_kind kind, unsigned id, unsigned first, unsigned last, int64_t at) {
    return (struct backup){.kind = kind,
                           .flags = BACKUP_CHECKSUMS,
                           .set_guid = G(id),
                           .family_guid = G(FAMILY),
                           .database_guid = G(0xDB),
                           .first_fork = G(FORK_A),
                           .last_fork = G(FORK_A),
                           .first_lsn = L(first),
                           .last_lsn = L(last),
                           .checkpoint_lsn = L(first),
                           .start_at = SEC(at),
                           .finish_at = SEC(at) - CLOCK_SECOND,
                           .valid_until = kind == BACKUP_LOG ? SEC(at) : 0};
}

static inline struct backup make_full(unsigned id, unsigned first, unsigned last, int64_t at) {
    return make_set(BACKUP_FULL, id, first, last, at);
}
static inline struct backup make_log(unsigned id, unsigned first, unsigned last, int64_t at) {
    return make_set(BACKUP_LOG, id, first, last, at);
}
static inline struct backup make_diff(unsigned id, unsigned base, unsigned first, unsigned last, int64_t at) {
    struct backup b = make_set(BACKUP_DIFF, id, first, last, at);
    b.diff_base_guid = G(base);
    return b;
}
static inline struct backup with(struct backup b, uint32_t flags) {
    b.flags |= flags;
    return b;
}
static inline struct backup on_fork(struct backup b, unsigned first_fork, unsigned last_fork, unsigned point) {
    b.first_fork = G(first_fork);
    b.last_fork = G(last_fork);
    b.fork_point = L(point);
    return b;
}

#define assert_lsn(actual, n) assert_int_equal(lsn_cmp((actual), L(n)), 0)

#endif
