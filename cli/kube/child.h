/* SPDX-License-Identifier: Apache-2.0 */
/* A program that is run, with what it prints. One at a time, without threads. */
#ifndef MSSQL_CLI_KUBE_CHILD_H
#define MSSQL_CLI_KUBE_CHILD_H

#include <stdio.h>

#include "common/base/buf.h"
#include "common/base/err.h"

#define CHILD_SAID_MAX 4096

struct child_end {
    int exit; /* exit code; 128 and the signal's number when a signal ended it */
    char said[CHILD_SAID_MAX]; /* the last of its error stream */
};

/* To its end: `input` to it (NULL: nothing), its output to `out`. argv ends with NULL; argv[0] is looked for in PATH. */
int child_run(const char *const *argv, const char *input, struct buf *out, struct child_end *ret_end, struct err *err) ERR_CHECK;
/* To its end, with this program's own streams. */
int child_through(const char *const *argv, int *ret_exit, struct err *err) ERR_CHECK;

struct child;
/* It goes on; its output is read from child_stream(). */
int child_open(const char *const *argv, struct child **ret_child, struct err *err) ERR_CHECK;
FILE *child_stream(struct child *child);
/* Says how it ended; ends it unless its output is at the end. */
void child_wait(struct child *child, struct child_end *ret_end);
void child_close(struct child *child);

#endif
