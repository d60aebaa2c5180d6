/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast a staged file gets into a store, beside `zstd` and `cp` on the same file in the same run.
 *
 *     bench_ship [MiB] [streams] [folder]
 *
 * The file is made of text-like and random pages, as database pages are. Seconds are the best of three, processor seconds their mean. "peak" is what
 * the process needed above its idle size; the page cache is not in it.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/backups.h"
#include "tests/bench/ship.h"

#define ROUNDS 3
#define MIB (1024.0 * 1024.0)

static double run_command(const char *command) {
    int64_t start = clock_mono_us();
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
    return (double)(clock_mono_us() - start) / 1e6;
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
        if (fwrite(page, 1, sizeof(page), f) != sizeof(page))
            abort();
    }
    if (fflush(f) || fsync(fileno(f)) || fclose(f))
        abort();
}

static long peak_kib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
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

static void row(const char *what, double seconds, double cpu, double mib, uint64_t stored, long peak) {
    char text[32] = "-";
    if (peak >= 0)
        snprintf(text, sizeof(text), "%.1f", (double)peak / 1024);
    printf("%-34s %9.2f %10.0f %9.2f %12.1f %10s\n", what, seconds, mib / seconds, cpu, (double)stored / MIB, text);
    fflush(stdout);
}

static uint64_t file_bytes(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void command_row(const char *what, const char *command, const char *output, double mib) {
    double best = 1e9, cpu = cpu_seconds();
    for (int i = 0; i < ROUNDS; i++) {
        (void)unlink(output);
        double seconds = run_command(command);
        best = seconds < best ? seconds : best;
    }
    row(what, best, (cpu_seconds() - cpu) / ROUNDS, mib, file_bytes(output), -1);
    (void)unlink(output);
}

static void ship_row(struct store *store, const char *file, const char *codec, unsigned streams, double mib, long idle_kib) {
    char what[64];
    uint64_t stored = 0;
    double best = 1e9, cpu = cpu_seconds();
    for (int i = 0; i < ROUNDS; i++) {
        const char *files[64];
        for (unsigned k = 0; k < streams; k++)
            files[k] = file;
        double seconds = ship_all(store, files, codec, streams, &stored);
        best = seconds < best ? seconds : best;
    }
    snprintf(what, sizeof(what), "ship %s, %u stream%s", codec, streams, streams == 1 ? "" : "s");
    row(what, best, (cpu_seconds() - cpu) / ROUNDS, mib * streams, stored * streams, peak_kib() - idle_kib);
}

int main(int argc, char **argv) {
    uint64_t mib = 512, streams = 8;
    if ((argc > 1 && !str_to_u64(argv[1], 1000000, &mib)) || (argc > 2 && (!str_to_u64(argv[2], 64, &streams) || !streams))) {
        fprintf(stderr, "usage: bench_ship [MiB] [streams] [folder]\n");
        return 2;
    }
    char *dir = mem_printf("%s/bench-ship-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    struct err err = {0};
    struct store *store;
    if (!mkdtemp(dir) || store_open(dir, NULL, &store, &err) < 0) {
        fprintf(stderr, "%s: %s\n", dir, err.text);
        return 1;
    }
    char *file = mem_printf("%s/.staged", dir), *copy = mem_printf("%s/.copy", dir);
    make_file(file, mib << 20);
    char *zstd = mem_printf("zstd -q -1 -f %s -o %s && sync %s", file, copy, copy);
    char *zstd_plain = mem_printf("zstd -q -1 --single-thread -f %s -o %s && sync %s", file, copy, copy);
    char *cp = mem_printf("cp %s %s && sync %s", file, copy, copy);
    long idle = peak_kib();
    printf("%-34s %9s %10s %9s %12s %10s\n", "", "seconds", "MiB/s", "cpu s", "stored MiB", "peak MiB");
    ship_row(store, file, "zstd:1", 1, (double)mib, idle);
    ship_row(store, file, "none", 1, (double)mib, idle);
    if (streams > 1) {
        ship_row(store, file, "zstd:1", (unsigned)streams, (double)mib, idle);
        ship_row(store, file, "none", (unsigned)streams, (double)mib, idle);
    }
    command_row("zstd -1 + sync", zstd, copy, (double)mib);
    command_row("zstd -1 --single-thread + sync", zstd_plain, copy, (double)mib);
    command_row("cp + sync", cp, copy, (double)mib);
    store_free(store);
    char *clean = mem_printf("rm -rf -- '%s'", dir);
    int rc = system(clean) != 0;
    char *all[] = {clean, zstd, zstd_plain, cp, file, copy, dir};
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        mem_free(all[i]);
    return rc;
}
