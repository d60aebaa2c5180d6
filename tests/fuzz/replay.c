/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files, and over all files of folders, where there is no libFuzzer. */
#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/fuzz/fuzz.h"

#define INPUT_MAX (1u << 21)

static bool replay_file(const char *path) {
    struct err err;
    char *data;
    size_t len;
    if (file_read_all(path, INPUT_MAX, &data, &len, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return false;
    }
    /* An allocation of just this size: a read behind the end is seen by AddressSanitizer. */
    _cleanup_free_ uint8_t *exact = mem_dup(data, len);
    mem_free(data);
    fprintf(stderr, "%s\n", path);
    (void)LLVMFuzzerTestOneInput(exact, len);
    return true;
}

/* The number of files that were run, -1 when one could not be read. */
static int replay(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) {
        if (errno == ENOTDIR)
            return replay_file(path) ? 1 : -1;
        fprintf(stderr, "%s: %m\n", path);
        return -1;
    }
    int count = 0;
    for (struct dirent *entry; count >= 0 && (entry = readdir(folder));) {
        if (entry->d_name[0] == '.')
            continue;
        _cleanup_free_ char *file = mem_printf("%s/%s", path, entry->d_name);
        count = replay_file(file) ? count + 1 : -1;
    }
    closedir(folder);
    return count;
}

int main(int argc, char **argv) {
    int total = 0;
    for (int i = 1; i < argc; i++) {
        int count = replay(argv[i]);
        if (count < 0)
            return 1;
        total += count;
    }
    printf("%d inputs\n", total);
    return total ? 0 : 1;
}
