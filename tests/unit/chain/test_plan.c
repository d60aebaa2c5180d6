/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/mem.h"
#include "common/chain/plan.h"
#include "tests/unit/chain/make.h"

/* A history and a request about it. */
struct fixture {
    struct backup sets[32];
    size_t count;
    struct chain_history history;
    struct chain_plan_request request;
    struct chain_plan plan;
    struct chain_refusal refusal;
    bool open;
};

static void close_all(struct fixture *f) {
    if (f->open) {
        chain_history_done(&f->history);
        chain_plan_done(&f->plan);
    }
    f->open = false;
}

static bool build(struct fixture *f) {
    close_all(f);
    chain_history_init(&f->history, f->sets, f->count);
    f->open = true;
    f->request.history = &f->history;
    memset(&f->refusal, 0, sizeof(f->refusal));
    return chain_plan_build(&f->request, &f->plan, &f->refusal);
}

/* "1 2 3?": set numbers in order, ? for those needed after 4322 only. */
static const char *members(const struct fixture *f) {
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

static void add(struct fixture *f, struct backup b) {
    if (!b.stored_bytes)
        b.stored_bytes = b.kind == BACKUP_FULL ? 1000 : b.kind == BACKUP_DIFF ? 100 : 10;
    b.size_bytes = 2 * b.stored_bytes;
    f->sets[f->count++] = b;
}

/* A log that was begun at `start` and was finished at `at`. */
static struct backup make_slow_log(unsigned id, unsigned first, unsigned last, int64_t start, int64_t at) {
    struct backup b = make_log(id, first, last, at);
    b.start_at = b.valid_until = SEC(start);
    return b;
}

static void to_time(struct fixture *f, int64_t us) {
    f->request.target = (struct chain_target){.kind = CHAIN_TO_TIME, .at = us};
}
static void to_lsn(struct fixture *f, unsigned lsn, bool before) {
    f->request.target = (struct chain_target){.kind = CHAIN_TO_LSN, .lsn = L(lsn), .before = before};
}

/* full 1 at 100, logs 2, 3, 4 taken from 199 to 201 and so on. */
static struct fixture ordinary(void) {
    struct fixture f = {0};
    add(&f, make_full(1, 10, 20, 100));
    add(&f, make_slow_log(2, 5, 30, 199, 201));
    add(&f, make_slow_log(3, 30, 40, 299, 301));
    add(&f, make_slow_log(4, 40, 50, 399, 401));
    return f;
}

static void test_latest(void **state) {
    (void)state;
    struct fixture f = ordinary();
    assert_plan(&f, "1 2 3 4");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_NONE);
    assert_int_equal(f.plan.stored_bytes, 1030);
    assert_int_equal(f.plan.size_bytes, 2060);
    assert_lsn(f.plan.reaches_lsn, 50);
    assert_false(f.plan.has_hole);
    close_all(&f);
}

static void test_time_between_logs(void **state) {
    (void)state;
    struct fixture f = ordinary();
    to_time(&f, SEC(250));
    assert_plan(&f, "1 2 3 4?");
    assert_string_equal(f.plan.stop.value, "1970-01-01T00:04:10.000");
    assert_false(f.plan.members[0].stop);
    assert_true(f.plan.members[1].stop && f.plan.members[2].stop && f.plan.members[3].stop);
    assert_true(f.plan.complete_until_at == SEC(299));
    assert_int_equal(f.plan.if_needed_bytes, 10);
    to_time(&f, SEC(300)); /* while log 3 was taken */
    assert_plan(&f, "1 2 3 4?");
    assert_true(f.plan.complete_until_at < f.plan.stop.at);
    to_time(&f, SEC(301)); /* its end exactly */
    assert_plan(&f, "1 2 3 4?");
    to_time(&f, SEC(301) + 1);
    assert_plan(&f, "1 2 3 4");
    to_time(&f, SEC(399)); /* the last moment that is certain */
    assert_plan(&f, "1 2 3 4");
    close_all(&f);
}

static void test_time_outside(void **state) {
    (void)state;
    struct fixture f = ordinary();
    to_time(&f, SEC(400)); /* a commit of then may be in the next log only */
    assert_refused(&f, "after_window");
    assert_true(f.refusal.before.any && f.refusal.before.at == SEC(399));
    assert_false(f.refusal.after.any);
    to_time(&f, SEC(99));
    assert_refused(&f, "before_window");
    assert_true(f.refusal.after.any && f.refusal.after.at == SEC(100));
    f.request.now = SEC(500);
    to_time(&f, SEC(501));
    assert_refused(&f, "in_future");
    close_all(&f);
}

static void test_lsn(void **state) {
    (void)state;
    struct fixture f = ordinary();
    to_lsn(&f, 35, false);
    assert_plan(&f, "1 2 3");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_AT_MARK);
    to_lsn(&f, 40, true); /* the end of log 3: nothing is cut */
    assert_plan(&f, "1 2 3");
    assert_int_equal(f.plan.stop.kind, CHAIN_STOP_NONE);
    to_lsn(&f, 40, false);
    assert_plan(&f, "1 2 3 4");
    to_lsn(&f, 20, true); /* the end of the full */
    assert_plan(&f, "1");
    to_lsn(&f, 50, false);
    assert_refused(&f, "after_window");
    to_lsn(&f, 19, false);
    assert_refused(&f, "before_window");
    close_all(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_time_between_logs),
        cmocka_unit_test(test_time_outside),
        cmocka_unit_test(test_lsn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
