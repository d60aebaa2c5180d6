/* SPDX-License-Identifier: Apache-2.0 */
/* ship_file FILE STREAMS FOLDER: ships a file into a store in FOLDER, and says what that took: seconds, peak of resident
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
    uint64_t streams, stored;
    if (argc != 4 || !str_to_u64(argv[2], 64, &streams) || !streams) {
        fprintf(stderr, "usage: ship_file FILE STREAMS FOLDER\n");
        return 2;
    }
    if (store_open(argv[3], NULL, &store, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    long before = status_kib("VmRSS:");
    double seconds = ship_all(store, argv[1], "zstd:1", (unsigned)streams, &stored);
    printf("%.3f %ld %ld\n", seconds, status_kib("VmHWM:") - before, status_kib("RssAnon:"));
    store_free(store);
    return 0;
}
