/* SPDX-License-Identifier: Apache-2.0 */
/* ship_file FOLDER FILE...: ships files at once into a store in FOLDER, and says what that took: seconds, peak of resident
 * memory and of anonymous memory in KiB, both above what the process had before. */
#include <string.h>

#include "common/base/str.h"
#include "tests/bench/ship.h"

static long status_kib(const char *key) {
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

int main(int argc, char **argv) {
    struct store *store;
    struct err err;
    uint64_t stored;
    if (argc < 3) {
        fprintf(stderr, "usage: ship_file FOLDER FILE...\n");
        return 2;
    }
    if (store_open(argv[1], NULL, &store, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    long before = status_kib("VmRSS:");
    double seconds = ship_all(store, (const char *const *)(argv + 2), "zstd:1", (unsigned)argc - 2, &stored);
    printf("%.3f %ld %ld\n", seconds, status_kib("VmHWM:") - before, status_kib("RssAnon:"));
    store_free(store);
    return 0;
}
