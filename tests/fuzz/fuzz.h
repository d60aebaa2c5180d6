/* SPDX-License-Identifier: Apache-2.0 */
/* What every fuzz target includes. A target checks what must hold for any bytes; a broken promise is a crash that is found. */
#ifndef MSSQL_FUZZ_H
#define MSSQL_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void must(bool condition, const char *what) {
    if (condition)
        return;
    fprintf(stderr, "broken: %s\n", what);
    abort();
}

#endif
