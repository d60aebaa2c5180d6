/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a restore plan takes over 1,000,000 sets of one database (a full a day, a differential every six hours, a log
 * every five minutes, sizes as they vary), from the catalog file and over a history in memory.
 *
 *     bench_plan [sets] [folder]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/catalog_plan.h"

#define ROUNDS 7
#define BEGIN (INT64_C(1500000000) * CLOCK_SECOND)
#define EVERY (5 * CLOCK_MINUTE)

static struct err err;

static void must(int rc) {
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static struct guid guid_of(uint64_t n) {
    struct guid g = {{0}};
    n = n * UINT64_C(0x9e3779b97f4a7c15) + 1;
    memcpy(g.bytes, &n, sizeof(n));
    g.bytes[15] = 1;
    return g;
}

static struct lsn lsn_of(uint64_t n) {
    return (struct lsn){.vlf = (uint32_t)(n / 1000 + 1), .block = (uint32_t)(n % 1000) * 8 + 8, .slot = 1};
}

/* One after the other: each keeps what the next builds on. */
struct maker {
    uint64_t logs; /* taken so far */
    struct guid base;
};

static struct backup set_of(struct maker *m, uint64_t n) {
    uint64_t noise = n * UINT64_C(0xd6e8feb86659fd93) >> 40;
    int64_t at = BEGIN + (int64_t)n * EVERY;
    struct backup b = {.kind = n % 288 == 0  ? BACKUP_FULL
                               : n % 72 == 0 ? BACKUP_DIFF
                                             : BACKUP_LOG,
                       .flags = BACKUP_UTC_OFFSET_KNOWN,
                       .set_guid = guid_of(n + 100),
                       .family_guid = guid_of(1),
                       .first_fork = guid_of(7),
                       .last_fork = guid_of(7),
                       .start_at = at - 2 * CLOCK_SECOND,
                       .finish_at = at,
                       .stripes = 1,
                       .position = 1};
    if (b.kind == BACKUP_LOG) {
        b.first_lsn = lsn_of(2 * m->logs + 1);
        b.last_lsn = lsn_of(2 * ++m->logs + 1);
        b.valid_until = b.start_at;
        b.stored_bytes = (1 << 20) + noise;
    } else {
        b.first_lsn = b.checkpoint_lsn = b.last_lsn = lsn_of(2 * m->logs + 2);
        b.stored_bytes = b.kind == BACKUP_FULL ? (UINT64_C(10) << 30) + noise * 20 : (UINT64_C(200) << 20) + noise;
        if (b.kind == BACKUP_FULL)
            m->base = b.set_guid;
        else
            b.diff_base_guid = m->base;
    }
    b.size_bytes = 3 * b.stored_bytes;
    return b;
}

static void catalog_make(const char *path, struct backup *sets, uint64_t count) {
    struct catalog *c;
    struct maker m = {0};
    uint32_t id;
    char folder[NAME_FOLDER_MAX];
    struct guid family = guid_of(1);
    must(catalog_open(path, "bench", "bench/bench", CATALOG_SYNC_LATER, &c, NULL, &err));
    name_folder(folder, "orders", &family, 1);
    must(catalog_database_put(c, folder, "orders", &family, &family, &id, &err));
    for (uint64_t n = 0; n < count; n++) {
        sets[n] = set_of(&m, n);
        must(catalog_append(c, id, &sets[n], 0, &err));
    }
    must(catalog_sync(c, &err));
    catalog_free(c);
}

struct task {
    const char *name;
    struct chain_target target;
};

static void row(const char *how, const char *name, int64_t best, int64_t worst, const char *note) {
    printf("%-14s %-34s %10.3f %10.3f  %s\n", how, name, (double)best / 1000, (double)worst / 1000, note);
    fflush(stdout);
}

static void note_of(char *note, size_t bytes, bool planned, const struct chain_plan *plan, const struct chain_refusal *refusal,
                    size_t read) {
    if (planned)
        snprintf(note, bytes, "%zu members, %zu sets read", plan->count, read);
    else
        snprintf(note, bytes, "%s, %zu sets read", chain_refusal_word(refusal->reason), read);
}

/* With opening the file, as a program that has just started does it. */
static void from_catalog(const char *path, const struct task *task) {
    int64_t best = INT64_MAX, worst = 0;
    char note[96];
    for (int i = 0; i < ROUNDS; i++) {
        struct catalog *c;
        struct catalog_plan plan;
        struct chain_plan_request request = {.target = task->target};
        int64_t start = clock_mono_us();
        must(catalog_open_reader(path, &c, &err));
        must(catalog_plan_build(c, 0, &request, &plan, &err));
        int64_t us = clock_mono_us() - start;
        best = us < best ? us : best;
        worst = us > worst ? us : worst;
        note_of(note, sizeof(note), plan.planned, &plan.plan, &plan.refusal, plan.count);
        catalog_plan_done(&plan);
        catalog_free(c);
    }
    row("catalog file", task->name, best, worst, note);
}

static void in_memory(const struct chain_history *history, const struct task *task) {
    int64_t best = INT64_MAX, worst = 0;
    char note[96];
    for (int i = 0; i < ROUNDS; i++) {
        struct chain_plan plan;
        struct chain_refusal refusal;
        struct chain_plan_request request = {.history = history, .target = task->target};
        int64_t start = clock_mono_us();
        bool planned = chain_plan_build(&request, &plan, &refusal);
        int64_t us = clock_mono_us() - start;
        best = us < best ? us : best;
        worst = us > worst ? us : worst;
        note_of(note, sizeof(note), planned, &plan, &refusal, history->count);
        if (planned)
            chain_plan_done(&plan);
    }
    row("history", task->name, best, worst, note);
}

int main(int argc, char **argv) {
    uint64_t count = 1000000;
    if (argc > 1 && (!str_to_u64(argv[1], 20000000, &count) || count < 1000)) {
        fprintf(stderr, "usage: bench_plan [sets] [folder]\n");
        return 2;
    }
    char *dir = mem_printf("%s/bench-plan-XXXXXX", argc > 2 ? argv[2] : "/tmp");
    if (!mkdtemp(dir))
        return 1;
    char *path = mem_printf("%s/catalog", dir), *clean = mem_printf("rm -rf -- '%s'", dir);
    struct backup *sets = mem_array(count, sizeof(*sets));
    catalog_make(path, sets, count);
    int64_t end = BEGIN + (int64_t)count * EVERY, middle = BEGIN + (int64_t)(count / 2) * EVERY + 1234567;
    const struct task tasks[] = {
        {"latest", {.kind = CHAIN_TO_LATEST}},
        {"a moment an hour ago", {.kind = CHAIN_TO_TIME, .at = end - CLOCK_HOUR + 5}},
        {"a moment in the middle", {.kind = CHAIN_TO_TIME, .at = middle}},
        {"a moment at the beginning", {.kind = CHAIN_TO_TIME, .at = BEGIN + CLOCK_DAY / 2 + 7}},
        {"an LSN in the middle", {.kind = CHAIN_TO_LSN, .lsn = lsn_of(count)}},
        {"a moment before the first (refused)", {.kind = CHAIN_TO_TIME, .at = BEGIN - CLOCK_DAY}},
    };
    printf("%llu sets\n%-14s %-34s %10s %10s\n", (unsigned long long)count, "from", "target", "best ms", "worst ms");
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        from_catalog(path, &tasks[i]);
    struct chain_history history;
    int64_t start = clock_mono_us();
    chain_history_init(&history, sets, count);
    row("history", "made", clock_mono_us() - start, clock_mono_us() - start, "");
    for (size_t i = 0; i < ARRAY_LEN(tasks); i++)
        in_memory(&history, &tasks[i]);
    chain_history_done(&history);
    mem_free(sets);
    int rc = system(clean) != 0;
    mem_free(path);
    mem_free(clean);
    mem_free(dir);
    return rc;
}
