/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the chain logic takes over a long history: 1,000,000 sets of one database (a full a day, a differential every six
 * hours, a log every five minutes, holes and forks in between), in order as the catalog has them and shuffled.
 *
 *     bench_chain [sets]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/chain/decide.h"
#include "common/chain/interval.h"

static struct guid bench_guid(uint64_t n) {
    struct guid g = {{0}};
    n = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
    memcpy(g.bytes, &n, sizeof(n));
    return g;
}

static struct lsn bench_lsn(size_t n) {
    return (struct lsn){.vlf = (uint32_t)(n / 1000 + 1), .block = (uint32_t)(n % 1000) * 8 + 8, .slot = 1};
}

static struct backup *bench_sets(size_t count) {
    struct backup *sets = mem_array(count, sizeof(*sets));
    struct guid base = {{0}}, fork = bench_guid(7);
    for (size_t i = 0; i < count; i++) {
        struct backup *b = &sets[i];
        int64_t at = CLOCK_DAY * 365 + (int64_t)i * 300 * CLOCK_SECOND;
        if (i % 150000 == 149999)
            fork = bench_guid(i + UINT64_C(1) * UINT32_MAX);
        b->kind = i % 288 == 0 ? BACKUP_FULL : i % 72 == 0 ? BACKUP_DIFF : BACKUP_LOG;
        b->set_guid = bench_guid(i + 100);
        b->family_guid = bench_guid(1);
        b->first_fork = b->last_fork = fork;
        b->first_lsn = bench_lsn(i < 2 ? i : b->kind == BACKUP_LOG && i % 5000 && i % 72 == 1 ? i - 2 : i - 1);
        b->last_lsn = bench_lsn(i);
        if (i % 5000 == 2490) /* a log that somebody else took */
            b->first_lsn.block += 4;
        b->start_at = b->finish_at = at;
        b->valid_until = b->kind == BACKUP_LOG ? at : 0;
        if (b->kind == BACKUP_FULL)
            base = b->set_guid;
        b->diff_base_guid = base;
    }
    return sets;
}

static void bench_shuffle(struct backup *sets, size_t count) {
    uint64_t random = 88172645463325252u;
    for (size_t i = count - 1; i > 0; i--) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        size_t j = (size_t)(random % (i + 1));
        struct backup swap = sets[i];
        sets[i] = sets[j];
        sets[j] = swap;
    }
}

static void bench_row(const char *what, size_t n, int64_t us, const char *note) {
    printf("%-34s %10.3f ms %10.1f ns each  %s\n", what, (double)us / 1000, (double)us * 1000 / (double)n, note);
}

static void bench_history(const char *name, const struct backup *sets, size_t count, struct chain_tip *ret_tip) {
    struct chain_history h;
    struct chain_intervals v;
    char label[64], note[96];
    int64_t t0 = clock_mono_us();
    chain_history_init(&h, sets, count);
    int64_t t1 = clock_mono_us();
    struct chain_interval_input input = {.history = &h};
    chain_intervals_build(&input, &v);
    int64_t t2 = clock_mono_us();
    chain_tip_from_history(ret_tip, &h);
    int64_t t3 = clock_mono_us();
    snprintf(label, sizeof(label), "history, %s", name);
    snprintf(note, sizeof(note), "index %.1f B per set", (double)(h.count * sizeof(*h.order) + h.table_size * 4) / (double)count);
    bench_row(label, count, t1 - t0, note);
    snprintf(label, sizeof(label), "intervals, %s", name);
    snprintf(note, sizeof(note), "%zu intervals, %zu holes", v.count, v.hole_count);
    bench_row(label, count, t2 - t1, note);
    snprintf(label, sizeof(label), "tip from history, %s", name);
    snprintf(note, sizeof(note), "%zu B resident", sizeof(*ret_tip));
    bench_row(label, count, t3 - t2, note);
    chain_intervals_done(&v);
    chain_history_done(&h);
}

static void bench_decide(const struct chain_tip *tip) {
    enum { TIMES = 1000000 };
    struct chain_server_state server = {.online = true,
                                        .model = CHAIN_MODEL_FULL,
                                        .last_log_backup_lsn = tip->log_lsn,
                                        .recovery_fork_guid = tip->path.fork,
                                        .family_guid = tip->path.family,
                                        .log_end_lsn = {.vlf = UINT32_MAX},
                                        .sampled_at = tip->last_log.finish_at + CLOCK_MINUTE};
    struct chain_memory memory = {0};
    struct chain_view view = {.tip = tip, .server = &server, .memory = &memory};
    struct chain_due due = {.log = true};
    struct chain_rules rules = {.heal = true, .diffs = true, .window_open = true, .fulls_left = 1, .diffs_left = 1};
    struct chain_decision d;
    unsigned logs = 0;
    int64_t t0 = clock_mono_us();
    for (unsigned i = 0; i < TIMES; i++) {
        chain_decide(&view, &due, &rules, server.sampled_at, &d);
        logs += d.action == CHAIN_ACTION_TAKE && d.kind == BACKUP_LOG;
    }
    bench_row("decision", TIMES, clock_mono_us() - t0, logs == TIMES ? "" : "not all of them logs");
}

int main(int argc, char **argv) {
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    if (count < 1000 || count > CHAIN_HISTORY_MAX) {
        fprintf(stderr, "usage: bench_chain [sets, 1000 or more]\n");
        return 2;
    }
    struct backup *sets = bench_sets(count);
    struct chain_tip tip, shuffled;
    printf("%zu sets of %zu bytes\n", count, sizeof(*sets));
    bench_history("in order", sets, count, &tip);
    chain_tip_init(&shuffled);
    int64_t t0 = clock_mono_us();
    for (size_t i = 0; i < count; i++)
        chain_tip_add(&shuffled, &sets[i]);
    bench_row("tip, set by set", count, clock_mono_us() - t0, chain_tip_eq(&tip, &shuffled) ? "" : "and it differs");
    bench_shuffle(sets, count);
    bench_history("shuffled", sets, count, &shuffled);
    bench_decide(&tip);
    mem_free(sets);
    return 0;
}
