/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast backups come from a store into staging, hashes checked, beside `zstd -d | cp` of the same object in the same run; and
 * what each of many small logs costs.
 *
 *     bench_restore [MiB] [logs] [folder]
 *
 * The file is made of text-like and random pages, as database pages are. Seconds are the best of three.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/restore/fetch.h"
#include "common/store/backups.h"

#define ROUNDS 3
#define MIB (1024.0 * 1024.0)
#define SCOPE "bench/sql"
#define FOLDER "db~00000001"
#define LOG_BYTES 20000

static void fail(const struct err *err) {
    fprintf(stderr, "bench_restore: %s\n", err->text);
    exit(1);
}

static void make_file(const char *path, uint64_t bytes) {
    FILE *f = fopen(path, "w");
    uint64_t state = 88172645463325252u;
    char page[8192];
    if (!f)
        abort();
    for (uint64_t at = 0; at < bytes; at += sizeof(page)) {
        for (size_t i = 0; i < sizeof(page); i += 8) {
            state ^= state << 13, state ^= state >> 7, state ^= state << 17;
            uint64_t word = at / sizeof(page) % 3 ? 0x2020202030303030u + (state & 0x0f0f0f0f) : state;
            memcpy(page + i, &word, 8);
        }
        size_t part = bytes - at < sizeof(page) ? (size_t)(bytes - at) : sizeof(page);
        if (fwrite(page, 1, part, f) != part)
            abort();
    }
    if (fflush(f) || fsync(fileno(f)) || fclose(f))
        abort();
}

/* The n-th backup: a full, then logs. Ships the file as it and commits it. */
static struct backup put(struct store *store, const char *file, uint32_t n, char ret_object[STORE_NAME_MAX]) {
    struct err err = {0};
    struct manifest m;
    manifest_init(&m);
    struct backup b = {.kind = n ? BACKUP_LOG : BACKUP_FULL,
                       .flags = BACKUP_UTC_OFFSET_KNOWN,
                       .stripes = 1,
                       .position = 1,
                       .first_lsn = {34, 100 + n, 1},
                       .last_lsn = {34, 101 + n, 1},
                       .start_at = (1700000000 + (int64_t)n) * CLOCK_SECOND};
    b.finish_at = b.start_at;
    guid_random(&b.set_guid);
    b.family_guid = b.database_guid = b.first_fork = b.last_fork = (struct guid){{1}};
    manifest_set(&m.database, "db");
    manifest_set(&m.folder, FOLDER);
    manifest_set(&m.run_id, "bench");
    manifest_set(&m.recovery_model, "FULL");
    struct manifest_object *o = manifest_add_object(&m);
    char name[STORE_NAME_MAX];
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct pipe_spec spec = {.codec = "zstd", .level = 1, .record_bytes = pipe_record_bytes(8)};
    struct pipe_source source = {.fd = fd};
    o->stripe = 1;
    name_object(name, &b, 1, ".zst");
    if (fd < 0 || store_ship_object(store, SCOPE, FOLDER, &b, name, &spec, &source, NULL, o, &err) < 0)
        fail(&err);
    b.stored_bytes = o->stored_bytes;
    m.backup = b;
    if (store_commit_backup(store, SCOPE, &m, NULL, &err) < 0)
        fail(&err);
    snprintf(ret_object, STORE_NAME_MAX, "%s/%s/%s/%s", store_local_path(store), SCOPE, FOLDER, o->name);
    close(fd);
    manifest_done(&m);
    return b;
}

static double fetch_all(struct source *source, const struct backup *sets, size_t count, const char *dir) {
    struct err err = {0};
    struct restore_budget budget;
    struct restore_fetch *fetch;
    restore_budget_init(&budget, UINT64_C(1) << 40);
    struct restore_fetch_spec spec = {.source = source,
                                      .folder = FOLDER,
                                      .sets = sets,
                                      .count = count,
                                      .local_dir = dir,
                                      .server_dir = dir,
                                      .stem = "1-1",
                                      .mode = 0640,
                                      .budget = &budget};
    int64_t start = clock_mono_us();
    if (restore_fetch_start(&spec, &fetch, &err) < 0)
        fail(&err);
    for (size_t i = 0; i < count; i++) {
        struct restore_staged staged;
        bool bad;
        if (restore_fetch_wait(fetch, i, &staged, &bad, &err) < 0)
            fail(&err);
        restore_fetch_drop(fetch, i);
    }
    double seconds = (double)(clock_mono_us() - start) / 1e6;
    restore_fetch_free(fetch);
    restore_budget_done(&budget);
    return seconds;
}

static double run_command(const char *command, const char *output) {
    (void)unlink(output);
    int64_t start = clock_mono_us();
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
    return (double)(clock_mono_us() - start) / 1e6;
}

/* Processor time of this process and of the commands that it ran: comparable also on a machine that is busy. */
static double cpu_seconds(void) {
    struct rusage self, children;
    getrusage(RUSAGE_SELF, &self);
    getrusage(RUSAGE_CHILDREN, &children);
    const struct timeval all[] = {self.ru_utime, self.ru_stime, children.ru_utime, children.ru_stime};
    double sum = 0;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        sum += (double)all[i].tv_sec + (double)all[i].tv_usec / 1e6;
    return sum;
}

static void row(const char *what, double seconds, double cpu, double mib) {
    printf("%-44s %9.2f %10.0f %9.2f\n", what, seconds, mib / seconds, cpu);
    fflush(stdout);
}

static void bench_large(struct source *source, const struct backup *set, const char *object, const char *dir, double mib) {
    static const char *const names[] = {"fetch: decoded, both hashes checked", "zstd -d | cp", "zstd -d | tee | sha256sum"};
    double best[3] = {1e9, 1e9, 1e9}, cpu[3] = {0};
    char *copy = mem_printf("%s/copy", dir);
    char *pipe = mem_printf("zstd -q -d -c %s | cp /dev/stdin %s", object, copy);
    char *hash = mem_printf("zstd -q -d -c %s | tee %s | sha256sum > /dev/null", object, copy);
    for (int i = 0; i < ROUNDS * 3; i++) { /* in turns: a busy machine is busy for all of them */
        double before = cpu_seconds();
        double took = i % 3 == 0 ? fetch_all(source, set, 1, dir) : run_command(i % 3 == 1 ? pipe : hash, copy);
        cpu[i % 3] += (cpu_seconds() - before) / ROUNDS;
        best[i % 3] = took < best[i % 3] ? took : best[i % 3];
    }
    (void)unlink(copy);
    printf("%-44s %9s %10s %9s\n", "", "seconds", "MiB/s", "cpu s");
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        row(names[i], best[i], cpu[i], mib);
    mem_free(copy);
    mem_free(pipe);
    mem_free(hash);
}

int main(int argc, char **argv) {
    uint64_t mib = 512, logs = 1000;
    if ((argc > 1 && !str_to_u64(argv[1], 1000000, &mib)) || (argc > 2 && !str_to_u64(argv[2], 100000, &logs))) {
        fprintf(stderr, "usage: bench_restore [MiB] [logs] [folder]\n");
        return 2;
    }
    char *dir = mem_printf("%s/bench-restore-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    struct err err = {0};
    struct store *store;
    struct source *source;
    if (!mkdtemp(dir) || store_open(dir, NULL, &store, &err) < 0 || source_store_open(store, SCOPE, 0, &source, &err) < 0)
        fail(&err);
    char *large = mem_printf("%s/.large", dir), *small = mem_printf("%s/.small", dir), object[STORE_NAME_MAX],
         log[STORE_NAME_MAX];
    make_file(large, mib << 20);
    make_file(small, LOG_BYTES);
    struct backup *sets = mem_array(logs + 1, sizeof(*sets));
    sets[0] = put(store, large, 0, object);
    (void)unlink(large);
    for (uint32_t i = 1; i <= logs; i++)
        sets[i] = put(store, small, i, log);
    bench_large(source, sets, object, dir, (double)mib);
    double seconds = fetch_all(source, sets + 1, logs, dir);
    printf("%llu logs of %d bytes: %.2f ms each to fetch, check and drop\n", (unsigned long long)logs, LOG_BYTES,
           seconds * 1000 / (double)(logs ? logs : 1));
    int64_t start = clock_mono_us();
    struct source_history history;
    if (source_history(source, FOLDER, false, &history, &err) < 0)
        fail(&err);
    printf("history of %zu sets from the manifests alone: %.0f ms\n", history.count, (double)(clock_mono_us() - start) / 1000);
    source_history_done(&history);
    char *clean = mem_printf("rm -rf %s", dir);
    if (system(clean) != 0)
        return 1;
    source_free(source);
    store_free(store);
    mem_free(sets);
    mem_free(large);
    mem_free(small);
    mem_free(dir);
    mem_free(clean);
    return 0;
}
