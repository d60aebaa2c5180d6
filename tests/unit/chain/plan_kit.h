/* SPDX-License-Identifier: Apache-2.0 */
/* A history, a request about it, and what came out, for tests of the planner. Each test closes its fixture. */
#ifndef MSSQL_TEST_CHAIN_PLAN_KIT_H
#define MSSQL_TEST_CHAIN_PLAN_KIT_H

#include "common/base/mem.h"
#include "common/chain/plan.h"
#include "tests/unit/chain/make.h"

struct fixture {
    struct backup sets[40];
    size_t count;
    struct chain_history history;
    struct chain_plan_request request;
    struct chain_plan plan;
    struct chain_refusal refusal;
    bool open;
};

static inline void close_all(struct fixture *f) {
    if (f->open) {
        chain_history_done(&f->history);
        chain_plan_done(&f->plan);
    }
    f->open = false;
}

static inline bool build(struct fixture *f) {
    close_all(f);
    chain_history_init(&f->history, f->sets, f->count);
    f->open = true;
    f->request.history = &f->history;
    memset(&f->refusal, 0, sizeof(f->refusal));
    return chain_plan_build(&f->request, &f->plan, &f->refusal);
}

/* "1 2 3?": set numbers in order, ? for those needed after 4322 only. */
static inline const char *members(const struct fixture *f) {
    static char text[256];
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < f->plan.count; i++) {
        const struct guid *g = &f->sets[f->plan.members[i].set].set_guid;
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u%s", i ? " " : "",
                                 (unsigned)g->bytes[2] * 256u + g->bytes[3], f->plan.members[i].if_needed ? "?" : "");
    }
    return text;
}

#define assert_plan(f, expected)                                                                                                 \
    do {                                                                                                                         \
        bool built_ = build(f);                                                                                                  \
        if (!built_)                                                                                                             \
            fail_msg("refused (%s): %s", chain_refusal_word((f)->refusal.reason), (f)->refusal.text);                            \
        assert_string_equal(members(f), expected);                                                                               \
    } while (0)

#define assert_refused(f, expected)                                                                                              \
    do {                                                                                                                         \
        bool built_ = build(f);                                                                                                  \
        if (built_)                                                                                                              \
            fail_msg("planned: %s", members(f));                                                                                 \
        assert_string_equal(chain_refusal_word((f)->refusal.reason), expected);                                                  \
        assert_true((f)->refusal.class != ERR_NONE && (f)->refusal.text[0]);                                                     \
    } while (0)

static inline void add(struct fixture *f, struct backup b) {
    if (!b.stored_bytes)
        b.stored_bytes = b.kind == BACKUP_FULL ? 1000 : b.kind == BACKUP_DIFF ? 100 : 10;
    b.size_bytes = 2 * b.stored_bytes;
    f->sets[f->count++] = b;
}

/* A log that was begun at `start` and was finished at `at`. */
static inline struct backup make_slow_log(unsigned id, unsigned first, unsigned last, int64_t start, int64_t at) {
    struct backup b = make_log(id, first, last, at);
    b.start_at = b.valid_until = SEC(start);
    return b;
}

static inline void to_time(struct fixture *f, int64_t us) {
    f->request.target = (struct chain_target){.kind = CHAIN_TO_TIME, .at = us};
}
static inline void to_lsn(struct fixture *f, unsigned lsn, bool before) {
    f->request.target = (struct chain_target){.kind = CHAIN_TO_LSN, .lsn = L(lsn), .before = before};
}

#endif
