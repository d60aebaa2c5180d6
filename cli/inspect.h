/* SPDX-License-Identifier: Apache-2.0 */
/* What `inspect` found in its files, and how it is said. */
#ifndef MSSQL_CLI_INSPECT_H
#define MSSQL_CLI_INSPECT_H

#include <jansson.h>

#include "cli/cli.h"
#include "common/media/media.h"

struct inspected {
    const char *path;
    uint64_t bytes;
    struct media media;
    const char *packed; /* what it is compressed with by another program: "zstd"; NULL: nothing known */
    struct err err; /* what is wrong with it; ERR_NONE: nothing */
};

/* Files of one media set: stripes. */
struct inspected_stripes {
    size_t *files; /* indexes */
    size_t count;
    uint16_t position;
    struct err err; /* ERR_NONE: they fit together; whether one is missing is not to be told */
};

struct inspection {
    struct inspected *files;
    size_t count;
    struct inspected_stripes *stripes;
    size_t stripe_count;
};

/* {"sets": [rows with the column names of RESTORE HEADERONLY], "files": [...], "stripes": [...]}. `plan --history` reads it. */
json_t *inspect_json(const struct inspection *inspection);
void inspect_print(const struct cli *cli, const struct inspection *inspection);
/* "whole", "ends at byte 123", "damaged at byte 123", "empty": of a file. mem_free() it. */
char *inspect_condition(const struct inspected *file);

#endif
