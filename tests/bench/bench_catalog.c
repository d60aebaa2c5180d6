/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalog with many sets: append, open, iterate, load, and what stays in memory.
 *
 *     bench_catalog [sets] [databases] [folder]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/str.h"
#include "common/store/catalog.h"

static struct err err;

static void must(int rc) {
    if (rc < 0) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

/* "RssAnon:" or "VmRSS:" of this process in KiB. */
static long memory_kib(const char *key) {
    char line[256];
    long kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof(line), f))
        if (str_starts(line, key))
            kib = strtol(line + strlen(key), NULL, 10);
    if (f)
        fclose(f);
    return kib;
}

static void row(const char *what, int64_t us, uint64_t count) {
    printf("%-40s %12.3f", what, (double)us / 1000);
    if (count)
        printf(" %12.0f", (double)us * 1000 / (double)count);
    else
        printf(" %12s", "-");
    printf(" %10.1f %10.1f\n", (double)memory_kib("RssAnon:") / 1024, (double)memory_kib("VmRSS:") / 1024);
    fflush(stdout);
}

static struct guid guid_of(uint64_t n) {
    struct guid g = {{0}};
    memcpy(g.bytes, &n, sizeof(n));
    g.bytes[15] = 1;
    return g;
}

static struct backup set_of(uint64_t n) {
    struct backup b = {.kind = n % 300 ? BACKUP_LOG : BACKUP_FULL, .stripes = 1, .position = 1};
    b.set_guid = guid_of(n + 1);
    b.first_lsn = (struct lsn){1, (uint32_t)n * 8, 1};
    b.last_lsn = (struct lsn){1, (uint32_t)n * 8 + 8, 1};
    b.finish_at = (INT64_C(1790000000) + (int64_t)n) * CLOCK_SECOND;
    b.size_bytes = b.stored_bytes = 1 << 20;
    return b;
}

static void drop_cache(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

static void append_all(const char *path, uint64_t sets, uint32_t databases) {
    struct catalog *c;
    must(catalog_open(path, "bench", "bench/bench", CATALOG_SYNC_LATER, &c, NULL, &err));
    uint32_t *ids = mem_array(databases, sizeof(*ids));
    for (uint32_t i = 0; i < databases; i++) {
        char name[32], folder[NAME_FOLDER_MAX];
        struct guid g = guid_of(i + 1);
        snprintf(name, sizeof(name), "database %u", i);
        name_folder(folder, name, &g, 1);
        must(catalog_database_put(c, folder, name, &g, &g, &ids[i], &err));
    }
    int64_t start = clock_mono_us();
    for (uint64_t n = 0; n < sets; n++) {
        struct backup b = set_of(n);
        must(catalog_append(c, ids[n % databases], &b, 0, &err));
    }
    must(catalog_sync(c, &err));
    row("append, fsync at the end", clock_mono_us() - start, sets);
    mem_free(ids);
    catalog_free(c);
}

static void open_twice(const char *path) {
    struct catalog *c;
    drop_cache(path);
    for (int i = 0; i < 2; i++) {
        int64_t start = clock_mono_us();
        must(catalog_open(path, "bench", "bench/bench", CATALOG_SYNC_LATER, &c, NULL, &err));
        row(i ? "open, file in the page cache" : "open, file not in the page cache", clock_mono_us() - start, 0);
        catalog_free(c);
    }
}

static void walk(const struct catalog *c, const char *what, uint32_t first, uint32_t last) {
    uint64_t count = 0;
    int rc = 0;
    int64_t start = clock_mono_us();
    for (uint32_t db = first; db < last && rc >= 0; db++) {
        struct catalog_entry e = {.index = CATALOG_NONE};
        while ((rc = catalog_previous(c, db, &e, &err)) > 0)
            count++;
    }
    must(rc);
    row(what, clock_mono_us() - start, count);
}

static void read_all(const char *path, uint32_t databases) {
    struct catalog *c;
    struct backup *sets;
    size_t count;
    struct catalog_entry e;
    must(catalog_open(path, "bench", "bench/bench", CATALOG_SYNC_LATER, &c, NULL, &err));
    walk(c, "iterate one database", 0, 1);
    walk(c, "iterate all", 0, databases);
    catalog_release_pages(c);
    row("pages given back", 0, 0);
    int64_t start = clock_mono_us();
    must(catalog_load(c, 0, &sets, &count, &err));
    row("load one database into an array", clock_mono_us() - start, count);
    mem_free(sets);
    start = clock_mono_us();
    must(catalog_newest(c, 0, BACKUP_FULL, &e, &err));
    row("newest full of one database", clock_mono_us() - start, 0);
    struct backup b = set_of(5000000);
    start = clock_mono_us();
    must(catalog_append(c, 0, &b, 0, &err));
    must(catalog_sync(c, &err));
    row("append one and fsync", clock_mono_us() - start, 1);
    start = clock_mono_us();
    must(catalog_compact(c, &err));
    row("compact", clock_mono_us() - start, 0);
    catalog_free(c);
}

int main(int argc, char **argv) {
    uint64_t sets = 1000000, databases = 20;
    if ((argc > 1 && !str_to_u64(argv[1], 100000000, &sets)) ||
        (argc > 2 && (!str_to_u64(argv[2], 100000, &databases) || !databases))) {
        fprintf(stderr, "usage: bench_catalog [sets] [databases] [folder]\n");
        return 2;
    }
    char *dir = mem_printf("%s/bench-catalog-XXXXXX", argc > 3 ? argv[3] : "/tmp");
    if (!mkdtemp(dir))
        return 1;
    char *path = mem_printf("%s/catalog", dir), *clean = mem_printf("rm -rf -- '%s'", dir);
    printf("%llu sets of %llu databases\n", (unsigned long long)sets, (unsigned long long)databases);
    printf("%-40s %12s %12s %10s %10s\n", "", "ms", "ns per set", "anon MiB", "RSS MiB");
    row("at start", 0, 0);
    append_all(path, sets, (uint32_t)databases);
    open_twice(path);
    read_all(path, (uint32_t)databases);
    int rc = system(clean) != 0;
    mem_free(path);
    mem_free(clean);
    mem_free(dir);
    return rc;
}
