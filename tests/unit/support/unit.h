/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test includes: cmocka with the headers it wants before it, and a few checks of our own. */
#ifndef MSSQL_TEST_UNIT_H
#define MSSQL_TEST_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/base/err.h"
#include "common/base/mem.h"

/* The call must fail with this class, and the message must contain `part`. */
#define assert_fails(call, err_, class_, part)                                                                                   \
    do {                                                                                                                         \
        err_clear(&(err_));                                                                                                      \
        assert_int_equal((call), -1);                                                                                            \
        if ((err_).class != (class_))                                                                                            \
            fail_msg("class %s, want %s: %s", err_class_name((err_).class), err_class_name(class_), (err_).text);                \
        if (!strstr((err_).text, (part)))                                                                                        \
            fail_msg("message '%s' does not contain '%s'", (err_).text, (part));                                                 \
    } while (0)

#define assert_succeeds(call, err_)                                                                                              \
    do {                                                                                                                         \
        err_clear(&(err_));                                                                                                      \
        if ((call) != 0)                                                                                                         \
            fail_msg("%s: %s", #call, (err_).text);                                                                              \
    } while (0)

/* A fresh directory; the caller removes it with unit_rm(). */
static inline char *unit_tmpdir(void) {
    const char *base = getenv("TMPDIR");
    char *path = mem_printf("%s/mssql-unit-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(path))
        abort();
    return path;
}

static inline void unit_rm(char *path) {
    char *command = mem_printf("rm -rf -- '%s'", path);
    if (system(command) != 0)
        abort();
    mem_free(command);
    mem_free(path);
}

#endif
